/* SPDX-License-Identifier: MIT */
#include "vault/http/reactor.h"

#include "lib/base/exit.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum { INBOX_ROUND = 1024, HTTP2_STREAMS = 32 };

static struct sck_task *
task_of_timer(struct sck_timer *timer)
{
    return (struct sck_task *)(void *)((char *)timer - offsetof(struct sck_task, timer));
}

bool
sck_reactor_push_locked(struct sck_reactor *r, struct sck_task *t)
{
    if (!t->in_inbox) {
        t->in_inbox = true;
        t->inbox_next = NULL;
        *r->inbox_end = t;
        r->inbox_end = &t->inbox_next;
    }
    bool wake = r->polling;
    r->polling = false;
    return wake;
}

void
sck_reactor_unlink_locked(struct sck_reactor *r, struct sck_task *t)
{
    struct sck_task **at = &r->inbox;
    if (!t->in_inbox)
        return;
    while (*at != t)
        at = &(*at)->inbox_next;
    *at = t->inbox_next;
    if (r->inbox_end == &t->inbox_next)
        r->inbox_end = at;
    t->in_inbox = false;
}

static void
got_credential(struct sck_credential_waiter *waiter, enum sck_code code, struct sck_secret *value,
               const struct sck_err *err)
{
    struct sck_task *t = (struct sck_task *)(void *)((char *)waiter - offsetof(struct sck_task, waiter));
    struct sck_reactor *r = t->reactor;
    if (code != SCK_OK)
        t->call->err = *err;
    t->value = value;
    t->value_code = code;
    sck_forklock_take(&r->loop->lock);
    t->got = true;
    if (sck_reactor_push_locked(r, t))
        (void)curl_multi_wakeup(r->multi);
    sck_forklock_give(&r->loop->lock);
}

/* ---- the thread: one task ---- */

static void
queue_put(struct sck_reactor *r, struct sck_task *t)
{
    t->next = NULL;
    t->prev = r->queue_last;
    *(r->queue_last != NULL ? &r->queue_last->next : &r->queue) = t;
    r->queue_last = t;
}

static void
queue_remove(struct sck_reactor *r, struct sck_task *t)
{
    *(t->prev != NULL ? &t->prev->next : &r->queue) = t->next;
    *(t->next != NULL ? &t->next->prev : &r->queue_last) = t->prev;
    t->prev = t->next = NULL;
}

static void
finish(struct sck_reactor *r, struct sck_task *t)
{
    *(t->prev_all != NULL ? &t->prev_all->next_all : &r->all) = t->next_all;
    if (t->next_all != NULL)
        t->next_all->prev_all = t->prev_all;
    t->prev_all = t->next_all = NULL;
    t->at = SCK_TASK_IDLE;
    t->done(t);
}

static void
want_credential(struct sck_task *t)
{
    struct sck_credential *c = t->call->credential;
    t->at = SCK_TASK_CREDENTIAL;
    t->waiter = (struct sck_credential_waiter){.got = got_credential, .deadline_us = t->call->until_us};
    c->ops->want(c, t->call->token, &t->waiter);
}

static void
enqueue(struct sck_reactor *r, struct sck_task *t)
{
    t->at = SCK_TASK_QUEUED;
    queue_put(r, t);
    sck_timer_set(&r->timers, &t->timer, t->call->until_us);
}

static void
go_on(struct sck_reactor *r, struct sck_task *t, enum sck_next next)
{
    switch (next) {
    case SCK_NEXT_CREDENTIAL:
        want_credential(t);
        return;
    case SCK_NEXT_EXCHANGE:
        enqueue(r, t);
        return;
    case SCK_NEXT_WAIT:
        t->at = SCK_TASK_WAITING;
        sck_timer_set(&r->timers, &t->timer, t->call->wait_until_us);
        return;
    case SCK_NEXT_OVER:
        finish(r, t);
        return;
    }
}

static void
send_one(struct sck_reactor *r, struct sck_task *t)
{
    queue_remove(r, t);
    sck_timer_unset(&r->timers, &t->timer);
    const struct sck_http_request *request = sck_call_request(t->call);
    if (!sck_exchange_begin(&t->exchange, r->loop->http, &r->sockets, request, &t->call->answer.reply)) {
        go_on(r, t, sck_call_answered(t->call));
        return;
    }
    t->at = SCK_TASK_SENT;
    t->exchange.owner = t;
    r->sent++;
    if (curl_multi_add_handle(r->multi, t->exchange.easy) != CURLM_OK) {
        r->sent--;
        sck_exchange_end(&t->exchange, CURLE_OUT_OF_MEMORY);
        go_on(r, t, sck_call_answered(t->call));
    }
}

static void
answered(struct sck_reactor *r, struct sck_task *t, CURLcode rc)
{
    (void)curl_multi_remove_handle(r->multi, t->exchange.easy);
    r->sent--;
    sck_exchange_end(&t->exchange, rc);
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return;
    go_on(r, t, sck_call_answered(t->call));
}

/* What was called back, if it was already; it is no news then any more. */
static bool
take_credential(struct sck_reactor *r, struct sck_task *t)
{
    sck_forklock_take(&r->loop->lock);
    bool got = t->got;
    t->got = false;
    if (got)
        sck_reactor_unlink_locked(r, t);
    sck_forklock_give(&r->loop->lock);
    return got;
}

/* Whatever it waits for; false when it waits for a credential that is on its way here. */
static bool
let_go(struct sck_reactor *r, struct sck_task *t)
{
    switch (t->at) {
    case SCK_TASK_CREDENTIAL:
        if (!t->call->credential->ops->unwant(t->call->credential, &t->waiter) && !take_credential(r, t))
            return false;
        sck_secret_free(&t->value);
        break;
    case SCK_TASK_QUEUED:
        queue_remove(r, t);
        sck_timer_unset(&r->timers, &t->timer);
        break;
    case SCK_TASK_SENT:
        answered(r, t, CURLE_ABORTED_BY_CALLBACK);
        break;
    case SCK_TASK_WAITING:
        sck_timer_unset(&r->timers, &t->timer);
        break;
    case SCK_TASK_IDLE:
    case SCK_TASK_STARTED:
        break;
    }
    return true;
}

static void
end_cancelled(struct sck_reactor *r, struct sck_task *t)
{
    if (!let_go(r, t))
        return;
    t->cancelled = true;
    if (t->call != NULL)
        sck_call_cancelled(t->call);
    finish(r, t);
}

/* What came for one task by way of the inbox. */
static void
take_in(struct sck_reactor *r, struct sck_task *t, bool got, bool cancelled)
{
    if (t->at == SCK_TASK_STARTED) {
        t->next_all = r->all;
        if (r->all != NULL)
            r->all->prev_all = t;
        r->all = t;
    }
    if (cancelled) {
        end_cancelled(r, t);
    } else if (t->at == SCK_TASK_STARTED && t->call != NULL) {
        go_on(r, t, sck_call_begin(t->call));
    } else if (t->at == SCK_TASK_STARTED) {
        t->at = SCK_TASK_WAITING;
        sck_timer_set(&r->timers, &t->timer, t->timer.at_us);
    } else if (t->at == SCK_TASK_CREDENTIAL && got) {
        struct sck_secret *value = t->value;
        t->value = NULL;
        go_on(r, t, sck_call_credential(t->call, t->value_code, value, &t->call->err));
    }
}

/* ---- the thread: all of them ---- */

static void
drain_inbox(struct sck_reactor *r)
{
    /* Bounded: whoever fails at once and begins anew must not keep the others waiting. */
    for (unsigned i = 0; i < INBOX_ROUND; i++) {
        sck_forklock_take(&r->loop->lock);
        struct sck_task *t = r->inbox;
        bool got = false, cancelled = false;
        if (t != NULL) {
            cancelled = t->cancelled || r->stop;
            /* A cancelled one looks for itself whether its credential has come. */
            got = t->got && !cancelled;
            t->got = t->got && cancelled;
            sck_reactor_unlink_locked(r, t);
        }
        sck_forklock_give(&r->loop->lock);
        if (t == NULL)
            return;
        take_in(r, t, got, cancelled);
    }
}

static void
ring(struct sck_reactor *r)
{
    struct sck_timer *timer;
    int64_t now = sck_monotonic_us(r->loop->clock);
    while ((timer = sck_timer_due(&r->timers, now)) != NULL) {
        struct sck_task *t = task_of_timer(timer);
        if (t->call == NULL) {
            finish(r, t);
        } else if (t->at == SCK_TASK_QUEUED) {
            queue_remove(r, t);
            go_on(r, t, sck_call_expired(t->call));
        } else {
            go_on(r, t, sck_call_waited(t->call));
        }
    }
}

/* Move exchanges on; true when something came to its end. */
static bool
perform(struct sck_reactor *r)
{
    int running = 0, left = 0;
    bool moved = false;
    size_t most = r->loop->connections * (r->loop->http->http2 ? HTTP2_STREAMS : 1);
    while (r->queue != NULL && r->sent < most)
        send_one(r, r->queue);
    (void)curl_multi_perform(r->multi, &running);
    for (CURLMsg *m = curl_multi_info_read(r->multi, &left); m != NULL; m = curl_multi_info_read(r->multi, &left)) {
        char *exchange = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &exchange);
        answered(r, ((struct sck_exchange *)(void *)exchange)->owner, rc);
        moved = true;
    }
    return moved;
}

static void
wait_for_more(struct sck_reactor *r)
{
    int64_t ms = 60000;
    if (r->timers.first != NULL) {
        ms = (r->timers.first->at_us - sck_monotonic_us(r->loop->clock) + 999) / 1000;
        ms = ms < 0 ? 0 : ms > 60000 ? 60000 : ms;
    }
    sck_forklock_take(&r->loop->lock);
    r->polling = r->inbox == NULL;
    bool wait = r->polling;
    sck_forklock_give(&r->loop->lock);
    if (wait) {
        sck_exit_rest();
        (void)curl_multi_poll(r->multi, NULL, 0, (int)ms, NULL);
        sck_exit_resume();
    }
    sck_forklock_take(&r->loop->lock);
    r->polling = false;
    sck_forklock_give(&r->loop->lock);
}

/* The loop is being closed: everything ends, but for what a credential is about to call back. */
static void
end_all(struct sck_reactor *r)
{
    for (struct sck_task *t = r->all, *next; t != NULL; t = next) {
        next = t->next_all;
        end_cancelled(r, t);
    }
}

static void *
react(void *arg)
{
    struct sck_reactor *r = arg;
    sck_exit_enter();
    for (;;) {
        drain_inbox(r);
        ring(r);
        sck_forklock_take(&r->loop->lock);
        bool stop = r->stop;
        sck_forklock_give(&r->loop->lock);
        if (stop)
            end_all(r);
        bool moved = perform(r);
        sck_forklock_take(&r->loop->lock);
        bool over = stop && r->all == NULL && r->inbox == NULL;
        sck_forklock_give(&r->loop->lock);
        if (over)
            break;
        /* Closing wakes us even when we do not sleep yet. */
        if (!moved)
            wait_for_more(r);
    }
    sck_exit_leave();
    return NULL;
}

/* ---- its life ---- */

struct sck_reactor *
sck_reactor_new(struct sck_loop *loop)
{
    /* A connection that is being closed may still be there when the next one is opened. */
    size_t cap = loop->connections * 2 + 8;
    struct sck_reactor *r = calloc(1, sizeof *r + cap * sizeof r->fds[0]);
    if (r == NULL)
        return NULL;
    r->loop = loop;
    r->inbox_end = &r->inbox;
    r->sockets = (struct sck_sockets){r->fds, 0, cap, sck_http_unacked_ms(loop->http), loop->http->idle};
    r->multi = curl_multi_init();
    if (r->multi == NULL) {
        free(r);
        return NULL;
    }
    (void)curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, (long)loop->connections);
    (void)curl_multi_setopt(r->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)loop->connections);
    (void)curl_multi_setopt(r->multi, CURLMOPT_PIPELINING,
                            (long)(loop->http->http2 ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING));
    return r;
}

void
sck_reactor_free(struct sck_reactor *r)
{
    (void)curl_multi_cleanup(r->multi);
    free(r);
}

bool
sck_reactor_start(struct sck_reactor *r)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all, before;
    if (!sck_exit_watch())
        return false;
    sigfillset(&all);
    /* A fault of the thread's own is reported as the program wishes. */
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(&all, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&r->thread, NULL, react, r);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        (void)pthread_setname_np(r->thread, "scopekey-io");
    return rc == 0;
}
