/* SPDX-License-Identifier: MIT */
#include "pkcs11/text.h"

#include <stdlib.h>
#include <string.h>

void
sck_p11_pad(unsigned char *out, size_t len, const char *text)
{
    size_t text_len = strlen(text);
    memset(out, ' ', len);
    memcpy(out, text, text_len < len ? text_len : len);
}

CK_VERSION
sck_p11_version(void)
{
    char *end = NULL;
    unsigned long major = strtoul(PACKAGE_VERSION, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return (CK_VERSION){(unsigned char)major, (unsigned char)minor};
}
