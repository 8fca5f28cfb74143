/* SPDX-License-Identifier: MIT */
/* Several threads and processes, and writers that are killed. */
#include "tests/catalog/many.h"

#include "lib/base/clock.h"
#include "lib/catalog/statement.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* No writer is kept out by others who write without a pause. */
static void
processes_write_at_once(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    enum { PROCESSES = 3, EACH = 150 };
    pid_t children[PROCESSES];
    for (int c = 0; c < PROCESSES; c++) {
        children[c] = fork();
        if (children[c] == 0) {
            char prefix[8];
            enum sck_code rc = SCK_OK;
            (void)snprintf(prefix, sizeof prefix, "p%d", c);
            for (unsigned i = 0; rc == SCK_OK && i < EACH; i++)
                rc = insert_owner(p, prefix, i, &err);
            if (rc != SCK_OK)
                (void)fprintf(stderr, "%s\n", err.message);
            _exit(rc == SCK_OK ? 0 : 1);
        }
    }
    for (int c = 0; c < PROCESSES; c++)
        expect_exit(children[c], 0);
    assert_int_equal(owners(p), PROCESSES * EACH);
    expect_sound(p);
}

static void
busy_is_bounded(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    char message[256];
    sqlite3 *other = NULL;
    sck_catalog_close(&p->catalog);
    p->conf.busy_ms = 40;
    place_open(p);
    assert_int_equal(sqlite3_open_v2(p->path, &other, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_code(insert_owner(p, "a", 1, &err), SCK_E_BUSY, &err);
    (void)snprintf(message, sizeof message, "catalog %s: others were writing for 40 ms: try again", p->path);
    assert_string_equal(err.message, message);
    /* Readers are not kept out. */
    assert_false(has_owner(p, "a", 1));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_ok(insert_owner(p, "a", 1, &err), &err);
}

enum { GROUP = 3 };

/* Write groups of rows, and tell the number of each group that was committed. */
static void
write_until_killed(struct place *p, unsigned first, int out)
{
    struct sck_err err = SCK_ERR_INIT;
    for (unsigned g = first;; g++) {
        enum sck_code rc = sck_catalog_begin(p->catalog, &err);
        for (unsigned i = 0; rc == SCK_OK && i < GROUP; i++)
            rc = insert_owner(p, "g", g * GROUP + i, &err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(p->catalog, &err);
        if (rc != SCK_OK || write(out, &g, sizeof g) != sizeof g) {
            (void)fprintf(stderr, "%s\n", err.message);
            _exit(1);
        }
    }
}

static void
killed_while_committing(void **state)
{
    struct place *p = *state;
    unsigned next = 0, acknowledged = 0;
    for (unsigned kill_no = 0; kill_no < 20; kill_no++) {
        int ack[2], status = 0;
        assert_int_equal(pipe(ack), 0);
        sck_catalog_close(&p->catalog);
        pid_t child = fork();
        if (child == 0) {
            (void)close(ack[0]);
            place_open(p);
            write_until_killed(p, next, ack[1]);
        }
        (void)close(ack[1]);
        unsigned g = 0, last = 0;
        bool any = read(ack[0], &g, sizeof g) == sizeof g;
        assert_true(any);
        struct timespec pause = {0, (long)(test_random() % 8000000)};
        (void)nanosleep(&pause, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        for (last = g; read(ack[0], &g, sizeof g) == sizeof g;)
            last = g;
        (void)close(ack[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        acknowledged = last + 1;
        place_open(p);
        for (unsigned i = next; i < acknowledged; i++)
            assert_true(has_owner(p, "g", i * GROUP) && has_owner(p, "g", i * GROUP + GROUP - 1));
        /* The group that was being written is there or not, but not in part. */
        bool more = has_owner(p, "g", acknowledged * GROUP);
        next = acknowledged + (more ? 1 : 0);
        assert_int_equal(owners(p), next * GROUP);
    }
    expect_sound(p);
}

/* Killed just before and just after the commit, to the instruction. */
static void
killed_at_the_commit(void **state)
{
    struct place *p = *state;
    static const struct {
        const char *point;
        bool there;
    } kills[] = {{"catalog.commit.before", false}, {"catalog.commit.after", true}};
    for (size_t k = 0; k < 2; k++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            struct sck_err err = SCK_ERR_INIT;
            (void)setenv("SCOPEKEY_FAULT_POINT", kills[k].point, 1);
            (void)insert_owner(p, "k", (unsigned)k, &err);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
#ifdef SCK_FAULT_POINTS
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_int_equal(has_owner(p, "k", (unsigned)k), kills[k].there);
#endif
    }
}

static void
eight_threads(void **state)
{
    struct place *p = *state;
    struct worker workers[8];
    start(workers, 8, 40, p);
    finish(workers, 8);
    assert_int_equal(owners(p), 8 * 30);
    assert_int_equal(p->keys_asked, 1);
    expect_sound(p);
}

/* More threads than connections: all wait their turn. */
static void *
read_much(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < w->rounds; i++) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_setup_rec setup = {.id = 1};
        if (sck_catalog_get(w->p->catalog, SCK_BY_SETUP, &setup, &err) != SCK_OK)
            w->failed = true;
    }
    return NULL;
}

static void
more_threads_than_connections(void **state)
{
    enum { THREADS = 24 };
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.p = *state, .rounds = 300};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, read_much, &workers[i]), 0);
    }
    finish(workers, THREADS);
    assert_int_equal(((struct place *)*state)->keys_asked, 1);
}

/* Two handles on one file in one process. */
static void
two_handles(void **state)
{
    struct place *p = *state, second = *p;
    struct sck_err err = SCK_ERR_INIT;
    second.conf.row_key_arg = &second;
    place_open(&second);
    assert_ok(insert_owner(p, "a", 1, &err), &err);
    assert_true(has_owner(&second, "a", 1));
    assert_ok(sck_catalog_begin(p->catalog, &err), &err);
    assert_ok(sck_catalog_get(second.catalog, SCK_BY_SETUP, &(struct sck_setup_rec){.id = 1}, &err), &err);
    assert_ok(sck_catalog_commit(p->catalog, &err), &err);
    assert_ok(insert_owner(&second, "a", 2, &err), &err);
    sck_catalog_close(&second.catalog);
    assert_ok(insert_owner(p, "a", 3, &err), &err);
    assert_int_equal(owners(p), 3);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(processes_write_at_once), TEST(busy_is_bounded), TEST(killed_while_committing),
        TEST(killed_at_the_commit),    TEST(eight_threads),   TEST(more_threads_than_connections),
        TEST(two_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
