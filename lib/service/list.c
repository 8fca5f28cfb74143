/* SPDX-License-Identifier: MIT */
/* Walking keys: of a scope, of all scopes inside the wall, in pages. */
#include "lib/service/engine.h"

#include <string.h>

struct walk {
    struct sck_service *service;
    bool checked;
    size_t limit;               /* 0: no limit */
    size_t given;
    sck_key_fn fn;
    void *arg;
};

/* Ends a walk whose page is full; never leaves this file. */
#define PAGE_IS_FULL SCK_E_BUSY

static enum sck_code
walk_row(void *arg, void *record, struct sck_err *err)
{
    struct walk *w = arg;
    struct sck_key_rec *key = record;
    struct sck_key_info info;
    enum sck_code rc = SCK_OK;
    if (w->limit != 0 && w->given == w->limit)
        return PAGE_IS_FULL;
    if (key->state == SCK_KEY_CREATING)
        return SCK_OK;
    if (!w->checked)
        rc = sck_record_check(w->service->engine, SCK_TABLE_KEYS, key, &key->signature, err);
    if (rc == SCK_OK)
        rc = sck_info_of(w->service->engine, key, 0, &info, err);
    if (rc == SCK_OK && sck_scope_is_allowed(&info.scope, w->service->scopes)) {
        w->given++;
        rc = w->fn(w->arg, &info, err);
    }
    return rc;
}

enum sck_code
sck_key_each(struct sck_service *service, const struct sck_scope *scope, sck_key_fn fn, void *arg,
             struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_key_rec key = {0};
    struct walk w = {service, atomic_load(&engine->logged_in), 0, 0, fn, arg};
    enum sck_query query = SCK_KEYS_ALL;
    if (scope != NULL) {
        enum sck_code rc = sck_wall_check(service, scope, err);
        if (rc != SCK_OK)
            return rc;
        query = SCK_KEYS_OF_SCOPE;
        key.scope_kind = scope->kind;
        memcpy(key.scope_id, scope->id, sizeof key.scope_id);
    }
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, query, &key, w.checked, 0, walk_row, &w, err);
    if (rc == SCK_OK && scope != NULL && w.given == 0) {
        struct sck_err why = SCK_ERR_INIT;
        rc = sck_explain_missing(engine, scope, "", &why);
        rc = rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", why.message);
    }
    return rc;
}

enum sck_code
sck_key_page(struct sck_service *service, const uint8_t after[16], size_t limit, sck_key_fn fn, void *arg,
             struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_key_rec key = {0};
    struct walk w = {service, atomic_load(&engine->logged_in), limit, 0, fn, arg};
    if (after != NULL)
        memcpy(key.id, after, sizeof key.id);
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, SCK_KEYS_ALL, &key, w.checked, 0, walk_row, &w, err);
    bool full = rc == PAGE_IS_FULL && w.given == limit && (err == NULL || err->code == SCK_OK);
    return full ? SCK_OK : rc;
}
