/* SPDX-License-Identifier: MIT */
#include "vault/http/credential.h"

#include "lib/base/file.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 4096 };   /* what sck_file_read_secret() reads at most */

struct token_file {
    const char *what;                   /* "the data token" */
    const char *setting;                /* "token_file" */
    char *path;                         /* owned; NULL: there is none */
    struct sck_forklock lock;           /* the value */
    struct sck_secret *value;
};

static void
file_clear(struct sck_credential *base)
{
    struct token_file *c = base->own;
    sck_secret_free(&c->value);
    sck_forklock_clear(&c->lock);
    free(c->path);
    free(c);
}

static bool
same(const struct sck_secret *a, const struct sck_secret *b)
{
    return a != NULL && b != NULL && a->len == b->len && sck_ct_equal(a->data, b->data, a->len);
}

/* Line ends and control characters would be headers of their own. */
static bool
is_printable(const struct sck_secret *token)
{
    for (size_t i = 0; i < token->len; i++) {
        if (token->data[i] <= 0x20 || token->data[i] >= 0x7F)
            return false;
    }
    return true;
}

/* Read the file and make its token the current one. */
static enum sck_code
load(struct token_file *c, struct sck_secret **token, struct sck_err *err)
{
    struct sck_secret *kept = NULL;
    *token = NULL;
    if (c->path == NULL)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: %s is needed for this: set %s", c->what, c->setting);
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_file_read_secret(c->path, c->what, token, &why);
    /* A file that is not there is a set-up to correct, not a key that does not exist. */
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc, "keeper vault: %s", why.message);
    if (!is_printable(*token))
        rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: %s %s holds more than a token: put the token alone on one line",
                      c->what, c->path);
    if (rc == SCK_OK)
        rc = sck_secret_dup(*token, &kept, err);
    if (rc != SCK_OK) {
        sck_secret_free(token);
        return rc;
    }
    sck_forklock_take(&c->lock);
    struct sck_secret *old = c->value;
    c->value = kept;
    sck_forklock_give(&c->lock);
    sck_secret_free(&old);
    return SCK_OK;
}

/* A copy of the value that is kept; *token NULL when there is none yet. */
static enum sck_code
copy_kept(struct token_file *c, struct sck_secret **token, struct sck_err *err)
{
    bool found = false;
    /* Made before the lock is taken: memory for secrets has a lock of its own, and a fork takes both. */
    enum sck_code rc = sck_secret_new(TOKEN_MAX, token, err);
    if (rc != SCK_OK)
        return rc;
    sck_forklock_take(&c->lock);
    if (c->value != NULL) {
        (*token)->len = c->value->len;
        memcpy((*token)->data, c->value->data, c->value->len);
        found = true;
    }
    sck_forklock_give(&c->lock);
    if (!found)
        sck_secret_free(token);
    return SCK_OK;
}

static enum sck_code
file_get(struct sck_credential *base, const struct sck_secret *refused, int64_t deadline_us, struct sck_secret **token,
         struct sck_err *err)
{
    struct token_file *c = base->own;
    (void)deadline_us;
    *token = NULL;
    enum sck_code rc = copy_kept(c, token, err);
    if (rc != SCK_OK)
        return rc;
    /* Another call may have read the new one already. */
    if (*token != NULL && (refused == NULL || !same(*token, refused)))
        return SCK_OK;
    sck_secret_free(token);
    rc = load(c, token, err);
    if (rc == SCK_OK && refused != NULL && same(*token, refused)) {
        sck_secret_free(token);
        rc = sck_fail(err, SCK_E_CREDENTIAL, "keeper vault: %s %s holds the token that was refused", c->what, c->path);
    }
    return rc;
}

static void
file_want(struct sck_credential *base, const struct sck_secret *refused, struct sck_credential_waiter *waiter)
{
    struct sck_secret *token = NULL;
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = file_get(base, refused, waiter->deadline_us, &token, &err);
    waiter->got(waiter, rc, token, &err);
}

static bool
file_unwant(struct sck_credential *base, struct sck_credential_waiter *waiter)
{
    (void)base;
    (void)waiter;
    return false;
}

static const struct sck_credential_ops file_ops = {file_get, file_want, file_unwant, file_clear};

enum sck_code
sck_credential_file_init(struct sck_credential *base, const char *what, const char *setting, const char *path,
                         struct sck_err *err)
{
    struct token_file *c = calloc(1, sizeof *c);
    base->ops = NULL;
    if (c == NULL || (path != NULL && (c->path = strdup(path)) == NULL)) {
        free(c);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    c->what = what;
    c->setting = setting;
    sck_forklock_init(&c->lock);
    *base = (struct sck_credential){&file_ops, c, path != NULL};
    return SCK_OK;
}
