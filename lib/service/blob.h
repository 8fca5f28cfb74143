/* SPDX-License-Identifier: MIT */
/* Inside lib/service: all wrapped DEKs of an owner that the catalog holds, whatever table they are in. */
#ifndef SCK_SERVICE_BLOB_H
#define SCK_SERVICE_BLOB_H

#include "lib/service/engine.h"

/* A row with a wrapped DEK. */
struct sck_blob {
    enum sck_table table;       /* SCK_TABLE_VERSIONS or SCK_TABLE_FILES */
    union {
        struct sck_version_rec version;
        struct sck_file_rec file;
    } row;
};

struct sck_buf *sck_blob_wrapped(struct sck_blob *blob);
void sck_blob_clear(struct sck_blob *blob);

/* `blob` belongs to the callee, who clears it.  It may use the catalog.  SCK_OK: go on. */
typedef enum sck_code (*sck_blob_fn)(void *arg, struct sck_blob *blob, struct sck_err *err);
/*
 * Walk the wrapped DEKs of an owner, checked and in bounded memory; `bad` is told of rows that were changed by someone
 * else, which are passed over (it must not use the catalog).
 */
SCK_MUST_CHECK enum sck_code sck_blob_each(struct sck_catalog *catalog, int64_t owner_id, sck_blob_fn fn,
                                           sck_bad_row_fn bad, void *arg, struct sck_err *err);

#endif
