/* SPDX-License-Identifier: MIT */
#include "rest/aad.h"

#include <stdlib.h>
#include <string.h>

#define BLOB_VERSION 1

static bool
is_context_key(const char *key)
{
    size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return key[0] >= 'a' && key[0] <= 'z' && len <= 32 && key[len] == '\0';
}

static int
compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct sck_rest_pair *)a)->key, ((const struct sck_rest_pair *)b)->key);
}

static enum sck_code
put_context(struct sck_rest_pair *pairs, size_t count, struct sck_buf *out, struct sck_err *err)
{
    if (count > SCK_REST_CONTEXT_PAIRS_MAX)
        return sck_fail(err, SCK_E_USAGE, "context has more than %d members", SCK_REST_CONTEXT_PAIRS_MAX);
    if (count > 0)
        qsort(pairs, count, sizeof pairs[0], compare_pairs);
    size_t start = out->len;
    sck_buf_put_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        if (!is_context_key(pairs[i].key))
            return sck_fail(err, SCK_E_USAGE, "The names in context must match [a-z][a-z0-9_]{0,31}");
        if (i > 0 && strcmp(pairs[i - 1].key, pairs[i].key) == 0)
            return sck_fail(err, SCK_E_USAGE, "context has a member twice");
        if (pairs[i].value.len > SCK_REST_CONTEXT_BYTES_MAX || out->len - start > SCK_REST_CONTEXT_BYTES_MAX)
            return sck_fail(err, SCK_E_USAGE, "context is longer than %d bytes", SCK_REST_CONTEXT_BYTES_MAX);
        sck_buf_put_u16(out, (uint16_t)strlen(pairs[i].key));
        sck_buf_put_str(out, pairs[i].key);
        sck_buf_put_u16(out, (uint16_t)pairs[i].value.len);
        sck_buf_put(out, pairs[i].value.data, pairs[i].value.len);
    }
    if (out->failed || out->len - start > SCK_REST_CONTEXT_BYTES_MAX)
        return sck_fail(err, SCK_E_USAGE, "context is longer than %d bytes", SCK_REST_CONTEXT_BYTES_MAX);
    return SCK_OK;
}

enum sck_code
sck_rest_aad(const char *key_id, uint32_t version, struct sck_rest_pair *pairs, size_t count, struct sck_buf *out,
             struct sck_err *err)
{
    sck_buf_put(out, "scopekey-rest/v1", 16);
    sck_buf_put_u16(out, (uint16_t)strlen(key_id));
    sck_buf_put_str(out, key_id);
    sck_buf_put_u32(out, version);
    return put_context(pairs, count, out, err);
}

void
sck_rest_blob_encode(uint32_t version, const uint8_t nonce[SCK_GCM_NONCE_LEN], const uint8_t *sealed, size_t len,
                     struct sck_buf *out)
{
    sck_buf_put_u8(out, BLOB_VERSION);
    sck_buf_put_u32(out, version);
    sck_buf_put(out, nonce, SCK_GCM_NONCE_LEN);
    sck_buf_put(out, sealed, len);
}

bool
sck_rest_blob_decode(const uint8_t *blob, size_t len, uint32_t *version, struct sck_bytes *nonce,
                     struct sck_bytes *sealed)
{
    struct sck_reader r = sck_reader_from(blob, len);
    uint8_t format = sck_read_u8(&r);
    *version = sck_read_u32(&r);
    *nonce = (struct sck_bytes){sck_read(&r, SCK_GCM_NONCE_LEN), SCK_GCM_NONCE_LEN};
    *sealed = (struct sck_bytes){r.p, r.left};
    return !r.failed && format == BLOB_VERSION;
}
