/* SPDX-License-Identifier: MIT */
/*
 * Requests that two HTTP programs might read differently are refused before their body is read (RFC 9112 sections
 * 3.2, 5, 6 and 11.2).  Pure.
 */
#ifndef SCK_REST_STRICT_H
#define SCK_REST_STRICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was seen of a request's head; start with zeros. */
struct sck_strict {
    unsigned hosts, lengths, encodings, types, api_keys;
    bool bad_name, bad_value, bad_length, bad_encoding;
    uint64_t length;            /* of the body, when `lengths` is 1 and good */
};

/* Look at one header field; `value` may be NULL with length 0. */
void sck_strict_header(struct sck_strict *seen, const char *name, size_t name_len, const char *value,
                       size_t value_len);
/* After the last field: NULL, or the sentence that says what is wrong.  `version` as sent, "HTTP/1.1". */
const char *sck_strict_head(const struct sck_strict *seen, const char *version);
/* True when the head announces a body. */
bool sck_strict_has_body(const struct sck_strict *seen);

/*
 * The request target as sent: NULL, or what is wrong with it.  Only the origin form of RFC 9112 section 3.2.1, its
 * path in RFC 3986's characters, without dot segments, encoded NULs or malformed escapes.
 */
const char *sck_strict_target(const char *target);

/* True for `application/json`, parameters allowed (RFC 9110 section 8.3). */
bool sck_strict_is_json(const char *content_type);
/* True for a request id of ours or a caller's: ^[A-Za-z0-9._-]{1,64}$. */
bool sck_strict_is_request_id(const char *text);

#endif
