/* SPDX-License-Identifier: MIT */
/* The catalog as a file: how it is made, what is refused as one, schema versions, and what a full or read-only disk does. */
#include "tests/catalog/common.h"

#include "lib/catalog/backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int
make_place(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    place_make(p, NULL);
    *state = p;
    return 0;
}

static struct sck_setup_rec
setup_of(const struct place *p)
{
    struct sck_setup_rec setup = {.id = 1, .environment = "development", .created_s = 1, .generation = 1};
    memcpy(setup.catalog_id, p->conf.catalog_id, sizeof setup.catalog_id);
    return setup;
}

static void
write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static size_t
count_files(const struct place *p)
{
    size_t n = 0;
    DIR *dir = opendir(p->dir);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.' ? 1 : 0;
    (void)closedir(dir);
    return n;
}

static void
expect_message(const struct sck_err *err, const char *fmt, const char *path)
{
    char want[SCK_ERR_MESSAGE_MAX];
    const char *at = strchr(fmt, '@');
    (void)snprintf(want, sizeof want, "%.*s%s%s", (int)(at - fmt), fmt, path, at + 1);
    assert_string_equal(err->message, want);
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
        assert_int_equal(raw_number(p->path, "PRAGMA user_version"), 1);
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
    write_file(p->path, "This is a letter, and not a database at all; it is long enough to have had a header of one, which has "
                       "a hundred bytes.\n");
    assert_code(sck_catalog_open(&p->conf, &c, &err), SCK_E_INTEGRITY, &err);
    expect_message(&err, "catalog @: opening found it damaged (file is not a database): restore it from a backup", p->path);

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
    raw_sql(p->path, "PRAGMA user_version = 7");
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_CONFIG, &err);
    expect_message(&err,
                   "catalog @ has schema 7 but this program knows schemas up to 1 only: use a newer Scopekey", p->path);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), 7);
}

static void
older_schema(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_db *db = NULL;
    const struct sck_backend *b = &sck_backend_sqlite;
    const struct sck_schema_step steps[] = {
        {1, "this was done long ago and is not done again"},
        {2, "CREATE TABLE extra (a INTEGER) STRICT; INSERT INTO extra VALUES (42)"},
        {3, "UPDATE extra SET a = a + 1"},
    };
    const struct sck_schema_step broken[] = {
        {1, ""}, {2, ""}, {3, ""}, {4, "INSERT INTO extra VALUES (1)"}, {5, "INSERT INTO no_such_table VALUES (1)"}};
    place_create(p);
    assert_ok(b->open(p->path, &db, &err), &err);
    assert_ok(sck_schema_upgrade(b, db, p->path, steps, 3, &err), &err);
    assert_ok(sck_schema_upgrade(b, db, p->path, steps, 3, &err), &err);
    assert_int_equal(raw_number(p->path, "SELECT a FROM extra"), 43);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), 3);
    /* A step that fails takes back all that were done with it. */
    assert_code(sck_schema_upgrade(b, db, p->path, broken, 5, &err), SCK_E_INTEGRITY, &err);
    expect_message(&err,
                   "making schema 5: catalog @: setting up found it damaged (no such table: no_such_table): restore it "
                   "from a backup", p->path);
    assert_int_equal(raw_number(p->path, "PRAGMA user_version"), 3);
    assert_int_equal(raw_number(p->path, "SELECT count(*) FROM extra"), 1);
    /* Older programs refuse it now, this one included. */
    assert_code(sck_schema_upgrade(b, db, p->path, steps, 2, &err), SCK_E_CONFIG, &err);
    b->close(&db);
    assert_code(sck_catalog_open(&p->conf, &p->catalog, &err), SCK_E_CONFIG, &err);
    expect_message(&err,
                   "catalog @ has schema 3 but this program knows schemas up to 1 only: use a newer Scopekey", p->path);
}

/* Run in a child, which tells by its status and what it wrote to `p->dir`'s pipe. */
static void
in_child(struct place *p, void (*body)(struct place *p, struct sck_err *err), enum sck_code code, const char *message)
{
    struct sck_err err = SCK_ERR_INIT;
    int out[2], status;
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    if (child == 0) {
        body(p, &err);
        (void)!write(out[1], &err, sizeof err);
        _exit(0);
    }
    (void)close(out[1]);
    assert_int_equal(read(out[0], &err, sizeof err), sizeof err);
    (void)close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(sck_code_name(err.code), sck_code_name(code));
    expect_message(&err, message, p->path);
}

/* Root may write everywhere: the child becomes somebody else. */
static void
as_nobody(struct sck_err *err)
{
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        (void)sck_fail(err, SCK_E_INTERNAL, "setuid");
}

static void
open_as_nobody(struct place *p, struct sck_err *err)
{
    as_nobody(err);
    if (sck_catalog_open(&p->conf, &p->catalog, err) == SCK_OK)
        (void)sck_fail(err, SCK_E_INTERNAL, "it was opened");
}

static void
create_as_nobody(struct place *p, struct sck_err *err)
{
    struct sck_setup_rec setup = setup_of(p);
    as_nobody(err);
    if (sck_catalog_create(&p->conf, &setup, err) == SCK_OK)
        (void)sck_fail(err, SCK_E_INTERNAL, "it was created");
}

static void
give_to_nobody(const char *path, mode_t mode)
{
    if (getuid() == 0)
        assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void
read_only(void **state)
{
    struct place *p = *state;
    give_to_nobody(p->dir, 0500);
    in_child(p, create_as_nobody, SCK_E_IO, "cannot create catalog @; check its directory: Permission denied");
    assert_int_equal(chmod(p->dir, 0700), 0);
    place_create(p);

    give_to_nobody(p->path, 0000);
    in_child(p, open_as_nobody, SCK_E_IO,
             "catalog @: opening was not permitted, nothing was changed; make the file and its directory readable and "
             "writable for this user: Permission denied");
    give_to_nobody(p->path, 0400);
    in_child(p, open_as_nobody, SCK_E_IO, "catalog @ is read-only: make it writable for this user: Permission denied");
    /* The file may be written but not what SQLite needs beside it. */
    give_to_nobody(p->path, 0600);
    assert_int_equal(chmod(p->dir, 0500), 0);
    in_child(p, open_as_nobody, SCK_E_IO,
             "catalog @: opening was not permitted, nothing was changed; make the file and its directory readable and "
             "writable for this user");
    assert_int_equal(chmod(p->dir, 0700), 0);
    place_open(p);
}

/* From here on no file of this process may grow beyond `bytes`: a full disk, for root too. */
static void
limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
}

static void
create_when_full(struct place *p, struct sck_err *err)
{
    struct sck_setup_rec setup = setup_of(p);
    limit_files(8192);
    if (sck_catalog_create(&p->conf, &setup, err) == SCK_OK)
        (void)sck_fail(err, SCK_E_INTERNAL, "it was created");
}

static enum sck_code
insert_many(struct place *p, const char *prefix, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(p->catalog, err);
    for (unsigned i = 0; rc == SCK_OK && i < 200; i++) {
        struct sck_receipt_rec r = {.hash = {(uint8_t)i}, .id = {(uint8_t)i}, .created_s = 1};
        memcpy(r.hash + 1, prefix, strlen(prefix));
        memcpy(r.id + 1, prefix, strlen(prefix));
        sck_buf_init(&r.json, SCK_REC_BLOB_MAX);
        (void)sck_buf_grow(&r.json, 40000);
        rc = sck_catalog_insert(p->catalog, SCK_TABLE_RECEIPTS, &r, err);
        sck_record_clear(SCK_TABLE_RECEIPTS, &r);
    }
    if (rc == SCK_OK)
        return sck_catalog_commit(p->catalog, err);
    sck_catalog_rollback(p->catalog);
    return rc;
}

static void
write_when_full(struct place *p, struct sck_err *err)
{
    struct sck_err none = SCK_ERR_INIT;
    place_open(p);
    limit_files(256 * 1024);
    if (insert_many(p, "full", err) == SCK_OK) {
        (void)sck_fail(err, SCK_E_INTERNAL, "it was written");
        return;
    }
    /* The same process reads on, and writes again as soon as there is space. */
    int64_t count = -1;
    if (sck_catalog_count(p->catalog, SCK_TABLE_RECEIPTS, &count, &none) != SCK_OK || count != 200)
        err->code = SCK_E_INTERNAL;
    limit_files(RLIM_INFINITY);
    if (insert_many(p, "then", &none) != SCK_OK)
        err->code = SCK_E_INTERNAL;
    sck_catalog_close(&p->catalog);
}

static void
ignore_problem(void *arg, const char *problem)
{
    (void)arg;
    (void)problem;
}

static void
disk_full(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    in_child(p, create_when_full, SCK_E_IO,
             "catalog @: setting up found no space, nothing was changed; free some and repeat: File too large");
    assert_int_equal(count_files(p), 0);
    place_create(p);
    place_open(p);
    assert_ok(insert_many(p, "before", &err), &err);
    sck_catalog_close(&p->catalog);
    in_child(p, write_when_full, SCK_E_IO,
             "catalog @: writing found no space, nothing was changed; free some and repeat: File too large");
    place_open(p);
    int64_t count = 0;
    assert_ok(sck_catalog_count(p->catalog, SCK_TABLE_RECEIPTS, &count, &err), &err);
    assert_int_equal(count, 400);
    assert_ok(sck_catalog_verify(p->catalog, ignore_problem, NULL, &err), &err);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(made_0600),     TEST(companions_are_0600), TEST(protections_are_on), TEST(never_replaced),
        TEST(created_at_once), TEST(refused_files),     TEST(damaged_files),      TEST(another_setups_catalog),
        TEST(newer_schema),  TEST(older_schema),        TEST(read_only),          TEST(disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
