/* SPDX-License-Identifier: MIT */
/* The catalog as a file: how it is made, what is refused as one, schema versions. */
#include "tests/catalog/common.h"

#include "lib/base/text.h"
#include "lib/catalog/sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static void
made_0600(void **state)
{
    struct place *p = *state;
    const mode_t masks[] = {0, 0777};
    for (size_t i = 0; i < 2; i++) {
        struct stat st;
        mode_t before = umask(masks[i]);
        place_create(p);
        (void)umask(before);
        assert_int_equal(stat(p->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(count_files(p), 1);
        assert_int_equal(raw_number(p->path, "PRAGMA application_id"), 0x53434B43);
        assert_int_equal(raw_number(p->path, "PRAGMA user_version"), SCK_SQLITE_STEPS);
        assert_int_equal(p->keys_asked, i + 1);
        (void)unlink(p->path);
    }
}

static void
companions_are_0600(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_rec o = {.kind = 1, .ident = "a"};
    mode_t before = umask(0);
    place_create(p);
    place_open(p);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &o, &err), &err);
    (void)umask(before);
    static const char *const suffixes[] = {"-wal", "-shm", "-queue"};
    for (size_t i = 0; i < 3; i++) {
        char name[128];
        struct stat st;
        (void)snprintf(name, sizeof name, "%s%s", p->path, suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

static void
protections_are_on(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_db *db = NULL;
    place_create(p);
    assert_ok(sck_backend_sqlite.open(p->path, &db, &err), &err);
    assert_ok(sck_backend_sqlite.script(db, "CREATE TABLE t (a)", &err), &err);
    assert_code(sck_backend_sqlite.script(db, "ATTACH ':memory:' AS x", &err), SCK_E_INTEGRITY, &err);
    assert_code(sck_backend_sqlite.script(db, "SELECT \"no such column\" FROM t", &err), SCK_E_INTEGRITY, &err);
    sck_backend_sqlite.close(&db);
    assert_null(db);
}

static void
never_replaced(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char name[128];
    struct sck_setup_rec setup = setup_of(p);
    write_file(p->path, "something else");
    assert_code(sck_catalog_create(&p->conf, &setup, &err), SCK_E_EXISTS, &err);
    expect_message(&err, "there is a catalog at @ already: nothing was changed", p->path);
    (void)unlink(p->path);
    static const char *const left[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", p->path, left[i]);
        write_file(name, "old");
        assert_code(sck_catalog_create(&p->conf, &setup, &err), SCK_E_EXISTS, &err);
        expect_message(&err, "@ is left over from another catalog: move it away", name);
        (void)unlink(name);
    }
    setup.catalog_id[0] ^= 1;
    assert_code(sck_catalog_create(&p->conf, &setup, &err), SCK_E_INTERNAL, &err);
    setup = setup_of(p);
    p->key_fails = SCK_E_TOKEN;
    assert_code(sck_catalog_create(&p->conf, &setup, &err), SCK_E_TOKEN, &err);
    assert_int_equal(count_files(p), 0);
}

/* Of many who create at once exactly one does, and the others are refused. */
static void
created_at_once(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    enum { MANY = 6 };
    pid_t children[MANY];
    int go[2];
    int made = 0;
    assert_int_equal(pipe(go), 0);
    for (int i = 0; i < MANY; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char c;
            struct sck_setup_rec setup = setup_of(p);
            (void)close(go[1]);
            (void)!read(go[0], &c, 1);
            enum sck_code rc = sck_catalog_create(&p->conf, &setup, &err);
            _exit(rc == SCK_OK ? 0 : rc == SCK_E_EXISTS ? 1 : 2);
        }
    }
    (void)close(go[0]);
    (void)close(go[1]);
    for (int i = 0; i < MANY; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        made += WEXITSTATUS(status) == 0 ? 1 : 0;
    }
    assert_int_equal(made, 1);
    assert_int_equal(count_files(p), 1);
    place_open(p);
}

static void
refused_files(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_catalog *c = NULL;
    char below[160];
    struct sck_setup_rec setup = setup_of(p);
    assert_code(sck_catalog_open(&p->conf, &c, &err), SCK_E_CONFIG, &err);
    expect_message(&err, "there is no catalog at @: run scopekey init, or correct its path", p->path);
    assert_null(c);
    assert_int_equal(count_files(p), 0);

    write_file(p->path, "");
    assert_code(sck_catalog_open(&p->conf, &c, &err), SCK_E_CONFIG, &err);
    expect_message(&err, "@ is not a Scopekey catalog: correct its path", p->path);
    write_file(p->path, "This is a letter, and not a database at all; it is long enough to have had a header of "
                        "one, which has a hundred bytes.\n");
    assert_code(sck_catalog_open(&p->conf, &c, &err), SCK_E_INTEGRITY, &err);
    expect_message(&err, "catalog @: opening found it damaged (file is not a database): restore it from a backup",
                   p->path);

    (void)snprintf(below, sizeof below, "%s/catalog.db", p->path);
    struct sck_catalog_conf conf = p->conf;
    conf.path = below;
    assert_code(sck_catalog_open(&conf, &c, &err), SCK_E_IO, &err);
    expect_message(&err, "catalog @ cannot be reached; correct its path: Not a directory", below);
    assert_code(sck_catalog_create(&conf, &setup, &err), SCK_E_IO, &err);
    expect_message(&err, "cannot create catalog @; correct its path: Not a directory", below);
    (void)snprintf(below, sizeof below, "%s/no/catalog.db", p->dir);
    assert_code(sck_catalog_create(&conf, &setup, &err), SCK_E_IO, &err);
    expect_message(&err, "cannot create catalog @; check its directory: No such file or directory", below);
    conf.path = p->dir;
    assert_code(sck_catalog_open(&conf, &c, &err), SCK_E_CONFIG, &err);
    expect_message(&err, "catalog @ is not a regular file: correct its path", p->dir);
    conf.path = "";
    assert_code(sck_catalog_open(&conf, &c, &err), SCK_E_CONFIG, &err);
    assert_string_equal(err.message, "the catalog has no path: set it in the configuration");

    (void)unlink(p->path);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (a)", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_code(sck_catalog_open(&p->conf, &c, &err), SCK_E_CONFIG, &err);
    expect_message(&err, "@ is not a Scopekey catalog: correct its path", p->path);
    /* Somebody else's database was not touched: it would be in WAL mode now. */
    assert_int_equal(raw_number(p->path, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 0);
}

static void
damaged_files(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    place_create(p);
    raw_sql(p->path, "DELETE FROM setup");
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_INTEGRITY, &err);
    expect_message(&err, "catalog @: its setup row is missing: restore it from a backup", p->path);
    assert_int_equal(truncate(p->path, 8192), 0);
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_INTEGRITY, &err);
    assert_null(p->catalog);
}

static void
another_setups_catalog(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    place_create(p);
    p->conf.catalog_id[15] ^= 1;
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_CONFIG, &err);
    expect_message(&err, "catalog @ belongs to another set-up: correct its path", p->path);
    p->conf.catalog_id[15] ^= 1;
    /* Who changes the id in the row gets past this, and no further. */
    raw_sql(p->path, "UPDATE setup SET catalog_id = x'01020304050607080910111213141516'");
    memcpy(p->conf.catalog_id, "\1\2\3\4\5\6\7\x08\x09\x10\x11\x12\x13\x14\x15\x16", 16);
    place_open(p);
    struct sck_setup_rec setup = {.id = 1};
    assert_code(sck_catalog_get(p->catalog, SCK_BY_SETUP, &setup, &err), SCK_E_INTEGRITY, &err);
}

static void
newer_schema(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    place_create(p);
    char want[256];
    raw_sql(p->path, "PRAGMA user_version = 77");
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_CONFIG, &err);
    (void)snprintf(want, sizeof want,
                   "catalog @ has schema 77 but this program knows schemas up to %d only: use a newer Scopekey",
                   SCK_SQLITE_STEPS);
    expect_message(&err, want, p->path);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), 77);
}

static void
older_schema(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_db *db = NULL;
    const struct sck_backend *b = &sck_backend_sqlite;
    enum { NOW = SCK_SQLITE_STEPS };
    const struct sck_schema_step steps[] = {
        {NOW, "this was done long ago and is not done again"},
        {NOW + 1, "CREATE TABLE extra (a INTEGER) STRICT; INSERT INTO extra VALUES (42)"},
        {NOW + 2, "UPDATE extra SET a = a + 1"},
    };
    const struct sck_schema_step broken[] = {{NOW, ""},
                                             {NOW + 2, ""},
                                             {NOW + 3, "INSERT INTO extra VALUES (1)"},
                                             {NOW + 4, "INSERT INTO no_such_table VALUES (1)"}};
    char want[256];
    place_create(p);
    assert_ok(b->open(p->path, &db, &err), &err);
    assert_ok(sck_schema_upgrade(b, db, p->path, steps, 3, &err), &err);
    assert_ok(sck_schema_upgrade(b, db, p->path, steps, 3, &err), &err);
    assert_int_equal(raw_number(p->path, "SELECT a FROM extra"), 43);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), NOW + 2);
    /* A step that fails takes back all that were done with it. */
    assert_code(sck_schema_upgrade(b, db, p->path, broken, 4, &err), SCK_E_INTEGRITY, &err);
    (void)snprintf(want, sizeof want,
                   "making schema %d: catalog @: setting up found it damaged (no such table: no_such_table): restore "
                   "it from a backup", NOW + 4);
    expect_message(&err, want, p->path);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), NOW + 2);
    assert_int_equal(raw_number(p->path, "SELECT count(*) FROM extra"), 1);
    /* Older programs refuse it now, this one included. */
    assert_code(sck_schema_upgrade(b, db, p->path, steps, 2, &err), SCK_E_CONFIG, &err);
    b->close(&db);
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_CONFIG, &err);
    (void)snprintf(want, sizeof want,
                   "catalog @ has schema %d but this program knows schemas up to %d only: use a newer Scopekey",
                   NOW + 2, NOW);
    expect_message(&err, want, p->path);
}

/* A KEK's row that the first schema wrote: its MAC stays right when columns come. */
static void
rows_of_the_first_schema(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_kek_rec kek = {.owner_id = 7, .serial = 1, .keeper = 1, .generation = 1, .version = 3, .name = "sk--a",
                              .state = SCK_KEK_CURRENT, .wraps = 5, .created_s = 9};
    static const char *const columns[] = {"owner_id",   "serial", "keeper", "generation", "version", "name",
                                          "mount", "name_space", "state",  "record", "wraps",      "created_s"};
    const struct sck_value values[] = {
        {SCK_VALUE_INT, 7, NULL, 0},  {SCK_VALUE_INT, 1, NULL, 0},  {SCK_VALUE_INT, 1, NULL, 0},
        {SCK_VALUE_INT, 1, NULL, 0},  {SCK_VALUE_INT, 3, NULL, 0},  {SCK_VALUE_TEXT, 0, (const uint8_t *)"sk--a", 5},
        {SCK_VALUE_TEXT, 0, NULL, 0}, {SCK_VALUE_TEXT, 0, NULL, 0}, {SCK_VALUE_INT, 2, NULL, 0},
        {SCK_VALUE_BLOB, 0, NULL, 0}, {SCK_VALUE_INT, 5, NULL, 0},  {SCK_VALUE_INT, 9, NULL, 0}};
    struct sck_secret *key = NULL;
    uint8_t mac[SCK_SHA256_LEN];
    char hex[65];
    place_create(p);
    assert_ok(p->conf.row_key(p->conf.row_key_arg, &key, &err), &err);
    assert_ok(sck_row_mac(key, "keks", p->conf.catalog_id, columns, values, 12, mac, &err), &err);
    sck_secret_free(&key);
    sck_hex_format(mac, sizeof mac, hex);
    raw_sql(p->path, "ALTER TABLE keks DROP COLUMN messages");
    raw_sql(p->path, "PRAGMA user_version = 2");
    raw_sql(p->path, "INSERT INTO keks VALUES (7, 1, 1, 1, 3, 'sk--a', '', '', 2, x'', 5, 9, x'%s')", hex);
    place_open(p);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), SCK_SQLITE_STEPS);
    struct sck_kek_rec read = {.owner_id = 7, .serial = 1};
    assert_ok(sck_catalog_get(p->catalog, SCK_BY_KEK, &read, &err), &err);
    assert_true(records_equal(SCK_TABLE_KEKS, &kek, &read));
    assert_int_equal(read.messages, 0);
    sck_record_clear(SCK_TABLE_KEKS, &read);
    kek.messages = 4;
    assert_ok(sck_catalog_update(p->catalog, SCK_TABLE_KEKS, &kek, &err), &err);
    /* From then on it is covered. */
    read = (struct sck_kek_rec){.owner_id = 7, .serial = 1};
    raw_sql(p->path, "UPDATE keks SET messages = 0");
    assert_code(sck_catalog_get(p->catalog, SCK_BY_KEK, &read, &err), SCK_E_INTEGRITY, &err);
}

/* A catalog of schema 1 gets the tables of schema 2, empty. */
static void
schema_one(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    int64_t count = -1;
    place_create(p);
    raw_sql(p->path, "DROP TABLE epochs; DROP TABLE backups; DROP TABLE pledges; ALTER TABLE keks DROP COLUMN messages;"
                     "PRAGMA user_version = 1");
    assert_ok(sck_catalog_open(&p->conf, &p->catalog, &err), &err);
    static const enum sck_table fresh[] = {SCK_TABLE_EPOCHS, SCK_TABLE_BACKUPS, SCK_TABLE_PLEDGES};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(sck_catalog_count(p->catalog, fresh[i], &count, &err), &err);
        assert_int_equal(count, 0);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up_empty, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(made_0600),       TEST(companions_are_0600), TEST(protections_are_on), TEST(never_replaced),
        TEST(created_at_once), TEST(refused_files),       TEST(damaged_files),      TEST(another_setups_catalog),
        TEST(newer_schema),    TEST(older_schema),         TEST(schema_one),
        TEST(rows_of_the_first_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
