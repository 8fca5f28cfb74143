/* SPDX-License-Identifier: MIT */
#include "lib/service/dek_flight.h"

#include "lib/base/exit.h"
#include "lib/base/metric.h"

#include <stdlib.h>
#include <string.h>

#define OUT_OF_TIME "unwrapping a DEK: the deadline has passed"

struct sck_dek_flight {
    struct sck_dek_flight *next;
    struct sck_dek_id id;
    struct sck_dek_owner owner;
    struct sck_dek_call *call;
    struct sck_dek_wait *waits;
    struct sck_dek_wait *leader;        /* who is to begin the call; NULL once it is begun */
    int64_t deadline_us;                /* of who began it */
};

/* ---- one call ---- */

struct sck_dek_call *
sck_dek_call_new(struct sck_engine *engine, enum sck_keeper_do what)
{
    struct sck_dek_call *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->refs = 1;
    c->engine = engine;
    sck_buf_init(&c->item.out, SCK_KEEPER_BLOB_MAX);
    c->work.what = what;
    c->work.kek = &c->ref;
    c->work.items = &c->item;
    c->work.count = 1;
    return c;
}

static void
call_free(struct sck_dek_call *c)
{
    sck_record_clear(SCK_TABLE_KEKS, &c->kek);
    sck_secret_free(&c->payload);
    sck_secret_free(&c->item.opened);
    sck_buf_clear(&c->item.out);
    free(c);
}

void
sck_dek_call_unref(struct sck_dek_call **call)
{
    struct sck_dek_call *c = *call;
    *call = NULL;
    if (c == NULL)
        return;
    pthread_mutex_t *lock = sck_dek_cache_mutex(c->engine->deks);
    pthread_mutex_lock(lock);
    bool last = --c->refs == 0;
    pthread_mutex_unlock(lock);
    if (last)
        call_free(c);
}

static void
call_over(struct sck_dek_call *c)
{
    pthread_mutex_t *lock = sck_dek_cache_mutex(c->engine->deks);
    pthread_mutex_lock(lock);
    c->over = true;
    pthread_mutex_unlock(lock);
    c->done(c);
    sck_dek_call_unref(&c);
}

static void
work_done(struct sck_keeper_work *work)
{
    call_over(work->arg);
}

void
sck_dek_call_begin(struct sck_dek_call *call, bool async, int64_t deadline_us)
{
    const struct sck_keeper_ops *ops = call->keeper->ops;
    pthread_mutex_t *lock = sck_dek_cache_mutex(call->engine->deks);
    pthread_mutex_lock(lock);
    /* One for the keeper until `done`, one for the lines below. */
    call->refs += 2;
    call->over = false;
    call->submitted = false;
    pthread_mutex_unlock(lock);
    sck_secret_free(&call->item.opened);
    sck_buf_reset(&call->item.out);
    sck_err_clear(&call->work.err);
    call->work.deadline_us = deadline_us;
    call->work.code = SCK_OK;
    enum sck_code rc = SCK_OK;
    bool mine = !async || ops->submit == NULL;
    if (mine) {
        rc = ops->run != NULL ? ops->run(call->keeper, &call->work) : sck_keeper_run_each(call->keeper, &call->work);
    } else {
        call->work.done = work_done;
        call->work.arg = call;
        rc = ops->submit(call->keeper, &call->work);
    }
    if (mine || rc != SCK_OK) {
        call->work.code = rc;
        call_over(call);
    } else {
        pthread_mutex_lock(lock);
        call->submitted = !call->over;
        if (call->submitted && call->cancelled && ops->cancel != NULL)
            ops->cancel(call->keeper, &call->work);
        pthread_mutex_unlock(lock);
    }
    sck_dek_call_unref(&call);
}

void
sck_dek_call_cancel(struct sck_dek_call *call)
{
    pthread_mutex_t *lock = sck_dek_cache_mutex(call->engine->deks);
    pthread_mutex_lock(lock);
    call->cancelled = true;
    /* `over` is set under the lock before `done` goes on: until then the keeper may be asked. */
    if (call->submitted && !call->over && call->keeper->ops->cancel != NULL)
        call->keeper->ops->cancel(call->keeper, &call->work);
    pthread_mutex_unlock(lock);
}

/* ---- sharing one ---- */

static struct sck_dek_flights *
flights_of(struct sck_engine *engine)
{
    return sck_dek_cache_flights(engine->deks);
}

/* With the lock held. */
static void
unlink_flight(struct sck_engine *engine, const struct sck_dek_flight *flight)
{
    struct sck_dek_flight **at = &flights_of(engine)->first;
    while (*at != NULL && *at != flight)
        at = &(*at)->next;
    if (*at != NULL)
        *at = flight->next;
}

static void
unlink_wait(struct sck_dek_flight *flight, const struct sck_dek_wait *wait)
{
    struct sck_dek_wait **at = &flight->waits;
    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
}

static void
free_flight(struct sck_dek_flight *flight)
{
    sck_dek_call_unref(&flight->call);
    free(flight);
}

static bool
is_late(const struct sck_dek_wait *wait, int64_t now_us)
{
    return wait->deadline_us != 0 && wait->deadline_us <= now_us;
}

/* With the lock held: who has the most time leads from now on, if anybody has time left. */
static struct sck_dek_wait *
promote(struct sck_dek_flight *flight, int64_t now_us)
{
    struct sck_dek_wait *best = NULL;
    for (struct sck_dek_wait *w = flight->waits; w != NULL; w = w->next) {
        if (!is_late(w, now_us) && (best == NULL || (best->deadline_us != 0 && (w->deadline_us == 0 ||
                                                                                w->deadline_us > best->deadline_us))))
            best = w;
    }
    flight->leader = best;
    if (best != NULL)
        best->lead = true;
    return best;
}

/* With the lock held: whether somebody is to be woken by us, without it. */
static bool
unpark(struct sck_engine *engine, struct sck_dek_wait *wait)
{
    bool owed = wait != NULL && wait->parked;
    if (owed)
        wait->parked = false;
    else
        pthread_cond_broadcast(&flights_of(engine)->moved);
    return owed;
}

/* Give the outcome to a list of waits that left the flight; each has a copy of its own. */
static void
deliver(struct sck_engine *engine, struct sck_dek_wait *list, enum sck_code code, const struct sck_err *why,
        const struct sck_secret *dek)
{
    struct sck_dek_wait *later = NULL;
    struct sck_dek_wait *next = NULL;
    pthread_mutex_t *lock = sck_dek_cache_mutex(engine->deks);
    for (struct sck_dek_wait *w = list; w != NULL; w = w->next) {
        w->code = code;
        w->err = *why;
        if (code == SCK_OK)
            w->code = sck_secret_dup(dek, &w->dek, &w->err);
    }
    pthread_mutex_lock(lock);
    for (struct sck_dek_wait *w = list; w != NULL; w = next) {
        next = w->next;
        w->over = true;
        if (unpark(engine, w)) {
            w->next = later;
            later = w;
        }
    }
    pthread_mutex_unlock(lock);
    for (struct sck_dek_wait *w = later; w != NULL; w = next) {
        next = w->next;
        w->wake(w);
    }
}

/* With the lock held: take all waits, or those alone whose time is over, out of the flight. */
static struct sck_dek_wait *
take_waits(struct sck_dek_flight *flight, bool all, int64_t now_us)
{
    struct sck_dek_wait *taken = NULL;
    for (struct sck_dek_wait **at = &flight->waits; *at != NULL;) {
        struct sck_dek_wait *w = *at;
        if (!all && !is_late(w, now_us)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = taken;
        w->flight = NULL;
        taken = w;
    }
    return taken;
}

static enum sck_code
open_payload(struct sck_dek_call *call, struct sck_secret **dek, struct sck_err *err)
{
    *err = call->work.err;
    if (call->work.code != SCK_OK)
        return call->work.code;
    return sck_payload_decode(call->item.opened->data, call->item.opened->len, call->context_hash, dek, err);
}

/* The call is over.  When only the time of who began it is, another one takes over. */
static void
flight_done(struct sck_dek_call *call)
{
    struct sck_dek_flight *flight = call->arg;
    struct sck_engine *engine = call->engine;
    struct sck_secret *dek = NULL;
    struct sck_err why = SCK_ERR_INIT;
    struct sck_dek_wait *successor = NULL;
    pthread_mutex_t *lock = sck_dek_cache_mutex(engine->deks);
    enum sck_code code = open_payload(call, &dek, &why);
    if (code == SCK_OK)
        sck_dek_cache_put(engine->deks, &flight->id, &flight->owner, dek);
    int64_t now = sck_monotonic_us(engine->clock);
    bool own = (code == SCK_E_CONNECT || code == SCK_E_BUSY || code == SCK_E_CANCELLED) && flight->deadline_us != 0 &&
               now >= flight->deadline_us;
    pthread_mutex_lock(lock);
    if (own)
        successor = promote(flight, now);
    struct sck_dek_wait *taken = take_waits(flight, successor == NULL, now);
    if (successor == NULL)
        unlink_flight(engine, flight);
    bool owed = successor != NULL && unpark(engine, successor);
    pthread_mutex_unlock(lock);
    deliver(engine, taken, code, &why, dek);
    sck_secret_free(&dek);
    if (successor == NULL)
        free_flight(flight);
    if (owed)
        successor->wake(successor);
}

enum sck_code
sck_dek_flight_join(const struct sck_dek_id *id, const struct sck_dek_owner *owner, struct sck_dek_call *call,
                    struct sck_dek_wait *wait, struct sck_err *err)
{
    struct sck_engine *engine = call->engine;
    pthread_mutex_t *lock = sck_dek_cache_mutex(engine->deks);
    struct sck_dek_flight *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        sck_dek_call_unref(&call);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    fresh->id = *id;
    fresh->owner = *owner;
    fresh->call = call;
    call->done = flight_done;
    call->arg = fresh;
    pthread_mutex_lock(lock);
    struct sck_dek_flight *f = flights_of(engine)->first;
    while (f != NULL && memcmp(f->id.hash, id->hash, sizeof id->hash) != 0)
        f = f->next;
    if (f == NULL) {
        f = fresh;
        f->next = flights_of(engine)->first;
        flights_of(engine)->first = f;
        f->leader = wait;
        wait->lead = true;
        fresh = NULL;
    }
    wait->flight = f;
    wait->next = f->waits;
    f->waits = wait;
    pthread_mutex_unlock(lock);
    if (fresh != NULL) {
        sck_metric_add(sck_metric_counter("scopekey_dek_cache_shared_total",
                                          "Requests that shared another one's call of the keeper.", ""), 1);
        free_flight(fresh);
    }
    return SCK_OK;
}

/* With the lock held, which is let go for the call. */
static void
lead(struct sck_dek_wait *wait, pthread_mutex_t *lock)
{
    struct sck_dek_call *call = wait->flight->call;
    bool async = wait->wake != NULL;
    int64_t deadline_us = wait->deadline_us;
    wait->lead = false;
    wait->flight->leader = NULL;
    wait->flight->deadline_us = deadline_us;
    pthread_mutex_unlock(lock);
    sck_dek_call_begin(call, async, deadline_us);
    pthread_mutex_lock(lock);
}

/* With the lock held: wait until something moves or the time is over. */
static void
block(struct sck_engine *engine, struct sck_dek_wait *wait, pthread_mutex_t *lock)
{
    struct sck_dek_flights *flights = flights_of(engine);
    /* Without a flight the outcome is on its way. */
    if (wait->deadline_us == 0 || wait->flight == NULL) {
        (void)sck_exit_cond_wait(&flights->moved, lock, NULL);
        return;
    }
    struct timespec until = {wait->deadline_us / 1000000, wait->deadline_us % 1000000 * 1000};
    (void)sck_exit_cond_wait(&flights->moved, lock, &until);
    if (wait->lead || wait->flight == NULL || sck_monotonic_us(engine->clock) < wait->deadline_us)
        return;
    unlink_wait(wait->flight, wait);
    wait->flight = NULL;
    wait->over = true;
    wait->code = sck_fail(&wait->err, SCK_E_CONNECT, OUT_OF_TIME);
}

/*
 * With the lock held: the wait is over for its own sake.  What it leaves behind: who leads now, a call that nobody waits
 * for (with a reference of the caller's), or a flight that nobody will begin, with those whose time is over.
 */
struct left {
    struct sck_dek_wait *successor;
    struct sck_dek_call *unwanted;
    struct sck_dek_flight *dead;
    struct sck_dek_wait *late;
};

static void
leave(struct sck_engine *engine, struct sck_dek_wait *wait, enum sck_code why, struct left *left)
{
    struct sck_dek_flight *f = wait->flight;
    unlink_wait(f, wait);
    wait->flight = NULL;
    wait->code = sck_fail(&wait->err, why, "%s", why == SCK_E_CANCELLED ? "the request was cancelled" : OUT_OF_TIME);
    wait->over = true;
    if (f->leader == wait) {
        left->successor = promote(f, sck_monotonic_us(engine->clock));
        if (left->successor != NULL)
            return;
        unlink_flight(engine, f);
        left->late = take_waits(f, true, 0);
        left->dead = f;
    } else if (f->leader == NULL && f->waits == NULL) {
        /* No one shall join it any more; it frees itself when the call is over. */
        unlink_flight(engine, f);
        left->unwanted = f->call;
        left->unwanted->refs++;
    }
}

/* Without the lock. */
static void
tidy(struct sck_engine *engine, struct left *left, bool owed)
{
    struct sck_err why = SCK_ERR_INIT;
    if (left->unwanted != NULL)
        sck_dek_call_cancel(left->unwanted);
    sck_dek_call_unref(&left->unwanted);
    if (owed)
        left->successor->wake(left->successor);
    if (left->dead == NULL)
        return;
    enum sck_code code = sck_fail(&why, SCK_E_CONNECT, OUT_OF_TIME);
    deliver(engine, left->late, code, &why, NULL);
    free_flight(left->dead);
}

bool
sck_dek_flight_go(struct sck_engine *engine, struct sck_dek_wait *wait)
{
    pthread_mutex_t *lock = sck_dek_cache_mutex(engine->deks);
    struct left left = {0};
    bool async = wait->wake != NULL;
    bool owed = false;
    pthread_mutex_lock(lock);
    bool cancelled = wait->cancelled != NULL && atomic_load(wait->cancelled);
    if (async && !wait->over && wait->flight != NULL &&
        (cancelled || is_late(wait, sck_monotonic_us(engine->clock)))) {
        leave(engine, wait, cancelled ? SCK_E_CANCELLED : SCK_E_CONNECT, &left);
        owed = left.successor != NULL && unpark(engine, left.successor);
    }
    bool over = wait->over;
    if (async && !over) {
        /* From here on it may be over and gone at any moment. */
        wait->parked = true;
        if (wait->lead)
            lead(wait, lock);
    }
    while (!async && !wait->over) {
        if (wait->lead)
            lead(wait, lock);
        else
            block(engine, wait, lock);
    }
    pthread_mutex_unlock(lock);
    tidy(engine, &left, owed);
    return over || !async;
}

void
sck_dek_flight_leave(struct sck_engine *engine, struct sck_dek_wait *wait, enum sck_code why)
{
    pthread_mutex_t *lock = sck_dek_cache_mutex(engine->deks);
    struct left left = {0};
    bool owed = false;
    bool woken = false;
    pthread_mutex_lock(lock);
    if (wait->flight != NULL) {
        leave(engine, wait, why, &left);
        owed = left.successor != NULL && unpark(engine, left.successor);
        woken = unpark(engine, wait);
    }
    pthread_mutex_unlock(lock);
    tidy(engine, &left, owed);
    if (woken)
        wait->wake(wait);
}
