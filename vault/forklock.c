/* SPDX-License-Identifier: MIT */
#include "vault/forklock.h"

#include "lib/base/fork.h"

#include <stddef.h>

static struct {
    pthread_mutex_t mutex;
    struct sck_forklock *first;
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void
fork_prepare(void)
{
    pthread_mutex_lock(&all.mutex);
    for (struct sck_forklock *l = all.first; l != NULL; l = l->next)
        pthread_mutex_lock(&l->mutex);
}

static void
fork_done(void)
{
    for (struct sck_forklock *l = all.first; l != NULL; l = l->next)
        pthread_mutex_unlock(&l->mutex);
    pthread_mutex_unlock(&all.mutex);
}

static void
register_once(void)
{
    (void)sck_fork_register(SCK_FORK_KEEPER, fork_prepare, fork_done, fork_done);
}

void
sck_forklock_init(struct sck_forklock *lock)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_once);
    pthread_mutex_init(&lock->mutex, NULL);
    pthread_mutex_lock(&all.mutex);
    lock->prev = NULL;
    lock->next = all.first;
    if (all.first != NULL)
        all.first->prev = lock;
    all.first = lock;
    pthread_mutex_unlock(&all.mutex);
}

void
sck_forklock_clear(struct sck_forklock *lock)
{
    pthread_mutex_lock(&all.mutex);
    if (lock->prev != NULL)
        lock->prev->next = lock->next;
    else
        all.first = lock->next;
    if (lock->next != NULL)
        lock->next->prev = lock->prev;
    pthread_mutex_unlock(&all.mutex);
    pthread_mutex_destroy(&lock->mutex);
}

void
sck_forklock_take(struct sck_forklock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

void
sck_forklock_give(struct sck_forklock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
