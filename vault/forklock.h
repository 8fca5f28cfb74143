/* SPDX-License-Identifier: MIT */
/*
 * A mutex that a child of fork() finds free and its data whole: every forklock is taken around the fork.
 * Hold one for a few instructions only, never across a token call, a network call, a file or a callback,
 * or a fork waits for those.
 */
#ifndef SCK_VAULT_FORKLOCK_H
#define SCK_VAULT_FORKLOCK_H

#include <pthread.h>

/* Caller's storage; must not move between init and clear. */
struct sck_forklock {
    pthread_mutex_t mutex;
    struct sck_forklock *prev, *next;
};

/* Make it and enlist it.  Lock order at a fork: the list, then every lock in it; so never take two. */
void sck_forklock_init(struct sck_forklock *lock);
/* Strike it off the list.  Nobody may hold it. */
void sck_forklock_clear(struct sck_forklock *lock);
void sck_forklock_take(struct sck_forklock *lock);
void sck_forklock_give(struct sck_forklock *lock);

#endif
