/* SPDX-License-Identifier: MIT */
/* Growable byte buffers that are born with a maximum, and a bounds-checked reader.  Integers are big-endian. */
#ifndef SCK_BASE_BYTES_H
#define SCK_BASE_BYTES_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes.  `data` may be NULL only when `len` is 0. */
struct sck_bytes {
    const uint8_t *data;
    size_t len;
};

/*
 * A buffer for bytes that are no secret.  Appending past `max_len` or out of memory sets `failed`
 * and later appends do nothing, so a whole encoding is checked once at its end by sck_buf_check().
 */
struct sck_buf {
    uint8_t *data;      /* owned */
    size_t len;
    size_t cap;
    size_t max_len;     /* bytes */
    bool failed;
    bool too_large;     /* it failed because the maximum would have been passed */
};

/* Start an empty buffer that may grow to `max_len` bytes.  Release with sck_buf_clear(). */
void sck_buf_init(struct sck_buf *buf, size_t max_len);
/* Wipe, free and empty; the maximum stays.  Safe on a zeroed struct. */
void sck_buf_clear(struct sck_buf *buf);
/* Forget the contents (and a failure) but keep the memory. */
void sck_buf_reset(struct sck_buf *buf);

void sck_buf_put(struct sck_buf *buf, const void *data, size_t len);
void sck_buf_put_str(struct sck_buf *buf, const char *text);
void sck_buf_put_u8(struct sck_buf *buf, uint8_t v);
void sck_buf_put_u16(struct sck_buf *buf, uint16_t v);
void sck_buf_put_u32(struct sck_buf *buf, uint32_t v);
void sck_buf_put_u64(struct sck_buf *buf, uint64_t v);
void sck_buf_printf(struct sck_buf *buf, const char *fmt, ...) SCK_PRINTF(2, 3);
/* Append `len` zero bytes and return a pointer to them (valid until the next append), or NULL after a failure. */
uint8_t *sck_buf_grow(struct sck_buf *buf, size_t len);
/* Make the contents a C string without counting the NUL.  Returns "" after a failure; borrowed. */
const char *sck_buf_str(struct sck_buf *buf);

/* SCK_OK, SCK_E_MEMORY, or SCK_E_USAGE when the maximum would have been passed; names `what`. */
SCK_MUST_CHECK enum sck_code sck_buf_check(const struct sck_buf *buf, const char *what, struct sck_err *err);

static inline struct sck_bytes
sck_buf_bytes(const struct sck_buf *buf)
{
    return (struct sck_bytes){buf->data, buf->len};
}

/* Reads fields off borrowed bytes.  A read past the end sets `failed` and yields zero or NULL. */
struct sck_reader {
    const uint8_t *p;
    size_t left;
    bool failed;
};

static inline struct sck_reader
sck_reader_from(const void *data, size_t len)
{
    return (struct sck_reader){(const uint8_t *)data, len, false};
}

/* Borrow the next `len` bytes; NULL when there are fewer. */
const uint8_t *sck_read(struct sck_reader *r, size_t len);
uint8_t sck_read_u8(struct sck_reader *r);
uint16_t sck_read_u16(struct sck_reader *r);
uint32_t sck_read_u32(struct sck_reader *r);
uint64_t sck_read_u64(struct sck_reader *r);
/* True when nothing failed and nothing is left. */
bool sck_reader_is_done(const struct sck_reader *r);

void sck_be16(uint8_t out[2], uint16_t v);
void sck_be32(uint8_t out[4], uint32_t v);
void sck_be64(uint8_t out[8], uint64_t v);
uint32_t sck_be32_get(const uint8_t in[4]);
uint64_t sck_be64_get(const uint8_t in[8]);

/* Compare public bytes; true when equal.  For secrets see sck_ct_equal(). */
bool sck_bytes_equal(const void *a, size_t a_len, const void *b, size_t b_len);

#endif
