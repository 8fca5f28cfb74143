/* SPDX-License-Identifier: MIT */
/* The DEK cache: what it serves, what bounds it, and that an erasure empties it everywhere. */
#include "tests/api/api_test.h"

#include <sys/wait.h>
#include <unistd.h>

static struct home home;
static struct scopekey *sk;
static struct scopekey_error *error;
static struct fake *fake;
static _Atomic int64_t shift_us;    /* how far the clock of the set-up is ahead */
static struct sck_clock clock_ahead;

static int64_t
ahead_us(void *arg)
{
    (void)arg;
    return sck_monotonic_us(sck_clock_system()) + shift_us;
}

static int
set_up(void **state)
{
    (void)state;
    sk = api_open(&home, "[materials]\ndek_cache = true\ndek_cache_ttl_s = 20\ndek_cache_uses = 5\ndek_cache_entries = 10\n", 0);
    clock_ahead = *sck_clock_system();
    clock_ahead.monotonic_us = ahead_us;
    sk->service->engine->clock = &clock_ahead;
    error = scopekey_error_new();
    fake = fake_install(sk, false);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fake_remove(&fake);
    scopekey_close(&sk);
    scopekey_error_free(&error);
    home_remove(&home);
    return 0;
}

static enum scopekey_code
open_as(const char *subject, const struct parts *p)
{
    struct scopekey_aead *aead = NULL;
    enum scopekey_code code = scopekey_decryption_keys_for(sk, subject, p->wrapped, p->wrapped_len, p->context,
                                                           p->context_len, NULL, &aead, error);
    if (code == SCOPEKEY_OK)
        assert_memory_equal(scopekey_secret_data(scopekey_aead_key(aead)),
                            scopekey_secret_data(scopekey_aead_key(scopekey_material_aead(p->m))), SCOPEKEY_KEY_LENGTH);
    scopekey_aead_free(&aead);
    return code;
}

/* How many calls of the keeper opening costs. */
static int
calls_to_open(const struct parts *p)
{
    int before = fake->unwraps;
    OK(open_as("alice", p));
    return fake->unwraps - before;
}

static void
a_dek_is_served_so_often_and_so_long(void **state)
{
    (void)state;
    struct parts p = api_make(sk, "alice");
    int64_t hits = metric("scopekey_dek_cache_hits_total");
    int64_t misses = metric("scopekey_dek_cache_misses_total");
    assert_int_equal(calls_to_open(&p), 1);
    assert_int_equal(metric("scopekey_dek_cache_entries"), 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(calls_to_open(&p), 0);
    assert_int_equal(metric("scopekey_dek_cache_hits_total"), hits + 5);
    assert_int_equal(metric("scopekey_dek_cache_misses_total"), misses + 1);
    assert_int_equal(metric("scopekey_dek_cache_evictions_total{reason=\"uses\"}"), 1);
    assert_int_equal(metric("scopekey_dek_cache_entries"), 0);
    assert_int_equal(calls_to_open(&p), 1);
    /* Its time is counted from when it was opened, not from its last use. */
    shift_us += 15000000;
    assert_int_equal(calls_to_open(&p), 0);
    shift_us += 6000000;
    int64_t ended = metric("scopekey_dek_cache_evictions_total{reason=\"ttl\"}");
    assert_int_equal(calls_to_open(&p), 1);
    assert_int_equal(metric("scopekey_dek_cache_evictions_total{reason=\"ttl\"}"), ended + 1);
    /* One that nobody asks for is wiped all the same. */
    shift_us += 21000000;
    for (int i = 0; i < 100 && metric("scopekey_dek_cache_entries") > 0; i++)
        (void)usleep(20000);
    assert_int_equal(metric("scopekey_dek_cache_entries"), 0);
    scopekey_material_free(&p.m);
}

static void
the_least_recently_used_goes_first(void **state)
{
    (void)state;
    struct parts p[11];
    for (size_t i = 0; i < 11; i++)
        p[i] = api_make(sk, "alice");
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(calls_to_open(&p[i]), 1);
    assert_int_equal(calls_to_open(&p[0]), 0);
    int64_t before = metric("scopekey_dek_cache_evictions_total{reason=\"room\"}");
    assert_int_equal(calls_to_open(&p[10]), 1);
    assert_int_equal(metric("scopekey_dek_cache_evictions_total{reason=\"room\"}"), before + 1);
    assert_int_equal(metric("scopekey_dek_cache_entries"), 10);
    assert_int_equal(calls_to_open(&p[0]), 0);
    assert_int_equal(calls_to_open(&p[1]), 1);
    for (size_t i = 0; i < 11; i++)
        scopekey_material_free(&p[i].m);
}

static void
a_hit_needs_the_same_context_and_subject(void **state)
{
    (void)state;
    struct parts p = api_make(sk, "alice");
    struct parts q = api_make(sk, "alice");
    (void)calls_to_open(&p);
    (void)calls_to_open(&q);
    struct parts mixed = p;
    mixed.context = q.context;
    mixed.context_len = q.context_len;
    FAILS(open_as("alice", &mixed), SCOPEKEY_E_INVALID_CONTEXT, "unwrapped DEK: it belongs to another encryption context");
    FAILS(open_as("bob", &p), SCOPEKEY_E_INVALID_CONTEXT, "the encryption context is of another subject");
    scopekey_material_free(&p.m);
    scopekey_material_free(&q.m);
}

static void
a_failure_is_not_kept(void **state)
{
    (void)state;
    struct parts p = api_make(sk, "alice");
    fake->fail_with = SCK_E_CONNECT;
    FAILS(open_as("alice", &p), SCOPEKEY_E_CONNECTIVITY, "fake: told to fail");
    fake->fail_with = SCK_OK;
    assert_int_equal(calls_to_open(&p), 1);
    assert_int_equal(calls_to_open(&p), 0);
    /* The keeper is gone: what is kept still opens, until its time is over. */
    fake->fail_with = SCK_E_CONNECT;
    assert_int_equal(calls_to_open(&p), 0);
    fake->fail_with = SCK_OK;
    scopekey_material_free(&p.m);
}

static void
an_erasure_here_is_seen_by_the_next_call(void **state)
{
    (void)state;
    OK(scopekey_subject_ensure(sk, "carol", NULL, error));
    struct parts p = api_make(sk, "carol");
    struct parts q = api_make(sk, "carol");
    struct parts living = api_make(sk, "alice");
    OK(open_as("carol", &p));
    OK(open_as("carol", &q));
    (void)calls_to_open(&living);
    int unwraps = fake->unwraps;
    OK(scopekey_subject_erase(sk, "carol", NULL, NULL, error));
    int64_t before = metric("scopekey_dek_cache_evictions_total{reason=\"erasure\"}");
    assert_int_equal(scopekey_decryption_keys_for(sk, "carol", p.wrapped, p.wrapped_len, p.context, p.context_len, NULL,
                                                  &(struct scopekey_aead *){NULL}, error), SCOPEKEY_E_ERASED);
    /* All of hers went, whoever was first: this call or the sweeper. */
    assert_in_range(metric("scopekey_dek_cache_evictions_total{reason=\"erasure\"}"), 2, before + 2);
    assert_int_equal(open_as("carol", &q), SCOPEKEY_E_ERASED);
    assert_int_equal(fake->unwraps, unwraps);
    assert_int_equal(calls_to_open(&living), 0);
    scopekey_material_free(&p.m);
    scopekey_material_free(&q.m);
    scopekey_material_free(&living.m);
}

/* Serves from its cache, says so, and goes on until told. */
static int
other_process(const struct parts *p, int in, int out)
{
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    char c = 0;
    if (metric("scopekey_dek_cache_entries") != 0)
        return 1;
    scopekey_close(&sk);
    options.configuration = home.conf;
    if (scopekey_open(&options, &sk, error) != SCOPEKEY_OK || open_as("dora", p) != SCOPEKEY_OK ||
        open_as("dora", p) != SCOPEKEY_OK || metric("scopekey_dek_cache_hits_total") != 1)
        return 2;
    if (write(out, "x", 1) != 1 || read(in, &c, 1) != 1)
        return 3;
    if (open_as("dora", p) != SCOPEKEY_E_ERASED || metric("scopekey_dek_cache_entries") != 0)
        return 4;
    scopekey_close(&sk);
    return 0;
}

/* Does nothing: what it holds is wiped within a second nevertheless. */
static int
idle_process(const struct parts *p, int in, int out)
{
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    char c = 0;
    scopekey_close(&sk);
    options.configuration = home.conf;
    if (scopekey_open(&options, &sk, error) != SCOPEKEY_OK || open_as("dora", p) != SCOPEKEY_OK ||
        metric("scopekey_dek_cache_entries") != 1)
        return 5;
    if (write(out, "x", 1) != 1 || read(in, &c, 1) != 1)
        return 6;
    for (int i = 0; i < 500 && metric("scopekey_dek_cache_entries") > 0; i++)
        (void)usleep(20000);
    int64_t left = metric("scopekey_dek_cache_entries");
    scopekey_close(&sk);
    return left == 0 ? 0 : 7;
}

static void
other_processes_see_an_erasure(void **state)
{
    (void)state;
    int (*const programs[])(const struct parts *p, int in, int out) = {other_process, idle_process};
    /* ThreadSanitizer cannot start the thread that wipes in such a child, and then nothing is kept. */
#if defined(__SANITIZE_THREAD__)
    (void)programs;
    return;
#endif
    OK(scopekey_subject_ensure(sk, "dora", NULL, error));
    struct parts p = api_make(sk, "dora");
    OK(open_as("dora", &p));
    int to[2][2];
    int from[2][2];
    pid_t pid[2];
    char c = 0;
    struct sck_keeper *real = fake->real;
    for (int i = 0; i < 2; i++) {
        assert_true(pipe(to[i]) == 0 && pipe(from[i]) == 0);
        fake->engine->keepers[SCK_KEEPER_TOKEN] = real;
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0)
            _exit(programs[i](&p, to[i][0], from[i][1]));
        fake->engine->keepers[SCK_KEEPER_TOKEN] = &fake->base;
        assert_int_equal(read(from[i][0], &c, 1), 1);
    }
    OK(scopekey_subject_erase(sk, "dora", NULL, NULL, error));
    for (int i = 0; i < 2; i++) {
        int status = -1;
        assert_int_equal(write(to[i][1], "x", 1), 1);
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_int_equal(status, 0);
        (void)close(to[i][0]);
        (void)close(to[i][1]);
        (void)close(from[i][0]);
        (void)close(from[i][1]);
    }
    scopekey_material_free(&p.m);
}

/* The same set-up with another section [materials]. */
static struct scopekey *
open_with(const char *name, const char *materials)
{
    char path[600];
    char line[512];
    struct scopekey *other = NULL;
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    FILE *in = fopen(home.conf, "r");
    (void)snprintf(path, sizeof path, "%s/%s", home.home, name);
    FILE *out = fopen(path, "w");
    assert_true(in != NULL && out != NULL);
    while (fgets(line, sizeof line, in) != NULL && strcmp(line, "[materials]\n") != 0)
        assert_true(fputs(line, out) >= 0);
    assert_true(fputs(materials, out) >= 0 && fclose(in) == 0 && fclose(out) == 0);
    options.configuration = path;
    OK(scopekey_open(&options, &other, error));
    return other;
}

static void
it_is_off_unless_asked_for(void **state)
{
    (void)state;
    struct scopekey *before = sk;
    struct parts p = api_make(sk, "alice");
    sk = open_with("off.conf", "");
    struct fake *f = fake_install(sk, false);
    for (int i = 0; i < 3; i++)
        OK(open_as("alice", &p));
    assert_int_equal(f->unwraps, 3);
    fake_remove(&f);
    scopekey_material_free(&p.m);
    scopekey_close(&sk);
    sk = before;
}

static void
bytes_bound_it_too(void **state)
{
    (void)state;
    struct scopekey *before = sk;
    struct parts p[100];
    sk = open_with("small.conf", "[materials]\ndek_cache = true\ndek_cache_bytes = 4096\n");
    for (size_t i = 0; i < 100; i++) {
        p[i] = api_make(sk, "alice");
        OK(open_as("alice", &p[i]));
    }
    assert_in_range(metric("scopekey_dek_cache_entries"), 10, 40);
    for (size_t i = 0; i < 100; i++)
        scopekey_material_free(&p[i].m);
    scopekey_close(&sk);
    sk = before;
    static const char *const bad[] = {"dek_cache_ttl_s = 3601", "dek_cache_ttl_s = 0", "dek_cache_uses = 0",
                                      "dek_cache_entries = 0", "dek_cache_bytes = 1", "dek_cache = yes", "threads = 0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[100];
        struct scopekey *none = NULL;
        struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
        (void)snprintf(text, sizeof text, "[materials]\n%s\n", bad[i]);
        options.configuration = home_file(&home, "bad.conf", text, strlen(text));
        assert_int_equal(scopekey_open(&options, &none, error), SCOPEKEY_E_CONFIGURATION);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dek_is_served_so_often_and_so_long),
        cmocka_unit_test(the_least_recently_used_goes_first),
        cmocka_unit_test(a_hit_needs_the_same_context_and_subject),
        cmocka_unit_test(a_failure_is_not_kept),
        cmocka_unit_test(an_erasure_here_is_seen_by_the_next_call),
        cmocka_unit_test(other_processes_see_an_erasure),
        cmocka_unit_test(it_is_off_unless_asked_for),
        cmocka_unit_test(bytes_bound_it_too),
    };
    return cmocka_run_group_tests_name("cache", tests, set_up, tear_down);
}
