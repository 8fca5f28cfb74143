/* SPDX-License-Identifier: MIT */
/* One request: what goes in is copied, the steps, what comes out. */
#include "lib/api/api.h"

#include "lib/base/clock.h"
#include "lib/base/metric.h"
#include "lib/core/message.h"
#include "lib/service/rewrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;           /* label of its metrics */
    enum sck_dek_what what;     /* 0: no DEK is asked for */
} ops[SCK_API_OPS] = {
    [SCK_API_ENCRYPTION_KEYS] = {"encryption_keys", SCK_DEK_MAKE},
    [SCK_API_DECRYPTION_KEYS] = {"decryption_keys", SCK_DEK_OPEN},
    [SCK_API_REWRAP] = {"rewrap", SCK_DEK_REWRAP},
    [SCK_API_MESSAGE_SEAL] = {"message_seal", SCK_DEK_MAKE},
    [SCK_API_MESSAGE_OPEN] = {"message_open", SCK_DEK_OPEN},
    [SCK_API_ENSURE] = {"subject_ensure", 0},
    [SCK_API_ROTATE] = {"subject_rotate", 0},
    [SCK_API_SUBJECT_REWRAP] = {"subject_rewrap", 0},
    [SCK_API_ERASE] = {"subject_erase", 0},
};

/* ---- making one ---- */

static enum sck_code
add_pairs(struct sck_context *ctx, const struct scopekey_call *call, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (call->pairs == NULL && call->pair_count > 0)
        return sck_fail(err, SCK_E_USAGE, "the pairs are NULL, and there are %zu", call->pair_count);
    for (size_t i = 0; rc == SCK_OK && i < call->pair_count; i++) {
        const struct scopekey_pair *pair = &call->pairs[i];
        if (pair->name == NULL || pair->value == NULL)
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: pair %zu has no name or no value", i);
        rc = sck_context_add(ctx, pair->name, pair->value, strlen(pair->value), err);
    }
    return rc;
}

static enum sck_code
read_call(struct scopekey_request *r, const struct scopekey_call *call, struct sck_err *err)
{
    if (call == NULL)
        return SCK_OK;
    if (call->size < sizeof *call)
        return sck_fail(err, SCK_E_USAGE, "the call's size is %zu: start from SCOPEKEY_CALL_INIT", call->size);
    for (size_t i = sizeof *call; i < call->size; i++) {
        if (((const uint8_t *)call)[i] != 0)
            return sck_fail(err, SCK_E_UNSUPPORTED, "the call asks for something newer than this library");
    }
    if (call->deadline_ms < 0 || call->deadline_ms > INT64_MAX / 2000)
        return sck_fail(err, SCK_E_USAGE, "a deadline is a number of milliseconds from now, 0 for the keeper's own");
    if (call->deadline_ms > 0)
        r->job.deadline_us = r->started_us + call->deadline_ms * 1000;
    if (ops[r->op].what != SCK_DEK_MAKE && call->pair_count > 0)
        return sck_fail(err, SCK_E_USAGE, "pairs are given when a DEK is made, and are in its context from then on");
    return add_pairs(&r->job.ctx, call, err);
}

static enum sck_code
read_wrapped(struct scopekey_request *r, struct sck_bytes wrapped, struct sck_bytes context, struct sck_err *err)
{
    sck_buf_put(&r->job.wrapped, wrapped.data, wrapped.len);
    enum sck_code rc = sck_context_decode(context.data, context.len, &r->job.ctx, err);
    if (rc == SCK_OK && (wrapped.len > SCK_WRAPPED_MAX || r->job.wrapped.too_large))
        return sck_fail(err, SCK_E_AUTHENTIC, "wrapped DEK: %zu bytes cannot be one", wrapped.len);
    return rc == SCK_OK ? sck_buf_check(&r->job.wrapped, "wrapped DEK", err) : rc;
}

static enum sck_code
read_plain(struct scopekey_request *r, struct sck_bytes plain, struct sck_err *err)
{
    if (plain.len == 0 || plain.len > SCK_SEAL_MAX)
        return sck_fail(err, SCK_E_USAGE, "the data has %zu bytes, and may have 1 to %u", plain.len, SCK_SEAL_MAX);
    return sck_secret_from(plain.data, plain.len, &r->plain, err);
}

static enum sck_code
read_message(struct scopekey_request *r, struct sck_bytes data, struct sck_err *err)
{
    struct sck_message message;
    if (data.len > SCK_MESSAGE_MAX)
        return sck_fail(err, SCK_E_AUTHENTIC, "sealed message: %zu bytes cannot be one", data.len);
    enum sck_code rc = sck_message_decode(data.data, data.len, &message, err);
    if (rc == SCK_OK)
        rc = read_wrapped(r, message.wrapped, message.context, err);
    if (rc == SCK_OK) {
        sck_buf_put(&r->seal, message.seal.data, message.seal.len);
        rc = sck_buf_check(&r->seal, "sealed message", err);
    }
    return rc;
}

static enum sck_code
read_args(struct scopekey_request *r, const struct sck_api_args *args, struct sck_err *err)
{
    enum sck_code rc = sck_scope_make(SCK_SCOPE_SUBJECT, args->subject, strlen(args->subject), &r->subject, err);
    if (rc == SCK_OK && args->aad.len > SCOPEKEY_AAD_MAX)
        rc = sck_fail(err, SCK_E_USAGE, "additional data has %zu bytes, and may have %d", args->aad.len,
                      SCOPEKEY_AAD_MAX);
    if (rc == SCK_OK && ops[r->op].what != 0) {
        rc = sck_dek_job_init(&r->job, ops[r->op].what, r->scopekey->service, err);
        r->job.subject = r->subject;
    }
    if (rc == SCK_OK)
        rc = read_call(r, args->call, err);
    sck_buf_put(&r->aad, args->aad.data, args->aad.len);
    if (rc == SCK_OK)
        rc = sck_buf_check(&r->aad, "additional data", err);
    if (rc == SCK_OK && (r->op == SCK_API_DECRYPTION_KEYS || r->op == SCK_API_REWRAP))
        rc = read_wrapped(r, args->wrapped, args->context, err);
    if (rc == SCK_OK && r->op == SCK_API_MESSAGE_SEAL)
        rc = read_plain(r, args->data, err);
    if (rc == SCK_OK && r->op == SCK_API_MESSAGE_OPEN)
        rc = read_message(r, args->data, err);
    return rc;
}

enum sck_code
sck_request_new(struct scopekey *scopekey, const struct sck_api_args *args, struct scopekey_request **out,
                struct sck_err *err)
{
    *out = NULL;
    struct scopekey_request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    atomic_init(&r->refs, 1);
    r->scopekey = sck_scopekey_ref(scopekey);
    r->op = args->op;
    r->started_us = sck_monotonic_us(sck_clock_system());
    sck_buf_init(&r->aad, SCOPEKEY_AAD_MAX);
    sck_buf_init(&r->seal, SCK_SEAL_OVERHEAD + SCK_SEAL_MAX);
    sck_buf_init(&r->bytes, SCK_MESSAGE_MAX);
    enum sck_code rc = read_args(r, args, err);
    if (rc == SCK_OK)
        *out = r;
    else
        sck_request_unref(&r);
    return rc;
}

void
sck_request_unref(struct scopekey_request **request)
{
    struct scopekey_request *r = *request;
    *request = NULL;
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    sck_dek_job_clear(&r->job);
    sck_secret_free(&r->plain);
    sck_secret_free(&r->secret);
    sck_buf_clear(&r->aad);
    sck_buf_clear(&r->seal);
    sck_buf_clear(&r->bytes);
    scopekey_material_free(&r->material);
    scopekey_aead_free(&r->aead);
    sck_scopekey_unref(r->scopekey);
    free(r);
}

/* ---- doing it ---- */

static void
count(const struct scopekey_request *r)
{
    char label[96];
    int64_t took_us = sck_monotonic_us(sck_clock_system()) - r->started_us;
    (void)snprintf(label, sizeof label, "op=\"%s\",outcome=\"%s\"", ops[r->op].name,
                   scopekey_code_name(sck_api_code(r->code)));
    sck_metric_add(sck_metric_counter("scopekey_materials_total", "Calls of the C interface.", label), 1);
    (void)snprintf(label, sizeof label, "op=\"%s\"", ops[r->op].name);
    sck_metric_observe(sck_metric_histogram("scopekey_materials_seconds", "How long calls of the C interface took.",
                                            label), took_us);
}

static bool
over(struct scopekey_request *r, enum sck_code code)
{
    r->code = code;
    count(r);
    return true;
}

/* The DEK as a cipher, out of the job. */
static enum sck_code
take_aead(struct scopekey_request *r, struct scopekey_aead **out)
{
    struct sck_buf context;
    sck_buf_init(&context, SCK_CONTEXT_BYTES_MAX);
    enum sck_code rc = sck_context_encode(&r->job.ctx, &context, &r->err);
    *out = rc == SCK_OK ? sck_aead_take(&r->job.dek, &context) : NULL;
    if (rc == SCK_OK && *out == NULL)
        rc = sck_fail(&r->err, SCK_E_MEMORY, "out of memory");
    sck_buf_clear(&context);
    return rc;
}

static void
move(struct sck_buf *from, struct sck_buf *to)
{
    sck_buf_clear(to);
    *to = *from;
    *from = (struct sck_buf){.max_len = from->max_len};
}

static enum sck_code
make_material(struct scopekey_request *r, struct scopekey_aead **aead)
{
    r->material = calloc(1, sizeof *r->material);
    if (r->material == NULL)
        return sck_fail(&r->err, SCK_E_MEMORY, "out of memory");
    move(&r->job.wrapped, &r->material->wrapped);
    r->material->aead = *aead;
    *aead = NULL;
    return SCK_OK;
}

static enum sck_code
make_message(struct scopekey_request *r, const struct scopekey_aead *aead)
{
    const struct sck_message head = {.context = sck_buf_bytes(&aead->context),
                                     .wrapped = sck_buf_bytes(&r->job.wrapped)};
    sck_message_put_head(&head, &r->bytes);
    enum sck_code rc = sck_aead_seal(aead, (struct sck_bytes){r->plain->data, r->plain->len}, sck_buf_bytes(&r->aad),
                                     &r->bytes, &r->err);
    sck_secret_free(&r->plain);
    return rc;
}

/* What is made of the DEK, locally. */
static enum sck_code
use_dek(struct scopekey_request *r)
{
    struct scopekey_aead *aead = NULL;
    if (r->op == SCK_API_REWRAP) {
        move(&r->job.wrapped, &r->bytes);
        sck_secret_free(&r->job.dek);
        return SCK_OK;
    }
    enum sck_code rc = take_aead(r, &aead);
    if (rc == SCK_OK && r->op == SCK_API_ENCRYPTION_KEYS)
        rc = make_material(r, &aead);
    else if (rc == SCK_OK && r->op == SCK_API_MESSAGE_SEAL)
        rc = make_message(r, aead);
    else if (rc == SCK_OK && r->op == SCK_API_MESSAGE_OPEN)
        rc = sck_aead_open(aead, sck_buf_bytes(&r->seal), sck_buf_bytes(&r->aad), &r->secret, &r->err);
    if (rc == SCK_OK && r->op == SCK_API_DECRYPTION_KEYS) {
        r->aead = aead;
        aead = NULL;
    }
    scopekey_aead_free(&aead);
    return rc;
}

static enum sck_code
ensure(struct scopekey_request *r)
{
    struct sck_owner_info info;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_owner_create(r->scopekey->service, &r->subject, false, &info, &look);
    return rc == SCK_OK || rc == SCK_E_EXISTS ? SCK_OK : sck_fail(&r->err, rc, "%s", look.message);
}

static enum sck_code
rotate(struct scopekey_request *r)
{
    struct sck_owner_info info;
    enum sck_code rc = sck_kek_rotate(r->scopekey->service, &r->subject, &info, &r->err);
    if (rc == SCK_OK)
        r->number = info.kek_version;
    return rc;
}

static void
note_problem(void *arg, const char *line)
{
    char *first = arg;
    if (first[0] == '\0')
        (void)snprintf(first, SCK_ERR_MESSAGE_MAX, "%s", line);
}

static enum sck_code
rewrap_subject(struct scopekey_request *r)
{
    char first[SCK_ERR_MESSAGE_MAX] = "";
    struct sck_rewrap_report report = {0};
    const struct sck_rewrap how = {.scope = &r->subject, .problem = note_problem, .arg = first};
    enum sck_code rc = sck_rewrap_run(r->scopekey->service, &how, &report, &r->err);
    r->number = (uint64_t)report.moved;
    if (rc == SCK_OK && report.failed > 0)
        rc = sck_fail(&r->err, SCK_E_STATE, "%lld wrapped DEKs could not be moved; the first: %s",
                      (long long)report.failed, first);
    return rc;
}

/* What is done on a subject, in one go. */
static enum sck_code
do_subject(struct scopekey_request *r)
{
    switch (r->op) {
    case SCK_API_ENSURE: return ensure(r);
    case SCK_API_ROTATE: return rotate(r);
    case SCK_API_SUBJECT_REWRAP: return rewrap_subject(r);
    case SCK_API_ERASE: return sck_erase(r->scopekey->service, &r->subject, NULL, NULL, &r->bytes, &r->err);
    case SCK_API_ENCRYPTION_KEYS:
    case SCK_API_DECRYPTION_KEYS:
    case SCK_API_REWRAP:
    case SCK_API_MESSAGE_SEAL:
    case SCK_API_MESSAGE_OPEN:
    case SCK_API_OPS: break;
    }
    return sck_fail(&r->err, SCK_E_INTERNAL, "a request of kind %d is not done on a subject", (int)r->op);
}

bool
sck_request_step(struct scopekey_request *r)
{
    if (ops[r->op].what == 0) {
        if (atomic_load(&r->cancelled))
            return over(r, sck_fail(&r->err, SCK_E_CANCELLED, "the request was cancelled"));
        if (r->job.deadline_us != 0 && sck_monotonic_us(sck_clock_system()) >= r->job.deadline_us)
            return over(r, sck_fail(&r->err, SCK_E_CONNECT, "the deadline has passed"));
        return over(r, do_subject(r));
    }
    if (!sck_dek_job_step(&r->job))
        return false;
    if (r->job.code != SCK_OK) {
        r->err = r->job.err;
        return over(r, r->job.code);
    }
    return over(r, use_dek(r));
}

void
sck_request_cancel_job(struct scopekey_request *r)
{
    if (ops[r->op].what != 0)
        sck_dek_job_cancel(&r->job);
}

void
sck_request_expire_job(struct scopekey_request *r)
{
    if (ops[r->op].what != 0)
        sck_dek_job_expire(&r->job);
}

enum scopekey_code
sck_request_run(struct scopekey *scopekey, const struct sck_api_args *args, struct scopekey_request **out,
                struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = sck_request_new(scopekey, args, out, &err);
    if (rc != SCK_OK)
        return sck_api_fail(error, rc, &err);
    (void)sck_request_step(*out);
    if ((*out)->code == SCK_OK)
        return SCOPEKEY_OK;
    enum scopekey_code code = sck_api_fail(error, (*out)->code, &(*out)->err);
    sck_request_unref(out);
    return code;
}

enum scopekey_code
sck_request_begin(struct scopekey *scopekey, const struct sck_api_args *args, scopekey_done_fn done, void *arg,
                  struct scopekey_request **out, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct scopekey_request *r = NULL;
    enum sck_code rc = sck_request_new(scopekey, args, &r, &err);
    if (rc == SCK_OK) {
        r->done = done;
        r->arg = arg;
        /* The callback may come before this returns, and finds the request where the caller keeps it. */
        *out = r;
        rc = sck_pool_add(&scopekey->pool, r, &err);
    }
    if (rc == SCK_OK)
        return SCOPEKEY_OK;
    *out = NULL;
    sck_request_unref(&r);
    return sck_api_fail(error, rc, &err);
}
