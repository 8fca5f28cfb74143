/* SPDX-License-Identifier: MIT */
/*
 * The few primitives Scopekey computes itself, all OpenSSL's, fetched once in an OSSL_LIB_CTX of our own
 * with the default provider only, so that nothing here ever touches the application's default context
 * (or comes back into our own provider).
 */
#ifndef SCK_BASE_CRYPTO_H
#define SCK_BASE_CRYPTO_H

#include "lib/base/bytes.h"
#include "lib/base/secret.h"

#include <openssl/types.h>

#define SCK_SHA256_LEN 32
#define SCK_GCM_NONCE_LEN 12
#define SCK_GCM_TAG_LEN 16

/* Our own library context.  Made on first use, never freed; NULL only when OpenSSL cannot be set up at all. */
OSSL_LIB_CTX *sck_libctx(void);

/* Prefetched algorithms of sck_libctx(), borrowed; NULL when OpenSSL cannot be set up. */
const EVP_CIPHER *sck_aes_256_gcm(void);
const EVP_MD *sck_md_sha256(void);

/* `len` bytes from OpenSSL's private DRBG (SP 800-90A).  SCK_E_INTERNAL when it cannot be seeded. */
SCK_MUST_CHECK enum sck_code sck_random(void *out, size_t len, struct sck_err *err);

/* SHA-256, FIPS 180-4. */
SCK_MUST_CHECK enum sck_code sck_sha256(const void *data, size_t len, uint8_t out[SCK_SHA256_LEN],
                                        struct sck_err *err);
/* SHA-256 over parts put one behind the other. */
SCK_MUST_CHECK enum sck_code sck_sha256_parts(const struct sck_bytes *parts, size_t count,
                                              uint8_t out[SCK_SHA256_LEN], struct sck_err *err);
/* HMAC-SHA-256, RFC 2104 / FIPS 198-1. */
SCK_MUST_CHECK enum sck_code sck_hmac_sha256(const uint8_t *key, size_t key_len, const void *data, size_t len,
                                             uint8_t out[SCK_SHA256_LEN], struct sck_err *err);
/* HKDF-SHA-256 (extract and expand), RFC 5869 section 2; out_len at most 8160. */
SCK_MUST_CHECK enum sck_code sck_hkdf_sha256(const uint8_t *key, size_t key_len, const uint8_t *salt,
                                             size_t salt_len, const uint8_t *info, size_t info_len, uint8_t *out,
                                             size_t out_len, struct sck_err *err);
/* HKDF-Expand with SHA-384, RFC 5869 section 2.3; out_len at most 12240. */
SCK_MUST_CHECK enum sck_code sck_hkdf_expand_sha384(const uint8_t *key, size_t key_len, const uint8_t *info,
                                                    size_t info_len, uint8_t *out, size_t out_len,
                                                    struct sck_err *err);

/* AES-256-GCM, SP 800-38D, with a 96-bit nonce and a 128-bit tag behind the ciphertext (len + 16 bytes out). */
SCK_MUST_CHECK enum sck_code sck_gcm_seal(const uint8_t key[32], const uint8_t nonce[SCK_GCM_NONCE_LEN],
                                          const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
                                          uint8_t *out, struct sck_err *err);
/*
 * The opposite: `len` bytes of ciphertext and tag in, len - 16 bytes out.  On SCK_E_AUTHENTIC `out` is wiped.
 */
SCK_MUST_CHECK enum sck_code sck_gcm_open(const uint8_t key[32], const uint8_t nonce[SCK_GCM_NONCE_LEN],
                                          const uint8_t *aad, size_t aad_len, const uint8_t *sealed, size_t len,
                                          uint8_t *out, struct sck_err *err);

/*
 * Verify an ECDSA P-256 / SHA-256 signature (DER) over `data` with a public key given as SPKI DER.
 * SCK_E_AUTHENTIC when it does not verify, SCK_E_USAGE when the key cannot be read.
 */
SCK_MUST_CHECK enum sck_code sck_ecdsa_verify(const uint8_t *spki, size_t spki_len, const uint8_t *data,
                                              size_t len, const uint8_t *sig, size_t sig_len,
                                              struct sck_err *err);

/* CRC-32C (Castagnoli), RFC 3720 appendix B.4, of a whole buffer. */
uint32_t sck_crc32c(const uint8_t *data, size_t len);

#endif
