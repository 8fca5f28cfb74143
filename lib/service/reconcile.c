/* SPDX-License-Identifier: MIT */
/*
 * A catalog that was set back is brought to what was erased since, and its GCM keys get new versions: the record of the
 * messages they sealed was set back, too.  Its generation goes above the anchor's as the last step, so that it does not
 * start before everything was done.
 */
#include "lib/service/reconcile.h"

#include "lib/service/backup.h"
#include "lib/service/kekepoch.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than anybody seals between a backup and its restoration; 256 restorations fit into the limit of 2^32. */
#define SET_BACK_MESSAGES (INT64_C(1) << 24)
#define MESSAGES_MAX (INT64_C(1) << 32)

void
sck_reconcile_say(const struct sck_reconciling *r, const char *fmt, ...)
{
    char line[256];
    if (r->progress == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    r->progress(r->arg, line);
}

bool
sck_reconcile_defer(struct sck_reconciling *r, enum sck_code rc, const struct sck_err *why)
{
    bool later = rc == SCK_E_CONNECT || rc == SCK_E_BUSY || rc == SCK_E_CREDENTIAL || rc == SCK_E_CONFIG ||
                 rc == SCK_E_DENIED || rc == SCK_E_STATE;
    if (later && r->waiting.code == SCK_OK)
        r->waiting = *why;
    return later;
}

/* ---- keys whose count of messages was set back ---- */

struct renewal {
    struct sck_reconciling *r;
    int64_t before_s;           /* versions made before are renewed */
    int64_t renewed;
};

/* A version that cannot be followed by another now seals nothing any more. */
static enum sck_code
exhaust(struct sck_catalog *catalog, const struct sck_key_rec *key, struct sck_err *err)
{
    struct sck_version_rec v = {.version = key->version};
    memcpy(v.key, key->id, sizeof v.key);
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(catalog, SCK_BY_VERSION, &v, err);
    v.gcm_reserved = MESSAGES_MAX;
    if (rc == SCK_OK)
        rc = sck_catalog_update(catalog, SCK_TABLE_VERSIONS, &v, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    sck_record_clear(SCK_TABLE_VERSIONS, &v);
    return rc;
}

static enum sck_code
renew_key(void *arg, void *record, struct sck_err *err)
{
    struct renewal *w = arg;
    const struct sck_key_rec *key = record;
    struct sck_key_info info, made;
    struct sck_err why = SCK_ERR_INIT;
    if (key->usage != SCK_USAGE_GCM || key->state == SCK_KEY_CREATING)
        return SCK_OK;
    enum sck_code rc = sck_info_of(w->r->engine, key, 0, &info, err);
    if (rc != SCK_OK || info.version_created_s >= w->before_s)
        return rc;
    rc = key->state == SCK_KEY_ENABLED ? sck_key_rotate(w->r->service, &info, &made, &why) : SCK_E_STATE;
    w->renewed += rc == SCK_OK;
    if (rc == SCK_OK)
        return rc;
    sck_log(SCK_LOG_WARNING, "service.reconcile", "key %s has no new version (%s): it seals nothing until it is rotated",
            info.key_id, rc == SCK_E_STATE && why.code == SCK_OK ? "it is disabled" : why.message);
    return exhaust(w->r->catalog, key, err);
}

/* KEKs and the epoch key count, too; they are not renewed, their count goes up by more than can be missing. */
static enum sck_code
raise_count(void *arg, void *record, struct sck_err *err)
{
    struct sck_reconciling *r = arg;
    const struct sck_owner_rec *owner = record;
    struct sck_kek_rec kek = {.owner_id = owner->id, .serial = owner->kek_serial};
    enum sck_code rc = sck_catalog_begin(r->catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(r->catalog, SCK_BY_KEK, &kek, err);
    if (rc == SCK_OK && kek.keeper == SCK_KEEPER_TOKEN && kek.wraps < MESSAGES_MAX - SET_BACK_MESSAGES) {
        kek.wraps += SET_BACK_MESSAGES;
        rc = sck_catalog_update(r->catalog, SCK_TABLE_KEKS, &kek, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(r->catalog, err);
    sck_catalog_rollback(r->catalog);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc;
}

/* When the first run began: what was renewed since is not renewed again by a run that goes on. */
static enum sck_code
since(struct sck_reconciling *r, const struct sck_anchor *anchor, const char *path, int64_t *began_s,
      struct sck_err *err)
{
    char text[64];
    long long began = 0, generation = 0;
    struct sck_buf there = {0};
    struct sck_err ignored = SCK_ERR_INIT;
    /* A run before this one is meant only if the token has not gone on since. */
    bool again = sck_file_read(path, sizeof text, &there, &ignored) == SCK_OK &&
                 sscanf(sck_buf_str(&there), "%lld %lld", &began, &generation) == 2 && generation == anchor->generation;
    sck_buf_clear(&there);
    *began_s = again ? began : sck_now_s(r->engine->clock) + 1;
    if (again)
        return SCK_OK;
    int n = snprintf(text, sizeof text, "%lld %lld\n", (long long)*began_s, (long long)anchor->generation);
    return sck_file_replace(path, text, (size_t)n, 0600, err);
}

static enum sck_code
renew(struct sck_reconciling *r, int64_t began_s, struct sck_err *err)
{
    struct renewal w = {.r = r, .before_s = began_s};
    struct sck_key_rec keys = {0};
    struct sck_owner_rec owners = {0};
    enum sck_code rc = sck_catalog_each(r->catalog, SCK_KEYS_ALL, &keys, true, 0, renew_key, &w, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(r->catalog, SCK_OWNERS_ALL, &owners, true, 0, raise_count, r, err);
    if (rc == SCK_OK)
        rc = sck_epoch_charge_now(r->engine, r->catalog, SET_BACK_MESSAGES, err);
    if (rc == SCK_OK)
        sck_reconcile_say(r, "%lld GCM keys got a new version", (long long)w.renewed);
    return rc;
}

/* ---- the whole ---- */

static enum sck_code
close_gap(struct sck_reconciling *r, const struct sck_anchor *anchor, int64_t known, struct sck_err *err)
{
    struct sck_setup_rec setup = {.id = 1};
    enum sck_code rc = sck_catalog_begin(r->catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_catalog_get(r->catalog, SCK_BY_SETUP, &setup, err);
    if (setup.tombstones < known)
        setup.tombstones = known;
    if (setup.generation < anchor->generation)
        setup.generation = anchor->generation;
    setup.generation++;
    if (rc == SCK_OK)
        rc = sck_catalog_update(r->catalog, SCK_TABLE_SETUP, &setup, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(r->catalog, err);
    sck_catalog_rollback(r->catalog);
    return rc == SCK_OK ? sck_anchor_write(r->engine, r->catalog, err) : rc;
}

static enum sck_code
run(struct sck_reconciling *r, const char *mark, struct sck_err *err)
{
    struct sck_setup_rec setup = {.id = 1};
    struct sck_anchor anchor;
    int64_t known = 0, began_s = 0;
    enum sck_code rc = sck_anchor_read(r->engine, &anchor, err);
    if (rc == SCK_OK)
        rc = sck_catalog_get(r->catalog, SCK_BY_SETUP, &setup, err);
    if (rc != SCK_OK)
        return rc;
    bool set_back = setup.generation < anchor.generation || setup.tombstones < anchor.tombstones;
    if (set_back)
        rc = since(r, &anchor, mark, &began_s, err);
    if (rc == SCK_OK)
        rc = sck_epochs_adopt(r->engine, r->catalog, err);
    if (rc == SCK_OK)
        rc = sck_reconcile_receipts(r, err);
    sck_fault_point("reconcile.receipts");
    if (rc == SCK_OK)
        rc = sck_reconcile_log(r, &known, err);
    if (rc == SCK_OK && setup.tombstones < anchor.tombstones && known < anchor.tombstones)
        rc = sck_fail(err, SCK_E_INTEGRITY,
                      "the erasure log knows %lld erasures, the token %lld: put receipts/erasures.log back whole",
                      (long long)known, (long long)anchor.tombstones);
    sck_fault_point("reconcile.replayed");
    if (rc == SCK_OK)
        rc = sck_backups_settle(r->engine, r->catalog, set_back, err);
    if (rc == SCK_OK)
        rc = sck_epochs_move(r->engine, r->catalog, r->progress, r->arg, err);
    if (rc == SCK_OK && set_back)
        rc = renew(r, began_s, err);
    sck_fault_point("reconcile.renewed");
    if (rc == SCK_OK && set_back)
        rc = close_gap(r, &anchor, known, err);
    if (rc == SCK_OK)
        rc = sck_epoch_bump(r->engine, err);
    if (rc == SCK_OK && set_back)
        (void)unlink(mark);
    return rc;
}

enum sck_code
sck_reconcile(struct sck_service *service, sck_progress_fn progress, void *arg, struct sck_err *err)
{
    struct sck_reconciling r = {
        .service = service, .engine = service->engine, .progress = progress, .arg = arg, .waiting = SCK_ERR_INIT};
    int lock = -1;
    char *path = sck_engine_path(r.engine, "run/reconcile.lock");
    char *mark = sck_engine_path(r.engine, "run/reconcile");
    enum sck_code rc = path != NULL && mark != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK && service->scopes != NULL)
        rc = sck_fail(err, SCK_E_DENIED, "this client sees only a part of the set-up: reconcile without `scopes`");
    if (rc == SCK_OK)
        rc = sck_lock_acquire(path, 0, &lock, err);
    if (rc == SCK_E_BUSY)
        sck_err_prefix(err, "another process is reconciling");
    if (rc == SCK_OK)
        rc = sck_engine_login(r.engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(r.engine, &r.catalog, err);
    if (rc == SCK_OK) {
        /* What this process does until it is through is what makes the catalog one that may start. */
        bool before = atomic_exchange(&r.engine->started, true);
        rc = run(&r, mark, err);
        atomic_store(&r.engine->started, rc == SCK_OK || before);
    }
    if (rc == SCK_OK && r.waiting.code != SCK_OK) {
        rc = sck_fail(err, r.waiting.code, "%s", r.waiting.message);
        sck_err_prefix(err, "the catalog is reconciled, but an erasure waits for its keeper");
    }
    sck_lock_release(&lock);
    free(path);
    free(mark);
    return rc;
}
