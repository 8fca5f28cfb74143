/* SPDX-License-Identifier: MIT */
/*
 * The database of records, behind one small table of functions (SQLite here; PostgreSQL later). Every row that is
 * read is checked against its MAC (SCK_E_INTEGRITY names table and row), every row that is written gets one.  A
 * catalog may be used from any thread; each thread's transaction has a connection of its own.
 *
 * fork() waits (at most 2 s) until no thread is in the database, and closes the connections; both sides open new
 * ones. A child made while a transaction was open cannot use the database: SCK_E_STATE, whatever it calls. Nobody
 * else in the process may open and close the file: that would drop SQLite's locks (POSIX, close(2)).
 */
#ifndef SCK_CATALOG_CATALOG_H
#define SCK_CATALOG_CATALOG_H

#include "lib/base/secret.h"
#include "lib/catalog/record.h"

struct sck_catalog;

/* The tables, in the order of lib/catalog/record.h. */
enum sck_table {
    SCK_TABLE_OWNERS,
    SCK_TABLE_KEKS,
    SCK_TABLE_KEYS,
    SCK_TABLE_VERSIONS,
    SCK_TABLE_TOMBS,
    SCK_TABLE_RECEIPTS,
    SCK_TABLE_FILES,
    SCK_TABLE_EPOCHS,
    SCK_TABLE_BACKUPS,
    SCK_TABLE_PLEDGES,
    SCK_TABLE_SETUP
};

/*
 * Gives the catalog's row key (HMAC of the token's `mac` key), called once, when the first row is checked or written,
 * with no lock held.  The secret is then owned by the catalog.
 */
typedef enum sck_code (*sck_row_key_fn)(void *arg, struct sck_secret **row_key, struct sck_err *err);

struct sck_catalog_conf {
    const char *path;           /* SQLite file */
    uint8_t catalog_id[16];
    int64_t busy_ms;            /* how long to wait for another writer; 0 means 10000 */
    sck_row_key_fn row_key;
    void *row_key_arg;
};

/* Make a new catalog file (0600) with the current schema and the setup row.  SCK_E_EXISTS when there is one. */
SCK_MUST_CHECK enum sck_code sck_catalog_create(const struct sck_catalog_conf *conf,
                                                const struct sck_setup_rec *setup, struct sck_err *err);
/*
 * Open an existing catalog; migrates an older schema forward in one transaction.  No MAC is needed yet.
 * SCK_E_CONFIG: absent, another catalog id, or a schema newer than this program (names both numbers).
 * SCK_E_IO: unreadable, read-only where writing is needed, disk full.  SCK_E_INTEGRITY: damaged file.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_open(const struct sck_catalog_conf *conf, struct sck_catalog **out,
                                              struct sck_err *err);
void sck_catalog_close(struct sck_catalog **catalog);

/*
 * A write transaction of this thread (BEGIN IMMEDIATE); does not nest.  SCK_E_BUSY after busy_ms.  Threads and
 * processes get their turns in the order in which they asked, as far as can be.  End it in the thread that began
 * it, and make no token, keeper or other foreign call inside: everybody else's writing, and fork() for a while,
 * wait for it. Commit is durable when it returns (WAL, synchronous FULL).  When it fails nothing of the transaction
 * is left. After a failure inside a transaction other than SCK_E_EXISTS, _NOT_FOUND and _USAGE it can only be
 * rolled back.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_begin(struct sck_catalog *catalog, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_catalog_commit(struct sck_catalog *catalog, struct sck_err *err);
/* Nothing happens when there is no transaction. */
void sck_catalog_rollback(struct sck_catalog *catalog);

/* Release the buffers of a record of `table` and zero it. */
void sck_record_clear(enum sck_table table, void *record);

/*
 * Insert a record; sets its `id` where the database gives one.  Outside a transaction it is one of its own.
 * SCK_E_EXISTS when a unique column is taken.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_insert(struct sck_catalog *catalog, enum sck_table table, void *record,
                                                struct sck_err *err);
/* Replace all columns of the row with the record's primary key.  SCK_E_NOT_FOUND when it is gone. */
SCK_MUST_CHECK enum sck_code sck_catalog_update(struct sck_catalog *catalog, enum sck_table table,
                                                const void *record, struct sck_err *err);
/*
 * Compare and set: replace the wrapped DEK of the row that still is `before` in every column (its MAC says so) by that of
 * `record`.  For versions and files.  SCK_E_NOT_FOUND when the row is gone or another one now: nothing was changed.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_swap(struct sck_catalog *catalog, enum sck_table table, const void *before,
                                              const void *record, struct sck_err *err);
/* Delete the row with the record's primary key.  SCK_E_NOT_FOUND when it is gone. */
SCK_MUST_CHECK enum sck_code sck_catalog_delete(struct sck_catalog *catalog, enum sck_table table,
                                                const void *record, struct sck_err *err);

/* How rows are looked up.  The fields named are read from the record that is passed in.  All are indexed. */
enum sck_query {
    SCK_BY_OWNER_ID,            /* owners: id */
    SCK_BY_OWNER_IDENT,         /* owners: kind, ident */
    SCK_OWNERS_ALL,             /* owners with id above, in order */
    SCK_OWNERS_BY_STATE,        /* owners: state */
    SCK_BY_KEK,                 /* keks: owner_id, serial */
    SCK_KEKS_OF_OWNER,          /* keks: owner_id; newest serial first */
    SCK_BY_KEY_UUID,            /* keys: id */
    SCK_BY_KEY_NAME,            /* keys: scope_kind, scope_id, name */
    SCK_BY_KEY_ID,              /* keys: key_id */
    SCK_KEYS_OF_SCOPE,          /* keys: scope_kind, scope_id, name above, in order of name */
    SCK_KEYS_OF_OWNER,          /* keys: owner_id, id above, in order of id */
    SCK_KEYS_ALL,               /* keys: id above, in order of id */
    SCK_BY_VERSION,             /* versions: key, version */
    SCK_VERSIONS_OF_KEY,        /* versions: key; newest first */
    SCK_BY_TOMB,                /* tombs: hash */
    SCK_TOMBS_PENDING,          /* tombs: state = pending, in order of seq */
    SCK_TOMBS_AFTER,            /* tombs: seq above, in order of seq */
    SCK_TOMB_LAST,              /* tombs: the highest seq */
    SCK_BY_RECEIPT,             /* receipts: hash */
    SCK_BY_RECEIPT_ID,          /* receipts: id */
    SCK_RECEIPTS_ALL,           /* receipts: hash above, in order of hash */
    SCK_BY_FILE,                /* files: file_id, dek_id */
    SCK_FILES_OF_ID,            /* files: file_id; newest first */
    SCK_FILES_OF_OWNER,         /* files: owner_id, id above, in order of id */
    SCK_BY_EPOCH,               /* epochs: number */
    SCK_EPOCHS_ALL,             /* epochs: number above, in order of number */
    SCK_BY_BACKUP,              /* backups: id */
    SCK_BACKUPS_ALL,            /* backups: id above, in order of id (which is the order of their making) */
    SCK_BY_PLEDGE,              /* pledges: hash */
    SCK_PLEDGES_ALL,            /* pledges: hash above, in order of hash */
    SCK_BY_SETUP                /* setup: id */
};

/*
 * Read one row into `record` (which holds the key fields and otherwise zeros or what an earlier call gave); with a
 * query for several rows the first one.  SCK_E_INTEGRITY names table and row.  A failure leaves the record as it
 * was.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_get(struct sck_catalog *catalog, enum sck_query query, void *record,
                                             struct sck_err *err);
/*
 * Read one row without its MAC, before a login.  For keys and versions only: the caller checks `signature`, which
 * covers what sck_record_public_bytes() gives.  Only those columns and `signature` are filled: `sealed`,
 * `wrapped_dek` and `gcm_reserved` stay empty.  Any other table is SCK_E_INTERNAL.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_get_unchecked(struct sck_catalog *catalog, enum sck_query query,
                                                       void *record, struct sck_err *err);
/* What `signature` covers: all public columns of a key or version record, encoded as in lib/core/row.h. */
SCK_MUST_CHECK enum sck_code sck_record_public_bytes(enum sck_table table, const uint8_t catalog_id[16],
                                                     const void *record, struct sck_buf *out, struct sck_err *err);

/*
 * One row; the record is valid during the call and is released afterwards.  Return SCK_OK to go on; anything else
 * ends the walk and is returned.  No lock is held and no connection is in use: it may use the catalog, also to
 * change it.
 */
typedef enum sck_code (*sck_row_fn)(void *arg, void *record, struct sck_err *err);
/*
 * Call `fn` for each row, at most `limit` (0: all), in pages, so that no read transaction stays open between two
 * pages and memory stays bounded.  `record` holds the key fields; it is overwritten, and empty at the end.  A row
 * that is changed or deleted meanwhile may be seen as it was when its page (64 rows) was read.  With `checked`
 * false as sck_catalog_get_unchecked().
 */
SCK_MUST_CHECK enum sck_code sck_catalog_each(struct sck_catalog *catalog, enum sck_query query, void *record,
                                              bool checked, size_t limit, sck_row_fn fn, void *arg,
                                              struct sck_err *err);
/* A row that cannot be trusted.  A connection is in use: it must not use the catalog. */
typedef void (*sck_bad_row_fn)(void *arg, const char *problem);
/*
 * The same over all rows, checked, but passing over those that were changed by someone else: `bad` is told of each.
 * A page that has to be read again, because the database was busy, tells of its bad rows again.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_each_good(struct sck_catalog *catalog, enum sck_query query, void *record,
                                                   sck_row_fn fn, sck_bad_row_fn bad, void *arg,
                                                   struct sck_err *err);
/* Number of rows of a table, for `doctor` and metrics (a scan of an index). */
SCK_MUST_CHECK enum sck_code sck_catalog_count(struct sck_catalog *catalog, enum sck_table table, int64_t *count,
                                               struct sck_err *err);

/*
 * After an erasure: overwrite freed pages and empty the write-ahead log (secure_delete is always on;
 * wal_checkpoint(TRUNCATE) until it succeeds or `timeout_ms` is over: SCK_E_BUSY).
 */
SCK_MUST_CHECK enum sck_code sck_catalog_scrub(struct sck_catalog *catalog, int64_t timeout_ms,
                                               struct sck_err *err);
/*
 * Write a consistent copy of the whole catalog to `path` (new, 0600, synced), while others go on using it; the copy
 * is one file that needs no log.  SCK_E_EXISTS, SCK_E_IO, SCK_E_BUSY.  Not inside a transaction.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_copy(struct sck_catalog *catalog, const char *path, struct sck_err *err);
/*
 * Put the file `fresh` (a copy, in the same directory) in the place of the catalog at `path`, which nobody may have
 * open: one rename, so that a crash leaves the one or the other.  What was there stays as `aside` (*kept), which must
 * not be there yet.  SCK_E_BUSY: a process uses the catalog.  SCK_E_EXISTS, SCK_E_IO.
 */
SCK_MUST_CHECK enum sck_code sck_catalog_place(const char *path, const char *fresh, const char *aside, bool *kept,
                                               struct sck_err *err);
/* Check every row's MAC and the file's structure; calls `report` per problem.  SCK_E_INTEGRITY when there was one. */
SCK_MUST_CHECK enum sck_code sck_catalog_verify(struct sck_catalog *catalog,
                                                void (*report)(void *arg, const char *problem), void *arg,
                                                struct sck_err *err);

#endif
