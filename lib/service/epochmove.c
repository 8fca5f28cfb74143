/* SPDX-License-Identifier: MIT */
/*
 * Moving KEK records from one epoch to the next: page by page, each record by compare-and-set, so that a run that is
 * cut is simply repeated.  No key is unwrapped: the token opens the record and seals the same wrapped KEK anew.
 */
#include "lib/service/kekepoch.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 64, PASSES = 8 };

struct batch {
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    uint32_t limit;             /* records of epochs before this one are meant */
    bool count_only;
    int64_t found;              /* in this pass */
    int64_t lost;               /* in this pass: of epochs whose key is gone */
    size_t count;
    struct sck_kek_rec keks[BATCH];
    struct sck_buf fresh[BATCH];
};

static void
batch_clear(struct batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        sck_record_clear(SCK_TABLE_KEKS, &b->keks[i]);
        sck_buf_clear(&b->fresh[i]);
    }
    b->count = 0;
}

/* Sealing is a token call, so it comes before the transaction. */
static enum sck_code
reseal(struct batch *b, size_t i, struct sck_err *err)
{
    struct sck_kek_rec *kek = &b->keks[i];
    struct sck_err why = SCK_ERR_INIT;
    struct sck_buf aad;
    sck_buf_init(&aad, 256);
    sck_buf_init(&b->fresh[i], SCK_REC_BLOB_MAX);
    sck_kek_record_aad(kek->name, kek->generation, &aad);
    enum sck_code rc = sck_buf_check(&aad, "the KEK's name", err);
    if (rc == SCK_OK) {
        rc = sck_token_kek_reseal(b->engine->token, b->limit, aad.data, aad.len, kek->record.data, kek->record.len,
                                  &b->fresh[i], &why);
        if (rc == SCK_E_ERASED) {
            b->lost++;
            sck_buf_clear(&b->fresh[i]);
            rc = SCK_OK;
        } else if (rc != SCK_OK) {
            rc = sck_fail(err, rc, "KEK %s: %s", kek->name, why.message);
        }
    }
    sck_buf_clear(&aad);
    return rc;
}

/* Stored only if the row is still what was sealed anew. */
static enum sck_code
store(struct batch *b, size_t i, struct sck_err *err)
{
    struct sck_kek_rec now = {.owner_id = b->keks[i].owner_id, .serial = b->keks[i].serial};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_get(b->catalog, SCK_BY_KEK, &now, &look);
    if (rc == SCK_E_NOT_FOUND)
        return SCK_OK;
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    bool same = now.state != SCK_KEK_DESTROYED && sck_bytes_equal(now.record.data, now.record.len, b->keks[i].record.data,
                                                                  b->keks[i].record.len);
    if (same) {
        sck_buf_clear(&now.record);
        now.record = b->fresh[i];
        rc = sck_catalog_update(b->catalog, SCK_TABLE_KEKS, &now, err);
        now.record = (struct sck_buf){0};
    }
    sck_record_clear(SCK_TABLE_KEKS, &now);
    return rc;
}

static enum sck_code
flush(struct batch *b, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (b->count == 0)
        return SCK_OK;
    rc = sck_epoch_charge_now(b->engine, b->catalog, (int64_t)b->count, err);
    for (size_t i = 0; rc == SCK_OK && i < b->count; i++)
        rc = reseal(b, i, err);
    sck_fault_point("epoch.resealed");
    if (rc == SCK_OK)
        rc = sck_catalog_begin(b->catalog, err);
    for (size_t i = 0; rc == SCK_OK && i < b->count; i++) {
        if (b->fresh[i].len > 0)
            rc = store(b, i, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(b->catalog, err);
    sck_catalog_rollback(b->catalog);
    sck_fault_point("epoch.page");
    batch_clear(b);
    return rc;
}

static enum sck_code
take_kek(void *arg, void *record, struct sck_err *err)
{
    struct batch *b = arg;
    struct sck_kek_rec *kek = record;
    uint32_t epoch = sck_token_kek_epoch(kek->record.data, kek->record.len);
    if (kek->keeper != SCK_KEEPER_TOKEN || kek->state == SCK_KEK_DESTROYED || epoch == 0 || epoch >= b->limit)
        return SCK_OK;
    b->found++;
    if (b->count_only)
        return SCK_OK;
    b->keks[b->count] = *kek;
    b->fresh[b->count] = (struct sck_buf){0};
    kek->record = (struct sck_buf){0};
    b->count++;
    return b->count == BATCH ? flush(b, err) : SCK_OK;
}

/* What is being erased is left where it is: it goes with the epoch's key at the latest. */
static enum sck_code
take_owner(void *arg, void *record, struct sck_err *err)
{
    struct batch *b = arg;
    const struct sck_owner_rec *owner = record;
    struct sck_kek_rec from = {.owner_id = owner->id};
    if (owner->state == SCK_OWNER_ERASING)
        return SCK_OK;
    return sck_catalog_each(b->catalog, SCK_KEKS_OF_OWNER, &from, true, 0, take_kek, b, err);
}

static enum sck_code
pass(struct batch *b, struct sck_err *err)
{
    struct sck_owner_rec from = {0};
    b->found = b->lost = 0;
    enum sck_code rc = sck_catalog_each(b->catalog, SCK_OWNERS_ALL, &from, true, 0, take_owner, b, err);
    if (rc == SCK_OK)
        rc = flush(b, err);
    batch_clear(b);
    return rc;
}

/* No record can come to be under an old epoch once another is current: a pass that finds none proves it. */
static enum sck_code
mark_moved(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_err *err)
{
    struct sck_epochs epochs;
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_epochs_load(catalog, &epochs, err);
    for (size_t i = 0; rc == SCK_OK && i < epochs.count; i++) {
        struct sck_epoch_rec *epoch = &epochs.at[i];
        if (epoch->state != SCK_EPOCH_MOVING)
            continue;
        epoch->state = SCK_EPOCH_WAITING;
        epoch->moved_s = sck_now_s(engine->clock);
        rc = sck_epoch_put(catalog, epoch, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}

enum sck_code
sck_epochs_move(struct sck_engine *engine, struct sck_catalog *catalog, sck_progress_fn progress, void *arg,
                struct sck_err *err)
{
    struct sck_epochs epochs;
    int64_t moved = 0;
    char line[160];
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    if (rc != SCK_OK)
        return rc;
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    b->engine = engine;
    b->catalog = catalog;
    b->limit = epochs.current;
    int passes = 0;
    do {
        rc = pass(b, err);
        moved += b->found - b->lost;
    } while (rc == SCK_OK && b->found > b->lost && ++passes < PASSES);
    if (rc == SCK_OK && b->found > b->lost)
        rc = sck_fail(err, SCK_E_BUSY, "KEK records keep changing while they are moved to epoch %u: try again",
                      epochs.current);
    if (rc == SCK_OK && b->lost > 0)
        sck_log(SCK_LOG_WARNING, "service.epoch",
                "%lld KEK records are of epochs whose keys were destroyed: the catalog is older than the backups' horizon",
                (long long)b->lost);
    free(b);
    if (rc == SCK_OK)
        rc = mark_moved(engine, catalog, err);
    sck_fault_point("epoch.moved");
    if (rc == SCK_OK && progress != NULL) {
        (void)snprintf(line, sizeof line, "%lld KEK records moved to epoch %u", (long long)moved, epochs.current);
        progress(arg, line);
    }
    return rc;
}

enum sck_code
sck_epochs_count_before(struct sck_catalog *catalog, uint32_t epoch, int64_t *count, struct sck_err *err)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    b->catalog = catalog;
    b->limit = epoch;
    b->count_only = true;
    enum sck_code rc = pass(b, err);
    *count = b->found;
    free(b);
    return rc;
}
