/* SPDX-License-Identifier: MIT */
#include "provider/signature.h"

#include "lib/base/crypto.h"

#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

bool
sck_sig_refuse(const struct sck_sig *sig, enum sck_code code, const char *text)
{
    struct sck_err err = SCK_ERR_INIT;
    (void)sck_fail(&err, code, "%s", text);
    SCK_RAISE(sig->prov, &err);
    return false;
}

void *
sck_sig_newctx(void *provctx, const char *propq)
{
    (void)propq;
    struct sck_sig *sig = calloc(1, sizeof *sig);
    if (sig == NULL)
        return NULL;
    sig->prov = provctx;
    sig->padding = RSA_PKCS1_PADDING;
    sig->salt_len = SCK_SALT_DEFAULT;
    return sig;
}

void
sck_sig_freectx(void *ctx)
{
    struct sck_sig *sig = ctx;
    if (sig == NULL)
        return;
    sck_pkey_unref(sig->key);
    EVP_MD_free(sig->md);
    EVP_MD_free(sig->mgf1_md);
    EVP_MD_CTX_free(sig->hash);
    free(sig);
}

static EVP_MD *
md_dup(EVP_MD *md)
{
    return md != NULL && EVP_MD_up_ref(md) == 1 ? md : NULL;
}

void *
sck_sig_dupctx(void *ctx)
{
    const struct sck_sig *from = ctx;
    struct sck_sig *to = malloc(sizeof *to);
    if (to == NULL)
        return NULL;
    *to = *from;
    to->key = sck_pkey_ref(from->key);
    to->md = md_dup(from->md);
    to->mgf1_md = md_dup(from->mgf1_md);
    to->hash = NULL;
    if (from->hash != NULL) {
        to->hash = EVP_MD_CTX_new();
        if (to->hash == NULL || EVP_MD_CTX_copy_ex(to->hash, from->hash) != 1) {
            sck_sig_freectx(to);
            return NULL;
        }
    }
    return to;
}

bool
sck_sig_start(struct sck_sig *sig, void *provkey, int operation)
{
    if (provkey == NULL && sig->key == NULL)
        return sck_sig_refuse(sig, SCK_E_USAGE, "no key was set");
    if (provkey != NULL) {
        sck_pkey_unref(sig->key);
        sig->key = sck_pkey_ref(provkey);
    }
    EVP_MD_CTX_free(sig->hash);
    sig->hash = NULL;
    sig->operation = operation;
    return true;
}

bool
sck_sig_set_md(struct sck_sig *sig, const char *mdname)
{
    EVP_MD *md = EVP_MD_fetch(sck_libctx(), mdname, NULL);
    if (md == NULL || (EVP_MD_get_flags(md) & EVP_MD_FLAG_XOF) != 0) {
        EVP_MD_free(md);
        return sck_sig_refuse(sig, SCK_E_UNSUPPORTED, "unknown or unsuitable digest");
    }
    EVP_MD_free(sig->md);
    sig->md = md;
    return true;
}

bool
sck_sig_start_hash(struct sck_sig *sig, void *provkey, int operation, const char *mdname, const char *fallback)
{
    if (!sck_sig_start(sig, provkey, operation))
        return false;
    bool named = mdname != NULL && mdname[0] != '\0';
    if ((named || sig->md == NULL) && !sck_sig_set_md(sig, named ? mdname : fallback))
        return false;
    sig->hash = EVP_MD_CTX_new();
    return sig->hash != NULL && EVP_DigestInit_ex2(sig->hash, sig->md, NULL) == 1;
}

int
sck_sig_update(void *ctx, const unsigned char *data, size_t len)
{
    struct sck_sig *sig = ctx;
    return sig->hash != NULL && EVP_DigestUpdate(sig->hash, data, len) == 1;
}

bool
sck_sig_hash_final(struct sck_sig *sig, uint8_t digest[EVP_MAX_MD_SIZE], size_t *len)
{
    unsigned n = 0;
    if (sig->hash == NULL || EVP_DigestFinal_ex(sig->hash, digest, &n) != 1)
        return false;
    *len = n;
    return true;
}

size_t
sck_sig_max_len(const struct sck_sig *sig)
{
    EVP_PKEY *evp = sig->key != NULL ? sck_pkey_evp(sig->key) : NULL;
    int n = evp != NULL ? EVP_PKEY_get_size(evp) : 0;
    if (n > 0)
        return (size_t)n;
    (void)sck_sig_refuse(sig, SCK_E_USAGE, "no key was set");
    return 0;
}

bool
sck_sig_get_common(struct sck_sig *sig, OSSL_PARAM params[])
{
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST);
    if (p != NULL && !OSSL_PARAM_set_utf8_string(p, sig->md != NULL ? EVP_MD_get0_name(sig->md) : ""))
        return false;
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST_SIZE);
    return p == NULL || OSSL_PARAM_set_size_t(p, sig->md != NULL ? (size_t)EVP_MD_get_size(sig->md) : 0);
}

/* "digest": not while a message is being hashed with another one. */
bool
sck_sig_set_common(struct sck_sig *sig, const OSSL_PARAM params[])
{
    const OSSL_PARAM *p = params != NULL ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST) : NULL;
    const char *name = NULL;
    if (p == NULL)
        return true;
    if (!OSSL_PARAM_get_utf8_string_ptr(p, &name))
        return false;
    if (sig->hash != NULL && sig->md != NULL)
        return EVP_MD_is_a(sig->md, name) || sck_sig_refuse(sig, SCK_E_STATE, "the digest was chosen already");
    return sck_sig_set_md(sig, name);
}

bool
sck_sig_put_algorithm_id(OSSL_PARAM *p, const void *x509_algor)
{
    unsigned char *der = NULL;
    int len = i2d_X509_ALGOR(x509_algor, &der);
    if (len <= 0)
        return false;
    int ok = OSSL_PARAM_set_octet_string(p, der, (size_t)len);
    OPENSSL_free(der);
    return ok != 0;
}

EVP_PKEY_CTX *
sck_sig_evp(const struct sck_sig *sig, int operation)
{
    EVP_PKEY *evp = sck_pkey_evp(sig->key);
    EVP_PKEY_CTX *ctx = evp != NULL ? EVP_PKEY_CTX_new_from_pkey(sck_libctx(), evp, NULL) : NULL;
    int ok = 0;
    if (ctx != NULL && operation == EVP_PKEY_OP_SIGN)
        ok = EVP_PKEY_sign_init(ctx);
    else if (ctx != NULL && operation == EVP_PKEY_OP_VERIFYRECOVER)
        ok = EVP_PKEY_verify_recover_init(ctx);
    else if (ctx != NULL)
        ok = EVP_PKEY_verify_init(ctx);
    if (ok == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

bool
sck_sig_token(struct sck_sig *sig, enum sck_sign_mech mech, const struct sck_pss *pss, struct sck_bytes in,
              unsigned char *out, size_t cap, size_t *out_len)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_ukey *ukey = NULL;
    sck_queue_keep();
    enum sck_code rc = sck_pkey_open(sig->key, &ukey, &err);
    if (rc == SCK_OK)
        rc = sck_ukey_sign(ukey, mech, pss, in.data, in.len, out, cap, out_len, &err);
    sck_queue_restore();
    if (rc != SCK_OK)
        SCK_RAISE(sig->prov, &err);
    return rc == SCK_OK;
}

int
sck_sig_get_md_params(void *ctx, OSSL_PARAM params[])
{
    struct sck_sig *sig = ctx;
    return sig->hash != NULL && EVP_MD_CTX_get_params(sig->hash, params) == 1;
}

const OSSL_PARAM *
sck_sig_gettable_md_params(void *ctx)
{
    const struct sck_sig *sig = ctx;
    return sig->md != NULL ? EVP_MD_gettable_ctx_params(sig->md) : NULL;
}

int
sck_sig_set_md_params(void *ctx, const OSSL_PARAM params[])
{
    struct sck_sig *sig = ctx;
    return sig->hash != NULL && EVP_MD_CTX_set_params(sig->hash, params) == 1;
}

const OSSL_PARAM *
sck_sig_settable_md_params(void *ctx)
{
    const struct sck_sig *sig = ctx;
    return sig->md != NULL ? EVP_MD_settable_ctx_params(sig->md) : NULL;
}
