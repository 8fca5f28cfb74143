/* SPDX-License-Identifier: MIT */
/* Ed25519 (RFC 8032): the message itself is signed, in one call. */
#include "provider/signature.h"

#include "lib/base/crypto.h"

#include <openssl/objects.h>
#include <openssl/x509.h>

static OSSL_FUNC_signature_digest_sign_init_fn eddsa_sign_init;
static OSSL_FUNC_signature_digest_sign_fn eddsa_sign;
static OSSL_FUNC_signature_digest_verify_init_fn eddsa_verify_init;
static OSSL_FUNC_signature_digest_verify_fn eddsa_verify;
static OSSL_FUNC_signature_get_ctx_params_fn eddsa_get_ctx_params;
static OSSL_FUNC_signature_gettable_ctx_params_fn eddsa_gettable_ctx_params;

#define SIGNATURE_LEN 64

static int
init(struct sck_sig *sig, const char *mdname, void *provkey, int operation)
{
    if (mdname != NULL && mdname[0] != '\0')
        return sck_sig_refuse(sig, SCK_E_USAGE, "Ed25519 takes no digest");
    return sck_sig_start(sig, provkey, operation);
}

static int
eddsa_sign_init(void *ctx, const char *mdname, void *provkey, const OSSL_PARAM params[])
{
    (void)params;
    return init(ctx, mdname, provkey, EVP_PKEY_OP_SIGN);
}

static int
eddsa_verify_init(void *ctx, const char *mdname, void *provkey, const OSSL_PARAM params[])
{
    (void)params;
    return init(ctx, mdname, provkey, EVP_PKEY_OP_VERIFY);
}

static int
eddsa_sign(void *ctx, unsigned char *out, size_t *out_len, size_t cap, const unsigned char *tbs, size_t tbs_len)
{
    struct sck_sig *sig = ctx;
    if (out == NULL) {
        *out_len = SIGNATURE_LEN;
        return 1;
    }
    if (sig->key == NULL || cap < SIGNATURE_LEN)
        return sck_sig_refuse(sig, SCK_E_USAGE, "an Ed25519 signature needs a key and 64 bytes of room");
    if (sck_pkey_is_token(sig->key))
        return sck_sig_token(sig, SCK_SIGN_EDDSA, NULL, (struct sck_bytes){tbs, tbs_len}, out, cap, out_len);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    *out_len = cap;
    int ok = md != NULL &&
             EVP_DigestSignInit_ex(md, NULL, NULL, sck_libctx(), NULL, sck_pkey_evp(sig->key), NULL) == 1 &&
             EVP_DigestSign(md, out, out_len, tbs, tbs_len) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static int
eddsa_verify(void *ctx, const unsigned char *s, size_t len, const unsigned char *tbs, size_t tbs_len)
{
    struct sck_sig *sig = ctx;
    EVP_PKEY *evp = sig->key != NULL ? sck_pkey_evp(sig->key) : NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int ok = md != NULL && evp != NULL &&
             EVP_DigestVerifyInit_ex(md, NULL, NULL, sck_libctx(), NULL, evp, NULL) == 1 &&
             EVP_DigestVerify(md, s, len, tbs, tbs_len) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static int
eddsa_get_ctx_params(void *ctx, OSSL_PARAM params[])
{
    (void)ctx;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    if (p == NULL)
        return 1;
    X509_ALGOR *alg = X509_ALGOR_new();
    /* RFC 8410 section 3: the parameters are absent. */
    int ok = alg != NULL && X509_ALGOR_set0(alg, OBJ_nid2obj(NID_ED25519), V_ASN1_UNDEF, NULL) == 1 &&
             sck_sig_put_algorithm_id(p, alg);
    X509_ALGOR_free(alg);
    return ok;
}

static const OSSL_PARAM *
eddsa_gettable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_END,
    };
    return list;
}

const OSSL_DISPATCH sck_eddsa_signature[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))sck_sig_newctx},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))sck_sig_freectx},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))sck_sig_dupctx},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))eddsa_sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))eddsa_sign},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))eddsa_verify_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (void (*)(void))eddsa_verify},
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))eddsa_get_ctx_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))eddsa_gettable_ctx_params},
    {0, NULL},
};
