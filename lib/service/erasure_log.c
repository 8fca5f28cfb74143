/* SPDX-License-Identifier: MIT */
/*
 * What no catalog restore touches: the append-only erasure log beside the catalog, and the anchor in the token.
 * Together they tell a catalog that was set back to a time before an erasure (docs/erasure.md).
 */
#include "lib/service/erase.h"

#include "lib/base/file.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MAX_BYTES (256U * 1024U * 1024U)
#define ANCHOR_LEN (1 + 8 + 8 + 32)

/* Whether the log has a whole line for this tombstone already, and whether its last line was cut by a crash. */
static enum sck_code
log_has(const char *path, const char *hash_hex, bool *found, bool *cut, struct sck_err *err)
{
    struct sck_buf log = {0};
    struct sck_err look = SCK_ERR_INIT;
    *found = *cut = false;
    enum sck_code rc = sck_file_read(path, LOG_MAX_BYTES, &log, &look);
    if (rc == SCK_E_NOT_FOUND)
        return SCK_OK;
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    const char *at = strstr(sck_buf_str(&log), hash_hex);
    *found = at != NULL && strchr(at, '\n') != NULL;
    *cut = log.len > 0 && log.data[log.len - 1] != '\n';
    sck_buf_clear(&log);
    return SCK_OK;
}

enum sck_code
sck_erasure_log_add(struct sck_engine *engine, const struct sck_tomb_rec *tomb, struct sck_err *err)
{
    char hash[65];
    char chain[65];
    char when[SCK_TIME_TEXT];
    bool found = false;
    bool cut = false;
    int lock = -1;
    struct sck_buf line;
    sck_hex_format(tomb->hash, 32, hash);
    sck_hex_format(tomb->chain, 32, chain);
    sck_time_format(tomb->created_s, when);
    sck_buf_init(&line, 1024);
    sck_buf_printf(&line,
                   "\n{\"seq\":%lld,\"time\":\"%s\",\"kind\":\"%c\",\"generation\":%u,\"hash\":\"%s\",\"chain\":\"%s\"}\n",
                   (long long)tomb->seq, when, (char)tomb->kind, (unsigned)tomb->generation, hash, chain);
    char *path = sck_engine_path(engine, "receipts/erasures.log");
    char *lock_path = sck_engine_path(engine, "run/erasures.lock");
    enum sck_code rc = path != NULL && lock_path != NULL ? sck_lock_acquire(lock_path, 30000, &lock, err)
                                                         : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = log_has(path, hash, &found, &cut, err);
    if (rc == SCK_OK && !found)
        rc = sck_file_append(path, line.data + (cut ? 0 : 1), line.len - (cut ? 0 : 1), 0600, err);
    sck_lock_release(&lock);
    free(lock_path);
    free(path);
    sck_buf_clear(&line);
    return rc;
}

enum sck_code
sck_setup_count(struct sck_catalog *catalog, int64_t erasures, struct sck_err *err)
{
    struct sck_setup_rec setup = {.id = 1};
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_SETUP, &setup, err);
    if (rc != SCK_OK)
        return rc;
    setup.generation++;
    setup.tombstones += erasures;
    return sck_catalog_update(catalog, SCK_TABLE_SETUP, &setup, err);
}

enum sck_code
sck_anchor_read(struct sck_engine *engine, struct sck_anchor *out, struct sck_err *err)
{
    struct sck_buf anchor;
    *out = (struct sck_anchor){0};
    sck_buf_init(&anchor, 128);
    enum sck_code rc = sck_token_anchor_read(engine->token, &anchor, err);
    if (rc == SCK_OK && anchor.len > 0) {
        struct sck_reader r = sck_reader_from(anchor.data, anchor.len);
        bool known = sck_read_u8(&r) == 1;
        out->generation = (int64_t)sck_read_u64(&r);
        out->tombstones = (int64_t)sck_read_u64(&r);
        (void)sck_read(&r, 32);
        if (!known || !sck_reader_is_done(&r))
            rc = sck_fail(err, SCK_E_INTEGRITY, "the token's anchor is of an unknown form: it was written by a newer "
                                                "version of Scopekey");
    }
    sck_buf_clear(&anchor);
    return rc;
}

/* One writer at a time, who never sets it back: the other may have read the catalog before our commit. */
enum sck_code
sck_anchor_write(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_err *err)
{
    struct sck_setup_rec setup = {.id = 1};
    struct sck_tomb_rec last = {0};
    struct sck_err look = SCK_ERR_INIT;
    struct sck_anchor now;
    struct sck_buf anchor;
    int lock = -1;
    sck_buf_init(&anchor, ANCHOR_LEN);
    char *path = sck_engine_path(engine, "run/anchor.lock");
    enum sck_code rc = path != NULL ? sck_lock_acquire(path, 30000, &lock, err)
                                    : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_catalog_get(catalog, SCK_BY_SETUP, &setup, err);
    if (rc == SCK_OK) {
        rc = sck_catalog_get(catalog, SCK_TOMB_LAST, &last, &look);
        /* A backup is counted, too, before anything was erased. */
        rc = rc == SCK_OK || rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", look.message);
    }
    if (rc == SCK_OK)
        rc = sck_anchor_read(engine, &now, err);
    if (rc == SCK_OK && (now.generation < setup.generation || now.tombstones < setup.tombstones)) {
        sck_buf_put_u8(&anchor, 1);
        sck_buf_put_u64(&anchor, (uint64_t)setup.generation);
        sck_buf_put_u64(&anchor, (uint64_t)setup.tombstones);
        sck_buf_put(&anchor, last.chain, sizeof last.chain);
        rc = sck_token_anchor_write(engine->token, anchor.data, anchor.len, err);
    }
    sck_lock_release(&lock);
    free(path);
    sck_buf_clear(&anchor);
    return rc;
}

enum sck_code
sck_anchor_check(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_err *err)
{
    struct sck_setup_rec setup = {.id = 1};
    struct sck_anchor anchor;
    enum sck_code rc = sck_anchor_read(engine, &anchor, err);
    if (rc == SCK_OK)
        rc = sck_catalog_get(catalog, SCK_BY_SETUP, &setup, err);
    if (rc == SCK_OK && setup.tombstones < anchor.tombstones)
        rc = sck_fail(err, SCK_E_INTEGRITY,
                      "the catalog was set back to before an erasure (it knows %lld, the token %lld): put the current "
                      "catalog in place, or run `scopekey reconcile`",
                      (long long)setup.tombstones, (long long)anchor.tombstones);
    else if (rc == SCK_OK && setup.generation < anchor.generation)
        rc = sck_fail(err, SCK_E_INTEGRITY,
                      "the catalog is an older copy (generation %lld, the token has seen %lld): run `scopekey reconcile`",
                      (long long)setup.generation, (long long)anchor.generation);
    return rc;
}
