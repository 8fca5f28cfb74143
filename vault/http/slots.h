/* SPDX-License-Identifier: MIT */
/*
 * A pool of connections.  Each slot is a libcurl multi handle, which owns its connections, and serves one exchange
 * at a time; the easy handle of an exchange, which holds its secrets, lives no longer than the exchange.
 */
#ifndef SCK_VAULT_HTTP_SLOTS_H
#define SCK_VAULT_HTTP_SLOTS_H

#include "vault/forklock.h"
#include "vault/http/sockets.h"

#include <sys/types.h>

#define SCK_SLOTS_IDLE_MAX 16
#define SCK_SLOT_SOCKETS 8

struct sck_slot {
    struct sck_slot *next_idle;
    struct sck_slot *prev, *next;           /* all slots of the pool */
    CURLM *multi;
    curl_socket_t fds[SCK_SLOT_SOCKETS];
    struct sck_sockets sockets;
};

struct sck_slots {
    struct sck_sockets like;                /* what each slot's sockets are like */
    struct sck_forklock lock;               /* everything below */
    pid_t pid;                              /* whose connections these are */
    struct sck_slot *idle, *all, *lost;     /* lost: in use by another thread when we were forked off */
    size_t idle_count;
};

/* Caller's storage. */
void sck_slots_init(struct sck_slots *slots, const struct sck_sockets *like);
void sck_slots_clear(struct sck_slots *slots);
/* The slot used last, or a new one; NULL when out of memory. */
struct sck_slot *sck_slot_take(struct sck_slots *slots);
void sck_slot_give(struct sck_slots *slots, struct sck_slot *slot);

#endif
