/* SPDX-License-Identifier: MIT */
#include "lib/catalog/pool.h"
#include "lib/catalog/rows.h"

#include <string.h>

static enum sck_code
read_count(void *arg, const struct sck_value *values, size_t count, struct sck_err *err)
{
    int64_t *number = arg;
    if (count != 1 || values[0].type != SCK_VALUE_INT)
        return sck_fail(err, SCK_E_INTERNAL, "the database gave no number");
    *number = values[0].number;
    return SCK_OK;
}

struct counting {
    enum sck_table table;
    int64_t count;
};

static enum sck_code
count_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct counting *n = arg;
    return c->backend->query(db, sck_table_statement(n->table, SCK_VERB_COUNT), NULL, 0, read_count, &n->count, err);
}

enum sck_code
sck_catalog_count(struct sck_catalog *c, enum sck_table table, int64_t *count, struct sck_err *err)
{
    struct counting n = {.table = table};
    enum sck_code rc = sck_pool_run(c, c->busy_ms, count_work, &n, err);
    *count = n.count;
    return rc;
}

static enum sck_code
scrub_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    (void)arg;
    return c->backend->scrub(db, err);
}

enum sck_code
sck_catalog_scrub(struct sck_catalog *c, int64_t timeout_ms, struct sck_err *err)
{
    struct sck_err last = SCK_ERR_INIT;
    if (sck_pool_writing(c) != NULL)
        return sck_fail(err, SCK_E_INTERNAL, "the catalog cannot be scrubbed inside a transaction");
    enum sck_code rc = sck_pool_run(c, timeout_ms, scrub_work, NULL, &last);
    if (rc == SCK_E_BUSY)
        return sck_fail(err, rc, "catalog %s: others were reading it for %lld ms, deleted bytes are still in it: try "
                        "again", c->path, (long long)timeout_ms);
    if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = last;
    return rc;
}

/* A walk over all rows of a table, good or not. */
struct verification {
    void (*report)(void *arg, const char *problem);
    void *arg;
    const struct sck_secret *key;
    size_t problems;
    enum sck_table table;
    bool first;
    size_t rows;                            /* of the page */
    struct sck_value last[SCK_COLUMNS_MAX]; /* key of the page's last row */
    size_t last_count;
    uint8_t bytes[SCK_COLUMNS_MAX][64];     /* what `last` borrows */
};

static void
report_one(void *arg, const char *problem)
{
    struct verification *v = arg;
    v->problems++;
    v->report(v->arg, problem);
}

static enum sck_code
keep_last(struct verification *v, const struct sck_table_desc *t, const struct sck_value *values, struct sck_err *err)
{
    v->last_count = 0;
    for (size_t i = 0; i < t->count; i++) {
        size_t n = v->last_count;
        if ((t->columns[i].flags & SCK_COLUMN_KEY) == 0)
            continue;
        if (values[i].len > sizeof v->bytes[n])
            return sck_fail(err, SCK_E_INTEGRITY, "table %s: a row has a key of %zu bytes", t->name, values[i].len);
        v->last[n] = values[i];
        if (values[i].len > 0)
            memcpy(v->bytes[n], values[i].data, values[i].len);
        v->last[n].data = v->bytes[n];
        v->last_count++;
    }
    return SCK_OK;
}

struct verify_rows {
    struct verification *v;
    const struct sck_catalog *catalog;
};

static enum sck_code
verify_row(void *arg, const struct sck_value *values, size_t count, struct sck_err *err)
{
    struct verify_rows *r = arg;
    struct verification *v = r->v;
    const struct sck_table_desc *t = sck_table_desc(v->table);
    struct sck_err problem = SCK_ERR_INIT;
    union sck_any_record record;
    enum sck_code rc = sck_row_check(r->catalog, t, v->key, values, count, &problem);
    if (rc == SCK_OK) {
        memset(&record, 0, t->record_size);
        rc = sck_record_fill(t, values, false, &record, &problem);
        sck_record_clear(v->table, &record);
    }
    if (rc == SCK_E_INTEGRITY)
        report_one(v, problem.message);
    else if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", problem.message);
    v->rows++;
    return keep_last(v, t, values, err);
}

static enum sck_code
verify_page(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct verification *v = arg;
    struct verify_rows r = {v, c};
    v->rows = 0;
    return c->backend->query(db, sck_table_statement(v->table, v->first ? SCK_VERB_FIRST : SCK_VERB_NEXT), v->last,
                             v->first ? 0 : v->last_count, verify_row, &r, err);
}

static enum sck_code
check_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    return c->backend->check(db, report_one, arg, err);
}

static enum sck_code
verify_table(struct sck_catalog *c, struct verification *v, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    v->first = true;
    do {
        rc = sck_pool_run(c, c->busy_ms, verify_page, v, err);
        v->first = false;
    } while (rc == SCK_OK && v->rows == SCK_PAGE_ROWS);
    return rc;
}

enum sck_code
sck_catalog_verify(struct sck_catalog *c, void (*report)(void *arg, const char *problem), void *arg,
                   struct sck_err *err)
{
    struct verification v = {.report = report, .arg = arg};
    enum sck_code rc = sck_catalog_row_key(c, &v.key, err);
    if (rc == SCK_OK)
        rc = sck_pool_run(c, c->busy_ms, check_work, &v, err);
    for (size_t i = 0; rc == SCK_OK && i < SCK_TABLE_COUNT; i++) {
        v.table = (enum sck_table)i;
        rc = verify_table(c, &v, err);
    }
    if (rc == SCK_OK && v.problems > 0)
        rc = sck_fail(err, SCK_E_INTEGRITY, "catalog %s: %zu problems were found: restore it from a backup", c->path,
                      v.problems);
    return rc;
}
