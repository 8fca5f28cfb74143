/* SPDX-License-Identifier: MIT */
#include "lib/service/mover.h"

#include "lib/base/fault.h"
#include "lib/base/text.h"
#include "lib/core/uuid.h"
#include "lib/service/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum sck_code
sck_mover_new(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_rewrap *how,
              struct sck_rewrap_report *report, struct sck_mover **out, struct sck_err *err)
{
    struct sck_mover *m = calloc(1, sizeof *m);
    *out = m;
    if (m == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    m->engine = engine;
    m->catalog = catalog;
    m->how = how;
    m->report = report;
    m->started_us = sck_monotonic_us(engine->clock);
    return SCK_OK;
}

static void
drop_pending(struct sck_mover *m)
{
    for (size_t i = 0; i < m->count; i++)
        sck_blob_clear(&m->pending[i]);
    m->count = 0;
}

void
sck_mover_free(struct sck_mover **mover)
{
    if (*mover != NULL) {
        drop_pending(*mover);
        sck_record_clear(SCK_TABLE_KEKS, &(*mover)->kek);
    }
    free(*mover);
    *mover = NULL;
}

void
sck_mover_problem(struct sck_mover *m, const char *fmt, ...)
{
    char line[SCK_ERR_MESSAGE_MAX];
    va_list args;
    m->report->failed++;
    if (m->how->problem == NULL)
        return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    m->how->problem(m->how->arg, line);
}

void
sck_mover_progress(struct sck_mover *m)
{
    if (m->how->progress != NULL)
        m->how->progress(m->how->arg, m->report);
}

bool
sck_mover_is_single(enum sck_code code)
{
    return code == SCK_E_AUTHENTIC || code == SCK_E_CONTEXT || code == SCK_E_NOT_FOUND || code == SCK_E_STATE ||
           code == SCK_E_INTEGRITY;
}

/* ---- one page ---- */

/* What is done to the DEKs of a page: all that are under one version of one keeper go together. */
struct page {
    struct sck_mover *mover;
    struct sck_wrapped from[SCK_MOVER_PAGE];
    struct sck_keeper_item items[SCK_MOVER_PAGE];
    struct sck_keeper_item checks[SCK_MOVER_PAGE];
    struct sck_secret *payloads[SCK_MOVER_PAGE];
    enum sck_code codes[SCK_MOVER_PAGE];    /* SCK_OK: moved into items[].out */
    bool busy[SCK_MOVER_PAGE];              /* of the group at work */
};

static struct page *
page_new(struct sck_mover *m)
{
    struct page *p = calloc(1, sizeof *p);
    if (p != NULL)
        p->mover = m;
    for (size_t i = 0; p != NULL && i < SCK_MOVER_PAGE; i++)
        sck_buf_init(&p->items[i].out, SCK_KEEPER_BLOB_MAX);
    return p;
}

static void
page_free(struct page *p)
{
    for (size_t i = 0; i < SCK_MOVER_PAGE; i++) {
        sck_buf_clear(&p->items[i].out);
        sck_secret_free(&p->payloads[i]);
        sck_secret_free(&p->checks[i].opened);
    }
    free(p);
}

/* One call for the busy items, gathered without gaps and put back. */
static enum sck_code
call(struct page *p, struct sck_keeper *keeper, enum sck_keeper_do what, const struct sck_kek_rec *kek,
     struct sck_keeper_item *items, struct sck_err *err)
{
    struct sck_keeper_item together[SCK_MOVER_PAGE];
    const struct sck_kek ref = sck_kek_from_rec(kek);
    struct sck_keeper_work work = {.what = what, .kek = &ref, .items = together};
    for (size_t i = 0; i < p->mover->count; i++) {
        if (p->busy[i])
            together[work.count++] = items[i];
    }
    if (work.count == 0)
        return SCK_OK;
    enum sck_code rc = keeper->ops->run(keeper, &work);
    bool told = false;
    for (size_t i = 0; i < work.count; i++)
        told = told || together[i].code != SCK_OK;
    /* A failure that no item has is everybody's. */
    if (rc != SCK_OK && !told)
        return sck_fail(err, rc, "%s", work.err.message);
    rc = SCK_OK;
    size_t n = 0;
    for (size_t i = 0; i < p->mover->count; i++) {
        if (!p->busy[i])
            continue;
        items[i] = together[n++];
        p->busy[i] = items[i].code == SCK_OK;
        p->codes[i] = items[i].code;
        if (rc == SCK_OK && items[i].code != SCK_OK && !sck_mover_is_single(items[i].code))
            rc = items[i].code;
    }
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", work.err.message);
}

/* Open the group under its own KEK, and wrap it under the current one: the DEKs are in locked memory meanwhile. */
static enum sck_code
open_and_wrap(struct page *p, const struct sck_kek_rec *from, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    struct sck_keeper *source = NULL;
    enum sck_code rc = sck_engine_keeper(m->engine, (enum sck_keeper_kind)from->keeper, &source, err);
    if (rc == SCK_OK)
        rc = call(p, source, SCK_KEEPER_UNWRAP, from, p->items, err);
    for (size_t i = 0; i < m->count; i++) {
        if (p->items[i].opened != NULL) {
            p->payloads[i] = p->items[i].opened;
            p->items[i].opened = NULL;
            p->items[i].payload = p->payloads[i];
        }
    }
    return rc == SCK_OK ? call(p, m->keeper, SCK_KEEPER_WRAP, &m->kek, p->items, err) : rc;
}

/* What was wrapped opens to what it was. */
static enum sck_code
verify(struct page *p, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    for (size_t i = 0; i < m->count; i++)
        p->checks[i] = (struct sck_keeper_item){.blob = sck_buf_bytes(&p->items[i].out),
                                                .version = p->items[i].version};
    enum sck_code rc = call(p, m->keeper, SCK_KEEPER_UNWRAP, &m->kek, p->checks, err);
    for (size_t i = 0; rc == SCK_OK && i < m->count; i++) {
        if (p->busy[i] && (p->checks[i].opened->len != p->payloads[i]->len ||
                           !sck_ct_equal(p->checks[i].opened->data, p->payloads[i]->data, p->payloads[i]->len)))
            rc = sck_fail(err, SCK_E_INTERNAL, "keeper %s gave another DEK back than it was given: nothing was stored",
                          m->keeper->ops->name);
    }
    return rc;
}

/* All DEKs of the page that are under the same version as number `first`. */
static enum sck_code
move_group(struct page *p, size_t first, bool *taken, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    struct sck_kek_rec from = {0};
    struct sck_err why = SCK_ERR_INIT;
    const struct sck_wrapped *f = &p->from[first];
    for (size_t i = 0; i < m->count; i++) {
        const struct sck_wrapped *w = &p->from[i];
        p->busy[i] = !taken[i] && w->keeper == f->keeper && w->generation == f->generation &&
                     w->kek_version == f->kek_version;
        taken[i] = taken[i] || p->busy[i];
        p->items[i].blob = (struct sck_bytes){w->blob, w->blob_len};
        p->items[i].version = w->kek_version;
    }
    enum sck_code rc = sck_kek_find(m->engine, &m->kek, f, &from, &why);
    if (sck_mover_is_single(rc)) {
        for (size_t i = 0; i < m->count; i++)
            p->codes[i] = p->busy[i] ? rc : p->codes[i];
        return SCK_OK;
    }
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", why.message);
    bool blind = m->keeper->ops->rewraps_blind && !m->verify && from.keeper == m->kek.keeper &&
                 strcmp(from.name, m->kek.name) == 0;
    rc = blind ? call(p, m->keeper, SCK_KEEPER_REWRAP, &m->kek, p->items, err) : open_and_wrap(p, &from, err);
    if (rc == SCK_OK && m->verify)
        rc = verify(p, err);
    sck_record_clear(SCK_TABLE_KEKS, &from);
    return rc;
}

/* ---- storing ---- */

static enum sck_code
store_one(struct page *p, size_t i, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    struct sck_blob *blob = &m->pending[i];
    struct sck_blob after = *blob;
    struct sck_err look = SCK_ERR_INIT;
    struct sck_wrapped w = {.keeper = (enum sck_keeper_kind)m->kek.keeper,
                            .generation = m->kek.generation,
                            .kek_version = p->items[i].version,
                            .blob_len = p->items[i].out.len};
    struct sck_buf *wrapped = sck_blob_wrapped(&after);
    memcpy(w.blob, p->items[i].out.data, w.blob_len);
    sck_buf_init(wrapped, SCK_WRAPPED_MAX);
    enum sck_code rc = sck_wrapped_encode(&w, wrapped, err);
    if (rc == SCK_OK)
        rc = sck_catalog_swap(m->catalog, blob->table, &blob->row, &after.row, &look);
    sck_buf_clear(wrapped);
    if (rc == SCK_E_NOT_FOUND) {
        m->raced++;
        return SCK_OK;
    }
    m->report->moved += rc == SCK_OK;
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.code != SCK_OK ? look.message : err->message);
}

static enum sck_code
store(struct page *p, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    int64_t good = 0;
    int64_t before = m->report->moved;
    for (size_t i = 0; i < m->count; i++)
        good += p->codes[i] == SCK_OK;
    enum sck_code rc = good > 0 ? sck_catalog_begin(m->catalog, err) : SCK_OK;
    if (rc != SCK_OK || good == 0)
        return rc;
    rc = sck_kek_use(m->engine, m->catalog, &m->owner, good, &m->moved_on, err);
    for (size_t i = 0; rc == SCK_OK && !m->moved_on && i < m->count; i++) {
        if (p->codes[i] == SCK_OK)
            rc = store_one(p, i, err);
    }
    if (rc == SCK_OK && !m->moved_on)
        rc = sck_catalog_commit(m->catalog, err);
    if (rc != SCK_OK) {
        sck_kek_uncount(m->engine, m->owner.id);
        m->report->moved = before;
    }
    sck_catalog_rollback(m->catalog);
    return rc;
}

static void
name_of(const struct sck_blob *blob, char out[96])
{
    char id[SCK_UUID_TEXT];
    sck_uuid_format(blob->table == SCK_TABLE_FILES ? blob->row.file.file_id : blob->row.version.key, id);
    if (blob->table == SCK_TABLE_FILES)
        (void)snprintf(out, 96, "file %s", id);
    else
        (void)snprintf(out, 96, "key %s version %u", id, (unsigned)blob->row.version.version);
}

/* Unless the owner was erased meanwhile, which explains them all. */
static enum sck_code
tell_failures(struct page *p, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    struct sck_owner_rec owner;
    char name[96];
    size_t bad = 0;
    for (size_t i = 0; i < m->count; i++)
        bad += p->codes[i] != SCK_OK;
    enum sck_code rc = bad > 0 ? sck_owner_reread(m->catalog, &m->owner, &owner, err) : SCK_OK;
    if (rc != SCK_OK)
        return rc;
    for (size_t i = 0; i < m->count; i++) {
        if (p->codes[i] == SCK_OK)
            continue;
        name_of(&m->pending[i], name);
        sck_mover_problem(m, "%s: its data key cannot be moved (%s)", name, sck_code_name(p->codes[i]));
    }
    return SCK_OK;
}

/* Wait until the rate allows what was moved. */
static void
keep_rate(const struct sck_mover *m)
{
    const struct sck_clock *clock = m->engine->clock;
    if (m->how->rate <= 0)
        return;
    int64_t due_us = m->started_us + m->report->moved * 1000000 / m->how->rate;
    int64_t now_us = sck_monotonic_us(clock);
    if (due_us > now_us)
        clock->sleep_ms(clock->arg, (due_us - now_us) / 1000 + 1);
}

/* A newer version than the row's came back: someone rotated at the keeper. */
static enum sck_code
note_versions(struct page *p, struct sck_err *err)
{
    struct sck_mover *m = p->mover;
    for (size_t i = 0; i < m->count; i++) {
        if (p->codes[i] != SCK_OK || p->items[i].version == m->kek.version)
            continue;
        m->moved_on = true;
        return sck_kek_note_version(m->engine, &m->kek, p->items[i].version, err);
    }
    return SCK_OK;
}

static enum sck_code
flush(struct sck_mover *m, struct sck_err *err)
{
    bool taken[SCK_MOVER_PAGE] = {false};
    enum sck_code rc = SCK_OK;
    if (m->count == 0)
        return SCK_OK;
    struct page *p = page_new(m);
    if (p == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    for (size_t i = 0; i < m->count; i++) {
        const struct sck_buf *wrapped = sck_blob_wrapped(&m->pending[i]);
        p->codes[i] = sck_wrapped_decode(wrapped->data, wrapped->len, &p->from[i], NULL);
        taken[i] = p->codes[i] != SCK_OK;
    }
    for (size_t i = 0; rc == SCK_OK && i < m->count; i++) {
        if (!taken[i])
            rc = move_group(p, i, taken, err);
    }
    sck_fault_point("rewrap.wrapped");
    if (rc == SCK_OK)
        rc = note_versions(p, err);
    if (rc == SCK_OK && !m->moved_on)
        rc = store(p, err);
    sck_fault_point("rewrap.stored");
    if (rc == SCK_OK && !m->moved_on)
        rc = tell_failures(p, err);
    page_free(p);
    drop_pending(m);
    sck_mover_progress(m);
    if (rc == SCK_OK)
        keep_rate(m);
    return rc;
}

/* ---- one owner ---- */

/* Ends a walk whose owner has another KEK now. */
#define BEGIN_AGAIN SCK_E_BUSY

static void
count_under(struct sck_rewrap_report *r, const struct sck_wrapped *w)
{
    size_t i = 0;
    while (i < r->under_count && (r->under[i].keeper != w->keeper || r->under[i].version != w->kek_version))
        i++;
    if (i == SCK_REWRAP_UNDER_MAX) {
        r->under_others++;
        return;
    }
    if (i == r->under_count) {
        r->under[i].keeper = w->keeper;
        r->under[i].version = w->kek_version;
        r->under_count++;
    }
    r->under[i].blobs++;
}

static enum sck_code
take_blob(void *arg, struct sck_blob *blob, struct sck_err *err)
{
    struct sck_mover *m = arg;
    struct sck_wrapped w;
    const struct sck_buf *wrapped = sck_blob_wrapped(blob);
    bool whole = sck_wrapped_decode(wrapped->data, wrapped->len, &w, NULL) == SCK_OK;
    m->report->seen++;
    if (whole && m->how->dry_run)
        count_under(m->report, &w);
    if (whole && sck_kek_fits(&m->kek, &w)) {
        sck_blob_clear(blob);
        return SCK_OK;
    }
    m->report->stale++;
    if (m->how->dry_run) {
        sck_blob_clear(blob);
        return SCK_OK;
    }
    m->pending[m->count++] = *blob;
    if (m->count < SCK_MOVER_PAGE)
        return SCK_OK;
    enum sck_code rc = flush(m, err);
    return rc == SCK_OK && m->moved_on ? BEGIN_AGAIN : rc;
}

static void
bad_row(void *arg, const char *problem)
{
    sck_mover_problem(arg, "%s", problem);
}

/* The current KEK, and what its keeper may know that we do not. */
static enum sck_code
look_at_owner(struct sck_mover *m, int64_t owner_id, struct sck_err *err)
{
    uint32_t newest = 0;
    sck_record_clear(SCK_TABLE_KEKS, &m->kek);
    enum sck_code rc = sck_owner_get_by_id(m->engine, owner_id, &m->owner, &m->kek, err);
    if (rc == SCK_OK)
        rc = sck_engine_keeper(m->engine, (enum sck_keeper_kind)m->kek.keeper, &m->keeper, err);
    if (rc != SCK_OK || m->keeper->ops->versions_are_records || m->how->dry_run)
        return rc;
    const struct sck_kek ref = sck_kek_from_rec(&m->kek);
    rc = m->keeper->ops->newest(m->keeper, &ref, &newest, err);
    if (rc != SCK_OK || newest <= m->kek.version)
        return rc;
    rc = sck_kek_note_version(m->engine, &m->kek, newest, err);
    sck_record_clear(SCK_TABLE_KEKS, &m->kek);
    return rc == SCK_OK ? sck_owner_get_by_id(m->engine, owner_id, &m->owner, &m->kek, err) : rc;
}

/* What one pass over an owner's rows told, to be forgotten when it is repeated. */
static void
forget_pass(struct sck_mover *m, const struct sck_rewrap_report *before)
{
    m->report->seen = before->seen;
}

static enum sck_code
pass(struct sck_mover *m, int64_t owner_id, struct sck_err *err)
{
    m->moved_on = false;
    m->raced = 0;
    enum sck_code rc = look_at_owner(m, owner_id, err);
    if (rc == SCK_OK)
        rc = sck_blob_each(m->catalog, owner_id, take_blob, bad_row, m, err);
    if (rc == SCK_OK)
        rc = flush(m, err);
    drop_pending(m);
    if (m->moved_on && (rc == SCK_OK || rc == BEGIN_AGAIN)) {
        sck_err_clear(err);
        rc = SCK_OK;
    }
    return rc;
}

enum sck_code
sck_mover_owner(struct sck_mover *m, int64_t owner_id, bool *clean, struct sck_err *err)
{
    const struct sck_rewrap_report before = *m->report;
    enum sck_code rc = SCK_OK;
    bool again = true;
    for (int i = 0; rc == SCK_OK && again && i < SCK_KEK_TRIES; i++) {
        struct sck_err why = SCK_ERR_INIT;
        if (i > 0)
            forget_pass(m, &before);
        m->report->failed = before.failed;
        rc = pass(m, owner_id, &why);
        again = m->moved_on || m->raced > 0;
        if (rc == SCK_E_ERASED)
            break;
        if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", why.message);
    }
    if (rc == SCK_OK && again)
        rc = sck_kek_busy(err);
    *clean = rc == SCK_OK && m->report->failed == before.failed;
    m->report->owners += rc == SCK_OK;
    return rc == SCK_E_ERASED ? SCK_OK : rc;
}
