/* SPDX-License-Identifier: MIT */
/* Rows on a given connection: written with their MAC, read against it. */
#ifndef SCK_CATALOG_ROWS_H
#define SCK_CATALOG_ROWS_H

#include "lib/catalog/handle.h"
#include "lib/catalog/marshal.h"

/* Insert a record on a connection that is in a transaction; as sck_catalog_insert(). */
SCK_MUST_CHECK enum sck_code sck_row_insert(const struct sck_catalog *catalog, struct sck_db *db,
                                            const struct sck_secret *key, enum sck_table table, void *record,
                                            struct sck_err *err);
/*
 * Check the MAC of a row as read (the columns, then `mac`).  SCK_E_INTEGRITY names catalog, table and row.
 */
SCK_MUST_CHECK enum sck_code sck_row_check(const struct sck_catalog *catalog, const struct sck_table_desc *table,
                                           const struct sck_secret *key, const struct sck_value *values, size_t count,
                                           struct sck_err *err);

/* Record SCK_E_INTEGRITY for a row as read; `what` says what is wrong with it. */
enum sck_code sck_row_fail(const struct sck_catalog *catalog, const struct sck_table_desc *table,
                           const struct sck_value *values, const char *what, struct sck_err *err);

#endif
