/* SPDX-License-Identifier: MIT */
#include "lib/base/thread.h"

#include "lib/base/exit.h"

#include <signal.h>

enum sck_code
sck_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg, struct sck_err *err)
{
    sigset_t all;
    sigset_t before;
    if (!sck_exit_watch())
        return sck_fail(err, SCK_E_STATE, "cannot start a thread: the process is exiting");
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(thread, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e == 0 ? SCK_OK : sck_fail_errno(err, SCK_E_MEMORY, e, "cannot start a thread");
}
