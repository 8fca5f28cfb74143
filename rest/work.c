/* SPDX-License-Identifier: MIT */
#include "rest/work.h"

#include <pthread.h>
#include <stdlib.h>

struct sck_work {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct sck_work_item *first;
    struct sck_work_item **last;
    size_t waiting;
    size_t max_items;
    bool stopping;
    sck_work_fn fn;
    unsigned threads;
    pthread_t thread[];
};

static void *
run(void *arg)
{
    struct sck_work *work = arg;
    (void)pthread_mutex_lock(&work->lock);
    for (;;) {
        while (work->first == NULL && !work->stopping)
            (void)pthread_cond_wait(&work->wake, &work->lock);
        struct sck_work_item *item = work->first;
        if (item == NULL)
            break;
        work->first = item->next;
        if (work->first == NULL)
            work->last = &work->first;
        work->waiting--;
        (void)pthread_mutex_unlock(&work->lock);
        work->fn(item);
        (void)pthread_mutex_lock(&work->lock);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return NULL;
}

enum sck_code
sck_work_new(unsigned threads, size_t max_items, sck_work_fn fn, struct sck_work **out, struct sck_err *err)
{
    struct sck_work *work = calloc(1, sizeof *work + threads * sizeof work->thread[0]);
    if (work == NULL)
        return sck_fail(err, SCK_E_MEMORY, "no memory for worker threads");
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->wake, NULL);
    work->last = &work->first;
    work->max_items = max_items;
    work->fn = fn;
    for (unsigned i = 0; i < threads; i++) {
        int e = pthread_create(&work->thread[i], NULL, run, work);
        if (e != 0) {
            enum sck_code rc = sck_fail_errno(err, SCK_E_MEMORY, e, "cannot start worker thread %u", i + 1);
            sck_work_free(&work);
            return rc;
        }
        work->threads++;
    }
    *out = work;
    return SCK_OK;
}

bool
sck_work_push(struct sck_work *work, struct sck_work_item *item)
{
    (void)pthread_mutex_lock(&work->lock);
    bool taken = work->waiting < work->max_items;
    if (taken) {
        item->next = NULL;
        *work->last = item;
        work->last = &item->next;
        work->waiting++;
        (void)pthread_cond_signal(&work->wake);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return taken;
}

void
sck_work_free(struct sck_work **work)
{
    struct sck_work *w = *work;
    if (w == NULL)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->stopping = true;
    (void)pthread_cond_broadcast(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads; i++)
        (void)pthread_join(w->thread[i], NULL);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
    *work = NULL;
}
