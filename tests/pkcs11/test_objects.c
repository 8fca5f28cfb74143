/* SPDX-License-Identifier: MIT */
/* Objects, attributes, searches. */
#include "tests/pkcs11/fixture.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 10, PAIRS = 8 };

static size_t
count_all(CK_SESSION_HANDLE h, CK_ATTRIBUTE *templ, CK_ULONG n)
{
    CK_OBJECT_HANDLE found[64];
    return fx_find_all(h, templ, n, found, 64);
}

static void
login_decides_what_is_seen(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(false);
    assert_int_equal(count_all(h, NULL, 0), PAIRS);
    assert_int_equal(fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls"), CK_INVALID_HANDLE);
    assert_int_equal(fx_find(h, CKO_SECRET_KEY, "subject/alice/data"), CK_INVALID_HANDLE);
    assert_int_not_equal(fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls"), CK_INVALID_HANDLE);
    h = fx_session(true);
    assert_int_equal(count_all(h, NULL, 0), 2 * PAIRS + (KEYS - PAIRS));
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    assert_int_not_equal(key, CK_INVALID_HANDLE);
    assert_int_equal(fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls"), key);
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
    /* Logout ends private handles for good, and leaves public ones. */
    assert_rv(F->C_Logout(h), CKR_OK);
    CK_ATTRIBUTE id = {CKA_ID, NULL, 0};
    assert_rv(F->C_GetAttributeValue(h, key, &id, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(F->C_GetAttributeValue(h, pub, &id, 1), CKR_OK);
    assert_rv(F->C_Login(h, CKU_USER, PIN, PIN_LEN), CKR_OK);
    assert_rv(F->C_GetAttributeValue(h, key, &id, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_true(fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls") > key);
}

static void
a_search_hides_what_a_logout_hid(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE one[1], rest[64];
    CK_ULONG n = 0;
    assert_rv(F->C_FindObjectsInit(h, NULL, 0), CKR_OK);
    assert_rv(F->C_FindObjects(h, one, 1, &n), CKR_OK);
    assert_int_equal(n, 1);
    assert_rv(F->C_Logout(h), CKR_OK);
    assert_rv(F->C_FindObjects(h, rest, 64, &n), CKR_OK);
    for (CK_ULONG i = 0; i < n; i++) {
        CK_OBJECT_CLASS class_ = 0;
        (void)fx_attr(h, rest[i], CKA_CLASS, &class_, sizeof class_);
        assert_int_equal(class_, CKO_PUBLIC_KEY);
    }
    assert_rv(F->C_FindObjectsFinal(h), CKR_OK);
}

static void
searches_match_exactly(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_CLASS prv = CKO_PRIVATE_KEY, cert = CKO_CERTIFICATE, data = CKO_DATA;
    CK_KEY_TYPE rsa = CKK_RSA, ec = CKK_EC, des = CKK_DES3;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_MECHANISM_TYPE odd = 1;
    const struct {
        CK_ATTRIBUTE a[3];
        CK_ULONG n;
        size_t found;
    } table[] = {
        {{{CKA_CLASS, &prv, sizeof prv}}, 1, PAIRS},
        {{{CKA_CLASS, &cert, sizeof cert}}, 1, 0},
        {{{CKA_CLASS, &data, sizeof data}}, 1, 0},
        {{{CKA_CLASS, &prv, sizeof prv}, {CKA_CLASS, &prv, sizeof prv}}, 2, PAIRS},
        {{{CKA_CLASS, &prv, sizeof prv}, {CKA_CLASS, &cert, sizeof cert}}, 2, 0},
        {{{CKA_KEY_TYPE, &rsa, sizeof rsa}}, 1, 6},
        {{{CKA_KEY_TYPE, &ec, sizeof ec}, {CKA_CLASS, &prv, sizeof prv}}, 2, 4},
        {{{CKA_KEY_TYPE, &des, sizeof des}}, 1, 0},
        {{{CKA_SIGN, &yes, 1}, {CKA_KEY_TYPE, &rsa, sizeof rsa}}, 2, 2},
        {{{CKA_DECRYPT, &yes, 1}, {CKA_KEY_TYPE, &rsa, sizeof rsa}}, 2, 2},
        {{{CKA_PRIVATE, &no, 1}}, 1, PAIRS},
        {{{CKA_TOKEN, &no, 1}}, 1, 0},
        {{{CKA_EXTRACTABLE, &yes, 1}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/alice/tls", 17}}, 1, 2},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/alice/tls", 17}, {CKA_PRIVATE, &yes, 1}}, 2, 1},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/alice/tl", 16}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/Alice/tls", 17}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/alice", 13}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/%61lice/tls", 19}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/../tls", 14}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "\xff\xfe", 2}}, 1, 0},
        {{{CKA_LABEL, NULL, 0}}, 1, 0},
        {{{CKA_LABEL, (void *)(uintptr_t) "subject/nobody/tls", 18}}, 1, 0},
        {{{CKA_ID, (void *)(uintptr_t) "0123456789abcdef", 16}}, 1, 0},
        {{{CKA_ID, (void *)(uintptr_t) "0123456789abcde", 15}}, 1, 0},
        {{{CKA_ID, NULL, 0}}, 1, 0},
        {{{CKA_UNIQUE_ID, (void *)(uintptr_t) "keypair-nothing/private", 23}}, 1, 0},
        {{{CKA_UNIQUE_ID, (void *)(uintptr_t) "\0\0/private", 10}}, 1, 0},
        {{{CKA_UNIQUE_ID, NULL, 0}}, 1, 0},
        {{{CKA_VENDOR_DEFINED | 1, &odd, sizeof odd}}, 1, 0},
        {{{CKA_VALUE, &odd, sizeof odd}}, 1, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        CK_ATTRIBUTE a[3];
        memcpy(a, table[i].a, sizeof a);
        size_t found = count_all(h, a, table[i].n);
        if (found != table[i].found)
            fail_msg("template %zu: %zu instead of %zu", i, found, table[i].found);
    }
}

static void
searches_by_id_find_both_halves(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    uint8_t prv_id[16], pub_id[16], unique[256];
    CK_OBJECT_HANDLE prv = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/rsa");
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/rsa");
    assert_int_equal(fx_attr(h, prv, CKA_ID, prv_id, 16), 16);
    assert_int_equal(fx_attr(h, pub, CKA_ID, pub_id, 16), 16);
    assert_memory_equal(prv_id, pub_id, 16);
    CK_ATTRIBUTE by_id = {CKA_ID, prv_id, 16};
    CK_OBJECT_HANDLE found[4];
    assert_int_equal(fx_find_all(h, &by_id, 1, found, 4), 2);
    assert_true((found[0] == prv && found[1] == pub) || (found[0] == pub && found[1] == prv));
    size_t n = fx_attr(h, prv, CKA_UNIQUE_ID, unique, sizeof unique);
    CK_ATTRIBUTE by_unique = {CKA_UNIQUE_ID, unique, n};
    assert_int_equal(fx_find_all(h, &by_unique, 1, found, 4), 1);
    assert_int_equal(found[0], prv);
}

static void
searches_have_states(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE found[4];
    CK_ULONG n = 7;
    assert_rv(F->C_FindObjects(h, found, 4, &n), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(F->C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(F->C_FindObjectsInit(h, NULL, 0), CKR_OK);
    assert_rv(F->C_FindObjectsInit(h, NULL, 0), CKR_OPERATION_ACTIVE);
    assert_rv(F->C_FindObjects(h, NULL, 4, &n), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_FindObjects(h, found, 4, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_FindObjects(h, found, 0, &n), CKR_OK);
    assert_int_equal(n, 0);
    assert_rv(F->C_FindObjects(h, found, 4, &n), CKR_OK);
    assert_int_equal(n, 4);
    assert_rv(F->C_FindObjectsFinal(h), CKR_OK);
    assert_rv(F->C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void
bad_templates_are_refused(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
    CK_OBJECT_CLASS class_ = CKO_PUBLIC_KEY;
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE good = {CKA_CLASS, &class_, sizeof class_};
    const struct {
        CK_ATTRIBUTE a;
        CK_RV rv;
    } table[] = {
        {{CKA_CLASS, NULL, sizeof class_}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_CLASS, &class_, 1}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_CLASS, &class_, 0}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_CLASS, &class_, ~0UL}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_TOKEN, &yes, 4}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_LABEL, &yes, 1UL << 30}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_LABEL, &yes, ~0UL}, CKR_ATTRIBUTE_VALUE_INVALID},
        {{CKA_ID, NULL, 16}, CKR_ATTRIBUTE_VALUE_INVALID},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        CK_ATTRIBUTE a = table[i].a;
        assert_rv(F->C_FindObjectsInit(h, &a, 1), table[i].rv);
    }
    assert_rv(F->C_FindObjectsInit(h, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_FindObjectsInit(h, &good, 1UL << 30), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_FindObjectsInit(h, &good, ~0UL), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_GetAttributeValue(h, key, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_GetAttributeValue(h, key, &good, 1UL << 30), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_GetAttributeValue(h, key, NULL, 0), CKR_OK);
    assert_rv(F->C_GetAttributeValue(h, 0, &good, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(F->C_GetAttributeValue(h, key + 1000, &good, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(F->C_GetAttributeValue(h, ~0UL, &good, 1), CKR_OBJECT_HANDLE_INVALID);
}

static void
expect_bool(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_BBOOL want)
{
    CK_BBOOL got = 9;
    if (fx_attr(h, o, type, &got, 1) != 1 || got != want)
        fail_msg("attribute 0x%lx is %d", type, got);
}

static void
expect_ulong(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, CK_ULONG want)
{
    CK_ULONG got = 99;
    if (fx_attr(h, o, type, &got, sizeof got) != sizeof got || got != want)
        fail_msg("attribute 0x%lx is 0x%lx", type, got);
}

static void
keys_are_what_they_are(void **state)
{
    (void)state;
    static const CK_ATTRIBUTE_TYPE never[] = {CKA_MODIFIABLE, CKA_COPYABLE, CKA_DESTROYABLE};
    static const CK_ATTRIBUTE_TYPE guarded[] = {CKA_PRIVATE,           CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE,
                                                CKA_NEVER_EXTRACTABLE, CKA_LOCAL,     CKA_TOKEN};
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE key[3] = {fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls"),
                               fx_find(h, CKO_SECRET_KEY, "subject/alice/data"),
                               fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls")};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            expect_bool(h, key[k], never[i], CK_FALSE);
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof guarded / sizeof guarded[0]; i++)
            expect_bool(h, key[k], guarded[i], CK_TRUE);
        expect_bool(h, key[k], CKA_EXTRACTABLE, CK_FALSE);
    }
    expect_bool(h, key[0], CKA_SIGN, CK_TRUE);
    expect_bool(h, key[0], CKA_DECRYPT, CK_FALSE);
    expect_bool(h, key[0], CKA_UNWRAP, CK_FALSE);
    expect_bool(h, key[0], CKA_DERIVE, CK_FALSE);
    expect_bool(h, key[0], CKA_ALWAYS_AUTHENTICATE, CK_FALSE);
    expect_bool(h, key[1], CKA_ENCRYPT, CK_TRUE);
    expect_bool(h, key[1], CKA_DECRYPT, CK_TRUE);
    expect_bool(h, key[1], CKA_WRAP, CK_FALSE);
    expect_bool(h, key[1], CKA_SIGN, CK_FALSE);
    expect_ulong(h, key[1], CKA_VALUE_LEN, 32);
    expect_ulong(h, key[1], CKA_KEY_TYPE, CKK_AES);
    expect_ulong(h, key[1], CKA_KEY_GEN_MECHANISM, CKM_AES_KEY_GEN);
    expect_bool(h, key[2], CKA_PRIVATE, CK_FALSE);
    expect_bool(h, key[2], CKA_VERIFY, CK_TRUE);
    expect_bool(h, key[2], CKA_ENCRYPT, CK_FALSE);
    CK_OBJECT_HANDLE dec = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/dec");
    expect_bool(h, dec, CKA_SIGN, CK_FALSE);
    expect_bool(h, dec, CKA_DECRYPT, CK_TRUE);
    CK_OBJECT_HANDLE any = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/any");
    expect_bool(h, any, CKA_SIGN, CK_TRUE);
    expect_bool(h, any, CKA_DECRYPT, CK_TRUE);
    CK_ULONG size = 0;
    assert_rv(F->C_GetObjectSize(h, any, &size), CKR_OK);
    assert_int_equal(size, CK_UNAVAILABLE_INFORMATION);
    assert_rv(F->C_GetObjectSize(h, 0, &size), CKR_OBJECT_HANDLE_INVALID);
    char text[64] = "";
    assert_int_equal(fx_attr(h, key[0], CKA_LABEL, text, sizeof text), 17);
    assert_memory_equal(text, "subject/alice/tls", 17);
    assert_int_equal(fx_attr(h, key[0], CKA_START_DATE, text, sizeof text), 8);
    assert_memory_equal(text, "20", 2);
    assert_int_equal(fx_attr(h, key[0], CKA_END_DATE, text, sizeof text), 0);
    CK_MECHANISM_TYPE allowed[32];
    assert_int_equal(fx_attr(h, key[0], CKA_ALLOWED_MECHANISMS, allowed, sizeof allowed), 6 * sizeof allowed[0]);
    assert_int_equal(allowed[0], CKM_ECDSA);
    assert_int_equal(fx_attr(h, key[1], CKA_ALLOWED_MECHANISMS, allowed, sizeof allowed), sizeof allowed[0]);
    assert_int_equal(allowed[0], CKM_AES_GCM);
}

static void
elliptic_curves_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        const char *params;
        size_t params_len, point_len;
        CK_KEY_TYPE type;
    } table[] = {
        {"subject/alice/tls", "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10, 65, CKK_EC},
        {"subject/alice/p384", "\x06\x05\x2b\x81\x04\x00\x22", 7, 97, CKK_EC},
        {"subject/alice/p521", "\x06\x05\x2b\x81\x04\x00\x23", 7, 133, CKK_EC},
        {"subject/alice/ed", "\x06\x03\x2b\x65\x70", 5, 32, CKK_EC_EDWARDS},
    };
    static const CK_OBJECT_CLASS halves[] = {CKO_PUBLIC_KEY, CKO_PRIVATE_KEY};
    CK_SESSION_HANDLE h = fx_session(true);
    for (size_t i = 0; i < 2 * sizeof table / sizeof table[0]; i++) {
        CK_OBJECT_HANDLE key = fx_find(h, halves[i % 2], table[i / 2].label);
        uint8_t params[32], point[256], spki[1024];
        assert_int_equal(fx_attr(h, key, CKA_EC_PARAMS, params, sizeof params), table[i / 2].params_len);
        assert_memory_equal(params, table[i / 2].params, table[i / 2].params_len);
        size_t len = table[i / 2].point_len, head = len > 127 ? 3 : 2;
        assert_int_equal(fx_attr(h, key, CKA_EC_POINT, point, sizeof point), head + len);
        assert_int_equal(point[0], 0x04);
        assert_int_equal(point[head - 1], len);
        size_t spki_len = fx_attr(h, key, CKA_PUBLIC_KEY_INFO, spki, sizeof spki);
        assert_true(spki_len > len);
        assert_memory_equal(spki + spki_len - len, point + head, len);
        expect_ulong(h, key, CKA_KEY_TYPE, table[i / 2].type);
    }
}

static void
rsa_keys_have_their_numbers(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/rsa");
    CK_OBJECT_HANDLE prv = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/rsa");
    uint8_t n[512], n2[512], e[8], spki[1024], mod[512] = {0};
    assert_int_equal(fx_attr(h, pub, CKA_MODULUS, n, sizeof n), 256);
    assert_int_equal(fx_attr(h, prv, CKA_MODULUS, n2, sizeof n2), 256);
    assert_memory_equal(n, n2, 256);
    assert_int_equal(fx_attr(h, prv, CKA_PUBLIC_EXPONENT, e, sizeof e), 3);
    assert_memory_equal(e, "\x01\x00\x01", 3);
    expect_ulong(h, pub, CKA_MODULUS_BITS, 2048);
    const unsigned char *p = spki;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)fx_attr(h, pub, CKA_PUBLIC_KEY_INFO, spki, sizeof spki));
    assert_non_null(key);
    BIGNUM *bn = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, "n", &bn), 1);
    assert_int_equal(BN_bn2binpad(bn, mod, 256), 256);
    assert_memory_equal(mod, n, 256);
    BN_free(bn);
    EVP_PKEY_free(key);
}

static void
what_can_be_filled_is_filled(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE aes = fx_find(h, CKO_SECRET_KEY, "subject/alice/data");
    CK_OBJECT_HANDLE rsa = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/rsa");
    uint8_t value[64], label[64], small[3] = {0xee, 0xee, 0xee};
    CK_ULONG len = 0;
    CK_ATTRIBUTE a[] = {{CKA_VALUE, value, sizeof value},   {CKA_LABEL, label, sizeof label},
                        {CKA_MODULUS, value, sizeof value}, {CKA_VALUE_LEN, &len, sizeof len},
                        {CKA_ID, small, sizeof small},      {CKA_ID, NULL, 0}};
    assert_rv(F->C_GetAttributeValue(h, aes, a, 6), CKR_ATTRIBUTE_SENSITIVE);
    assert_int_equal(a[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(a[1].ulValueLen, 18);
    assert_memory_equal(label, "subject/alice/data", 18);
    assert_int_equal(a[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(len, 32);
    assert_int_equal(a[4].ulValueLen, CK_UNAVAILABLE_INFORMATION);
    assert_int_equal(small[0], 0xee);
    assert_int_equal(a[5].ulValueLen, 16);
    CK_ATTRIBUTE missing = {CKA_MODULUS, value, sizeof value}, short_id = {CKA_ID, small, 15};
    assert_rv(F->C_GetAttributeValue(h, aes, &missing, 1), CKR_ATTRIBUTE_TYPE_INVALID);
    assert_rv(F->C_GetAttributeValue(h, aes, &short_id, 1), CKR_BUFFER_TOO_SMALL);
    static const CK_ATTRIBUTE_TYPE parts[] = {CKA_PRIVATE_EXPONENT, CKA_PRIME_1,    CKA_PRIME_2,
                                              CKA_EXPONENT_1,       CKA_EXPONENT_2, CKA_COEFFICIENT};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        CK_ATTRIBUTE part = {parts[i], value, sizeof value};
        assert_rv(F->C_GetAttributeValue(h, rsa, &part, 1), CKR_ATTRIBUTE_SENSITIVE);
        assert_int_equal(part.ulValueLen, CK_UNAVAILABLE_INFORMATION);
    }
    CK_ATTRIBUTE ec_value = {CKA_VALUE, value, sizeof value};
    CK_OBJECT_HANDLE ec = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    assert_rv(F->C_GetAttributeValue(h, ec, &ec_value, 1), CKR_ATTRIBUTE_SENSITIVE);
}

static void
nothing_is_changed_or_taken_away(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls"), copy = 0;
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
    CK_OBJECT_HANDLE aes = fx_find(h, CKO_SECRET_KEY, "subject/alice/data");
    CK_ATTRIBUTE label = {CKA_LABEL, (void *)(uintptr_t) "subject/bob/x", 13};
    assert_rv(F->C_SetAttributeValue(h, key, &label, 1), CKR_ACTION_PROHIBITED);
    assert_rv(F->C_SetAttributeValue(h, key, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_SetAttributeValue(h, 0, &label, 1), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(F->C_CopyObject(h, key, &label, 1, &copy), CKR_ACTION_PROHIBITED);
    assert_rv(F->C_DestroyObject(h, key), CKR_ACTION_PROHIBITED);
    assert_rv(F->C_DestroyObject(h, 0), CKR_OBJECT_HANDLE_INVALID);
    CK_MECHANISM wrap = {CKM_AES_KEY_WRAP, NULL, 0};
    unsigned char out[4096];
    CK_ULONG out_len = sizeof out;
    assert_rv(F->C_WrapKey(h, &wrap, aes, key, out, &out_len), CKR_KEY_UNEXTRACTABLE);
    assert_rv(F->C_WrapKey(h, &wrap, aes, aes, NULL, &out_len), CKR_KEY_UNEXTRACTABLE);
    assert_rv(F->C_WrapKey(h, &wrap, aes, pub, out, &out_len), CKR_KEY_NOT_WRAPPABLE);
    assert_rv(F->C_WrapKey(h, &wrap, aes, 0, out, &out_len), CKR_KEY_HANDLE_INVALID);
    assert_int_equal(fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls"), key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(login_decides_what_is_seen, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(a_search_hides_what_a_logout_hid, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(searches_match_exactly, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(searches_by_id_find_both_halves, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(searches_have_states, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(bad_templates_are_refused, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(keys_are_what_they_are, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(elliptic_curves_are_named, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(rsa_keys_have_their_numbers, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(what_can_be_filled_is_filled, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(nothing_is_changed_or_taken_away, fx_init, fx_fini),
    };
    return cmocka_run_group_tests_name("pkcs11 objects", tests, fx_start, fx_stop);
}
