/* SPDX-License-Identifier: MIT */
/*
 * Erasure: tombstone, log, anchor, epoch word; then the KEK; then the rows; then the receipt (docs/erasure.md).
 * Every step can be repeated, so that whoever comes next finishes what a crash left.
 */
#include "lib/service/erase.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"
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
    struct sck_setup_rec setup = {.id = 1};
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
            rc = sck_catalog_get(job->catalog, SCK_BY_SETUP, &setup, err);
        if (rc == SCK_OK) {
            setup.generation++;
            setup.tombstones++;
            rc = sck_catalog_update(job->catalog, SCK_TABLE_SETUP, &setup, err);
        }
        if (rc == SCK_OK)
            rc = sck_catalog_commit(job->catalog, err);
    }
    sck_catalog_rollback(job->catalog);
    return rc == SCK_OK ? sck_catalog_get(job->catalog, SCK_BY_TOMB, tomb, err) : rc;
}

/* A DEK wrapped under the KEK, which must not open afterwards.  Without one (the KEK is gone already) less is proved. */
static void
make_canary(struct job *job, struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_buf *canary,
            uint32_t *version)
{
    struct sck_secret *payload = NULL;
    struct sck_err ignored = SCK_ERR_INIT;
    if (sck_secret_new(SCK_PAYLOAD_LEN, &payload, &ignored) != SCK_OK ||
        sck_random(payload->data, payload->len, &ignored) != SCK_OK ||
        keeper->ops->wrap(keeper, kek, payload, canary, version, &ignored) != SCK_OK)
        sck_buf_reset(canary);
    sck_secret_free(&payload);
    (void)job;
}

static enum sck_code
destroy_kek(struct job *job, struct sck_kek_rec *kek, struct sck_err *err)
{
    struct sck_keeper *keeper = NULL;
    struct sck_buf canary;
    uint32_t version = 0;
    const struct sck_kek ref = sck_kek_from_rec(kek);
    sck_buf_init(&canary, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_keeper(job->engine, (enum sck_keeper_kind)kek->keeper, &keeper, err);
    if (rc == SCK_OK) {
        make_canary(job, keeper, &ref, &canary, &version);
        rc = keeper->ops->erase(keeper, &ref, version, canary.data, canary.len, &job->facts.proof, err);
    }
    sck_buf_clear(&canary);
    if (rc != SCK_OK)
        return rc;
    sck_fault_point("erase.kek");
    (void)snprintf(job->facts.keeper, sizeof job->facts.keeper, "%s", keeper->ops->name);
    (void)snprintf(job->facts.kek_name, sizeof job->facts.kek_name, "%s", kek->name);
    job->facts.kek_version = kek->version;
    job->facts.keks++;
    say(job, "KEK %s destroyed at keeper %s", kek->name, keeper->ops->name);
    kek->state = SCK_KEK_DESTROYED;
    sck_buf_clear(&kek->record);
    return sck_catalog_update(job->catalog, SCK_TABLE_KEKS, kek, err);
}

/* Step 2: every KEK the owner ever had. */
static enum sck_code
destroy_keks(struct job *job, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (uint32_t serial = 1; rc == SCK_OK && serial <= job->owner.kek_serial; serial++) {
        struct sck_kek_rec kek = {.owner_id = job->owner.id, .serial = serial};
        struct sck_err look = SCK_ERR_INIT;
        rc = sck_catalog_get(job->catalog, SCK_BY_KEK, &kek, &look);
        if (rc == SCK_E_NOT_FOUND) {
            rc = SCK_OK;
            continue;
        }
        if (rc != SCK_OK)
            return sck_fail(err, rc, "%s", look.message);
        if (kek.state != SCK_KEK_DESTROYED)
            rc = destroy_kek(job, &kek, err);
        sck_record_clear(SCK_TABLE_KEKS, &kek);
    }
    return rc;
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
        for (size_t i = 0; rc == SCK_OK && i < page.count; i++)
            {
            rc = sck_file_row_remove(job->engine, job->catalog, &page.files[i], err);
            job->facts.files++;
        }
    } while (rc == SCK_OK && page.count > 0);
    return rc;
}

/* Step 3 ends: the owner's rows go and the tombstone is done, in one transaction. */
static enum sck_code
close_grave(struct job *job, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(job->catalog, err);
    for (uint32_t serial = 1; rc == SCK_OK && serial <= job->owner.kek_serial; serial++) {
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
    rc = destroy_keks(job, err);
    if (rc == SCK_OK)
        rc = remove_keys(job, err);
    sck_fault_point("erase.keys");
    if (rc == SCK_OK)
        rc = remove_files(job, err);
    /* The receipt is stored before the owner's row goes: until then a crash is resumed and makes it again. */
    if (rc == SCK_OK)
        rc = sck_receipt_make(job->engine, job->catalog, &job->facts, receipt, err);
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
        rc = sck_engine_login(job.engine, err);
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
    return run(&job, receipt, err);
}

/* ---- finishing what a crash left ---- */

static enum sck_code
note_pending(void *arg, void *record, struct sck_err *err)
{
    struct sck_tomb_rec *first = arg;
    (void)err;
    if (first->seq == 0)
        *first = *(const struct sck_tomb_rec *)record;
    return SCK_OK;
}

static enum sck_code
resume_one(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_tomb_rec *tomb,
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
    return rc;
}

enum sck_code
sck_resume(struct sck_service *service, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    if (atomic_load(&engine->resumed))
        return SCK_OK;
    enum sck_code rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_anchor_check(engine, catalog, err);
    while (rc == SCK_OK) {
        struct sck_tomb_rec key = {0};
        struct sck_tomb_rec first = {0};
        rc = sck_catalog_each(catalog, SCK_TOMBS_PENDING, &key, true, 1, note_pending, &first, err);
        if (rc != SCK_OK || first.seq == 0)
            break;
        rc = resume_one(engine, catalog, &first, err);
    }
    if (rc == SCK_OK)
        atomic_store(&engine->resumed, true);
    return rc;
}
