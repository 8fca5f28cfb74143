/* SPDX-License-Identifier: MIT */
/*
 * An erasure that was scheduled is complete when the epoch keys that covered its KEKs are destroyed, and the keeper's
 * own date is past and the keeper agrees.
 */
#include "lib/service/pledge.h"

#include "lib/service/erase.h"
#include "lib/service/kekepoch.h"

#include "lib/base/log.h"
#include "lib/base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum sck_code
sck_pledge_add(struct sck_catalog *catalog, const struct sck_pledge_rec *pledge, struct sck_err *err)
{
    struct sck_pledge_rec copy = *pledge;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_insert(catalog, SCK_TABLE_PLEDGES, &copy, &look);
    return rc == SCK_OK || rc == SCK_E_EXISTS ? SCK_OK : sck_fail(err, rc, "%s", look.message);
}

static const char *
text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

/* The keeper that set a date is asked again when it is past: purged means gone, anything else a later date. */
static enum sck_code
ask_keeper(struct sck_engine *engine, const json_t *kek, int64_t *later_s, struct sck_err *err)
{
    static const enum sck_keeper_kind kinds[] = {SCK_KEEPER_TOKEN, SCK_KEEPER_VAULT, SCK_KEEPER_AZURE, SCK_KEEPER_LOCAL};
    const struct sck_kek ref = {.name = text_of(kek, "name"),
                                .generation = 1,
                                .version = (uint32_t)json_integer_value(json_object_get(kek, "last_version")),
                                .mount = text_of(kek, "mount"),
                                .name_space = text_of(kek, "namespace")};
    struct sck_keeper *keeper = NULL;
    struct sck_erase_proof proof = {0};
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; rc == SCK_OK && keeper == NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(sck_keeper_kind_name(kinds[i]), text_of(kek, "keeper")) == 0)
            rc = sck_engine_keeper(engine, kinds[i], &keeper, err);
    }
    if (rc != SCK_OK || keeper == NULL)
        return rc;
    rc = keeper->ops->erase(keeper, &ref, 0, NULL, 0, &proof, err);
    if (rc == SCK_OK && proof.how == SCK_ERASURE_SCHEDULED && proof.effective_s > *later_s)
        *later_s = proof.effective_s;
    return rc;
}

/* *later_s stays 0 when every keeper that set a date says that the KEK is gone. */
static enum sck_code
ask_keepers(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_pledge_rec *pledge, int64_t *later_s,
            struct sck_err *err)
{
    struct sck_buf text;
    const json_t *kek;
    size_t i;
    sck_buf_init(&text, SCK_REC_BLOB_MAX);
    enum sck_code rc = sck_receipt_find(catalog, pledge->hash, &text, err);
    json_t *o = rc == SCK_OK ? json_loadb((const char *)text.data, text.len, 0, NULL) : NULL;
    *later_s = 0;
    json_array_foreach(json_object_get(o, "keks"), i, kek) {
        if (rc == SCK_OK && json_object_get(kek, "effective_at") != NULL)
            rc = ask_keeper(engine, kek, later_s, err);
    }
    json_decref(o);
    sck_buf_clear(&text);
    return rc;
}

static enum sck_code
settle_one(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_pledge_rec *pledge, int64_t *completed,
           struct sck_err *err)
{
    int64_t later_s = 0;
    enum sck_code rc = SCK_OK;
    if (pledge->effective_s != 0)
        rc = ask_keepers(engine, catalog, pledge, &later_s, err);
    if (rc == SCK_OK && later_s > sck_now_s(engine->clock)) {
        pledge->effective_s = later_s;
        return sck_catalog_update(catalog, SCK_TABLE_PLEDGES, pledge, err);
    }
    if (rc == SCK_OK)
        rc = sck_receipt_complete(engine, catalog, pledge, err);
    *completed += rc == SCK_OK ? 1 : 0;
    return rc;
}

struct settling {
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    uint32_t oldest;            /* epoch whose key may still be there */
    int64_t completed;
};

static enum sck_code
look_at(void *arg, void *record, struct sck_err *err)
{
    struct settling *s = arg;
    struct sck_pledge_rec *pledge = record;
    struct sck_err why = SCK_ERR_INIT;
    if (pledge->epoch >= s->oldest || pledge->effective_s > sck_now_s(s->engine->clock))
        return SCK_OK;
    enum sck_code rc = settle_one(s->engine, s->catalog, pledge, &s->completed, &why);
    if (rc == SCK_E_CONNECT || rc == SCK_E_BUSY || rc == SCK_E_CREDENTIAL || rc == SCK_E_CONFIG) {
        sck_log(SCK_LOG_WARNING, "service.erase", "an erasure cannot be completed yet: %s", why.message);
        return SCK_OK;
    }
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}

enum sck_code
sck_pledges_settle(struct sck_engine *engine, struct sck_catalog *catalog, sck_progress_fn progress, void *arg,
                   struct sck_err *err)
{
    struct settling s = {.engine = engine, .catalog = catalog};
    struct sck_pledge_rec from = {0};
    struct sck_epochs epochs;
    char line[96];
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    if (rc != SCK_OK)
        return rc;
    s.oldest = epochs.at[0].number;
    rc = sck_catalog_each(catalog, SCK_PLEDGES_ALL, &from, true, 0, look_at, &s, err);
    if (rc == SCK_OK && s.completed > 0 && progress != NULL) {
        (void)snprintf(line, sizeof line, "%lld erasures are complete now", (long long)s.completed);
        progress(arg, line);
    }
    return rc;
}
