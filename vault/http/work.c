/* SPDX-License-Identifier: MIT */
/*
 * Wrapping, unwrapping and rewrapping any number of DEKs: one request for one, batches for more.  A piece of work is a
 * row of calls, one after the other, whoever drives them.
 */
#include "vault/http/transit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one result in a batch, its names and all. */
enum { RESULT_MAX = 256 };

/* Work under way. */
struct course {
    struct sck_task task;               /* first: work->state */
    struct sck_vault *v;
    struct sck_keeper_work *work;
    struct sck_transit t;
    struct sck_vault_call call;
    struct sck_vault_ask ask;
    struct sck_secret *body;
    char path[SCK_VAULT_PATH_MAX];
    size_t at, end;                     /* the items that the request is about, but for those that failed before */
    size_t asked;                       /* how many these are */
    size_t first_bad;
    bool asks_if_missing;               /* a denied wrap was followed by the question whether the KEK is missing */
    struct sck_answer denied;
};

/* What each kind of work is at the server. */
static const struct kind {
    enum sck_vault_op op;
    const char *path;
} kinds[] = {
    [SCK_KEEPER_WRAP] = {SCK_OP_ENCRYPT, "encrypt"},
    [SCK_KEEPER_UNWRAP] = {SCK_OP_DECRYPT, "decrypt"},
    [SCK_KEEPER_REWRAP] = {SCK_OP_REWRAP, "rewrap"},
};

/* ---- items ---- */

/* The first bad item in order says what is wrong with the work. */
static void
item_failed(struct course *c, size_t i, enum sck_code code, const struct sck_err *err)
{
    c->work->items[i].code = code;
    if (i >= c->first_bad)
        return;
    c->first_bad = i;
    c->work->code = code;
    c->work->err = *err;
}

/* From `at` on nothing can be done any more. */
static void
rest_failed(struct course *c, size_t at, enum sck_code code, const struct sck_err *err)
{
    for (size_t i = at; i < c->work->count; i++) {
        if (c->work->items[i].code == SCK_OK)
            item_failed(c, i, code, err);
    }
    c->at = c->end = c->work->count;
}

static enum sck_code
check_item(const struct course *c, struct sck_keeper_item *item, struct sck_err *err)
{
    uint32_t version = item->version;
    item->code = SCK_OK;
    item->opened = NULL;
    if (c->work->what == SCK_KEEPER_WRAP) {
        item->version = 0;
        return item->payload->len == SCK_PAYLOAD_LEN
                   ? SCK_OK
                   : sck_fail(err, SCK_E_USAGE, "keeper vault: a payload has %d bytes, not %zu", SCK_PAYLOAD_LEN,
                              item->payload->len);
    }
    if (version == 0 || sck_transit_blob_version((const char *)item->blob.data, item->blob.len) != version)
        return sck_fail(err, SCK_E_AUTHENTIC, "keeper vault: this is no ciphertext of transit under version %u",
                        (unsigned)version);
    return SCK_OK;
}

/* ---- requests ---- */

static void
clear_request(struct course *c)
{
    sck_call_clear(&c->ask.call);
    sck_secret_free(&c->body);
}

/* The next request into c->ask; false when all is done. */
static bool
next_request(struct course *c)
{
    struct sck_keeper_work *work = c->work;
    const struct kind *kind = &kinds[work->what];
    struct sck_err err = SCK_ERR_INIT;
    size_t most = atomic_load(&c->v->batch_most);
    c->asked = 0;
    for (c->at = c->end; c->end < work->count && c->asked < most; c->end++) {
        c->asked += work->items[c->end].code == SCK_OK;
        if (c->asked == 0)
            c->at = c->end + 1;
    }
    if (c->asked == 0)
        return false;
    enum sck_code rc = sck_transit_write(work->items + c->at, c->end - c->at, c->asked, work->what == SCK_KEEPER_WRAP,
                                         &c->body, &err);
    if (rc != SCK_OK) {
        rest_failed(c, c->at, rc, &err);
        return false;
    }
    (void)snprintf(c->path, sizeof c->path, "%s/%s/%s", c->t.mount, kind->path, c->t.name);
    c->call = sck_transit_call(&c->t, kind->op, "POST", c->path);
    c->call.token = &c->v->data;
    c->call.body = c->body;
    c->call.reply_hint = c->asked * RESULT_MAX;
    c->call.deadline_us = work->deadline_us;
    sck_vault_ask_init(&c->ask, c->v, &c->call);
    return true;
}

/* ---- answers ---- */

/* All that is sent is needed, so a parameter that the server does not know makes the whole answer worthless. */
static bool
is_warned(struct sck_json body)
{
    char text[SCK_TEXT_MAX];
    struct sck_json warnings = sck_json_get(body, "warnings"), item;
    for (size_t at = 0; sck_json_next(warnings, &at, &item);) {
        if (sck_json_text(item, text, sizeof text) && strstr(text, "ignored these unrecognized parameters") != NULL)
            return true;
    }
    return false;
}

static size_t
count_items(struct sck_json array)
{
    size_t count = 0;
    struct sck_json item;
    for (size_t at = 0; sck_json_next(array, &at, &item);)
        count++;
    return count;
}

static enum sck_code
take(const struct course *c, struct sck_json object, struct sck_keeper_item *item, struct sck_err *err)
{
    return sck_transit_take(c->v, &c->call, c->ask.call.answer.url, object, item, err);
}

static void
take_results(struct course *c, struct sck_json results)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_json result;
    size_t at = 0;
    for (size_t i = c->at; i < c->end; i++) {
        struct sck_keeper_item *item = &c->work->items[i];
        if (item->code != SCK_OK)
            continue;
        (void)sck_json_next(results, &at, &result);
        sck_err_clear(&err);
        enum sck_code rc = take(c, result, item, &err);
        if (rc != SCK_OK)
            item_failed(c, i, rc, &err);
    }
}

/* A verdict that is about one blob, and says nothing of the next one. */
static bool
is_about_item(const struct course *c, enum sck_verdict verdict)
{
    return c->asked == 1 && (verdict == SCK_SAYS_ALTERED || verdict == SCK_SAYS_TOO_OLD);
}

static void
take_refusal(struct course *c, const struct sck_answer *answer, bool missing)
{
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc;
    if (missing)
        rc = sck_fail(&err, SCK_E_NOT_FOUND, "keeper vault, wrap of KEK %s at %s: no such KEK", c->t.name, answer->url);
    else
        rc = sck_vault_refused(c->v, &c->call, answer, &err);
    if (is_about_item(c, answer->row->verdict))
        item_failed(c, c->at, rc, &err);
    else
        rest_failed(c, c->at, rc, &err);
}

/* Learn the server's limit and ask for fewer. */
static void
ask_fewer(struct course *c)
{
    size_t fewer = (c->asked + 1) / 2, most = atomic_load(&c->v->batch_most);
    while (fewer < most && !atomic_compare_exchange_weak(&c->v->batch_most, &most, fewer)) {
    }
    c->end = c->at;
}

static void
take_single(struct course *c, struct sck_json data)
{
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = take(c, data, &c->work->items[c->at], &err);
    if (rc != SCK_OK)
        item_failed(c, c->at, rc, &err);
}

static void
take_strange(struct course *c, const char *what)
{
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = sck_vault_strange(&c->call, what, &err);
    rest_failed(c, c->at, rc, &err);
}

/* With a token that may not create, a missing key and a missing right look the same: decrypt tells them apart. */
static bool
ask_if_missing(struct course *c)
{
    struct sck_err err = SCK_ERR_INIT;
    c->denied = c->ask.call.answer;
    c->denied.reply.body = NULL;
    clear_request(c);
    if (sck_transit_body(SCK_TRANSIT_MADE_UP, &c->body, &err) != SCK_OK) {
        take_refusal(c, &c->denied, false);
        return false;
    }
    c->asks_if_missing = true;
    (void)snprintf(c->path, sizeof c->path, "%s/decrypt/%s", c->t.mount, c->t.name);
    c->call.op = SCK_OP_DECRYPT;
    c->call.body = c->body;
    sck_vault_ask_init(&c->ask, c->v, &c->call);
    return true;
}

static void
take_whether_missing(struct course *c)
{
    const struct sck_call *asked = &c->ask.call;
    bool missing = asked->code == SCK_OK && asked->answer.row->verdict == SCK_SAYS_MISSING;
    c->asks_if_missing = false;
    c->call.op = SCK_OP_ENCRYPT;
    if (asked->code == SCK_E_CANCELLED)
        rest_failed(c, c->at, asked->code, &asked->err);
    else
        take_refusal(c, &c->denied, missing);
}

/* Never by the status alone: a batch with bad items has that of an error, and one of bad items only may have 200. */
static void
take_verdict(struct course *c)
{
    const struct sck_answer *answer = &c->ask.call.answer;
    struct sck_json data = sck_json_get(answer->json, "data"), results = sck_json_get(data, "batch_results");
    enum sck_verdict verdict = answer->row->verdict;
    if (is_warned(answer->json))
        take_strange(c, "what was asked for, as it ignored a parameter");
    else if (c->asked > 1 && results.kind == SCK_JSON_ARRAY && count_items(results) == c->asked)
        take_results(c, results);
    else if (verdict == SCK_SAYS_OK && c->asked > 1)
        take_strange(c, "a result for each item");
    else if (verdict == SCK_SAYS_OK)
        take_single(c, data);
    else if (verdict == SCK_SAYS_TOO_LARGE && c->asked > 1)
        ask_fewer(c);
    else
        take_refusal(c, answer, false);
}

/* What an answer means for the work; true when another request is in c->ask. */
static bool
take_answer(struct course *c)
{
    const struct sck_call *asked = &c->ask.call;
    if (c->asks_if_missing)
        take_whether_missing(c);
    else if (asked->code != SCK_OK)
        rest_failed(c, c->at, asked->code, &asked->err);
    else if (asked->answer.row->verdict != SCK_SAYS_POLICY || c->work->what != SCK_KEEPER_WRAP)
        take_verdict(c);
    else if (ask_if_missing(c))
        return true;
    clear_request(c);
    return next_request(c);
}

/* ---- the work ---- */

/* True when there is a request in c->ask. */
static bool
course_begin(struct course *c, struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct sck_err err = SCK_ERR_INIT;
    memset(c, 0, sizeof *c);
    c->v = sck_vault_of(keeper);
    c->work = work;
    c->first_bad = SIZE_MAX;
    work->code = SCK_OK;
    sck_err_clear(&work->err);
    for (size_t i = 0; i < work->count; i++) {
        sck_err_clear(&err);
        enum sck_code rc = check_item(c, &work->items[i], &err);
        if (rc != SCK_OK)
            item_failed(c, i, rc, &err);
    }
    sck_err_clear(&err);
    enum sck_code rc = sck_transit_aim(c->v, work->kek->name, work->kek->mount, work->kek->name_space, &c->t, &err);
    if (rc != SCK_OK) {
        rest_failed(c, 0, rc, &err);
        return false;
    }
    return next_request(c);
}

enum sck_code
sck_transit_run(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct course c;
    for (bool more = course_begin(&c, keeper, work); more; more = take_answer(&c))
        sck_call_run(&c.ask.call);
    return work->code;
}

/* On the loop's thread, when a request has been answered. */
static void
course_step(struct sck_task *task)
{
    struct course *c = (struct course *)(void *)task;
    struct sck_keeper_work *work = c->work;
    struct sck_err err = SCK_ERR_INIT;
    if (task->call != NULL && take_answer(c)) {
        enum sck_code rc = sck_loop_start(&c->v->loop, task, 0, NULL, &err);
        if (rc == SCK_OK)
            return;
        rest_failed(c, c->at, rc, &err);
        clear_request(c);
    }
    sck_loop_retire(&c->v->loop, task, &work->state);
    free(c);
    work->done(work);
}

enum sck_code
sck_transit_submit(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct course *c = malloc(sizeof *c);
    if (c == NULL)
        return work->code = sck_fail(&work->err, SCK_E_MEMORY, "out of memory");
    /* Nothing to ask for is told on the thread as well. */
    bool asks = course_begin(c, keeper, work);
    c->task.call = asks ? &c->ask.call : NULL;
    c->task.done = course_step;
    enum sck_code rc = sck_loop_start(&c->v->loop, &c->task, 0, &work->state, &work->err);
    if (rc != SCK_OK) {
        work->code = rc;
        clear_request(c);
        free(c);
    }
    return rc;
}

void
sck_transit_cancel(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    sck_loop_cancel(&sck_vault_of(keeper)->loop, &work->state);
}

enum sck_code
sck_transit_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload,
                 struct sck_buf *blob, uint32_t *version, struct sck_err *err)
{
    struct sck_keeper_item item = {.payload = payload, .out = *blob};
    struct sck_keeper_work work = {.what = SCK_KEEPER_WRAP, .kek = kek, .items = &item, .count = 1};
    enum sck_code rc = sck_transit_run(keeper, &work);
    *blob = item.out;
    *version = item.version;
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", work.err.message);
}

enum sck_code
sck_transit_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *blob,
                   size_t blob_len, struct sck_secret **payload, struct sck_err *err)
{
    struct sck_keeper_item item = {.blob = {blob, blob_len}, .version = version};
    struct sck_keeper_work work = {.what = SCK_KEEPER_UNWRAP, .kek = kek, .items = &item, .count = 1};
    enum sck_code rc = sck_transit_run(keeper, &work);
    *payload = item.opened;
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", work.err.message);
}
