/* SPDX-License-Identifier: MIT */
#include "lib/catalog/rows.h"

#include "lib/catalog/pool.h"

#include <stdlib.h>
#include <string.h>

static enum sck_code
row_fail(const struct sck_catalog *c, const struct sck_table_desc *t, const struct sck_value *values,
         const char *what, struct sck_err *err)
{
    struct sck_buf name;
    sck_buf_init(&name, 256);
    sck_row_name(t, values, &name);
    enum sck_code rc = sck_fail(err, SCK_E_INTEGRITY,
                                "catalog %s: the row of %s with %s %s: restore the catalog from a backup", c->path,
                                t->name, sck_buf_str(&name), what);
    sck_buf_clear(&name);
    return rc;
}

enum sck_code
sck_row_check(const struct sck_catalog *c, const struct sck_table_desc *t, const struct sck_secret *key,
              const struct sck_value *values, size_t count, struct sck_err *err)
{
    uint8_t mac[SCK_SHA256_LEN];
    if (count != t->count + 1)
        return sck_fail(err, SCK_E_INTERNAL, "table %s: %zu columns were read", t->name, count);
    enum sck_code rc = sck_table_mac(t, key, c->id, values, mac, err);
    if (rc != SCK_OK)
        return rc;
    const struct sck_value *stored = &values[t->count];
    if (stored->type != SCK_VALUE_BLOB || stored->len != sizeof mac || !sck_ct_equal(stored->data, mac, sizeof mac))
        return row_fail(c, t, values, "was changed by someone else", err);
    return SCK_OK;
}

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

static enum sck_code
read_row(void *arg, const struct sck_value *values, size_t count, struct sck_err *err)
{
    struct lookup *l = arg;
    enum sck_code rc = SCK_OK;
    if (l->found == l->room)
        return sck_fail(err, SCK_E_INTERNAL, "table %s: more rows than were asked for", l->table->name);
    if (l->key != NULL)
        rc = sck_row_check(l->catalog, l->table, l->key, values, count, err);
    if (rc != SCK_OK)
        return rc;
    if (!is_asked_for(l, values))
        return row_fail(l->catalog, l->table, values, "is not the one that was asked for", err);
    void *record = l->records + l->found * l->table->record_size;
    struct sck_err why = SCK_ERR_INIT;
    l->found++;
    rc = sck_record_fill(l->table, values, l->key == NULL, record, &why);
    if (rc == SCK_E_INTEGRITY)
        return row_fail(l->catalog, l->table, values, why.message, err);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
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

/* Where the next page begins. */
static void
keep_cursor(const struct lookup *l, uint8_t *from)
{
    const struct sck_column *cursor = &l->table->columns[l->cursor];
    const uint8_t *last = l->records + (l->found - 1) * l->table->record_size;
    memcpy(from + cursor->offset, last + cursor->offset, cursor->size);
}

static enum sck_code
walk(struct sck_catalog *c, enum sck_query query, const struct sck_secret *key, void *record, size_t limit,
     sck_row_fn fn, void *arg, struct sck_err *err)
{
    const struct sck_query_desc *q = sck_query_desc(query);
    union sck_any_record from;
    struct lookup l;
    size_t size = sck_table_desc(q->table)->record_size;
    size_t left = limit == 0 ? SIZE_MAX : limit;
    enum sck_code rc = SCK_OK;
    uint8_t *page = calloc(SCK_PAGE_ROWS, size);
    if (page == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    /* The key fields are copied; they never are buffers. */
    memcpy(&from, record, size);
    sck_record_clear(q->table, record);
    for (bool first = true, more = true; rc == SCK_OK && more && left > 0; first = false) {
        rc = lookup_init(&l, c, query, &from, first, err);
        if (rc != SCK_OK)
            break;
        l.key = key;
        l.records = page;
        l.room = left < SCK_PAGE_ROWS ? left : SCK_PAGE_ROWS;
        rc = sck_pool_run(c, c->busy_ms, read_rows, &l, err);
        more = rc == SCK_OK && q->cursor != NULL && l.found == l.room;
        left -= l.found;
        if (more)
            keep_cursor(&l, (uint8_t *)&from);
        if (rc == SCK_OK)
            rc = give_page(&l, record, fn, arg, err);
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
    return rc == SCK_OK ? walk(c, query, key, record, limit, fn, arg, err) : rc;
}

static size_t
put_params(const struct sck_table_desc *t, const struct sck_row *row, bool keys, struct sck_value *params, size_t n)
{
    for (size_t i = 0; i < t->count; i++) {
        if (((t->columns[i].flags & SCK_COLUMN_KEY) != 0) == keys)
            params[n++] = row->values[i];
    }
    return n;
}

static struct sck_value
mac_value(const uint8_t mac[SCK_SHA256_LEN], size_t len)
{
    return (struct sck_value){SCK_VALUE_BLOB, 0, mac, len};
}

static enum sck_code
read_number(void *arg, const struct sck_value *values, size_t count, struct sck_err *err)
{
    int64_t *number = arg;
    if (count != 1 || values[0].type != SCK_VALUE_INT)
        return sck_fail(err, SCK_E_INTERNAL, "the database gave no number");
    *number = values[0].number;
    return SCK_OK;
}

/* The MAC covers the id that the database gives, so it follows in a second statement. */
static enum sck_code
insert_given(const struct sck_catalog *c, struct sck_db *db, const struct sck_secret *key, enum sck_table table,
             const struct sck_column *given, struct sck_row *row, void *record, struct sck_err *err)
{
    const struct sck_table_desc *t = sck_table_desc(table);
    struct sck_value params[SCK_COLUMNS_MAX + 1];
    uint8_t mac[SCK_SHA256_LEN];
    int64_t id = 0;
    size_t n = put_params(t, row, false, params, 0);
    params[n++] = mac_value(mac, 0);
    enum sck_code rc = c->backend->query(db, sck_table_statement(table, SCK_VERB_INSERT), params, n, read_number, &id,
                                         err);
    if (rc != SCK_OK)
        return rc;
    row->values[given - t->columns].number = id;
    rc = sck_table_mac(t, key, c->id, row->values, mac, err);
    if (rc != SCK_OK)
        return rc;
    params[0] = mac_value(mac, sizeof mac);
    n = put_params(t, row, true, params, 1);
    rc = c->backend->run(db, sck_table_statement(table, SCK_VERB_SET_MAC), params, n, NULL, err);
    if (rc == SCK_OK)
        memcpy((uint8_t *)record + given->offset, &id, sizeof id);
    return rc;
}

enum sck_code
sck_row_insert(const struct sck_catalog *c, struct sck_db *db, const struct sck_secret *key, enum sck_table table,
               void *record, struct sck_err *err)
{
    const struct sck_table_desc *t = sck_table_desc(table);
    struct sck_value params[SCK_COLUMNS_MAX + 1];
    uint8_t mac[SCK_SHA256_LEN];
    struct sck_row row;
    enum sck_code rc = sck_row_get(t, record, &row, err);
    if (rc != SCK_OK)
        return rc;
    for (size_t i = 0; i < t->count; i++) {
        if ((t->columns[i].flags & SCK_COLUMN_GIVEN) != 0)
            return insert_given(c, db, key, table, &t->columns[i], &row, record, err);
    }
    rc = sck_table_mac(t, key, c->id, row.values, mac, err);
    if (rc != SCK_OK)
        return rc;
    memcpy(params, row.values, row.count * sizeof params[0]);
    params[row.count] = mac_value(mac, sizeof mac);
    return c->backend->run(db, sck_table_statement(table, SCK_VERB_INSERT), params, row.count + 1, NULL, err);
}

struct write {
    enum sck_table table;
    const struct sck_secret *key;
    void *record;           /* insertion */
    const void *unchanged;  /* the others */
};

static enum sck_code
insert_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct write *w = arg;
    return sck_row_insert(c, db, w->key, w->table, w->record, err);
}

static enum sck_code
run_on_one(struct sck_catalog *c, struct sck_db *db, enum sck_table table, enum sck_table_verb verb,
           const struct sck_value *params, size_t count, struct sck_err *err)
{
    int64_t changed = 0;
    enum sck_code rc = c->backend->run(db, sck_table_statement(table, verb), params, count, &changed, err);
    if (rc == SCK_OK && changed != 1)
        rc = sck_fail(err, SCK_E_NOT_FOUND, "the catalog has no such row in %s", sck_table_desc(table)->name);
    return rc;
}

static enum sck_code
update_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct write *w = arg;
    const struct sck_table_desc *t = sck_table_desc(w->table);
    struct sck_value params[SCK_COLUMNS_MAX + 1];
    uint8_t mac[SCK_SHA256_LEN];
    struct sck_row row;
    enum sck_code rc = sck_row_get(t, w->unchanged, &row, err);
    if (rc == SCK_OK)
        rc = sck_table_mac(t, w->key, c->id, row.values, mac, err);
    if (rc != SCK_OK)
        return rc;
    size_t n = put_params(t, &row, false, params, 0);
    params[n++] = mac_value(mac, sizeof mac);
    n = put_params(t, &row, true, params, n);
    return run_on_one(c, db, w->table, SCK_VERB_UPDATE, params, n, err);
}

static enum sck_code
delete_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct write *w = arg;
    const struct sck_table_desc *t = sck_table_desc(w->table);
    struct sck_value params[SCK_COLUMNS_MAX + 1];
    struct sck_row row;
    enum sck_code rc = sck_row_get(t, w->unchanged, &row, err);
    if (rc != SCK_OK)
        return rc;
    size_t n = put_params(t, &row, true, params, 0);
    return run_on_one(c, db, w->table, SCK_VERB_DELETE, params, n, err);
}

/* In this thread's transaction, or in one of its own. */
static enum sck_code
write_row(struct sck_catalog *c, sck_work_fn work, struct write *w, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_row_key(c, &w->key, err);
    if (rc != SCK_OK)
        return rc;
    if (sck_pool_writing(c) != NULL)
        return sck_pool_run(c, c->busy_ms, work, w, err);
    rc = sck_catalog_begin(c, err);
    if (rc == SCK_OK)
        rc = sck_pool_run(c, c->busy_ms, work, w, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(c, err);
    if (rc != SCK_OK)
        sck_catalog_rollback(c);
    return rc;
}

enum sck_code
sck_catalog_insert(struct sck_catalog *c, enum sck_table table, void *record, struct sck_err *err)
{
    struct write w = {.table = table, .record = record};
    return write_row(c, insert_work, &w, err);
}

enum sck_code
sck_catalog_update(struct sck_catalog *c, enum sck_table table, const void *record, struct sck_err *err)
{
    struct write w = {.table = table, .unchanged = record};
    return write_row(c, update_work, &w, err);
}

enum sck_code
sck_catalog_delete(struct sck_catalog *c, enum sck_table table, const void *record, struct sck_err *err)
{
    struct write w = {.table = table, .unchanged = record};
    return write_row(c, delete_work, &w, err);
}
