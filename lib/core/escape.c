/* SPDX-License-Identifier: MIT */
#include "lib/core/escape.h"

#include <string.h>

bool
sck_is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* Value of an upper-case hex digit; 16 for a lower-case one; 17 for any other byte. */
static unsigned
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return c >= 'a' && c <= 'f' ? 16 : 17;
}

/* The escape at text[at]; its byte goes to *byte. */
static enum sck_code
read_escape(const char *text, size_t len, size_t at, enum sck_code code, const char *what, char *byte,
            struct sck_err *err)
{
    unsigned hi = len - at >= 3 ? hex_value(text[at + 1]) : 17;
    unsigned lo = len - at >= 3 ? hex_value(text[at + 2]) : 17;
    if (hi > 16 || lo > 16)
        return sck_fail(err, code, "%s: byte %zu: \"%%\" is not followed by two hex digits", what, at + 1);
    if (hi == 16 || lo == 16)
        return sck_fail(err, code, "%s: byte %zu: hex digits are written in upper case", what, at + 1);
    *byte = (char)(uint8_t)(hi << 4 | lo);
    if (sck_is_unreserved((uint8_t)*byte))
        return sck_fail(err, code, "%s: byte %zu: this character is written as it is, not escaped", what, at + 1);
    return SCK_OK;
}

enum sck_code
sck_unescape(const char *text, size_t len, const char *also_raw, enum sck_code code, const char *what, char *out,
             size_t cap, size_t *out_len, struct sck_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            enum sck_code rc = read_escape(text, len, i, code, what, &c, err);
            if (rc != SCK_OK)
                return rc;
            i += 2;
        } else if (!sck_is_unreserved((uint8_t)c) && (c == '\0' || strchr(also_raw, c) == NULL)) {
            return sck_fail(err, code, "%s: byte %zu must be written %%%02X", what, i + 1, (unsigned)(uint8_t)c);
        }
        if (n == cap)
            return sck_fail(err, code, "%s has more than %zu bytes", what, cap);
        out[n++] = c;
    }
    out[n] = '\0';
    *out_len = n;
    return SCK_OK;
}
