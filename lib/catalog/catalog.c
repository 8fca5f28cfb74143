/* SPDX-License-Identifier: MIT */
#include "lib/catalog/catalog.h"

#include "lib/catalog/pool.h"
#include "lib/catalog/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS_DEFAULT 10000

enum sck_code
sck_catalog_row_key(struct sck_catalog *c, const struct sck_secret **key, struct sck_err *err)
{
    static _Thread_local const struct sck_catalog *asked_by_us;
    enum sck_code rc = SCK_OK;
    *key = atomic_load_explicit(&c->row_key, memory_order_acquire);
    if (*key != NULL)
        return SCK_OK;
    if (asked_by_us == c)
        return sck_fail(err, SCK_E_INTERNAL, "the catalog was used by the function that gives its row key");
    /* A person may be asked for a PIN meanwhile: there is no deadline. */
    if (!sck_turn_take(&c->asking, SCK_FOREVER))
        return sck_fail(err, SCK_E_INTERNAL, "the row key could not be asked for");
    if (atomic_load(&c->row_key) == NULL) {
        struct sck_secret *made = NULL;
        asked_by_us = c;
        rc = c->row_key_fn(c->row_key_arg, &made, err);
        asked_by_us = NULL;
        if (rc == SCK_OK)
            atomic_store_explicit(&c->row_key, made, memory_order_release);
    }
    sck_turn_give(&c->asking);
    *key = atomic_load(&c->row_key);
    return rc;
}

static void
free_handle(struct sck_catalog *c)
{
    struct sck_secret *key = atomic_exchange(&c->row_key, NULL);
    sck_secret_free(&key);
    if (c->turn_fd >= 0)
        (void)close(c->turn_fd);
    free(c->path);
    free(c->turn_path);
    free(c);
}

static enum sck_code
new_handle(const struct sck_catalog_conf *conf, struct sck_catalog **out, struct sck_err *err)
{
    *out = NULL;
    if (conf->path == NULL || conf->path[0] == '\0' || conf->row_key == NULL || conf->busy_ms < 0)
        return sck_fail(err, SCK_E_CONFIG, "the catalog has no path: set it in the configuration");
    enum sck_code rc = sck_statements_make(err);
    if (rc != SCK_OK)
        return rc;
    struct sck_catalog *c = calloc(1, sizeof *c);
    if (c == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    size_t size = strlen(conf->path) + sizeof "-queue";
    c->turn_fd = -1;
    c->backend = &sck_backend_sqlite;
    c->path = strdup(conf->path);
    c->turn_path = malloc(size);
    if (c->path == NULL || c->turn_path == NULL) {
        free_handle(c);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    (void)snprintf(c->turn_path, size, "%s-queue", conf->path);
    memcpy(c->id, conf->catalog_id, sizeof c->id);
    c->busy_ms = conf->busy_ms > 0 ? conf->busy_ms : BUSY_MS_DEFAULT;
    c->row_key_fn = conf->row_key;
    c->row_key_arg = conf->row_key_arg;
    *out = c;
    return SCK_OK;
}

struct creation {
    struct sck_catalog *catalog;
    const struct sck_secret *key;
    struct sck_setup_rec setup;
};

static enum sck_code
fill_new(struct sck_db *db, void *arg, struct sck_err *err)
{
    struct creation *n = arg;
    const struct sck_backend *b = n->catalog->backend;
    enum sck_code rc = b->begin(db, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_schema_apply(b, db, 0, b->steps, b->step_count, err);
    if (rc == SCK_OK)
        rc = sck_row_insert(n->catalog, db, n->key, SCK_TABLE_SETUP, &n->setup, err);
    if (rc == SCK_OK)
        rc = b->commit(db, err);
    if (rc != SCK_OK)
        b->rollback(db);
    return rc;
}

enum sck_code
sck_catalog_create(const struct sck_catalog_conf *conf, const struct sck_setup_rec *setup, struct sck_err *err)
{
    struct creation n = {.setup = *setup};
    if (setup->id != 1 || memcmp(setup->catalog_id, conf->catalog_id, sizeof setup->catalog_id) != 0)
        return sck_fail(err, SCK_E_INTERNAL, "the setup row of a new catalog has another id");
    enum sck_code rc = new_handle(conf, &n.catalog, err);
    if (rc != SCK_OK)
        return rc;
    /* Joined only for the fork handlers; its connection is not of the pool. */
    rc = sck_pool_join(n.catalog, err);
    if (rc == SCK_OK) {
        rc = sck_catalog_row_key(n.catalog, &n.key, err);
        if (rc == SCK_OK) {
            sck_pool_enter();
            rc = n.catalog->backend->create(conf->path, fill_new, &n, err);
            sck_pool_exit();
        }
        sck_pool_leave(n.catalog);
    }
    free_handle(n.catalog);
    return rc;
}

struct setup_id {
    uint8_t id[16];
    bool found;
};

static enum sck_code
read_setup_id(void *arg, const struct sck_value *values, size_t count, struct sck_err *err)
{
    struct setup_id *s = arg;
    const struct sck_table_desc *t = sck_table_desc(SCK_TABLE_SETUP);
    const struct sck_value *id = &values[sck_column_index(t, "catalog_id")];
    if (count != t->count + 1 || id->type != SCK_VALUE_BLOB || id->len != sizeof s->id)
        return sck_fail(err, SCK_E_INTEGRITY, "the catalog's own id is damaged: restore it from a backup");
    memcpy(s->id, id->data, sizeof s->id);
    s->found = true;
    return SCK_OK;
}

/* Everything that must be so before the first row is read. */
static enum sck_code
first_look(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct setup_id s = {.found = false};
    const struct sck_value params[] = {{.type = SCK_VALUE_INT, .number = 1}, {.type = SCK_VALUE_INT, .number = 1}};
    const struct sck_backend *b = c->backend;
    (void)arg;
    enum sck_code rc = sck_schema_upgrade(b, db, c->path, b->steps, b->step_count, err);
    if (rc == SCK_OK)
        rc = b->query(db, sck_query_statement(SCK_BY_SETUP), params, 2, read_setup_id, &s, err);
    if (rc != SCK_OK)
        return rc;
    if (!s.found)
        return sck_fail(err, SCK_E_INTEGRITY, "catalog %s: its setup row is missing: restore it from a backup",
                        c->path);
    if (memcmp(s.id, c->id, sizeof s.id) != 0)
        return sck_fail(err, SCK_E_CONFIG, "catalog %s belongs to another set-up: correct its path", c->path);
    return SCK_OK;
}

enum sck_code
sck_catalog_open(const struct sck_catalog_conf *conf, struct sck_catalog **out, struct sck_err *err)
{
    struct sck_catalog *c = NULL;
    *out = NULL;
    enum sck_code rc = new_handle(conf, &c, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_pool_join(c, err);
    if (rc != SCK_OK) {
        free_handle(c);
        return rc;
    }
    rc = sck_pool_run(c, c->busy_ms, first_look, NULL, err);
    if (rc != SCK_OK)
        sck_catalog_close(&c);
    *out = c;
    return rc;
}

void
sck_catalog_close(struct sck_catalog **catalog)
{
    if (catalog == NULL || *catalog == NULL)
        return;
    sck_catalog_rollback(*catalog);
    sck_pool_leave(*catalog);
    free_handle(*catalog);
    *catalog = NULL;
}
