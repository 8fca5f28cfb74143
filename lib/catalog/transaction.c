/* SPDX-License-Identifier: MIT */
#include "lib/catalog/pool.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define RETRY_MS 1

bool
sck_retry_wait(int64_t deadline_us)
{
    const struct sck_clock *clock = sck_clock_system();
    if (deadline_us != SCK_FOREVER && sck_monotonic_us(clock) >= deadline_us)
        return false;
    clock->sleep_ms(clock->arg, RETRY_MS);
    return true;
}

/* After these the transaction is as it was before the call. */
static bool
is_harmless(enum sck_code code)
{
    return code == SCK_OK || code == SCK_E_EXISTS || code == SCK_E_NOT_FOUND || code == SCK_E_USAGE;
}

enum sck_code
sck_pool_run(struct sck_catalog *c, int64_t timeout_ms, sck_work_fn work, void *arg, struct sck_err *err)
{
    struct sck_err last = SCK_ERR_INIT;
    struct sck_conn *conn = NULL;
    enum sck_code rc;
    int64_t deadline_us = sck_deadline_us(timeout_ms);
    for (;;) {
        bool in_transaction = false;
        /* To open a connection may find the database busy, too. */
        rc = sck_pool_take(c, deadline_us, &conn, &last);
        if (rc == SCK_OK) {
            rc = work(c, conn->db, arg, &last);
            in_transaction = conn->in_transaction;
            conn->failed = conn->failed || !is_harmless(rc);
            sck_pool_give(c, conn);
        }
        if (rc != SCK_E_BUSY || in_transaction || !sck_retry_wait(deadline_us))
            break;
        sck_err_clear(&last);
    }
    if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = last;
    return rc;
}

/*
 * The queue of writing processes.  SQLite's writers only poll, so that one who writes without a pause would keep
 * everybody else out.  Who wants to write first takes the place at the head of the queue, polls there for the
 * database, and leaves the place as soon as he has it: whoever just committed finds it taken and queues behind.
 * A POSIX lock: it is not inherited by fork, and it ends with the process.
 */
static enum sck_code
set_queue_lock(struct sck_catalog *c, short type, bool *taken, struct sck_err *err)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    int rc;
    if (c->turn_fd < 0)
        c->turn_fd = open(c->turn_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->turn_fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open %s; make it writable for this user", c->turn_path);
    do {
        rc = fcntl(c->turn_fd, F_SETLK, &lock);
    } while (rc != 0 && errno == EINTR);
    *taken = rc == 0;
    if (rc != 0 && errno != EAGAIN && errno != EACCES)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot lock %s; check its file system", c->turn_path);
    return SCK_OK;
}

static enum sck_code
busy(const struct sck_catalog *c, struct sck_err *err)
{
    return sck_fail(err, SCK_E_BUSY, "catalog %s: others were writing for %lld ms: try again", c->path,
                    (long long)c->busy_ms);
}

static enum sck_code
enter_queue(struct sck_catalog *c, int64_t deadline_us, struct sck_err *err)
{
    bool taken = false;
    do {
        enum sck_code rc = set_queue_lock(c, F_WRLCK, &taken, err);
        if (rc != SCK_OK || taken)
            return rc;
    } while (sck_retry_wait(deadline_us));
    return busy(c, err);
}

static void
leave_queue(struct sck_catalog *c)
{
    bool taken;
    if (c->turn_fd >= 0)
        (void)set_queue_lock(c, F_UNLCK, &taken, NULL);
}

/* The connection is given back between two tries, so that a fork need not wait for another process. */
static enum sck_code
begin_when_free(struct sck_catalog *c, int64_t deadline_us, struct sck_err *err)
{
    for (;;) {
        struct sck_err last = SCK_ERR_INIT;
        struct sck_conn *conn = NULL;
        enum sck_code rc = sck_pool_take(c, deadline_us, &conn, &last);
        if (rc == SCK_OK) {
            rc = c->backend->begin(conn->db, &last);
            if (rc == SCK_OK) {
                sck_pool_set_writing(c, conn);
                return SCK_OK;
            }
            sck_pool_give(c, conn);
        }
        if (rc == SCK_E_BUSY && sck_retry_wait(deadline_us))
            continue;
        if (rc == SCK_E_BUSY)
            return busy(c, err);
        if (err != NULL && err->code == SCK_OK)
            *err = last;
        return rc;
    }
}

enum sck_code
sck_catalog_begin(struct sck_catalog *c, struct sck_err *err)
{
    const struct sck_secret *key = NULL;
    /* Before anything is locked: it may log in to a token. */
    enum sck_code rc = sck_catalog_row_key(c, &key, err);
    if (rc != SCK_OK)
        return rc;
    if (sck_pool_writing(c) != NULL)
        return sck_fail(err, SCK_E_INTERNAL, "a transaction was begun inside a transaction");
    int64_t deadline_us = sck_deadline_us(c->busy_ms);
    if (!sck_turn_take(&c->writer, deadline_us))
        return busy(c, err);
    rc = enter_queue(c, deadline_us, err);
    if (rc == SCK_OK)
        rc = begin_when_free(c, deadline_us, err);
    leave_queue(c);
    if (rc != SCK_OK)
        sck_turn_give(&c->writer);
    return rc;
}

static void
end(struct sck_catalog *c)
{
    sck_pool_set_writing(c, NULL);
    sck_turn_give(&c->writer);
}

enum sck_code
sck_catalog_commit(struct sck_catalog *c, struct sck_err *err)
{
    struct sck_conn *conn = sck_pool_writing(c);
    if (conn == NULL)
        return sck_fail(err, SCK_E_INTERNAL, "a commit without a transaction");
    if (conn->failed) {
        sck_catalog_rollback(c);
        return sck_fail(err, SCK_E_INTERNAL, "a commit after a failure in the transaction: it was rolled back");
    }
    enum sck_code rc = c->backend->commit(conn->db, err);
    end(c);
    return rc;
}

void
sck_catalog_rollback(struct sck_catalog *c)
{
    struct sck_conn *conn = sck_pool_writing(c);
    if (conn == NULL)
        return;
    c->backend->rollback(conn->db);
    end(c);
}
