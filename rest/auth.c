/* SPDX-License-Identifier: MIT */
#include "rest/auth.h"

#include "lib/base/crypto.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct sck_auth {
    const char *file;           /* borrowed; NULL when the source cannot be read twice */
    struct sck_client client;
    pthread_mutex_t lock;       /* over the hashes */
    uint8_t hashes[SCK_API_KEYS_MAX][SCK_SHA256_LEN];
    size_t count;
};

bool
sck_client_may_use(const struct sck_client *client, const struct sck_scope *scope)
{
    return sck_scope_equal(&client->scope, scope) || sck_scope_is_allowed(scope, client->scopes);
}

enum sck_code
sck_auth_take_env(struct sck_secret **out, struct sck_err *err)
{
    *out = NULL;
    char *value = secure_getenv("API_KEY");
    if (value == NULL)
        return SCK_OK;
    size_t len = strlen(value);
    enum sck_code rc = SCK_OK;
    if (len == 0)
        rc = sck_fail(err, SCK_E_CONFIG, "API_KEY in the environment is empty: unset it or give it a value");
    else
        rc = sck_secret_from(value, len, out, err);
    /* unsetenv() forgets the pointer alone; /proc/PID/environ shows the bytes. */
    sck_wipe(value, len);
    (void)unsetenv("API_KEY");
    if (rc == SCK_OK)
        sck_log(SCK_LOG_WARNING, "rest.auth",
                "the API key was taken from the environment, where other programs may have seen it: "
                "a file (--api-key-file) is safer");
    return rc;
}

static enum sck_code
check_key(const uint8_t *key, size_t len, const char *what, struct sck_err *err)
{
    bool printable = len > 0 && key[0] != ' ' && key[len - 1] != ' ';
    for (size_t i = 0; i < len; i++)
        printable = printable && key[i] >= 0x20 && key[i] < 0x7F;
    if (len > SCK_API_KEY_LEN_MAX)
        return sck_fail(err, SCK_E_CONFIG, "%s is longer than %d bytes", what, SCK_API_KEY_LEN_MAX);
    if (!printable)
        return sck_fail(err, SCK_E_CONFIG,
                        "%s is empty or has characters that are not printable ASCII: "
                        "make one by `openssl rand -hex 32`", what);
    if (len < SCK_API_KEY_SHORT)
        sck_log(SCK_LOG_WARNING, "rest.auth",
                "%s is shorter than %d bytes: make a longer one by `openssl rand -hex 32`", what, SCK_API_KEY_SHORT);
    return SCK_OK;
}

/* One key a line, at most two lines. */
static enum sck_code
set_keys(struct sck_auth *auth, const struct sck_secret *text, const char *what, struct sck_err *err)
{
    uint8_t hashes[SCK_API_KEYS_MAX][SCK_SHA256_LEN];
    size_t count = 0;
    enum sck_code rc = SCK_OK;
    for (size_t at = 0; rc == SCK_OK && at <= text->len;) {
        const uint8_t *line = text->data + at;
        const uint8_t *end = memchr(line, '\n', text->len - at);
        size_t len = end != NULL ? (size_t)(end - line) : text->len - at;
        if (count == SCK_API_KEYS_MAX)
            rc = sck_fail(err, SCK_E_CONFIG, "%s holds more than %d keys", what, SCK_API_KEYS_MAX);
        else
            rc = check_key(line, len, what, err);
        if (rc == SCK_OK)
            rc = sck_sha256(line, len, hashes[count++], err);
        at += len + 1;
    }
    if (rc != SCK_OK)
        return rc;
    (void)pthread_mutex_lock(&auth->lock);
    memcpy(auth->hashes, hashes, sizeof hashes);
    auth->count = count;
    (void)pthread_mutex_unlock(&auth->lock);
    return SCK_OK;
}

static enum sck_code
load_file(struct sck_auth *auth, const char *path, struct sck_err *err)
{
    struct sck_secret *text = NULL;
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_file_read_secret(path, "API key file", &text, &why);
    if (rc == SCK_E_NOT_FOUND)
        /* To the caller a file that was configured and is not there is no missing key of the catalog. */
        rc = sck_fail(err, SCK_E_CONFIG, "%s", why.message);
    else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", why.message);
    else
        rc = set_keys(auth, text, "the API key in the file", err);
    sck_secret_free(&text);
    return rc;
}

static enum sck_code
load(struct sck_auth *auth, const struct sck_auth_source *from, struct sck_err *err)
{
    if (from->file != NULL) {
        auth->file = from->file;
        return load_file(auth, auth->file, err);
    }
    if (from->fd >= 0) {
        struct sck_secret *text = NULL;
        enum sck_code rc = sck_fd_read_secret(from->fd, "API key descriptor", &text, err);
        if (rc == SCK_OK)
            rc = set_keys(auth, text, "the API key from the descriptor", err);
        sck_secret_free(&text);
        return rc;
    }
    if (from->env != NULL)
        return set_keys(auth, from->env, "the API key in API_KEY", err);
    if (from->conf_file[0] != '\0') {
        auth->file = from->conf_file;
        return load_file(auth, auth->file, err);
    }
    return sck_fail(err, SCK_E_CONFIG,
                    "no API client is configured, so nobody could call this daemon: make a key by "
                    "`(umask 077; openssl rand -hex 32 > api.key)` and start with --api-key-file api.key, "
                    "or set api_key_file in [rest] of scopekey.conf");
}

enum sck_code
sck_auth_new(const struct sck_auth_source *source, const char *scopes, struct sck_auth **out, struct sck_err *err)
{
    struct sck_auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL)
        return sck_fail(err, SCK_E_MEMORY, "no memory for API clients");
    (void)pthread_mutex_init(&auth->lock, NULL);
    memcpy(auth->client.id, "default", sizeof "default");
    auth->client.scopes = scopes;
    enum sck_code rc = sck_scope_make(SCK_SCOPE_CLIENT, "default", 7, &auth->client.scope, err);
    if (rc == SCK_OK) {
        rc = sck_scope_patterns_check(scopes, err);
        sck_err_prefix(err, "scopekey.conf, [client default] scopes");
    }
    if (rc == SCK_OK)
        rc = load(auth, source, err);
    if (rc != SCK_OK)
        sck_auth_free(&auth);
    *out = auth;
    return rc;
}

void
sck_auth_free(struct sck_auth **auth)
{
    if (*auth == NULL)
        return;
    (void)pthread_mutex_destroy(&(*auth)->lock);
    sck_wipe(*auth, sizeof **auth);
    free(*auth);
    *auth = NULL;
}

enum sck_code
sck_auth_reload(struct sck_auth *auth, struct sck_err *err)
{
    return auth->file != NULL ? load_file(auth, auth->file, err) : SCK_OK;
}

const struct sck_client *
sck_auth_check(struct sck_auth *auth, const char *key, size_t len)
{
    uint8_t hash[SCK_SHA256_LEN];
    unsigned found = 0;
    if (sck_sha256(key, len, hash, NULL) != SCK_OK)
        return NULL;
    (void)pthread_mutex_lock(&auth->lock);
    for (size_t i = 0; i < auth->count; i++)
        found |= (unsigned)sck_ct_equal(hash, auth->hashes[i], sizeof hash);
    (void)pthread_mutex_unlock(&auth->lock);
    sck_wipe(hash, sizeof hash);
    return found != 0 ? &auth->client : NULL;
}
