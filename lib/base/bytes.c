/* SPDX-License-Identifier: MIT */
#include "lib/base/bytes.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
sck_buf_init(struct sck_buf *buf, size_t max_len)
{
    *buf = (struct sck_buf){.max_len = max_len};
}

void
sck_buf_clear(struct sck_buf *buf)
{
    if (buf->data != NULL) {
        OPENSSL_cleanse(buf->data, buf->cap);
        free(buf->data);
    }
    *buf = (struct sck_buf){.max_len = buf->max_len};
}

void
sck_buf_reset(struct sck_buf *buf)
{
    buf->len = 0;
    buf->failed = buf->too_large = false;
}

/* Make room for `more` bytes and a NUL behind them.  realloc is not used: it would leave copies behind. */
static bool
reserve(struct sck_buf *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (more > buf->max_len || buf->len > buf->max_len - more) {
        buf->failed = buf->too_large = true;
        return false;
    }
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < need)
        cap *= 2;
    uint8_t *data = malloc(cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->len);
        OPENSSL_cleanse(buf->data, buf->cap);
        free(buf->data);
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

uint8_t *
sck_buf_grow(struct sck_buf *buf, size_t len)
{
    if (!reserve(buf, len))
        return NULL;
    uint8_t *at = buf->data + buf->len;
    memset(at, 0, len);
    buf->len += len;
    return at;
}

void
sck_buf_put(struct sck_buf *buf, const void *data, size_t len)
{
    if (len == 0 || !reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void
sck_buf_put_str(struct sck_buf *buf, const char *text)
{
    sck_buf_put(buf, text, strlen(text));
}

void
sck_buf_put_u8(struct sck_buf *buf, uint8_t v)
{
    sck_buf_put(buf, &v, 1);
}

void
sck_buf_put_u16(struct sck_buf *buf, uint16_t v)
{
    uint8_t b[2];
    sck_be16(b, v);
    sck_buf_put(buf, b, sizeof b);
}

void
sck_buf_put_u32(struct sck_buf *buf, uint32_t v)
{
    uint8_t b[4];
    sck_be32(b, v);
    sck_buf_put(buf, b, sizeof b);
}

void
sck_buf_put_u64(struct sck_buf *buf, uint64_t v)
{
    uint8_t b[8];
    sck_be64(b, v);
    sck_buf_put(buf, b, sizeof b);
}

void
sck_buf_printf(struct sck_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n > 0 && reserve(buf, (size_t)n)) {
        (void)vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

const char *
sck_buf_str(struct sck_buf *buf)
{
    if (!reserve(buf, 0))
        return "";
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

enum sck_code
sck_buf_check(const struct sck_buf *buf, const char *what, struct sck_err *err)
{
    if (!buf->failed)
        return SCK_OK;
    if (!buf->too_large)
        return sck_fail(err, SCK_E_MEMORY, "%s: out of memory", what);
    return sck_fail(err, SCK_E_USAGE, "%s is larger than %zu bytes", what, buf->max_len);
}

const uint8_t *
sck_read(struct sck_reader *r, size_t len)
{
    if (r->failed || len > r->left) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->p;
    r->p += len;
    r->left -= len;
    return at;
}

static uint64_t
read_be(struct sck_reader *r, size_t len)
{
    const uint8_t *p = sck_read(r, len);
    uint64_t v = 0;
    for (size_t i = 0; p != NULL && i < len; i++)
        v = v << 8 | p[i];
    return v;
}

uint8_t
sck_read_u8(struct sck_reader *r)
{
    return (uint8_t)read_be(r, 1);
}

uint16_t
sck_read_u16(struct sck_reader *r)
{
    return (uint16_t)read_be(r, 2);
}

uint32_t
sck_read_u32(struct sck_reader *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t
sck_read_u64(struct sck_reader *r)
{
    return read_be(r, 8);
}

bool
sck_reader_is_done(const struct sck_reader *r)
{
    return !r->failed && r->left == 0;
}

void
sck_be16(uint8_t out[2], uint16_t v)
{
    out[0] = (uint8_t)(v >> 8);
    out[1] = (uint8_t)v;
}

void
sck_be32(uint8_t out[4], uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

void
sck_be64(uint8_t out[8], uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

uint32_t
sck_be32_get(const uint8_t in[4])
{
    struct sck_reader r = sck_reader_from(in, 4);
    return sck_read_u32(&r);
}

uint64_t
sck_be64_get(const uint8_t in[8])
{
    struct sck_reader r = sck_reader_from(in, 8);
    return sck_read_u64(&r);
}

bool
sck_bytes_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}
