/* SPDX-License-Identifier: MIT */
/*
 * What a database must do for the catalog.  SQL is what SQLite and PostgreSQL have in common: parameters are $1, $2
 * and so on in the order of their first appearance, values are integers, text and blobs, RETURNING is known.
 *
 * No function waits for a lock that another writer holds: it answers SCK_E_BUSY at once, without effect, and the
 * caller tries again.  A connection is used by one thread at a time.
 */
#ifndef SCK_CATALOG_BACKEND_H
#define SCK_CATALOG_BACKEND_H

#include "lib/catalog/schema.h"
#include "lib/catalog/statement.h"
#include "lib/core/row.h"

/* One connection. */
struct sck_db;

/* One row; values are borrowed until it returns.  Anything but SCK_OK ends the query and is returned. */
typedef enum sck_code (*sck_db_row_fn)(void *arg, const struct sck_value *values, size_t count,
                                       struct sck_err *err);
typedef enum sck_code (*sck_db_fill_fn)(struct sck_db *db, void *arg, struct sck_err *err);

struct sck_backend {
    const char *name;
    const struct sck_schema_step *steps;    /* in this database's SQL, by version from 1 */
    size_t step_count;

    /*
     * Make a new, empty database, let `fill` write to it, and put it in its place, all or nothing.
     * SCK_E_EXISTS when there is one; SCK_E_IO.
     */
    enum sck_code (*create)(const char *where, sck_db_fill_fn fill, void *arg, struct sck_err *err);
    /* SCK_E_CONFIG: absent or not ours.  SCK_E_IO.  SCK_E_INTEGRITY: damaged. */
    enum sck_code (*open)(const char *where, struct sck_db **db, struct sck_err *err);
    /* NULL-safe; sets *db to NULL. */
    void (*close)(struct sck_db **db);
    /* As close, but at once: no writing.  What was left to do is done by the next one who closes. */
    void (*drop)(struct sck_db **db);

    /* A write transaction.  After a failed commit nothing of it is left.  rollback does nothing outside one. */
    enum sck_code (*begin)(struct sck_db *db, struct sck_err *err);
    enum sck_code (*commit)(struct sck_db *db, struct sck_err *err);
    void (*rollback)(struct sck_db *db);

    /* Execute one statement; `changed` (or NULL) is the number of rows.  SCK_E_EXISTS: a unique column is taken. */
    enum sck_code (*run)(struct sck_db *db, const struct sck_statement *statement, const struct sck_value *params,
                         size_t count, int64_t *changed, struct sck_err *err);
    enum sck_code (*query)(struct sck_db *db, const struct sck_statement *statement,
                           const struct sck_value *params, size_t count, sck_db_row_fn row, void *arg,
                           struct sck_err *err);
    /* Several statements without parameters, for schema steps. */
    enum sck_code (*script)(struct sck_db *db, const char *sql, struct sck_err *err);

    enum sck_code (*version_get)(struct sck_db *db, int64_t *version, struct sck_err *err);
    enum sck_code (*version_set)(struct sck_db *db, int64_t version, struct sck_err *err);

    /* Leave no deleted byte in what belongs to the database. */
    enum sck_code (*scrub)(struct sck_db *db, struct sck_err *err);
    /* Write a consistent copy to the new file `path` (0600, synced).  SCK_E_EXISTS, SCK_E_IO. */
    enum sck_code (*copy)(struct sck_db *db, const char *path, struct sck_err *err);
    /* As sck_catalog_place(). */
    enum sck_code (*place)(const char *path, const char *fresh, const char *aside, bool *kept, struct sck_err *err);
    /* Check the database's own structure; calls `report` per problem. */
    enum sck_code (*check)(struct sck_db *db, void (*report)(void *arg, const char *problem), void *arg,
                           struct sck_err *err);
};

extern const struct sck_backend sck_backend_sqlite;

#endif
