/* SPDX-License-Identifier: MIT */
/* A row that was changed, swapped or brought from elsewhere is refused, whatever column it was. */
#include "tests/catalog/common.h"

#include "lib/base/text.h"
#include "lib/catalog/marshal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct problems {
    size_t count;
    char last[SCK_ERR_MESSAGE_MAX];
};

static void
note_problem(void *arg, const char *problem)
{
    struct problems *p = arg;
    p->count++;
    (void)snprintf(p->last, sizeof p->last, "%s", problem);
}

/* SQL that gives column `c` another value of its own type. */
static void
other_value(const struct sck_column *c, char *sql, size_t size)
{
    switch (c->type) {
    case SCK_COLUMN_U32:
    case SCK_COLUMN_I64:
        (void)snprintf(sql, size, "%s = CASE %s WHEN 12345 THEN 54321 ELSE 12345 END", c->name, c->name);
        return;
    case SCK_COLUMN_TEXT:
        (void)snprintf(sql, size, "%s = CASE %s WHEN '' THEN 'y' ELSE '' END", c->name, c->name);
        return;
    case SCK_COLUMN_BYTES:
        (void)snprintf(sql, size, "%s = randomblob(%zu)", c->name, c->size);
        return;
    case SCK_COLUMN_BUF:
        (void)snprintf(sql, size, "%s = zeroblob(length(%s) + 1)", c->name, c->name);
        return;
    case SCK_COLUMN_TIME:
    case SCK_COLUMN_TIME_OR_NULL:
        (void)snprintf(sql, size, "%s = '2024-01-01T12:00:00Z'", c->name);
        return;
    }
}

/* Walk everything: exactly the one row is found, by table and key. */
static void
expect_one_problem(struct place *p, const char *table)
{
    struct sck_err err = SCK_ERR_INIT;
    struct problems found = {.count = 0};
    char text[256];
    assert_code(sck_catalog_verify(p->catalog, note_problem, &found, &err), SCK_E_INTEGRITY, &err);
    if (found.count != 1)
        fail_msg("%s: %zu problems, the last: %s", table, found.count, found.last);
    (void)snprintf(text, sizeof text, "catalog %s: the row of %s with ", p->path, table);
    assert_true(strncmp(found.last, text, strlen(text)) == 0);
    assert_non_null(strstr(found.last, " was changed by someone else: restore the catalog from a backup"));
    (void)snprintf(text, sizeof text, "catalog %s: 1 problems were found: restore it from a backup", p->path);
    assert_string_equal(err.message, text);
}

static void
expect_none(struct place *p)
{
    struct sck_err err = SCK_ERR_INIT;
    struct problems found = {.count = 0};
    enum sck_code rc = sck_catalog_verify(p->catalog, note_problem, &found, &err);
    if (rc != SCK_OK)
        fail_msg("%s; %s", err.message, found.last);
    assert_int_equal(found.count, 0);
}

static void
insert_two_of_each(struct place *p)
{
    struct sck_err err = SCK_ERR_INIT;
    for (int table = 0; table < SCK_TABLE_SETUP; table++) {
        for (uint64_t i = 1; i <= 2; i++) {
            union sck_any_record r;
            random_record((enum sck_table)table, i, &r);
            assert_ok(sck_catalog_insert(p->catalog, (enum sck_table)table, &r, &err), &err);
            sck_record_clear((enum sck_table)table, &r);
        }
    }
}

static void
put_back(struct place *p, const char *table)
{
    raw_sql(p->path, "DELETE FROM %s; INSERT INTO %s SELECT * FROM saved", table, table);
}

static void
save(struct place *p, const char *table)
{
    raw_sql(p->path, "DROP TABLE IF EXISTS saved; CREATE TABLE saved AS SELECT * FROM %s", table);
}

static void
every_column_of_every_table(void **state)
{
    struct place *p = *state;
    size_t tried = 0;
    insert_two_of_each(p);
    expect_none(p);
    for (int table = 0; table < SCK_TABLE_COUNT; table++) {
        const struct sck_table_desc *t = sck_table_desc((enum sck_table)table);
        save(p, t->name);
        for (size_t i = 0; i <= t->count; i++) {
            char sql[256] = "mac = zeroblob(32)";
            if (i < t->count)
                other_value(&t->columns[i], sql, sizeof sql);
            raw_sql(p->path, "UPDATE %s SET %s WHERE rowid = (SELECT min(rowid) FROM %s)", t->name, sql, t->name);
            expect_one_problem(p, t->name);
            put_back(p, t->name);
            tried++;
        }
        static const char *const macs[] = {"x''", "zeroblob(31)", "zeroblob(33)", "CAST(substr(mac, 1, 31) AS BLOB)"};
        for (size_t i = 0; i < 4; i++) {
            raw_sql(p->path, "UPDATE %s SET mac = %s WHERE rowid = (SELECT min(rowid) FROM %s)", t->name, macs[i],
                    t->name);
            expect_one_problem(p, t->name);
            put_back(p, t->name);
        }
        expect_none(p);
    }
    assert_int_equal(tried, 7 + 13 + 16 + 10 + 8 + 4 + 12 + 6 + 11 + 6 + 6 + SCK_TABLE_COUNT);
}

/* NULL and "", 0 and NULL, a text and the same bytes as a blob are different values; STRICT tables allow some. */
static void
null_is_not_empty(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_file_rec f = {.file_id = {1}, .key_reference = "file-1/1", .created_s = 5, .expires_s = 0};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_FILES, &f, &err), &err);
    raw_sql(p->path, "UPDATE file_keys SET expires_at = ''");
    assert_code(sck_catalog_get(p->catalog, SCK_BY_FILE, &f, &err), SCK_E_INTEGRITY, &err);
    raw_sql(p->path, "UPDATE file_keys SET expires_at = NULL");
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_FILE, &f, &err), &err);
}

static void
macs_and_rows_swapped(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct problems found;
    insert_two_of_each(p);
    for (int table = 0; table < SCK_TABLE_SETUP; table++) {
        const struct sck_table_desc *t = sck_table_desc((enum sck_table)table);
        char columns[512] = "", others[640] = "", keys[128] = "", names[128] = "";
        save(p, t->name);
        /* MACs alone. */
        raw_sql(p->path, "UPDATE %s SET mac = (SELECT mac FROM saved s WHERE s.mac <> %s.mac)", t->name, t->name);
        found = (struct problems){.count = 0};
        assert_code(sck_catalog_verify(p->catalog, note_problem, &found, &err), SCK_E_INTEGRITY, &err);
        assert_int_equal(found.count, 2);
        put_back(p, t->name);
        /* Everything but the keys, MACs too: each row is whole, under the other's key. */
        for (size_t i = 0; i <= t->count; i++) {
            const char *name = i < t->count ? t->columns[i].name : "mac";
            if (i < t->count && (t->columns[i].flags & SCK_COLUMN_KEY) != 0)
                continue;
            (void)snprintf(columns + strlen(columns), sizeof columns - strlen(columns), "%s%s",
                           columns[0] == '\0' ? "" : ", ", name);
            (void)snprintf(others + strlen(others), sizeof others - strlen(others), "%so.%s",
                           others[0] == '\0' ? "" : ", ", name);
        }
        for (size_t i = 0; i < t->count; i++) {
            const char *name = t->columns[i].name;
            if ((t->columns[i].flags & SCK_COLUMN_KEY) == 0)
                continue;
            (void)snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "k.%s, ", name);
            (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s, ", name);
        }
        /* Unique columns are in the way of an update: both rows go and come back with the other's key. */
        raw_sql(p->path,
                "DELETE FROM %s; INSERT INTO %s (%s%s) SELECT %s%s FROM saved k, saved o WHERE k.rowid <> o.rowid",
                t->name, t->name, names, columns, keys, others);
        found = (struct problems){.count = 0};
        assert_code(sck_catalog_verify(p->catalog, note_problem, &found, &err), SCK_E_INTEGRITY, &err);
        if (found.count != 2)
            fail_msg("%s: %zu problems: %s", t->name, found.count, found.last);
        put_back(p, t->name);
        expect_none(p);
    }
}

static void
get_and_each_refuse(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char message[512];
    struct sck_owner_rec alice = {.kind = 1, .ident = "alice", .generation = 1}, bob = {.kind = 1, .ident = "bob"};
    struct sck_kek_rec kek = {.owner_id = 1, .serial = 1, .name = "kek"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &alice, &err), &err);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &bob, &err), &err);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEKS, &kek, &err), &err);
    raw_sql(p->path, "UPDATE owners SET generation = 2 WHERE ident = 'alice'; UPDATE keks SET name = 'ke'");

    /* The message names table and key, never the person. */
    (void)snprintf(message, sizeof message,
                   "catalog %s: the row of owners with id = 1 was changed by someone else: restore the catalog from "
                   "a backup", p->path);
    struct sck_owner_rec found = {.kind = 1, .ident = "alice"}, before = found;
    assert_code(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &found, &err), SCK_E_INTEGRITY, &err);
    assert_string_equal(err.message, message);
    assert_memory_equal(&found, &before, sizeof found);
    struct sck_owner_rec all = {.id = 0};
    assert_code(sck_catalog_each(p->catalog, SCK_OWNERS_ALL, &all, true, 0, NULL, NULL, &err), SCK_E_INTEGRITY, &err);
    assert_string_equal(err.message, message);
    assert_code(sck_catalog_get(p->catalog, SCK_BY_KEK, &kek, &err), SCK_E_INTEGRITY, &err);
    (void)snprintf(message, sizeof message,
                   "catalog %s: the row of keks with owner_id = 1, serial = 1 was changed by someone else: restore "
                   "the catalog from a backup", p->path);
    assert_string_equal(err.message, message);
    /* The other row is as good as before. */
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &bob, &err), &err);
    /* In a transaction an altered row leaves it open, but it can no longer be committed. */
    assert_ok(sck_catalog_begin(p->catalog, &err), &err);
    assert_code(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &found, &err), SCK_E_INTEGRITY, &err);
    assert_code(sck_catalog_commit(p->catalog, &err), SCK_E_INTERNAL, &err);
    assert_string_equal(err.message, "a commit after a failure in the transaction: it was rolled back");
}

/* Rows that are good in their own catalog. */
static void
rows_of_another_catalog(void **state)
{
    struct place *p = *state;
    struct place other;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_rec alice = {.kind = 1, .ident = "alice"};
    place_make(&other, NULL);
    other.conf.catalog_id[0] = 8;
    place_create(&other);
    place_open(&other);
    assert_ok(sck_catalog_insert(other.catalog, SCK_TABLE_OWNERS, &alice, &err), &err);
    raw_sql(p->path, "ATTACH '%s' AS o; INSERT INTO owners SELECT * FROM o.owners", other.path);
    assert_code(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &alice, &err), SCK_E_INTEGRITY, &err);
    assert_ok(sck_catalog_get(other.catalog, SCK_BY_OWNER_IDENT, &alice, &err), &err);
    place_remove(&other);
}

/* An index that leads to another row: SQLite takes what the index has from the index, and the MAC does not fit. */
static void
index_changed(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char message[512];
    struct sck_key_rec a = {.id = {1}, .owner_id = 1, .name = "a", .key_id = "a"};
    struct sck_key_rec b = {.id = {2}, .owner_id = 2, .name = "b", .key_id = "b"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &a, &err), &err);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &b, &err), &err);
    /* The index is hidden from the change: it still says that the first row is of owner 1. */
    raw_sql(p->path, "CREATE TABLE hidden AS SELECT * FROM sqlite_schema WHERE name = 'keys_by_owner';"
                     "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'keys_by_owner'");
    raw_sql(p->path, "UPDATE keys SET rowid = 3 WHERE rowid = 1; UPDATE keys SET rowid = 1 WHERE rowid = 2");
    raw_sql(p->path, "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT * FROM hidden");
    sck_catalog_close(&p->catalog);
    place_open(p);
    struct sck_key_rec found = {.owner_id = 1};
    assert_code(sck_catalog_get(p->catalog, SCK_KEYS_OF_OWNER, &found, &err), SCK_E_INTEGRITY, &err);
    (void)snprintf(message, sizeof message,
                   "catalog %s: the row of keys with id = 01000000000000000000000000000000 was changed by someone "
                   "else: restore the catalog from a backup", p->path);
    assert_string_equal(err.message, message);
    struct problems problems = {.count = 0};
    assert_code(sck_catalog_verify(p->catalog, note_problem, &problems, &err), SCK_E_INTEGRITY, &err);
    assert_true(problems.count > 0);
}

/* A schema that takes two names for one: the row is good, but it is not the one that was asked for. */
static void
collation_changed(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char message[512];
    struct sck_owner_rec alice = {.kind = 1, .ident = "alice"}, found = {.kind = 1, .ident = "ALICE"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &alice, &err), &err);
    raw_sql(p->path, "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, "
                     "'ident TEXT NOT NULL', 'ident TEXT NOT NULL COLLATE NOCASE') WHERE name = 'owners'");
    sck_catalog_close(&p->catalog);
    place_open(p);
    assert_code(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &found, &err), SCK_E_INTEGRITY, &err);
    (void)snprintf(message, sizeof message,
                   "catalog %s: the row of owners with id = 1 is not the one that was asked for: restore the catalog "
                   "from a backup", p->path);
    assert_string_equal(err.message, message);
}

/* Before a login there is no MAC, but what cannot have been written by us is refused all the same. */
static void
format_without_mac(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    static const char *const changes[] = {
        "name = printf('%.65c', 'x')",  "scope_id = 'a' || char(0) || 'b'", "alg = 4294967296", "version = -1",
        "signature = zeroblob(65537)",   "key_id = printf('%.129c', 'x')",
    };
    static const char *const columns[] = {"name", "scope_id", "alg", "version", "signature", "key_id"};
    struct sck_key_rec k = {.id = {1}, .name = "a", .key_id = "a"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &k, &err), &err);
    save(p, "keys");
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char sql[256], message[512];
        (void)snprintf(sql, sizeof sql, "UPDATE keys SET %s", changes[i]);
        raw_sql(p->path, "%s", sql);
        struct sck_key_rec found = {.id = {1}};
        assert_code(sck_catalog_get_unchecked(p->catalog, SCK_BY_KEY_UUID, &found, &err), SCK_E_INTEGRITY, &err);
        (void)snprintf(message, sizeof message,
                       "catalog %s: the row of keys with id = 01000000000000000000000000000000 column %s holds what "
                       "Scopekey never writes: restore the catalog from a backup", p->path, columns[i]);
        assert_string_equal(err.message, message);
        put_back(p, "keys");
    }
    raw_sql(p->path, "UPDATE keys SET id = x'01'");
    struct sck_key_rec all = {.id = {0}};
    assert_code(sck_catalog_each(p->catalog, SCK_KEYS_ALL, &all, false, 0, NULL, NULL, &err), SCK_E_INTEGRITY, &err);
}

/* Triggers and views of somebody else's do not run; a table that is gone is said to be. */
static void
schema_changed(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char message[512];
    int64_t count = 0;
    raw_sql(p->path, "CREATE TRIGGER evil AFTER INSERT ON owners BEGIN DELETE FROM setup; END");
    struct sck_owner_rec o = {.kind = 1, .ident = "a"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &o, &err), &err);
    assert_ok(sck_catalog_count(p->catalog, SCK_TABLE_SETUP, &count, &err), &err);
    assert_int_equal(count, 1);
    raw_sql(p->path, "DROP TABLE receipts");
    assert_code(sck_catalog_count(p->catalog, SCK_TABLE_RECEIPTS, &count, &err), SCK_E_INTEGRITY, &err);
    (void)snprintf(message, sizeof message,
                   "catalog %s: reading found it damaged (no such table: receipts): restore it from a backup",
                   p->path);
    assert_string_equal(err.message, message);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_column_of_every_table), TEST(null_is_not_empty), TEST(macs_and_rows_swapped),
        TEST(get_and_each_refuse),         TEST(rows_of_another_catalog),
        TEST(index_changed),               TEST(collation_changed), TEST(format_without_mac),
        TEST(schema_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
