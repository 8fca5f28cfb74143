/* SPDX-License-Identifier: MIT */
/* RSASSA-PKCS1-v1_5 and RSASSA-PSS (RFC 8017 section 8). */
#include "provider/signature_rsa.h"

#include <openssl/rsa.h>

static OSSL_FUNC_signature_sign_init_fn rsa_sign_init;
static OSSL_FUNC_signature_sign_fn rsa_sign;
static OSSL_FUNC_signature_verify_init_fn rsa_verify_init;
static OSSL_FUNC_signature_verify_fn rsa_verify;
static OSSL_FUNC_signature_verify_recover_init_fn rsa_verify_recover_init;
static OSSL_FUNC_signature_verify_recover_fn rsa_verify_recover;
static OSSL_FUNC_signature_digest_sign_init_fn rsa_digest_sign_init;
static OSSL_FUNC_signature_digest_sign_final_fn rsa_digest_sign_final;
static OSSL_FUNC_signature_digest_verify_init_fn rsa_digest_verify_init;
static OSSL_FUNC_signature_digest_verify_final_fn rsa_digest_verify_final;

#define DEFAULT_DIGEST "SHA256"

static int
rsa_sign_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start(ctx, provkey, EVP_PKEY_OP_SIGN) && sck_rsa_set_ctx_params(ctx, params);
}

static bool
sign_pss(struct sck_sig *sig, struct sck_bytes digest, unsigned char *out, size_t cap, size_t *out_len)
{
    if (sig->md == NULL)
        return sck_sig_refuse(sig, SCK_E_USAGE, "PSS needs to know the digest: set it (-pkeyopt digest:sha256)");
    long salt = sck_rsa_salt_for_signing(sig, digest.len);
    if (salt < 0)
        return false;
    const EVP_MD *mgf1 = sig->mgf1_md != NULL ? sig->mgf1_md : sig->md;
    struct sck_pss pss = {EVP_MD_get_type(sig->md), EVP_MD_get_type(mgf1), (unsigned long)salt};
    return sck_sig_token(sig, SCK_SIGN_RSA_PSS, &pss, digest, out, cap, out_len);
}

static bool
sign_pkcs1(struct sck_sig *sig, struct sck_bytes tbs, unsigned char *out, size_t cap, size_t *out_len)
{
    /* Without a digest, and for the pair of digests of TLS 1.0, the bytes are padded as they are. */
    if (sig->md == NULL || EVP_MD_get_type(sig->md) == NID_md5_sha1)
        return sck_sig_token(sig, SCK_SIGN_RSA_PKCS1, NULL, tbs, out, cap, out_len);
    struct sck_buf info;
    sck_buf_init(&info, 256);
    bool ok = sck_rsa_digest_info(EVP_MD_get_type(sig->md), tbs, &info)
                  ? sck_sig_token(sig, SCK_SIGN_RSA_PKCS1, NULL, sck_buf_bytes(&info), out, cap, out_len)
                  : sck_sig_refuse(sig, SCK_E_UNSUPPORTED, "this digest has no DigestInfo");
    sck_buf_clear(&info);
    return ok;
}

static bool
sign_in_token(struct sck_sig *sig, struct sck_bytes tbs, unsigned char *out, size_t cap, size_t *out_len)
{
    if (sig->padding == RSA_PKCS1_PSS_PADDING)
        return sign_pss(sig, tbs, out, cap, out_len);
    if (sig->padding == RSA_NO_PADDING)
        return sck_sig_token(sig, SCK_SIGN_RSA_RAW, NULL, tbs, out, cap, out_len);
    return sign_pkcs1(sig, tbs, out, cap, out_len);
}

static int
rsa_sign(void *ctx, unsigned char *out, size_t *out_len, size_t cap, const unsigned char *tbs, size_t tbs_len)
{
    struct sck_sig *sig = ctx;
    size_t max = sck_sig_max_len(sig);
    if (max == 0)
        return 0;
    if (out == NULL) {
        *out_len = max;
        return 1;
    }
    if (cap < max)
        return sck_sig_refuse(sig, SCK_E_USAGE, "the buffer is shorter than the modulus");
    if (sig->md != NULL && tbs_len != (size_t)EVP_MD_get_size(sig->md))
        return sck_sig_refuse(sig, SCK_E_USAGE, "the input is not as long as the digest that was set");
    if (sck_pkey_is_token(sig->key))
        return sign_in_token(sig, (struct sck_bytes){tbs, tbs_len}, out, cap, out_len);
    EVP_PKEY_CTX *evp = sck_rsa_evp(sig, EVP_PKEY_OP_SIGN);
    *out_len = cap;
    int ok = evp != NULL && EVP_PKEY_sign(evp, out, out_len, tbs, tbs_len) == 1;
    EVP_PKEY_CTX_free(evp);
    return ok;
}

static int
rsa_verify_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start(ctx, provkey, EVP_PKEY_OP_VERIFY) && sck_rsa_set_ctx_params(ctx, params);
}

static int
rsa_verify(void *ctx, const unsigned char *s, size_t len, const unsigned char *tbs, size_t tbs_len)
{
    struct sck_sig *sig = ctx;
    if (sig->key == NULL)
        return 0;
    EVP_PKEY_CTX *evp = sck_rsa_evp(sig, EVP_PKEY_OP_VERIFY);
    int ok = evp != NULL && EVP_PKEY_verify(evp, s, len, tbs, tbs_len) == 1;
    EVP_PKEY_CTX_free(evp);
    return ok;
}

static int
rsa_verify_recover_init(void *ctx, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start(ctx, provkey, EVP_PKEY_OP_VERIFYRECOVER) && sck_rsa_set_ctx_params(ctx, params);
}

static int
rsa_verify_recover(void *ctx, unsigned char *out, size_t *out_len, size_t cap, const unsigned char *s, size_t len)
{
    struct sck_sig *sig = ctx;
    size_t max = sck_sig_max_len(sig);
    if (max == 0)
        return 0;
    if (out == NULL) {
        *out_len = max;
        return 1;
    }
    EVP_PKEY_CTX *evp = sck_rsa_evp(sig, EVP_PKEY_OP_VERIFYRECOVER);
    *out_len = cap;
    int ok = evp != NULL && EVP_PKEY_verify_recover(evp, out, out_len, s, len) == 1;
    EVP_PKEY_CTX_free(evp);
    return ok;
}

static int
rsa_digest_sign_init(void *ctx, const char *mdname, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start_hash(ctx, provkey, EVP_PKEY_OP_SIGN, mdname, DEFAULT_DIGEST) &&
           sck_rsa_set_ctx_params(ctx, params);
}

static int
rsa_digest_sign_final(void *ctx, unsigned char *out, size_t *out_len, size_t cap)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (out != NULL && !sck_sig_hash_final(ctx, digest, &len))
        return 0;
    return rsa_sign(ctx, out, out_len, cap, digest, len);
}

static int
rsa_digest_verify_init(void *ctx, const char *mdname, void *provkey, const OSSL_PARAM params[])
{
    return sck_sig_start_hash(ctx, provkey, EVP_PKEY_OP_VERIFY, mdname, DEFAULT_DIGEST) &&
           sck_rsa_set_ctx_params(ctx, params);
}

static int
rsa_digest_verify_final(void *ctx, const unsigned char *s, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t digest_len = 0;
    return sck_sig_hash_final(ctx, digest, &digest_len) && rsa_verify(ctx, s, len, digest, digest_len);
}

const OSSL_DISPATCH sck_rsa_signature[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))sck_sig_newctx},
    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))sck_sig_freectx},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))sck_sig_dupctx},
    {OSSL_FUNC_SIGNATURE_SIGN_INIT, (void (*)(void))rsa_sign_init},
    {OSSL_FUNC_SIGNATURE_SIGN, (void (*)(void))rsa_sign},
    {OSSL_FUNC_SIGNATURE_VERIFY_INIT, (void (*)(void))rsa_verify_init},
    {OSSL_FUNC_SIGNATURE_VERIFY, (void (*)(void))rsa_verify},
    {OSSL_FUNC_SIGNATURE_VERIFY_RECOVER_INIT, (void (*)(void))rsa_verify_recover_init},
    {OSSL_FUNC_SIGNATURE_VERIFY_RECOVER, (void (*)(void))rsa_verify_recover},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))rsa_digest_sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))sck_sig_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))rsa_digest_sign_final},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))rsa_digest_verify_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (void (*)(void))sck_sig_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (void (*)(void))rsa_digest_verify_final},
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))sck_rsa_get_ctx_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))sck_rsa_gettable_ctx_params},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))sck_rsa_set_ctx_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))sck_rsa_settable_ctx_params},
    {OSSL_FUNC_SIGNATURE_GET_CTX_MD_PARAMS, (void (*)(void))sck_sig_get_md_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_MD_PARAMS, (void (*)(void))sck_sig_gettable_md_params},
    {OSSL_FUNC_SIGNATURE_SET_CTX_MD_PARAMS, (void (*)(void))sck_sig_set_md_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_MD_PARAMS, (void (*)(void))sck_sig_settable_md_params},
    {0, NULL},
};
