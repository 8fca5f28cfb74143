/* SPDX-License-Identifier: MIT */
/* Inside lib/api: what scopekey.h hides, and how a call becomes a request. */
#ifndef SCK_API_API_H
#define SCK_API_API_H

#include "include/scopekey.h"
#include "lib/service/dek_job.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- types of scopekey.h that are types of ours: the pointers are the same ---- */

static inline struct sck_err *
sck_api_err(struct scopekey_error *error)
{
    return (struct sck_err *)(void *)error;
}

static inline struct scopekey_secret *
sck_api_secret(struct sck_secret *secret)
{
    return (struct scopekey_secret *)(void *)secret;
}

/* A DEK and the canonical context that it seals under. */
struct scopekey_aead {
    struct sck_secret *dek;
    struct sck_buf context;
};

struct scopekey_material {
    struct scopekey_aead *aead;
    struct sck_buf wrapped;
};

/* ---- requests ---- */

enum sck_api_op {
    SCK_API_ENCRYPTION_KEYS,
    SCK_API_DECRYPTION_KEYS,
    SCK_API_REWRAP,
    SCK_API_MESSAGE_SEAL,
    SCK_API_MESSAGE_OPEN,
    SCK_API_ENSURE,
    SCK_API_ROTATE,
    SCK_API_SUBJECT_REWRAP,
    SCK_API_ERASE,
    SCK_API_OPS
};

/* What a request is about, borrowed from the caller. */
struct sck_api_args {
    enum sck_api_op op;
    const char *subject;
    struct sck_bytes wrapped;           /* decryption keys, rewrap */
    struct sck_bytes context;
    struct sck_bytes data;              /* plaintext or sealed message */
    struct sck_bytes aad;
    const struct scopekey_call *call;
};

enum sck_request_state {
    SCK_REQUEST_WAITING,                /* in the queue, or under way */
    SCK_REQUEST_OVER,                   /* its callback is owed by scopekey_dispatch() */
    SCK_REQUEST_CALLING,                /* its callback runs */
    SCK_REQUEST_ENDED,
    SCK_REQUEST_LOST                    /* the parent's, in a child of fork() */
};

struct scopekey_request {
    atomic_uint refs;                   /* the caller's, and the pool's until the request has ended */
    struct scopekey *scopekey;          /* a reference */
    enum sck_api_op op;
    int64_t started_us;
    struct sck_dek_job job;             /* all but those on subjects */
    struct sck_scope subject;
    struct sck_secret *plain;           /* what is to be sealed */
    struct sck_buf aad;
    struct sck_buf seal;                /* what is to be opened */
    /* What came out. */
    enum sck_code code;
    struct sck_err err;
    struct scopekey_material *material;
    struct scopekey_aead *aead;
    struct sck_secret *secret;
    struct sck_buf bytes;
    uint64_t number;
    /* The pool's, behind its lock. */
    enum sck_request_state state;
    struct scopekey_request *next;      /* in one of the queues */
    struct scopekey_request *newer;     /* among those that have not ended */
    struct scopekey_request *older;
    scopekey_done_fn done;
    void *arg;
    pthread_t caller;                   /* while its callback runs */
    bool queued;                        /* in the queue of steps */
    bool expired;                       /* the timer has seen to it */
    bool freed;
    atomic_bool cancelled;
};

/* Make a request of arguments, which are copied; nothing is begun.  SCK_E_USAGE, SCK_E_CONTEXT, SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_request_new(struct scopekey *scopekey, const struct sck_api_args *args,
                                             struct scopekey_request **out, struct sck_err *err);
/* Go on; true when it is over.  Without job.wake it blocks until then. */
bool sck_request_step(struct scopekey_request *request);
/* Ask it to end soon, as cancelled or as out of time; from any thread. */
void sck_request_cancel_job(struct scopekey_request *request);
void sck_request_expire_job(struct scopekey_request *request);
void sck_request_unref(struct scopekey_request **request);
/* Do it in this thread and give its results. */
SCK_MUST_CHECK enum scopekey_code sck_request_run(struct scopekey *scopekey, const struct sck_api_args *args,
                                                  struct scopekey_request **out, struct scopekey_error *error);
/* Begin it. */
SCK_MUST_CHECK enum scopekey_code sck_request_begin(struct scopekey *scopekey, const struct sck_api_args *args,
                                                    scopekey_done_fn done, void *arg, struct scopekey_request **out,
                                                    struct scopekey_error *error);

/* ---- pool.c: threads for asynchronous requests ---- */

struct sck_request_queue {
    struct scopekey_request *first;
    struct scopekey_request *last;
};

struct sck_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;                /* something is queued, or the pool ends */
    pthread_cond_t moved;               /* a request ended, or its callback is owed */
    struct sck_request_queue queue;     /* to be stepped */
    struct sck_request_queue owed;      /* callbacks for scopekey_dispatch() */
    struct scopekey_request *newest;    /* all that have not ended */
    size_t count;
    pthread_t *threads;
    pthread_t timer;                    /* ends requests whose deadline has passed, when all threads are busy too */
    bool timing;                        /* it was started */
    pthread_cond_t tick;                /* CLOCK_MONOTONIC */
    int64_t next_us;                    /* when it looks again */
    size_t most;
    size_t started;
    size_t idle;
    bool closing;                       /* nothing new begins */
    bool ending;                        /* the threads end */
    int event_fd;                       /* -1: callbacks run on the threads */
};

SCK_MUST_CHECK enum sck_code sck_pool_init(struct sck_pool *pool, size_t most, bool dispatch, struct sck_err *err);
/* Cancel all, call what is owed, join. */
void sck_pool_close(struct sck_pool *pool);
/* After sck_pool_close(). */
void sck_pool_clear(struct sck_pool *pool);
/* Put a new request in.  The pool takes a reference. */
SCK_MUST_CHECK enum sck_code sck_pool_add(struct sck_pool *pool, struct scopekey_request *request,
                                          struct sck_err *err);
void sck_pool_cancel(struct sck_pool *pool, struct scopekey_request *request);
/* The caller lets go of it. */
void sck_pool_release(struct sck_pool *pool, struct scopekey_request *request);
size_t sck_pool_dispatch(struct sck_pool *pool, size_t most);
bool sck_pool_is_over(struct sck_pool *pool, const struct scopekey_request *request);
/* Around a fork. */
void sck_pool_lock(struct sck_pool *pool);
void sck_pool_unlock(struct sck_pool *pool);
void sck_pool_unlock_in_child(struct sck_pool *pool);

/* ---- open.c ---- */

struct scopekey {
    atomic_uint refs;                   /* the caller's and the requests' */
    struct scopekey *next;              /* in the list for forks */
    struct sck_service *service;        /* until it is closed */
    struct sck_pool pool;
};
struct scopekey *sck_scopekey_ref(struct scopekey *scopekey);
void sck_scopekey_unref(struct scopekey *scopekey);

/* ---- error.c ---- */

enum scopekey_code sck_api_code(enum sck_code code);
/* Forget the last call's error. */
void sck_api_begin(struct scopekey_error *error);
/* Note a failure: the code of the door. */
enum scopekey_code sck_api_fail(struct scopekey_error *error, enum sck_code code, const struct sck_err *why);
/* An argument is missing. */
enum scopekey_code sck_api_null(struct scopekey_error *error, const char *function);

/* ---- aead.c ---- */

/* Takes `dek` and the contents of `context`.  NULL: out of memory, and nothing was taken. */
struct scopekey_aead *sck_aead_take(struct sck_secret **dek, struct sck_buf *context);
SCK_MUST_CHECK enum sck_code sck_aead_seal(const struct scopekey_aead *aead, struct sck_bytes plain,
                                           struct sck_bytes aad, struct sck_buf *out, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_aead_open(const struct scopekey_aead *aead, struct sck_bytes seal,
                                           struct sck_bytes aad, struct sck_secret **out, struct sck_err *err);
/* The contents of a buffer, with a NUL behind them, for scopekey_free(); the buffer is then empty.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_api_steal(struct sck_buf *buf, void **out, size_t *len, struct sck_err *err);

#endif
