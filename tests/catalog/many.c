/* SPDX-License-Identifier: MIT */
#include "tests/catalog/many.h"

#include "tests/lib/forkgate.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

struct sck_owner_rec
owner_named(const char *prefix, unsigned i)
{
    struct sck_owner_rec o = {.kind = 1};
    (void)snprintf(o.ident, sizeof o.ident, "%s-%u", prefix, i);
    return o;
}

enum sck_code
insert_owner(struct place *p, const char *prefix, unsigned i, struct sck_err *err)
{
    struct sck_owner_rec o = owner_named(prefix, i);
    return sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &o, err);
}

bool
has_owner(struct place *p, const char *prefix, unsigned i)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_rec o = owner_named(prefix, i);
    enum sck_code rc = sck_catalog_get(p->catalog, SCK_BY_OWNER_IDENT, &o, &err);
    if (rc != SCK_OK && rc != SCK_E_NOT_FOUND)
        fail_msg("%s", err.message);
    return rc == SCK_OK;
}

int64_t
owners(struct place *p)
{
    struct sck_err err = SCK_ERR_INIT;
    int64_t count = 0;
    assert_ok(sck_catalog_count(p->catalog, SCK_TABLE_OWNERS, &count, &err), &err);
    return count;
}

static void
report_problem(void *arg, const char *problem)
{
    (void)arg;
    (void)fprintf(stderr, "%s\n", problem);
}

void
expect_sound(struct place *p)
{
    struct sck_err err = SCK_ERR_INIT;
    assert_ok(sck_catalog_verify(p->catalog, report_problem, NULL, &err), &err);
}

void
expect_exit(pid_t child, int want)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), want);
}

static enum sck_code
count_row(void *arg, void *record, struct sck_err *err)
{
    size_t *n = arg;
    (void)record;
    (void)err;
    (*n)++;
    return SCK_OK;
}

/* Reads, writes, walks and transactions in turn; assertions of cmocka belong to the main thread. */
static void *
work(void *arg)
{
    struct worker *w = arg;
    struct sck_err err = SCK_ERR_INIT;
    char prefix[16];
    (void)snprintf(prefix, sizeof prefix, "t%u", w->number);
    for (unsigned i = 0; i < w->rounds && !w->failed; i++) {
        struct sck_owner_rec o = owner_named(prefix, i), from = {.id = 0};
        size_t rows = 0;
        forkgate_work();
        enum sck_code rc = sck_catalog_begin(w->p->catalog, &err);
        if (rc == SCK_OK)
            rc = sck_catalog_insert(w->p->catalog, SCK_TABLE_OWNERS, &o, &err);
        o.generation = i;
        if (rc == SCK_OK)
            rc = sck_catalog_update(w->p->catalog, SCK_TABLE_OWNERS, &o, &err);
        if (rc == SCK_OK && i % 4 == 3)
            sck_catalog_rollback(w->p->catalog);
        else if (rc == SCK_OK)
            rc = sck_catalog_commit(w->p->catalog, &err);
        struct sck_owner_rec found = owner_named(prefix, i);
        if (rc == SCK_OK)
            rc = sck_catalog_get(w->p->catalog, SCK_BY_OWNER_IDENT, &found, &err);
        if (rc == (i % 4 == 3 ? SCK_E_NOT_FOUND : SCK_OK))
            sck_err_clear(&err);
        else
            w->failed = true;
        if (!w->failed)
            rc = sck_catalog_each(w->p->catalog, SCK_OWNERS_ALL, &from, true, 20, count_row, &rows, &err);
        w->failed = w->failed || (rc != SCK_OK && rc != SCK_E_NOT_FOUND);
        forkgate_rest();
    }
    if (w->failed)
        (void)fprintf(stderr, "thread %u: %s\n", w->number, err.message);
    return NULL;
}

pid_t
fork_beside_workers(void)
{
    forkgate_close();
    pid_t child = fork();
    forkgate_open(child);
    return child;
}

void
start(struct worker *workers, unsigned count, unsigned rounds, struct place *p)
{
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.p = p, .number = i, .rounds = rounds};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

void
finish(struct worker *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_false(workers[i].failed);
    }
}
