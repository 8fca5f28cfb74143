/* SPDX-License-Identifier: MIT */
/* Children of a process that uses a token.  The alarms are a net under a hang; one that rings is a failure. */
#include "tests/token/room.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NET_S = 120 };

static struct softhsm hsm;
static struct sck_token *token;
static struct sck_tkey *key;

static int
set_up(void **state)
{
    (void)state;
    softhsm_start(&hsm);
    token = softhsm_provisioned(&hsm);
    key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sck_tkey_unref(&key);
    sck_token_free(&token);
    softhsm_end(&hsm);
    return 0;
}

/* Run `work` in a child; its exit status must be 0. */
static void
in_child(int (*work)(void))
{
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0) {
        alarm(NET_S);
        _exit(work());
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int
child_signs(void)
{
    struct sck_err e = SCK_ERR_INIT;
    for (int i = 0; i < 3; i++) {
        if (room_sign(key, &e) != SCK_OK) {
            fprintf(stderr, "child: %s\n", e.message);
            return 1;
        }
    }
    return 0;
}

static int
child_of_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(NET_S);
        _exit(child_signs());
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? child_signs() : 1;
}

static void
children_sign(void **state)
{
    (void)state;
    unsigned asked = hsm.pin_asked;
    in_child(child_signs);
    in_child(child_of_child);
    /* The parent's sessions and keys are untouched. */
    assert_ok(room_sign(key, &err));
    assert_int_equal(hsm.pin_asked, asked);
}

static int
child_frees(void)
{
    struct sck_err e = SCK_ERR_INIT;
    uint8_t mac[32];
    if (sck_token_hmac(token, SCK_SYS_MAC, "x", 1, mac, &e) != SCK_OK)
        return 1;
    sck_tkey_unref(&key);
    sck_token_free(&token);
    return 0;
}

static int
child_frees_unused(void)
{
    sck_tkey_unref(&key);
    sck_token_free(&token);
    return 0;
}

static void
children_free(void **state)
{
    (void)state;
    in_child(child_frees);
    in_child(child_frees_unused);
    assert_ok(room_sign(key, &err));
}

static atomic_bool stop;
static atomic_int failures;

static void *
sign_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct sck_err e = SCK_ERR_INIT;
        if (room_sign(key, &e) != SCK_OK) {
            fprintf(stderr, "thread: %s\n", e.message);
            atomic_fetch_add(&failures, 1);
        }
    }
    return NULL;
}

static void
fork_under_load(void **state)
{
    (void)state;
    pthread_t threads[6];
    atomic_store(&stop, false);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_on, NULL), 0);
    for (int i = 0; i < 50; i++)
        in_child(child_signs);
    atomic_store(&stop, true);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(failures, 0);
}

/* ---- a PIN callback that forks, as Apache's does ---- */

static bool child_goes_on;
static unsigned callback_forks;

static enum sck_code
forking_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *e)
{
    if (callback_forks++ > 0)
        return sck_fail(e, SCK_E_INTERNAL, "the PIN was asked for twice");
    pid_t pid = fork();
    if (pid == 0 && child_goes_on)
        return softhsm_pin(arg, again, pin, e);
    if (pid == 0) {
        alarm(NET_S);
        /* What was being opened is nobody's here; the token may be used. */
        _exit(0);
    }
    int status = 1;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return sck_fail(e, SCK_E_INTERNAL, "the child of the PIN callback failed");
    return softhsm_pin(arg, again, pin, e);
}

static void *
sign_once(void *arg)
{
    struct sck_err e = SCK_ERR_INIT;
    return room_sign(arg, &e) == SCK_OK ? NULL : arg;
}

static void
fork_in_pin_callback(void **state)
{
    (void)state;
    struct sck_token *own = NULL;
    struct sck_token_conf conf = hsm.conf;
    conf.pin = forking_pin;
    child_goes_on = false;
    callback_forks = 0;
    assert_ok(sck_token_new(&conf, &own, &err));
    pthread_t thread;
    void *failed = NULL;
    assert_int_equal(pthread_create(&thread, NULL, sign_once, key), 0);
    struct sck_tkey *mine = room_key(own, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    assert_ok(room_sign(mine, &err));
    pthread_join(thread, &failed);
    assert_null(failed);
    sck_tkey_unref(&mine);
    sck_token_free(&own);
}

/* The child comes back from the callback and goes on where its parent was. */
static int
child_returns_from_callback(void)
{
    struct sck_token *own = NULL;
    struct sck_err e = SCK_ERR_INIT;
    struct sck_token_conf conf = hsm.conf;
    pid_t me = getpid();
    uint8_t mac[32];
    conf.pin = forking_pin;
    child_goes_on = true;
    callback_forks = 0;
    if (sck_token_new(&conf, &own, &e) != SCK_OK ||
        sck_token_hmac(own, SCK_SYS_MAC, "x", 1, mac, &e) != SCK_OK) {
        fprintf(stderr, "%s: %s\n", getpid() == me ? "parent" : "child", e.message);
        _exit(1);
    }
    sck_token_free(&own);
    _exit(0);
}

static void
child_returns(void **state)
{
    (void)state;
    in_child(child_returns_from_callback);
}

static struct sck_token *recursive;
static struct sck_err inner;

static enum sck_code
recursive_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *e)
{
    uint8_t out[8];
    if (sck_token_random(recursive, out, sizeof out, &inner) == SCK_OK)
        return sck_fail(e, SCK_E_INTERNAL, "no recursion noticed");
    return softhsm_pin(arg, again, pin, e);
}

static void
token_used_in_its_callback(void **state)
{
    (void)state;
    struct sck_token_conf conf = hsm.conf;
    conf.pin = recursive_pin;
    assert_ok(sck_token_new(&conf, &recursive, &err));
    assert_ok(sck_token_login(recursive, &err));
    assert_int_equal(inner.code, SCK_E_STATE);
    assert_string_equal(inner.message, "token scopekey test was used from within its own PIN callback: get the PIN "
                                       "elsewhere");
    sck_token_free(&recursive);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_sign),        cmocka_unit_test(children_free),
        cmocka_unit_test(fork_under_load),      cmocka_unit_test(fork_in_pin_callback),
        cmocka_unit_test(child_returns),        cmocka_unit_test(token_used_in_its_callback),
    };
    return cmocka_run_group_tests_name("token/forks", tests, set_up, tear_down);
}
