/* SPDX-License-Identifier: MIT */
#include "lib/catalog/pool.h"

#include "lib/base/clock.h"
#include "lib/base/fork.h"

#include <stdlib.h>
#include <unistd.h>

#define FORK_WAIT_MS 2000

/*
 * Why connections are closed before a fork, and never used or closed by a child that inherited them:
 *
 * SQLite keeps per process and file which POSIX locks "the process" holds, and gives a second connection a lock that
 * the first one has without asking the system.  fork() copies that note but not the locks.  A child that opened the
 * file beside inherited connections would believe itself under a lock it does not have: the parent, closing its own
 * last connection, would delete the write-ahead log under the child, and what the child commits would be lost.
 * Closing the inherited connections in the child is no cure: it would clean up in shared memory, and roll back,
 * for a parent that is still at work.  With no connection open at the moment of the fork there is no note.
 *
 * A transaction that is open then cannot be closed.  Its child cannot use the database: it leaks what it inherited
 * and is told so (SCK_E_STATE) rather than to risk the data.
 */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* forks wait here */
    struct sck_catalog *all;
    unsigned in_use;            /* connections that a thread has, of all catalogs */
    bool forking;               /* nobody gets a permit */
    bool left_open;             /* connections were in use at the fork */
    bool unusable;              /* in this process, for the reason above */
    pid_t pid;
} room = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct sck_waiter {
    struct sck_waiter *next;
    pthread_cond_t cond;
    bool granted;
};

int64_t
sck_deadline_us(int64_t ms)
{
    return sck_monotonic_us(sck_clock_system()) + ms * 1000;
}

static struct timespec
timespec_of(int64_t us)
{
    return (struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000L};
}

static void
grant_locked(struct sck_turn *turn)
{
    while (!room.forking && turn->free > 0 && turn->first != NULL) {
        struct sck_waiter *w = turn->first;
        turn->first = w->next;
        turn->free--;
        w->granted = true;
        pthread_cond_signal(&w->cond);
    }
}

static bool
wait_locked(struct sck_turn *turn, int64_t deadline_us)
{
    struct sck_waiter self = {.cond = PTHREAD_COND_INITIALIZER};
    struct sck_waiter **at = &turn->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = &self;
    struct timespec until = timespec_of(deadline_us);
    int rc = 0;
    while (!self.granted && rc == 0)
        rc = deadline_us == SCK_FOREVER ? pthread_cond_wait(&self.cond, &room.lock)
                                        : pthread_cond_clockwait(&self.cond, &room.lock, CLOCK_MONOTONIC, &until);
    for (at = &turn->first; !self.granted && *at != NULL; at = &(*at)->next) {
        if (*at == &self) {
            *at = self.next;
            break;
        }
    }
    pthread_cond_destroy(&self.cond);
    return self.granted;
}

static bool
take_locked(struct sck_turn *turn, int64_t deadline_us)
{
    if (room.forking || turn->free == 0 || turn->first != NULL)
        return wait_locked(turn, deadline_us);
    turn->free--;
    return true;
}

bool
sck_turn_take(struct sck_turn *turn, int64_t deadline_us)
{
    pthread_mutex_lock(&room.lock);
    bool taken = take_locked(turn, deadline_us);
    pthread_mutex_unlock(&room.lock);
    return taken;
}

static void
give_locked(struct sck_turn *turn)
{
    turn->free++;
    grant_locked(turn);
}

void
sck_turn_give(struct sck_turn *turn)
{
    pthread_mutex_lock(&room.lock);
    give_locked(turn);
    pthread_mutex_unlock(&room.lock);
}

static void
reset_turns(struct sck_catalog *c)
{
    c->asking = (struct sck_turn){1, NULL};
    c->connections = (struct sck_turn){SCK_CONNECTIONS_MAX, NULL};
    c->writer = (struct sck_turn){1, NULL};
}

static bool
is_writing_locked(const struct sck_catalog *c)
{
    return c->writing != NULL && pthread_equal(c->writing_thread, pthread_self()) != 0;
}

static void
drop_idle_locked(struct sck_catalog *c)
{
    while (c->idle != NULL) {
        struct sck_conn *conn = c->idle;
        c->idle = conn->next;
        c->backend->drop(&conn->db);
        free(conn);
    }
}

static void
fork_prepare(void)
{
    unsigned own = 0;
    pthread_mutex_lock(&room.lock);
    while (room.forking)
        pthread_cond_wait(&room.changed, &room.lock);
    room.forking = true;
    for (const struct sck_catalog *c = room.all; c != NULL; c = c->next)
        own += is_writing_locked(c) ? 1 : 0;
    /* Bounded: a transaction may wait for something that this very fork holds up. */
    struct timespec until = timespec_of(sck_deadline_us(FORK_WAIT_MS));
    int rc = 0;
    while (room.in_use > own && rc == 0)
        rc = pthread_cond_clockwait(&room.changed, &room.lock, CLOCK_MONOTONIC, &until);
    room.left_open = room.in_use > 0;
    for (struct sck_catalog *c = room.all; c != NULL && !room.left_open; c = c->next)
        drop_idle_locked(c);
}

static void
fork_parent(void)
{
    room.forking = false;
    for (struct sck_catalog *c = room.all; c != NULL; c = c->next) {
        grant_locked(&c->asking);
        grant_locked(&c->connections);
        grant_locked(&c->writer);
    }
    pthread_cond_broadcast(&room.changed);
    pthread_mutex_unlock(&room.lock);
}

static void
fork_child(void)
{
    room.forking = false;
    room.in_use = 0;
    room.pid = getpid();
    room.unusable = room.unusable || room.left_open;
    room.changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    /* The threads that waited or wrote are not here; what they had is the parent's. */
    for (struct sck_catalog *c = room.all; c != NULL; c = c->next) {
        reset_turns(c);
        c->idle = NULL;
        c->writing = NULL;
    }
    pthread_mutex_unlock(&room.lock);
}

static void
set_up(void)
{
    (void)sck_fork_register(SCK_FORK_CATALOG, fork_prepare, fork_parent, fork_child);
    room.pid = getpid();
}

static enum sck_code
check_process_locked(const struct sck_catalog *c, struct sck_err *err)
{
    if (room.unusable)
        return sck_fail(err, SCK_E_STATE,
                        "catalog %s: this process was forked while a transaction was open and cannot use it: end "
                        "transactions before fork()", c->path);
    if (room.pid != getpid())
        return sck_fail(err, SCK_E_STATE,
                        "catalog %s: this process was made without the fork handlers and cannot use it: use fork()",
                        c->path);
    return SCK_OK;
}

enum sck_code
sck_pool_join(struct sck_catalog *c, struct sck_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    pthread_mutex_lock(&room.lock);
    enum sck_code rc = check_process_locked(c, err);
    if (rc == SCK_OK) {
        reset_turns(c);
        c->next = room.all;
        room.all = c;
    }
    pthread_mutex_unlock(&room.lock);
    return rc;
}

static void
enter_locked(void)
{
    while (room.forking)
        pthread_cond_wait(&room.changed, &room.lock);
    room.in_use++;
}

static void
exit_locked(void)
{
    room.in_use--;
    if (room.forking)
        pthread_cond_broadcast(&room.changed);
}

void
sck_pool_enter(void)
{
    pthread_mutex_lock(&room.lock);
    enter_locked();
    pthread_mutex_unlock(&room.lock);
}

void
sck_pool_exit(void)
{
    pthread_mutex_lock(&room.lock);
    exit_locked();
    pthread_mutex_unlock(&room.lock);
}

void
sck_pool_leave(struct sck_catalog *c)
{
    pthread_mutex_lock(&room.lock);
    enter_locked();
    struct sck_catalog **at = &room.all;
    while (*at != NULL && *at != c)
        at = &(*at)->next;
    if (*at == c)
        *at = c->next;
    struct sck_conn *idle = c->idle;
    c->idle = NULL;
    pthread_mutex_unlock(&room.lock);
    while (idle != NULL) {
        struct sck_conn *conn = idle;
        idle = conn->next;
        c->backend->close(&conn->db);
        free(conn);
    }
    sck_pool_exit();
}

static enum sck_code
open_conn(struct sck_catalog *c, struct sck_conn **out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    struct sck_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    else
        rc = c->backend->open(c->path, &conn->db, err);
    if (rc != SCK_OK) {
        free(conn);
        conn = NULL;
        pthread_mutex_lock(&room.lock);
        exit_locked();
        give_locked(&c->connections);
        pthread_mutex_unlock(&room.lock);
    }
    *out = conn;
    return rc;
}

enum sck_code
sck_pool_take(struct sck_catalog *c, int64_t deadline_us, struct sck_conn **conn, struct sck_err *err)
{
    *conn = NULL;
    pthread_mutex_lock(&room.lock);
    enum sck_code rc = check_process_locked(c, err);
    if (rc == SCK_OK && is_writing_locked(c)) {
        *conn = c->writing;
    } else if (rc == SCK_OK && !take_locked(&c->connections, deadline_us)) {
        rc = sck_fail(err, SCK_E_BUSY, "catalog %s: all connections of this process are in use: try again", c->path);
    } else if (rc == SCK_OK) {
        room.in_use++;
        *conn = c->idle;
        if (c->idle != NULL)
            c->idle = c->idle->next;
    }
    pthread_mutex_unlock(&room.lock);
    if (rc == SCK_OK && *conn == NULL)
        rc = open_conn(c, conn, err);
    return rc;
}

void
sck_pool_give(struct sck_catalog *c, struct sck_conn *conn)
{
    if (conn->in_transaction)
        return;
    pthread_mutex_lock(&room.lock);
    /* The one used last goes first: its cache is warm. */
    conn->next = c->idle;
    c->idle = conn;
    exit_locked();
    give_locked(&c->connections);
    pthread_mutex_unlock(&room.lock);
}

struct sck_conn *
sck_pool_writing(struct sck_catalog *c)
{
    pthread_mutex_lock(&room.lock);
    struct sck_conn *conn = is_writing_locked(c) ? c->writing : NULL;
    pthread_mutex_unlock(&room.lock);
    return conn;
}

void
sck_pool_set_writing(struct sck_catalog *c, struct sck_conn *conn)
{
    pthread_mutex_lock(&room.lock);
    struct sck_conn *ended = conn == NULL ? c->writing : NULL;
    c->writing = conn;
    c->writing_thread = pthread_self();
    pthread_mutex_unlock(&room.lock);
    if (conn != NULL) {
        conn->in_transaction = true;
        conn->failed = false;
    } else if (ended != NULL) {
        ended->in_transaction = false;
        sck_pool_give(c, ended);
    }
}
