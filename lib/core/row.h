/* SPDX-License-Identifier: MIT */
/* What the MAC of a catalog row covers.  Pure.  Format: docs/formats.md. */
#ifndef SCK_CORE_ROW_H
#define SCK_CORE_ROW_H

#include "lib/base/crypto.h"

/* One column's value.  Types are part of what is covered. */
enum sck_value_type { SCK_VALUE_NULL = 0, SCK_VALUE_INT = 1, SCK_VALUE_TEXT = 2, SCK_VALUE_BLOB = 3 };
struct sck_value {
    enum sck_value_type type;
    int64_t number;         /* SCK_VALUE_INT */
    const uint8_t *data;    /* SCK_VALUE_TEXT, SCK_VALUE_BLOB: borrowed */
    size_t len;
};

/* What the `mac` key MACs to give a catalog's row key: "row/v1" ‖ catalog id. */
void sck_row_key_input(const uint8_t catalog_id[16], struct sck_buf *out);

/*
 * Append the covered bytes of a row: u8 format 1 ‖ u16 length ‖ table ‖ catalog id ‖ u16 columns ‖ per column
 * u16 length ‖ name ‖ u8 type ‖ (nothing | i64 | u32 length ‖ bytes), columns in the order given.
 */
void sck_row_encode(const char *table, const uint8_t catalog_id[16], const char *const *names,
                    const struct sck_value *values, size_t count, struct sck_buf *out);
/* HMAC-SHA-256 of sck_row_encode() under the row key. */
SCK_MUST_CHECK enum sck_code sck_row_mac(const struct sck_secret *row_key, const char *table,
                                         const uint8_t catalog_id[16], const char *const *names,
                                         const struct sck_value *values, size_t count,
                                         uint8_t out[SCK_SHA256_LEN], struct sck_err *err);

#endif
