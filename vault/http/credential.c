/* SPDX-License-Identifier: MIT */
#include "vault/http/credential.h"

#include "lib/base/file.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 4096 };   /* what sck_file_read_secret() reads at most */

enum sck_code
sck_credential_init(struct sck_credential *c, const char *what, const char *setting, const char *path,
                    struct sck_err *err)
{
    c->what = what;
    c->setting = setting;
    c->value = NULL;
    c->path = path != NULL ? strdup(path) : NULL;
    sck_forklock_init(&c->lock);
    return path != NULL && c->path == NULL ? sck_fail(err, SCK_E_MEMORY, "out of memory") : SCK_OK;
}

void
sck_credential_clear(struct sck_credential *c)
{
    sck_secret_free(&c->value);
    sck_forklock_clear(&c->lock);
    free(c->path);
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
load(struct sck_credential *c, struct sck_secret **token, struct sck_err *err)
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

enum sck_code
sck_credential_get(struct sck_credential *c, struct sck_secret **token, struct sck_err *err)
{
    struct sck_secret *copy = NULL;
    bool found = false;
    *token = NULL;
    /* Made before the lock is taken: memory for secrets has a lock of its own, and a fork takes both. */
    enum sck_code rc = sck_secret_new(TOKEN_MAX, &copy, err);
    if (rc != SCK_OK)
        return rc;
    sck_forklock_take(&c->lock);
    if (c->value != NULL) {
        copy->len = c->value->len;
        memcpy(copy->data, c->value->data, copy->len);
        found = true;
    }
    sck_forklock_give(&c->lock);
    if (!found) {
        sck_secret_free(&copy);
        return load(c, token, err);
    }
    *token = copy;
    return SCK_OK;
}

enum sck_code
sck_credential_refresh(struct sck_credential *c, const struct sck_secret *refused, bool *changed,
                       struct sck_err *err)
{
    struct sck_secret *now = NULL;
    enum sck_code rc = load(c, &now, err);
    *changed = rc == SCK_OK && !same(now, refused);
    sck_secret_free(&now);
    return rc;
}
