/* SPDX-License-Identifier: MIT */
/* Threads that step asynchronous requests, and the callbacks that follow. */
#include "lib/api/api.h"

#include "lib/base/clock.h"
#include "lib/base/exit.h"
#include "lib/base/metric.h"
#include "lib/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void
init_conds(struct sck_pool *pool)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->work, NULL);
    (void)pthread_cond_init(&pool->moved, NULL);
    (void)pthread_cond_init(&pool->tick, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

enum sck_code
sck_pool_init(struct sck_pool *pool, size_t most, bool dispatch, struct sck_err *err)
{
    pool->most = most;
    pool->event_fd = dispatch ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (dispatch && pool->event_fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot make a descriptor for callbacks");
    pool->threads = calloc(most, sizeof *pool->threads);
    if (pool->threads == NULL) {
        if (pool->event_fd >= 0)
            (void)close(pool->event_fd);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    (void)pthread_mutex_init(&pool->lock, NULL);
    init_conds(pool);
    return SCK_OK;
}

void
sck_pool_clear(struct sck_pool *pool)
{
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_cond_destroy(&pool->moved);
    (void)pthread_cond_destroy(&pool->tick);
    (void)pthread_mutex_destroy(&pool->lock);
    if (pool->event_fd >= 0)
        (void)close(pool->event_fd);
    free(pool->threads);
}

/* ---- queues; all with the lock held ---- */

static void
push(struct sck_request_queue *queue, struct scopekey_request *r)
{
    r->next = NULL;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = r;
    queue->last = r;
}

static struct scopekey_request *
pop(struct sck_request_queue *queue)
{
    struct scopekey_request *r = queue->first;
    queue->first = r->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return r;
}

static void
take_out(struct sck_request_queue *queue, const struct scopekey_request *r)
{
    struct scopekey_request *before = NULL;
    for (struct scopekey_request *at = queue->first; at != r; at = at->next)
        before = at;
    *(before != NULL ? &before->next : &queue->first) = r->next;
    if (queue->last == r)
        queue->last = before;
}

static void
queue_step(struct sck_pool *pool, struct scopekey_request *r)
{
    push(&pool->queue, r);
    r->queued = true;
    pthread_cond_signal(&pool->work);
}

static void
enlist(struct sck_pool *pool, struct scopekey_request *r)
{
    r->older = pool->newest;
    if (pool->newest != NULL)
        pool->newest->newer = r;
    pool->newest = r;
    pool->count++;
}

static struct sck_metric *
in_flight(void)
{
    return sck_metric_gauge("scopekey_materials_in_flight", "Asynchronous requests under way.", "");
}

/* From here on the pool knows it no more. */
static void
end(struct sck_pool *pool, struct scopekey_request *r)
{
    *(r->newer != NULL ? &r->newer->older : &pool->newest) = r->older;
    if (r->older != NULL)
        r->older->newer = r->newer;
    r->state = SCK_REQUEST_ENDED;
    pool->count--;
    sck_metric_add(in_flight(), -1);
    pthread_cond_broadcast(&pool->moved);
}

/* The descriptor is readable as long as a callback is owed. */
static void
signal_owed(struct sck_pool *pool)
{
    eventfd_t ignored;
    if (pool->owed.first != NULL)
        (void)eventfd_write(pool->event_fd, 1);
    else
        (void)eventfd_read(pool->event_fd, &ignored);
}

/* ---- threads ---- */

/* With the lock held, which is let go for the callback. */
static void
call_done(struct sck_pool *pool, struct scopekey_request *r)
{
    r->state = SCK_REQUEST_CALLING;
    r->caller = pthread_self();
    pthread_mutex_unlock(&pool->lock);
    r->done(r->arg, r);
    pthread_mutex_lock(&pool->lock);
    end(pool, r);
}

static void
request_over(struct sck_pool *pool, struct scopekey_request *r)
{
    bool ended = true;
    pthread_mutex_lock(&pool->lock);
    if (r->freed || r->done == NULL) {
        end(pool, r);
    } else if (pool->event_fd < 0) {
        call_done(pool, r);
    } else {
        r->state = SCK_REQUEST_OVER;
        push(&pool->owed, r);
        signal_owed(pool);
        pthread_cond_broadcast(&pool->moved);
        ended = false;
    }
    pthread_mutex_unlock(&pool->lock);
    if (ended)
        sck_request_unref(&r);
}

static void *
work(void *arg)
{
    struct sck_pool *pool = arg;
    sck_exit_enter();
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        pool->idle++;
        while (pool->queue.first == NULL && !pool->ending)
            (void)sck_exit_cond_wait(&pool->work, &pool->lock, NULL);
        pool->idle--;
        if (pool->queue.first == NULL)
            break;
        struct scopekey_request *r = pop(&pool->queue);
        r->queued = false;
        pthread_mutex_unlock(&pool->lock);
        /* When it is not over, another thread has it from here on. */
        if (sck_request_step(r))
            request_over(pool, r);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    sck_exit_leave();
    return NULL;
}

/* With the lock held: one whose deadline has passed, or NULL and when to look again. */
static struct scopekey_request *
find_late(struct sck_pool *pool)
{
    int64_t now = sck_monotonic_us(sck_clock_system());
    pool->next_us = INT64_MAX;
    for (struct scopekey_request *r = pool->newest; r != NULL; r = r->older) {
        int64_t deadline = r->job.deadline_us;
        if (r->state != SCK_REQUEST_WAITING || r->expired || deadline == 0)
            continue;
        if (deadline <= now)
            return r;
        pool->next_us = deadline < pool->next_us ? deadline : pool->next_us;
    }
    return NULL;
}

/* With the lock held, which is let go: what is out of time takes its last step here if it is in the queue. */
static void
expire(struct sck_pool *pool, struct scopekey_request *r)
{
    r->expired = true;
    atomic_fetch_add(&r->refs, 1);
    pthread_mutex_unlock(&pool->lock);
    sck_request_expire_job(r);
    pthread_mutex_lock(&pool->lock);
    bool mine = r->queued;
    if (mine) {
        take_out(&pool->queue, r);
        r->queued = false;
    }
    pthread_mutex_unlock(&pool->lock);
    if (mine && sck_request_step(r))
        request_over(pool, r);
    sck_request_unref(&r);
    pthread_mutex_lock(&pool->lock);
}

static void *
keep_time(void *arg)
{
    struct sck_pool *pool = arg;
    sck_exit_enter();
    pthread_mutex_lock(&pool->lock);
    while (!pool->ending) {
        struct scopekey_request *late = find_late(pool);
        if (late != NULL) {
            expire(pool, late);
        } else if (pool->next_us == INT64_MAX) {
            (void)sck_exit_cond_wait(&pool->tick, &pool->lock, NULL);
        } else {
            struct timespec until = {pool->next_us / 1000000, pool->next_us % 1000000 * 1000};
            (void)sck_exit_cond_wait(&pool->tick, &pool->lock, &until);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    sck_exit_leave();
    return NULL;
}

/* With the lock held. */
static enum sck_code
have_timer(struct sck_pool *pool, int64_t deadline_us, struct sck_err *err)
{
    if (deadline_us == 0)
        return SCK_OK;
    if (!pool->timing) {
        enum sck_code rc = sck_thread_start(&pool->timer, keep_time, pool, err);
        if (rc != SCK_OK)
            return rc;
        pool->timing = true;
    }
    if (deadline_us < pool->next_us)
        pthread_cond_signal(&pool->tick);
    return SCK_OK;
}

/* With the lock held.  One thread at least, or nothing would ever be done. */
static enum sck_code
have_threads(struct sck_pool *pool, struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    if (pool->idle > 0 || pool->started == pool->most)
        return SCK_OK;
    enum sck_code rc = sck_thread_start(&pool->threads[pool->started], work, pool, &why);
    if (rc == SCK_OK)
        pool->started++;
    return pool->started > 0 ? SCK_OK : sck_fail(err, rc, "%s", why.message);
}

/* struct sck_dek_job.wake: on a thread of the keeper's, or of whoever cancelled or led. */
static void
job_woken(struct sck_dek_job *job)
{
    struct scopekey_request *r = job->arg;
    struct sck_pool *pool = &r->scopekey->pool;
    pthread_mutex_lock(&pool->lock);
    queue_step(pool, r);
    pthread_mutex_unlock(&pool->lock);
}

enum sck_code
sck_pool_add(struct sck_pool *pool, struct scopekey_request *request, struct sck_err *err)
{
    request->job.wake = job_woken;
    request->job.arg = request;
    pthread_mutex_lock(&pool->lock);
    enum sck_code rc = pool->closing ? sck_fail(err, SCK_E_STATE, "it is being closed")
                       : sck_exit_is_under_way() ? sck_fail(err, SCK_E_STATE, "the process is exiting")
                                                 : have_threads(pool, err);
    if (rc == SCK_OK)
        rc = have_timer(pool, request->job.deadline_us, err);
    if (rc == SCK_OK) {
        atomic_fetch_add(&request->refs, 1);
        enlist(pool, request);
        queue_step(pool, request);
        sck_metric_add(in_flight(), 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

/* ---- what callers do ---- */

void
sck_pool_cancel(struct sck_pool *pool, struct scopekey_request *request)
{
    pthread_mutex_lock(&pool->lock);
    bool under_way = request->state == SCK_REQUEST_WAITING && !request->cancelled;
    request->cancelled = true;
    pthread_mutex_unlock(&pool->lock);
    /* Without the lock: it may wake the request at once. */
    if (under_way)
        sck_request_cancel_job(request);
}

void
sck_pool_release(struct sck_pool *pool, struct scopekey_request *request)
{
    bool unowed = false;
    pthread_mutex_lock(&pool->lock);
    while (request->state == SCK_REQUEST_CALLING && !pthread_equal(request->caller, pthread_self()))
        (void)pthread_cond_wait(&pool->moved, &pool->lock);
    request->freed = true;
    bool under_way = request->state == SCK_REQUEST_WAITING;
    if (request->state == SCK_REQUEST_OVER) {
        take_out(&pool->owed, request);
        signal_owed(pool);
        end(pool, request);
        unowed = true;
    }
    bool lost = request->state == SCK_REQUEST_LOST;
    pthread_mutex_unlock(&pool->lock);
    if (under_way)
        sck_pool_cancel(pool, request);
    struct scopekey_request *pools = request;
    if (unowed || lost)
        sck_request_unref(&pools);
    sck_request_unref(&request);
}

size_t
sck_pool_dispatch(struct sck_pool *pool, size_t most)
{
    size_t called = 0;
    pthread_mutex_lock(&pool->lock);
    /* What becomes due meanwhile waits for the next call, or this one might never end. */
    struct scopekey_request *last = pool->owed.last;
    bool more = pool->owed.first != NULL;
    while (more && (most == 0 || called < most) && pool->owed.first != NULL) {
        struct scopekey_request *r = pop(&pool->owed);
        signal_owed(pool);
        more = r != last;
        called++;
        call_done(pool, r);
        pthread_mutex_unlock(&pool->lock);
        sck_request_unref(&r);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return called;
}

bool
sck_pool_is_over(struct sck_pool *pool, const struct scopekey_request *request)
{
    pthread_mutex_lock(&pool->lock);
    bool over = request->state != SCK_REQUEST_WAITING && request->state != SCK_REQUEST_LOST;
    pthread_mutex_unlock(&pool->lock);
    return over;
}

/* With the lock held, which is let go meanwhile: ask all that are under way to end. */
static void
cancel_all(struct sck_pool *pool)
{
    struct scopekey_request *r = pool->newest;
    while (r != NULL) {
        if (r->state != SCK_REQUEST_WAITING || r->cancelled) {
            r = r->older;
            continue;
        }
        atomic_fetch_add(&r->refs, 1);
        pthread_mutex_unlock(&pool->lock);
        sck_pool_cancel(pool, r);
        sck_request_unref(&r);
        pthread_mutex_lock(&pool->lock);
        r = pool->newest;
    }
}

void
sck_pool_close(struct sck_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    cancel_all(pool);
    while (pool->count > 0) {
        if (pool->owed.first == NULL) {
            (void)pthread_cond_wait(&pool->moved, &pool->lock);
            continue;
        }
        pthread_mutex_unlock(&pool->lock);
        (void)sck_pool_dispatch(pool, 0);
        pthread_mutex_lock(&pool->lock);
    }
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_cond_signal(&pool->tick);
    pthread_mutex_unlock(&pool->lock);
    if (pool->timing)
        (void)pthread_join(pool->timer, NULL);
    for (size_t i = 0; i < pool->started; i++)
        (void)pthread_join(pool->threads[i], NULL);
    pool->started = 0;
}

/* ---- forks ---- */

void
sck_pool_lock(struct sck_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
}

void
sck_pool_unlock(struct sck_pool *pool)
{
    pthread_mutex_unlock(&pool->lock);
}

/* The threads are the parent's, and with them the requests; the descriptor would be shared with it. */
void
sck_pool_unlock_in_child(struct sck_pool *pool)
{
    for (struct scopekey_request *r = pool->newest; r != NULL; r = r->older) {
        if (r->state != SCK_REQUEST_CALLING)
            r->state = SCK_REQUEST_LOST;
    }
    pool->newest = NULL;
    pool->count = 0;
    pool->started = 0;
    pool->idle = 0;
    pool->timing = false;
    pool->queue = (struct sck_request_queue){NULL, NULL};
    pool->owed = (struct sck_request_queue){NULL, NULL};
    init_conds(pool);
    int fresh = pool->event_fd >= 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (fresh >= 0) {
        (void)dup3(fresh, pool->event_fd, O_CLOEXEC);
        (void)close(fresh);
    }
    pthread_mutex_unlock(&pool->lock);
}
