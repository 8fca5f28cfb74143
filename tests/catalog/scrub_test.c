/* SPDX-License-Identifier: MIT */
/* After a deletion and a scrub no byte of what was deleted is in the catalog's files. */
#include "tests/catalog/common.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char marker[] = "MARKER-of-an-erased-person";
enum { WINDOW = 4096 };

/* How many windows of all files hold the marker. */
static size_t
count_here(const struct place *p)
{
    size_t found = 0;
    DIR *dir = opendir(p->dir);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char name[512];
        struct stat st;
        (void)snprintf(name, sizeof name, "%s/%s", p->dir, e->d_name);
        assert_int_equal(stat(name, &st), 0);
        if (!S_ISREG(st.st_mode) || st.st_size == 0)
            continue;
        FILE *f = fopen(name, "rb");
        char *bytes = malloc((size_t)st.st_size);
        assert_non_null(f);
        assert_non_null(bytes);
        size_t n = fread(bytes, 1, (size_t)st.st_size, f);
        (void)fclose(f);
        /* Windows that overlap: a sanitizer looks at the whole of what memmem() is given, each time. */
        for (size_t at = 0; at < n; at += WINDOW) {
            size_t len = n - at < WINDOW + sizeof marker - 2 ? n - at : WINDOW + sizeof marker - 2;
            found += memmem(bytes + at, len, marker, sizeof marker - 1) != NULL ? 1 : 0;
        }
        free(bytes);
    }
    (void)closedir(dir);
    return found;
}

/*
 * count_here(), at most 200.  Another process reads them: closing a file that
 * SQLite has open drops the locks of the whole process.
 */
static size_t
count_markers(const struct place *p)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        size_t found = count_here(p);
        _exit(found < 200 ? (int)found : 200);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (size_t)WEXITSTATUS(status);
}

static void
fill_key(struct sck_key_rec *k, unsigned i, bool marked)
{
    *k = (struct sck_key_rec){.id = {(uint8_t)(i * 31), (uint8_t)(i >> 8), (uint8_t)i}, .scope_kind = 1};
    char padding[190];
    memset(padding, 'x', sizeof padding);
    (void)snprintf(k->scope_id, sizeof k->scope_id, "%s-%u%.*s", marked ? marker : "somebody", i,
                   (int)(i * 7 % sizeof padding), padding);
    (void)snprintf(k->name, sizeof k->name, "%u", i);
    (void)snprintf(k->key_id, sizeof k->key_id, "key-%u", i);
}

static void
fill_version(struct sck_version_rec *v, unsigned i, bool marked)
{
    *v = (struct sck_version_rec){.key = {(uint8_t)(i * 31), (uint8_t)(i >> 8), (uint8_t)i}, .version = 1};
    sck_buf_init(&v->sealed, SCK_REC_BLOB_MAX);
    /* Some are long enough for overflow pages. */
    for (unsigned n = 0, count = i % 10 == 0 ? 600 : i % 7; n < count; n++)
        sck_buf_put_str(&v->sealed, marked ? marker : "something else ");
}

/* Rows of the marked and of others are mixed, changed, deleted and moved between pages. */
static void
nothing_is_left(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    enum { ROWS = 3000 };
    struct sck_key_rec k;
    struct sck_version_rec v;
    for (unsigned i = 0; i < ROWS; i++) {
        if (i % 100 == 0)
            assert_ok(sck_catalog_begin(p->catalog, &err), &err);
        fill_key(&k, i, i % 3 != 0);
        fill_version(&v, i, i % 3 != 0);
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &k, &err), &err);
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &v, &err), &err);
        sck_record_clear(SCK_TABLE_VERSIONS, &v);
        if (i % 100 == 99)
            assert_ok(sck_catalog_commit(p->catalog, &err), &err);
    }
    assert_true(count_markers(p) == 200);
    for (unsigned round = 0; round < 2; round++) {
        unsigned changed = 0;
        for (unsigned n = 0; n < ROWS; n++) {
            unsigned i = n * 1777 % ROWS;
            if (i % 3 == 0 || (i % 3 == 1) != (round == 0))
                continue;
            fill_key(&k, i, round == 1);
            fill_version(&v, i, false);
            if (changed % 32 == 0)
                assert_ok(sck_catalog_begin(p->catalog, &err), &err);
            if (round == 0) {
                assert_ok(sck_catalog_update(p->catalog, SCK_TABLE_KEYS, &k, &err), &err);
                assert_ok(sck_catalog_update(p->catalog, SCK_TABLE_VERSIONS, &v, &err), &err);
            } else {
                assert_ok(sck_catalog_delete(p->catalog, SCK_TABLE_KEYS, &k, &err), &err);
                assert_ok(sck_catalog_delete(p->catalog, SCK_TABLE_VERSIONS, &v, &err), &err);
            }
            sck_record_clear(SCK_TABLE_VERSIONS, &v);
            if (++changed % 32 == 0)
                assert_ok(sck_catalog_commit(p->catalog, &err), &err);
        }
        if (changed % 32 != 0)
            assert_ok(sck_catalog_commit(p->catalog, &err), &err);
    }
    assert_true(count_markers(p) > 0);
    assert_ok(sck_catalog_scrub(p->catalog, 1000, &err), &err);
    assert_int_equal(count_markers(p), 0);
    int64_t count = 0;
    assert_ok(sck_catalog_count(p->catalog, SCK_TABLE_KEYS, &count, &err), &err);
    assert_int_equal(count, 2000);
}

/* Another process' reader keeps the log from being emptied: it is said, and it works when the reader is gone. */
static void
readers_are_waited_for(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    sqlite3 *reader = NULL;
    char message[512];
    struct sck_owner_rec o = {.kind = 1};
    (void)snprintf(o.ident, sizeof o.ident, "%s", marker);
    assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &o, &err), &err);
    assert_int_equal(sqlite3_open_v2(p->path, &reader, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM owners", NULL, NULL, NULL), SQLITE_OK);
    assert_ok(sck_catalog_delete(p->catalog, SCK_TABLE_OWNERS, &o, &err), &err);
    assert_code(sck_catalog_scrub(p->catalog, 30, &err), SCK_E_BUSY, &err);
    (void)snprintf(message, sizeof message,
                   "catalog %s: others were reading it for 30 ms, deleted bytes are still in it: try again", p->path);
    assert_string_equal(err.message, message);
    assert_true(count_markers(p) > 0);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    assert_ok(sck_catalog_scrub(p->catalog, 30, &err), &err);
    assert_int_equal(count_markers(p), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_left, place_set_up, place_tear_down),
        cmocka_unit_test_setup_teardown(readers_are_waited_for, place_set_up, place_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
