/* SPDX-License-Identifier: MIT */
#include "lib/catalog/pool.h"
#include "lib/catalog/rows.h"

#include <stdlib.h>
#include <string.h>

/* The parameters of a query, and what its rows must then be. */
struct lookup {
    const struct sck_catalog *catalog;
    const struct sck_query_desc *query;
    const struct sck_table_desc *table;
    const struct sck_secret *key;           /* NULL: rows are not checked */
    size_t equal[SCK_EQUAL_MAX];            /* column of each parameter */
    size_t equal_count;
    size_t cursor;                          /* column */
    struct sck_value params[SCK_EQUAL_MAX + 2];
    size_t param_count;
    char times[SCK_EQUAL_MAX + 1][SCK_TIME_TEXT];
    uint8_t *records;                       /* where rows go, zeroed */
    size_t room;                            /* rows */
    size_t found;
    uint8_t *from;                          /* the record whose cursor field says where the next page begins, or NULL */
    size_t bad;                             /* rows of this page that `tell_bad` was told */
    sck_bad_row_fn tell_bad;                /* NULL: a bad row ends it all */
    void *bad_arg;
};

static enum sck_code
lookup_init(struct lookup *l, const struct sck_catalog *c, enum sck_query query, const void *record, bool first,
            struct sck_err *err)
{
    *l = (struct lookup){.catalog = c, .query = sck_query_desc(query)};
    l->table = sck_table_desc(l->query->table);
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; rc == SCK_OK && l->query->equal[i] != NULL; i++) {
        l->equal[i] = sck_column_index(l->table, l->query->equal[i]);
        l->equal_count = i + 1;
        rc = sck_value_get(&l->table->columns[l->equal[i]], record, l->times[i], &l->params[i], err);
    }
    l->param_count = l->equal_count;
    if (rc == SCK_OK && l->query->cursor != NULL) {
        struct sck_value *at = &l->params[l->param_count++];
        l->cursor = sck_column_index(l->table, l->query->cursor);
        if (first && !l->query->from_record)
            *at = (struct sck_value){.type = SCK_VALUE_INT, .number = l->query->descending ? INT64_MAX : INT64_MIN};
        else
            rc = sck_value_get(&l->table->columns[l->cursor], record, l->times[SCK_EQUAL_MAX], at, err);
    }
    l->params[l->param_count++].type = SCK_VALUE_INT;
    return rc;
}

/*
 * A schema or an index that was changed leads to a row that is good but another one: the row must be what was asked
 * for, and behind the one before it.
 */
static bool
is_asked_for(const struct lookup *l, const struct sck_value *values)
{
    for (size_t i = 0; i < l->equal_count; i++) {
        if (sck_value_compare(&values[l->equal[i]], &l->params[i]) != 0)
            return false;
    }
    if (l->query->cursor == NULL)
        return true;
    int order = sck_value_compare(&values[l->cursor], &l->params[l->equal_count]);
    return l->query->descending ? order < 0 : order > 0;
}

/* Where the next page begins, behind a row as read.  False when no row of ours has such a value there. */
static bool
keep_cursor(const struct lookup *l, const struct sck_value *values)
{
    if (l->from == NULL || l->query->cursor == NULL)
        return true;
    const struct sck_column *cursor = &l->table->columns[l->cursor];
    memset(l->from + cursor->offset, 0, cursor->size);
    return sck_value_put(cursor, &values[l->cursor], l->from);
}

static enum sck_code
read_good_row(struct lookup *l, const struct sck_value *values, size_t count, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (l->found == l->room)
        return sck_fail(err, SCK_E_INTERNAL, "table %s: more rows than were asked for", l->table->name);
    if (l->key != NULL)
        rc = sck_row_check(l->catalog, l->table, l->key, values, count, err);
    if (rc != SCK_OK)
        return rc;
    if (!is_asked_for(l, values))
        return sck_row_fail(l->catalog, l->table, values, "is not the one that was asked for", err);
    void *record = l->records + l->found * l->table->record_size;
    struct sck_err why = SCK_ERR_INIT;
    l->found++;
    rc = sck_record_fill(l->table, values, l->key == NULL, record, &why);
    if (rc == SCK_E_INTEGRITY)
        return sck_row_fail(l->catalog, l->table, values, why.message, err);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}

static enum sck_code
read_row(void *arg, const struct sck_value *values, size_t count, struct sck_err *err)
{
    struct lookup *l = arg;
    struct sck_err why = SCK_ERR_INIT;
    size_t found = l->found;
    enum sck_code rc = read_good_row(l, values, count, &why);
    bool passed_over = rc == SCK_E_INTEGRITY && l->tell_bad != NULL && is_asked_for(l, values);
    if (passed_over) {
        if (l->found > found)
            sck_record_clear(l->query->table, l->records + --l->found * l->table->record_size);
        l->bad++;
        l->tell_bad(l->bad_arg, why.message);
    }
    if (rc != SCK_OK && !passed_over)
        return sck_fail(err, rc, "%s", why.message);
    return keep_cursor(l, values) ? SCK_OK : sck_row_fail(l->catalog, l->table, values, "cannot be passed over", err);
}

static void
lookup_clear(struct lookup *l)
{
    for (size_t i = 0; i < l->found; i++)
        sck_record_clear(l->query->table, l->records + i * l->table->record_size);
    l->found = 0;
}

static enum sck_code
read_rows(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct lookup *l = arg;
    enum sck_query query = (enum sck_query)(l->query - sck_query_desc((enum sck_query)0));
    l->bad = 0;
    l->params[l->param_count - 1].number = (int64_t)l->room;
    enum sck_code rc = c->backend->query(db, sck_query_statement(query), l->params, l->param_count, read_row, l, err);
    if (rc != SCK_OK)
        lookup_clear(l);
    return rc;
}

static enum sck_code
get(struct sck_catalog *c, enum sck_query query, const struct sck_secret *key, void *record, struct sck_err *err)
{
    union sck_any_record found;
    struct lookup l;
    enum sck_code rc = lookup_init(&l, c, query, record, true, err);
    if (rc != SCK_OK)
        return rc;
    memset(&found, 0, l.table->record_size);
    l.key = key;
    l.records = (uint8_t *)&found;
    l.room = 1;
    rc = sck_pool_run(c, c->busy_ms, read_rows, &l, err);
    if (rc != SCK_OK)
        return rc;
    if (l.found == 0)
        return sck_fail(err, SCK_E_NOT_FOUND, "the catalog has no such row in %s", l.table->name);
    sck_record_clear(l.query->table, record);
    memcpy(record, &found, l.table->record_size);
    return SCK_OK;
}

enum sck_code
sck_catalog_get(struct sck_catalog *c, enum sck_query query, void *record, struct sck_err *err)
{
    const struct sck_secret *key = NULL;
    enum sck_code rc = sck_catalog_row_key(c, &key, err);
    return rc == SCK_OK ? get(c, query, key, record, err) : rc;
}

static enum sck_code
check_has_signature(enum sck_query query, struct sck_err *err)
{
    enum sck_table table = sck_query_desc(query)->table;
    if (table != SCK_TABLE_KEYS && table != SCK_TABLE_VERSIONS)
        return sck_fail(err, SCK_E_INTERNAL, "rows of %s were to be read unchecked", sck_table_desc(table)->name);
    return SCK_OK;
}

enum sck_code
sck_catalog_get_unchecked(struct sck_catalog *c, enum sck_query query, void *record, struct sck_err *err)
{
    enum sck_code rc = check_has_signature(query, err);
    return rc == SCK_OK ? get(c, query, NULL, record, err) : rc;
}

/* Give the rows of one page to `fn`; they are no longer ours then. */
static enum sck_code
give_page(struct lookup *l, void *record, sck_row_fn fn, void *arg, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; i < l->found; i++) {
        uint8_t *from = l->records + i * l->table->record_size;
        if (rc == SCK_OK) {
            memcpy(record, from, l->table->record_size);
            memset(from, 0, l->table->record_size);
            rc = fn(arg, record, err);
            sck_record_clear(l->query->table, record);
        }
        sck_record_clear(l->query->table, from);
    }
    l->found = 0;
    return rc;
}

struct walk {
    enum sck_query query;
    const struct sck_secret *key;
    size_t limit;               /* rows; 0: all */
    sck_row_fn fn;
    sck_bad_row_fn bad;
    void *arg;
};

static enum sck_code
walk(struct sck_catalog *c, const struct walk *w, void *record, struct sck_err *err)
{
    const struct sck_query_desc *q = sck_query_desc(w->query);
    union sck_any_record from;
    union sck_any_record next;
    struct lookup l;
    size_t size = sck_table_desc(q->table)->record_size;
    size_t left = w->limit == 0 ? SIZE_MAX : w->limit;
    enum sck_code rc = SCK_OK;
    uint8_t *page = calloc(SCK_PAGE_ROWS, size);
    if (page == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    /* The key fields are copied; they never are buffers. */
    memcpy(&from, record, size);
    sck_record_clear(q->table, record);
    for (bool first = true, more = true; rc == SCK_OK && more && left > 0; first = false) {
        memcpy(&next, &from, size);
        rc = lookup_init(&l, c, w->query, &from, first, err);
        if (rc != SCK_OK)
            break;
        l.key = w->key;
        l.records = page;
        l.from = (uint8_t *)&next;
        l.tell_bad = w->bad;
        l.bad_arg = w->arg;
        l.room = left < SCK_PAGE_ROWS ? left : SCK_PAGE_ROWS;
        rc = sck_pool_run(c, c->busy_ms, read_rows, &l, err);
        more = rc == SCK_OK && q->cursor != NULL && l.found + l.bad == l.room;
        left -= l.found;
        memcpy(&from, &next, size);
        if (rc == SCK_OK)
            rc = give_page(&l, record, w->fn, w->arg, err);
    }
    free(page);
    return rc;
}

enum sck_code
sck_catalog_each(struct sck_catalog *c, enum sck_query query, void *record, bool checked, size_t limit,
                 sck_row_fn fn, void *arg, struct sck_err *err)
{
    const struct sck_secret *key = NULL;
    enum sck_code rc = checked ? sck_catalog_row_key(c, &key, err) : check_has_signature(query, err);
    const struct walk w = {query, key, limit, fn, NULL, arg};
    return rc == SCK_OK ? walk(c, &w, record, err) : rc;
}

enum sck_code
sck_catalog_each_good(struct sck_catalog *c, enum sck_query query, void *record, sck_row_fn fn, sck_bad_row_fn bad,
                      void *arg, struct sck_err *err)
{
    const struct sck_secret *key = NULL;
    enum sck_code rc = sck_catalog_row_key(c, &key, err);
    const struct walk w = {query, key, 0, fn, bad, arg};
    return rc == SCK_OK ? walk(c, &w, record, err) : rc;
}
