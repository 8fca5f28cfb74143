/* SPDX-License-Identifier: MIT */
#include "provider/signature.h"

#include <openssl/objects.h>
#include <openssl/x509.h>

static OSSL_FUNC_signature_sign_init_fn ecdsa_sign_init;
static OSSL_FUNC_signature_sign_fn ecdsa_sign;
static OSSL_FUNC_signature_verify_init_fn ecdsa_verify_init;
static OSSL_FUNC_signature_verify_fn ecdsa_verify;
static OSSL_FUNC_signature_digest_sign_init_fn ecdsa_digest_sign_init;
static OSSL_FUNC_signature_digest_sign_final_fn ecdsa_digest_sign_final;
static OSSL_FUNC_signature_digest_verify_init_fn ecdsa_digest_verify_init;
static OSSL_FUNC_signature_digest_verify_final_fn ecdsa_digest_verify_final;
static OSSL_FUNC_signature_get_ctx_params_fn ecdsa_get_ctx_params;
static OSSL_FUNC_signature_gettable_ctx_params_fn ecdsa_gettable_ctx_params;
static OSSL_FUNC_signature_set_ctx_params_fn ecdsa_set_ctx_params;
static OSSL_FUNC_signature_settable_ctx_params_fn ecdsa_settable_ctx_params;

#define DEFAULT_DIGEST "SHA256"

static int
ecdsa_sign_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start(ctx, provkey, EVP_PKEY_OP_SIGN) && ecdsa_set_ctx_params(ctx, params);
}

static int
ecdsa_sign(void *ctx, unsigned char *out, size_t *out_len, size_t cap, const unsigned char *tbs, size_t tbs_len)
{
    struct sck_sig *sig = ctx;
    size_t max = sck_sig_max_len(sig);
    if (max == 0)
        return 0;
    if (out == NULL) {
        *out_len = max;
        return 1;
    }
    if (sig->md != NULL && tbs_len != (size_t)EVP_MD_get_size(sig->md))
        return sck_sig_refuse(sig, SCK_E_USAGE, "the input is not as long as the digest that was set");
    if (sck_pkey_is_token(sig->key))
        return sck_sig_token(sig, SCK_SIGN_ECDSA, NULL, (struct sck_bytes){tbs, tbs_len}, out, cap, out_len);
    EVP_PKEY_CTX *evp = sck_sig_evp(sig, EVP_PKEY_OP_SIGN);
    *out_len = cap;
    int ok = evp != NULL && EVP_PKEY_sign(evp, out, out_len, tbs, tbs_len) == 1;
    EVP_PKEY_CTX_free(evp);
    return ok;
}

static int
ecdsa_verify_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start(ctx, provkey, EVP_PKEY_OP_VERIFY) && ecdsa_set_ctx_params(ctx, params);
}

static int
ecdsa_verify(void *ctx, const unsigned char *s, size_t len, const unsigned char *tbs, size_t tbs_len)
{
    struct sck_sig *sig = ctx;
    if (sig->md != NULL && tbs_len != (size_t)EVP_MD_get_size(sig->md))
        return 0;
    EVP_PKEY_CTX *evp = sck_sig_evp(sig, EVP_PKEY_OP_VERIFY);
    int ok = evp != NULL && EVP_PKEY_verify(evp, s, len, tbs, tbs_len) == 1;
    EVP_PKEY_CTX_free(evp);
    return ok;
}

static int
ecdsa_digest_sign_init(void *ctx, const char *mdname, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start_hash(ctx, provkey, EVP_PKEY_OP_SIGN, mdname, DEFAULT_DIGEST) &&
           ecdsa_set_ctx_params(ctx, params);
}

static int
ecdsa_digest_sign_final(void *ctx, unsigned char *out, size_t *out_len, size_t cap)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (out != NULL && !sck_sig_hash_final(ctx, digest, &len))
        return 0;
    return ecdsa_sign(ctx, out, out_len, cap, digest, len);
}

static int
ecdsa_digest_verify_init(void *ctx, const char *mdname, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start_hash(ctx, provkey, EVP_PKEY_OP_VERIFY, mdname, DEFAULT_DIGEST) &&
           ecdsa_set_ctx_params(ctx, params);
}

static int
ecdsa_digest_verify_final(void *ctx, const unsigned char *s, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t digest_len = 0;
    return sck_sig_hash_final(ctx, digest, &digest_len) && ecdsa_verify(ctx, s, len, digest, digest_len);
}

static int
ecdsa_get_ctx_params(void *ctx, OSSL_PARAM params[])
{
    struct sck_sig *sig = ctx;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    if (p != NULL) {
        int nid = NID_undef;
        X509_ALGOR *alg = X509_ALGOR_new();
        /* RFC 5758 section 3.2: the parameters are absent. */
        bool ok = alg != NULL && sig->md != NULL &&
                  OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(sig->md), EVP_PKEY_EC) == 1 &&
                  X509_ALGOR_set0(alg, OBJ_nid2obj(nid), V_ASN1_UNDEF, NULL) == 1 && sck_sig_put_algorithm_id(p, alg);
        X509_ALGOR_free(alg);
        if (!ok)
            return 0;
    }
    return sck_sig_get_common(sig, params);
}

static const OSSL_PARAM *
ecdsa_gettable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, NULL),
        OSSL_PARAM_END,
    };
    return list;
}

static int
ecdsa_set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
    return sck_sig_set_common(ctx, params);
}

static const OSSL_PARAM *
ecdsa_settable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    return list;
}

const OSSL_DISPATCH sck_ecdsa_signature[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))sck_sig_newctx},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))sck_sig_freectx},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))sck_sig_dupctx},
    {OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))ecdsa_sign_init},
    {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))ecdsa_sign},
    {OSSL_FUNC_SIGNATURE_VERIFY_INIT, (void (*)(void))ecdsa_verify_init},
    {OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))ecdsa_verify},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))ecdsa_digest_sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))sck_sig_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))ecdsa_digest_sign_final},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))ecdsa_digest_verify_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (void (*)(void))sck_sig_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (void (*)(void))ecdsa_digest_verify_final},
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))ecdsa_get_ctx_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))ecdsa_gettable_ctx_params},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))ecdsa_set_ctx_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))ecdsa_settable_ctx_params},
    {OSSL_FUNC_SIGNATURE_GET_CTX_MD_PARAMS, (void (*)(void))sck_sig_get_md_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_MD_PARAMS, (void (*)(void))sck_sig_gettable_md_params},
    {OSSL_FUNC_SIGNATURE_SET_CTX_MD_PARAMS, (void (*)(void))sck_sig_set_md_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_MD_PARAMS, (void (*)(void))sck_sig_settable_md_params},
    {0, NULL},
};
