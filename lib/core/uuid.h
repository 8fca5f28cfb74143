/* SPDX-License-Identifier: MIT */
/* UUIDv7 and the ids made from it.  Pure: time and randomness are passed in. */
#ifndef SCK_CORE_UUID_H
#define SCK_CORE_UUID_H

#include "lib/base/bytes.h"

#define SCK_UUID_RANDOM 10
#define SCK_KEY_ID_MAX 128  /* bytes of a key_id */

/* RFC 9562 section 5.7: 48 bits of Unix milliseconds, version 7, 74 random bits. */
void sck_uuid7(int64_t unix_ms, const uint8_t random[SCK_UUID_RANDOM], uint8_t out[16]);
/* "key-" or "keypair-" and the UUID in lower-case base32hex (26 characters), with NUL. */
void sck_key_id_format(const uint8_t uuid[16], bool is_pair, char out[SCK_KEY_ID_MAX + 1]);
/* True for ^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$. */
bool sck_key_id_is_valid(const char *text, size_t len);

#endif
