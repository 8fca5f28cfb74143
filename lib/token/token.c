/* SPDX-License-Identifier: MIT */
#include "lib/token/session.h"

#include "lib/base/crypto.h"
#include "lib/base/text.h"
#include "lib/token/gate.h"
#include "lib/token/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
free_conf(struct sck_token_conf *c)
{
    const char *strings[] = {c->module_path, c->module_env, c->label, c->serial, c->lock_path, c->store_dir};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        free(sck_unconst(strings[i]));
}

static bool
copy_string(const char *from, const char **to)
{
    *to = from == NULL ? NULL : strdup(from);
    return from == NULL || *to != NULL;
}

static enum sck_code
check_conf(const struct sck_token_conf *c, struct sck_err *err)
{
    if (c->module_path == NULL || c->module_path[0] != '/')
        return sck_fail(err, SCK_E_CONFIG, "the PKCS#11 module must be an absolute path");
    if (c->label == NULL || c->label[0] == 0 || strlen(c->label) > 32)
        return sck_fail(err, SCK_E_CONFIG, "the token label must have 1 to 32 bytes");
    if (c->lock_path == NULL)
        return sck_fail(err, SCK_E_CONFIG, "a token needs a lock file: set its path");
    if (c->module_env != NULL && (strchr(c->module_env, '=') == NULL || c->module_env[0] == '='))
        return sck_fail(err, SCK_E_CONFIG, "the environment of the PKCS#11 module must read NAME=value");
    if (c->max_sessions == 1 || c->max_sessions > SCK_SESSIONS_MAX)
        return sck_fail(err, SCK_E_CONFIG, "max_sessions must be 2 to %d", SCK_SESSIONS_MAX);
    return SCK_OK;
}

enum sck_code
sck_token_new(const struct sck_token_conf *conf, struct sck_token **out, struct sck_err *err)
{
    *out = NULL;
    enum sck_code rc = check_conf(conf, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_token *t = calloc(1, sizeof *t);
    if (t == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    t->conf = *conf;
    bool copied = copy_string(conf->module_path, &t->conf.module_path);
    copied = copy_string(conf->module_env, &t->conf.module_env) && copied;
    copied = copy_string(conf->label, &t->conf.label) && copied;
    copied = copy_string(conf->serial, &t->conf.serial) && copied;
    copied = copy_string(conf->lock_path, &t->conf.lock_path) && copied;
    copied = copy_string(conf->store_dir, &t->conf.store_dir) && copied;
    if (!copied) {
        free_conf(&t->conf);
        free(t);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    if (t->conf.max_sessions == 0)
        t->conf.max_sessions = 4;
    if (t->conf.session_wait_ms <= 0)
        t->conf.session_wait_ms = 30000;
    char hex[33];
    sck_hex_format(conf->setup_id, sizeof conf->setup_id, hex);
    (void)snprintf(t->prefix, sizeof t->prefix, "scopekey/%s/", hex);
    (void)snprintf(t->pin_id, sizeof t->pin_id, "%s|%s|%s|%s", conf->label, conf->serial == NULL ? "" : conf->serial,
                   conf->module_env == NULL ? "" : conf->module_env, conf->module_path);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    atomic_init(&t->refs, 1);
    t->state = SCK_TOKEN_COLD;
    t->lost = SCK_LOST_MODULE;
    t->incarnation = 1;
    sck_registry_join(t);
    *out = t;
    return SCK_OK;
}

void
sck_token_unref(struct sck_token *t)
{
    if (atomic_fetch_sub(&t->refs, 1) != 1)
        return;
    sck_registry_leave(t);
    sck_secret_free(&t->pin);
    free_conf(&t->conf);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
}

/* Sessions end with the module's state only if we finalise it, so close them one by one.  With them die the keys. */
static void
close_sessions(struct sck_token *t)
{
    CK_SESSION_HANDLE handles[2 * SCK_SESSIONS_MAX + 1];
    unsigned count = 0;
    pthread_mutex_lock(&t->lock);
    struct sck_conn c = t->conn;
    bool was_open = t->state == SCK_TOKEN_OPEN;
    t->state = SCK_TOKEN_CLOSED;
    while (t->idle_count > 0)
        handles[count++] = t->idle[--t->idle_count];
    if (was_open && t->internal != CK_INVALID_HANDLE)
        handles[count++] = t->internal;
    t->internal = CK_INVALID_HANDLE;
    struct sck_tkey *garbage = t->garbage;
    t->garbage = NULL;
    sck_session_wake_all(t);
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < count && was_open; i++)
        (void)SCK_P11(&c, C_CloseSession, handles[i]);
    while (garbage != NULL) {
        struct sck_tkey *next = garbage->next_garbage;
        sck_tkey_free(garbage);
        garbage = next;
    }
    if (c.module != NULL)
        sck_module_drop(c.module);
}

void
sck_token_free(struct sck_token **token)
{
    if (token == NULL || *token == NULL)
        return;
    struct sck_token *t = *token;
    *token = NULL;
    close_sessions(t);
    sck_token_unref(t);
}

enum sck_code
sck_token_login(struct sck_token *token, struct sck_err *err)
{
    return sck_token_open(token, SCK_NEED_KEYS, err);
}

struct random_args {
    uint8_t *out;
    size_t len;
};

static CK_RV
random_op(struct sck_use *use, void *arg)
{
    struct random_args *a = arg;
    return SCK_P11(&use->conn, C_GenerateRandom, use->session, a->out, (CK_ULONG)a->len);
}

enum sck_code
sck_token_random(struct sck_token *token, uint8_t *out, size_t len, struct sck_err *err)
{
    struct sck_secret *theirs = NULL;
    if (len == 0)
        return SCK_OK;
    if (len > 65536)
        return sck_fail(err, SCK_E_USAGE, "%zu random bytes at once: ask for at most 65536", len);
    enum sck_code rc = sck_random(out, len, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(len, &theirs, err);
    if (rc == SCK_OK) {
        struct random_args args = {theirs->data, len};
        rc = sck_token_run(token, SCK_NEED_BARE, false, random_op, &args, "random bytes of the token", err);
    }
    for (size_t i = 0; rc == SCK_OK && i < len; i++)
        out[i] ^= theirs->data[i];
    if (rc != SCK_OK)
        sck_wipe(out, len);
    sck_secret_free(&theirs);
    return rc;
}
