/* SPDX-License-Identifier: MIT */
/*
 * Inside lib/service: calls of a keeper that may be asynchronous, and unwraps that several requests share: any number
 * of them for one DEK cost one call.  All behind the lock of the DEK cache.
 */
#ifndef SCK_SERVICE_DEK_FLIGHT_H
#define SCK_SERVICE_DEK_FLIGHT_H

#include "lib/service/dek_cache.h"

/* One call: a DEK is wrapped or unwrapped under a KEK.  Counted references: the keeper's is given back after `done`. */
struct sck_dek_call {
    unsigned refs;
    struct sck_engine *engine;
    struct sck_keeper *keeper;
    struct sck_kek_rec kek;             /* owned */
    struct sck_kek ref;                 /* borrows from `kek` */
    struct sck_wrapped wrapped;         /* unwrap: what is asked for */
    uint8_t context_hash[SCK_SHA256_LEN];
    struct sck_secret *payload;         /* wrap: owned */
    struct sck_keeper_item item;
    struct sck_keeper_work work;
    /* On any thread, which it must not block; once each time it was begun. */
    void (*done)(struct sck_dek_call *call);
    void *arg;
    bool submitted;                     /* the keeper has it */
    bool over;
    bool cancelled;
};

/* An empty call with one reference.  NULL: out of memory. */
struct sck_dek_call *sck_dek_call_new(struct sck_engine *engine, enum sck_keeper_do what);
void sck_dek_call_unref(struct sck_dek_call **call);
/*
 * Have the keeper do it: asynchronously when `async` and it can, else in this thread.  `done` is called either way,
 * before this returns or later.
 */
void sck_dek_call_begin(struct sck_dek_call *call, bool async, int64_t deadline_us);
/* Ask the keeper to stop, if it has it. */
void sck_dek_call_cancel(struct sck_dek_call *call);

/* Shares an unwrap.  In the caller's memory until it is over; zero-fill, then fill in the upper half. */
struct sck_dek_wait {
    int64_t deadline_us;                /* monotonic; 0 none */
    /* NULL: the caller blocks in sck_dek_flight_go().  Else called on any thread, without a lock: it is to go on. */
    void (*wake)(struct sck_dek_wait *wait);
    atomic_bool *cancelled;             /* or NULL: looked at before it begins to wait */
    struct sck_dek_flight *flight;      /* while it waits */
    struct sck_dek_wait *next;
    bool lead;                          /* it is to make the call */
    bool parked;                        /* wake is owed */
    bool over;                          /* what is below holds */
    enum sck_code code;
    struct sck_err err;
    struct sck_secret *dek;             /* the caller's own copy */
};

/*
 * Join the unwrap of `id` that is under way, or begin one with `call`, which is taken either way; then sck_dek_flight_go().
 * SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_dek_flight_join(const struct sck_dek_id *id, const struct sck_dek_owner *owner,
                                                 struct sck_dek_call *call, struct sck_dek_wait *wait,
                                                 struct sck_err *err);
/*
 * Go on: lead when it is to.  With `wake`, true when it is over, else it will be woken.  Without, it blocks until it is
 * over; when its deadline passes first that is with SCK_E_CONNECT.
 */
bool sck_dek_flight_go(struct sck_engine *engine, struct sck_dek_wait *wait);
/* Give up: the wait is over with `why`, SCK_E_CANCELLED or SCK_E_CONNECT (out of time), unless it was over already. */
void sck_dek_flight_leave(struct sck_engine *engine, struct sck_dek_wait *wait, enum sck_code why);

#endif
