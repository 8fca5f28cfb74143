/* SPDX-License-Identifier: MIT */
#include "vault/azure/pool.h"

#include "lib/base/exit.h"
#include "vault/azure/azure.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* One piece of work.  Each item is taken by whichever thread is free. */
struct job {
    struct job *prev, *next; /* all jobs, in the order of their turns */
    struct sck_azure *keeper;
    struct sck_keeper_work *work;
    size_t taken, over; /* items */
    size_t bad; /* the first bad item, or work->count */
    struct sck_err err; /* and its message */
    bool cancelled;
};

struct sck_azure_pool {
    struct sck_forklock lock; /* everything below */
    pthread_cond_t wake;
    pid_t pid; /* whose threads they are */
    struct job *first, *last;
    pthread_t threads[SCK_AZURE_THREADS];
    size_t thread_count, idle;
    bool ending;
};

static void
unlink_locked(struct sck_azure_pool *p, struct job *j)
{
    *(j->prev != NULL ? &j->prev->next : &p->first) = j->next;
    *(j->next != NULL ? &j->next->prev : &p->last) = j->prev;
}

static void
append_locked(struct sck_azure_pool *p, struct job *j)
{
    j->next = NULL;
    j->prev = p->last;
    *(p->last != NULL ? &p->last->next : &p->first) = j;
    p->last = j;
}

/* The next job with an item that nobody does yet; its turn comes again behind the others'. */
static struct job *
take_locked(struct sck_azure_pool *p, size_t *item)
{
    struct job *j = p->first;
    while (j != NULL && j->taken == j->work->count)
        j = j->next;
    if (j != NULL) {
        *item = j->taken++;
        unlink_locked(p, j);
        append_locked(p, j);
    }
    return j;
}

static enum sck_code
do_item(struct sck_azure *a, const struct sck_keeper_work *work, struct sck_keeper_item *item, struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    enum sck_code rc = SCK_OK;
    if (work->deadline_us != 0 && sck_monotonic_us(a->vault.env.clock) >= work->deadline_us)
        return sck_fail(err, SCK_E_BUSY, "keeper azure: the time for this work is over");
    if (work->what != SCK_KEEPER_WRAP)
        rc = sck_azure_open_blob(a, work->kek->name, item->version, item->blob, work->deadline_us, &payload, err);
    if (rc == SCK_OK && work->what != SCK_KEEPER_UNWRAP)
        rc = sck_azure_make_blob(a, work->kek, payload != NULL ? payload : item->payload, work->deadline_us,
                                 &item->out, &item->version, err);
    if (rc == SCK_OK && work->what == SCK_KEEPER_UNWRAP) {
        item->opened = payload;
        payload = NULL;
    }
    sck_secret_free(&payload);
    return rc;
}

/* Tell that a job is over. */
static void
finish(struct job *j)
{
    struct sck_keeper_work *work = j->work;
    work->code = j->bad < work->count ? work->items[j->bad].code : SCK_OK;
    work->err = j->err;
    work->state = NULL;
    free(j);
    work->done(work);
}

/* Do one item and book it; the lock is held before and after. */
static void
serve_locked(struct sck_azure_pool *p, struct job *j, size_t at)
{
    struct sck_keeper_item *item = &j->work->items[at];
    struct sck_err err = SCK_ERR_INIT;
    bool cancelled = j->cancelled;
    sck_forklock_give(&p->lock);
    item->code = cancelled ? sck_fail(&err, SCK_E_CANCELLED, "keeper azure: cancelled")
                           : do_item(j->keeper, j->work, item, &err);
    sck_forklock_take(&p->lock);
    if (item->code != SCK_OK && at < j->bad) {
        j->bad = at;
        j->err = err;
    }
    if (++j->over < j->work->count)
        return;
    unlink_locked(p, j);
    sck_forklock_give(&p->lock);
    finish(j);
    sck_forklock_take(&p->lock);
}

static void *
serve(void *arg)
{
    struct sck_azure_pool *p = arg;
    size_t item = 0;
    sck_exit_enter();
    sck_forklock_take(&p->lock);
    for (;;) {
        struct job *j = take_locked(p, &item);
        if (j != NULL) {
            serve_locked(p, j, item);
        } else if (p->ending) {
            break;
        } else {
            p->idle++;
            (void)sck_exit_cond_wait(&p->wake, &p->lock.mutex, NULL);
            p->idle--;
        }
    }
    sck_forklock_give(&p->lock);
    sck_exit_leave();
    return NULL;
}

/* In a child: the threads and what they were at are the parent's. */
static void
disinherit_locked(struct sck_azure_pool *p)
{
    if (p->pid == getpid())
        return;
    while (p->first != NULL) {
        struct job *j = p->first;
        unlink_locked(p, j);
        free(j);
    }
    p->pid = getpid();
    p->thread_count = p->idle = 0;
    (void)pthread_cond_init(&p->wake, NULL);
}

/* One thread more, if there is work for it; the program's signals are not for it. */
static void
grow_locked(struct sck_azure_pool *p)
{
    sigset_t all, before;
    if (p->idle > 0 || p->thread_count == SCK_AZURE_THREADS || !sck_exit_watch())
        return;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&p->threads[p->thread_count], NULL, serve, p) == 0)
        p->thread_count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum sck_code
sck_azure_submit(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct sck_azure *a = sck_azure_of(keeper);
    struct sck_azure_pool *p = a->pool;
    sck_err_clear(&work->err);
    if (work->count == 0)
        return sck_fail(&work->err, SCK_E_USAGE, "keeper azure: there is no work without DEKs");
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return sck_fail(&work->err, SCK_E_MEMORY, "out of memory");
    j->keeper = a;
    j->work = work;
    j->bad = work->count;
    work->state = j;
    sck_forklock_take(&p->lock);
    disinherit_locked(p);
    for (size_t i = 0; i < work->count; i++)
        grow_locked(p);
    bool begun = p->thread_count > 0 && !sck_exit_is_under_way();
    if (begun)
        append_locked(p, j);
    (void)pthread_cond_broadcast(&p->wake);
    sck_forklock_give(&p->lock);
    if (!begun) {
        free(j);
        return sck_fail(&work->err, SCK_E_MEMORY, "keeper azure: no thread can be started");
    }
    return SCK_OK;
}

void
sck_azure_cancel(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct sck_azure_pool *p = sck_azure_of(keeper)->pool;
    sck_forklock_take(&p->lock);
    /* It may be over and gone, so that nothing in it is looked at. */
    for (struct job *j = p->first; j != NULL; j = j->next) {
        if (j->work == work)
            j->cancelled = true;
    }
    sck_forklock_give(&p->lock);
}

/* ---- waiting for it ---- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
};

static void
wake_waiter(struct sck_keeper_work *work)
{
    struct waiter *w = work->arg;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    (void)pthread_cond_signal(&w->over);
    pthread_mutex_unlock(&w->lock);
}

enum sck_code
sck_azure_run(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    void (*done)(struct sck_keeper_work *) = work->done;
    void *arg = work->arg;
    enum sck_code rc = SCK_OK;
    sck_err_clear(&work->err);
    work->code = SCK_OK;
    if (work->count == 1) {
        work->code = work->items[0].code = do_item(sck_azure_of(keeper), work, &work->items[0], &work->err);
        return work->code;
    }
    if (work->count == 0)
        return SCK_OK;
    work->done = wake_waiter;
    work->arg = &w;
    rc = sck_azure_submit(keeper, work);
    if (rc == SCK_OK) {
        pthread_mutex_lock(&w.lock);
        while (!w.is_over)
            (void)sck_exit_cond_wait(&w.over, &w.lock, NULL);
        pthread_mutex_unlock(&w.lock);
        rc = work->code;
    }
    work->code = rc;
    work->done = done;
    work->arg = arg;
    pthread_mutex_destroy(&w.lock);
    (void)pthread_cond_destroy(&w.over);
    return rc;
}

/* ---- birth and death ---- */

enum sck_code
sck_azure_pool_new(struct sck_azure_pool **out, struct sck_err *err)
{
    struct sck_azure_pool *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    sck_forklock_init(&p->lock);
    (void)pthread_cond_init(&p->wake, NULL);
    p->pid = getpid();
    return SCK_OK;
}

void
sck_azure_pool_free(struct sck_azure_pool **pool)
{
    struct sck_azure_pool *p = *pool;
    if (p == NULL)
        return;
    sck_forklock_take(&p->lock);
    disinherit_locked(p);
    for (struct job *j = p->first; j != NULL; j = j->next)
        j->cancelled = true;
    p->ending = true;
    (void)pthread_cond_broadcast(&p->wake);
    sck_forklock_give(&p->lock);
    for (size_t i = 0; i < p->thread_count; i++)
        (void)pthread_join(p->threads[i], NULL);
    (void)pthread_cond_destroy(&p->wake);
    sck_forklock_clear(&p->lock);
    free(p);
    *pool = NULL;
}
