/* SPDX-License-Identifier: MIT */
/* Tokens that are lost, refuse, lie or share their process with others. */
#include "tests/token/room.h"

#include "lib/token/rv.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct softhsm hsm;
static struct spy_counts *counts;
static CK_FUNCTION_LIST *foreign; /* SoftHSM as another user in this process sees it */

static int
set_up(void **state)
{
    union {
        void *object;
        CK_C_GetFunctionList fn;
    } get;
    (void)state;
    softhsm_start(&hsm);
    struct sck_token *token = softhsm_provisioned(&hsm);
    sck_token_free(&token);
    get.object = dlsym(dlopen(softhsm_module(), RTLD_NOW | RTLD_LOCAL), "C_GetFunctionList");
    if (get.object == NULL || get.fn(&foreign) != CKR_OK)
        return -1;
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
new_token(const char *faults)
{
    struct sck_token *token = NULL;
    softhsm_fault(&hsm, faults);
    spy_reset(counts);
    assert_ok(sck_token_new(&hsm.conf, &token, &err));
    return token;
}

/* ---- restarts ---- */

static CK_SLOT_ID
first_slot(void)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = 8;
    assert_int_equal(foreign->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    return slots[0];
}

static void
others_in_the_process(void **state)
{
    (void)state;
    CK_SESSION_HANDLE session;
    CK_INFO info;
    struct sck_token *token = new_token("");
    struct sck_tkey *key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    /* The second to come. */
    assert_int_equal(foreign->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    assert_int_equal(foreign->C_OpenSession(first_slot(), CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    assert_int_equal(foreign->C_Logout(session), CKR_OK);
    assert_ok(room_sign(key, &err));
    assert_int_equal(foreign->C_CloseAllSessions(first_slot()), CKR_OK);
    assert_ok(room_sign(key, &err));
    assert_int_equal(foreign->C_Finalize(NULL), CKR_OK);
    assert_ok(room_sign(key, &err));
    /* Finalised and initialised by another: it is his now, and we leave it as it is. */
    assert_int_equal(foreign->C_Finalize(NULL), CKR_OK);
    assert_int_equal(setenv("SOFTHSM2_CONF", hsm.module_env + strlen("SOFTHSM2_CONF="), 1), 0);
    assert_int_equal(foreign->C_Initialize(NULL), CKR_OK);
    assert_int_equal(unsetenv("SOFTHSM2_CONF"), 0);
    assert_ok(room_sign(key, &err));
    assert_int_equal(hsm.pin_asked > 0, 1);
    sck_tkey_unref(&key);
    sck_token_free(&token);
    assert_int_equal(foreign->C_GetInfo(&info), CKR_OK);
    assert_int_equal(foreign->C_Finalize(NULL), CKR_OK);
}

static void
environment_is_put_back(void **state)
{
    (void)state;
    assert_null(getenv("SOFTHSM2_CONF"));
    struct sck_token *token = new_token("");
    assert_ok(sck_token_login(token, &err));
    assert_null(getenv("SOFTHSM2_CONF"));
    sck_token_free(&token);
    assert_int_equal(setenv("SOFTHSM2_CONF", "/was/here", 1), 0);
    token = new_token("");
    assert_ok(sck_token_login(token, &err));
    assert_string_equal(getenv("SOFTHSM2_CONF"), "/was/here");
    assert_int_equal(unsetenv("SOFTHSM2_CONF"), 0);
    sck_token_free(&token);
}

static void
lost_once_is_not_noticed(void **state)
{
    static const unsigned long rvs[] = {0x30, 0x32, 0xB0, 0xB3, 0xE0, 0xE1, 0x101, 0x190, 0x60, 0x82, 0x90};
    static const char *const where[] = {"C_SignInit", "C_Sign"};
    (void)state;
    struct sck_token *token = new_token("");
    struct sck_tkey *key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    for (size_t i = 0; i < sizeof rvs / sizeof rvs[0]; i++) {
        for (int j = 0; j < 2; j++) {
            char fault[64];
            (void)snprintf(fault, sizeof fault, "%s 0x%lX once\n", where[j], rvs[i]);
            softhsm_fault(&hsm, fault);
            if (room_sign(key, &err) != SCK_OK)
                fail_msg("%s: %s", fault, err.message);
        }
    }
    softhsm_fault(&hsm, "");
    sck_tkey_unref(&key);
    sck_token_free(&token);
}

static void
lost_for_good_is_told(void **state)
{
    (void)state;
    struct sck_token *token = new_token("");
    struct sck_tkey *key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    softhsm_fault(&hsm, "C_Sign 0x32 always\n");
    assert_fails(room_sign(key, &err), SCK_E_TOKEN, "signing: CKR_DEVICE_REMOVED (0x32): connect the token again");
    assert_int_equal(err.rv, 0x32);
    softhsm_fault(&hsm, "C_Sign 0x5 always\n");
    spy_reset(counts);
    assert_fails(room_sign(key, &err), SCK_E_TOKEN, "signing: CKR_GENERAL_ERROR (0x5): see the token's own log");
    /* What is not a loss is not tried again. */
    assert_int_equal(counts->calls[SPY_C_Sign], 1);
    softhsm_fault(&hsm, "C_Sign 0x80001234 always\n");
    assert_fails(room_sign(key, &err), SCK_E_TOKEN,
                 "signing: unknown PKCS#11 error (0x80001234): see the token's own log");
    softhsm_fault(&hsm, "absent\n");
    assert_fails(room_sign(key, &err), SCK_E_TOKEN,
                 "no token \"scopekey test\": connect it or correct the label; there is none");
    softhsm_fault(&hsm, "");
    assert_ok(room_sign(key, &err));
    sck_tkey_unref(&key);
    sck_token_free(&token);
}

static void *
sign_many(void *arg)
{
    for (int i = 0; i < 40; i++) {
        struct sck_err e = SCK_ERR_INIT;
        if (room_sign(arg, &e) != SCK_OK) {
            fprintf(stderr, "thread: %s\n", e.message);
            return arg;
        }
    }
    return NULL;
}

/* The token is taken out and put back, with another slot number, under eight busy threads. */
static void
moved_under_load(void **state)
{
    (void)state;
    pthread_t threads[8];
    int failed = 0;
    struct sck_token *token = new_token("");
    struct sck_tkey *key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    softhsm_fault(&hsm, "moved 3\n");
    assert_ok(room_sign(key, &err));
    softhsm_fault(&hsm, "moved 4\n");
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, key), 0);
    for (int i = 0; i < 8; i++) {
        void *lost = NULL;
        pthread_join(threads[i], &lost);
        failed += lost != NULL;
    }
    assert_int_equal(failed, 0);
    sck_tkey_unref(&key);
    sck_token_free(&token);
}

/* ---- PINs ---- */

static void
wrong_pin_is_sent_once(void **state)
{
    (void)state;
    struct sck_token *token = new_token("");
    (void)snprintf(hsm.pin, sizeof hsm.pin, "not-the-pin");
    hsm.pin_asked = hsm.pin_again = 0;
    assert_fails(sck_token_login(token, &err), SCK_E_CREDENTIAL,
                 "logging in to token scopekey test: CKR_PIN_INCORRECT (0xA0): correct the PIN");
    assert_int_equal(counts->calls[SPY_C_Login], 1);
    assert_int_equal(hsm.pin_asked, 2);
    assert_int_equal(hsm.pin_again, 1);
    for (int i = 0; i < 3; i++)
        assert_fails(sck_token_login(token, &err), SCK_E_CREDENTIAL,
                     "the PIN given for token scopekey test was refused before and is not sent again: correct it and "
                     "start the program anew");
    assert_int_equal(counts->calls[SPY_C_Login], 1);
    /* Nor by another handle of the process. */
    sck_token_free(&token);
    assert_ok(sck_token_new(&hsm.conf, &token, &err));
    assert_int_equal(sck_token_login(token, &err), SCK_E_CREDENTIAL);
    assert_int_equal(counts->calls[SPY_C_Login], 1);
    (void)snprintf(hsm.pin, sizeof hsm.pin, "%s", SOFTHSM_PIN);
    assert_ok(sck_token_login(token, &err));
    assert_int_equal(counts->calls[SPY_C_Login], 2);
    sck_token_free(&token);
}

static void
pin_flags(void **state)
{
    (void)state;
    struct sck_token *token = new_token("pin-locked\n");
    assert_fails(sck_token_login(token, &err), SCK_E_CREDENTIAL,
                 "the user PIN of token scopekey test is locked: unlock it with the SO PIN and the token's own tool");
    softhsm_fault(&hsm, "pin-final-try\n");
    assert_fails(
        sck_token_login(token, &err), SCK_E_CREDENTIAL,
        "token scopekey test has one PIN try left, which is not risked: log in once with the token's own tool, "
        "then try again");
    softhsm_fault(&hsm, "pin-not-initialized\n");
    assert_fails(sck_token_login(token, &err), SCK_E_CREDENTIAL,
                 "token scopekey test has no user PIN yet: set one with the SO PIN and the token's own tool");
    assert_int_equal(counts->calls[SPY_C_Login], 0);
    softhsm_fault(&hsm, "C_Login 0xA4 once\n");
    assert_fails(sck_token_login(token, &err), SCK_E_CREDENTIAL,
                 "logging in to token scopekey test: CKR_PIN_LOCKED (0xA4): unlock the PIN with the SO PIN and the "
                 "token's own tool");
    assert_ok(sck_token_login(token, &err));
    sck_token_free(&token);
}

static enum sck_code
no_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *e)
{
    (void)arg;
    (void)again;
    (void)pin;
    return sck_fail(e, SCK_E_CREDENTIAL, "the PIN file /nowhere is not there");
}

static void
no_pin_to_be_had(void **state)
{
    (void)state;
    struct softhsm other = hsm;
    struct sck_token *token = NULL;
    other.conf.pin = no_pin;
    softhsm_fault(&hsm, "");
    assert_ok(sck_token_new(&other.conf, &token, &err));
    assert_fails(sck_token_login(token, &err), SCK_E_CREDENTIAL, "the PIN file /nowhere is not there");
    sck_token_free(&token);
    other.conf.pin = NULL;
    assert_ok(sck_token_new(&other.conf, &token, &err));
    assert_fails(sck_token_provision(token, NULL, NULL, &err), SCK_E_CREDENTIAL,
                 "own keys cannot be made without the PIN of token scopekey test: set a PIN source");
    sck_token_free(&token);
}

static void
names_of_return_values(void **state)
{
    (void)state;
    assert_string_equal(sck_rv_name(CKR_OK), "CKR_OK");
    assert_string_equal(sck_rv_name(CKR_PIN_LOCKED), "CKR_PIN_LOCKED");
    assert_null(sck_rv_name(0x7777));
    assert_int_equal(sck_rv_code(0x7777), SCK_E_TOKEN);
    assert_int_equal(sck_rv_code(CKR_PIN_LOCKED), SCK_E_CREDENTIAL);
    assert_int_equal(sck_rv_code(CKR_OK), SCK_OK);
    assert_int_equal(sck_rv_lost(CKR_OK), SCK_LOST_NOTHING);
    assert_int_equal(sck_rv_lost(0x7777), SCK_LOST_NOTHING);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_in_the_process),
        cmocka_unit_test(environment_is_put_back),
        cmocka_unit_test(lost_once_is_not_noticed),
        cmocka_unit_test(lost_for_good_is_told),
        cmocka_unit_test(moved_under_load),
        cmocka_unit_test(wrong_pin_is_sent_once),
        cmocka_unit_test(pin_flags),
        cmocka_unit_test(no_pin_to_be_had),

        cmocka_unit_test(names_of_return_values),
    };
    return cmocka_run_group_tests_name("token/faults", tests, set_up, tear_down);
}
