/* SPDX-License-Identifier: MIT */
/*
 * Any number of calls at once, driven by one thread of our own: a libcurl multi handle with a bounded number of
 * connections, a queue before it, and timers.  The thread is started at first use (and again in a forked child that
 * makes calls of its own), takes no signals, and is joined by sck_loop_close().
 */
#ifndef SCK_VAULT_HTTP_LOOP_H
#define SCK_VAULT_HTTP_LOOP_H

#include "vault/http/exchange.h"
#include "vault/http/machine.h"
#include "vault/http/timers.h"

#include <pthread.h>

#define SCK_LOOP_CONNECTIONS_MAX 1024

struct sck_reactor;

struct sck_loop {
    struct sck_http *http;              /* the owner's; NULL: nothing can be started (SCK_E_UNSUPPORTED) */
    const struct sck_clock *clock;
    size_t connections;                 /* at most, 1 to SCK_LOOP_CONNECTIONS_MAX */
    struct sck_forklock lock;           /* everything below */
    pid_t pid;                          /* whose reactor this is */
    struct sck_reactor *reactor;        /* NULL until it is needed */
    struct sck_reactor *lost;           /* the parent's, inherited by a fork */
    bool closed;
};

enum sck_task_at { SCK_TASK_IDLE, SCK_TASK_STARTED, SCK_TASK_CREDENTIAL, SCK_TASK_QUEUED, SCK_TASK_SENT, SCK_TASK_WAITING };

/* A call under way, or a job for the thread.  Zero-fill and fill in the upper part; it must not move until `done`. */
struct sck_task {
    struct sck_call *call;              /* NULL: a job, which is done at once, or at `timer.at_us` */
    /* Called once, on the thread, without a lock held: the task is the caller's again, to be freed or started anew. */
    void (*done)(struct sck_task *task);
    void *arg;

    enum sck_task_at at;
    struct sck_timer timer;             /* a wait, or a deadline in the queue; first in the heap's eyes */
    struct sck_exchange exchange;
    struct sck_credential_waiter waiter;
    struct sck_secret *value;           /* what the credential gave, */
    enum sck_code value_code;           /* and how that went */
    struct sck_reactor *reactor;
    struct sck_task *prev, *next;       /* in the queue */
    struct sck_task *prev_all, *next_all;   /* all that are not idle */
    struct sck_task *inbox_next;
    bool in_inbox, got, cancelled;
};

/* Caller's storage.  No thread yet. */
void sck_loop_init(struct sck_loop *loop, const struct sck_clock *clock, size_t connections);
/* Cancel what is under way, wait until all of it is done, join the thread.  Not from `done`. */
void sck_loop_close(struct sck_loop *loop);

/*
 * Begin a call (or, with task->call NULL, have `done` called on the thread, not before `at_us`, 0 being now).  Any
 * thread.  `slot`, when not NULL, is set to the task until sck_loop_retire().
 * SCK_E_MEMORY: no thread; SCK_E_CANCELLED: the loop is closed; then `done` is not called.
 */
SCK_MUST_CHECK enum sck_code sck_loop_start(struct sck_loop *loop, struct sck_task *task, int64_t at_us, void **slot,
                                            struct sck_err *err);
/*
 * Let the task in `slot` end soon, if there still is one: its call with SCK_E_CANCELLED, a job at once.  Any thread.
 * Started anew afterwards it ends at once.
 */
void sck_loop_cancel(struct sck_loop *loop, void **slot);
/* On the thread, in `done`: the task will not be started again; nothing reaches it through `slot` any more. */
void sck_loop_retire(struct sck_loop *loop, struct sck_task *task, void **slot);

#endif
