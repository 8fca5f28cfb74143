/* SPDX-License-Identifier: MIT */
#include "lib/token/key.h"

#include "lib/token/own.h"

#include <stdlib.h>
#include <string.h>

void
sck_tkey_free(struct sck_tkey *key)
{
    struct sck_token *t = key->token;
    sck_secret_free(&key->blob);
    free(key);
    sck_token_unref(t);
}

struct sck_tkey *
sck_tkey_ref(struct sck_tkey *key)
{
    atomic_fetch_add(&key->refs, 1);
    return key;
}

/*
 * The object is destroyed by whoever gives back the internal session next; by us, if nobody has it.  So this never
 * fails and waits for nobody else's operation.
 */
void
sck_tkey_unref(struct sck_tkey **key)
{
    if (key == NULL || *key == NULL)
        return;
    struct sck_tkey *k = *key;
    *key = NULL;
    if (atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    struct sck_token *t = k->token;
    pthread_mutex_lock(&t->lock);
    bool alive = k->blob != NULL && k->handle != CK_INVALID_HANDLE && t->state == SCK_TOKEN_OPEN &&
        k->incarnation == t->incarnation;
    struct sck_use use;
    bool sweep = false;
    if (alive) {
        k->next_garbage = t->garbage;
        t->garbage = k;
        atomic_fetch_add(&t->refs, 1);
        sweep = sck_session_try_internal_locked(t, &use);
    }
    pthread_mutex_unlock(&t->lock);
    if (!alive) {
        sck_tkey_free(k);
        return;
    }
    if (sweep)
        (void)sck_session_give(&use, CKR_OK);
    sck_token_unref(t);
}

CK_RV
sck_unwrap(struct sck_use *use, const struct sck_kind *kind, CK_OBJECT_HANDLE master, CK_MECHANISM_TYPE mechanism,
           const void *blob, size_t len, CK_OBJECT_HANDLE *out)
{
    struct sck_template want;
    CK_MECHANISM m = {mechanism, NULL, 0};
    sck_template_unwrapped(&want, kind);
    return SCK_P11(&use->conn, C_UnwrapKey, use->session, &m, master, sck_unconst(blob), (CK_ULONG)len, want.at,
                   want.count, out);
}

struct load_args {
    struct sck_tkey *key;
    enum sck_code rc;
    struct sck_err *err;
};

static CK_RV
find_resident(struct sck_use *use, struct load_args *a, CK_OBJECT_HANDLE *out)
{
    struct sck_tkey *k = a->key;
    const struct sck_alg_info *info = sck_alg_info(k->alg);
    const struct sck_kind *kind = sck_kind_find(k->usage, info->family);
    struct sck_template t;
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, kind->class);
    sck_template_ulong(&t, CKA_KEY_TYPE, kind->key_type);
    sck_template_bool(&t, CKA_TOKEN, true);
    sck_template_bytes(&t, CKA_ID, k->id, sizeof k->id);
    CK_RV rv = sck_find(&use->conn, use->session, &t, found, 2, &count);
    if (rv == CKR_OK && count == 0)
        a->rc = sck_fail(a->err, SCK_E_NOT_FOUND, "the resident key is not on token %s: restore the token from its "
                         "backup", k->token->conf.label);
    if (rv == CKR_OK && count > 1)
        a->rc = sck_fail(a->err, SCK_E_INTEGRITY, "two keys on token %s have one CKA_ID: remove the false one",
                         k->token->conf.label);
    *out = found[0];
    return rv;
}

static CK_RV
unwrap_blob(struct sck_use *use, struct load_args *a, CK_OBJECT_HANDLE *out)
{
    struct sck_tkey *k = a->key;
    const struct sck_kind *kind = sck_kind_find(k->usage, sck_alg_info(k->alg)->family);
    CK_OBJECT_HANDLE master = CK_INVALID_HANDLE;
    CK_MECHANISM_TYPE mechanism = 0;
    char name[40];
    sck_own_master_name(kind, name);
    a->rc = sck_own_get(k->token, use, name, CKO_SECRET_KEY, &master, &mechanism, a->err);
    if (a->rc != SCK_OK)
        return CKR_OK;
    CK_RV rv = sck_unwrap(use, kind, master, mechanism, k->blob->data, k->blob->len, out);
    if (rv == CKR_OK || sck_rv_lost(rv) != SCK_LOST_NOTHING || rv == SCK_RV_EXITING || rv == CKR_HOST_MEMORY ||
        rv == CKR_DEVICE_MEMORY)
        return rv;
    a->rc = sck_fail_rv_as(a->err, SCK_E_INTEGRITY, rv, "unwrapping a key by %s", name);
    return CKR_OK;
}

/* Runs in the internal session, so two threads never load one key at once. */
static CK_RV
load_op(struct sck_use *use, void *arg)
{
    struct load_args *a = arg;
    struct sck_tkey *k = a->key;
    struct sck_token *t = k->token;
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    pthread_mutex_lock(&t->lock);
    bool done = k->handle != CK_INVALID_HANDLE && k->incarnation == use->incarnation;
    pthread_mutex_unlock(&t->lock);
    if (done)
        return CKR_OK;
    CK_RV rv = k->blob == NULL ? find_resident(use, a, &handle) : unwrap_blob(use, a, &handle);
    if (rv == CKR_OK && a->rc == SCK_OK) {
        pthread_mutex_lock(&t->lock);
        k->handle = handle;
        k->incarnation = use->incarnation;
        pthread_mutex_unlock(&t->lock);
    }
    return rv;
}

static enum sck_code
load(struct sck_tkey *key, struct sck_err *err)
{
    struct load_args args = {key, SCK_OK, err};
    enum sck_code rc = sck_token_run(key->token, SCK_NEED_KEYS, true, load_op, &args, "loading a key", err);
    return rc == SCK_OK ? args.rc : rc;
}

static enum sck_code
key_new(struct sck_token *token, enum sck_alg alg, enum sck_usage usage, struct sck_tkey **out, struct sck_err *err)
{
    const struct sck_alg_info *info = sck_alg_info(alg);
    *out = NULL;
    if (info == NULL || sck_kind_find(usage, info->family) == NULL)
        return sck_fail(err, SCK_E_STATE, "a key of this algorithm cannot have usage %s", sck_usage_name(usage));
    struct sck_tkey *k = calloc(1, sizeof *k);
    if (k == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    atomic_init(&k->refs, 1);
    atomic_fetch_add(&token->refs, 1);
    k->token = token;
    k->alg = alg;
    k->usage = usage;
    *out = k;
    return SCK_OK;
}

enum sck_code
sck_tkey_load(struct sck_token *token, enum sck_alg alg, enum sck_usage usage, enum sck_origin origin,
              const void *blob, size_t blob_len, struct sck_tkey **out, struct sck_err *err)
{
    struct sck_tkey *k = NULL;
    *out = NULL;
    if (origin != SCK_ORIGIN_GENERATED)
        return sck_fail(err, SCK_E_UNSUPPORTED, "imported keys cannot be loaded by this version");
    if (blob_len < 24 || blob_len > 8192 || blob_len % 8 != 0)
        return sck_fail(err, SCK_E_INTEGRITY, "a wrapped key of %zu bytes: the record was changed", blob_len);
    enum sck_code rc = key_new(token, alg, usage, &k, err);
    if (rc == SCK_OK)
        rc = sck_secret_from(blob, blob_len, &k->blob, err);
    if (rc == SCK_OK) {
        k->origin = origin;
        rc = load(k, err);
    }
    if (rc == SCK_OK)
        *out = k;
    else
        sck_tkey_unref(&k);
    return rc;
}

enum sck_code
sck_tkey_find(struct sck_token *token, enum sck_alg alg, enum sck_usage usage, const uint8_t id[16],
              struct sck_tkey **out, struct sck_err *err)
{
    struct sck_tkey *k = NULL;
    enum sck_code rc = key_new(token, alg, usage, &k, err);
    *out = NULL;
    if (rc == SCK_OK) {
        memcpy(k->id, id, sizeof k->id);
        rc = load(k, err);
    }
    if (rc == SCK_OK)
        *out = k;
    else
        sck_tkey_unref(&k);
    return rc;
}

/* A worker with use->object = the key, loaded in this incarnation. */
static enum sck_code
take_with_key(struct sck_tkey *key, struct sck_use *use, struct sck_err *err)
{
    struct sck_token *t = key->token;
    for (int loads = 0;; loads++) {
        enum sck_code rc = sck_session_take(t, SCK_NEED_KEYS, false, use, err);
        if (rc != SCK_OK)
            return rc;
        pthread_mutex_lock(&t->lock);
        bool loaded = key->handle != CK_INVALID_HANDLE && key->incarnation == use->incarnation;
        use->object = key->handle;
        pthread_mutex_unlock(&t->lock);
        if (loaded)
            return SCK_OK;
        (void)sck_session_give(use, CKR_OK);
        if (loads > 3)
            return sck_fail(err, SCK_E_TOKEN, "token %s is lost again and again: check it", t->conf.label);
        rc = load(key, err);
        if (rc != SCK_OK)
            return rc;
    }
}

enum sck_code
sck_tkey_run(struct sck_tkey *key, sck_op_fn op, void *arg, const char *what, struct sck_err *err)
{
    for (int attempt = 0;; attempt++) {
        struct sck_use use;
        enum sck_code rc = take_with_key(key, &use, err);
        if (rc != SCK_OK)
            return rc;
        CK_RV rv = op(&use, arg);
        bool again = sck_session_give(&use, rv);
        if (rv == CKR_OK)
            return SCK_OK;
        if (!again || attempt > 0)
            return sck_fail_rv(err, rv, "%s", what);
    }
}
