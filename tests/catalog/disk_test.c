/* SPDX-License-Identifier: MIT */
/* Disks that are full and files that may not be written: nothing is half-written, and it is said what to do. */
#include "tests/catalog/common.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
             "catalog @: opening was not permitted, nothing was changed; make the file and its directory readable "
             "and writable for this user: Permission denied");
    give_to_nobody(p->path, 0400);
    in_child(p, open_as_nobody, SCK_E_IO,
             "catalog @ is read-only: make it writable for this user: Permission denied");
    /* The file may be written but not what SQLite needs beside it. */
    give_to_nobody(p->path, 0600);
    assert_int_equal(chmod(p->dir, 0500), 0);
    in_child(p, open_as_nobody, SCK_E_IO,
             "catalog @: opening was not permitted, nothing was changed; make the file and its directory readable "
             "and writable for this user");
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(read_only, place_set_up_empty, place_tear_down),
        cmocka_unit_test_setup_teardown(disk_full, place_set_up_empty, place_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
