/* SPDX-License-Identifier: MIT */
/* Fixed-width texts of PKCS#11's info structures. */
#ifndef SCK_PKCS11_TEXT_H
#define SCK_PKCS11_TEXT_H

#include "pkcs11/pkcs11_v3.h"

/* `text` into `len` bytes, filled up with blanks, no NUL (PKCS#11 2.40 section 3.1). */
void sck_p11_pad(unsigned char *out, size_t len, const char *text);
/* Major and minor version of this package. */
CK_VERSION sck_p11_version(void);

#endif
