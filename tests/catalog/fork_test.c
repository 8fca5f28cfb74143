/* SPDX-License-Identifier: MIT */
/* A process that forks while it has the catalog open. */
#include "tests/catalog/many.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
both_sides_of_a_fork(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    assert_ok(insert_owner(p, "a", 1, &err), &err);
    for (unsigned i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) {
            bool good = has_owner(p, "a", 1) && insert_owner(p, "child", i, &err) == SCK_OK;
            sck_catalog_close(&p->catalog);
            _exit(good ? 0 : 1);
        }
        assert_ok(insert_owner(p, "parent", i, &err), &err);
        expect_exit(child, 0);
        assert_true(has_owner(p, "child", i));
    }
    assert_int_equal(owners(p), 21);
    /* The row key was inherited, not asked for again. */
    assert_int_equal(p->keys_asked, 1);
}

/*
 * The parent closes its catalog while the child, made when it was open, has its own: what the child commits then is
 * in the file, and not in a write-ahead log that the parent deleted.
 */
static void
child_outlives_the_parents_close(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    int to_child[2], to_parent[2];
    char c = 0;
    assert_ok(insert_owner(p, "a", 1, &err), &err);
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    pid_t child = fork();
    if (child == 0) {
        bool good = insert_owner(p, "child", 1, &err) == SCK_OK;
        (void)!write(to_parent[1], &c, 1);
        (void)!read(to_child[0], &c, 1);
        good = good && insert_owner(p, "child", 2, &err) == SCK_OK;
        /* Killed, so that nothing is put in order at its end. */
        (void)!write(to_parent[1], good ? "g" : "b", 1);
        (void)raise(SIGKILL);
    }
    assert_true(has_owner(p, "a", 1));
    assert_int_equal(read(to_parent[0], &c, 1), 1);
    sck_catalog_close(&p->catalog);
    assert_int_equal(write(to_child[1], &c, 1), 1);
    assert_int_equal(read(to_parent[0], &c, 1), 1);
    assert_int_equal(c, 'g');
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    place_open(p);
    assert_true(has_owner(p, "child", 1));
    assert_true(has_owner(p, "child", 2));
    expect_sound(p);
    for (int i = 0; i < 2; i++) {
        (void)close(to_child[i]);
        (void)close(to_parent[i]);
    }
}

static void
fork_inside_a_transaction(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    assert_ok(sck_catalog_begin(p->catalog, &err), &err);
    assert_ok(insert_owner(p, "a", 1, &err), &err);
    pid_t child = fork();
    if (child == 0) {
        char want[512];
        struct sck_owner_rec o = owner_named("a", 1);
        struct sck_catalog *again = NULL;
        (void)snprintf(want, sizeof want,
                       "catalog %s: this process was forked while a transaction was open and cannot use it: end "
                       "transactions before fork()", p->path);
        bool good = sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &o, &err) == SCK_E_STATE &&
                    strcmp(err.message, want) == 0;
        sck_err_clear(&err);
        good = good && sck_catalog_open(&p->conf, &again, &err) == SCK_E_STATE && again == NULL;
        sck_catalog_rollback(p->catalog);
        sck_catalog_close(&p->catalog);
        _exit(good ? 0 : 1);
    }
    expect_exit(child, 0);
    assert_ok(insert_owner(p, "a", 2, &err), &err);
    assert_ok(sck_catalog_commit(p->catalog, &err), &err);
    assert_true(has_owner(p, "a", 1));
    assert_true(has_owner(p, "a", 2));
}

/* Forks while other threads read and write: no child hangs, each can use the catalog, nobody loses anything. */
static void
forks_among_threads(void **state)
{
    struct place *p = *state;
    struct worker workers[3];
    struct sck_err err = SCK_ERR_INIT;
    enum { FORKS = 20 };
    start(workers, 3, 60, p);
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork_beside_workers();
        if (child == 0) {
            enum sck_code rc = insert_owner(p, "fork", i, &err);
            if (rc != SCK_OK)
                (void)fprintf(stderr, "%s\n", err.message);
            _exit(rc == SCK_OK ? 0 : 1);
        }
        expect_exit(child, 0);
        assert_true(has_owner(p, "fork", i));
    }
    finish(workers, 3);
    assert_int_equal(owners(p), 3 * 45 + FORKS);
    expect_sound(p);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_sides_of_a_fork),
        TEST(child_outlives_the_parents_close),
        TEST(fork_inside_a_transaction),
        TEST(forks_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
