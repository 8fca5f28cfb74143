/* SPDX-License-Identifier: MIT */
#include "rest/aad.h"

#include <string.h>

#define BLOB_VERSION 1

enum sck_code
sck_rest_aad(const char *key_id, uint32_t version, const struct sck_pair *pairs, size_t count, struct sck_buf *out,
             struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    sck_buf_put(out, "scopekey-rest/v1", 16);
    sck_buf_put_u16(out, (uint16_t)strlen(key_id));
    sck_buf_put_str(out, key_id);
    sck_buf_put_u32(out, version);
    enum sck_code rc = sck_pairs_encode(pairs, count, out, &why);
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_CONTEXT ? SCK_E_USAGE : rc, "%s", why.message);
    return SCK_OK;
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
