/* SPDX-License-Identifier: MIT */
#include "lib/base/fork.h"

#include <pthread.h>
#include <stddef.h>

struct handlers {
    void (*prepare)(void);
    void (*parent)(void);
    void (*child)(void);
};

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    bool watching;
    struct handlers rank[SCK_FORK_RANKS];
    struct handlers now[SCK_FORK_RANKS];    /* those whose `prepare` ran for the fork under way */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

/* The lock is not held over the handlers: one of them may wait for a thread that registers. */
static void
before(void)
{
    pthread_mutex_lock(&all.lock);
    struct handlers now[SCK_FORK_RANKS];
    for (size_t i = 0; i < SCK_FORK_RANKS; i++)
        now[i] = all.rank[i];
    pthread_mutex_unlock(&all.lock);
    for (size_t i = 0; i < SCK_FORK_RANKS; i++) {
        if (now[i].prepare != NULL)
            now[i].prepare();
    }
    pthread_mutex_lock(&all.lock);
    for (size_t i = 0; i < SCK_FORK_RANKS; i++)
        all.now[i] = now[i];
}

static void
after_in_parent(void)
{
    for (size_t i = SCK_FORK_RANKS; i > 0; i--) {
        if (all.now[i - 1].parent != NULL)
            all.now[i - 1].parent();
    }
    pthread_mutex_unlock(&all.lock);
}

static void
after_in_child(void)
{
    for (size_t i = SCK_FORK_RANKS; i > 0; i--) {
        if (all.now[i - 1].child != NULL)
            all.now[i - 1].child();
    }
    pthread_mutex_unlock(&all.lock);
}

static void
watch(void)
{
    all.watching = pthread_atfork(before, after_in_parent, after_in_child) == 0;
}

bool
sck_fork_register(enum sck_fork_rank rank, void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    pthread_once(&all.once, watch);
    pthread_mutex_lock(&all.lock);
    all.rank[rank] = (struct handlers){prepare, parent, child};
    pthread_mutex_unlock(&all.lock);
    return all.watching;
}
