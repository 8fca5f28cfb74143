/* SPDX-License-Identifier: MIT */
/* OSSL_STORE for scopekey: URIs (provider-storemgmt(7)).  Public data only: nothing here needs the token. */
#include "provider/pkey.h"

#include <openssl/core_object.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>

/* 16 bytes for each key of a scope: what is listed is read key by key. */
#define LISTED_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define CANDIDATES_SHOWN 8

static OSSL_FUNC_store_open_fn store_open;
static OSSL_FUNC_store_settable_ctx_params_fn store_settable_ctx_params;
static OSSL_FUNC_store_set_ctx_params_fn store_set_ctx_params;
static OSSL_FUNC_store_load_fn store_load;
static OSSL_FUNC_store_eof_fn store_eof;
static OSSL_FUNC_store_close_fn store_close;

struct loader {
    struct sck_prov *prov;
    struct sck_service *service;
    struct sck_uri uri;
    int expect;                 /* OSSL_STORE_INFO_, 0: anything */
    bool ended;
    struct sck_key_info *one;   /* the key a URI with a name is about; NULL: a scope */
    struct sck_buf pairs;       /* ids of a scope's key pairs, */
    struct sck_buf secrets;     /* and of its secret keys, which come last */
    size_t next;                /* index over both */
};

struct output {
    OSSL_CALLBACK *fn;
    void *arg;
};

static enum sck_code
note_key(void *arg, const struct sck_key_info *key, struct sck_err *err)
{
    struct loader *l = arg;
    struct sck_buf *buf = key->spki_len > 0 ? &l->pairs : &l->secrets;
    sck_buf_put(buf, key->id, sizeof key->id);
    return sck_buf_check(buf, "list of keys", err);
}

static enum sck_code
find(struct loader *l, struct sck_err *err)
{
    if (l->uri.name[0] == '\0')
        return sck_key_each(l->service, &l->uri.scope, note_key, l, err);
    l->one = malloc(sizeof *l->one);
    if (l->one == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    enum sck_code rc = sck_key_find(l->service, &l->uri, l->one, err);
    bool is_pair = rc == SCK_OK && l->one->spki_len > 0;
    if (rc == SCK_OK && !is_pair && l->uri.type != SCK_TYPE_PRIVATE && l->uri.type != SCK_TYPE_PUBLIC)
        rc = sck_fail(err, SCK_E_UNSUPPORTED,
                      "%s is a symmetric key, which OSSL_STORE cannot hold: name it to the cipher "
                      "SCOPEKEY-AES-256-GCM by the parameter uri",
                      l->one->key_id);
    return rc;
}

static void *
store_open(void *provctx, const char *text)
{
    struct sck_err err = SCK_ERR_INIT;
    struct loader *l = calloc(1, sizeof *l);
    enum sck_code rc = SCK_OK;
    if (l == NULL)
        return NULL;
    l->prov = provctx;
    sck_buf_init(&l->pairs, LISTED_MAX_BYTES);
    sck_buf_init(&l->secrets, LISTED_MAX_BYTES);
    sck_queue_keep();
    rc = sck_uri_parse(text, strlen(text), &l->uri, &err);
    if (rc == SCK_OK)
        rc = sck_prov_service(l->prov, &l->service, &err);
    if (rc == SCK_OK)
        rc = find(l, &err);
    sck_queue_restore();
    if (rc != SCK_OK) {
        SCK_RAISE(l->prov, &err);
        (void)store_close(l);
        return NULL;
    }
    return l;
}

static const OSSL_PARAM *
store_settable_ctx_params(void *provctx)
{
    (void)provctx;
    static const OSSL_PARAM list[] = {OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL), OSSL_PARAM_END};
    return list;
}

static int
store_set_ctx_params(void *loaderctx, const OSSL_PARAM params[])
{
    struct loader *l = loaderctx;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
    return p == NULL || OSSL_PARAM_get_int(p, &l->expect);
}

/* A key pair as a reference to an object of our KEYMGMT. */
static int
emit_pair(struct loader *l, const struct sck_key_info *info, const struct output *out)
{
    bool with_private = l->uri.type != SCK_TYPE_PUBLIC && l->expect != OSSL_STORE_INFO_PUBKEY;
    struct sck_pkey *key = sck_pkey_new_token(l->prov, info, with_private);
    if (key == NULL)
        return 0;
    if (with_private && sck_prov_must_ask(l->service)) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_ukey *opened = NULL;
        sck_queue_keep();
        enum sck_code rc = sck_pkey_open(key, &opened, &err);
        sck_queue_restore();
        if (rc != SCK_OK) {
            SCK_RAISE(l->prov, &err);
            sck_pkey_unref(key);
            return 0;
        }
    }
    sck_prime_kind(l->prov, key->kind);
    int type = OSSL_OBJECT_PKEY;
    char data_type[16];
    OPENSSL_strlcpy(data_type, sck_kind_info(key->kind)->name, sizeof data_type);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, data_type, 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof key),
        OSSL_PARAM_construct_end(),
    };
    int ok = out->fn(params, out->arg);
    sck_pkey_unref(key);
    return ok;
}

/* A name: how a key that OSSL_STORE has no object for is listed. */
static int
emit_name(const struct sck_key_info *info, const struct output *out)
{
    struct sck_uri uri = {.scope = info->scope};
    memcpy(uri.name, info->name, sizeof uri.name);
    struct sck_buf text;
    sck_buf_init(&text, 4096);
    sck_uri_format(&uri, &text);
    int type = OSSL_OBJECT_NAME;
    char description[64];
    (void)snprintf(description, sizeof description, "%s, usage %s", sck_alg_info(info->alg)->name,
                   sck_usage_name(info->usage));
    union {
        const char *in;
        char *out;
    } u = {.in = sck_buf_str(&text)};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA, u.out, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DESC, description, 0),
        OSSL_PARAM_construct_end(),
    };
    int ok = !text.failed && out->fn(params, out->arg);
    sck_buf_clear(&text);
    return ok;
}

/* Whoever asks for one private or public key of a scope with several must say which. */
static enum sck_code
check_unambiguous(struct loader *l, struct sck_err *err)
{
    size_t count = l->pairs.len / 16;
    if (count < 2 || l->next > 0 || (l->expect != OSSL_STORE_INFO_PKEY && l->expect != OSSL_STORE_INFO_PUBKEY))
        return SCK_OK;
    struct sck_buf names;
    sck_buf_init(&names, 4096);
    struct sck_key_info *info = malloc(sizeof *info);
    for (size_t i = 0; info != NULL && i < count && i < CANDIDATES_SHOWN; i++) {
        struct sck_err ignored = SCK_ERR_INIT;
        if (sck_key_find_by_id(l->service, l->pairs.data + 16 * i, 0, info, &ignored) == SCK_OK)
            sck_buf_printf(&names, "%s%s", i > 0 ? ", " : "", info->name);
    }
    enum sck_code rc = sck_fail(err, SCK_E_USAGE, "the URI names a scope with %zu key pairs: add a key's name (%s%s)",
                                count, sck_buf_str(&names), count > CANDIDATES_SHOWN ? ", ..." : "");
    free(info);
    sck_buf_clear(&names);
    return rc;
}

static bool
wants_pair(const struct loader *l)
{
    bool by_type = l->uri.type == SCK_TYPE_NONE || l->uri.type == SCK_TYPE_PRIVATE || l->uri.type == SCK_TYPE_PUBLIC;
    return by_type && (l->expect == 0 || l->expect == OSSL_STORE_INFO_PKEY || l->expect == OSSL_STORE_INFO_PUBKEY);
}

static bool
wants_secret(const struct loader *l)
{
    bool by_type = l->uri.type == SCK_TYPE_NONE || l->uri.type == SCK_TYPE_SECRET;
    return by_type && (l->expect == 0 || l->expect == OSSL_STORE_INFO_NAME);
}

/* The next key of a scope; one that went away meanwhile is passed over. */
static enum sck_code
next_listed(struct loader *l, struct sck_key_info *info, bool *found, struct sck_err *err)
{
    size_t pairs = l->pairs.len / 16, total = pairs + l->secrets.len / 16;
    *found = false;
    while (!*found && l->next < total) {
        size_t i = l->next++;
        if (i < pairs ? !wants_pair(l) : !wants_secret(l))
            continue;
        const uint8_t *id = i < pairs ? l->pairs.data + 16 * i : l->secrets.data + 16 * (i - pairs);
        struct sck_err one = SCK_ERR_INIT;
        enum sck_code rc = sck_key_find_by_id(l->service, id, l->uri.version, info, &one);
        if (rc != SCK_OK && rc != SCK_E_NOT_FOUND && rc != SCK_E_ERASED) {
            *err = one;
            return rc;
        }
        *found = rc == SCK_OK;
    }
    if (l->next >= total)
        l->ended = true;
    return SCK_OK;
}

static int
load_listed(struct loader *l, const struct output *out)
{
    struct sck_err err = SCK_ERR_INIT;
    bool found = false;
    int ok = 1;
    struct sck_key_info *info = malloc(sizeof *info);
    enum sck_code rc = info == NULL ? sck_fail(&err, SCK_E_MEMORY, "out of memory") : check_unambiguous(l, &err);
    sck_queue_keep();
    if (rc == SCK_OK)
        rc = next_listed(l, info, &found, &err);
    sck_queue_restore();
    if (rc != SCK_OK) {
        SCK_RAISE(l->prov, &err);
        l->ended = true;
        ok = 0;
    } else if (found) {
        ok = info->spki_len > 0 ? emit_pair(l, info, out) : emit_name(info, out);
    } else {
        ok = 0;
    }
    free(info);
    return ok;
}

static int
store_load(void *loaderctx, OSSL_CALLBACK *object_cb, void *object_cbarg, OSSL_PASSPHRASE_CALLBACK *pw_cb,
           void *pw_cbarg)
{
    struct loader *l = loaderctx;
    struct output out = {object_cb, object_cbarg};
    struct sck_asker asker = {pw_cb, pw_cbarg, l->uri.pin_source};
    const struct sck_asker *before = sck_asker_set(&asker);
    int ok = 0;
    if (l->one == NULL) {
        ok = load_listed(l, &out);
    } else {
        l->ended = true;
        if (l->one->spki_len > 0 && wants_pair(l))
            ok = emit_pair(l, l->one, &out);
    }
    (void)sck_asker_set(before);
    return ok;
}

static int
store_eof(void *loaderctx)
{
    const struct loader *l = loaderctx;
    return l->ended;
}

static int
store_close(void *loaderctx)
{
    struct loader *l = loaderctx;
    sck_buf_clear(&l->pairs);
    sck_buf_clear(&l->secrets);
    free(l->one);
    free(l);
    return 1;
}

const OSSL_DISPATCH sck_store_dispatch[] = {
    {OSSL_FUNC_STORE_OPEN, (void (*)(void))store_open},
    {OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, (void (*)(void))store_settable_ctx_params},
    {OSSL_FUNC_STORE_SET_CTX_PARAMS, (void (*)(void))store_set_ctx_params},
    {OSSL_FUNC_STORE_LOAD, (void (*)(void))store_load},
    {OSSL_FUNC_STORE_EOF, (void (*)(void))store_eof},
    {OSSL_FUNC_STORE_CLOSE, (void (*)(void))store_close},
    {0, NULL},
};
