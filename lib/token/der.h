/* SPDX-License-Identifier: MIT */
/* The few DER structures between PKCS#11's raw values and everybody else.  Pure. */
#ifndef SCK_TOKEN_DER_H
#define SCK_TOKEN_DER_H

#include "lib/base/bytes.h"

/* ECDSA-Sig-Value (RFC 3279 section 2.2.3) from r ‖ s, each `len / 2` bytes.  0 when `cap` does not hold it. */
size_t sck_der_ecdsa(const uint8_t *raw, size_t len, uint8_t *out, size_t cap);

/* SubjectPublicKeyInfo of a named curve (RFC 5480); `params` is the curve's DER OID, `point` uncompressed. */
void sck_der_spki_ec(struct sck_buf *out, const uint8_t *params, size_t params_len, const uint8_t *point,
                     size_t point_len);
/* SubjectPublicKeyInfo of RSA (RFC 8017 appendix A.1.1); big-endian numbers. */
void sck_der_spki_rsa(struct sck_buf *out, const uint8_t *modulus, size_t modulus_len, const uint8_t *exponent,
                      size_t exponent_len);
/* SubjectPublicKeyInfo of Ed25519 (RFC 8410 section 4). */
void sck_der_spki_ed25519(struct sck_buf *out, const uint8_t point[32]);

/* CKA_EC_POINT is a DER OCTET STRING (PKCS#11 v2.40 section 2.3.3); some tokens give the bare point of `want` bytes. */
bool sck_der_ec_point(const uint8_t *in, size_t len, size_t want, const uint8_t **point);

#endif
