/* SPDX-License-Identifier: MIT */
/* Erasing one file: its keys go at once; the KEK of its owner lives on, so the receipt says `scheduled`. */
#include "lib/service/erase.h"

#include "lib/base/fault.h"
#include "lib/base/text.h"
#include "lib/service/key.h"

#include <stdio.h>
#include <string.h>

/* A file may have several keys (versions); its tombstone is set once. */
enum sck_code
sck_file_row_remove(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_file_rec *file, bool alone,
                    struct sck_err *err)
{
    char uuid[37];
    uint8_t hash[32];
    struct sck_tomb_rec tomb = {0};
    struct sck_err look = SCK_ERR_INIT;
    sck_uuid_format(file->file_id, uuid);
    enum sck_code rc = sck_tomb_hash(engine, SCK_TOMB_FILE_ID, 1, uuid, strlen(uuid), hash, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    memcpy(tomb.hash, hash, sizeof tomb.hash);
    rc = sck_catalog_get(catalog, SCK_BY_TOMB, &tomb, &look);
    if (rc == SCK_E_NOT_FOUND) {
        rc = sck_tomb_add(engine, catalog, SCK_TOMB_FILE_ID, 1, hash, SCK_TOMB_DONE, 0, err);
        if (rc == SCK_OK && alone)
            rc = sck_setup_count(catalog, 1, err);
    } else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", look.message);
    if (rc == SCK_OK)
        rc = sck_catalog_delete(catalog, SCK_TABLE_FILES, file, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}

enum { PAGE = 64 };

struct page {
    struct sck_file_rec files[PAGE];
    size_t count;
};

static enum sck_code
collect(void *arg, void *record, struct sck_err *err)
{
    struct page *page = arg;
    (void)err;
    page->files[page->count] = *(const struct sck_file_rec *)record;
    page->files[page->count].wrapped_dek = (struct sck_buf){0};
    page->files[page->count].path = (struct sck_buf){0};
    page->count++;
    return SCK_OK;
}

/* Scoped keys of the file itself. */
static enum sck_code
remove_scope_keys(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_scope *scope, int64_t *count,
                  struct sck_err *err)
{
    for (;;) {
        struct sck_key_rec key = {.scope_kind = scope->kind};
        struct sck_key_rec first = {0};
        memcpy(key.scope_id, scope->id, sizeof key.scope_id);
        enum sck_code rc = sck_catalog_each(catalog, SCK_KEYS_OF_SCOPE, &key, true, 1, sck_collect_first_key, &first, err);
        if (rc != SCK_OK || first.version == 0)
            return rc;
        rc = sck_key_remove(engine, catalog, &first, err);
        if (rc != SCK_OK)
            return rc;
        (*count)++;
    }
}

enum sck_code
sck_collect_first_key(void *arg, void *record, struct sck_err *err)
{
    struct sck_key_rec *first = arg;
    (void)err;
    *first = *(const struct sck_key_rec *)record;
    first->signature = (struct sck_buf){0};
    return SCK_OK;
}

static enum sck_code
remove_all(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_scope *scope,
           struct sck_erasure_facts *facts, struct sck_err *err)
{
    struct page page;
    enum sck_code rc = remove_scope_keys(engine, catalog, scope, &facts->keys, err);
    do {
        struct sck_file_rec from = {0};
        (void)sck_uuid_parse(scope->id, scope->id_len, from.file_id);
        page.count = 0;
        if (rc == SCK_OK)
            rc = sck_catalog_each(catalog, SCK_FILES_OF_ID, &from, true, PAGE, collect, &page, err);
        for (size_t i = 0; rc == SCK_OK && i < page.count; i++) {
            rc = sck_file_row_remove(engine, catalog, &page.files[i], true, err);
            facts->files++;
        }
    } while (rc == SCK_OK && page.count > 0);
    return rc;
}

enum sck_code
sck_erase_file(struct sck_service *service, const struct sck_scope *scope, sck_progress_fn progress, void *arg,
               struct sck_buf *receipt, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_erasure_facts facts = {0};
    char line[128];
    uint8_t hash[32];
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_tomb_hash(engine, SCK_TOMB_FILE_ID, 1, scope->id, scope->id_len, hash, err);
    if (rc == SCK_OK)
        rc = remove_all(engine, catalog, scope, &facts, err);
    if (rc != SCK_OK)
        return rc;
    memcpy(facts.tomb.hash, hash, sizeof hash);
    rc = sck_catalog_get(catalog, SCK_BY_TOMB, &facts.tomb, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "there is nothing of file/%s", scope->id);
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_erasure_log_add(engine, &facts.tomb, err);
    if (rc == SCK_OK)
        rc = sck_anchor_write(engine, catalog, err);
    if (rc == SCK_OK)
        rc = sck_epoch_bump(engine, err);
    if (rc == SCK_OK)
        rc = sck_receipt_make(engine, catalog, &facts, receipt, err);
    if (rc == SCK_OK)
        rc = sck_catalog_scrub(catalog, 30000, err);
    if (rc == SCK_OK && progress != NULL) {
        (void)snprintf(line, sizeof line, "%lld keys and %lld file keys removed", (long long)facts.keys,
                       (long long)facts.files);
        progress(arg, line);
    }
    return rc;
}
