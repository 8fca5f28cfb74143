/* SPDX-License-Identifier: MIT */
/*
 * Erasure: tombstone, log, anchor, epoch word; then the KEK; then the rows; then the receipt (docs/erasure.md).
 * Every step can be repeated, so that whoever comes next finishes what a crash left.
 */
#include "lib/service/erase.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"
#include "lib/service/kek.h"
#include "lib/service/kekepoch.h"
#include "lib/service/key.h"

#include <stdio.h>
#include <string.h>

struct job {
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    struct sck_owner_rec owner;
    struct sck_erasure_facts facts;
    sck_progress_fn progress;
    void *progress_arg;
};

static void
say(const struct job *job, const char *fmt, ...) SCK_PRINTF(2, 3);

static void
say(const struct job *job, const char *fmt, ...)
{
    char line[512];
    if (job->progress == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    job->progress(job->progress_arg, line);
}

/* Step 1: from here on nobody can begin to use or make a key of this owner. */
static enum sck_code
bury(struct job *job, struct sck_err *err)
{
    struct sck_owner_rec now = {.id = job->owner.id};
    struct sck_tomb_rec *tomb = &job->facts.tomb;
    enum sck_code rc = sck_tomb_hash(job->engine, (uint8_t)job->owner.kind, job->owner.generation, job->owner.ident,
                                     strlen(job->owner.ident), tomb->hash, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(job->catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(job->catalog, SCK_BY_OWNER_ID, &now, err);
    if (rc == SCK_OK && now.state != SCK_OWNER_ERASING) {
        now.state = SCK_OWNER_ERASING;
        rc = sck_catalog_update(job->catalog, SCK_TABLE_OWNERS, &now, err);
        if (rc == SCK_OK)
            rc = sck_tomb_add(job->engine, job->catalog, job->owner.kind, job->owner.generation, tomb->hash,
                              SCK_TOMB_PENDING, job->owner.id, err);
        if (rc == SCK_OK)
            rc = sck_setup_count(job->catalog, 1, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(job->catalog, err);
    }
    sck_catalog_rollback(job->catalog);
    return rc == SCK_OK ? sck_catalog_get(job->catalog, SCK_BY_TOMB, tomb, err) : rc;
}

/*
 * Of a record, what the receipt needs to know stays in the row: the epoch, its first four bytes.  A version that was
 * retired before has none any more; it was under no later epoch than the current one.
 */
static enum sck_code
reduce_record(struct job *job, struct sck_kek_rec *kek, struct sck_err *err)
{
    struct sck_epochs epochs;
    uint32_t epoch = sck_token_kek_epoch(kek->record.data, kek->record.len);
    enum sck_code rc = SCK_OK;
    if (kek->keeper == SCK_KEEPER_TOKEN && epoch == 0) {
        rc = sck_epochs_load(job->catalog, &epochs, err);
        epoch = epochs.current;
    }
    sck_buf_clear(&kek->record);
    sck_buf_init(&kek->record, 4);
    if (epoch != 0)
        sck_buf_put_u32(&kek->record, epoch);
    return rc;
}

/* A node that is behind mostly has only not heard of it yet: it gets a moment before the erasure becomes pending. */
static enum sck_code
erase_at(struct sck_engine *engine, struct sck_keeper *keeper, const struct sck_kek *ref, uint32_t version,
         const struct sck_buf *canary, struct sck_erase_proof *proof, struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = SCK_OK;
    for (int64_t wait_ms = 50;; wait_ms *= 2) {
        sck_err_clear(&why);
        rc = keeper->ops->erase(keeper, ref, version, canary->data, canary->len, proof, &why);
        if (rc != SCK_E_BUSY || wait_ms > 800)
            break;
        engine->clock->sleep_ms(engine->clock->arg, wait_ms);
    }
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}

/* At its keeper, and verified there.  Again for one that was destroyed by a run that was cut: nothing is taken on trust. */
static enum sck_code
destroy_kek(struct job *job, struct sck_kek_rec *kek, struct sck_err *err)
{
    struct sck_keeper *keeper = NULL;
    struct sck_erase_proof proof = {0};
    struct sck_buf canary;
    uint32_t version = 0;
    bool again = kek->state == SCK_KEK_DESTROYED;
    const struct sck_kek ref = sck_kek_from_rec(kek);
    sck_buf_init(&canary, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_keeper(job->engine, (enum sck_keeper_kind)kek->keeper, &keeper, err);
    const struct sck_erase_proof *before = rc == SCK_OK ? sck_facts_find(&job->facts, keeper, kek) : NULL;
    /* All its versions went with the first one. */
    bool gone = before != NULL && !keeper->ops->versions_are_records;
    if (gone)
        proof = *before;
    if (rc == SCK_OK && !gone) {
        if (!again)
            sck_kek_canary(keeper, &ref, &canary, &version);
        rc = erase_at(job->engine, keeper, &ref, version, &canary, &proof, err);
    }
    sck_buf_clear(&canary);
    if (rc == SCK_OK)
        rc = reduce_record(job, kek, err);
    if (rc == SCK_OK)
        rc = sck_facts_add(&job->facts, keeper, kek, &proof, err);
    if (rc != SCK_OK || again)
        return rc;
    sck_fault_point("erase.kek");
    if (!gone)
        say(job, "KEK %s destroyed at keeper %s", kek->name, keeper->ops->name);
    kek->state = SCK_KEK_DESTROYED;
    return sck_catalog_update(job->catalog, SCK_TABLE_KEKS, kek, err);
}

/* Step 2: every KEK the owner ever had; one keeper out of reach does not spare the others.  The first failure counts. */
static enum sck_code
destroy_keks(struct job *job, struct sck_err *err)
{
    uint32_t last = 0;
    enum sck_code first = sck_kek_last(job->catalog, job->owner.id, &last, err);
    for (uint32_t serial = 1; serial <= last; serial++) {
        struct sck_kek_rec kek = {.owner_id = job->owner.id, .serial = serial};
        struct sck_err why = SCK_ERR_INIT;
        enum sck_code rc = sck_catalog_get(job->catalog, SCK_BY_KEK, &kek, &why);
        if (rc == SCK_E_NOT_FOUND)
            continue;
        if (rc == SCK_OK) {
            /* What there may be under a wanted one's name is somebody else's. */
            if (kek.state != SCK_KEK_GONE && kek.state != SCK_KEK_WANTED)
                rc = destroy_kek(job, &kek, &why);
            sck_record_clear(SCK_TABLE_KEKS, &kek);
        }
        if (rc != SCK_OK && first == SCK_OK)
            first = sck_fail(err, rc, "%s", why.message);
    }
    return first;
}

enum { PAGE = 64 };

/* Rows are removed page by page, each key in a transaction of its own: a person may have a million of them. */
struct key_page {
    struct sck_key_rec keys[PAGE];
    size_t count;
};

static enum sck_code
collect_key(void *arg, void *record, struct sck_err *err)
{
    struct key_page *page = arg;
    const struct sck_key_rec *key = record;
    (void)err;
    page->keys[page->count] = *key;
    /* Removal needs no signature; its buffer belongs to the walk. */
    page->keys[page->count].signature = (struct sck_buf){0};
    page->count++;
    return SCK_OK;
}

static enum sck_code
remove_keys(struct job *job, struct sck_err *err)
{
    struct key_page page;
    enum sck_code rc;
    do {
        struct sck_key_rec from = {.owner_id = job->owner.id};
        page.count = 0;
        rc = sck_catalog_each(job->catalog, SCK_KEYS_OF_OWNER, &from, true, PAGE, collect_key, &page, err);
        for (size_t i = 0; rc == SCK_OK && i < page.count; i++) {
            rc = sck_key_remove(job->engine, job->catalog, &page.keys[i], err);
            job->facts.keys++;
        }
    } while (rc == SCK_OK && page.count > 0);
    return rc;
}

struct file_page {
    struct sck_file_rec files[PAGE];
    size_t count;
};

static enum sck_code
collect_file(void *arg, void *record, struct sck_err *err)
{
    struct file_page *page = arg;
    const struct sck_file_rec *file = record;
    (void)err;
    page->files[page->count] = *file;
    page->files[page->count].wrapped_dek = (struct sck_buf){0};
    page->files[page->count].path = (struct sck_buf){0};
    page->count++;
    return SCK_OK;
}

static enum sck_code
remove_files(struct job *job, struct sck_err *err)
{
    struct file_page page;
    enum sck_code rc;
    do {
        struct sck_file_rec from = {.owner_id = job->owner.id};
        page.count = 0;
        rc = sck_catalog_each(job->catalog, SCK_FILES_OF_OWNER, &from, true, PAGE, collect_file, &page, err);
        for (size_t i = 0; rc == SCK_OK && i < page.count; i++) {
            rc = sck_file_row_remove(job->engine, job->catalog, &page.files[i], false, err);
            job->facts.files++;
        }
    } while (rc == SCK_OK && page.count > 0);
    return rc;
}

/* Step 3 ends: the owner's rows go and the tombstone is done, in one transaction. */
static enum sck_code
close_grave(struct job *job, struct sck_err *err)
{
    uint32_t last = 0;
    enum sck_code rc = sck_catalog_begin(job->catalog, err);
    if (rc == SCK_OK)
        rc = sck_kek_last(job->catalog, job->owner.id, &last, err);
    for (uint32_t serial = 1; rc == SCK_OK && serial <= last; serial++) {
        struct sck_kek_rec kek = {.owner_id = job->owner.id, .serial = serial};
        struct sck_err look = SCK_ERR_INIT;
        rc = sck_catalog_delete(job->catalog, SCK_TABLE_KEKS, &kek, &look);
        if (rc != SCK_OK)
            rc = rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", look.message);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_delete(job->catalog, SCK_TABLE_OWNERS, &job->owner, err);
    if (rc == SCK_OK) {
        job->facts.tomb.state = SCK_TOMB_DONE;
        job->facts.tomb.owner_id = 0;
        rc = sck_catalog_update(job->catalog, SCK_TABLE_TOMBS, &job->facts.tomb, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(job->catalog, err);
    sck_catalog_rollback(job->catalog);
    return rc;
}

/* From the tombstone to the receipt. */
static enum sck_code
run(struct job *job, struct sck_buf *receipt, struct sck_err *err)
{
    struct sck_err waits = SCK_ERR_INIT;
    enum sck_code rc = bury(job, err);
    if (rc != SCK_OK)
        return rc;
    sck_fault_point("erase.tombstone");
    rc = sck_erasure_log_add(job->engine, &job->facts.tomb, err);
    sck_fault_point("erase.log");
    if (rc == SCK_OK)
        rc = sck_anchor_write(job->engine, job->catalog, err);
    if (rc == SCK_OK)
        rc = sck_epoch_bump(job->engine, err);
    if (rc != SCK_OK)
        return rc;
    sck_ukey_cache_drop(job->engine, job->owner.id);
    say(job, "tombstone %lld set", (long long)job->facts.tomb.seq);
    rc = destroy_keks(job, &waits);
    /* Every door says "erased" from now on, also while a keeper is waited for. */
    enum sck_code rows = remove_keys(job, err);
    sck_fault_point("erase.keys");
    if (rows == SCK_OK)
        rows = remove_files(job, err);
    if (rows == SCK_OK && rc != SCK_OK) {
        rc = sck_fail(err, rc, "%s", waits.message);
        sck_err_prefix(err, "the erasure is pending (nothing of it opens any more; the next command or start goes on)");
        return rc;
    }
    rc = rows;
    /* The receipt is stored before the owner's row goes: until then a crash is resumed and makes it again. */
    if (rc == SCK_OK)
        rc = sck_receipt_make(job->engine, job->catalog, &job->facts, receipt, err);
    sck_fault_point("erase.receipt");
    if (rc == SCK_OK)
        rc = close_grave(job, err);
    sck_fault_point("erase.rows");
    if (rc == SCK_OK)
        rc = sck_catalog_scrub(job->catalog, 30000, err);
    if (rc == SCK_OK)
        say(job, "%lld keys and %lld file keys removed, free pages and log cleaned", (long long)job->facts.keys,
            (long long)job->facts.files);
    return rc;
}

/* Nobody of that name is alive: erased before, or never there. */
static enum sck_code
stored_receipt(struct job *job, const struct sck_scope *scope, struct sck_buf *receipt, struct sck_err *err)
{
    enum sck_owner_kind kind = SCK_OWNER_SUBJECT;
    const char *id = NULL;
    size_t id_len = 0;
    uint32_t erased = 0;
    uint8_t hash[32];
    char text[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(scope, text);
    enum sck_code rc = sck_owner_of_scope(scope, &kind, &id, &id_len, err);
    if (rc == SCK_OK)
        rc = sck_tomb_generations(job->engine, (uint8_t)kind, id, id_len, &erased, err);
    if (rc == SCK_OK && erased == 0)
        return sck_fail(err, SCK_E_NOT_FOUND, "there is nothing of %s", text);
    if (rc == SCK_OK)
        rc = sck_tomb_hash(job->engine, (uint8_t)kind, erased, id, id_len, hash, err);
    if (rc == SCK_OK)
        rc = sck_receipt_find(job->catalog, hash, receipt, err);
    if (rc == SCK_OK)
        say(job, "%s was erased before; this is the stored receipt", text);
    return rc;
}

enum sck_code
sck_erase(struct sck_service *service, const struct sck_scope *scope, sck_progress_fn progress, void *arg,
          struct sck_buf *receipt, struct sck_err *err)
{
    struct job job = {.engine = service->engine, .progress = progress, .progress_arg = arg};
    enum sck_owner_kind kind = SCK_OWNER_SUBJECT;
    const char *id = NULL;
    size_t id_len = 0;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_wall_check(service, scope, err);
    if (rc == SCK_OK)
        rc = sck_engine_started(job.engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(job.engine, &job.catalog, err);
    if (rc == SCK_OK && scope->kind == SCK_SCOPE_FILE)
        return sck_erase_file(service, scope, progress, arg, receipt, err);
    if (rc == SCK_OK)
        rc = sck_owner_of_scope(scope, &kind, &id, &id_len, err);
    if (rc != SCK_OK)
        return rc;
    job.owner.kind = (uint32_t)kind;
    memcpy(job.owner.ident, id, id_len);
    rc = sck_catalog_get(job.catalog, SCK_BY_OWNER_IDENT, &job.owner, &look);
    if (rc == SCK_E_NOT_FOUND)
        return stored_receipt(&job, scope, receipt, err);
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    /* A provisioning that was cut before it asked for a KEK left nothing of anybody. */
    if (job.owner.state == SCK_OWNER_CREATING && sck_owner_unclaim(job.catalog, &job.owner, true))
        return stored_receipt(&job, scope, receipt, err);
    rc = run(&job, receipt, err);
    sck_facts_clear(&job.facts);
    return rc;
}

enum sck_code
sck_erase_go_on(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_tomb_rec *tomb,
                struct sck_err *err)
{
    struct job job = {.engine = engine, .catalog = catalog};
    struct sck_buf receipt;
    struct sck_err look = SCK_ERR_INIT;
    job.owner.id = tomb->owner_id;
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_OWNER_ID, &job.owner, &look);
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_INTEGRITY : rc, "an unfinished erasure cannot go on: %s",
                        look.message);
    sck_log(SCK_LOG_WARNING, "service.erase", "going on with an unfinished erasure (tombstone %lld)",
            (long long)tomb->seq);
    sck_buf_init(&receipt, SCK_REC_BLOB_MAX);
    rc = run(&job, &receipt, err);
    sck_buf_clear(&receipt);
    sck_facts_clear(&job.facts);
    return rc;
}

enum sck_code
sck_erase_owner(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *owner,
                sck_progress_fn progress, void *arg, struct sck_err *err)
{
    struct job job = {
        .engine = engine, .catalog = catalog, .owner = *owner, .progress = progress, .progress_arg = arg};
    struct sck_buf receipt;
    sck_buf_init(&receipt, SCK_REC_BLOB_MAX);
    enum sck_code rc = run(&job, &receipt, err);
    sck_buf_clear(&receipt);
    sck_facts_clear(&job.facts);
    return rc;
}
