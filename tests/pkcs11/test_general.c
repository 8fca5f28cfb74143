/* SPDX-License-Identifier: MIT */
/* Initialisation, slots, sessions and login: the module's manners. */
#include "tests/pkcs11/fixture.h"

#include "lib/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define assert_named(name, got, want)                                                                                \
    do {                                                                                                             \
        CK_RV got_ = (got);                                                                                          \
        if (got_ != (want))                                                                                          \
            fail_msg("%s: 0x%lx instead of 0x%lx", name, got_, (CK_RV)(want));                                       \
    } while (0)

static void
every_function_wants_initialisation(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = 1;
#define SESSION(name, call) assert_named(#name, call, CKR_CRYPTOKI_NOT_INITIALIZED);
#define OTHER(name, call) assert_named(#name, call, CKR_CRYPTOKI_NOT_INITIALIZED);
#include "tests/pkcs11/functions.h"
    assert_named("C_InitToken", F->C_InitToken(0, NULL, 0, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_named("C_CloseAllSessions", F->C_CloseAllSessions(0), CKR_CRYPTOKI_NOT_INITIALIZED);
    assert_named("C_Finalize", F->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void
every_function_wants_a_session(void **state)
{
    (void)state;
    static const CK_SESSION_HANDLE handles[] = {0, 1UL << 40, ~0UL};
    for (size_t i = 0; i < 3; i++) {
        CK_SESSION_HANDLE h = handles[i];
#define SESSION(name, call) assert_named(#name, call, CKR_SESSION_HANDLE_INVALID);
#define OTHER(name, call)
#include "tests/pkcs11/functions.h"
    }
}

static void
every_function_survives_nothing(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
#define SESSION(name, call)                                                                                          \
    if (strcmp(#name, "C_CloseSession") != 0)                                                                        \
        (void)(call);
#define OTHER(name, call) assert_named(#name, call, CKR_ARGUMENTS_BAD);
#include "tests/pkcs11/functions.h"
    assert_rv(F->C_CloseSession(h), CKR_OK);
}

static CK_RV
mutex_make(void **mutex)
{
    return mutex != NULL ? CKR_OK : CKR_GENERAL_ERROR;
}
static CK_RV
mutex_use(void *mutex)
{
    return mutex != NULL ? CKR_OK : CKR_GENERAL_ERROR;
}

static void
initialise_checks_its_arguments(void **state)
{
    (void)state;
    int something = 0;
    CK_C_INITIALIZE_ARGS args = {.pReserved = &something};
    assert_rv(F->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    args = (CK_C_INITIALIZE_ARGS){.CreateMutex = mutex_make};
    assert_rv(F->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    args = (CK_C_INITIALIZE_ARGS){mutex_make, mutex_use, mutex_use, NULL, CKF_OS_LOCKING_OK, NULL};
    assert_rv(F->C_Initialize(&args), CKR_ARGUMENTS_BAD);
    args = (CK_C_INITIALIZE_ARGS){mutex_make, mutex_use, mutex_use, mutex_use, 0, NULL};
    assert_rv(F->C_Initialize(&args), CKR_CANT_LOCK);
    static const CK_FLAGS flags[] = {0, CKF_OS_LOCKING_OK, CKF_LIBRARY_CANT_CREATE_OS_THREADS,
                                     CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS};
    for (size_t i = 0; i < 4; i++) {
        args = (CK_C_INITIALIZE_ARGS){.flags = flags[i]};
        assert_rv(F->C_Initialize(&args), CKR_OK);
        assert_rv(F->C_Initialize(&args), CKR_CRYPTOKI_ALREADY_INITIALIZED);
        assert_rv(F->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
        assert_rv(F->C_Finalize(&args), CKR_ARGUMENTS_BAD);
        assert_rv(F->C_Finalize(NULL), CKR_OK);
        assert_rv(F->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    }
    args = (CK_C_INITIALIZE_ARGS){mutex_make, mutex_use, mutex_use, mutex_use, CKF_OS_LOCKING_OK, NULL};
    assert_rv(F->C_Initialize(&args), CKR_OK);
    assert_rv(F->C_Finalize(NULL), CKR_OK);
}

static void
initialise_again_and_again(void **state)
{
    (void)state;
    CK_SESSION_HANDLE last_session = 0;
    CK_OBJECT_HANDLE last_object = 0;
    for (int i = 0; i < 20; i++) {
        assert_rv(F->C_Initialize(NULL), CKR_OK);
        CK_SESSION_HANDLE h = fx_session(i % 2 == 0);
        assert_true(h > last_session);
        CK_OBJECT_HANDLE key = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
        assert_true(key > last_object);
        if (last_session != 0)
            assert_rv(F->C_GetSessionInfo(last_session, NULL), CKR_SESSION_HANDLE_INVALID);
        last_session = h;
        last_object = key;
        assert_rv(F->C_Finalize(NULL), CKR_OK);
    }
}

static void
function_list_is_complete(void **state)
{
    (void)state;
    assert_int_equal(F->version.major, 2);
    assert_int_equal(F->version.minor, 40);
    CK_FUNCTION_LIST *again = NULL;
    assert_rv(F->C_GetFunctionList(&again), CKR_OK);
    assert_ptr_equal(again, F);
    assert_rv(F->C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
    void *entries[(sizeof *F - offsetof(CK_FUNCTION_LIST, C_Initialize)) / sizeof(void *)];
    memcpy(entries, &F->C_Initialize, sizeof entries);
    assert_int_equal(sizeof entries / sizeof entries[0], 68);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        assert_non_null(entries[i]);
}

static void
info_says_who_we_are(void **state)
{
    (void)state;
    CK_INFO info;
    assert_rv(F->C_GetInfo(&info), CKR_OK);
    assert_int_equal(info.cryptokiVersion.major, 2);
    assert_int_equal(info.cryptokiVersion.minor, 40);
    assert_memory_equal(info.manufacturerID, "Scopekey                        ", 32);
    assert_memory_equal(info.libraryDescription, "Scopekey scoped keys            ", 32);
    assert_int_equal(info.flags, 0);
}

static void
there_is_one_slot(void **state)
{
    (void)state;
    CK_ULONG n = 99;
    CK_SLOT_ID slots[2] = {7, 7};
    assert_rv(F->C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
    assert_int_equal(n, 1);
    n = 0;
    assert_rv(F->C_GetSlotList(CK_TRUE, slots, &n), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(n, 1);
    assert_int_equal(slots[0], 7);
    n = 2;
    assert_rv(F->C_GetSlotList(CK_FALSE, slots, &n), CKR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(slots[0], 0);
    assert_int_equal(slots[1], 7);
    CK_SLOT_INFO slot;
    assert_rv(F->C_GetSlotInfo(0, &slot), CKR_OK);
    assert_int_equal(slot.flags, CKF_TOKEN_PRESENT);
    assert_rv(F->C_GetSlotInfo(1, &slot), CKR_SLOT_ID_INVALID);
    CK_TOKEN_INFO token;
    assert_rv(F->C_GetTokenInfo(~0UL, &token), CKR_SLOT_ID_INVALID);
    assert_rv(F->C_GetTokenInfo(0, &token), CKR_OK);
    assert_memory_equal(token.label, "Scopekey                        ", 32);
    assert_int_equal(token.flags, CKF_RNG | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED);
    for (size_t i = 0; i < 16; i++)
        assert_non_null(strchr("0123456789abcdef", token.serialNumber[i]));
    CK_SLOT_ID event;
    assert_rv(F->C_WaitForSlotEvent(CKF_DONT_BLOCK, &event, NULL), CKR_NO_EVENT);
    assert_rv(F->C_WaitForSlotEvent(0, &event, NULL), CKR_FUNCTION_NOT_SUPPORTED);
    assert_rv(F->C_WaitForSlotEvent(CKF_DONT_BLOCK, &event, &n), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_InitToken(0, PIN, PIN_LEN, token.label), CKR_FUNCTION_NOT_SUPPORTED);
    assert_rv(F->C_InitToken(3, PIN, PIN_LEN, token.label), CKR_SLOT_ID_INVALID);
}

static void
mechanisms_are_listed_truly(void **state)
{
    (void)state;
    CK_MECHANISM_TYPE types[64];
    CK_ULONG n = 0;
    assert_rv(F->C_GetMechanismList(0, NULL, &n), CKR_OK);
    assert_int_equal(n, 26);
    n = 5;
    assert_rv(F->C_GetMechanismList(0, types, &n), CKR_BUFFER_TOO_SMALL);
    assert_int_equal(n, 26);
    n = 64;
    assert_rv(F->C_GetMechanismList(0, types, &n), CKR_OK);
    assert_int_equal(n, 26);
    CK_MECHANISM_INFO info;
    for (CK_ULONG i = 0; i < n; i++) {
        assert_rv(F->C_GetMechanismInfo(0, types[i], &info), CKR_OK);
        assert_int_not_equal(info.flags, 0);
        assert_true(info.ulMinKeySize <= info.ulMaxKeySize);
    }
    assert_rv(F->C_GetMechanismInfo(0, CKM_ECDSA_SHA256, &info), CKR_OK);
    assert_int_equal(info.flags, CKF_SIGN | CKF_VERIFY | CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS);
    assert_int_equal(info.ulMinKeySize, 256);
    assert_int_equal(info.ulMaxKeySize, 521);
    assert_rv(F->C_GetMechanismInfo(0, CKM_AES_GCM, &info), CKR_OK);
    assert_int_equal(info.ulMinKeySize, 32);
    assert_int_equal(info.flags, CKF_ENCRYPT | CKF_DECRYPT);
    assert_rv(F->C_GetMechanismInfo(0, CKM_AES_CBC, &info), CKR_MECHANISM_INVALID);
    assert_rv(F->C_GetMechanismInfo(0, ~0UL, &info), CKR_MECHANISM_INVALID);
    assert_rv(F->C_GetMechanismInfo(2, CKM_ECDSA, &info), CKR_SLOT_ID_INVALID);
}

static void
expect_state(CK_SESSION_HANDLE h, CK_STATE want)
{
    CK_SESSION_INFO info;
    assert_rv(F->C_GetSessionInfo(h, &info), CKR_OK);
    assert_int_equal(info.state, want);
    assert_int_equal(info.slotID, 0);
}

static void
sessions_follow_the_standard(void **state)
{
    (void)state;
    CK_SESSION_HANDLE ro, rw;
    assert_rv(F->C_OpenSession(0, 0, NULL, NULL, &ro), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    assert_rv(F->C_OpenSession(9, CKF_SERIAL_SESSION, NULL, NULL, &ro), CKR_SLOT_ID_INVALID);
    assert_rv(F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &ro), CKR_OK);
    assert_rv(F->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &rw), CKR_OK);
    CK_TOKEN_INFO token;
    assert_rv(F->C_GetTokenInfo(0, &token), CKR_OK);
    assert_int_equal(token.ulSessionCount, 2);
    assert_int_equal(token.ulRwSessionCount, 1);
    expect_state(ro, CKS_RO_PUBLIC_SESSION);
    expect_state(rw, CKS_RW_PUBLIC_SESSION);
    assert_rv(F->C_Logout(ro), CKR_USER_NOT_LOGGED_IN);
    assert_rv(F->C_Login(ro, CKU_USER, PIN, PIN_LEN), CKR_OK);
    expect_state(ro, CKS_RO_USER_FUNCTIONS);
    expect_state(rw, CKS_RW_USER_FUNCTIONS);
    assert_rv(F->C_Login(rw, CKU_USER, PIN, PIN_LEN), CKR_USER_ALREADY_LOGGED_IN);
    assert_rv(F->C_CloseSession(ro), CKR_OK);
    assert_rv(F->C_CloseSession(ro), CKR_SESSION_HANDLE_INVALID);
    expect_state(rw, CKS_RW_USER_FUNCTIONS);
    assert_rv(F->C_Logout(rw), CKR_OK);
    expect_state(rw, CKS_RW_PUBLIC_SESSION);
    assert_rv(F->C_Login(rw, CKU_USER, PIN, PIN_LEN), CKR_OK);
    /* The last session takes the login with it. */
    assert_rv(F->C_CloseSession(rw), CKR_OK);
    ro = fx_session(false);
    expect_state(ro, CKS_RO_PUBLIC_SESSION);
    assert_rv(F->C_CloseAllSessions(4), CKR_SLOT_ID_INVALID);
    assert_rv(F->C_CloseAllSessions(0), CKR_OK);
    assert_rv(F->C_GetSessionInfo(ro, NULL), CKR_SESSION_HANDLE_INVALID);
    assert_rv(F->C_CloseAllSessions(0), CKR_OK);
}

static void
wrong_logins_are_refused(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(false);
    static unsigned char wrong[] = "correct horse 2", longer[] = FX_PIN "0", huge[300];
    memset(huge, '1', sizeof huge);
    assert_rv(F->C_Login(h, CKU_USER, wrong, sizeof wrong - 1), CKR_PIN_INCORRECT);
    assert_rv(F->C_Login(h, CKU_USER, longer, sizeof longer - 1), CKR_PIN_INCORRECT);
    assert_rv(F->C_Login(h, CKU_USER, PIN, PIN_LEN - 1), CKR_PIN_INCORRECT);
    assert_rv(F->C_Login(h, CKU_USER, huge, sizeof huge), CKR_PIN_INCORRECT);
    assert_rv(F->C_Login(h, CKU_USER, PIN, 0), CKR_PIN_INCORRECT);
    assert_rv(F->C_Login(h, CKU_USER, PIN, ~0UL), CKR_PIN_INCORRECT);
    assert_rv(F->C_Login(h, CKU_USER, NULL, 4), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_Login(h, CKU_SO, PIN, PIN_LEN), CKR_USER_TYPE_INVALID);
    assert_rv(F->C_Login(h, 77, PIN, PIN_LEN), CKR_USER_TYPE_INVALID);
    assert_rv(F->C_Login(h, CKU_CONTEXT_SPECIFIC, PIN, PIN_LEN), CKR_OPERATION_NOT_INITIALIZED);
    expect_state(h, CKS_RO_PUBLIC_SESSION);
    assert_rv(F->C_Login(h, CKU_USER, PIN, PIN_LEN), CKR_OK);
}

static void
ten_thousand_sessions(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    CK_SESSION_HANDLE *h = calloc(COUNT, sizeof *h);
    assert_non_null(h);
    for (size_t i = 0; i < COUNT; i++) {
        assert_rv(F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h[i]), CKR_OK);
        assert_true(i == 0 || h[i] > h[i - 1]);
    }
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0};
    for (size_t i = 0; i < COUNT; i += 100)
        assert_rv(F->C_DigestInit(h[i], &sha), CKR_OK);
    CK_TOKEN_INFO token;
    assert_rv(F->C_GetTokenInfo(0, &token), CKR_OK);
    assert_int_equal(token.ulSessionCount, COUNT);
    for (size_t i = 0; i < COUNT; i += 2)
        assert_rv(F->C_CloseSession(h[i]), CKR_OK);
    for (size_t i = 0; i < COUNT; i++)
        assert_rv(F->C_GetSessionInfo(h[i], NULL), i % 2 == 0 ? CKR_SESSION_HANDLE_INVALID : CKR_ARGUMENTS_BAD);
    assert_rv(F->C_CloseAllSessions(0), CKR_OK);
    free(h);
}

/* In a child with SCOPEKEY_HOME elsewhere: what C_Initialize says, and how many slots have a token. */
static int
in_home(const char *where, CK_ULONG *present)
{
    int ends[2];
    CK_RV said[2] = {0, 0};
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        CK_ULONG n = 99;
        (void)setenv("SCOPEKEY_HOME", where, 1);
        (void)setenv("HOME", where, 1);
        said[0] = F->C_Initialize(NULL);
        if (said[0] == CKR_OK && F->C_GetSlotList(CK_TRUE, NULL, &n) == CKR_OK)
            said[1] = n;
        _exit(write(ends[1], said, sizeof said) == (ssize_t)sizeof said ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], said, sizeof said), sizeof said);
    (void)close(ends[0]);
    (void)close(ends[1]);
    *present = said[1];
    return (int)said[0];
}

static void
a_machine_without_set_up_has_an_empty_slot(void **state)
{
    (void)state;
    char where[128], path[160];
    CK_ULONG present = 9;
    struct sck_err err = SCK_ERR_INIT;
    (void)snprintf(where, sizeof where, "%s/nothing", fx_home());
    assert_int_equal(sck_dir_make(where, 0700, &err), SCK_OK);
    assert_int_equal(in_home(where, &present), CKR_OK);
    assert_int_equal(present, 0);
    /* One with a broken set-up says so. */
    (void)snprintf(path, sizeof path, "%s/scopekey.conf", where);
    assert_int_equal(sck_file_create(path, "[scopekey]\nbanana = 1\n", 22, 0600, &err), SCK_OK);
    assert_int_equal(in_home(where, &present), CKR_GENERAL_ERROR);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_wants_initialisation),
        cmocka_unit_test_setup_teardown(every_function_wants_a_session, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(every_function_survives_nothing, fx_init, fx_fini),
        cmocka_unit_test(initialise_checks_its_arguments),
        cmocka_unit_test(initialise_again_and_again),
        cmocka_unit_test(function_list_is_complete),
        cmocka_unit_test_setup_teardown(info_says_who_we_are, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(there_is_one_slot, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(mechanisms_are_listed_truly, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(sessions_follow_the_standard, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(wrong_logins_are_refused, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(ten_thousand_sessions, fx_init, fx_fini),
        cmocka_unit_test(a_machine_without_set_up_has_an_empty_slot),
    };
    return cmocka_run_group_tests_name("pkcs11 general", tests, fx_start, fx_stop);
}
