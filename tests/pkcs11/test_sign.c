/* SPDX-License-Identifier: MIT */
/* Signatures, verification and digests: what comes out, and every state an operation can be in. */
#include "tests/pkcs11/fixture.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

static CK_RSA_PKCS_PSS_PARAMS pss256 = {CKM_SHA256, CKG_MGF1_SHA256, 32};
static CK_RSA_PKCS_PSS_PARAMS pss1 = {CKM_SHA_1, CKG_MGF1_SHA1, 20};
static CK_RSA_PKCS_PSS_PARAMS pss512 = {CKM_SHA512, CKG_MGF1_SHA512, 0};

#define PSS(p) &(p), sizeof(p)

/* `in_len` bytes are signed; 0: any number is fine. */
static const struct {
    const char *label;
    CK_MECHANISM mech;
    size_t in_len, sig_len;
} cases[] = {
    {"subject/alice/tls", {CKM_ECDSA, NULL, 0}, 32, 64},
    {"subject/alice/tls", {CKM_ECDSA_SHA1, NULL, 0}, 0, 64},
    {"subject/alice/tls", {CKM_ECDSA_SHA224, NULL, 0}, 0, 64},
    {"subject/alice/tls", {CKM_ECDSA_SHA256, NULL, 0}, 0, 64},
    {"subject/alice/tls", {CKM_ECDSA_SHA512, NULL, 0}, 0, 64},
    {"subject/alice/p384", {CKM_ECDSA_SHA384, NULL, 0}, 0, 96},
    {"subject/alice/p521", {CKM_ECDSA_SHA512, NULL, 0}, 0, 132},
    {"subject/alice/ed", {CKM_EDDSA, NULL, 0}, 0, 64},
    {"subject/alice/rsa", {CKM_RSA_PKCS, NULL, 0}, 51, 256},
    {"subject/alice/rsa", {CKM_SHA1_RSA_PKCS, NULL, 0}, 0, 256},
    {"subject/alice/rsa", {CKM_SHA224_RSA_PKCS, NULL, 0}, 0, 256},
    {"subject/alice/rsa", {CKM_SHA256_RSA_PKCS, NULL, 0}, 0, 256},
    {"subject/alice/rsa", {CKM_SHA384_RSA_PKCS, NULL, 0}, 0, 256},
    {"subject/alice/rsa", {CKM_SHA512_RSA_PKCS, NULL, 0}, 0, 256},
    {"subject/alice/rsa", {CKM_RSA_PKCS_PSS, PSS(pss256)}, 32, 256},
    {"subject/alice/rsa", {CKM_SHA1_RSA_PKCS_PSS, PSS(pss1)}, 0, 256},
    {"subject/alice/rsa", {CKM_SHA256_RSA_PKCS_PSS, PSS(pss256)}, 0, 256},
    {"subject/alice/rsa", {CKM_SHA512_RSA_PKCS_PSS, PSS(pss512)}, 0, 256},
    {"subject/alice/any", {CKM_SHA256_RSA_PKCS, NULL, 0}, 0, 256},
};
enum { CASES = sizeof cases / sizeof cases[0], TEXT_LEN = 300 };

static unsigned char text[TEXT_LEN];

static size_t
in_len_of(size_t i)
{
    return cases[i].in_len != 0 ? cases[i].in_len : TEXT_LEN;
}

static void
signatures_verify(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    for (size_t i = 0; i < CASES; i++) {
        CK_MECHANISM mech = cases[i].mech;
        unsigned char sig[512];
        CK_ULONG len = 0, in = in_len_of(i);
        assert_rv(F->C_SignInit(h, &mech, fx_find(h, CKO_PRIVATE_KEY, cases[i].label)), CKR_OK);
        assert_rv(F->C_Sign(h, text, in, NULL, &len), CKR_OK);
        assert_int_equal(len, cases[i].sig_len);
        len--;
        assert_rv(F->C_Sign(h, text, in, sig, &len), CKR_BUFFER_TOO_SMALL);
        assert_int_equal(len, cases[i].sig_len);
        len = sizeof sig;
        assert_rv(F->C_Sign(h, text, in, sig, &len), CKR_OK);
        assert_int_equal(len, cases[i].sig_len);
        assert_rv(F->C_Sign(h, text, in, sig, &len), CKR_OPERATION_NOT_INITIALIZED);
        CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, cases[i].label);
        assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_OK);
        assert_rv(F->C_Verify(h, text, in, sig, len), CKR_OK);
        assert_rv(F->C_Verify(h, text, in, sig, len), CKR_OPERATION_NOT_INITIALIZED);
        sig[len / 2] ^= 1;
        assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_OK);
        assert_rv(F->C_Verify(h, text, in, sig, len), CKR_SIGNATURE_INVALID);
        sig[len / 2] ^= 1;
        text[0] ^= 1;
        assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_OK);
        assert_rv(F->C_Verify(h, text, in, sig, len), CKR_SIGNATURE_INVALID);
        text[0] ^= 1;
        assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_OK);
        assert_rv(F->C_Verify(h, text, in, sig, len - 1), CKR_SIGNATURE_LEN_RANGE);
    }
}

static void
parts_give_what_the_whole_gives(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    for (size_t i = 0; i < CASES; i++) {
        CK_MECHANISM mech = cases[i].mech;
        unsigned char sig[512];
        CK_ULONG len = 0, in = in_len_of(i);
        assert_rv(F->C_SignInit(h, &mech, fx_find(h, CKO_PRIVATE_KEY, cases[i].label)), CKR_OK);
        assert_rv(F->C_SignUpdate(h, text, 7), CKR_OK);
        assert_rv(F->C_SignUpdate(h, NULL, 0), CKR_OK);
        assert_rv(F->C_SignUpdate(h, text + 7, in - 7), CKR_OK);
        assert_rv(F->C_SignFinal(h, NULL, &len), CKR_OK);
        assert_int_equal(len, cases[i].sig_len);
        len = 1;
        assert_rv(F->C_SignFinal(h, sig, &len), CKR_BUFFER_TOO_SMALL);
        len = sizeof sig;
        assert_rv(F->C_SignFinal(h, sig, &len), CKR_OK);
        assert_rv(F->C_SignFinal(h, sig, &len), CKR_OPERATION_NOT_INITIALIZED);
        CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, cases[i].label);
        assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_OK);
        assert_rv(F->C_Verify(h, text, in, sig, len), CKR_OK);
        assert_rv(F->C_VerifyInit(h, &mech, pub), CKR_OK);
        assert_rv(F->C_VerifyUpdate(h, text, 1), CKR_OK);
        assert_rv(F->C_VerifyUpdate(h, text + 1, in - 1), CKR_OK);
        assert_rv(F->C_VerifyFinal(h, sig, len), CKR_OK);
    }
}

/* What OpenSSL says about a signature, from the public key that the module shows. */
static int
openssl_verifies(CK_SESSION_HANDLE h, const char *label, const char *md, bool pss, const uint8_t *sig, size_t len)
{
    uint8_t spki[1024];
    const unsigned char *p = spki;
    size_t spki_len = fx_attr(h, fx_find(h, CKO_PUBLIC_KEY, label), CKA_PUBLIC_KEY_INFO, spki, sizeof spki);
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki_len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    assert_int_equal(EVP_DigestVerifyInit_ex(ctx, &pctx, md, NULL, NULL, key, NULL), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    int rc = EVP_DigestVerify(ctx, sig, len, text, TEXT_LEN);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return rc;
}

static void
openssl_agrees(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        CK_MECHANISM mech;
        const char *md;
    } table[] = {
        {"subject/alice/ed", {CKM_EDDSA, NULL, 0}, NULL},
        {"subject/alice/rsa", {CKM_SHA256_RSA_PKCS, NULL, 0}, "SHA256"},
        {"subject/alice/rsa", {CKM_SHA1_RSA_PKCS, NULL, 0}, "SHA1"},
        {"subject/alice/rsa", {CKM_SHA224_RSA_PKCS, NULL, 0}, "SHA224"},
        {"subject/alice/rsa", {CKM_SHA384_RSA_PKCS, NULL, 0}, "SHA384"},
        {"subject/alice/rsa", {CKM_SHA512_RSA_PKCS, NULL, 0}, "SHA512"},
        {"subject/alice/rsa", {CKM_SHA256_RSA_PKCS_PSS, PSS(pss256)}, "SHA256"},
        {"subject/alice/p521", {CKM_ECDSA_SHA512, NULL, 0}, "SHA512"},
        {"subject/bob/tls", {CKM_ECDSA_SHA256, NULL, 0}, "SHA256"},
    };
    CK_SESSION_HANDLE h = fx_session(true);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        CK_MECHANISM mech = table[i].mech;
        unsigned char sig[512], *der = NULL;
        CK_ULONG len = sizeof sig;
        assert_rv(F->C_SignInit(h, &mech, fx_find(h, CKO_PRIVATE_KEY, table[i].label)), CKR_OK);
        assert_rv(F->C_Sign(h, text, TEXT_LEN, sig, &len), CKR_OK);
        bool ec = mech.mechanism == CKM_ECDSA_SHA256 || mech.mechanism == CKM_ECDSA_SHA512;
        int der_len = (int)len;
        if (ec) {
            ECDSA_SIG *rs = ECDSA_SIG_new();
            int half = (int)len / 2;
            assert_int_equal(ECDSA_SIG_set0(rs, BN_bin2bn(sig, half, NULL), BN_bin2bn(sig + half, half, NULL)), 1);
            der_len = i2d_ECDSA_SIG(rs, &der);
            ECDSA_SIG_free(rs);
        }
        assert_int_equal(openssl_verifies(h, table[i].label, table[i].md, mech.pParameter != NULL, ec ? der : sig,
                                          (size_t)der_len),
                         1);
        OPENSSL_free(der);
    }
}

static void
errors_end_an_operation(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    CK_MECHANISM sha = {CKM_ECDSA_SHA256, NULL, 0}, raw = {CKM_ECDSA, NULL, 0};
    unsigned char sig[64];
    CK_ULONG len = sizeof sig;
    enum { NO_LEN, NO_DATA, AFTER_PART, TOO_LONG, EMPTY, PART_NULL, PART_LONG };
    static const CK_RV said[] = {CKR_ARGUMENTS_BAD,  CKR_ARGUMENTS_BAD, CKR_OPERATION_ACTIVE, CKR_DATA_LEN_RANGE,
                                 CKR_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD, CKR_DATA_LEN_RANGE};
    for (int i = NO_LEN; i <= PART_LONG; i++) {
        CK_RV rv = CKR_OK;
        assert_rv(F->C_SignInit(h, i == TOO_LONG || i == EMPTY ? &raw : &sha, key), CKR_OK);
        assert_rv(F->C_SignInit(h, &sha, key), CKR_OPERATION_ACTIVE);
        switch (i) {
        case NO_LEN: rv = F->C_Sign(h, text, TEXT_LEN, sig, NULL); break;
        case NO_DATA: rv = F->C_Sign(h, NULL, 4, sig, &len); break;
        case AFTER_PART:
            assert_rv(F->C_SignUpdate(h, text, 4), CKR_OK);
            rv = F->C_Sign(h, text, 4, sig, &len);
            break;
        case TOO_LONG: rv = F->C_Sign(h, text, 65, sig, &len); break;
        case EMPTY: rv = F->C_Sign(h, text, 0, sig, &len); break;
        case PART_NULL: rv = F->C_SignUpdate(h, NULL, 1); break;
        default: rv = F->C_SignUpdate(h, text, ~0UL - 8); break;
        }
        assert_rv(rv, said[i]);
        assert_rv(F->C_Sign(h, text, 32, sig, &len), CKR_OPERATION_NOT_INITIALIZED);
        assert_rv(F->C_SignUpdate(h, text, 32), CKR_OPERATION_NOT_INITIALIZED);
        assert_rv(F->C_SignFinal(h, sig, &len), CKR_OPERATION_NOT_INITIALIZED);
    }
    static const CK_ULONG impossible[] = {~0UL, 1UL << 63, 1UL << 62, (1UL << 40) + 1};
    for (size_t i = 0; i < 4; i++) {
        assert_rv(F->C_SignInit(h, &sha, key), CKR_OK);
        assert_rv(F->C_Sign(h, text, impossible[i], sig, &len), CKR_DATA_LEN_RANGE);
        assert_rv(F->C_SignInit(h, &sha, key), CKR_OK);
        assert_rv(F->C_SignUpdate(h, text, impossible[i]), CKR_DATA_LEN_RANGE);
    }
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
    assert_rv(F->C_VerifyInit(h, &sha, pub), CKR_OK);
    assert_rv(F->C_VerifyInit(h, &sha, pub), CKR_OPERATION_ACTIVE);
    assert_rv(F->C_VerifyUpdate(h, text, 4), CKR_OK);
    assert_rv(F->C_Verify(h, text, 4, sig, 64), CKR_OPERATION_ACTIVE);
    assert_rv(F->C_VerifyInit(h, &sha, pub), CKR_OK);
    assert_rv(F->C_Verify(h, text, 4, NULL, 64), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_VerifyInit(h, &sha, pub), CKR_OK);
    assert_rv(F->C_Verify(h, text, ~0UL, sig, 64), CKR_DATA_LEN_RANGE);
    assert_rv(F->C_VerifyFinal(h, sig, 64), CKR_OPERATION_NOT_INITIALIZED);
}

static void
signing_wants_the_right_key(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE ec = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
    CK_OBJECT_HANDLE rsa = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/rsa");
    CK_OBJECT_HANDLE dec = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/dec");
    CK_OBJECT_HANDLE aes = fx_find(h, CKO_SECRET_KEY, "subject/alice/data");
    unsigned char junk[sizeof pss256 + 1] = {0};
    CK_RSA_PKCS_PSS_PARAMS bad_hash = {CKM_MD5, CKG_MGF1_SHA256, 32}, bad_mgf = {CKM_SHA256, 99, 32};
    CK_RSA_PKCS_PSS_PARAMS long_salt = {CKM_SHA256, CKG_MGF1_SHA256, 223},
                           huge_salt = {CKM_SHA256, CKG_MGF1_SHA256, ~0UL};
    memcpy(junk + 1, &pss256, sizeof pss256);
    const struct {
        CK_MECHANISM mech;
        CK_OBJECT_HANDLE key;
        CK_RV rv;
    } table[] = {
        {{CKM_ECDSA, NULL, 0}, 0, CKR_KEY_HANDLE_INVALID},
        {{CKM_ECDSA, NULL, 0}, ~0UL, CKR_KEY_HANDLE_INVALID},
        {{CKM_ECDSA, NULL, 0}, pub, CKR_KEY_FUNCTION_NOT_PERMITTED},
        {{CKM_ECDSA, NULL, 0}, rsa, CKR_KEY_TYPE_INCONSISTENT},
        {{CKM_ECDSA, NULL, 0}, aes, CKR_KEY_TYPE_INCONSISTENT},
        {{CKM_EDDSA, NULL, 0}, ec, CKR_KEY_TYPE_INCONSISTENT},
        {{CKM_EDDSA, junk, 24}, ec, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS, NULL, 0}, dec, CKR_KEY_FUNCTION_NOT_PERMITTED},
        {{CKM_SHA256_RSA_PKCS, NULL, 0}, ec, CKR_KEY_TYPE_INCONSISTENT},
        {{CKM_SHA256, NULL, 0}, ec, CKR_MECHANISM_INVALID},
        {{CKM_AES_GCM, NULL, 0}, aes, CKR_MECHANISM_INVALID},
        {{CKM_RSA_X_509, NULL, 0}, rsa, CKR_MECHANISM_INVALID},
        {{~0UL, NULL, 0}, rsa, CKR_MECHANISM_INVALID},
        {{CKM_ECDSA, junk, 8}, ec, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_ECDSA, NULL, 8}, ec, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, NULL, 0}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, NULL, sizeof pss256}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, &pss256, sizeof pss256 - 1}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, &pss256, ~0UL}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, PSS(bad_hash)}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, PSS(bad_mgf)}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, PSS(long_salt)}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_RSA_PKCS_PSS, PSS(huge_salt)}, rsa, CKR_MECHANISM_PARAM_INVALID},
        {{CKM_SHA512_RSA_PKCS_PSS, PSS(pss256)}, rsa, CKR_MECHANISM_PARAM_INVALID},
        /* A parameter at an odd address is as good as any. */
        {{CKM_SHA256_RSA_PKCS_PSS, junk + 1, sizeof pss256}, rsa, CKR_OK},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        CK_MECHANISM mech = table[i].mech;
        CK_RV rv = F->C_SignInit(h, &mech, table[i].key);
        if (rv != table[i].rv)
            fail_msg("row %zu: 0x%lx instead of 0x%lx", i, rv, table[i].rv);
    }
    CK_MECHANISM mech = {CKM_ECDSA, NULL, 0};
    assert_rv(F->C_VerifyInit(h, &mech, ec), CKR_KEY_FUNCTION_NOT_PERMITTED);
    assert_rv(F->C_VerifyInit(h, NULL, pub), CKR_ARGUMENTS_BAD);
    CK_SESSION_HANDLE other = fx_session(true);
    assert_rv(F->C_SignInit(other, NULL, ec), CKR_ARGUMENTS_BAD);
}

static void
raw_inputs_have_limits(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_OBJECT_HANDLE rsa = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/rsa");
    CK_MECHANISM pkcs = {CKM_RSA_PKCS, NULL, 0}, pss = {CKM_RSA_PKCS_PSS, PSS(pss256)};
    unsigned char sig[256];
    CK_ULONG len = sizeof sig;
    assert_rv(F->C_SignInit(h, &pkcs, rsa), CKR_OK);
    assert_rv(F->C_Sign(h, text, 246, sig, &len), CKR_DATA_LEN_RANGE);
    assert_rv(F->C_SignInit(h, &pkcs, rsa), CKR_OK);
    assert_rv(F->C_SignUpdate(h, text, 200), CKR_OK);
    assert_rv(F->C_SignUpdate(h, text, 46), CKR_DATA_LEN_RANGE);
    assert_rv(F->C_SignInit(h, &pkcs, rsa), CKR_OK);
    assert_rv(F->C_Sign(h, text, 245, sig, &len), CKR_OK);
    assert_rv(F->C_SignInit(h, &pss, rsa), CKR_OK);
    assert_rv(F->C_Sign(h, text, 31, sig, &len), CKR_DATA_LEN_RANGE);
    assert_rv(F->C_SignInit(h, &pss, rsa), CKR_OK);
    assert_rv(F->C_Sign(h, text, 33, sig, &len), CKR_DATA_LEN_RANGE);
}

static void
logout_ends_private_operations(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_MECHANISM sha = {CKM_ECDSA_SHA256, NULL, 0}, digest = {CKM_SHA256, NULL, 0};
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls");
    unsigned char out[64];
    CK_ULONG len = sizeof out;
    assert_rv(F->C_DigestInit(h, &digest), CKR_OK);
    assert_rv(F->C_SignInit(h, &sha, key), CKR_OK);
    assert_rv(F->C_Logout(h), CKR_OK);
    assert_rv(F->C_Sign(h, text, 4, out, &len), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(F->C_SignInit(h, &sha, key), CKR_KEY_HANDLE_INVALID);
    assert_rv(F->C_Digest(h, text, 4, out, &len), CKR_OK);
}

static void
operations_of_a_session_do_not_meet(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(true);
    CK_MECHANISM ecdsa = {CKM_ECDSA_SHA256, NULL, 0}, digest = {CKM_SHA256, NULL, 0};
    unsigned char sig[64], sum[32], md[32];
    CK_ULONG sig_len = sizeof sig, sum_len = sizeof sum, n = 0;
    CK_OBJECT_HANDLE key = fx_find(h, CKO_PRIVATE_KEY, "subject/alice/tls"), found[2];
    CK_OBJECT_HANDLE pub = fx_find(h, CKO_PUBLIC_KEY, "subject/alice/tls");
    assert_rv(F->C_FindObjectsInit(h, NULL, 0), CKR_OK);
    assert_rv(F->C_SignInit(h, &ecdsa, key), CKR_OK);
    assert_rv(F->C_DigestInit(h, &digest), CKR_OK);
    assert_rv(F->C_SignUpdate(h, text, 100), CKR_OK);
    assert_rv(F->C_DigestUpdate(h, text, 100), CKR_OK);
    assert_rv(F->C_FindObjects(h, found, 2, &n), CKR_OK);
    assert_rv(F->C_SignUpdate(h, text + 100, 200), CKR_OK);
    assert_rv(F->C_DigestUpdate(h, text + 100, 200), CKR_OK);
    assert_rv(F->C_SignFinal(h, sig, &sig_len), CKR_OK);
    assert_rv(F->C_VerifyInit(h, &ecdsa, pub), CKR_OK);
    assert_rv(F->C_DigestFinal(h, sum, &sum_len), CKR_OK);
    assert_rv(F->C_Verify(h, text, 300, sig, sig_len), CKR_OK);
    assert_rv(F->C_FindObjectsFinal(h), CKR_OK);
    assert_int_equal(EVP_Digest(text, 300, md, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(sum, md, 32);
}

static void
digests_are_right(void **state)
{
    (void)state;
    static const struct {
        CK_MECHANISM_TYPE type;
        const char *name;
        CK_ULONG len;
    } table[] = {{CKM_SHA_1, "SHA1", 20},
                 {CKM_SHA224, "SHA224", 28},
                 {CKM_SHA256, "SHA256", 32},
                 {CKM_SHA384, "SHA384", 48},
                 {CKM_SHA512, "SHA512", 64}};
    CK_SESSION_HANDLE h = fx_session(false);
    unsigned char sum[64], md[64];
    for (size_t i = 0; i < 5; i++) {
        CK_MECHANISM mech = {table[i].type, NULL, 0};
        CK_ULONG len = 0;
        assert_rv(F->C_DigestInit(h, &mech), CKR_OK);
        assert_rv(F->C_DigestInit(h, &mech), CKR_OPERATION_ACTIVE);
        assert_rv(F->C_Digest(h, text, TEXT_LEN, NULL, &len), CKR_OK);
        assert_int_equal(len, table[i].len);
        len = 1;
        assert_rv(F->C_Digest(h, text, TEXT_LEN, sum, &len), CKR_BUFFER_TOO_SMALL);
        len = 64;
        assert_rv(F->C_Digest(h, text, TEXT_LEN, sum, &len), CKR_OK);
        assert_int_equal(EVP_Digest(text, TEXT_LEN, md, NULL, EVP_get_digestbyname(table[i].name), NULL), 1);
        assert_int_equal(len, table[i].len);
        assert_memory_equal(sum, md, len);
        assert_rv(F->C_Digest(h, text, TEXT_LEN, sum, &len), CKR_OPERATION_NOT_INITIALIZED);
    }
    CK_MECHANISM sha = {CKM_SHA256, NULL, 0}, sign = {CKM_ECDSA_SHA256, NULL, 0}, odd = {CKM_SHA256, sum, 4};
    CK_ULONG len = sizeof sum;
    assert_rv(F->C_DigestInit(h, NULL), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_DigestInit(h, &sign), CKR_MECHANISM_INVALID);
    assert_rv(F->C_DigestInit(h, &odd), CKR_MECHANISM_PARAM_INVALID);
    assert_rv(F->C_DigestInit(h, &sha), CKR_OK);
    assert_rv(F->C_DigestUpdate(h, NULL, 3), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_DigestFinal(h, sum, &len), CKR_OPERATION_NOT_INITIALIZED);
    assert_rv(F->C_DigestInit(h, &sha), CKR_OK);
    assert_rv(F->C_DigestUpdate(h, text, ~0UL), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_DigestInit(h, &sha), CKR_OK);
    assert_rv(F->C_DigestUpdate(h, text, 3), CKR_OK);
    assert_rv(F->C_Digest(h, text, 3, sum, &len), CKR_OPERATION_ACTIVE);
    assert_rv(F->C_DigestInit(h, &sha), CKR_OK);
    assert_rv(F->C_DigestKey(h, 1), CKR_KEY_INDIGESTIBLE);
    assert_rv(F->C_DigestFinal(h, sum, &len), CKR_OPERATION_NOT_INITIALIZED);
}

static void
random_bytes_are_random(void **state)
{
    (void)state;
    CK_SESSION_HANDLE h = fx_session(false);
    static unsigned char a[1100000], b[32];
    assert_rv(F->C_GenerateRandom(h, a, sizeof a), CKR_OK);
    assert_memory_not_equal(a + sizeof a - 32, b, 32);
    assert_rv(F->C_GenerateRandom(h, b, sizeof b), CKR_OK);
    assert_memory_not_equal(a, b, sizeof b);
    assert_rv(F->C_GenerateRandom(h, NULL, 1), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_GenerateRandom(h, a, ~0UL), CKR_ARGUMENTS_BAD);
    assert_rv(F->C_GenerateRandom(h, NULL, 0), CKR_OK);
    assert_rv(F->C_SeedRandom(h, a, 4), CKR_RANDOM_SEED_NOT_SUPPORTED);
    assert_rv(F->C_SeedRandom(h, NULL, 4), CKR_ARGUMENTS_BAD);
}

int
main(void)
{
    for (size_t i = 0; i < TEXT_LEN; i++)
        text[i] = (unsigned char)(i * 7 + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signatures_verify, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(parts_give_what_the_whole_gives, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(openssl_agrees, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(errors_end_an_operation, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(signing_wants_the_right_key, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(raw_inputs_have_limits, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(logout_ends_private_operations, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(operations_of_a_session_do_not_meet, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(digests_are_right, fx_init, fx_fini),
        cmocka_unit_test_setup_teardown(random_bytes_are_random, fx_init, fx_fini),
    };
    return cmocka_run_group_tests_name("pkcs11 signatures", tests, fx_start, fx_stop);
}
