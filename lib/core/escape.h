/* SPDX-License-Identifier: MIT */
/* Reading percent-escaped text that has one spelling, with messages that say where it is wrong.  Pure. */
#ifndef SCK_CORE_ESCAPE_H
#define SCK_CORE_ESCAPE_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* RFC 3986 section 2.3: ALPHA DIGIT - . _ ~ */
bool sck_is_unreserved(uint8_t c);

/*
 * Undo sck_percent_format() (RFC 3986 section 2.1) into `out`, which takes `cap` bytes and a NUL behind them.
 * `also_raw` lists bytes that may stand unescaped beside the unreserved ones ("" for none).  Refused with `code`
 * and a message that begins with `what` and counts bytes from 1: bytes that must be escaped, escapes of
 * unreserved bytes, lower-case hex, broken escapes, more than `cap` bytes.
 */
SCK_MUST_CHECK enum sck_code sck_unescape(const char *text, size_t len, const char *also_raw, enum sck_code code,
                                          const char *what, char *out, size_t cap, size_t *out_len,
                                          struct sck_err *err);

#endif
