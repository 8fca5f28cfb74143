/* SPDX-License-Identifier: MIT */
/*
 * Forks beside busy threads.  A program built with GCC 12's sanitizers cannot do that: their allocator's locks are
 * inherited as they are, and the child hangs in its first malloc().  There the threads stand still during the fork;
 * in every other build the gate is not there, and forks come at any moment.
 */
#ifndef TESTS_LIB_FORKGATE_H
#define TESTS_LIB_FORKGATE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Writers first, or busy readers keep the fork waiting for ever. */
static pthread_rwlock_t forkgate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
/* A child has none of the threads that wait at the gate, and passes it freely. */
static bool forkgate_is_child;

#ifdef __SANITIZE_THREAD__
/* Children may make threads, and are not blamed for the parent's that they cannot join. */
const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
    return "die_after_fork=0:report_thread_leaks=0";
}
#endif

static inline void
forkgate_work(void)
{
    if (!forkgate_is_child)
        pthread_rwlock_rdlock(&forkgate);
}

static inline void
forkgate_rest(void)
{
    if (!forkgate_is_child)
        pthread_rwlock_unlock(&forkgate);
}

static inline void
forkgate_close(void)
{
    pthread_rwlock_wrlock(&forkgate);
}

static inline void
forkgate_open(pid_t forked)
{
    if (forked == 0)
        forkgate_is_child = true;
    else
        pthread_rwlock_unlock(&forkgate);
}
#else
/* Around each piece of a thread's work. */
static inline void forkgate_work(void) {}
static inline void forkgate_rest(void) {}
/* Before fork(), and after it in the parent and in the child with what fork() returned. */
static inline void forkgate_close(void) {}
static inline void forkgate_open(pid_t forked) { (void)forked; }
#endif

#endif
