/* SPDX-License-Identifier: MIT */
#include "lib/token/session.h"

#include "lib/base/clock.h"
#include "lib/token/key.h"

#include <errno.h>
#include <string.h>

/* After the token ran out of sessions, how long until more are asked for again. */
enum { LIMIT_RETRY_US = 5 * 1000 * 1000 };

static void
queue_put(struct sck_queue *q, struct sck_waiter *w)
{
    w->next = NULL;
    if (q->tail == NULL)
        q->head = w;
    else
        q->tail->next = w;
    q->tail = w;
}

static void
queue_remove(struct sck_queue *q, struct sck_waiter *w)
{
    struct sck_waiter *before = NULL;
    for (struct sck_waiter *at = q->head; at != NULL; before = at, at = at->next) {
        if (at != w)
            continue;
        if (before == NULL)
            q->head = w->next;
        else
            before->next = w->next;
        if (q->tail == w)
            q->tail = before;
        return;
    }
}

static struct sck_waiter *
queue_pop(struct sck_queue *q)
{
    struct sck_waiter *w = q->head;
    if (w != NULL)
        queue_remove(q, w);
    return w;
}

/* Let the first in the queue look again. */
static void
queue_nudge(struct sck_queue *q)
{
    struct sck_waiter *w = queue_pop(q);
    if (w != NULL) {
        w->again = true;
        pthread_cond_signal(&w->wake);
    }
}

void
sck_session_wake_all(struct sck_token *t)
{
    while (t->worker_queue.head != NULL)
        queue_nudge(&t->worker_queue);
    while (t->internal_queue.head != NULL)
        queue_nudge(&t->internal_queue);
}

CK_RV
sck_session_open_raw(struct sck_token *t, struct sck_conn *c, CK_SLOT_ID slot, CK_SESSION_HANDLE *out)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    CK_RV rv = SCK_P11(c, C_OpenSession, slot, flags, NULL, NULL, out);
    if (rv == CKR_TOKEN_WRITE_PROTECTED)
        rv = SCK_P11(c, C_OpenSession, slot, CKF_SERIAL_SESSION, NULL, NULL, out);
    while (rv == CKR_SESSION_COUNT) {
        /* Sessions of a lost incarnation may be open still; they were kept because their handles may by now be
         * somebody else's.  Here they stand in our way. */
        pthread_mutex_lock(&t->lock);
        bool have = t->parked_count > 0;
        CK_SESSION_HANDLE old = have ? t->parked[--t->parked_count] : 0;
        pthread_mutex_unlock(&t->lock);
        if (!have)
            break;
        if (SCK_P11(c, C_CloseSession, old) == CKR_OK)
            rv = SCK_P11(c, C_OpenSession, slot, flags, NULL, NULL, out);
    }
    return rv;
}

/* What a look at the pool says, with t->lock held. */
enum look { LOOK_GOT, LOOK_OPEN_ONE, LOOK_WAIT, LOOK_COLD, LOOK_INTERNAL };

static enum look
look(struct sck_token *t, enum sck_need need, bool internal, bool first_in_line, CK_SESSION_HANDLE *out)
{
    if (t->state != SCK_TOKEN_OPEN || (need == SCK_NEED_KEYS && t->bare))
        return LOOK_COLD;
    if (internal) {
        if (t->internal_busy || (t->internal_queue.head != NULL && !first_in_line))
            return LOOK_WAIT;
        t->internal_busy = true;
        *out = t->internal;
        return LOOK_GOT;
    }
    if (t->worker_queue.head != NULL && !first_in_line)
        return LOOK_WAIT;
    if (t->idle_count > 0) {
        *out = t->idle[--t->idle_count];
        return LOOK_GOT;
    }
    if (t->worker_limit < t->conf.max_sessions - 1 &&
        sck_monotonic_us(sck_clock_system()) >= t->limit_until_us)
        t->worker_limit = t->conf.max_sessions - 1;
    if (t->worker_limit == 0)
        return LOOK_INTERNAL;
    if (t->worker_count < t->worker_limit) {
        t->worker_count++;
        return LOOK_OPEN_ONE;
    }
    return LOOK_WAIT;
}

/* The token has no session left for a worker.  With t->lock held. */
static void
shrink(struct sck_token *t)
{
    t->worker_limit = t->worker_count;
    t->limit_until_us = sck_monotonic_us(sck_clock_system()) + LIMIT_RETRY_US;
    if (t->worker_limit == 0)
        sck_session_wake_all(t);
}

static void
fill_use(struct sck_token *t, bool internal, struct sck_use *use)
{
    use->token = t;
    use->conn = t->conn;
    use->incarnation = t->incarnation;
    use->sessions_age = t->sessions_age;
    use->is_internal = internal;
    use->dirty = false;
}

/* Open the worker that look() counted.  *got is false when the caller has to look again. */
static enum sck_code
open_worker(struct sck_token *t, struct sck_use *use, bool *got, struct sck_err *err)
{
    CK_SLOT_ID slot;
    *got = false;
    pthread_mutex_lock(&t->lock);
    fill_use(t, false, use);
    slot = t->slot;
    pthread_mutex_unlock(&t->lock);
    CK_RV rv = sck_session_open_raw(t, &use->conn, slot, &use->session);
    pthread_mutex_lock(&t->lock);
    bool current = use->sessions_age == t->sessions_age;
    if (rv != CKR_OK && current) {
        t->worker_count--;
        if (rv == CKR_SESSION_COUNT)
            shrink(t);
        else
            queue_nudge(&t->worker_queue);
    }
    pthread_mutex_unlock(&t->lock);
    if (rv == CKR_OK && current) {
        *got = true;
        return SCK_OK;
    }
    if (rv == CKR_OK) {
        (void)SCK_P11(&use->conn, C_CloseSession, use->session);
        return SCK_OK;
    }
    if (rv == CKR_SESSION_COUNT || !current)
        return SCK_OK;
    sck_token_note_lost(t, use, rv);
    return sck_rv_lost(rv) != SCK_LOST_NOTHING ? SCK_OK : sck_fail_rv(err, rv, "opening a session on token %s",
                                                                      t->conf.label);
}

/* Wait in line with t->lock held.  SCK_E_BUSY when the time is over. */
static enum sck_code
wait_in_line(struct sck_token *t, struct sck_queue *q, struct sck_waiter *w, const struct timespec *until,
             struct sck_err *err)
{
    w->granted = w->again = false;
    queue_put(q, w);
    while (!w->granted && !w->again) {
        int failed = pthread_cond_clockwait(&w->wake, &t->lock, CLOCK_MONOTONIC, until);
        if (failed == ETIMEDOUT && !w->granted && !w->again) {
            queue_remove(q, w);
            return sck_fail(err, SCK_E_BUSY,
                            "no session of token %s became free within %lld ms: raise max_sessions or "
                            "session_wait_ms",
                            t->conf.label, (long long)t->conf.session_wait_ms);
        }
    }
    return SCK_OK;
}

enum sck_code
sck_session_take(struct sck_token *t, enum sck_need need, bool internal, struct sck_use *use, struct sck_err *err)
{
    struct timespec until = sck_deadline_after_ms(t->conf.session_wait_ms);
    struct sck_waiter w = {.wake = PTHREAD_COND_INITIALIZER};
    enum sck_code rc = SCK_OK;
    bool got = false, waited = false;
    /* A token that is lost again and again must not keep us here for ever. */
    for (int rounds = 0; rc == SCK_OK && !got; rounds++) {
        pthread_mutex_lock(&t->lock);
        enum look found = look(t, need, internal, waited, &use->session);
        if (found == LOOK_WAIT) {
            rc = wait_in_line(t, internal ? &t->internal_queue : &t->worker_queue, &w, &until, err);
            waited = true;
            if (rc == SCK_OK && w.granted) {
                use->session = w.session;
                found = LOOK_GOT;
            }
        }
        if (rc == SCK_OK && found == LOOK_GOT) {
            fill_use(t, internal, use);
            got = true;
        }
        pthread_mutex_unlock(&t->lock);
        if (rc == SCK_OK && found == LOOK_COLD) {
            rc = rounds > 64 ? sck_fail(err, SCK_E_TOKEN, "token %s is lost again and again: check it", t->conf.label)
                             : sck_token_open(t, need, err);
        } else if (found == LOOK_OPEN_ONE) {
            rc = open_worker(t, use, &got, err);
        } else if (found == LOOK_INTERNAL) {
            internal = true;
        }
    }
    pthread_cond_destroy(&w.wake);
    use->object = CK_INVALID_HANDLE;
    return rc;
}

bool
sck_session_try_internal_locked(struct sck_token *t, struct sck_use *use)
{
    if (t->state != SCK_TOKEN_OPEN || t->internal_busy || t->internal_queue.head != NULL)
        return false;
    t->internal_busy = true;
    use->session = t->internal;
    use->object = CK_INVALID_HANDLE;
    fill_use(t, true, use);
    return true;
}

/* Destroy the session objects of keys that nobody has any more; the internal session is ours. */
static void
sweep(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session)
{
    for (;;) {
        pthread_mutex_lock(&t->lock);
        struct sck_tkey *k = t->garbage;
        if (k != NULL)
            t->garbage = k->next_garbage;
        bool alive = k != NULL && k->incarnation == t->incarnation && t->state == SCK_TOKEN_OPEN;
        pthread_mutex_unlock(&t->lock);
        if (k == NULL)
            return;
        if (alive)
            (void)SCK_P11(c, C_DestroyObject, session, k->handle);
        sck_tkey_free(k);
    }
}

static void
give_internal(struct sck_use *use)
{
    struct sck_token *t = use->token;
    bool more = true;
    while (more) {
        sweep(t, &use->conn, use->session);
        pthread_mutex_lock(&t->lock);
        more = t->garbage != NULL;
        if (!more && use->sessions_age == t->sessions_age) {
            struct sck_waiter *w = queue_pop(&t->internal_queue);
            t->internal_busy = w != NULL;
            if (w == NULL) {
                pthread_cond_broadcast(&t->changed);
            } else {
                w->session = t->internal;
                w->granted = true;
                pthread_cond_signal(&w->wake);
            }
        }
        pthread_mutex_unlock(&t->lock);
    }
}

static void
give_worker(struct sck_use *use)
{
    struct sck_token *t = use->token;
    if (use->dirty)
        (void)SCK_P11(&use->conn, C_CloseSession, use->session);
    pthread_mutex_lock(&t->lock);
    if (use->sessions_age != t->sessions_age) {
        if (!use->dirty && t->parked_count < SCK_PARKED_MAX && use->conn.generation == t->conn.generation)
            t->parked[t->parked_count++] = use->session;
    } else if (use->dirty) {
        t->worker_count--;
        queue_nudge(&t->worker_queue);
    } else {
        struct sck_waiter *w = queue_pop(&t->worker_queue);
        if (w != NULL) {
            w->session = use->session;
            w->granted = true;
            pthread_cond_signal(&w->wake);
        } else {
            t->idle[t->idle_count++] = use->session;
        }
    }
    pthread_mutex_unlock(&t->lock);
}

bool
sck_session_give(struct sck_use *use, CK_RV rv)
{
    if (rv == CKR_OPERATION_ACTIVE || rv == CKR_BUFFER_TOO_SMALL || sck_rv_lost(rv) == SCK_LOST_LOGIN)
        use->dirty = !use->is_internal || sck_rv_lost(rv) != SCK_LOST_LOGIN;
    sck_token_note_lost(use->token, use, use->is_internal && use->dirty ? CKR_SESSION_CLOSED : rv);
    if (use->is_internal)
        give_internal(use);
    else
        give_worker(use);
    return sck_rv_lost(rv) != SCK_LOST_NOTHING || rv == CKR_OPERATION_ACTIVE ||
        rv == CKR_OPERATION_NOT_INITIALIZED;
}

enum sck_code
sck_token_run(struct sck_token *t, enum sck_need need, bool internal, sck_op_fn op, void *arg, const char *what,
              struct sck_err *err)
{
    for (int attempt = 0;; attempt++) {
        struct sck_use use;
        enum sck_code rc = sck_session_take(t, need, internal, &use, err);
        if (rc != SCK_OK)
            return rc;
        CK_RV rv = op(&use, arg);
        bool again = sck_session_give(&use, rv);
        if (rv == CKR_OK)
            return SCK_OK;
        if (!again || attempt > 0)
            return sck_fail_rv(err, rv, "%s", what);
    }
}
