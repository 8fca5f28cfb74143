/* SPDX-License-Identifier: MIT */
/* Digests, computed here. */
#ifndef SCK_PKCS11_DIGEST_H
#define SCK_PKCS11_DIGEST_H

struct sck_p11_digest;

/* Sets *digest to NULL.  NULL-safe. */
void sck_p11_digest_free(struct sck_p11_digest **digest);

#endif
