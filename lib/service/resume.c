/* SPDX-License-Identifier: MIT */
/* Starting: the catalog is not an older one, and what a crash or an absent keeper left is finished. */
#include "lib/service/erase.h"
#include "lib/service/kekepoch.h"

#include "lib/base/log.h"

enum sck_code
sck_engine_started(struct sck_engine *engine, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_epochs epochs;
    if (atomic_load(&engine->started))
        return SCK_OK;
    enum sck_code rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_anchor_check(engine, catalog, err);
    if (rc == SCK_OK)
        rc = sck_epochs_load(catalog, &epochs, err);
    if (rc == SCK_OK)
        sck_token_epoch_use(engine->token, epochs.current);
    if (rc == SCK_OK)
        atomic_store(&engine->started, true);
    return rc;
}

struct pending {
    struct sck_tomb_rec tomb;   /* the first behind `after` */
    int64_t after;
};

static enum sck_code
note_pending(void *arg, void *record, struct sck_err *err)
{
    struct pending *p = arg;
    const struct sck_tomb_rec *tomb = record;
    (void)err;
    if (tomb->seq > p->after && p->tomb.seq == 0)
        p->tomb = *tomb;
    return SCK_OK;
}

/* Not ours to solve, and no reason to keep everybody else from working. */
static bool
must_wait(enum sck_code rc)
{
    return rc == SCK_E_CONNECT || rc == SCK_E_BUSY || rc == SCK_E_CREDENTIAL || rc == SCK_E_CONFIG ||
           rc == SCK_E_DENIED || rc == SCK_E_STATE || rc == SCK_E_CANCELLED;
}

static enum sck_code
finish_erasures(struct sck_engine *engine, struct sck_catalog *catalog, bool *all, struct sck_err *err)
{
    struct pending p = {.after = 0};
    enum sck_code rc = SCK_OK;
    *all = true;
    while (rc == SCK_OK) {
        struct sck_tomb_rec key = {0};
        p.tomb.seq = 0;
        rc = sck_catalog_each(catalog, SCK_TOMBS_PENDING, &key, true, 0, note_pending, &p, err);
        if (rc != SCK_OK || p.tomb.seq == 0)
            break;
        struct sck_err why = SCK_ERR_INIT;
        rc = sck_erase_go_on(engine, catalog, &p.tomb, &why);
        if (rc != SCK_OK && !must_wait(rc))
            return sck_fail(err, rc, "%s", why.message);
        if (rc != SCK_OK) {
            sck_log(SCK_LOG_WARNING, "service.erase", "tombstone %lld: %s", (long long)p.tomb.seq, why.message);
            *all = false;
            rc = SCK_OK;
        }
        p.after = p.tomb.seq;
    }
    return rc;
}

enum sck_code
sck_resume(struct sck_service *service, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_err why = SCK_ERR_INIT;
    bool all = false;
    if (atomic_load(&engine->resumed))
        return SCK_OK;
    enum sck_code rc = sck_engine_started(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = finish_erasures(engine, catalog, &all, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_epoch_retire(service, NULL, NULL, &why);
    if (rc != SCK_OK)
        sck_log(SCK_LOG_WARNING, "service.epoch", "old epoch keys: %s", why.message);
    if (all)
        atomic_store(&engine->resumed, true);
    return SCK_OK;
}
