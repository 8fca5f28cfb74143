/* SPDX-License-Identifier: MIT */
/* Records to column values and back, by the descriptor table.  No I/O. */
#ifndef SCK_CATALOG_MARSHAL_H
#define SCK_CATALOG_MARSHAL_H

#include "lib/base/text.h"
#include "lib/catalog/table.h"
#include "lib/core/row.h"

/* The values of a record's columns; they borrow from the record and from `times`. */
struct sck_row {
    size_t count;
    struct sck_value values[SCK_COLUMNS_MAX];
    char times[SCK_COLUMNS_MAX][SCK_TIME_TEXT];
};

/* One column of a record.  SCK_E_USAGE: text without its end, a buffer above its maximum, a time before 1970. */
SCK_MUST_CHECK enum sck_code sck_value_get(const struct sck_column *column, const void *record,
                                           char time[SCK_TIME_TEXT], struct sck_value *value, struct sck_err *err);
/* All columns of a record.  As sck_value_get(). */
SCK_MUST_CHECK enum sck_code sck_row_get(const struct sck_table_desc *table, const void *record, struct sck_row *row,
                                         struct sck_err *err);
/* The field of one column, which was zeroed.  False when the value does not fit. */
SCK_MUST_CHECK bool sck_value_put(const struct sck_column *column, const struct sck_value *value, void *record);
/*
 * Fill a zeroed record from the values of all columns, or only from those that `signature` covers and itself.
 * SCK_E_INTEGRITY names the first column whose value no program of ours could have written; SCK_E_MEMORY.  What was
 * filled until then is to be released by sck_record_clear().
 */
SCK_MUST_CHECK enum sck_code sck_record_fill(const struct sck_table_desc *table, const struct sck_value *values,
                                             bool public_only, void *record, struct sck_err *err);

/* Less than, equal to or greater than 0 as `a` sorts before, with or behind `b`: integers, then bytes. */
int sck_value_compare(const struct sck_value *a, const struct sck_value *b);

/* "id = 12" or "owner_id = 3, serial = 1": the primary key, for messages. */
void sck_row_name(const struct sck_table_desc *table, const struct sck_value *values, struct sck_buf *out);

/* The MAC of a row of `values` (one per column); a column that came later is covered unless it is 0. */
SCK_MUST_CHECK enum sck_code sck_table_mac(const struct sck_table_desc *table, const struct sck_secret *row_key,
                                           const uint8_t catalog_id[16], const struct sck_value *values,
                                           uint8_t mac[SCK_SHA256_LEN], struct sck_err *err);

#endif
