/* SPDX-License-Identifier: MIT */
/* Many threads, few sessions; and how many calls things cost.  The spy counts. */
#include "lib/token/session.h"
#include "tests/token/room.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static struct softhsm hsm;
static struct spy_counts *counts;

static int
set_up(void **state)
{
    (void)state;
    softhsm_start(&hsm);
    struct sck_token *token = softhsm_provisioned(&hsm);
    sck_token_free(&token);
    softhsm_spy(&hsm);
    counts = spy_counts_map(hsm.counts_path);
    return counts == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
    (void)state;
    softhsm_end(&hsm);
    return 0;
}

static struct sck_token *
open_with(unsigned max_sessions, int64_t wait_ms, const char *faults)
{
    hsm.conf.max_sessions = max_sessions;
    hsm.conf.session_wait_ms = wait_ms;
    softhsm_fault(&hsm, faults);
    spy_reset(counts);
    return softhsm_open(&hsm);
}

static void
calls_per_operation(void **state)
{
    (void)state;
    uint8_t nonce[12] = {0}, data[64] = {0}, sealed[80];
    struct sck_token *token = open_with(4, 0, "");
    struct sck_tkey *ec = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    struct sck_tkey *aes = room_key(token, SCK_ALG_AES_256, SCK_USAGE_GCM);
    assert_ok(room_sign(ec, &err));
    spy_reset(counts);
    for (int i = 0; i < 10; i++)
        assert_ok(room_sign(ec, &err));
    assert_int_equal(spy_total(counts), 20);
    assert_int_equal(counts->calls[SPY_C_SignInit], 10);
    assert_int_equal(counts->calls[SPY_C_Sign], 10);
    spy_reset(counts);
    assert_ok(sck_tkey_gcm_seal(aes, nonce, NULL, 0, data, 64, sealed, &err));
    assert_int_equal(spy_total(counts), 2);
    assert_ok(sck_tkey_gcm_open(aes, nonce, NULL, 0, sealed, 80, data, &err));
    assert_int_equal(spy_total(counts), 4);
    uint8_t mac[32];
    assert_ok(sck_token_hmac(token, SCK_SYS_MAC, "x", 1, mac, &err));
    assert_int_equal(spy_total(counts), 6);
    /* A key that nobody has any more is destroyed at once, by one call. */
    spy_reset(counts);
    sck_tkey_unref(&aes);
    assert_int_equal(counts->calls[SPY_C_DestroyObject], 1);
    assert_int_equal(spy_total(counts), 1);
    sck_tkey_unref(&ec);
    sck_token_free(&token);
    assert_int_equal(counts->sessions, 0);
}

static void
opening_is_cheap(void **state)
{
    (void)state;
    struct sck_token *token = open_with(4, 0, "");
    /* Two searches, label and attributes of each own key, and what opening itself takes. */
    assert_in_range(spy_total(counts), 20, 90);
    assert_int_equal(counts->calls[SPY_C_Login], 1);
    assert_int_equal(counts->calls[SPY_C_OpenSession], 1);
    assert_int_equal(counts->calls[SPY_C_FindObjectsInit], 2);
    sck_token_free(&token);
}

struct crowd {
    struct sck_tkey *key;
    int times;
    atomic_int failed;
    char message[SCK_ERR_MESSAGE_MAX];
};

static void *
sign_many(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < c->times; i++) {
        struct sck_err e = SCK_ERR_INIT;
        if (room_sign(c->key, &e) != SCK_OK && atomic_fetch_add(&c->failed, 1) == 0)
            (void)snprintf(c->message, sizeof c->message, "%s", e.message);
    }
    return NULL;
}

static void
crowd_signs(unsigned max_sessions, const char *faults, unsigned threads, int times, uint64_t most)
{
    static pthread_t all[500];
    struct sck_token *token = open_with(max_sessions, 60000, faults);
    struct crowd c = {.key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN), .times = times};
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&all[i], &small, sign_many, &c), 0);
    for (unsigned i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    pthread_attr_destroy(&small);
    if (c.failed > 0)
        fail_msg("%d of %u failed: %s", c.failed, threads * (unsigned)times, c.message);
    assert_in_range(counts->most_sessions, 1, most);
    assert_int_equal(counts->calls[SPY_C_Sign], threads * (unsigned)times);
    sck_tkey_unref(&c.key);
    sck_token_free(&token);
    assert_int_equal(counts->sessions, 0);
}

static void
threads_64_on_4_sessions(void **state)
{
    (void)state;
    crowd_signs(4, "max-sessions 4\n", 64, 50, 4);
}

static void
threads_500(void **state)
{
    (void)state;
    crowd_signs(4, "max-sessions 4\n", 500, 1, 4);
}

static void
two_sessions(void **state)
{
    (void)state;
    crowd_signs(2, "max-sessions 2\n", 16, 20, 2);
}

/* The token has fewer than we were told: the pool shrinks, nobody fails. */
static void
fewer_than_configured(void **state)
{
    (void)state;
    crowd_signs(8, "max-sessions 3\n", 32, 10, 3);
    /* One alone: the internal session does everything. */
    crowd_signs(4, "max-sessions 1\n", 8, 5, 1);
}

static void
no_session_at_all(void **state)
{
    (void)state;
    hsm.conf.max_sessions = 4;
    softhsm_fault(&hsm, "C_OpenSession 0xB1 always\n");
    struct sck_token *token = NULL;
    assert_ok(sck_token_new(&hsm.conf, &token, &err));
    assert_fails(sck_token_login(token, &err), SCK_E_BUSY,
                 "opening a session on token scopekey test: CKR_SESSION_COUNT (0xB1): the token has no session left: "
                 "close other programs or lower max_sessions");
    assert_int_equal(err.rv, 0xB1);
    /* It is not given up for ever. */
    softhsm_fault(&hsm, "");
    assert_ok(sck_token_login(token, &err));
    sck_token_free(&token);
}

static void
deadline(void **state)
{
    (void)state;
    struct sck_use held;
    struct sck_token *token = open_with(2, 30, "");
    struct sck_tkey *key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    assert_ok(sck_session_take(token, SCK_NEED_KEYS, false, &held, &err));
    assert_fails(room_sign(key, &err), SCK_E_BUSY,
                 "no session of token scopekey test became free within 30 ms: raise max_sessions or session_wait_ms");
    assert_false(sck_session_give(&held, CKR_OK));
    assert_ok(room_sign(key, &err));
    sck_tkey_unref(&key);
    sck_token_free(&token);
}

struct in_line {
    struct sck_token *token;
    int place;
    atomic_int *served;
    int order;
};

static void *
wait_for_turn(void *arg)
{
    struct in_line *l = arg;
    struct sck_use use;
    struct sck_err e = SCK_ERR_INIT;
    if (sck_session_take(l->token, SCK_NEED_KEYS, false, &use, &e) != SCK_OK)
        return l;
    l->order = atomic_fetch_add(l->served, 1);
    (void)sck_session_give(&use, CKR_OK);
    return NULL;
}

static unsigned
waiting(struct sck_token *t)
{
    unsigned n = 0;
    pthread_mutex_lock(&t->lock);
    for (struct sck_waiter *w = t->worker_queue.head; w != NULL; w = w->next)
        n++;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* First come, first served. */
static void
in_order(void **state)
{
    (void)state;
    enum { LINE = 12 };
    struct in_line line[LINE];
    pthread_t threads[LINE];
    struct sck_use held;
    atomic_int served = 0;
    void *failed = NULL;
    struct sck_token *token = open_with(2, 60000, "");
    assert_ok(sck_session_take(token, SCK_NEED_KEYS, false, &held, &err));
    for (int i = 0; i < LINE; i++) {
        line[i] = (struct in_line){token, i, &served, -1};
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_turn, &line[i]), 0);
        while (waiting(token) != (unsigned)i + 1)
            usleep(200);
    }
    assert_false(sck_session_give(&held, CKR_OK));
    for (int i = 0; i < LINE; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
        assert_int_equal(line[i].order, i);
    }
    sck_token_free(&token);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_per_operation),   cmocka_unit_test(opening_is_cheap),
        cmocka_unit_test(threads_64_on_4_sessions), cmocka_unit_test(threads_500),
        cmocka_unit_test(two_sessions),          cmocka_unit_test(fewer_than_configured),
        cmocka_unit_test(no_session_at_all),     cmocka_unit_test(deadline),
        cmocka_unit_test(in_order),
    };
    return cmocka_run_group_tests_name("token/sessions", tests, set_up, tear_down);
}
