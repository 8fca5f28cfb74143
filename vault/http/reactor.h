/* SPDX-License-Identifier: MIT */
/* The thread of a loop: what loop.c and reactor.c share. */
#ifndef SCK_VAULT_HTTP_REACTOR_H
#define SCK_VAULT_HTTP_REACTOR_H

#include "vault/http/loop.h"

/* What one process's thread works with.  The lock of the loop guards the first part; the rest is the thread's. */
struct sck_reactor {
    struct sck_loop *loop;
    struct sck_task *inbox, **inbox_end;
    bool stop, polling;
    pthread_t thread;
    CURLM *multi;                       /* used elsewhere only to wake the thread */

    struct sck_reactor *next_lost;
    struct sck_task *queue, *queue_last;
    struct sck_task *all;
    struct sck_timers timers;
    struct sck_sockets sockets;
    size_t sent;
    curl_socket_t fds[];
};

/* NULL when out of memory; no thread yet. */
struct sck_reactor *sck_reactor_new(struct sck_loop *loop);
/* Its thread was joined, or never started. */
void sck_reactor_free(struct sck_reactor *r);
/* False when there is no thread to be had. */
bool sck_reactor_start(struct sck_reactor *r);
/* Put a task into the inbox, under the loop's lock.  True when the thread has to be woken. */
bool sck_reactor_push_locked(struct sck_reactor *r, struct sck_task *t);
void sck_reactor_unlink_locked(struct sck_reactor *r, struct sck_task *t);

#endif
