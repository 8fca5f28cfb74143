/* SPDX-License-Identifier: MIT */
/*
 * Whole sequences of calls with arguments from a seeded generator, good and bad mixed.  Nothing crashes, nothing is written
 * behind the room that was given, every answer is one that PKCS#11 has for it, and what is made in between is right.
 */
#include "tests/pkcs11/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 20000, SESSIONS = 6, ROOM = 600, GUARD = 16 };

static uint64_t seed = 20261123;

/* xorshift64*, Vigna 2016. */
static uint64_t
draw(uint64_t below)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1dULL >> 16) % below;
}

static CK_SESSION_HANDLE sessions[SESSIONS];
static CK_OBJECT_HANDLE objects[32];
static size_t object_count;
static unsigned char in[ROOM], out[ROOM + GUARD], nonce[16];
static CK_ULONG out_len, room;

static CK_SESSION_HANDLE
some_session(void)
{
    return draw(40) == 0 ? draw(1000) : sessions[draw(SESSIONS)];
}

static CK_OBJECT_HANDLE
some_object(void)
{
    return draw(20) == 0 || object_count == 0 ? draw(200) : objects[draw(object_count)];
}

static CK_ULONG
some_len(void)
{
    static const CK_ULONG odd[] = {0, 1, ~0UL, 1UL << 62, ROOM};
    return draw(30) == 0 ? odd[draw(5)] : draw(ROOM);
}

/* Data of a length that is really there, or none at all, or a length that no data can have. */
static unsigned char *
some_data(CK_ULONG *len)
{
    *len = some_len();
    if (*len > ROOM && *len < 1UL << 62)
        *len = ROOM;
    return draw(30) == 0 ? NULL : in;
}

static unsigned char *
some_room(void)
{
    room = draw(4) == 0 ? draw(300) : ROOM;
    out_len = room;
    memset(out + room, 0xa5, ROOM + GUARD - room);
    return draw(12) == 0 ? NULL : out;
}

static void
check_room(void)
{
    for (size_t i = room; i < ROOM + GUARD; i++)
        if (out[i] != 0xa5)
            fail_msg("byte %zu behind a room of %lu was written", i, room);
}

static CK_MECHANISM *
some_mechanism(void)
{
    static CK_MECHANISM mech;
    static CK_RSA_PKCS_PSS_PARAMS pss;
    static CK_RSA_PKCS_OAEP_PARAMS oaep;
    static CK_GCM_PARAMS gcm;
    static const CK_MECHANISM_TYPE plain[] = {CKM_ECDSA,           CKM_ECDSA_SHA256, CKM_EDDSA,  CKM_RSA_PKCS,
                                              CKM_SHA256_RSA_PKCS, CKM_ECDSA_SHA384, CKM_SHA256, CKM_SHA512,
                                              CKM_AES_CBC,         0xdeadbeef};
    pss = (CK_RSA_PKCS_PSS_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, draw(8) == 0 ? some_len() : 32};
    oaep = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, draw(4) == 0 ? in : NULL, 0};
    oaep.ulSourceDataLen = draw(8) == 0 ? some_len() : 0;
    gcm = (CK_GCM_PARAMS){nonce, 12, 96, in, draw(64), 128};
    if (draw(8) == 0)
        gcm.ulIvLen = some_len();
    if (draw(8) == 0)
        gcm.ulTagBits = some_len();
    if (draw(8) == 0)
        gcm.pAAD = NULL;
    switch (draw(6)) {
    case 0: mech = (CK_MECHANISM){CKM_RSA_PKCS_PSS, &pss, sizeof pss}; break;
    case 1: mech = (CK_MECHANISM){CKM_SHA256_RSA_PKCS_PSS, &pss, sizeof pss}; break;
    case 2: mech = (CK_MECHANISM){CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep}; break;
    case 3: mech = (CK_MECHANISM){CKM_AES_GCM, &gcm, sizeof gcm}; break;
    default: mech = (CK_MECHANISM){plain[draw(10)], NULL, 0}; break;
    }
    if (draw(12) == 0)
        mech.ulParameterLen = some_len();
    if (draw(20) == 0)
        mech.pParameter = NULL;
    return draw(40) == 0 ? NULL : &mech;
}

static CK_RV
find_some(CK_SESSION_HANDLE h)
{
    CK_ULONG n = 0;
    CK_RV rv = F->C_FindObjectsInit(h, NULL, 0);
    if (rv == CKR_OK)
        rv = F->C_FindObjects(h, objects, 32, &n);
    if (rv == CKR_OK)
        object_count = n;
    (void)F->C_FindObjectsFinal(h);
    return rv;
}

static CK_RV
read_some(CK_SESSION_HANDLE h)
{
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_CLASS,     CKA_LABEL,   CKA_ID,        CKA_VALUE, CKA_EC_POINT,
                                              CKA_EC_PARAMS, CKA_MODULUS, CKA_UNIQUE_ID, CKA_SIGN,  0x7fffffffUL};
    unsigned char *at = some_room();
    CK_ATTRIBUTE a[2] = {{types[draw(10)], at, room}, {types[draw(10)], NULL, some_len()}};
    return F->C_GetAttributeValue(h, some_object(), a, draw(20) == 0 ? 0 : 2);
}

static CK_RV
reopen(void)
{
    size_t i = draw(SESSIONS);
    CK_RV rv = F->C_CloseSession(sessions[i]);
    if (rv == CKR_OK)
        rv = F->C_OpenSession(0, CKF_SERIAL_SESSION | (draw(2) == 0 ? CKF_RW_SESSION : 0), NULL, NULL, &sessions[i]);
    return rv;
}

static CK_RV
step(void)
{
    CK_SESSION_HANDLE h = some_session();
    CK_ULONG len = 0, *lenp = draw(40) == 0 ? NULL : &out_len;
    unsigned char *data = some_data(&len), *at = some_room();
    switch (draw(32)) {
    case 0: return draw(20) == 0 ? F->C_Logout(h) : find_some(h);
    case 1: return F->C_Login(h, CKU_USER, draw(3) == 0 ? data : PIN, PIN_LEN);
    case 2: return draw(3) == 0 ? reopen() : find_some(h);
    case 3:
    case 4: return read_some(h);
    case 5:
    case 6:
    case 7: return F->C_SignInit(h, some_mechanism(), some_object());
    case 8:
    case 9: return F->C_Sign(h, data, len, at, lenp);
    case 10: return F->C_SignUpdate(h, data, len);
    case 11: return F->C_SignFinal(h, at, lenp);
    case 12:
    case 13: return F->C_VerifyInit(h, some_mechanism(), some_object());
    case 14: return F->C_Verify(h, data, len, draw(20) == 0 ? NULL : in, draw(3) == 0 ? 64 : 256);
    case 15: return F->C_VerifyUpdate(h, data, len);
    case 16: return F->C_VerifyFinal(h, in, 64);
    case 17:
    case 18: return F->C_EncryptInit(h, some_mechanism(), some_object());
    case 19: return F->C_Encrypt(h, data, len, at, lenp);
    case 20: return F->C_EncryptUpdate(h, data, len, at, lenp);
    case 21: return F->C_EncryptFinal(h, at, lenp);
    case 22:
    case 23: return F->C_DecryptInit(h, some_mechanism(), some_object());
    case 24: return F->C_Decrypt(h, data, len, at, lenp);
    case 25: return F->C_DecryptUpdate(h, data, len, at, lenp);
    case 26: return F->C_DecryptFinal(h, at, lenp);
    case 27: return F->C_DigestInit(h, some_mechanism());
    case 28: return F->C_Digest(h, data, len, at, lenp);
    case 29: return F->C_DigestUpdate(h, data, len);
    case 30: return F->C_DigestFinal(h, at, lenp);
    default: return F->C_GetSessionInfo(h, NULL);
    }
}

static bool
is_expected(CK_RV rv)
{
    static const CK_RV expected[] = {CKR_OK,
                                     CKR_ARGUMENTS_BAD,
                                     CKR_ATTRIBUTE_SENSITIVE,
                                     CKR_ATTRIBUTE_TYPE_INVALID,
                                     CKR_BUFFER_TOO_SMALL,
                                     CKR_DATA_LEN_RANGE,
                                     CKR_ENCRYPTED_DATA_INVALID,
                                     CKR_ENCRYPTED_DATA_LEN_RANGE,
                                     CKR_KEY_FUNCTION_NOT_PERMITTED,
                                     CKR_KEY_HANDLE_INVALID,
                                     CKR_KEY_TYPE_INCONSISTENT,
                                     CKR_MECHANISM_INVALID,
                                     CKR_MECHANISM_PARAM_INVALID,
                                     CKR_OBJECT_HANDLE_INVALID,
                                     CKR_OPERATION_ACTIVE,
                                     CKR_OPERATION_NOT_INITIALIZED,
                                     CKR_PIN_INCORRECT,
                                     CKR_SESSION_HANDLE_INVALID,
                                     CKR_SIGNATURE_INVALID,
                                     CKR_SIGNATURE_LEN_RANGE,
                                     CKR_USER_ALREADY_LOGGED_IN,
                                     CKR_USER_NOT_LOGGED_IN};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (rv == expected[i])
            return true;
    return false;
}

static void
random_calls_break_nothing(void **state)
{
    (void)state;
    unsigned long good = 0;
    for (size_t i = 0; i < SESSIONS; i++)
        sessions[i] = fx_session(true);
    for (int i = 0; i < STEPS; i++) {
        CK_RV rv = step();
        check_room();
        if (!is_expected(rv))
            fail_msg("step %d: 0x%lx", i, rv);
        good += rv == CKR_OK;
    }
    print_message("%lu of %d calls succeeded\n", good, STEPS);
    assert_true(good > STEPS / 20);
    /* After all of it, a new session works as ever. */
    CK_SESSION_HANDLE h = fx_session(true);
    CK_MECHANISM mech = {CKM_ECDSA_SHA256, NULL, 0};
    unsigned char sig[64];
    CK_ULONG len = sizeof sig;
    assert_rv(F->C_SignInit(h, &mech, fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls")), CKR_OK);
    assert_rv(F->C_Sign(h, in, sizeof in, sig, &len), CKR_OK);
    assert_rv(F->C_VerifyInit(h, &mech, fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls")), CKR_OK);
    assert_rv(F->C_Verify(h, in, sizeof in, sig, len), CKR_OK);
}

int
main(void)
{
    /* Another seed on request, to look for more. */
    const char *given = getenv("SCOPEKEY_TEST_SEED");
    if (given != NULL)
        seed = strtoull(given, NULL, 10) | 1;
    (void)printf("# seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_calls_break_nothing, fx_init, fx_fini),
    };
    return cmocka_run_group_tests_name("pkcs11 random calls", tests, fx_start, fx_stop);
}
