/* SPDX-License-Identifier: MIT */
#include "lib/token/gate.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * Readers count themselves and then look for a writer; a writer announces itself and then looks at the count.
 * Both orders are sequentially consistent, so at least one of them sees the other.  Without a writer a call
 * costs two atomic additions.
 */
static struct {
    atomic_uint readers;        /* threads inside */
    atomic_bool wanted;         /* writers > 0, readable without the lock */
    atomic_bool exiting;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned writers;           /* waiting or holding */
    unsigned parked;            /* writers that are inside as readers */
    bool held;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local unsigned inside;
static _Thread_local unsigned writing;

static void
reader_gone(void)
{
    atomic_fetch_sub(&gate.readers, 1);
    if (!atomic_load(&gate.wanted))
        return;
    pthread_mutex_lock(&gate.lock);
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

bool
sck_gate_enter(void)
{
    if (inside == 0 && writing == 0) {
        for (;;) {
            atomic_fetch_add(&gate.readers, 1);
            if (!atomic_load(&gate.wanted))
                break;
            reader_gone();
            pthread_mutex_lock(&gate.lock);
            while (gate.writers > 0)
                pthread_cond_wait(&gate.changed, &gate.lock);
            pthread_mutex_unlock(&gate.lock);
        }
    }
    inside++;
    if (atomic_load(&gate.exiting)) {
        sck_gate_leave();
        return false;
    }
    return true;
}

void
sck_gate_leave(void)
{
    inside--;
    if (inside == 0 && writing == 0)
        reader_gone();
}

static void
writer_gone(void)
{
    gate.writers--;
    if (inside > 0)
        gate.parked--;
    if (gate.writers == 0)
        atomic_store(&gate.wanted, false);
    pthread_cond_broadcast(&gate.changed);
}

bool
sck_gate_write_begin(int64_t timeout_ms)
{
    if (writing > 0) {
        writing++;
        return true;
    }
    struct timespec until = sck_deadline_after_ms(timeout_ms < 0 ? 0 : timeout_ms);
    bool got = true;
    pthread_mutex_lock(&gate.lock);
    gate.writers++;
    if (inside > 0)
        gate.parked++;
    atomic_store(&gate.wanted, true);
    pthread_cond_broadcast(&gate.changed);
    while (got && (gate.held || atomic_load(&gate.readers) > gate.parked)) {
        if (timeout_ms < 0)
            pthread_cond_wait(&gate.changed, &gate.lock);
        else if (pthread_cond_clockwait(&gate.changed, &gate.lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
            got = !gate.held && atomic_load(&gate.readers) <= gate.parked;
    }
    if (got) {
        gate.held = true;
        writing = 1;
    } else {
        writer_gone();
    }
    pthread_mutex_unlock(&gate.lock);
    return got;
}

void
sck_gate_write_end(void)
{
    writing--;
    if (writing > 0)
        return;
    pthread_mutex_lock(&gate.lock);
    gate.held = false;
    writer_gone();
    pthread_mutex_unlock(&gate.lock);
}

void
sck_gate_exit(void)
{
    bool got = sck_gate_write_begin(2000);
    atomic_store(&gate.exiting, true);
    if (got)
        sck_gate_write_end();
}

bool
sck_gate_is_exiting(void)
{
    return atomic_load(&gate.exiting);
}

void
sck_gate_child(void)
{
    writing--;
    pthread_mutex_init(&gate.lock, NULL);
    pthread_cond_init(&gate.changed, NULL);
    gate.writers = writing > 0 ? 1 : 0;
    gate.parked = writing > 0 && inside > 0 ? 1 : 0;
    gate.held = writing > 0;
    atomic_store(&gate.wanted, writing > 0);
    atomic_store(&gate.readers, inside > 0 ? 1U : 0U);
}
