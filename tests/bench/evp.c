/* SPDX-License-Identifier: MIT */
#include "tests/bench/evp.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>

#define NULL_SIG_LEN 64

/* ---- a provider whose signatures are zeros ---- */

static void *
null_new(void *provctx)
{
    (void)provctx;
    return calloc(1, 1);
}

static void
null_free(void *p)
{
    free(p);
}

static int
null_has(const void *key, int selection)
{
    (void)key;
    (void)selection;
    return 1;
}

static int
null_import(void *key, int selection, const OSSL_PARAM params[])
{
    (void)key;
    (void)selection;
    (void)params;
    return 1;
}

static const OSSL_PARAM *
null_import_types(int selection)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string("pub", NULL, 0), OSSL_PARAM_END};
    (void)selection;
    return types;
}

static int
null_get_params(void *key, OSSL_PARAM params[])
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_MAX_SIZE);
    (void)key;
    return p == NULL || OSSL_PARAM_set_int(p, NULL_SIG_LEN);
}

static const OSSL_PARAM *
null_gettable_params(void *provctx)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL), OSSL_PARAM_END};
    (void)provctx;
    return types;
}

static void *
null_sig_new(void *provctx, const char *propq)
{
    (void)propq;
    return null_new(provctx);
}

static int
null_sign_init(void *ctx, const char *digest, void *key, const OSSL_PARAM params[])
{
    (void)ctx;
    (void)digest;
    (void)key;
    (void)params;
    return 1;
}

static int
null_sign(void *ctx, unsigned char *sig, size_t *sig_len, size_t size, const unsigned char *data, size_t len)
{
    (void)ctx;
    (void)size;
    (void)data;
    (void)len;
    if (sig != NULL)
        memset(sig, 0, NULL_SIG_LEN);
    *sig_len = NULL_SIG_LEN;
    return 1;
}

static const OSSL_DISPATCH null_signature[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))null_sig_new},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))null_free},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))null_sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))null_sign},
    {0, NULL}};
/* EVP asks what kind of key it has by all its names: so this one has those of a real kind. */
#define NULL_NAME "EC"
static const char *
null_operation_name(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "BENCH-NULL" : NULL_NAME;
}

static const OSSL_DISPATCH null_keymgmt[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))null_new},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))null_free},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))null_has},
    {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))null_import},
    {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))null_import_types},
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))null_get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))null_gettable_params},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))null_operation_name},
    {0, NULL}};
static const OSSL_ALGORITHM null_keymgmts[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=bench", null_keymgmt, NULL}, {NULL, NULL, NULL, NULL}};
static const OSSL_ALGORITHM null_signatures[] = {{"BENCH-NULL", "provider=bench", null_signature, NULL},
                                                 {NULL, NULL, NULL, NULL}};

static const OSSL_ALGORITHM *
null_query(void *provctx, int operation, int *no_cache)
{
    (void)provctx;
    *no_cache = 0;
    if (operation == OSSL_OP_KEYMGMT)
        return null_keymgmts;
    return operation == OSSL_OP_SIGNATURE ? null_signatures : NULL;
}

static int
null_provider(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **provctx)
{
    static const OSSL_DISPATCH dispatch[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))null_query},
                                             {0, NULL}};
    (void)core;
    (void)in;
    *out = dispatch;
    static char here;
    *provctx = &here;
    return 1;
}

/* ---- keys ---- */

static _Noreturn void
die_openssl(const char *what)
{
    ERR_print_errors_fp(stderr);
    bench_die(what, "OpenSSL failed");
}

OSSL_LIB_CTX *
bench_evp_context(const char *dir)
{
    char conf[620];
    (void)snprintf(conf, sizeof conf, "%s/d/scopekey.conf", dir);
    (void)setenv("SCOPEKEY_CONF", conf, 1);
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    if (ctx == NULL || OSSL_PROVIDER_set_default_search_path(ctx, bench_dirs.modules) != 1 ||
        OSSL_PROVIDER_load(ctx, "default") == NULL || OSSL_PROVIDER_load(ctx, "scopekey") == NULL)
        die_openssl("providers");
    return ctx;
}

OSSL_LIB_CTX *
bench_evp_null_context(void)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    if (ctx == NULL || OSSL_PROVIDER_add_builtin(ctx, "bench", null_provider) != 1 ||
        OSSL_PROVIDER_load(ctx, "default") == NULL || OSSL_PROVIDER_load(ctx, "bench") == NULL)
        die_openssl("providers");
    return ctx;
}

EVP_PKEY *
bench_evp_load(OSSL_LIB_CTX *ctx, const char *uri)
{
    EVP_PKEY *key = NULL;
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info != NULL && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    (void)OSSL_STORE_close(store);
    if (key == NULL)
        die_openssl(uri);
    return key;
}

EVP_PKEY *
bench_evp_null_key(OSSL_LIB_CTX *ctx)
{
    EVP_PKEY *key = NULL;
    unsigned char pub[1] = {1};
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string("pub", pub, sizeof pub), OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(ctx, NULL_NAME, "provider=bench");
    if (make == NULL || EVP_PKEY_fromdata_init(make) != 1 ||
        EVP_PKEY_fromdata(make, &key, EVP_PKEY_KEYPAIR, params) != 1)
        die_openssl("key of the signer that does nothing");
    EVP_PKEY_CTX_free(make);
    return key;
}

void
bench_evp_sign(OSSL_LIB_CTX *ctx, EVP_PKEY *key, const char *digest)
{
    static const unsigned char message[32] = {1};
    unsigned char sig[512];
    size_t len = sizeof sig;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestSignInit_ex(md, NULL, digest, ctx, NULL, key, NULL) != 1 ||
        EVP_DigestSign(md, sig, &len, message, sizeof message) != 1)
        die_openssl("EVP_DigestSign");
    EVP_MD_CTX_free(md);
}
