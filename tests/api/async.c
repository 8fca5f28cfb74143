/* SPDX-License-Identifier: MIT */
/* Asynchronous requests: callbacks, event loops, cancelling, deadlines, sharing, forks, and what is left behind. */
#include "tests/api/api_test.h"

#include <dirent.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

static struct home home;
static struct scopekey *sk;
static struct scopekey_error *error;

static int
set_up(void **state)
{
    (void)state;
    sk = api_open(&home, "", 0);
    error = scopekey_error_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scopekey_close(&sk);
    scopekey_error_free(&error);
    home_remove(&home);
    return 0;
}

/* Counts outcomes as callbacks come. */
struct tally {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int calls;
    int by_code[SCOPEKEY_E_INTERNAL + 1];
    pthread_t thread;           /* of the last callback */
    bool free_it;
};
#define TALLY {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER}

static void
done(void *arg, struct scopekey_request *r)
{
    struct tally *t = arg;
    enum scopekey_code code = scopekey_request_result(r, NULL);
    if (t->free_it)
        scopekey_request_free(&r);
    pthread_mutex_lock(&t->lock);
    t->by_code[code]++;
    t->calls++;
    t->thread = pthread_self();
    pthread_cond_broadcast(&t->moved);
    pthread_mutex_unlock(&t->lock);
}

static void
tally_wait(struct tally *t, int calls)
{
    pthread_mutex_lock(&t->lock);
    while (t->calls < calls)
        (void)pthread_cond_wait(&t->moved, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static enum scopekey_code
open_async(const struct parts *p, int64_t deadline_ms, struct tally *t, struct scopekey_request **out)
{
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    call.deadline_ms = deadline_ms;
    return scopekey_decryption_keys_for_async(sk, "alice", p->wrapped, p->wrapped_len, p->context, p->context_len, &call,
                                              done, t, out, error);
}

static void
a_callback_comes_once_with_the_result(void **state)
{
    (void)state;
    struct tally t = TALLY;
    struct scopekey_request *r = NULL;
    struct scopekey_request *second = NULL;
    OK(scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r, error));
    tally_wait(&t, 1);
    assert_false(pthread_equal(t.thread, pthread_self()));
    assert_int_equal(scopekey_request_is_over(r), 1);
    OK(scopekey_request_result(r, error));
    struct scopekey_material *m = scopekey_request_take_material(r);
    assert_non_null(m);
    assert_null(scopekey_request_take_material(r));
    assert_null(scopekey_request_take_aead(r));
    assert_null(scopekey_request_take_secret(r));
    assert_null(scopekey_request_take_bytes(r, NULL));
    struct parts p = {.m = m};
    p.wrapped = scopekey_material_wrapped(m, &p.wrapped_len);
    p.context = scopekey_material_context(m, &p.context_len);
    OK(open_async(&p, 0, &t, &second));
    tally_wait(&t, 2);
    struct scopekey_aead *aead = scopekey_request_take_aead(second);
    assert_memory_equal(scopekey_secret_data(scopekey_aead_key(aead)),
                        scopekey_secret_data(scopekey_aead_key(scopekey_material_aead(m))), SCOPEKEY_KEY_LENGTH);
    scopekey_aead_free(&aead);
    scopekey_material_free(&m);
    scopekey_request_free(&r);
    scopekey_request_free(&second);
    assert_int_equal(t.calls, 2);
    /* Without a callback one asks. */
    OK(scopekey_subject_ensure_async(sk, "dave", NULL, NULL, NULL, &r, error));
    while (!scopekey_request_is_over(r))
        (void)usleep(500);
    OK(scopekey_request_result(r, error));
    scopekey_request_free(&r);
}

static void
every_call_has_an_asynchronous_form(void **state)
{
    (void)state;
    struct tally t = TALLY;
    struct scopekey_request *r = NULL;
    struct parts p = api_make(sk, "alice");
    size_t len = 0;
    OK(scopekey_rewrap_async(sk, "alice", p.wrapped, p.wrapped_len, p.context, p.context_len, NULL, done, &t, &r, error));
    tally_wait(&t, 1);
    OK(scopekey_request_result(r, error));
    uint8_t *again = scopekey_request_take_bytes(r, &len);
    assert_int_equal(len, p.wrapped_len);
    assert_memory_not_equal(again, p.wrapped, len);
    scopekey_free(again);
    scopekey_request_free(&r);
    OK(scopekey_message_seal_async(sk, "alice", "hello", 5, "aad", 3, NULL, done, &t, &r, error));
    tally_wait(&t, 2);
    void *message = scopekey_request_take_bytes(r, &len);
    assert_non_null(message);
    scopekey_request_free(&r);
    OK(scopekey_message_open_async(sk, "alice", message, len, "aad", 3, NULL, done, &t, &r, error));
    tally_wait(&t, 3);
    struct scopekey_secret *plain = scopekey_request_take_secret(r);
    assert_int_equal(scopekey_secret_length(plain), 5);
    assert_memory_equal(scopekey_secret_data(plain), "hello", 5);
    scopekey_secret_free(&plain);
    scopekey_request_free(&r);
    scopekey_free(message);
    OK(scopekey_subject_ensure_async(sk, "carol", NULL, done, &t, &r, error));
    tally_wait(&t, 4);
    scopekey_request_free(&r);
    OK(scopekey_subject_rotate_async(sk, "carol", NULL, done, &t, &r, error));
    tally_wait(&t, 5);
    assert_int_equal(scopekey_request_number(r), 2);
    scopekey_request_free(&r);
    OK(scopekey_subject_rewrap_async(sk, "carol", NULL, done, &t, &r, error));
    tally_wait(&t, 6);
    OK(scopekey_request_result(r, error));
    assert_int_equal(scopekey_request_number(r), 0);
    scopekey_request_free(&r);
    OK(scopekey_subject_erase_async(sk, "carol", NULL, done, &t, &r, error));
    tally_wait(&t, 7);
    char *receipt = scopekey_request_take_bytes(r, &len);
    assert_non_null(strstr(receipt, "\"status\""));
    assert_int_equal(strlen(receipt), len);
    scopekey_free(receipt);
    scopekey_request_free(&r);
    assert_int_equal(t.by_code[SCOPEKEY_OK], 7);
    OK(scopekey_encryption_keys_for_async(sk, "carol", NULL, done, &t, &r, error));
    tally_wait(&t, 8);
    FAILS(scopekey_request_result(r, error), SCOPEKEY_E_ERASED, "subject/carol was erased");
    scopekey_request_free(&r);
    scopekey_material_free(&p.m);
}

enum { MANY = 1000 };

static void
half_of_a_thousand_are_cancelled(bool async)
{
    static struct scopekey_request *r[MANY];
    struct tally t = TALLY;
    struct fake *f = fake_install(sk, async);
    fake_hold(f, true);
    for (size_t i = 0; i < MANY; i++)
        OK(scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r[i], error));
    assert_int_equal(metric("scopekey_materials_in_flight"), MANY);
    fake_wait(f, async ? MANY : 4);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(scopekey_request_is_over(r[i]), 0);
    FAILS(scopekey_request_result(r[0], error), SCOPEKEY_E_STATE, "the request is still under way");
    assert_null(scopekey_request_take_material(r[0]));
    /* Without an asynchronous side, the first four are inside and not stopped. */
    for (size_t i = async ? 0 : 4; i < MANY; i += 2)
        scopekey_request_cancel(r[i]);
    if (async)
        tally_wait(&t, MANY / 2);
    assert_int_equal(t.by_code[SCOPEKEY_OK], 0);
    fake_hold(f, false);
    tally_wait(&t, MANY);
    assert_int_equal(t.by_code[SCOPEKEY_E_CANCELLED], async ? MANY / 2 : MANY / 2 - 2);
    assert_int_equal(t.by_code[SCOPEKEY_OK], async ? MANY / 2 : MANY / 2 + 2);
    assert_int_equal(f->cancels, async ? MANY / 2 : 0);
    for (size_t i = 0; i < MANY; i++) {
        bool cancelled = scopekey_request_result(r[i], error) == SCOPEKEY_E_CANCELLED;
        struct scopekey_material *m = scopekey_request_take_material(r[i]);
        assert_true(cancelled == (m == NULL));
        assert_true(cancelled == (i % 2 == 0 && (async || i >= 4)));
        scopekey_material_free(&m);
        scopekey_request_free(&r[i]);
    }
    fake_remove(&f);
    assert_int_equal(metric("scopekey_materials_in_flight"), 0);
}

static void
half_are_cancelled_at_an_asynchronous_keeper(void **state)
{
    (void)state;
    half_of_a_thousand_are_cancelled(true);
}

static void
half_are_cancelled_at_a_blocking_keeper(void **state)
{
    (void)state;
    half_of_a_thousand_are_cancelled(false);
}

/* ---- sharing ---- */

struct blocker {
    const struct parts *p;
    enum scopekey_code code;
    bool same;
};

static void *
open_blocking(void *arg)
{
    struct blocker *b = arg;
    struct scopekey_aead *aead = NULL;
    b->code = scopekey_decryption_keys_for(sk, "alice", b->p->wrapped, b->p->wrapped_len, b->p->context, b->p->context_len,
                                           NULL, &aead, NULL);
    b->same = aead != NULL && memcmp(scopekey_secret_data(scopekey_aead_key(aead)),
                                     scopekey_secret_data(scopekey_aead_key(scopekey_material_aead(b->p->m))), 32) == 0;
    scopekey_aead_free(&aead);
    return NULL;
}

static void
wait_shared(int64_t before, int64_t more)
{
    while (metric("scopekey_dek_cache_shared_total") < before + more)
        (void)usleep(500);
}

static void
a_thousand_unwraps_cost_one_call(bool async)
{
    static struct scopekey_request *r[MANY];
    enum { THREADS = 8 };
    pthread_t thread[THREADS];
    struct blocker blocker[THREADS];
    struct tally t = TALLY;
    struct parts p = api_make(sk, "alice");
    int64_t before = metric("scopekey_dek_cache_shared_total");
    struct fake *f = fake_install(sk, async);
    fake_hold(f, true);
    for (size_t i = 0; i < MANY; i++)
        OK(open_async(&p, 0, &t, &r[i]));
    for (size_t i = 0; i < THREADS; i++) {
        blocker[i] = (struct blocker){.p = &p};
        assert_int_equal(pthread_create(&thread[i], NULL, open_blocking, &blocker[i]), 0);
    }
    wait_shared(before, MANY + THREADS - 1);
    fake_hold(f, false);
    tally_wait(&t, MANY);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(blocker[i].code, SCOPEKEY_OK);
        assert_true(blocker[i].same);
    }
    assert_int_equal(t.by_code[SCOPEKEY_OK], MANY);
    assert_int_equal(f->unwraps, 1);
    for (size_t i = 0; i < MANY; i++) {
        struct scopekey_aead *aead = scopekey_request_take_aead(r[i]);
        assert_memory_equal(scopekey_secret_data(scopekey_aead_key(aead)),
                            scopekey_secret_data(scopekey_aead_key(scopekey_material_aead(p.m))), SCOPEKEY_KEY_LENGTH);
        scopekey_aead_free(&aead);
        scopekey_request_free(&r[i]);
    }
    fake_remove(&f);
    scopekey_material_free(&p.m);
}

static void
unwraps_are_shared_at_an_asynchronous_keeper(void **state)
{
    (void)state;
    a_thousand_unwraps_cost_one_call(true);
}

static void
unwraps_are_shared_at_a_blocking_keeper(void **state)
{
    (void)state;
    a_thousand_unwraps_cost_one_call(false);
}

static void
others_do_not_share_the_deadline_of_who_was_first(bool async)
{
    struct scopekey_request *r[12];
    struct tally t = TALLY;
    struct parts p = api_make(sk, "alice");
    int64_t before = metric("scopekey_dek_cache_shared_total");
    struct fake *f = fake_install(sk, async);
    fake_hold(f, true);
    OK(open_async(&p, 100, &t, &r[0]));
    fake_wait(f, 1);
    for (size_t i = 1; i < 10; i++)
        OK(open_async(&p, i % 3 == 0 ? 150 : 0, &t, &r[i]));
    wait_shared(before, 9);
    tally_wait(&t, 1);
    assert_int_equal(scopekey_request_is_over(r[0]), 1);
    assert_int_equal(scopekey_request_result(r[0], error), SCOPEKEY_E_CONNECTIVITY);
    /* One without a deadline has taken over; those with one do not wait for it. */
    tally_wait(&t, 4);
    for (size_t i = 3; i < 10; i += 3)
        FAILS(scopekey_request_result(r[i], error), SCOPEKEY_E_CONNECTIVITY, "unwrapping a DEK: the deadline has passed");
    fake_wait(f, 1);
    fake_hold(f, false);
    tally_wait(&t, 10);
    assert_int_equal(t.by_code[SCOPEKEY_OK], 6);
    assert_int_equal(f->unwraps, 2);
    for (size_t i = 0; i < 10; i++)
        scopekey_request_free(&r[i]);
    /* All threads of a blocking keeper are busy: what waits in the queue still ends in time. */
    fake_hold(f, true);
    for (size_t i = 0; i < 12; i++)
        OK(scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r[i], error));
    fake_wait(f, async ? 12 : 4);
    struct scopekey_request *late[2] = {NULL, NULL};
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    call.deadline_ms = 50;
    OK(scopekey_subject_ensure_async(sk, "alice", async ? NULL : &call, done, &t, &late[0], error));
    OK(scopekey_encryption_keys_for_async(sk, "alice", &call, done, &t, &late[1], error));
    tally_wait(&t, 12);
    if (!async)
        FAILS(scopekey_request_result(late[0], error), SCOPEKEY_E_CONNECTIVITY, "the deadline has passed");
    FAILS(scopekey_request_result(late[1], error), SCOPEKEY_E_CONNECTIVITY,
          async ? "fake: out of time" : "the deadline has passed");
    fake_hold(f, false);
    tally_wait(&t, 24);
    for (size_t i = 0; i < 12; i++)
        scopekey_request_free(&r[i]);
    scopekey_request_free(&late[0]);
    scopekey_request_free(&late[1]);
    fake_remove(&f);
    scopekey_material_free(&p.m);
}

static void
deadlines_are_kept_at_an_asynchronous_keeper(void **state)
{
    (void)state;
    others_do_not_share_the_deadline_of_who_was_first(true);
}

static void
deadlines_are_kept_at_a_blocking_keeper(void **state)
{
    (void)state;
    others_do_not_share_the_deadline_of_who_was_first(false);
}

static void
cancelling_the_first_does_not_stop_the_others(void **state)
{
    (void)state;
    struct scopekey_request *r[5];
    struct tally t = TALLY;
    struct parts p = api_make(sk, "alice");
    int64_t before = metric("scopekey_dek_cache_shared_total");
    struct fake *f = fake_install(sk, true);
    fake_hold(f, true);
    OK(open_async(&p, 0, &t, &r[0]));
    fake_wait(f, 1);
    for (size_t i = 1; i < 5; i++)
        OK(open_async(&p, 0, &t, &r[i]));
    wait_shared(before, 4);
    scopekey_request_cancel(r[0]);
    scopekey_request_cancel(r[0]);
    scopekey_request_cancel(r[3]);
    tally_wait(&t, 2);
    FAILS(scopekey_request_result(r[0], error), SCOPEKEY_E_CANCELLED, "the request was cancelled");
    assert_int_equal(f->cancels, 0);
    fake_hold(f, false);
    tally_wait(&t, 5);
    assert_int_equal(f->unwraps, 1);
    assert_int_equal(t.by_code[SCOPEKEY_OK], 3);
    for (size_t i = 0; i < 5; i++)
        scopekey_request_free(&r[i]);
    /* When nobody waits any more the keeper is told, and who comes next does not join what was given up. */
    fake_hold(f, true);
    for (size_t i = 0; i < 3; i++)
        OK(open_async(&p, 0, &t, &r[i]));
    wait_shared(before, 6);
    for (size_t i = 0; i < 3; i++)
        scopekey_request_cancel(r[i]);
    tally_wait(&t, 8);
    assert_int_equal(f->cancels, 1);
    OK(open_async(&p, 0, &t, &r[3]));
    fake_hold(f, false);
    tally_wait(&t, 9);
    OK(scopekey_request_result(r[3], error));
    for (size_t i = 0; i < 4; i++)
        scopekey_request_free(&r[i]);
    fake_remove(&f);
    scopekey_material_free(&p.m);
}

static void
a_failure_is_shared_too(void **state)
{
    (void)state;
    struct scopekey_request *r[100];
    struct tally t = TALLY;
    struct parts p = api_make(sk, "alice");
    int64_t before = metric("scopekey_dek_cache_shared_total");
    struct fake *f = fake_install(sk, true);
    fake_hold(f, true);
    f->fail_with = SCK_E_CONNECT;
    for (size_t i = 0; i < 100; i++)
        OK(open_async(&p, 60000, &t, &r[i]));
    wait_shared(before, 99);
    fake_hold(f, false);
    tally_wait(&t, 100);
    assert_int_equal(t.by_code[SCOPEKEY_E_CONNECTIVITY], 100);
    assert_int_equal(f->unwraps, 1);
    FAILS(scopekey_request_result(r[99], error), SCOPEKEY_E_CONNECTIVITY, "fake: told to fail");
    for (size_t i = 0; i < 100; i++)
        scopekey_request_free(&r[i]);
    fake_remove(&f);
    scopekey_material_free(&p.m);
}

/* ---- lives of requests ---- */

static void
what_is_freed_calls_nobody(void **state)
{
    (void)state;
    struct scopekey_request *r[50];
    struct tally t = TALLY;
    struct fake *f = fake_install(sk, true);
    fake_hold(f, true);
    for (size_t i = 0; i < 50; i++)
        OK(scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r[i], error));
    fake_wait(f, 50);
    for (size_t i = 0; i < 50; i++) {
        scopekey_request_free(&r[i]);
        assert_null(r[i]);
    }
    fake_hold(f, false);
    while (metric("scopekey_materials_in_flight") > 0)
        (void)usleep(500);
    assert_int_equal(t.calls, 0);
    fake_remove(&f);
    /* A callback may free its own request. */
    t.free_it = true;
    for (size_t i = 0; i < 50; i++)
        OK(scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r[i], error));
    tally_wait(&t, 50);
    while (metric("scopekey_materials_in_flight") > 0)
        (void)usleep(500);
}

static void
slow_done(void *arg, struct scopekey_request *r)
{
    (void)r;
    (void)usleep(50000);
    atomic_store((atomic_int *)arg, 2);
}

static void
freeing_waits_for_a_callback_that_runs(void **state)
{
    (void)state;
    atomic_int stage = 0;
    struct scopekey_request *r = NULL;
    OK(scopekey_subject_ensure_async(sk, "alice", NULL, slow_done, &stage, &r, error));
    while (!scopekey_request_is_over(r))
        (void)usleep(100);
    scopekey_request_free(&r);
    assert_int_equal(atomic_load(&stage), 2);
}

static void
closing_ends_all(void **state)
{
    (void)state;
    struct scopekey *mine = NULL;
    struct scopekey_request *r[20];
    struct tally t = TALLY;
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    options.configuration = home.conf;
    for (int dispatch = 0; dispatch < 2; dispatch++) {
        options.dispatch = dispatch;
        memset(t.by_code, 0, sizeof t.by_code);
        t.calls = 0;
        OK(scopekey_open(&options, &mine, error));
        struct fake *f = fake_install(mine, true);
        fake_hold(f, true);
        for (size_t i = 0; i < 20; i++)
            OK(scopekey_encryption_keys_for_async(mine, "alice", NULL, done, &t, &r[i], error));
        fake_wait(f, 20);
        scopekey_close(&mine);
        assert_null(mine);
        assert_int_equal(t.by_code[SCOPEKEY_E_CANCELLED], 20);
        assert_true(!dispatch || pthread_equal(t.thread, pthread_self()));
        fake_remove(&f);
        for (size_t i = 0; i < 20; i++) {
            assert_int_equal(scopekey_request_is_over(r[i]), 1);
            scopekey_request_cancel(r[i]);
            scopekey_request_free(&r[i]);
        }
    }
    scopekey_close(&mine);
    scopekey_close(NULL);
}

static bool
readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void
an_event_loop_calls_in_its_own_thread(void **state)
{
    (void)state;
    struct scopekey *mine = NULL;
    struct scopekey_request *r[10];
    struct tally t = TALLY;
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    options.configuration = home.conf;
    options.dispatch = 1;
    OK(scopekey_open(&options, &mine, error));
    int fd = scopekey_descriptor(mine);
    assert_true(fd >= 0 && !readable(fd));
    assert_int_equal(scopekey_descriptor(sk), -1);
    assert_int_equal(scopekey_descriptor(NULL), -1);
    assert_int_equal(scopekey_dispatch(mine, 0), 0);
    assert_int_equal(scopekey_dispatch(NULL, 0), 0);
    for (size_t i = 0; i < 10; i++)
        OK(scopekey_encryption_keys_for_async(mine, "alice", NULL, done, &t, &r[i], error));
    for (size_t i = 0; i < 10; i++) {
        while (!scopekey_request_is_over(r[i]))
            (void)usleep(200);
    }
    assert_int_equal(t.calls, 0);
    assert_true(readable(fd));
    assert_int_equal(scopekey_dispatch(mine, 3), 3);
    assert_int_equal(t.calls, 3);
    assert_true(readable(fd));
    /* Freed before its callback was called: it is not. */
    scopekey_request_free(&r[9]);
    assert_int_equal(scopekey_dispatch(mine, 0), 6);
    assert_true(pthread_equal(t.thread, pthread_self()));
    assert_false(readable(fd));
    assert_int_equal(t.by_code[SCOPEKEY_OK], 9);
    /* A child has a descriptor of its own under the number. */
    OK(scopekey_encryption_keys_for_async(mine, "alice", NULL, done, &t, &r[9], error));
    while (!scopekey_request_is_over(r[9]))
        (void)usleep(200);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool quiet = !readable(fd) && scopekey_dispatch(mine, 0) == 0;
        _exit(quiet ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(readable(fd));
    assert_int_equal(scopekey_dispatch(mine, 0), 1);
    for (size_t i = 0; i < 10; i++)
        scopekey_request_free(&r[i]);
    scopekey_close(&mine);
}

/* In the child: everything works anew, and what was under way is the parent's. */
static int
in_the_child(struct scopekey_request *parents)
{
    struct tally t = TALLY;
    struct scopekey_request *r = NULL;
    struct scopekey_material *m = NULL;
    if (scopekey_request_is_over(parents) || scopekey_encryption_keys_for(sk, "alice", NULL, &m, NULL) != SCOPEKEY_OK)
        return 1;
    scopekey_material_free(&m);
    /* ThreadSanitizer cannot start threads in such a child. */
#if !defined(__SANITIZE_THREAD__)
    if (scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r, NULL) != SCOPEKEY_OK)
        return 2;
    tally_wait(&t, 1);
    if (t.by_code[SCOPEKEY_OK] != 1)
        return 3;
    scopekey_request_free(&r);
#else
    (void)t;
    (void)r;
#endif
    scopekey_request_cancel(parents);
    scopekey_request_free(&parents);
    scopekey_close(&sk);
    return 0;
}

static void
a_child_goes_on_by_itself(void **state)
{
    (void)state;
    struct tally t = TALLY;
    struct scopekey_request *r = NULL;
    struct parts p = api_make(sk, "alice");
    struct fake *f = fake_install(sk, true);
    fake_hold(f, true);
    OK(open_async(&p, 0, &t, &r));
    fake_wait(f, 1);
    /* The fake's thread is the parent's. */
    f->engine->keepers[SCK_KEEPER_TOKEN] = f->real;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(in_the_child(r));
    f->engine->keepers[SCK_KEEPER_TOKEN] = &f->base;
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fake_hold(f, false);
    tally_wait(&t, 1);
    OK(scopekey_request_result(r, error));
    scopekey_request_free(&r);
    fake_remove(&f);
    scopekey_material_free(&p.m);
}

/* ---- what is left behind ---- */

static int
open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    (void)closedir(d);
    return n;
}

static long
resident_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    }
    (void)fclose(f);
    return kib;
}

static void
round_of(int count, const struct parts *p)
{
    enum { AT_ONCE = 500 };
    static struct scopekey_request *r[AT_ONCE];
    for (int i = 0; i < count; i += AT_ONCE) {
        struct tally t = TALLY;
        for (int j = 0; j < AT_ONCE; j++) {
            if (j % 2 == 0)
                OK(scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &t, &r[j], error));
            else
                OK(open_async(p, 60000, &t, &r[j]));
            if (j % 10 == 0)
                scopekey_request_cancel(r[j]);
        }
        tally_wait(&t, AT_ONCE);
        for (int j = 0; j < AT_ONCE; j++)
            scopekey_request_free(&r[j]);
        assert_int_equal(t.by_code[SCOPEKEY_OK] + t.by_code[SCOPEKEY_E_CANCELLED], AT_ONCE);
    }
}

static void
nothing_grows_over_a_hundred_thousand(void **state)
{
    (void)state;
    struct fake *f = fake_install(sk, true);
    f->fast = true;
    struct parts p = api_make(sk, "alice");
    round_of(10000, &p);
    int files = open_files();
    long before = resident_kib();
    round_of(90000, &p);
    assert_int_equal(open_files(), files);
    /* Sanitizers keep what was freed for a while. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(resident_kib(), 0, before + 2048);
#else
    (void)before;
#endif
    scopekey_material_free(&p.m);
    fake_remove(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_comes_once_with_the_result),
        cmocka_unit_test(every_call_has_an_asynchronous_form),
        cmocka_unit_test(half_are_cancelled_at_an_asynchronous_keeper),
        cmocka_unit_test(half_are_cancelled_at_a_blocking_keeper),
        cmocka_unit_test(unwraps_are_shared_at_an_asynchronous_keeper),
        cmocka_unit_test(unwraps_are_shared_at_a_blocking_keeper),
        cmocka_unit_test(deadlines_are_kept_at_an_asynchronous_keeper),
        cmocka_unit_test(deadlines_are_kept_at_a_blocking_keeper),
        cmocka_unit_test(cancelling_the_first_does_not_stop_the_others),
        cmocka_unit_test(a_failure_is_shared_too),
        cmocka_unit_test(what_is_freed_calls_nobody),
        cmocka_unit_test(freeing_waits_for_a_callback_that_runs),
        cmocka_unit_test(closing_ends_all),
        cmocka_unit_test(an_event_loop_calls_in_its_own_thread),
        cmocka_unit_test(a_child_goes_on_by_itself),
        cmocka_unit_test(nothing_grows_over_a_hundred_thousand),
    };
    return cmocka_run_group_tests_name("async", tests, set_up, tear_down);
}
