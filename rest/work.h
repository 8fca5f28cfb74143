/* SPDX-License-Identifier: MIT */
/* Worker threads behind a bounded queue: what waits for token, keeper or database never runs in an I/O thread. */
#ifndef SCK_REST_WORK_H
#define SCK_REST_WORK_H

#include "lib/base/err.h"

#include <stddef.h>

struct sck_work;

/* Put first in a struct that is queued; owned by the queue from push until the function is called with it. */
struct sck_work_item {
    struct sck_work_item *next;
};
typedef void (*sck_work_fn)(struct sck_work_item *item);

/* Start `threads` threads that call `fn`; at most `max_items` wait.  SCK_E_MEMORY, SCK_E_INTERNAL. */
SCK_MUST_CHECK enum sck_code sck_work_new(unsigned threads, size_t max_items, sck_work_fn fn,
                                          struct sck_work **out, struct sck_err *err);
/* Queue in first-in-first-out order; false when the queue is full. */
SCK_MUST_CHECK bool sck_work_push(struct sck_work *work, struct sck_work_item *item);
/* Finish what is queued, stop the threads and free.  Nothing may be pushed any more.  NULL-safe. */
void sck_work_free(struct sck_work **work);

#endif
