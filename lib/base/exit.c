/* SPDX-License-Identifier: MIT */
#include "lib/base/exit.h"

#include "lib/base/clock.h"
#include "lib/base/fork.h"

#include <openssl/crypto.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { DRAIN_MS = 2000 };

static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned at_work;               /* threads of ours */
    atomic_bool exiting;
    pthread_t by;                   /* who exits; once `exiting` */
} room = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Whether this is a thread of ours, and it is at work. */
static _Thread_local bool ours, working;

static void fork_prepare(void) { pthread_mutex_lock(&room.lock); }
static void fork_parent(void) { pthread_mutex_unlock(&room.lock); }

static void
fork_child(void)
{
    room.at_work = working ? 1 : 0;
    (void)pthread_cond_init(&room.changed, NULL);
    pthread_mutex_unlock(&room.lock);
}

static void
at_exit(void)
{
    struct timespec until = sck_deadline_after_ms(DRAIN_MS);
    int rc = 0;
    pthread_mutex_lock(&room.lock);
    /* A callback may exit, and is called by a thread of ours. */
    unsigned self = working ? 1 : 0;
    room.by = pthread_self();
    atomic_store(&room.exiting, true);
    while (room.at_work > self && rc != ETIMEDOUT)
        rc = pthread_cond_clockwait(&room.changed, &room.lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&room.lock);
}

static void
watch(void)
{
    /* libcrypto registers its handler when it is initialised, and handlers run last in, first out. */
    (void)OPENSSL_init_crypto(0, NULL);
    (void)sck_fork_register(SCK_FORK_EXIT, fork_prepare, fork_parent, fork_child);
    (void)atexit(at_exit);
}

bool
sck_exit_watch(void)
{
    if (sck_exit_is_under_way())
        return false;
    pthread_once(&room.once, watch);
    return true;
}

bool
sck_exit_is_under_way(void)
{
    return atomic_load(&room.exiting);
}

/* Count this thread of ours in; false when it must not go on. */
static bool
count_in(void)
{
    pthread_mutex_lock(&room.lock);
    bool may = !atomic_load(&room.exiting) || pthread_equal(room.by, pthread_self()) != 0;
    if (may) {
        working = true;
        room.at_work++;
    }
    pthread_mutex_unlock(&room.lock);
    return may;
}

static void
count_out(void)
{
    pthread_mutex_lock(&room.lock);
    working = false;
    room.at_work--;
    if (atomic_load(&room.exiting))
        (void)pthread_cond_signal(&room.changed);
    pthread_mutex_unlock(&room.lock);
}

/* Until the process is gone: what this thread would touch next may be gone already. */
_Noreturn static void
sleep_for_ever(void)
{
    for (;;)
        (void)pause();
}

void
sck_exit_enter(void)
{
    ours = true;
    if (!count_in())
        sleep_for_ever();
}

void
sck_exit_leave(void)
{
    count_out();
    ours = false;
}

void
sck_exit_rest(void)
{
    if (ours)
        count_out();
}

void
sck_exit_resume(void)
{
    if (ours && !count_in())
        sleep_for_ever();
}

int
sck_exit_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
    sck_exit_rest();
    int rc = until == NULL ? pthread_cond_wait(cond, mutex)
                           : pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, until);
    if (ours && !count_in()) {
        pthread_mutex_unlock(mutex);
        sleep_for_ever();
    }
    return rc;
}
