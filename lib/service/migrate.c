/* SPDX-License-Identifier: MIT */
/*
 * From one keeper to another.  Each owner goes through: a claimed row, a KEK at the new keeper, that KEK current (new
 * DEKs go there), its DEKs moved and compared, the old KEK destroyed.  Every step can be repeated.
 */
#include "lib/service/mover.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"
#include "lib/service/key.h"

#include <string.h>

struct run {
    struct sck_service *service;
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    const struct sck_migrate *how;
    struct sck_rewrap_report *report;
    struct sck_mover *mover;
    struct sck_keeper *target;
    int64_t left;                   /* owners whose KEK is at the source still */
};

/* ---- a KEK at the new keeper ---- */

/* What the owner's rows tell about the new keeper. */
struct former {
    enum sck_keeper_kind to;
    uint32_t creating;              /* serial of a row that an interrupted run claimed, */
    uint32_t state;                 /* and its state */
    uint32_t version;               /* highest version that was ever given there */
    bool lives;                     /* a KEK is kept there from before */
    struct sck_kek_rec home;        /* its newest row, without the record */
};

static enum sck_code
look_at_row(void *arg, void *record, struct sck_err *err)
{
    struct former *f = arg;
    const struct sck_kek_rec *kek = record;
    (void)err;
    if (kek->keeper != (uint32_t)f->to)
        return SCK_OK;
    if (kek->state == SCK_KEK_CREATING || kek->state == SCK_KEK_WANTED) {
        f->creating = kek->serial;
        f->state = kek->state;
        return SCK_OK;
    }
    if (kek->version > f->version)
        f->version = kek->version;
    if (kek->state == SCK_KEK_RETIRED && !f->lives) {
        f->lives = true;
        f->home = *kek;
        f->home.record = (struct sck_buf){0};
    }
    return SCK_OK;
}

/* The row in state creating, committed before the keeper is asked, so that erasure reaches what is made. */
static enum sck_code
claim(struct run *r, const struct sck_owner_rec *owner, struct sck_kek_rec *fresh, struct former *f,
      struct sck_err *err)
{
    struct sck_owner_rec now;
    struct sck_kek_rec from = {.owner_id = owner->id};
    enum sck_code rc = sck_catalog_begin(r->catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_owner_reread(r->catalog, owner, &now, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(r->catalog, SCK_KEKS_OF_OWNER, &from, true, 0, look_at_row, f, err);
    if (rc == SCK_OK && f->creating != 0) {
        fresh->serial = f->creating;
        fresh->state = f->state;
    } else if (rc == SCK_OK) {
        fresh->state = f->lives ? SCK_KEK_CREATING : sck_kek_claim_state(r->engine, r->how->to);
        rc = sck_kek_last(r->catalog, owner->id, &fresh->serial, err);
        fresh->serial++;
        if (rc == SCK_OK)
            rc = sck_catalog_insert(r->catalog, SCK_TABLE_KEKS, fresh, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(r->catalog, err);
    }
    sck_catalog_rollback(r->catalog);
    return rc;
}

/* What an interrupted run made is there under our name: its newest version is ours to use. */
static enum sck_code
take_over(struct run *r, const struct sck_kek_rec *fresh, struct sck_kek_made *made, struct sck_err *err)
{
    const struct sck_conf *conf = r->engine->conf;
    const struct sck_kek ref = sck_kek_from_rec(fresh);
    enum sck_code rc = r->target->ops->newest(r->target, &ref, &made->version, err);
    if (rc == SCK_OK && r->how->to == SCK_KEEPER_VAULT) {
        (void)strncpy(made->mount, conf->vault_mount, sizeof made->mount - 1);
        (void)strncpy(made->name_space, conf->vault_namespace, sizeof made->name_space - 1);
    }
    return rc;
}

static enum sck_code
make_kek(struct run *r, struct sck_kek_rec *fresh, const struct former *f, struct sck_err *err)
{
    struct sck_kek_made made = {0};
    struct sck_err why = SCK_ERR_INIT;
    struct sck_kek ref = sck_kek_from_rec(f->lives ? &f->home : fresh);
    enum sck_code rc;
    if (r->target->ops->versions_are_records && f->version > 0) {
        /* Version numbers are never given twice: caches and blobs of the older life would fit. */
        ref.version = f->version;
        rc = r->target->ops->rotate(r->target, &ref, &made, &why);
    } else if (f->lives) {
        rc = r->target->ops->rotate(r->target, &ref, &made, &why);
    } else {
        bool ours = false;
        rc = sck_kek_reserve(r->catalog, r->target, fresh, &ours, &why);
        if (rc == SCK_OK)
            rc = r->target->ops->create(r->target, fresh->name, fresh->generation, &made, &why);
        if (rc == SCK_E_EXISTS && ours && f->creating != 0) {
            sck_err_clear(&why);
            rc = take_over(r, fresh, &made, &why);
        }
    }
    if (rc == SCK_OK)
        rc = sck_kek_take_made(fresh, &made, err);
    else
        rc = sck_fail(err, rc, "%s", why.message);
    sck_buf_clear(&made.record);
    return rc;
}

/* The owner was erased while its KEK was made: whatever came to be after its erasure looked must go. */
static void
destroy_late(struct run *r, const struct sck_kek_rec *fresh)
{
    struct sck_erase_proof proof = {0};
    struct sck_err why = SCK_ERR_INIT;
    const struct sck_kek ref = sck_kek_from_rec(fresh);
    if (r->target->ops->erase(r->target, &ref, fresh->version, NULL, 0, &proof, &why) != SCK_OK)
        sck_log(SCK_LOG_ERROR, "service.migrate", "late KEK %s could not be destroyed: %s", fresh->name, why.message);
}

static enum sck_code
settle(struct run *r, const struct sck_owner_rec *owner, const struct sck_kek_rec *kek, struct sck_err *err)
{
    struct former f = {.to = r->how->to};
    struct sck_err why = SCK_ERR_INIT;
    bool late = false;
    struct sck_kek_rec fresh = {.owner_id = owner->id,
                                .keeper = (uint32_t)r->how->to,
                                .generation = owner->generation,
                                .version = 0,
                                .created_s = sck_now_s(r->engine->clock)};
    memcpy(fresh.name, kek->name, sizeof fresh.name);
    enum sck_code rc = claim(r, owner, &fresh, &f, err);
    sck_fault_point("migrate.claimed");
    if (rc == SCK_OK)
        rc = make_kek(r, &fresh, &f, err);
    sck_fault_point("migrate.made");
    if (rc == SCK_OK) {
        rc = sck_kek_succeed(r->engine, owner->kek_serial, &fresh, &late, &why);
        if (rc == SCK_E_ERASED && !f.lives)
            destroy_late(r, &fresh);
        if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", why.message);
    }
    sck_fault_point("migrate.current");
    sck_record_clear(SCK_TABLE_KEKS, &fresh);
    return rc;
}

/* ---- all owners ---- */

static enum sck_code
migrate_owner(struct run *r, int64_t owner_id, struct sck_err *err)
{
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    bool clean = false;
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_owner_get_by_id(r->engine, owner_id, &owner, &kek, &why);
    const int64_t seen = r->report->seen;
    const int64_t stale = r->report->stale;
    bool here = rc == SCK_OK && kek.keeper == (uint32_t)r->how->from;
    bool there = rc == SCK_OK && kek.keeper == (uint32_t)r->how->to;
    if (here && !r->how->work.dry_run)
        rc = settle(r, &owner, &kek, &why);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc == SCK_E_ERASED || (rc == SCK_OK && !here && !there))
        return SCK_OK;
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", why.message);
    rc = sck_mover_owner(r->mover, owner_id, &clean, err);
    if (rc == SCK_OK && r->how->work.dry_run && here)
        r->report->stale = stale + r->report->seen - seen;
    if (rc == SCK_OK && !r->how->work.dry_run && !r->how->keep_source && clean)
        rc = sck_mover_retire(r->mover, owner_id, err);
    return rc;
}

static enum sck_code
each_owner(void *arg, void *record, struct sck_err *err)
{
    struct run *r = arg;
    const struct sck_owner_rec *owner = record;
    return owner->state == SCK_OWNER_ACTIVE ? migrate_owner(r, owner->id, err) : SCK_OK;
}

static enum sck_code
count_left(void *arg, void *record, struct sck_err *err)
{
    struct run *r = arg;
    const struct sck_owner_rec *owner = record;
    struct sck_kek_rec kek = {.owner_id = owner->id, .serial = owner->kek_serial};
    if (owner->state == SCK_OWNER_ERASING)
        return SCK_OK;
    enum sck_code rc = sck_catalog_get(r->catalog, SCK_BY_KEK, &kek, err);
    r->left += rc == SCK_OK && kek.keeper == (uint32_t)r->how->from && owner->state == SCK_OWNER_ACTIVE;
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc;
}

/* Owners that other processes make meanwhile still go to the source: another pass finds them. */
#define PASSES 3

static enum sck_code
all_owners(struct run *r, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (int i = 0; rc == SCK_OK && (i == 0 || r->left > 0) && i < PASSES; i++) {
        struct sck_owner_rec from = {0};
        const struct sck_rewrap_report before = *r->report;
        r->left = 0;
        *r->report = (struct sck_rewrap_report){
            .total = before.total, .moved = before.moved, .retired = before.retired};
        rc = sck_catalog_each(r->catalog, SCK_OWNERS_ALL, &from, true, 0, each_owner, r, err);
        from = (struct sck_owner_rec){0};
        if (rc == SCK_OK && !r->how->work.dry_run)
            rc = sck_catalog_each(r->catalog, SCK_OWNERS_ALL, &from, true, 0, count_left, r, err);
    }
    return rc;
}

static enum sck_code
check_request(const struct sck_service *service, const struct sck_migrate *how, struct sck_err *err)
{
    if (how->from == how->to)
        return sck_fail(err, SCK_E_USAGE, "keeper migrate: both keepers are %s", sck_keeper_kind_name(how->to));
    if (service->scopes != NULL)
        return sck_fail(err, SCK_E_DENIED, "keeper migrate: this process may not use all scopes (`scopes`)");
    return SCK_OK;
}

/* Both keepers answer before anything is changed. */
static enum sck_code
prepare(struct run *r, struct sck_err *err)
{
    struct sck_keeper *source = NULL;
    enum sck_code rc = sck_engine_keeper(r->engine, r->how->from, &source, err);
    if (rc == SCK_OK)
        rc = sck_engine_keeper(r->engine, r->how->to, &r->target, err);
    if (rc == SCK_OK && !r->how->work.dry_run)
        rc = sck_prepare_keeper(r->target, err);
    return rc;
}

/* New owners go to the target from now on, in every process that starts; a last pass takes those made until now. */
static enum sck_code
switch_over(struct run *r, bool *switched, struct sck_err *err)
{
    const char *to = sck_keeper_kind_name(r->how->to);
    sck_fault_point("migrate.switch");
    enum sck_code rc = strcmp(r->engine->conf->keeper, to) == 0
                           ? SCK_OK
                           : sck_conf_set(r->engine->conf->path, "scopekey", "keeper", to, err);
    *switched = rc == SCK_OK;
    return rc == SCK_OK ? all_owners(r, err) : rc;
}

enum sck_code
sck_migrate_run(struct sck_service *service, const struct sck_migrate *how, struct sck_rewrap_report *report,
                bool *switched, struct sck_err *err)
{
    struct run r = {.service = service, .engine = service->engine, .how = how, .report = report};
    *report = (struct sck_rewrap_report){0};
    *switched = false;
    enum sck_code rc = check_request(service, how, err);
    if (rc == SCK_OK)
        rc = sck_engine_login(r.engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(r.engine, &r.catalog, err);
    if (rc == SCK_OK)
        rc = prepare(&r, err);
    if (rc == SCK_OK)
        rc = sck_rows_total(r.catalog, &report->total, err);
    if (rc == SCK_OK)
        rc = sck_mover_new(r.engine, r.catalog, &how->work, report, &r.mover, err);
    if (rc != SCK_OK)
        return rc;
    r.mover->verify = true;
    rc = all_owners(&r, err);
    if (rc == SCK_OK && !how->work.dry_run && report->failed == 0 && r.left == 0)
        rc = switch_over(&r, switched, err);
    if (rc == SCK_OK && report->retired > 0)
        rc = sck_catalog_scrub(r.catalog, 30000, err);
    sck_mover_free(&r.mover);
    return rc;
}
