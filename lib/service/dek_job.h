/* SPDX-License-Identifier: MIT */
/*
 * DEKs of purpose `message`, which callers keep themselves: made, opened and rewrapped, blocking or asynchronously.
 * A job is a few steps of local work (catalog, token) around calls of the keeper that need no thread when the keeper
 * is asynchronous itself.
 */
#ifndef SCK_SERVICE_DEK_JOB_H
#define SCK_SERVICE_DEK_JOB_H

#include "lib/service/service.h"

enum sck_dek_what {
    SCK_DEK_MAKE = 1,   /* a fresh DEK, wrapped */
    SCK_DEK_OPEN,       /* unwrap; concurrent ones of one DEK share one call of the keeper; may come from the cache */
    SCK_DEK_REWRAP      /* open, and wrap under the newest version */
};

struct sck_dek_work;

/*
 * Start with sck_dek_job_init() and fill in the upper half; then sck_dek_job_step() until it is over.
 * Codes: SCK_E_CONTEXT (the context is of another subject, purpose, environment or generation, or not the one of this
 * wrapped DEK), SCK_E_AUTHENTIC (the wrapped DEK is malformed, altered or of another KEK), SCK_E_NOT_FOUND,
 * SCK_E_ERASED, SCK_E_DENIED, SCK_E_CREDENTIAL, SCK_E_CONNECT (also: out of time), SCK_E_CANCELLED, SCK_E_TOKEN, ...
 */
struct sck_dek_job {
    enum sck_dek_what what;
    struct sck_service *service;        /* borrowed */
    /* Callers' pairs (make; the rest is filled in), or the whole context (the others).  Owned. */
    struct sck_context ctx;
    struct sck_scope subject;           /* who the caller says it is for */
    struct sck_buf wrapped;             /* in: open and rewrap; out: make and rewrap.  Owned */
    int64_t deadline_us;                /* by the monotonic clock; 0: the keeper's own */
    /* NULL: steps block until it is over.  Else called on any thread, not to be blocked: step again, elsewhere. */
    void (*wake)(struct sck_dek_job *job);
    void *arg;
    /* Out, once it is over. */
    enum sck_code code;
    struct sck_err err;
    struct sck_secret *dek;             /* owned */
    struct sck_dek_work *work;
};

/* SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_dek_job_init(struct sck_dek_job *job, enum sck_dek_what what,
                                              struct sck_service *service, struct sck_err *err);
/* Not while it is under way.  Safe on a zeroed struct. */
void sck_dek_job_clear(struct sck_dek_job *job);
/*
 * Go on, on a thread that may block for local work.  True when it is over; false when `wake` will be called: the job
 * may be touched by another thread, and be over, before this returns.
 */
bool sck_dek_job_step(struct sck_dek_job *job);
/* From any thread, while it is not over: end soon, with SCK_E_CANCELLED unless it was too late. */
void sck_dek_job_cancel(struct sck_dek_job *job);
/*
 * From any thread, while it is not over: its deadline has passed.  It no longer waits for a call that another request
 * made; its own calls end by themselves.
 */
void sck_dek_job_expire(struct sck_dek_job *job);

#endif
