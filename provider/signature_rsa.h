/* SPDX-License-Identifier: MIT */
/* Parameters of RSA signatures: padding, salt, mask, algorithm identifier. */
#ifndef SCK_PROVIDER_SIGNATURE_RSA_H
#define SCK_PROVIDER_SIGNATURE_RSA_H

#include "provider/signature.h"

OSSL_FUNC_signature_get_ctx_params_fn sck_rsa_get_ctx_params;
OSSL_FUNC_signature_gettable_ctx_params_fn sck_rsa_gettable_ctx_params;
OSSL_FUNC_signature_set_ctx_params_fn sck_rsa_set_ctx_params;
OSSL_FUNC_signature_settable_ctx_params_fn sck_rsa_settable_ctx_params;

/* Append the DER DigestInfo (RFC 8017 section 9.2 note 1) of a digest.  False when the digest has no identifier. */
bool sck_rsa_digest_info(int md_nid, struct sck_bytes digest, struct sck_buf *out);
/* Length in bytes of the salt of a new signature over a digest of `digest_len` bytes, or -1 after raising an error. */
long sck_rsa_salt_for_signing(const struct sck_sig *sig, size_t digest_len);
/* As sck_sig_evp(), with padding, digests and salt set. */
EVP_PKEY_CTX *sck_rsa_evp(const struct sck_sig *sig, int operation);

#endif
