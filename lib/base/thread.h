/* SPDX-License-Identifier: MIT */
/* Threads of our own inside other people's processes. */
#ifndef SCK_BASE_THREAD_H
#define SCK_BASE_THREAD_H

#include "lib/base/err.h"

#include <pthread.h>

/* Start a joinable thread that takes no signals: those are the application's.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg,
                                              struct sck_err *err);

#endif
