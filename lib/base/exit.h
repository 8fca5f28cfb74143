/* SPDX-License-Identifier: MIT */
/*
 * The end of the process.  Threads of our own may still be at work when a program calls exit() or returns from main
 * without closing what it opened; one that is inside libcrypto while that cleans up after itself could crash the program.
 * So each of them counts itself in while it works and out while it waits for something.  An exit handler, registered after
 * libcrypto's and so run before it, waits until none is at work (2 s at most); from then on whoever comes back from
 * its wait sleeps until the process is gone.  Threads of the application's are not counted and never stopped.
 * _exit() and quick_exit() run no handlers and need none.  A forked child has the forking thread alone.
 */
#ifndef SCK_BASE_EXIT_H
#define SCK_BASE_EXIT_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* Have the exit handler registered, before a thread of ours is started.  False once the process exits: start none. */
bool sck_exit_watch(void);
/* Whether the exit handler has run: our threads do nothing more, so that nobody may wait for them or join them. */
bool sck_exit_is_under_way(void);

/* First and last thing in a thread of ours.  Entering does not return once the process exits. */
void sck_exit_enter(void);
void sck_exit_leave(void);

/* Around a wait, without locks held; any thread.  Resuming returns in no thread of ours once the process exits. */
void sck_exit_rest(void);
void sck_exit_resume(void);

/*
 * pthread_cond_wait(), or with `until` pthread_cond_clockwait() by the monotonic clock, as a rest: any thread.  One of
 * ours gives `mutex` back and does not return once the process exits.
 */
int sck_exit_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);

#endif
