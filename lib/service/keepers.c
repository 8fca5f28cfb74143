/* SPDX-License-Identifier: MIT */
#include "lib/service/keepers.h"

#include "lib/service/engine.h"
#include "lib/service/rewrap.h"

#include <stdio.h>
#include <string.h>

enum { KINDS = SCK_KEEPER_LOCAL + 1 };

/* What the walk over owners finds of one keeper. */
struct tally {
    int64_t keks, former, blobs;
    bool has_sample;
    struct sck_kek_rec sample;      /* a current KEK, to wrap under */
};

struct census {
    struct sck_catalog *catalog;
    struct tally at[KINDS];
};

static enum sck_code
count_kek(void *arg, void *record, struct sck_err *err)
{
    struct census *c = arg;
    const struct sck_kek_rec *kek = record;
    if (kek->keeper >= KINDS)
        return sck_fail(err, SCK_E_INTEGRITY, "the catalog names a keeper that there is not (%u)", kek->keeper);
    struct tally *t = &c->at[kek->keeper];
    if (kek->state == SCK_KEK_RETIRED)
        t->former++;
    if (kek->state != SCK_KEK_CURRENT)
        return SCK_OK;
    t->keks++;
    if (t->has_sample)
        return SCK_OK;
    t->sample = *kek;
    sck_buf_init(&t->sample.record, SCK_REC_BLOB_MAX);
    sck_buf_put(&t->sample.record, kek->record.data, kek->record.len);
    t->has_sample = true;
    return sck_buf_check(&t->sample.record, "KEK record", err);
}

static enum sck_code
count_owner(void *arg, void *record, struct sck_err *err)
{
    struct census *c = arg;
    const struct sck_owner_rec *owner = record;
    struct sck_kek_rec from = {.owner_id = owner->id};
    if (owner->state != SCK_OWNER_ACTIVE)
        return SCK_OK;
    return sck_catalog_each(c->catalog, SCK_KEKS_OF_OWNER, &from, true, 0, count_kek, c, err);
}

/* Status and one wrap; a failure is what the keeper's line says. */
static void
look(struct sck_engine *engine, struct sck_keeper_info *info, const struct tally *t)
{
    struct sck_keeper *keeper = NULL;
    struct sck_keeper_status status = {.sealed = -1, .token_ttl_s = -1, .admin_ttl_s = -1};
    struct sck_secret *payload = NULL;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, 2 * SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_keeper(engine, info->kind, &keeper, &err);
    if (rc == SCK_OK && keeper->ops->status != NULL)
        rc = keeper->ops->status(keeper, &status, &err);
    if (rc == SCK_OK && t->has_sample)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err);
    /* A payload of zeros, thrown away; twice, because the first call logs in, connects or derives a key. */
    for (int i = 0; rc == SCK_OK && t->has_sample && i < 2; i++) {
        const struct sck_kek kek = sck_kek_from_rec(&t->sample);
        int64_t from = sck_monotonic_us(engine->clock);
        rc = keeper->ops->wrap(keeper, &kek, payload, &blob, &version, &err);
        info->latency_us = rc == SCK_OK ? sck_monotonic_us(engine->clock) - from : -1;
    }
    info->code = rc;
    memcpy(info->problem, err.message, sizeof info->problem);
    memcpy(info->where, status.where, sizeof info->where);
    memcpy(info->version, status.version, sizeof info->version);
    memcpy(info->breaker, status.breaker, sizeof info->breaker);
    if (info->kind == SCK_KEEPER_TOKEN)
        (void)snprintf(info->where, sizeof info->where, "token %s, records in the catalog",
                       engine->conf->label[0] != '\0' ? engine->conf->label : engine->conf->serial);
    info->sealed = status.sealed;
    info->token_ttl_s = status.token_ttl_s;
    info->admin_ttl_s = status.admin_ttl_s;
    if (keeper != NULL) {
        info->erases_at_once = keeper->ops->erasure == SCK_ERASURE_IMMEDIATE;
        info->rewraps_blind = keeper->ops->rewraps_blind;
    }
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
}

/* A rewrap that moves nothing counts what is under which KEK. */
static enum sck_code
count_blobs_of(struct sck_service *service, struct census *c, struct sck_err *err)
{
    const struct sck_rewrap how = {.dry_run = true};
    struct sck_rewrap_report report = {0};
    enum sck_code rc = sck_rewrap_run(service, &how, &report, err);
    for (size_t i = 0; rc == SCK_OK && i < report.under_count; i++) {
        if ((size_t)report.under[i].keeper < KINDS)
            c->at[report.under[i].keeper].blobs += report.under[i].blobs;
    }
    return rc;
}

enum sck_code
sck_keeper_each(struct sck_service *service, bool count_blobs, sck_keeper_fn fn, void *arg, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct census census = {NULL, {{0}}};
    struct sck_owner_rec owner = {0};
    enum sck_code rc = sck_engine_catalog(engine, &census.catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(census.catalog, SCK_OWNERS_ALL, &owner, true, 0, count_owner, &census, err);
    if (rc == SCK_OK && count_blobs)
        rc = count_blobs_of(service, &census, err);
    for (unsigned kind = SCK_KEEPER_TOKEN; rc == SCK_OK && kind < KINDS; kind++) {
        const struct tally *t = &census.at[kind];
        struct sck_keeper_info info = {.kind = (enum sck_keeper_kind)kind,
                                       .is_current = kind == (unsigned)sck_engine_keeper_kind(engine),
                                       .latency_us = -1,
                                       .keks = t->keks,
                                       .former = t->former,
                                       .blobs = count_blobs ? t->blobs : -1};
        if (!info.is_current && t->keks == 0 && t->former == 0)
            continue;
        look(engine, &info, t);
        rc = fn(arg, &info, err);
    }
    for (size_t i = 0; i < KINDS; i++)
        sck_record_clear(SCK_TABLE_KEKS, &census.at[i].sample);
    return rc;
}

enum sck_code
sck_keeper_import(struct sck_service *service, const char *file, size_t *imported, size_t *known, struct sck_err *err)
{
    struct sck_keeper *keeper = NULL;
    enum sck_code rc = sck_engine_keeper(service->engine, SCK_KEEPER_LOCAL, &keeper, err);
    return rc == SCK_OK ? sck_keeper_local_import(keeper, file, imported, known, err) : rc;
}
