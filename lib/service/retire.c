/* SPDX-License-Identifier: MIT */
/* The end of old versions of a KEK, and of the homes it had before: only when nothing needs them. */
#include "lib/service/mover.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"

#include <stdlib.h>
#include <string.h>

/* ---- what there is ---- */

static enum sck_code
take_row(void *arg, void *record, struct sck_err *err)
{
    struct sck_kek_rows *r = arg;
    struct sck_kek_rec *kek = record;
    struct sck_kek_rec *rows = realloc(r->rows, (r->count + 1) * sizeof *rows);
    if (rows == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    r->rows = rows;
    rows[r->count++] = *kek;
    memset(kek, 0, sizeof *kek);
    return SCK_OK;
}

static bool
is_over(const struct sck_kek_rec *kek)
{
    return kek->state == SCK_KEK_DESTROYED || kek->state == SCK_KEK_GONE;
}

static enum sck_code
count_blob(void *arg, struct sck_blob *blob, struct sck_err *err)
{
    struct sck_kek_rows *r = arg;
    struct sck_wrapped w;
    const struct sck_buf *wrapped = sck_blob_wrapped(blob);
    (void)err;
    bool known = sck_wrapped_decode(wrapped->data, wrapped->len, &w, NULL) == SCK_OK;
    size_t i = 0;
    while (known && i < r->count && (is_over(&r->rows[i]) || !sck_kek_fits(&r->rows[i], &w)))
        i++;
    if (known && i < r->count)
        r->blobs[i]++;
    else
        r->bad++;
    sck_blob_clear(blob);
    return SCK_OK;
}

static void
count_bad(void *arg, const char *problem)
{
    struct sck_kek_rows *r = arg;
    (void)problem;
    r->bad++;
}

enum sck_code
sck_kek_rows_read(struct sck_catalog *catalog, int64_t owner_id, struct sck_kek_rows *out, struct sck_err *err)
{
    struct sck_kek_rec from = {.owner_id = owner_id};
    *out = (struct sck_kek_rows){0};
    enum sck_code rc = sck_catalog_each(catalog, SCK_KEKS_OF_OWNER, &from, true, 0, take_row, out, err);
    if (rc == SCK_OK) {
        out->blobs = calloc(out->count + 1, sizeof *out->blobs);
        rc = out->blobs == NULL ? sck_fail(err, SCK_E_MEMORY, "out of memory") : SCK_OK;
    }
    if (rc == SCK_OK)
        rc = sck_blob_each(catalog, owner_id, count_blob, count_bad, out, err);
    if (rc != SCK_OK)
        sck_kek_rows_clear(out);
    return rc;
}

void
sck_kek_rows_clear(struct sck_kek_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        sck_record_clear(SCK_TABLE_KEKS, &rows->rows[i]);
    free(rows->rows);
    free(rows->blobs);
    *rows = (struct sck_kek_rows){0};
}

/* ---- ending it ---- */

struct ending {
    struct sck_mover *mover;
    struct sck_kek_rows rows;
    const struct sck_kek_rec *current;
};

static bool
is_needed(const struct ending *e, size_t i)
{
    const struct sck_kek_rec *kek = &e->rows.rows[i];
    return kek->state == SCK_KEK_CURRENT || kek->state == SCK_KEK_CREATING ||
           kek->state == SCK_KEK_WANTED || e->rows.blobs[i] > 0 ||
           (kek->messages > 0 && !e->mover->how->discard_messages);
}

/* One KEK at its keeper, of which the rows are versions. */
static bool
same_home(const struct sck_kek_rec *a, const struct sck_kek_rec *b)
{
    return a->keeper == b->keeper && strcmp(a->name, b->name) == 0 && strcmp(a->mount, b->mount) == 0 &&
           strcmp(a->name_space, b->name_space) == 0;
}

/* The row stays, as what it was: its version is never given again.  Of a record the epoch is kept, for receipts. */
static enum sck_code
mark_destroyed(struct ending *e, struct sck_kek_rec *row, enum sck_kek_state state, struct sck_err *err)
{
    struct sck_mover *m = e->mover;
    struct sck_kek_rec now = {.owner_id = row->owner_id, .serial = row->serial};
    enum sck_code rc = sck_catalog_begin(m->catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(m->catalog, SCK_BY_KEK, &now, err);
    if (rc == SCK_OK && now.state == SCK_KEK_RETIRED) {
        uint32_t epoch = sck_token_kek_epoch(now.record.data, now.record.len);
        now.state = (uint32_t)state;
        sck_buf_clear(&now.record);
        sck_buf_init(&now.record, 4);
        if (epoch != 0)
            sck_buf_put_u32(&now.record, epoch);
        rc = sck_catalog_update(m->catalog, SCK_TABLE_KEKS, &now, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(m->catalog, err);
        m->report->retired += rc == SCK_OK;
    }
    sck_catalog_rollback(m->catalog);
    sck_record_clear(SCK_TABLE_KEKS, &now);
    row->state = (uint32_t)state;
    sck_fault_point("retire.row");
    return rc;
}

/* Versions of the KEK that is in use, below the oldest that is needed. */
static enum sck_code
retire_versions(struct ending *e, struct sck_keeper *keeper, struct sck_err *err)
{
    uint32_t oldest = e->current->version;
    bool any = false;
    for (size_t i = 0; i < e->rows.count; i++) {
        const struct sck_kek_rec *kek = &e->rows.rows[i];
        if (same_home(kek, e->current) && is_needed(e, i) && kek->version < oldest)
            oldest = kek->version;
    }
    for (size_t i = 0; i < e->rows.count; i++)
        any = any || (same_home(&e->rows.rows[i], e->current) && e->rows.rows[i].state == SCK_KEK_RETIRED &&
                      e->rows.rows[i].version < oldest);
    if (!any)
        return SCK_OK;
    const struct sck_kek ref = sck_kek_from_rec(e->current);
    enum sck_code rc = keeper->ops->retire(keeper, &ref, oldest, err);
    sck_fault_point("retire.keeper");
    for (size_t i = 0; rc == SCK_OK && i < e->rows.count; i++) {
        struct sck_kek_rec *kek = &e->rows.rows[i];
        if (same_home(kek, e->current) && kek->state == SCK_KEK_RETIRED && kek->version < oldest)
            rc = mark_destroyed(e, kek, SCK_KEK_DESTROYED, err);
    }
    return rc;
}

/* A KEK that is no longer in use, with all its versions. */
static enum sck_code
erase_home(struct ending *e, struct sck_keeper *keeper, const struct sck_kek_rec *home, struct sck_err *err)
{
    struct sck_erase_proof proof = {0};
    struct sck_buf canary;
    uint32_t version = 0;
    const struct sck_kek ref = sck_kek_from_rec(home);
    for (size_t i = 0; i < e->rows.count; i++) {
        if (same_home(&e->rows.rows[i], home) && is_needed(e, i))
            return SCK_OK;
    }
    sck_buf_init(&canary, SCK_KEEPER_BLOB_MAX);
    sck_kek_canary(keeper, &ref, &canary, &version);
    enum sck_code rc = keeper->ops->erase(keeper, &ref, version, canary.data, canary.len, &proof, err);
    sck_buf_clear(&canary);
    sck_fault_point("retire.keeper");
    for (size_t i = 0; rc == SCK_OK && i < e->rows.count; i++) {
        struct sck_kek_rec *kek = &e->rows.rows[i];
        if (same_home(kek, home) && kek->state == SCK_KEK_RETIRED)
            rc = mark_destroyed(e, kek, proof.how == SCK_ERASURE_IMMEDIATE ? SCK_KEK_GONE : SCK_KEK_DESTROYED, err);
    }
    if (rc == SCK_OK)
        sck_log(SCK_LOG_INFO, "service.kek", "KEK %s destroyed at keeper %s, where it was before", home->name,
                keeper->ops->name);
    return rc;
}

static enum sck_code
end_row(struct ending *e, size_t i, struct sck_err *err)
{
    struct sck_kek_rec *kek = &e->rows.rows[i];
    struct sck_keeper *keeper = NULL;
    if (kek->state != SCK_KEK_RETIRED || is_needed(e, i))
        return SCK_OK;
    enum sck_code rc = sck_engine_keeper(e->mover->engine, (enum sck_keeper_kind)kek->keeper, &keeper, err);
    if (rc != SCK_OK)
        return rc;
    if (!keeper->ops->versions_are_records)
        return same_home(kek, e->current) ? retire_versions(e, keeper, err) : erase_home(e, keeper, kek, err);
    /* Its record is the key: it goes with the row. */
    rc = mark_destroyed(e, kek, SCK_KEK_DESTROYED, err);
    keeper->ops->forget(keeper, kek->name);
    return rc;
}

enum sck_code
sck_mover_retire(struct sck_mover *m, int64_t owner_id, struct sck_err *err)
{
    struct ending e = {.mover = m};
    enum sck_code rc = sck_kek_rows_read(m->catalog, owner_id, &e.rows, err);
    for (size_t i = 0; rc == SCK_OK && i < e.rows.count; i++) {
        if (e.rows.rows[i].state == SCK_KEK_CURRENT)
            e.current = &e.rows.rows[i];
    }
    /* What is under a row that cannot be read is not known, and an owner without a current KEK is being erased. */
    for (size_t i = 0; rc == SCK_OK && e.rows.bad == 0 && e.current != NULL && i < e.rows.count; i++)
        rc = end_row(&e, i, err);
    for (size_t i = 0; rc == SCK_OK && i < e.rows.count; i++)
        m->report->kept += e.rows.rows[i].state == SCK_KEK_RETIRED;
    sck_kek_rows_clear(&e.rows);
    return rc;
}
