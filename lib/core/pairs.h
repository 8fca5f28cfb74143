/* SPDX-License-Identifier: MIT */
/*
 * Canonical pairs: what every encryption context, a caller's additional data and the AAD stored in files are
 * encoded as.  Pure.  Format: docs/formats.md.
 */
#ifndef SCK_CORE_PAIRS_H
#define SCK_CORE_PAIRS_H

#include "lib/base/bytes.h"

#define SCK_PAIRS_MAX 32
#define SCK_PAIRS_BYTES_MAX 8192    /* of the whole encoding */
#define SCK_PAIR_KEY_MAX 32

/* Borrowed. */
struct sck_pair {
    struct sck_bytes key;   /* [a-z][a-z0-9_]{0,31} */
    struct sck_bytes value; /* UTF-8 without control characters; may be empty */
};

/* True for [a-z][a-z0-9_]{0,31}. */
bool sck_pair_key_is_valid(const char *key, size_t len);

/*
 * Append u16 count, then per pair u16 length ‖ key ‖ u16 length ‖ value, keys sorted bytewise whatever order
 * they come in.  SCK_E_CONTEXT: a malformed or repeated key, a value that is no clean UTF-8, more than 32 pairs
 * or 8 KiB.  SCK_E_MEMORY, SCK_E_USAGE: `out` is full.
 */
SCK_MUST_CHECK enum sck_code sck_pairs_encode(const struct sck_pair *pairs, size_t count, struct sck_buf *out,
                                              struct sck_err *err);
/* Strictly the opposite; the pairs borrow from `data`, in canonical order.  SCK_E_CONTEXT. */
SCK_MUST_CHECK enum sck_code sck_pairs_decode(const uint8_t *data, size_t len, struct sck_pair pairs[SCK_PAIRS_MAX],
                                              size_t *count, struct sck_err *err);

#endif
