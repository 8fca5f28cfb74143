/* SPDX-License-Identifier: MIT */
#include "vault/http/reactor.h"

#include "lib/base/exit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* In a child: the thread is not here, and its calls are the parent's. */
static void
disinherit_locked(struct sck_loop *loop)
{
    if (loop->pid == getpid())
        return;
    loop->pid = getpid();
    if (loop->reactor != NULL) {
        sck_sockets_silence(&loop->reactor->sockets);
        loop->reactor->next_lost = loop->lost;
        loop->lost = loop->reactor;
    }
    loop->reactor = NULL;
}

void
sck_loop_init(struct sck_loop *loop, const struct sck_clock *clock, size_t connections)
{
    *loop = (struct sck_loop){.clock = clock, .connections = connections, .pid = getpid()};
    sck_forklock_init(&loop->lock);
}

void
sck_loop_close(struct sck_loop *loop)
{
    sck_forklock_take(&loop->lock);
    disinherit_locked(loop);
    loop->closed = true;
    struct sck_reactor *r = loop->reactor;
    if (r != NULL) {
        r->stop = true;
        (void)curl_multi_wakeup(r->multi);
    }
    sck_forklock_give(&loop->lock);
    if (r != NULL) {
        (void)pthread_join(r->thread, NULL);
        sck_reactor_free(r);
    }
    /* Of the parent's only what is ours to free: its multi handle may have been in the middle of anything. */
    while (loop->lost != NULL) {
        struct sck_reactor *next = loop->lost->next_lost;
        free(loop->lost);
        loop->lost = next;
    }
    sck_forklock_clear(&loop->lock);
}

enum sck_code
sck_loop_start(struct sck_loop *loop, struct sck_task *task, int64_t at_us, void **slot, struct sck_err *err)
{
    struct sck_reactor *made = NULL, *unused = NULL;
    if (loop->http == NULL)
        return sck_fail(err, SCK_E_UNSUPPORTED, "keeper: asynchronous calls need libcurl");
    sck_forklock_take(&loop->lock);
    disinherit_locked(loop);
    bool missing = loop->reactor == NULL;
    bool closed = loop->closed || sck_exit_is_under_way();
    sck_forklock_give(&loop->lock);
    if (closed)
        return sck_fail(err, SCK_E_CANCELLED, "keeper: closed");
    if (missing && ((made = sck_reactor_new(loop)) == NULL))
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    enum sck_code rc = SCK_OK;
    sck_forklock_take(&loop->lock);
    if (loop->reactor == NULL && made != NULL) {
        if (sck_reactor_start(made))
            loop->reactor = made;
        else
            unused = made;
    } else {
        unused = made;
    }
    struct sck_reactor *r = loop->reactor;
    if (r != NULL) {
        task->reactor = r;
        task->at = SCK_TASK_STARTED;
        task->timer.at_us = at_us;
        if (slot != NULL)
            *slot = task;
        if (sck_reactor_push_locked(r, task))
            (void)curl_multi_wakeup(r->multi);
    } else {
        rc = SCK_E_MEMORY;
    }
    sck_forklock_give(&loop->lock);
    if (unused != NULL)
        sck_reactor_free(unused);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "keeper: no thread for asynchronous calls can be started");
}

void
sck_loop_cancel(struct sck_loop *loop, void **slot)
{
    sck_forklock_take(&loop->lock);
    struct sck_task *task = *slot;
    if (task != NULL && loop->pid == getpid() && loop->reactor != NULL) {
        task->cancelled = true;
        if (sck_reactor_push_locked(loop->reactor, task))
            (void)curl_multi_wakeup(loop->reactor->multi);
    }
    sck_forklock_give(&loop->lock);
}

void
sck_loop_retire(struct sck_loop *loop, struct sck_task *task, void **slot)
{
    sck_forklock_take(&loop->lock);
    *slot = NULL;
    sck_reactor_unlink_locked(loop->reactor, task);
    sck_forklock_give(&loop->lock);
}
