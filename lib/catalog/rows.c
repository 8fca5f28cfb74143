/* SPDX-License-Identifier: MIT */
#include "lib/catalog/rows.h"

#include "lib/catalog/pool.h"

#include <string.h>

enum sck_code
sck_row_fail(const struct sck_catalog *c, const struct sck_table_desc *t, const struct sck_value *values,
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
        return sck_row_fail(c, t, values, "was changed by someone else", err);
    return SCK_OK;
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
    const void *before;     /* swap */
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
mac_of(const struct sck_catalog *c, const struct write *w, const void *record, struct sck_row *row,
       uint8_t mac[SCK_SHA256_LEN], struct sck_err *err)
{
    const struct sck_table_desc *t = sck_table_desc(w->table);
    enum sck_code rc = sck_row_get(t, record, row, err);
    return rc == SCK_OK ? sck_table_mac(t, w->key, c->id, row->values, mac, err) : rc;
}

static enum sck_code
update_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct write *w = arg;
    const struct sck_table_desc *t = sck_table_desc(w->table);
    struct sck_value params[SCK_COLUMNS_MAX + 1];
    uint8_t mac[SCK_SHA256_LEN];
    struct sck_row row;
    enum sck_code rc = mac_of(c, w, w->unchanged, &row, mac, err);
    if (rc != SCK_OK)
        return rc;
    size_t n = put_params(t, &row, false, params, 0);
    params[n++] = mac_value(mac, sizeof mac);
    n = put_params(t, &row, true, params, n);
    return run_on_one(c, db, w->table, SCK_VERB_UPDATE, params, n, err);
}

static enum sck_code
swap_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    struct write *w = arg;
    const struct sck_table_desc *t = sck_table_desc(w->table);
    struct sck_value params[SCK_COLUMNS_MAX + 2];
    uint8_t before[SCK_SHA256_LEN];
    uint8_t mac[SCK_SHA256_LEN];
    struct sck_row row;
    struct sck_value wrapped;
    size_t at = 0;
    while (at < t->count && (t->columns[at].flags & SCK_COLUMN_WRAPPED) == 0)
        at++;
    if (at == t->count)
        return sck_fail(err, SCK_E_INTERNAL, "rows of %s have no wrapped DEK", t->name);
    enum sck_code rc = sck_value_get(&t->columns[at], w->unchanged, NULL, &wrapped, err);
    if (rc == SCK_OK)
        rc = mac_of(c, w, w->before, &row, before, err);
    if (rc != SCK_OK)
        return rc;
    row.values[at] = wrapped;
    rc = sck_table_mac(t, w->key, c->id, row.values, mac, err);
    if (rc != SCK_OK)
        return rc;
    params[0] = wrapped;
    params[1] = mac_value(mac, sizeof mac);
    size_t n = put_params(t, &row, true, params, 2);
    params[n++] = mac_value(before, sizeof before);
    return run_on_one(c, db, w->table, SCK_VERB_SWAP, params, n, err);
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
sck_catalog_swap(struct sck_catalog *c, enum sck_table table, const void *before, const void *record,
                 struct sck_err *err)
{
    struct write w = {.table = table, .unchanged = record, .before = before};
    return write_row(c, swap_work, &w, err);
}

enum sck_code
sck_catalog_delete(struct sck_catalog *c, enum sck_table table, const void *record, struct sck_err *err)
{
    struct write w = {.table = table, .unchanged = record};
    return write_row(c, delete_work, &w, err);
}
