/* SPDX-License-Identifier: MIT */
/*
 * Connections: who has which, who waits, and what a fork does to them.
 *
 * One lock, held for a few instructions only, covers the pools of all catalogs of the process.  A fork waits until no
 * connection is in use, closes all of them, and both sides open new ones when they need them.
 */
#ifndef SCK_CATALOG_POOL_H
#define SCK_CATALOG_POOL_H

#include "lib/catalog/handle.h"

/* Make the catalog known to the fork handlers, and forget it.  leave closes its connections. */
SCK_MUST_CHECK enum sck_code sck_pool_join(struct sck_catalog *catalog, struct sck_err *err);
void sck_pool_leave(struct sck_catalog *catalog);

/* Microseconds of the monotonic clock when `ms` are over. */
int64_t sck_deadline_us(int64_t ms);
/* Sleep a little before trying again; false when `deadline_us` is over.  SCK_FOREVER never is. */
bool sck_retry_wait(int64_t deadline_us);
#define SCK_FOREVER INT64_MAX

/* Wait for a permit; false when `deadline_us` is over.  Give it back. */
SCK_MUST_CHECK bool sck_turn_take(struct sck_turn *turn, int64_t deadline_us);
void sck_turn_give(struct sck_turn *turn);

/*
 * A connection for this thread: that of its transaction, or one that is free, or a new one.
 * SCK_E_BUSY: all are in use until `deadline_us`.  SCK_E_STATE: this process cannot use the database (see pool.c).
 */
SCK_MUST_CHECK enum sck_code sck_pool_take(struct sck_catalog *catalog, int64_t deadline_us, struct sck_conn **conn,
                                           struct sck_err *err);
/* Give it back; nothing happens to a transaction's. */
void sck_pool_give(struct sck_catalog *catalog, struct sck_conn *conn);

/* The connection of this thread's transaction, or NULL. */
struct sck_conn *sck_pool_writing(struct sck_catalog *catalog);
/* `conn`, just taken, is this thread's transaction from now on; NULL: it ended, and its connection is free again. */
void sck_pool_set_writing(struct sck_catalog *catalog, struct sck_conn *conn);

/* Around the use of a connection that is not of the pool: forks wait, and it waits for forks. */
void sck_pool_enter(void);
void sck_pool_exit(void);

typedef enum sck_code (*sck_work_fn)(struct sck_catalog *catalog, struct sck_db *db, void *arg, struct sck_err *err);
/*
 * Call `work` with a connection; outside a transaction again and again while it is SCK_E_BUSY, for `timeout_ms`.
 * A failure in a transaction that may have left a part of something undone makes the transaction one that cannot be
 * committed.
 */
SCK_MUST_CHECK enum sck_code sck_pool_run(struct sck_catalog *catalog, int64_t timeout_ms, sck_work_fn work,
                                          void *arg, struct sck_err *err);

#endif
