/* SPDX-License-Identifier: MIT */
/* Schema versions: a database is brought forward by steps and never back. */
#ifndef SCK_CATALOG_SCHEMA_H
#define SCK_CATALOG_SCHEMA_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

struct sck_backend;
struct sck_db;

/* What makes version `version` out of the one before. */
struct sck_schema_step {
    int64_t version;    /* 1, 2, ... without a gap */
    const char *sql;
};

/*
 * Bring the database forward to the last of `steps`, in one transaction; `where` names it in messages.
 * SCK_E_CONFIG: its schema is newer than the last step.  SCK_E_BUSY, SCK_E_IO: nothing was changed.
 */
SCK_MUST_CHECK enum sck_code sck_schema_upgrade(const struct sck_backend *backend, struct sck_db *db,
                                                const char *where, const struct sck_schema_step *steps,
                                                size_t count, struct sck_err *err);
/* The same inside the caller's transaction, from `version`, which the database has. */
SCK_MUST_CHECK enum sck_code sck_schema_apply(const struct sck_backend *backend, struct sck_db *db, int64_t version,
                                              const struct sck_schema_step *steps, size_t count,
                                              struct sck_err *err);

#endif
