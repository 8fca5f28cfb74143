/* SPDX-License-Identifier: MIT */
/* A public key taken apart, without asking any library what it thinks of it.  Pure. */
#ifndef SCK_PKCS11_SPKI_H
#define SCK_PKCS11_SPKI_H

#include "lib/base/bytes.h"

/* All borrowed from the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
struct sck_p11_spki {
    struct sck_bytes algorithm; /* the OID, with tag and length */
    struct sck_bytes parameters; /* with tag and length; empty when there are none */
    struct sck_bytes key; /* of the bit string: a point, a raw key, or an RSAPublicKey */
    struct sck_bytes modulus; /* RSA (RFC 8017 appendix A.1.1), without leading zeros; else empty */
    struct sck_bytes exponent;
};

/* False when `der` is none, or has something behind it. */
bool sck_p11_spki_parse(const uint8_t *der, size_t len, struct sck_p11_spki *out);

/* Append a DER OCTET STRING around `data` (at most 65535 bytes). */
void sck_p11_octet_string(struct sck_bytes data, struct sck_buf *out);

#endif
