/* SPDX-License-Identifier: MIT */
/* Threads, forks, loading and unloading, and the end of the process. */
#include "tests/provider/fixture.h"

#include <openssl/err.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALICE "scopekey:subject/alice/"
#define EXITS 10

/* Status and output of `agent WAY`. */
static int
run_agent(const char *way, char *out, size_t room)
{
    int fds[2], status = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(fds[1], 1);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execl(SCK_TEST_AGENT, SCK_TEST_AGENT, way, SCK_TEST_SOFTHSM, (char *)NULL);
        _exit(99);
    }
    (void)close(fds[1]);
    size_t len = 0;
    for (ssize_t n; len < room - 1 && (n = read(fds[0], out + len, room - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Before anything is loaded here. */
static void
test_every_way_to_end(void **state)
{
    (void)state;
    static const char *const ways[] = {"return",         "exit",         "_exit",   "free",    "unload",
                                       "unload-with-key", "cleanup",      "threads", "threads-_exit",
                                       "atexit-before",   "atexit-after", "module-too", "unused"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        bool by_exit = strstr(ways[i], "_exit") != NULL;
        for (int round = 0; round < EXITS; round++) {
            char out[64];
            int status = run_agent(ways[i], out, sizeof out);
            if (!WIFEXITED(status) || strcmp(out, "signed") != 0)
                print_error("%s, round %d: status %x, said \"%s\"\n", ways[i], round, (unsigned)status, out);
            assert_string_equal(out, "signed");
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), by_exit ? 7 : 0);
        }
    }
}

static long
resident_pages(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
    (void)fclose(f);
    return resident;
}

static void
test_load_and_unload(void **state)
{
    (void)state;
    long before = 0;
    for (int i = 0; i < 100; i++) {
        struct fx_app app;
        fx_app_new(&app, i % 2 == 0);
        EVP_PKEY *key = fx_load(app.ctx, ALICE "tls");
        assert_true(fx_sign_and_verify(app.ctx, key, key, "SHA256", 5));
        EVP_PKEY_free(key);
        fx_app_free(&app);
        if (i == 49)
            before = resident_pages();
    }
    long grown = resident_pages() - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(grown < 0 ? 0 : grown, 0, 64);
#else
    (void)grown;
#endif
}

/* More contexts than prime.c has slots. */
static void
test_many_contexts(void **state)
{
    (void)state;
    struct fx_app apps[12];
    EVP_PKEY *keys[12];
    for (int i = 0; i < 12; i++) {
        fx_app_new(&apps[i], i % 2 == 0);
        keys[i] = fx_load(apps[i].ctx, ALICE "tls");
    }
    for (int i = 0; i < 12; i++) {
        EVP_PKEY *soft = EVP_PKEY_Q_keygen(apps[i].ctx, NULL, "EC", "P-256");
        assert_true(fx_sign_and_verify(apps[i].ctx, keys[i], keys[i], "SHA256", 5));
        assert_true(fx_sign_and_verify(apps[i].ctx, soft, soft, "SHA256", 5));
        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(soft)), "default");
        EVP_PKEY_free(soft);
    }
    for (int i = 0; i < 12; i++) {
        EVP_PKEY_free(keys[i]);
        fx_app_free(&apps[i]);
    }
}

struct work {
    OSSL_LIB_CTX *ctx;
    EVP_PKEY *key, *pub;
    const char *md;
    int rounds;
    int failures;
};

static void *
work(void *arg)
{
    struct work *w = arg;
    for (int i = 0; i < w->rounds; i++)
        w->failures += !fx_sign_and_verify(w->ctx, w->key, w->pub, w->md, (size_t)i);
    ERR_clear_error();
    return NULL;
}

static void
test_threads(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *md;
    } kinds[] = {{ALICE "tls", "SHA256"}, {ALICE "rsa", "SHA256"}, {ALICE "ed", NULL}};
    struct fx_app app;
    struct work works[24];
    pthread_t threads[24];
    fx_app_new(&app, true);
    for (size_t i = 0; i < 24; i++) {
        size_t k = i % 3;
        /* The first three load; the others share their keys. */
        works[i] = (struct work){.ctx = app.ctx, .md = kinds[k].md, .rounds = 20};
        works[i].key = i < 3 ? fx_load(app.ctx, kinds[k].uri) : works[k].key;
        works[i].pub = i < 3 ? fx_public(app.ctx, works[i].key) : works[k].pub;
    }
    for (size_t i = 0; i < 24; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &works[i]), 0);
    for (size_t i = 0; i < 24; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(works[i].failures, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        EVP_PKEY_free(works[i].pub);
        EVP_PKEY_free(works[i].key);
    }
    fx_app_free(&app);
}

static void
child_signs(const struct work *parent)
{
    struct work w = *parent;
    w.rounds = 3;
    for (int i = 0; i < w.rounds; i++) {
        if (fx_sign_and_verify(w.ctx, w.key, w.pub, w.md, (size_t)i))
            continue;
        ERR_print_errors_fp(stderr);
        _exit(1);
    }
    _exit(0);
}

/* Loaded (and used or not) by the master, signed by workers; meanwhile another thread of the master signs. */
static void
test_forks(void **state)
{
    (void)state;
    for (int used = 0; used < 2; used++) {
        struct fx_app app;
        pthread_t busy;
        fx_app_new(&app, true);
        EVP_PKEY *key = fx_load(app.ctx, ALICE "tls"), *pub = fx_public(app.ctx, key);
        struct work w = {app.ctx, key, pub, "SHA256", 3, 0}, beside = {app.ctx, key, pub, "SHA256", 400, 0};
        if (used != 0) {
            (void)work(&w);
            assert_int_equal(pthread_create(&busy, NULL, work, &beside), 0);
        }
        pid_t pids[20];
        for (size_t i = 0; i < 20; i++) {
            pids[i] = fork();
            if (pids[i] == 0)
                child_signs(&w);
        }
        for (size_t i = 0; i < 20; i++) {
            int status = 0;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_int_equal(status, 0);
        }
        if (used != 0)
            assert_int_equal(pthread_join(busy, NULL), 0);
        assert_int_equal(beside.failures, 0);
        (void)work(&w);
        assert_int_equal(w.failures, 0);
        EVP_PKEY_free(pub);
        EVP_PKEY_free(key);
        fx_app_free(&app);
    }
}

/* Hundreds of half-done contexts hold nothing of the token. */
static void
test_half_done_contexts(void **state)
{
    (void)state;
    struct fx_app app;
    EVP_MD_CTX *ctx[500];
    fx_app_new(&app, false);
    EVP_PKEY *key = fx_load(app.ctx, ALICE "rsa");
    for (size_t i = 0; i < 500; i++) {
        ctx[i] = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit_ex(ctx[i], NULL, "SHA256", app.ctx, NULL, key, NULL), 1);
        assert_int_equal(EVP_DigestSignUpdate(ctx[i], "half", 4), 1);
    }
    assert_true(fx_sign_and_verify(app.ctx, key, key, "SHA256", 4));
    for (size_t i = 0; i < 500; i++)
        EVP_MD_CTX_free(ctx[i]);
    EVP_PKEY_free(key);
    fx_app_free(&app);
}

static enum sck_code
erase_bob(struct sck_service *service, struct sck_err *err)
{
    struct sck_scope scope;
    struct sck_buf receipt;
    sck_buf_init(&receipt, 65536);
    enum sck_code rc = sck_scope_parse("subject/bob", 11, &scope, err);
    if (rc == SCK_OK)
        rc = sck_erase(service, &scope, NULL, NULL, &receipt, err);
    sck_buf_clear(&receipt);
    return rc;
}

/* Erased by another process: a key that is loaded and open here is useless at once. */
static void
test_erased_while_loaded(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    EVP_PKEY *key = fx_load(app.ctx, "scopekey:subject/bob/tls");
    assert_true(fx_sign_and_verify(app.ctx, key, key, "SHA256", 4));
    fx_child(erase_bob);
    assert_false(fx_sign_and_verify(app.ctx, key, key, "SHA256", 4));
    assert_string_equal(ERR_reason_error_string(ERR_peek_last_error()), "erased");
    ERR_clear_error();
    assert_null(fx_try_load(app.ctx, "scopekey:subject/bob/tls"));
    fx_expect_error("erased", "subject/bob was erased");
    EVP_PKEY_free(key);
    fx_app_free(&app);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_way_to_end), cmocka_unit_test(test_load_and_unload),
        cmocka_unit_test(test_many_contexts),    cmocka_unit_test(test_threads),
        cmocka_unit_test(test_forks),            cmocka_unit_test(test_half_done_contexts),
        cmocka_unit_test(test_erased_while_loaded),
    };
    return cmocka_run_group_tests(tests, fx_start, fx_stop);
}
