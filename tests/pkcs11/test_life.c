/* SPDX-License-Identifier: MIT */
/* Erasure under open handles, forks, threads, restarts. */
#include "tests/pkcs11/fixture.h"

#include "lib/base/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static CK_MECHANISM ecdsa = {CKM_ECDSA_SHA256, NULL, 0};
static unsigned char text[] = "what is signed";

static CK_RV
sign_once(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    unsigned char sig[64];
    CK_ULONG len = sizeof sig;
    CK_MECHANISM mech = ecdsa;
    CK_RV rv = F->C_SignInit(h, &mech, key);
    return rv == CKR_OK ? F->C_Sign(h, text, sizeof text, sig, &len) : rv;
}

static enum sck_code
make_carol(struct sck_service *service, struct sck_err *err)
{
    struct sck_scope scope;
    struct sck_key_info info;
    struct sck_key_spec pair = {.alg = SCK_ALG_EC_P256}, aes = {.alg = SCK_ALG_AES_256};
    enum sck_code code = sck_scope_make(SCK_SCOPE_SUBJECT, "carol", 5, &scope, err);
    if (code == SCK_OK)
        code = sck_key_create(service, &scope, "tls", &pair, &info, err);
    return code == SCK_OK ? sck_key_create(service, &scope, "data", &aes, &info, err) : code;
}

static enum sck_code
erase_carol(struct sck_service *service, struct sck_err *err)
{
    struct sck_scope scope;
    struct sck_buf receipt;
    sck_buf_init(&receipt, 65536);
    enum sck_code code = sck_scope_make(SCK_SCOPE_SUBJECT, "carol", 5, &scope, err);
    if (code == SCK_OK)
        code = sck_erase(service, &scope, NULL, NULL, &receipt, err);
    sck_buf_clear(&receipt);
    return code;
}

static void
erased_keys_leave_dead_handles(void **state)
{
    (void)state;
    fx_child(make_carol);
    CK_SESSION_HANDLE h = fx_session(true), other = fx_session(true);
    CK_OBJECT_HANDLE prv = fx_find(h, CKO_PRIVATE_KEY, "subject/carol/tls");
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/carol/tls");
    CK_OBJECT_HANDLE aes = fx_find(h, CKO_SECRET_KEY, "subject/carol/data");
    uint8_t id[16];
    assert_int_equal(fx_attr(h, prv, CKA_ID, id, sizeof id), 16);
    assert_rv(sign_once(h, prv), CKR_OK);
    CK_MECHANISM mech = ecdsa;
    assert_rv(F->C_SignInit(other, &mech, prv), CKR_OK);
    fx_child(erase_carol);
    /* An operation that was under way does not get its signature any more. */
    unsigned char sig[64];
    CK_ULONG len = sizeof sig;
    assert_rv(F->C_Sign(other, text, sizeof text, sig, &len), CKR_KEY_HANDLE_INVALID);
    assert_rv(sign_once(h, prv), CKR_KEY_HANDLE_INVALID);
    assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_KEY_HANDLE_INVALID);
    CK_ATTRIBUTE a = {CKA_LABEL, NULL, 0};
    assert_rv(F->C_GetAttributeValue(h, prv, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(F->C_GetAttributeValue(h, pub, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(F->C_GetAttributeValue(h, aes, &a, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_int_equal(fx_find(h, CKO_PRIVATE_KEY, "subject/carol/tls"), CK_INVALID_HANDLE);
    assert_int_equal(fx_find(h, CKO_PUBLIC_KEY, "subject/carol/tls"), CK_INVALID_HANDLE);
    CK_OBJECT_HANDLE found[64];
    CK_ATTRIBUTE by_id = {CKA_ID, id, sizeof id};
    assert_int_equal(fx_find_all(h, &by_id, 1, found, 64), 0);
    size_t n = fx_find_all(h, NULL, 0, found, 64);
    for (size_t i = 0; i < n; i++) {
        char label[128] = "";
        (void)fx_attr(h, found[i], CKA_LABEL, label, sizeof label - 1);
        assert_null(strstr(label, "carol"));
    }
    /* Everybody else goes on. */
    assert_rv(sign_once(h, fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls")), CKR_OK);
}

static void
sessions_do_not_hurt_each_other(void **state)
{
    (void)state;
    CK_SESSION_HANDLE a = fx_session(true), b = fx_session(true);
    CK_OBJECT_HANDLE key = fx_find(a, CKO_PRIVATE_KEY, "subject/alice/tls");
    CK_MECHANISM mech = ecdsa;
    unsigned char sig[64];
    CK_ULONG len = sizeof sig;
    assert_rv(F->C_SignInit(b, &mech, key), CKR_OK);
    assert_rv(sign_once(a, key), CKR_OK);
    assert_rv(F->C_CloseSession(a), CKR_OK);
    assert_rv(F->C_Sign(b, text, sizeof text, sig, &len), CKR_OK);
    assert_rv(sign_once(b, key), CKR_OK);
}

/* Run `fn` in a forked child; its result must be 0. */
static void
in_child(int (*fn)(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key), CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(h, key));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int
child_starts_anew(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    CK_SESSION_INFO info;
    CK_SESSION_HANDLE own;
    if (F->C_GetSessionInfo(h, &info) != CKR_CRYPTOKI_NOT_INITIALIZED ||
        sign_once(h, key) != CKR_CRYPTOKI_NOT_INITIALIZED || F->C_Finalize(NULL) != CKR_CRYPTOKI_NOT_INITIALIZED)
        return 1;
    if (F->C_Initialize(NULL) != CKR_OK || F->C_GetSessionInfo(h, &info) != CKR_SESSION_HANDLE_INVALID)
        return 2;
    if (F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &own) != CKR_OK || own <= h)
        return 3;
    if (F->C_GetSessionInfo(own, &info) != CKR_OK || info.state != CKS_RO_PUBLIC_SESSION)
        return 4;
    if (F->C_Login(own, CKU_USER, PIN, PIN_LEN) != CKR_OK)
        return 5;
    if (sign_once(own, key) != CKR_KEY_HANDLE_INVALID)
        return 6;
    if (sign_once(own, fx_find(own, CKO_PRIVATE_KEY, "subject/alice/tls")) != CKR_OK)
        return 7;
    return F->C_Finalize(NULL) == CKR_OK ? 0 : 8;
}

static void
children_start_anew(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    CK_MECHANISM mech = ecdsa;
    unsigned char sig[64];
    CK_ULONG len = sizeof sig;
    assert_rv(F->C_SignInit(h, &mech, key), CKR_OK);
    for (int i = 0; i < 3; i++)
        in_child(child_starts_anew, h, key);
    assert_rv(F->C_Sign(h, text, sizeof text, sig, &len), CKR_OK);
    assert_rv(sign_once(h, key), CKR_OK);
}

/* ---- threads ---- */

enum { THREADS = 8, ROUNDS = 25 };

static atomic_uint failures;
static atomic_bool stop;

static void *
sign_in_own_session(void *arg)
{
    CK_OBJECT_HANDLE key = *(CK_OBJECT_HANDLE *)arg;
    CK_SESSION_HANDLE h = 0;
    if (F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
        atomic_fetch_add(&failures, 1);
    for (int i = 0; i < ROUNDS; i++)
        if (sign_once(h, key) != CKR_OK)
            atomic_fetch_add(&failures, 1);
    if (F->C_CloseSession(h) != CKR_OK)
        atomic_fetch_add(&failures, 1);
    return NULL;
}

static void
threads_sign_in_sessions_of_their_own(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    pthread_t t[THREADS];
    atomic_store(&failures, 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sign_in_own_session, &key), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(atomic_load(&failures), 0);
}

struct shared {
    CK_SESSION_HANDLE h;
    CK_OBJECT_HANDLE key;
};

/* What two threads do to one session is their affair, as long as nothing breaks. */
static void *
quarrel(void *arg)
{
    const struct shared *s = arg;
    CK_OBJECT_HANDLE found[4];
    CK_ULONG n;
    while (!atomic_load(&stop)) {
        CK_RV rv = sign_once(s->h, s->key);
        if (rv != CKR_OK && rv != CKR_OPERATION_ACTIVE && rv != CKR_OPERATION_NOT_INITIALIZED &&
            rv != CKR_SESSION_HANDLE_INVALID && rv != CKR_KEY_HANDLE_INVALID && rv != CKR_CRYPTOKI_NOT_INITIALIZED)
            atomic_fetch_add(&failures, 1);
        if (F->C_FindObjectsInit(s->h, NULL, 0) == CKR_OK)
            (void)F->C_FindObjects(s->h, found, 4, &n);
        (void)F->C_FindObjectsFinal(s->h);
    }
    return NULL;
}

static void
sessions_close_under_their_users(void **state)
{
    (void)state;
    atomic_store(&failures, 0);
    for (int round = 0; round < 10; round++) {
        assert_rv(F->C_Initialize(NULL), CKR_OK);
        struct shared s = {.h = fx_session(true)};
        s.key = fx_find(s.h, CKO_PRIVATE_KEY, "subject/alice/tls");
        pthread_t t[3];
        atomic_store(&stop, false);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_create(&t[i], NULL, quarrel, &s), 0);
        (void)usleep(5000);
        if (round % 3 == 0)
            assert_rv(F->C_CloseSession(s.h), CKR_OK);
        if (round % 3 == 1)
            assert_rv(F->C_CloseAllSessions(0), CKR_OK);
        assert_rv(F->C_Finalize(NULL), CKR_OK);
        atomic_store(&stop, true);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(pthread_join(t[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&failures), 0);
}

static int
child_signs(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    (void)key;
    if (F->C_Initialize(NULL) != CKR_OK || F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK ||
        F->C_Login(h, CKU_USER, PIN, PIN_LEN) != CKR_OK)
        return 1;
    return sign_once(h, fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls")) == CKR_OK ? 0 : 2;
}

static void *
sign_until_stopped(void *arg)
{
    const struct shared *s = arg;
    CK_SESSION_HANDLE h = 0;
    if (F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
        atomic_fetch_add(&failures, 1);
    while (!atomic_load(&stop))
        if (sign_once(h, s->key) != CKR_OK)
            atomic_fetch_add(&failures, 1);
    return NULL;
}

static void
forks_while_others_sign(void **state)
{
    (void)state;
    struct shared s = {.h = fx_session(true)};
    s.key = fx_find(s.h, CKO_PRIVATE_KEY, "subject/alice/tls");
    pthread_t t[2];
    atomic_store(&failures, 0);
    atomic_store(&stop, false);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, sign_until_stopped, &s), 0);
    for (int i = 0; i < 10; i++)
        in_child(child_signs, s.h, s.key);
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    assert_int_equal(atomic_load(&failures), 0);
}

/* ---- ends ---- */

static int
exits_in_the_middle(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mech = ecdsa;
    (void)key;
    if (F->C_Initialize(NULL) != CKR_OK || F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK ||
        F->C_Login(h, CKU_USER, PIN, PIN_LEN) != CKR_OK ||
        F->C_SignInit(h, &mech, fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls")) != CKR_OK ||
        F->C_FindObjectsInit(h, NULL, 0) != CKR_OK)
        return 1;
    exit(0);
}

static void
finalise_late(void)
{
    (void)F->C_Finalize(NULL);
}

static int
finalises_at_exit(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    return atexit(finalise_late) == 0 ? exits_in_the_middle(h, key) : 1;
}

static void
exit_is_quiet(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        in_child(exits_in_the_middle, 0, 0);
        in_child(finalises_at_exit, 0, 0);
    }
}

/* ---- many keys ---- */

enum { MANY = 150 };

static enum sck_code
make_many(struct sck_service *service, struct sck_err *err)
{
    struct sck_scope scope, door;
    struct sck_key_info info;
    struct sck_key_spec aes = {.alg = SCK_ALG_AES_256}, pair = {.alg = SCK_ALG_EC_P256};
    enum sck_code code = sck_scope_make(SCK_SCOPE_SUBJECT, "many", 4, &scope, err);
    for (int i = 0; i < MANY && code == SCK_OK; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "k%d", i);
        code = sck_key_create(service, &scope, name, &aes, &info, err);
    }
    if (code == SCK_OK)
        code = sck_scope_make(SCK_SCOPE_SYSTEM, "door", 4, &door, err);
    return code == SCK_OK ? sck_key_create(service, &door, "tls", &pair, &info, err) : code;
}

/* A walk over several pages, fetched `step` at a time, sees every key once, and no system key. */
static void
walk_in_steps(CK_SESSION_HANDLE h, CK_ULONG step)
{
    CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
    CK_ATTRIBUTE templ = {CKA_CLASS, &secret, sizeof secret};
    CK_OBJECT_HANDLE found[MANY + 100];
    CK_ULONG got = 1, all = 0;
    bool seen[MANY] = {false};
    assert_rv(F->C_FindObjectsInit(h, &templ, 1), CKR_OK);
    while (got != 0) {
        assert_true(all + step <= MANY + 100);
        assert_rv(F->C_FindObjects(h, found + all, step, &got), CKR_OK);
        all += got;
    }
    assert_rv(F->C_FindObjectsFinal(h), CKR_OK);
    assert_int_equal(all, MANY + 2);
    for (CK_ULONG i = 0; i < all; i++) {
        char label[64] = "";
        (void)fx_attr(h, found[i], CKA_LABEL, label, sizeof label - 1);
        assert_null(strstr(label, "system"));
        if (strncmp(label, "subject/many/k", 14) == 0) {
            long k = strtol(label + 14, NULL, 10);
            assert_true(k >= 0 && k < MANY && !seen[k]);
            seen[k] = true;
        }
    }
}

static void
searches_go_on_over_pages(void **state)
{
    (void)state;
    fx_child(make_many);
    CK_SESSION_HANDLE h = fx_session(true);
    static const CK_ULONG steps[] = {1, 7, 50};
    for (size_t i = 0; i < 3; i++)
        walk_in_steps(h, steps[i]);
    assert_int_equal(fx_find(h, CKO_PUBLIC_KEY, "system/door/tls"), CK_INVALID_HANDLE);
    assert_int_equal(fx_find(h, CKO_PRIVATE_KEY, "system/door/tls"), CK_INVALID_HANDLE);
}

/* ---- a set-up that has no PIN of its own, and one that would use us as its own token ---- */

/* Write the configuration anew with one line replaced (`value` NULL: left out; a `key` that is a section: one line more). */
static void
reconfigure(const char *key, const char *value, struct sck_buf *old)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf now;
    sck_buf_init(old, 65536);
    sck_buf_init(&now, 65536);
    assert_int_equal(sck_file_read(fx_conf(), 65536, old, &err), SCK_OK);
    char *copy = strdup(sck_buf_str(old)), *rest = copy;
    bool done = false;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t len = strlen(key);
        bool hit = strncmp(line, key, len) == 0 && (line[len] == ' ' || line[len] == '=' || key[0] == '[');
        if (!hit || key[0] == '[')
            sck_buf_printf(&now, "%s\n", line);
        if (hit && value != NULL)
            sck_buf_printf(&now, key[0] == '[' ? "%s%s\n" : "%s = %s\n", key[0] == '[' ? "" : key, value);
        done = done || hit;
    }
    free(copy);
    assert_true(done);
    assert_int_equal(sck_file_replace(fx_conf(), now.data, now.len, 0600, &err), SCK_OK);
    sck_buf_clear(&now);
}

static void
put_back(struct sck_buf *old)
{
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_file_replace(fx_conf(), old->data, old->len, 0600, &err), SCK_OK);
    sck_buf_clear(old);
}

static int
token_judges_the_pin(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    static unsigned char wrong[] = "correct horse 9";
    (void)key;
    if (F->C_Initialize(NULL) != CKR_OK || F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
        return 1;
    if (F->C_Login(h, CKU_USER, wrong, sizeof wrong - 1) != CKR_PIN_INCORRECT)
        return 2;
    if (F->C_Login(h, CKU_USER, PIN, PIN_LEN) != CKR_OK)
        return 3;
    if (sign_once(h, fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls")) != CKR_OK)
        return 4;
    if (F->C_Logout(h) != CKR_OK || F->C_Login(h, CKU_USER, wrong, sizeof wrong - 1) != CKR_PIN_INCORRECT)
        return 5;
    if (F->C_Login(h, CKU_USER, PIN, PIN_LEN) != CKR_OK || F->C_Finalize(NULL) != CKR_OK)
        return 6;
    if (F->C_Initialize(NULL) != CKR_OK || F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
        return 7;
    if (F->C_Login(h, CKU_USER, wrong, sizeof wrong - 1) != CKR_PIN_INCORRECT)
        return 8;
    return F->C_Login(h, CKU_USER, PIN, PIN_LEN) == CKR_OK ? 0 : 9;
}

static void
without_a_configured_pin_the_token_judges(void **state)
{
    (void)state;
    struct sck_buf old;
    reconfigure("pin_file", NULL, &old);
    in_child(token_judges_the_pin, 0, 0);
    put_back(&old);
}

static int
refuses_itself(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    (void)key;
    if (F->C_Initialize(NULL) != CKR_OK || F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
        return 1;
    return F->C_Login(h, CKU_USER, PIN, PIN_LEN) == CKR_GENERAL_ERROR ? 0 : 2;
}

static void
the_module_is_not_its_own_token(void **state)
{
    (void)state;
    struct sck_buf old;
    reconfigure("module", SCK_TEST_MODULE, &old);
    in_child(refuses_itself, 0, 0);
    put_back(&old);
}

static int
sees_alice_alone(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
    if (F->C_Initialize(NULL) != CKR_OK || F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK ||
        F->C_Login(h, CKU_USER, PIN, PIN_LEN) != CKR_OK)
        return 1;
    CK_OBJECT_HANDLE found[64];
    size_t n = fx_find_all(h, NULL, 0, found, 64);
    for (size_t i = 0; i < n; i++) {
        char label[64] = "";
        (void)fx_attr(h, found[i], CKA_LABEL, label, sizeof label - 1);
        if (strncmp(label, "subject/alice/", 14) != 0 && strcmp(label, "system/door/tls") != 0)
            return 2;
    }
    if (n != 16 + 2 || fx_find(h, CKO_PUBLIC_KEY, "subject/bob/tls") != CK_INVALID_HANDLE)
        return 3;
    key = fx_find(h, CKO_PRIVATE_KEY, "system/door/tls");
    return key != CK_INVALID_HANDLE && sign_once(h, key) == CKR_OK ? 0 : 4;
}

/* The wall hides everybody else, and shows a system key that it names. */
static void
the_wall_confines(void **state)
{
    (void)state;
    struct sck_buf old;
    reconfigure("[scopekey]", "scopes = \"subject/alice, system/door\"", &old);
    in_child(sees_alice_alone, 0, 0);
    put_back(&old);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_configured_pin_the_token_judges),
        cmocka_unit_test(the_module_is_not_its_own_token),
        cmocka_unit_test(exit_is_quiet),
        cmocka_unit_test_setup_teardown(erased_keys_leave_dead_handles, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(sessions_do_not_hurt_each_other, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(children_start_anew, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(threads_sign_in_sessions_of_their_own, fx_init, fx_fini),
        cmocka_unit_test(sessions_close_under_their_users),
        cmocka_unit_test_setup_teardown(forks_while_others_sign, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(searches_go_on_over_pages, fx_init, fx_fini),
        cmocka_unit_test(the_wall_confines),
    };
    return cmocka_run_group_tests_name("pkcs11 life", tests, fx_start, fx_stop);
}
