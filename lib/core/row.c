/* SPDX-License-Identifier: MIT */
#include "lib/core/row.h"

#include <string.h>

#define ROW_FORMAT 1
#define ROW_MAX_BYTES (4U * 1024U * 1024U)
#define ROW_USUAL_BYTES 1500

void
sck_row_key_input(const uint8_t catalog_id[16], struct sck_buf *out)
{
    sck_buf_put_str(out, "row/v1");
    sck_buf_put(out, catalog_id, 16);
}

static void
put_name(const char *name, struct sck_buf *out)
{
    size_t len = strlen(name);
    if (len > UINT16_MAX)
        out->failed = true;
    sck_buf_put_u16(out, (uint16_t)len);
    sck_buf_put(out, name, len);
}

static void
put_value(const struct sck_value *value, struct sck_buf *out)
{
    sck_buf_put_u8(out, (uint8_t)value->type);
    switch (value->type) {
    case SCK_VALUE_NULL: return;
    case SCK_VALUE_INT: sck_buf_put_u64(out, (uint64_t)value->number); return;
    case SCK_VALUE_TEXT:
    case SCK_VALUE_BLOB:
        if (value->len > UINT32_MAX)
            out->failed = true;
        sck_buf_put_u32(out, (uint32_t)value->len);
        sck_buf_put(out, value->data, value->len);
        return;
    }
    out->failed = true;
}

void
sck_row_encode(const char *table, const uint8_t catalog_id[16], const char *const *names,
               const struct sck_value *values, size_t count, struct sck_buf *out)
{
    if (count > UINT16_MAX)
        out->failed = true;
    sck_buf_put_u8(out, ROW_FORMAT);
    put_name(table, out);
    sck_buf_put(out, catalog_id, 16);
    sck_buf_put_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count && !out->failed; i++) {
        put_name(names[i], out);
        put_value(&values[i], out);
    }
}

enum sck_code
sck_row_mac(const struct sck_secret *row_key, const char *table, const uint8_t catalog_id[16],
            const char *const *names, const struct sck_value *values, size_t count, uint8_t out[SCK_SHA256_LEN],
            struct sck_err *err)
{
    struct sck_buf covered;
    sck_buf_init(&covered, ROW_MAX_BYTES);
    /* Room for the usual row at once: to grow step by step costs as much as the hash. */
    (void)sck_buf_grow(&covered, ROW_USUAL_BYTES);
    sck_buf_reset(&covered);
    sck_row_encode(table, catalog_id, names, values, count, &covered);
    enum sck_code rc = sck_buf_check(&covered, "catalog row", err);
    if (rc == SCK_OK)
        rc = sck_hmac_sha256(row_key->data, row_key->len, covered.data, covered.len, out, err);
    sck_buf_clear(&covered);
    return rc;
}
