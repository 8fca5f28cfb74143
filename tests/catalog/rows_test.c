/* SPDX-License-Identifier: MIT */
/* Rows in, rows out: contents, uniqueness, transactions, what is read without a MAC. */
#include "tests/catalog/common.h"

#include "lib/base/text.h"
#include "lib/catalog/statement.h"
#include "lib/core/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How one row of each table is found by its primary key. */
static const enum sck_query by_key[SCK_TABLE_COUNT] = {
    SCK_BY_OWNER_ID, SCK_BY_KEK,     SCK_BY_KEY_UUID, SCK_BY_VERSION,
    SCK_BY_TOMB,     SCK_BY_RECEIPT, SCK_BY_FILE,     SCK_BY_EPOCH,
    SCK_BY_BACKUP,   SCK_BY_PLEDGE,  SCK_BY_SETUP,
};

static void
clear(enum sck_table table, union sck_any_record *record)
{
    sck_record_clear(table, record);
}

/* A record with only the key fields of `from`. */
static void
copy_keys(enum sck_query query, const void *from, union sck_any_record *to)
{
    const struct sck_query_desc *q = sck_query_desc(query);
    const struct sck_table_desc *t = sck_table_desc(q->table);
    memset(to, 0, sizeof *to);
    for (size_t i = 0; q->equal[i] != NULL; i++) {
        const struct sck_column *c = &t->columns[sck_column_index(t, q->equal[i])];
        memcpy((uint8_t *)to + c->offset, (const uint8_t *)from + c->offset, c->size);
    }
}

static void
round_trip(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    for (int table = 0; table < SCK_TABLE_SETUP; table++) {
        for (uint64_t i = 1; i <= 40; i++) {
            enum sck_table t = (enum sck_table)table;
            union sck_any_record in, out;
            random_record(t, i, &in);
            assert_ok(sck_catalog_insert(p->catalog, t, &in, &err), &err);
            copy_keys(by_key[table], &in, &out);
            assert_ok(sck_catalog_get(p->catalog, by_key[table], &out, &err), &err);
            assert_true(records_equal(t, &in, &out));
            /* All columns but the key change. */
            union sck_any_record changed;
            random_record(t, i, &changed);
            if (t == SCK_TABLE_OWNERS)
                changed.owner.id = in.owner.id;
            if (t == SCK_TABLE_FILES)
                changed.file.id = in.file.id;
            if (t == SCK_TABLE_KEYS)
                memcpy(changed.key.id, in.key.id, sizeof in.key.id);
            if (t == SCK_TABLE_VERSIONS)
                memcpy(changed.version.key, in.version.key, sizeof in.version.key);
            if (t == SCK_TABLE_TOMBS)
                memcpy(changed.tomb.hash, in.tomb.hash, sizeof in.tomb.hash);
            if (t == SCK_TABLE_RECEIPTS)
                memcpy(changed.receipt.hash, in.receipt.hash, sizeof in.receipt.hash);
            if (t == SCK_TABLE_EPOCHS)
                changed.epoch.number = in.epoch.number;
            if (t == SCK_TABLE_BACKUPS)
                memcpy(changed.backup.id, in.backup.id, sizeof in.backup.id);
            if (t == SCK_TABLE_PLEDGES)
                memcpy(changed.pledge.hash, in.pledge.hash, sizeof in.pledge.hash);
            assert_ok(sck_catalog_update(p->catalog, t, &changed, &err), &err);
            clear(t, &out);
            copy_keys(by_key[table], &changed, &out);
            assert_ok(sck_catalog_get(p->catalog, by_key[table], &out, &err), &err);
            assert_true(records_equal(t, &changed, &out));
            clear(t, &in);
            clear(t, &out);
            clear(t, &changed);
        }
        int64_t count = 0;
        assert_ok(sck_catalog_count(p->catalog, (enum sck_table)table, &count, &err), &err);
        assert_int_equal(count, 40);
    }
    assert_int_equal(p->keys_asked, 1);
}

static void
longest_values(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_rec key = {.id = {1}}, found = {.id = {1}};
    struct sck_version_rec version = {.key = {1}, .version = UINT32_MAX}, got = {.key = {1}, .version = UINT32_MAX};
    memset(key.scope_id, 'x', sizeof key.scope_id - 1);
    memset(key.name, 'n', sizeof key.name - 1);
    memset(key.key_id, 'k', sizeof key.key_id - 1);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &key, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_KEY_UUID, &found, &err), &err);
    assert_true(records_equal(SCK_TABLE_KEYS, &key, &found));
    sck_record_clear(SCK_TABLE_KEYS, &found);

    sck_buf_init(&version.sealed, SCK_REC_BLOB_MAX);
    assert_non_null(sck_buf_grow(&version.sealed, SCK_REC_BLOB_MAX));
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &version, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_VERSION, &got, &err), &err);
    assert_true(records_equal(SCK_TABLE_VERSIONS, &version, &got));
    sck_record_clear(SCK_TABLE_VERSIONS, &got);

    sck_record_clear(SCK_TABLE_VERSIONS, &version);
    version.version = 1;
    sck_buf_init(&version.sealed, SCK_REC_BLOB_MAX + 1);
    assert_non_null(sck_buf_grow(&version.sealed, SCK_REC_BLOB_MAX + 1));
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &version, &err), SCK_E_USAGE, &err);
    assert_string_equal(err.message, "catalog column sealed: more than 65536 bytes");
    sck_record_clear(SCK_TABLE_VERSIONS, &version);

    key.id[0] = 2;
    memset(key.name, 'n', sizeof key.name);
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &key, &err), SCK_E_USAGE, &err);
    assert_string_equal(err.message, "catalog column name: more than 64 bytes");

    struct sck_file_rec file = {.file_id = {1}, .created_s = -1};
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_FILES, &file, &err), SCK_E_USAGE, &err);
    assert_string_equal(err.message, "catalog column created_at: -1 is no time between 1970 and 9999");
}

static void
unique_columns(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char message[256];
    struct sck_key_rec a = {.id = {1}, .scope_kind = 1, .scope_id = "alice", .name = "tls", .key_id = "key-1"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &a, &err), &err);

    struct sck_key_rec same_name = {
        .id = {2}, .scope_kind = 1, .scope_id = "alice", .name = "tls", .key_id = "key-2"};
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &same_name, &err), SCK_E_EXISTS, &err);
    (void)snprintf(message, sizeof message,
                   "catalog %s: already there (UNIQUE constraint failed: keys.scope_kind, keys.scope_id, keys.name)",
                   p->path);
    assert_string_equal(err.message, message);
    struct sck_key_rec same_id = {.id = {1}, .scope_kind = 2, .scope_id = "alice", .name = "tls", .key_id = "key-2"};
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &same_id, &err), SCK_E_EXISTS, &err);
    struct sck_key_rec same_key_id = {
        .id = {2}, .scope_kind = 2, .scope_id = "alice", .name = "tls", .key_id = "key-1"};
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &same_key_id, &err), SCK_E_EXISTS, &err);
    /* The same name in another kind of scope, and in another letter case, is another key. */
    struct sck_key_rec other = {.id = {3}, .scope_kind = 2, .scope_id = "alice", .name = "tls", .key_id = "key-3"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &other, &err), &err);
    struct sck_key_rec upper = {.id = {4}, .scope_kind = 1, .scope_id = "Alice", .name = "tls", .key_id = "key-4"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &upper, &err), &err);

    struct sck_owner_rec owner = {.kind = 1, .ident = "alice"}, again = owner;
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &owner, &err), &err);
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &again, &err), SCK_E_EXISTS, &err);
    assert_int_equal(again.id, 0);

    struct sck_file_rec file = {.file_id = {1}, .key_reference = "file-1/1", .dek_id = {1}};
    struct sck_file_rec same_ref = {.file_id = {1}, .key_reference = "file-1/1", .dek_id = {2}};
    struct sck_file_rec same_dek = {.file_id = {1}, .key_reference = "file-1/2", .dek_id = {1}};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_FILES, &file, &err), &err);
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_FILES, &same_ref, &err), SCK_E_EXISTS, &err);
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_FILES, &same_dek, &err), SCK_E_EXISTS, &err);

    struct sck_tomb_rec tomb = {.hash = {1}, .seq = 1}, same_seq = {.hash = {2}, .seq = 1};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_TOMBS, &tomb, &err), &err);
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_TOMBS, &same_seq, &err), SCK_E_EXISTS, &err);

    /* An update into a taken name, too; the row stays as it was. */
    strcpy(other.scope_id, "alice");
    other.scope_kind = 1;
    assert_code(sck_catalog_update(p->catalog, SCK_TABLE_KEYS, &other, &err), SCK_E_EXISTS, &err);
    struct sck_key_rec found = {.id = {3}};
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_KEY_UUID, &found, &err), &err);
    assert_int_equal(found.scope_kind, 2);
}

static void
ids_are_not_given_twice(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_rec a = {.kind = 1, .ident = "a"}, b = {.kind = 1, .ident = "b"};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &a, &err), &err);
    assert_int_equal(a.id, 1);
    assert_ok(sck_catalog_delete(p->catalog, SCK_TABLE_OWNERS, &a, &err), &err);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &b, &err), &err);
    assert_int_equal(b.id, 2);
}

static void
absent_rows(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    for (int q = 0; q < SCK_QUERY_COUNT; q++) {
        const struct sck_query_desc *d = sck_query_desc((enum sck_query)q);
        union sck_any_record record, before;
        char message[128];
        if (d->table == SCK_TABLE_SETUP)
            continue;
        random_record(d->table, 99, &record);
        memcpy(&before, &record, sizeof record);
        assert_code(sck_catalog_get(p->catalog, (enum sck_query)q, &record, &err), SCK_E_NOT_FOUND, &err);
        (void)snprintf(message, sizeof message, "the catalog has no such row in %s", sck_table_desc(d->table)->name);
        assert_string_equal(err.message, message);
        assert_memory_equal(&record, &before, sck_table_desc(d->table)->record_size);
        assert_code(sck_catalog_update(p->catalog, d->table, &record, &err), SCK_E_NOT_FOUND, &err);
        assert_code(sck_catalog_delete(p->catalog, d->table, &record, &err), SCK_E_NOT_FOUND, &err);
        clear(d->table, &record);
    }
}

static void
transactions(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_rec a = {.kind = 1, .ident = "a"}, found = {.kind = 1, .ident = "a"};
    assert_ok(sck_catalog_begin(p->catalog, &err), &err);
    assert_code(sck_catalog_begin(p->catalog, &err), SCK_E_INTERNAL, &err);
    assert_string_equal(err.message, "a transaction was begun inside a transaction");
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &a, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &found, &err), &err);
    assert_code(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &a, &err), SCK_E_EXISTS, &err);
    assert_code(sck_catalog_scrub(p->catalog, 10, &err), SCK_E_INTERNAL, &err);
    sck_catalog_rollback(p->catalog);
    sck_catalog_rollback(p->catalog);
    assert_code(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &found, &err), SCK_E_NOT_FOUND, &err);
    assert_code(sck_catalog_commit(p->catalog, &err), SCK_E_INTERNAL, &err);
    assert_string_equal(err.message, "a commit without a transaction");

    assert_ok(sck_catalog_begin(p->catalog, &err), &err);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &a, &err), &err);
    assert_ok(sck_catalog_commit(p->catalog, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &found, &err), &err);
    assert_int_equal(found.id, a.id);
}

/* What is read before a login is the public part and nothing else. */
static void
unchecked_rows(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_version_rec v, got = {.key = {0}}, again;
    struct sck_buf covered, covered_again;
    random_record(SCK_TABLE_VERSIONS, 1, &v);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &v, &err), &err);
    p->keys_asked = 0;
    memcpy(got.key, v.key, sizeof v.key);
    got.version = v.version;
    assert_ok(sck_catalog_get_unchecked(p->catalog, SCK_BY_VERSION, &got, &err), &err);
    assert_int_equal(p->keys_asked, 0);
    assert_true(sck_bytes_equal(got.spki.data, got.spki.len, v.spki.data, v.spki.len));
    assert_true(sck_bytes_equal(got.signature.data, got.signature.len, v.signature.data, v.signature.len));
    assert_int_equal(got.state, v.state);
    assert_int_equal(got.sealed.len, 0);
    assert_int_equal(got.wrapped_dek.len, 0);
    assert_int_equal(got.gcm_reserved, 0);

    sck_buf_init(&covered, 65536);
    sck_buf_init(&covered_again, 65536);
    assert_ok(sck_record_public_bytes(SCK_TABLE_VERSIONS, p->conf.catalog_id, &v, &covered, &err), &err);
    assert_ok(sck_record_public_bytes(SCK_TABLE_VERSIONS, p->conf.catalog_id, &got, &covered_again, &err), &err);
    assert_true(sck_bytes_equal(covered.data, covered.len, covered_again.data, covered_again.len));
    /* Another catalog's, or another state, is something else. */
    sck_buf_reset(&covered_again);
    got.state++;
    assert_ok(sck_record_public_bytes(SCK_TABLE_VERSIONS, p->conf.catalog_id, &got, &covered_again, &err), &err);
    assert_false(sck_bytes_equal(covered.data, covered.len, covered_again.data, covered_again.len));
    sck_buf_clear(&covered_again);
    sck_buf_clear(&covered);

    struct sck_owner_rec owner = {.id = 1};
    assert_code(sck_catalog_get_unchecked(p->catalog, SCK_BY_OWNER_ID, &owner, &err), SCK_E_INTERNAL, &err);
    assert_string_equal(err.message, "rows of owners were to be read unchecked");
    sck_record_clear(SCK_TABLE_VERSIONS, &got);
    memset(&again, 0, sizeof again);
    sck_buf_init(&covered, 65536);
    assert_code(sck_record_public_bytes(SCK_TABLE_OWNERS, p->conf.catalog_id, &owner, &covered, &err), SCK_E_INTERNAL,
                &err);
    sck_buf_clear(&covered);
    sck_record_clear(SCK_TABLE_VERSIONS, &v);
}

static void
row_key_that_fails(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_setup_rec setup = {.id = 1};
    p->key_fails = SCK_E_CREDENTIAL;
    assert_code(sck_catalog_get(p->catalog, SCK_BY_SETUP, &setup, &err), SCK_E_CREDENTIAL, &err);
    assert_string_equal(err.message, "no row key today");
    assert_code(sck_catalog_begin(p->catalog, &err), SCK_E_CREDENTIAL, &err);
    p->key_fails = SCK_OK;
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_SETUP, &setup, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_SETUP, &setup, &err), &err);
    assert_int_equal(p->keys_asked, 3);
    assert_string_equal(setup.environment, "development");
}

static void
times_are_rfc_3339(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_file_rec file = {.file_id = {1}, .key_reference = "file-a/b", .created_s = 1704110400};
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_FILES, &file, &err), &err);
    assert_int_equal(1, raw_number(p->path, "SELECT created_at = '2024-01-01T12:00:00Z' AND expires_at IS NULL AND "
                                            "key_reference = 'file-a/b' AND length(file_id) = 16 FROM file_keys"));
    file.expires_s = 1;
    assert_ok(sck_catalog_update(p->catalog, SCK_TABLE_FILES, &file, &err), &err);
    assert_int_equal(1, raw_number(p->path, "SELECT expires_at = '1970-01-01T00:00:01Z' FROM file_keys"));
}

/* Compare and set: whatever changed meanwhile, nothing is written. */
static void
swaps_what_is_unchanged(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_version_rec before = {.key = {1}, .version = 2, .state = SCK_VERSION_ACTIVE};
    struct sck_version_rec after = before;
    struct sck_version_rec third = before;
    sck_buf_init(&after.wrapped_dek, 64);
    sck_buf_init(&third.wrapped_dek, 64);
    struct sck_version_rec read = {.key = {1}, .version = 2};
    sck_buf_put_str(&after.wrapped_dek, "after");
    sck_buf_put_str(&third.wrapped_dek, "third");
    /* It is the wrapped DEK that is replaced, and nothing else. */
    third.gcm_reserved = 20;
    assert_code(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &before, &after, &err), SCK_E_NOT_FOUND, &err);
    assert_string_equal(err.message, "the catalog has no such row in versions");
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &before, &err), &err);
    assert_ok(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &before, &after, &err), &err);
    /* In a transaction, a failure leaves the rest of it good. */
    assert_ok(sck_catalog_begin(p->catalog, &err), &err);
    assert_code(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &before, &third, &err), SCK_E_NOT_FOUND, &err);
    assert_ok(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &after, &after, &err), &err);
    assert_ok(sck_catalog_commit(p->catalog, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_VERSION, &read, &err), &err);
    assert_true(records_equal(SCK_TABLE_VERSIONS, &read, &after));
    assert_ok(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &read, &third, &err), &err);
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_VERSION, &read, &err), &err);
    assert_string_equal(sck_buf_str(&read.wrapped_dek), "third");
    assert_int_equal(read.gcm_reserved, 0);
    sck_record_clear(SCK_TABLE_VERSIONS, &read);
    assert_code(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &after, &third, &err), SCK_E_NOT_FOUND, &err);
    assert_ok(sck_catalog_delete(p->catalog, SCK_TABLE_VERSIONS, &after, &err), &err);
    assert_code(sck_catalog_swap(p->catalog, SCK_TABLE_VERSIONS, &third, &after, &err), SCK_E_NOT_FOUND, &err);
    struct sck_owner_rec owner = {.id = 1};
    assert_code(sck_catalog_swap(p->catalog, SCK_TABLE_OWNERS, &owner, &owner, &err), SCK_E_INTERNAL, &err);
    assert_string_equal(err.message, "rows of owners have no wrapped DEK");
    sck_record_clear(SCK_TABLE_VERSIONS, &after);
    sck_record_clear(SCK_TABLE_VERSIONS, &third);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(round_trip),         TEST(longest_values),     TEST(unique_columns),
        TEST(ids_are_not_given_twice), TEST(absent_rows),   TEST(transactions),
        TEST(unchecked_rows),     TEST(row_key_that_fails), TEST(times_are_rfc_3339),
        TEST(swaps_what_is_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
