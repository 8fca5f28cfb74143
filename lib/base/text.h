/* SPDX-License-Identifier: MIT */
/* Strict text: what is written has one spelling, and only that spelling is read.  Pure. */
#ifndef SCK_BASE_TEXT_H
#define SCK_BASE_TEXT_H

#include "lib/base/bytes.h"

/* Lower-case hex of `len` bytes and a NUL into `out` (2 * len + 1 bytes). */
void sck_hex_format(const uint8_t *data, size_t len, char *out);
/* Exactly `len` bytes from 2 * len lower-case hex digits.  False, with `out` undefined, for anything else. */
bool sck_hex_parse(const char *text, size_t text_len, uint8_t *out, size_t len);

/* Base64, RFC 4648 section 4, with padding, appended to `out`. */
void sck_base64_format(const uint8_t *data, size_t len, struct sck_buf *out);
/*
 * Base64 from `text`: standard or url-safe alphabet (not mixed), padded or not; no white space, no bits
 * set behind the last byte (RFC 4648 section 3.5).  Appends to `out`; false when malformed.
 */
bool sck_base64_parse(const char *text, size_t text_len, struct sck_buf *out);

/* Lower-case base32 with the extended-hex alphabet, RFC 4648 section 7, no padding, and a NUL. */
void sck_base32hex_format(const uint8_t *data, size_t len, char *out);
/* Bytes that sck_base32hex_format() writes for `len` bytes, without the NUL. */
size_t sck_base32hex_len(size_t len);

/* True for well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms), no U+0000..001F, 007F, 0080..009F. */
bool sck_utf8_is_clean(const uint8_t *data, size_t len);

/* Append `data` with every byte but RFC 3986 unreserved (ALPHA DIGIT - . _ ~) as %XX, upper-case hex. */
void sck_percent_format(const uint8_t *data, size_t len, struct sck_buf *out);
/* Undo sck_percent_format().  False for an encoded unreserved byte, lower-case hex, or any other byte unescaped. */
bool sck_percent_parse(const char *text, size_t text_len, struct sck_buf *out);

/* A decimal number: digits only, no leading zero but "0" itself, at most `max`. */
bool sck_u64_parse(const char *text, size_t text_len, uint64_t max, uint64_t *out);

#define SCK_TIME_TEXT 21  /* "YYYY-MM-DDTHH:MM:SSZ" and a NUL */
/* RFC 3339 in UTC with seconds from seconds since 1970-01-01; years 1970 to 9999, else "". */
void sck_time_format(int64_t unix_s, char out[SCK_TIME_TEXT]);
/* Exactly that form; false for any other text or an impossible date. */
bool sck_time_parse(const char *text, size_t text_len, int64_t *unix_s);

#define SCK_UUID_TEXT 37
/* Lower-case 8-4-4-4-12 form, RFC 9562 section 4, and a NUL. */
void sck_uuid_format(const uint8_t uuid[16], char out[SCK_UUID_TEXT]);
/* Exactly that form; false for any other text. */
bool sck_uuid_parse(const char *text, size_t text_len, uint8_t uuid[16]);

/* Append `text` to `out` with control bytes, quotes and backslash as \xNN, for messages and logs. */
void sck_text_escape(const char *text, size_t len, struct sck_buf *out);

#endif
