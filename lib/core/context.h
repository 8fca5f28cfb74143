/* SPDX-License-Identifier: MIT */
/* The canonical encryption context of a wrapped DEK.  Pure.  Format: docs/formats.md. */
#ifndef SCK_CORE_CONTEXT_H
#define SCK_CORE_CONTEXT_H

#include "lib/base/crypto.h"
#include "lib/core/scope.h"

#define SCK_CONTEXT_PAIRS_MAX 32
#define SCK_CONTEXT_BYTES_MAX 8192
#define SCK_CONTEXT_KEY_MAX 32
#define SCK_CONTEXT_EXTRA_MAX 25    /* callers' pairs: seven are always there */

enum sck_purpose {
    SCK_PURPOSE_FILE = 1,
    SCK_PURPOSE_MESSAGE,
    SCK_PURPOSE_SEAL,
    SCK_PURPOSE_ENVELOPE,
    SCK_PURPOSE_BRANCH
};

const char *sck_purpose_name(enum sck_purpose purpose);     /* "file" ... */
enum sck_purpose sck_purpose_by_name(const char *name);     /* 0 when unknown */

/* What every context holds. */
struct sck_context {
    struct sck_scope scope;
    uint32_t generation;        /* from 1 */
    enum sck_purpose purpose;
    uint8_t id[16];             /* the record's UUID */
    int64_t created_s;          /* seconds since 1970 */
    char env[16];               /* "development", "staging" or "production" */
    size_t extra_count;         /* callers' pairs, kept in canonical order by sck_context_add() */
    struct sck_context_pair {
        char key[SCK_CONTEXT_KEY_MAX + 1];
        uint8_t *value;         /* owned; may be empty */
        size_t value_len;
    } extra[SCK_CONTEXT_EXTRA_MAX];
};

/* Zero-fill.  Release with sck_context_clear(). */
void sck_context_init(struct sck_context *ctx);
void sck_context_clear(struct sck_context *ctx);
/*
 * Add a caller's pair (copied).  SCK_E_CONTEXT: name not x_[a-z0-9_]{1,30}, repeated, more than 25, or a value that
 * is not UTF-8 without control characters or over 8 KiB.  SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_context_add(struct sck_context *ctx, const char *key, const void *value,
                                             size_t value_len, struct sck_err *err);
/*
 * Canonical bytes: u16 count, then u16 length ‖ key ‖ u16 length ‖ value, keys sorted bytewise.
 * SCK_E_CONTEXT: a field is missing or out of range, or over 8 KiB.  SCK_E_MEMORY, SCK_E_USAGE: `out` is full.
 */
SCK_MUST_CHECK enum sck_code sck_context_encode(const struct sck_context *ctx, struct sck_buf *out,
                                                struct sck_err *err);
/* Strictly the opposite: only bytes that sck_context_encode() could have written.  SCK_E_CONTEXT. */
SCK_MUST_CHECK enum sck_code sck_context_decode(const uint8_t *data, size_t len, struct sck_context *out,
                                                struct sck_err *err);
/* SHA-256 of the canonical bytes. */
SCK_MUST_CHECK enum sck_code sck_context_hash(const struct sck_context *ctx, uint8_t out[SCK_SHA256_LEN],
                                              struct sck_err *err);
/*
 * The text form for people: "subjectId=…;timestamp=…;version=…;env=…;generation=…;id=…;purpose=…" (or clientId,
 * fileId, systemId for other kinds of scopes; timestamp is `created`, version is the format version) and the
 * callers' pairs in canonical order, values percent-encoded but for unreserved bytes.
 */
SCK_MUST_CHECK enum sck_code sck_context_format(const struct sck_context *ctx, struct sck_buf *out,
                                                struct sck_err *err);
/* Strictly the opposite.  SCK_E_CONTEXT. */
SCK_MUST_CHECK enum sck_code sck_context_parse(const char *text, size_t text_len, struct sck_context *out,
                                               struct sck_err *err);

#endif
