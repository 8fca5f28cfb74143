/* SPDX-License-Identifier: MIT */
/* Rotating KEKs, counting what is under their versions, and moving everything to the newest (docs/keepers.md). */
#include "lib/service/mover.h"

#include "lib/base/fault.h"

#include <string.h>

/* ---- rotation ---- */

/* What a rotation makes: another record (keeper token), or another version at the keeper. */
static enum sck_code
make_version(struct sck_engine *engine, struct sck_keeper *keeper, const struct sck_kek_rec *kek,
             struct sck_kek_rec *fresh, struct sck_err *err)
{
    struct sck_kek_made made = {0};
    uint32_t newest = 0;
    const struct sck_kek ref = sck_kek_from_rec(kek);
    *fresh = (struct sck_kek_rec){.owner_id = kek->owner_id,
                                  .keeper = kek->keeper,
                                  .generation = kek->generation,
                                  .created_s = sck_now_s(engine->clock)};
    memcpy(fresh->name, kek->name, sizeof fresh->name);
    if (keeper->ops->rotate == NULL)
        return sck_fail(err, SCK_E_UNSUPPORTED, "keeper %s cannot rotate a KEK", keeper->ops->name);
    enum sck_code rc = keeper->ops->newest(keeper, &ref, &newest, err);
    if (rc != SCK_OK)
        return rc;
    if (newest > kek->version) {
        /* A rotation that was cut after the keeper's part, or one that was made there: nothing is under it yet. */
        made.version = newest;
        memcpy(made.mount, kek->mount, sizeof made.mount);
        memcpy(made.name_space, kek->name_space, sizeof made.name_space);
    } else {
        rc = keeper->ops->rotate(keeper, &ref, &made, err);
    }
    sck_fault_point("kek.rotate.made");
    if (rc == SCK_OK)
        rc = sck_kek_take_made(fresh, &made, err);
    sck_buf_clear(&made.record);
    return rc;
}

enum sck_code
sck_kek_rotate(struct sck_service *service, const struct sck_scope *scope, struct sck_owner_info *out,
               struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_keeper *keeper = NULL;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_kek_rec fresh = {0};
    bool late = false;
    enum sck_code rc = sck_owner_wall_check(service, scope, err);
    if (rc == SCK_OK)
        rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_owner_get(engine, scope, false, &owner, &kek, err);
    if (rc == SCK_OK)
        rc = sck_engine_keeper(engine, (enum sck_keeper_kind)kek.keeper, &keeper, err);
    if (rc == SCK_OK)
        rc = make_version(engine, keeper, &kek, &fresh, err);
    if (rc == SCK_OK)
        rc = sck_kek_succeed(engine, owner.kek_serial, &fresh, &late, err);
    sck_fault_point("kek.rotate.done");
    if (rc == SCK_OK && late)
        rc = sck_fail(err, SCK_E_BUSY, "KEK %s was rotated by another process meanwhile", kek.name);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    sck_record_clear(SCK_TABLE_KEKS, &fresh);
    return rc == SCK_OK ? sck_owner_describe(service, scope, out, err) : rc;
}

/* ---- counting ---- */

static const char *
state_name(uint32_t state)
{
    switch ((enum sck_kek_state)state) {
    case SCK_KEK_WANTED:
    case SCK_KEK_CREATING: return "creating";
    case SCK_KEK_CURRENT: return "current";
    case SCK_KEK_RETIRED: return "retired";
    case SCK_KEK_DESTROYED:
    case SCK_KEK_GONE: return "destroyed";
    }
    return "unknown";
}

enum sck_code
sck_kek_each(struct sck_service *service, const struct sck_scope *scope, sck_kek_fn fn, void *arg,
             struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_kek_rows rows = {0};
    enum sck_code rc = sck_owner_wall_check(service, scope, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(service->engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_owner_get(service->engine, scope, false, &owner, &kek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc == SCK_OK)
        rc = sck_kek_rows_read(catalog, owner.id, &rows, err);
    for (size_t i = 0; rc == SCK_OK && i < rows.count; i++) {
        const struct sck_kek_rec *k = &rows.rows[i];
        struct sck_kek_info info = {.serial = k->serial,
                                    .keeper = (enum sck_keeper_kind)k->keeper,
                                    .version = k->version,
                                    .state = state_name(k->state),
                                    .created_s = k->created_s,
                                    .wraps = k->wraps,
                                    .messages = k->messages,
                                    .blobs = rows.blobs[i]};
        memcpy(info.name, k->name, sizeof info.name);
        rc = fn(arg, &info, err);
    }
    sck_kek_rows_clear(&rows);
    return rc;
}

/* ---- rewrapping ---- */

struct run {
    struct sck_service *service;
    struct sck_mover *mover;
};

static enum sck_code
rewrap_owner(struct run *r, int64_t owner_id, struct sck_err *err)
{
    struct sck_mover *m = r->mover;
    bool clean = false;
    enum sck_code rc = sck_mover_owner(m, owner_id, &clean, err);
    if (rc == SCK_OK && clean && m->how->retire && !m->how->dry_run)
        rc = sck_mover_retire(m, owner_id, err);
    if (m->report->owners % 64 == 0)
        sck_mover_progress(m);
    return rc;
}

static enum sck_code
each_owner(void *arg, void *record, struct sck_err *err)
{
    struct run *r = arg;
    const struct sck_owner_rec *owner = record;
    if (owner->state != SCK_OWNER_ACTIVE || !sck_owner_is_allowed(r->service, owner))
        return SCK_OK;
    return rewrap_owner(r, owner->id, err);
}

enum sck_code
sck_rows_total(struct sck_catalog *catalog, int64_t *total, struct sck_err *err)
{
    int64_t versions = 0;
    int64_t files = 0;
    enum sck_code rc = sck_catalog_count(catalog, SCK_TABLE_VERSIONS, &versions, err);
    if (rc == SCK_OK)
        rc = sck_catalog_count(catalog, SCK_TABLE_FILES, &files, err);
    *total = versions + files;
    return rc;
}

enum sck_code
sck_rewrap_run(struct sck_service *service, const struct sck_rewrap *how, struct sck_rewrap_report *report,
               struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct run r = {.service = service};
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    *report = (struct sck_rewrap_report){0};
    enum sck_code rc = how->scope != NULL ? sck_owner_wall_check(service, how->scope, err) : SCK_OK;
    if (rc == SCK_OK)
        rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK && how->scope != NULL)
        rc = sck_owner_get(engine, how->scope, false, &owner, &kek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc == SCK_OK && how->scope == NULL)
        rc = sck_rows_total(catalog, &report->total, err);
    if (rc == SCK_OK)
        rc = sck_mover_new(engine, catalog, how, report, &r.mover, err);
    if (rc == SCK_OK && how->scope != NULL)
        rc = rewrap_owner(&r, owner.id, err);
    else if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, SCK_OWNERS_ALL, &owner, true, 0, each_owner, &r, err);
    /* What a destroyed record leaves in free pages would still be a key. */
    if (rc == SCK_OK && report->retired > 0)
        rc = sck_catalog_scrub(catalog, 30000, err);
    sck_mover_free(&r.mover);
    return rc;
}
