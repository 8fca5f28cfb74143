/* SPDX-License-Identifier: MIT */
/* What the files of the SQLite back end share.  Source of all behaviour: sqlite.org/c3ref. */
#ifndef SCK_CATALOG_SQLITE_H
#define SCK_CATALOG_SQLITE_H

#include "lib/catalog/backend.h"

#include <sqlite3.h>

/* "SCKC" in the file's header tells a catalog from other databases. */
#define SCK_SQLITE_APPLICATION_ID 0x53434B43

enum { SCK_SQLITE_BEGIN = SCK_SLOT_COUNT, SCK_SQLITE_COMMIT, SCK_SQLITE_SLOTS };

struct sck_db {
    sqlite3 *handle;
    char *path;     /* for messages */
    sqlite3_stmt *prepared[SCK_SQLITE_SLOTS];
};

/* Translate the failure of `handle` (its last error) or, when it is NULL, `rc`. */
enum sck_code sck_sqlite_fail(sqlite3 *handle, int rc, const char *path, const char *doing, struct sck_err *err);

/* One integer of a PRAGMA. */
SCK_MUST_CHECK enum sck_code sck_sqlite_pragma_get(struct sck_db *db, const char *sql, int64_t *value,
                                                   struct sck_err *err);

enum { SCK_SQLITE_STEPS = 3 };
extern const struct sck_schema_step sck_sqlite_steps[SCK_SQLITE_STEPS];

/* struct sck_backend: create, open, close, drop (sqlite_file.c). */
enum sck_code sck_sqlite_create(const char *where, sck_db_fill_fn fill, void *arg, struct sck_err *err);
enum sck_code sck_sqlite_open(const char *where, struct sck_db **db, struct sck_err *err);
void sck_sqlite_close(struct sck_db **db);
void sck_sqlite_drop(struct sck_db **db);
enum sck_code sck_sqlite_scrub(struct sck_db *db, struct sck_err *err);
enum sck_code sck_sqlite_copy(struct sck_db *db, const char *path, struct sck_err *err);
enum sck_code sck_sqlite_place(const char *path, const char *fresh, const char *aside, bool *kept,
                               struct sck_err *err);
enum sck_code sck_sqlite_script(struct sck_db *db, const char *sql, struct sck_err *err);

#endif
