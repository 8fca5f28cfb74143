/* SPDX-License-Identifier: MIT */
/* Threads of our own inside other people's processes. */
#ifndef SCK_BASE_THREAD_H
#define SCK_BASE_THREAD_H

#include "lib/base/err.h"

#include <pthread.h>

/*
 * Start a joinable thread that takes no signals: those are the application's.  It says by sck_exit_enter() and what
 * follows when it works.  SCK_E_MEMORY; SCK_E_STATE: the process is exiting.
 */
SCK_MUST_CHECK enum sck_code sck_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg,
                                              struct sck_err *err);

#endif
