/* SPDX-License-Identifier: MIT */
#include "lib/service/dek_job.h"

#include "lib/service/dek_flight.h"
#include "lib/service/kek.h"

#include <stdlib.h>
#include <string.h>

enum stage { OPEN, OPENING, WRAP, WRAPPING, OVER };

struct sck_dek_work {
    struct sck_dek_job *job;
    enum stage stage;
    atomic_bool cancelled;
    int tries;                          /* of wrapping: the KEK may be rotated meanwhile */
    struct sck_owner_rec row;           /* as it was when the KEK was read */
    struct sck_dek_owner owner;
    struct sck_dek_wait wait;
    struct sck_dek_call *call;          /* while wrapping; changed behind the cache's lock */
};

enum sck_code
sck_dek_job_init(struct sck_dek_job *job, enum sck_dek_what what, struct sck_service *service, struct sck_err *err)
{
    memset(job, 0, sizeof *job);
    job->what = what;
    job->service = service;
    sck_context_init(&job->ctx);
    sck_buf_init(&job->wrapped, SCK_WRAPPED_MAX);
    job->work = calloc(1, sizeof *job->work);
    if (job->work == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    job->work->job = job;
    job->work->stage = what == SCK_DEK_MAKE ? WRAP : OPEN;
    return SCK_OK;
}

void
sck_dek_job_clear(struct sck_dek_job *job)
{
    if (job->work != NULL) {
        sck_dek_call_unref(&job->work->call);
        sck_secret_free(&job->work->wait.dek);
    }
    free(job->work);
    sck_context_clear(&job->ctx);
    sck_buf_clear(&job->wrapped);
    sck_secret_free(&job->dek);
    memset(job, 0, sizeof *job);
}

static bool
finish(struct sck_dek_job *job, enum sck_code code)
{
    job->work->stage = OVER;
    job->code = code;
    if (code != SCK_OK)
        sck_secret_free(&job->dek);
    return true;
}

static enum sck_code
check_time(struct sck_dek_job *job)
{
    if (atomic_load(&job->work->cancelled))
        return sck_fail(&job->err, SCK_E_CANCELLED, "the request was cancelled");
    if (job->deadline_us != 0 && sck_monotonic_us(job->service->engine->clock) >= job->deadline_us)
        return sck_fail(&job->err, SCK_E_CONNECT, "the deadline has passed");
    return SCK_OK;
}

/* The owner as it is now, with its KEK; what it is checked by later is noted before the catalog is read. */
static enum sck_code
look_up_owner(struct sck_dek_job *job, bool provision, struct sck_kek_rec *kek)
{
    struct sck_engine *engine = job->service->engine;
    struct sck_dek_owner *note = &job->work->owner;
    struct sck_owner_rec *row = &job->work->row;
    *row = (struct sck_owner_rec){0};
    note->mapped = sck_epoch_read(engine, &note->epoch);
    enum sck_code rc = sck_owner_get(engine, &job->subject, provision, row, kek, &job->err);
    note->id = row->id;
    note->generation = row->generation;
    return rc;
}

/* ---- opening ---- */

/* What can be said about a context without the DEK. */
static enum sck_code
check_context(const struct sck_dek_job *job, const struct sck_wrapped *w, struct sck_err *err)
{
    const struct sck_context *ctx = &job->ctx;
    if (!sck_scope_equal(&ctx->scope, &job->subject))
        return sck_fail(err, SCK_E_CONTEXT, "the encryption context is of another subject");
    if (ctx->purpose != SCK_PURPOSE_MESSAGE)
        return sck_fail(err, SCK_E_CONTEXT, "the encryption context is of purpose %s: only DEKs of purpose message are "
                        "opened here", sck_purpose_name(ctx->purpose));
    if (strcmp(ctx->env, job->service->engine->conf->environment) != 0)
        return sck_fail(err, SCK_E_CONTEXT, "the encryption context is of environment %s, this is %s", ctx->env,
                        job->service->engine->conf->environment);
    if (ctx->generation != w->generation)
        return sck_fail(err, SCK_E_CONTEXT, "the encryption context is of another generation than the wrapped DEK");
    return SCK_OK;
}

static enum sck_code
dek_id(const struct sck_dek_job *job, const uint8_t context_hash[SCK_SHA256_LEN], struct sck_dek_id *id,
       struct sck_err *err)
{
    const struct sck_bytes parts[] = {sck_buf_bytes(&job->wrapped), {context_hash, SCK_SHA256_LEN}};
    return sck_sha256_parts(parts, 2, id->hash, err);
}

/* The row of the KEK that the DEK is under: the current one, an older version, or one at another keeper. */
static enum sck_code
find_kek(struct sck_dek_job *job, struct sck_dek_call *call)
{
    struct sck_kek_rec other = {0};
    if (sck_kek_fits(&call->kek, &call->wrapped))
        return SCK_OK;
    enum sck_code rc = sck_kek_find(call->engine, &call->kek, &call->wrapped, &other, &job->err);
    if (rc != SCK_OK)
        return rc;
    sck_record_clear(SCK_TABLE_KEKS, &call->kek);
    call->kek = other;
    return SCK_OK;
}

/* Fill in what the keeper is to be asked. */
static enum sck_code
fill_unwrap(struct sck_dek_job *job, struct sck_dek_call *call)
{
    enum sck_code rc = look_up_owner(job, false, &call->kek);
    if (rc == SCK_OK && call->wrapped.generation < job->work->row.generation)
        rc = sck_fail(&job->err, SCK_E_ERASED, "what was encrypted for this subject in generation %lu was erased",
                      (unsigned long)call->wrapped.generation);
    if (rc == SCK_OK)
        rc = find_kek(job, call);
    if (rc != SCK_OK)
        return rc;
    call->ref = sck_kek_from_rec(&call->kek);
    call->item.blob = (struct sck_bytes){call->wrapped.blob, call->wrapped.blob_len};
    call->item.version = call->wrapped.kek_version;
    return sck_engine_keeper(call->engine, call->wrapped.keeper, &call->keeper, &job->err);
}

static void
wait_woken(struct sck_dek_wait *wait)
{
    struct sck_dek_work *work =
        (struct sck_dek_work *)(void *)((uint8_t *)wait - offsetof(struct sck_dek_work, wait));
    work->job->wake(work->job);
}

/* SCK_OK with job->dek: it was in the cache; without: the request has joined a flight. */
static enum sck_code
begin_open(struct sck_dek_job *job)
{
    struct sck_engine *engine = job->service->engine;
    struct sck_dek_work *work = job->work;
    struct sck_dek_id id;
    struct sck_dek_call *call = sck_dek_call_new(engine, SCK_KEEPER_UNWRAP);
    if (call == NULL)
        return sck_fail(&job->err, SCK_E_MEMORY, "out of memory");
    enum sck_code rc = sck_wall_check(job->service, &job->subject, &job->err);
    if (rc == SCK_OK)
        rc = sck_wrapped_decode(job->wrapped.data, job->wrapped.len, &call->wrapped, &job->err);
    if (rc == SCK_OK)
        rc = check_context(job, &call->wrapped, &job->err);
    if (rc == SCK_OK)
        rc = sck_context_hash(&job->ctx, call->context_hash, &job->err);
    if (rc == SCK_OK)
        rc = dek_id(job, call->context_hash, &id, &job->err);
    if (rc == SCK_OK)
        rc = sck_dek_cache_get(engine->deks, &id, &job->dek, &job->err);
    if (rc == SCK_OK && job->dek == NULL)
        rc = fill_unwrap(job, call);
    if (rc == SCK_OK && job->dek == NULL) {
        work->wait.deadline_us = job->deadline_us;
        work->wait.wake = job->wake != NULL ? wait_woken : NULL;
        work->wait.cancelled = &work->cancelled;
        work->stage = OPENING;
        return sck_dek_flight_join(&id, &work->owner, call, &work->wait, &job->err);
    }
    sck_dek_call_unref(&call);
    return rc;
}

static enum sck_code
end_open(struct sck_dek_job *job)
{
    struct sck_dek_wait *wait = &job->work->wait;
    if (wait->code != SCK_OK)
        return sck_kek_failed(job->service->engine, job->work->owner.id, wait->code, &wait->err, &job->err);
    job->dek = wait->dek;
    wait->dek = NULL;
    return sck_dek_owner_check(job->service->engine, &job->work->owner, &job->err);
}

/* ---- wrapping ---- */

static enum sck_code
fill_context(struct sck_dek_job *job)
{
    struct sck_engine *engine = job->service->engine;
    struct sck_context *ctx = &job->ctx;
    sck_secret_free(&job->dek);
    ctx->scope = job->subject;
    ctx->purpose = SCK_PURPOSE_MESSAGE;
    ctx->generation = job->work->row.generation;
    ctx->created_s = sck_now_s(engine->clock);
    (void)strncpy(ctx->env, engine->conf->environment, sizeof ctx->env - 1);
    enum sck_code rc = sck_new_uuid(engine, ctx->id, &job->err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_DEK_LEN, &job->dek, &job->err);
    if (rc == SCK_OK)
        rc = sck_random(job->dek->data, SCK_DEK_LEN, &job->err);
    return rc;
}

static enum sck_code
fill_wrap(struct sck_dek_job *job, struct sck_dek_call *call)
{
    bool making = job->what == SCK_DEK_MAKE;
    enum sck_code rc = sck_wall_check(job->service, &job->subject, &job->err);
    if (rc == SCK_OK)
        rc = look_up_owner(job, making && job->service->auto_provision, &call->kek);
    if (rc == SCK_OK && making)
        rc = fill_context(job);
    if (rc == SCK_OK && job->ctx.generation != job->work->row.generation)
        rc = sck_fail(&job->err, SCK_E_ERASED, "the owner of this key was erased");
    if (rc == SCK_OK)
        rc = sck_context_hash(&job->ctx, call->context_hash, &job->err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, &call->payload, &job->err);
    if (rc != SCK_OK)
        return rc;
    sck_payload_encode(job->dek->data, call->context_hash, call->payload->data);
    call->ref = sck_kek_from_rec(&call->kek);
    call->item.payload = call->payload;
    return sck_engine_keeper(call->engine, (enum sck_keeper_kind)call->kek.keeper, &call->keeper, &job->err);
}

static void
wrap_done(struct sck_dek_call *call)
{
    struct sck_dek_job *job = call->arg;
    if (job->wake != NULL)
        job->wake(job);
}

static void
set_call(struct sck_dek_job *job, struct sck_dek_call *call)
{
    pthread_mutex_t *lock = sck_dek_cache_mutex(job->service->engine->deks);
    pthread_mutex_lock(lock);
    job->work->call = call;
    if (call != NULL)
        call->cancelled = atomic_load(&job->work->cancelled);
    pthread_mutex_unlock(lock);
}

/* True when the caller goes on; an asynchronous job is out of its hands. */
static bool
begin_wrap(struct sck_dek_job *job, enum sck_code *rc)
{
    struct sck_dek_call *call = sck_dek_call_new(job->service->engine, SCK_KEEPER_WRAP);
    *rc = call != NULL ? fill_wrap(job, call) : sck_fail(&job->err, SCK_E_MEMORY, "out of memory");
    if (*rc != SCK_OK) {
        sck_dek_call_unref(&call);
        return true;
    }
    bool async = job->wake != NULL;
    call->done = wrap_done;
    call->arg = job;
    job->work->stage = WRAPPING;
    set_call(job, call);
    sck_dek_call_begin(call, async, job->deadline_us);
    return !async;
}

static enum sck_code
read_wrapped(struct sck_dek_job *job, struct sck_dek_call *call)
{
    struct sck_wrapped w = {.keeper = (enum sck_keeper_kind)call->kek.keeper, .generation = call->kek.generation,
                            .kek_version = call->item.version};
    enum sck_code rc = call->work.code;
    if (rc != SCK_OK)
        rc = sck_kek_failed(call->engine, job->work->owner.id, rc, &call->work.err, &job->err);
    if (rc == SCK_OK)
        rc = sck_kek_note_version(call->engine, &call->kek, w.kek_version, &job->err);
    if (rc == SCK_OK)
        rc = sck_buf_check(&call->item.out, "wrapped DEK", &job->err);
    if (rc == SCK_OK) {
        memcpy(w.blob, call->item.out.data, call->item.out.len);
        w.blob_len = call->item.out.len;
        sck_buf_reset(&job->wrapped);
        rc = sck_wrapped_encode(&w, &job->wrapped, &job->err);
    }
    return rc;
}

/* *moved: the KEK was rotated meanwhile, and the DEK is to be wrapped anew. */
static enum sck_code
end_wrap(struct sck_dek_job *job, bool *moved)
{
    struct sck_dek_call *call = job->work->call;
    enum sck_code rc = read_wrapped(job, call);
    set_call(job, NULL);
    sck_dek_call_unref(&call);
    if (rc == SCK_OK)
        rc = sck_kek_hand_out(job->service->engine, &job->work->row, moved, &job->err);
    if (rc == SCK_OK)
        rc = sck_dek_owner_check(job->service->engine, &job->work->owner, &job->err);
    if (rc == SCK_OK && *moved && ++job->work->tries == SCK_KEK_TRIES)
        rc = sck_kek_busy(&job->err);
    return rc;
}

/* ---- */

/* The steps of opening.  True when they are done, and the job is over or is to wrap. */
static bool
step_open(struct sck_dek_job *job, enum sck_code *rc)
{
    struct sck_dek_work *work = job->work;
    if (work->stage == OPEN) {
        *rc = check_time(job);
        if (*rc == SCK_OK)
            *rc = begin_open(job);
        if (*rc != SCK_OK || job->dek != NULL)
            return true;
    }
    if (!sck_dek_flight_go(job->service->engine, &work->wait))
        return false;
    *rc = end_open(job);
    return true;
}

bool
sck_dek_job_step(struct sck_dek_job *job)
{
    struct sck_dek_work *work = job->work;
    enum sck_code rc = SCK_OK;
    bool moved = false;
    if (work->stage == OPEN || work->stage == OPENING) {
        if (!step_open(job, &rc))
            return false;
        if (rc != SCK_OK || job->what == SCK_DEK_OPEN)
            return finish(job, rc);
        work->stage = WRAP;
    }
    for (;;) {
        if (work->stage == WRAP) {
            rc = check_time(job);
            if (rc == SCK_OK && !begin_wrap(job, &rc))
                return false;
            if (rc != SCK_OK)
                return finish(job, rc);
        }
        rc = end_wrap(job, &moved);
        if (rc != SCK_OK || !moved)
            return finish(job, rc);
        work->stage = WRAP;
    }
}

void
sck_dek_job_cancel(struct sck_dek_job *job)
{
    struct sck_dek_work *work = job->work;
    struct sck_engine *engine = job->service->engine;
    pthread_mutex_t *lock = sck_dek_cache_mutex(engine->deks);
    atomic_store(&work->cancelled, true);
    pthread_mutex_lock(lock);
    struct sck_dek_call *call = work->call;
    if (call != NULL)
        call->refs++;
    pthread_mutex_unlock(lock);
    if (call != NULL)
        sck_dek_call_cancel(call);
    sck_dek_call_unref(&call);
    sck_dek_flight_leave(engine, &work->wait, SCK_E_CANCELLED);
}

void
sck_dek_job_expire(struct sck_dek_job *job)
{
    sck_dek_flight_leave(job->service->engine, &job->work->wait, SCK_E_CONNECT);
}
