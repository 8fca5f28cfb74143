/* SPDX-License-Identifier: MIT */
/*
 * What the signature operations have in common.  Messages are hashed here, in software, and go to the token as one
 * digest; so a context in flight can be copied.  Verification, and software keys, are left to EVP in our own context.
 */
#ifndef SCK_PROVIDER_SIGNATURE_H
#define SCK_PROVIDER_SIGNATURE_H

#include "provider/pkey.h"

/*
 * Salt lengths that are no numbers of bytes: OpenSSL's RSA_PSS_SALTLEN_ values, and -4 (RSA_PSS_SALTLEN_AUTO_DIGEST_MAX
 * since 3.1): as long as the digest or as fits (FIPS 186-5 section 5.4) when signing, any when verifying.
 */
#define SCK_SALT_DEFAULT (-4)

struct sck_sig {
    struct sck_prov *prov;
    struct sck_pkey *key;       /* counted */
    int operation;              /* EVP_PKEY_OP_ */
    EVP_MD *md;                 /* NULL: none chosen */
    EVP_MD_CTX *hash;           /* digest-sign and digest-verify */
    int padding;                /* RSA_..._PADDING */
    int salt_len;               /* RSA_PSS_SALTLEN_ or bytes */
    EVP_MD *mgf1_md;            /* NULL: as md */
};

OSSL_FUNC_signature_newctx_fn sck_sig_newctx;
OSSL_FUNC_signature_freectx_fn sck_sig_freectx;
OSSL_FUNC_signature_dupctx_fn sck_sig_dupctx;
OSSL_FUNC_signature_digest_sign_update_fn sck_sig_update;
OSSL_FUNC_signature_get_ctx_md_params_fn sck_sig_get_md_params;
OSSL_FUNC_signature_gettable_ctx_md_params_fn sck_sig_gettable_md_params;
OSSL_FUNC_signature_set_ctx_md_params_fn sck_sig_set_md_params;
OSSL_FUNC_signature_settable_ctx_md_params_fn sck_sig_settable_md_params;

/* Take a key (NULL: keep the one there is) for an operation. */
bool sck_sig_start(struct sck_sig *sig, void *provkey, int operation);
/* The same, and begin to hash with `mdname` (NULL or "": the digest set before, else `fallback`). */
bool sck_sig_start_hash(struct sck_sig *sig, void *provkey, int operation, const char *mdname, const char *fallback);
/* The digest of what was hashed. */
bool sck_sig_hash_final(struct sck_sig *sig, uint8_t digest[EVP_MAX_MD_SIZE], size_t *len);
bool sck_sig_set_md(struct sck_sig *sig, const char *mdname);
/* Bytes of the longest signature; 0 after raising an error. */
size_t sck_sig_max_len(const struct sck_sig *sig);
/* "digest" and "digest-size" of get_ctx_params, "digest" of set_ctx_params. */
bool sck_sig_get_common(struct sck_sig *sig, OSSL_PARAM params[]);
bool sck_sig_set_common(struct sck_sig *sig, const OSSL_PARAM params[]);
/* Put an AlgorithmIdentifier (RFC 5280 section 4.1.1.2) into a parameter; `alg` NULL fails. */
bool sck_sig_put_algorithm_id(OSSL_PARAM *p, const void *x509_algor);
/* An EVP context of ours for the key's software or public half, `operation` begun and the digest set. */
EVP_PKEY_CTX *sck_sig_evp(const struct sck_sig *sig, int operation);
/* One token signature. */
bool sck_sig_token(struct sck_sig *sig, enum sck_sign_mech mech, const struct sck_pss *pss, struct sck_bytes in,
                   unsigned char *out, size_t cap, size_t *out_len);
/* Raise SCK_E_USAGE or another code with a text. */
bool sck_sig_refuse(const struct sck_sig *sig, enum sck_code code, const char *text);

#endif
