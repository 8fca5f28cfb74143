/* SPDX-License-Identifier: MIT */
/* The whole way of a key on a real token: made, wrapped, unwrapped, used; own keys; KEK records; resident keys. */
#include "tests/lib/softhsm.h"

#include "lib/base/crypto.h"

#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct softhsm hsm;
static struct sck_token *token;

static int
set_up(void **state)
{
    (void)state;
    softhsm_start(&hsm);
    token = softhsm_provisioned(&hsm);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sck_token_free(&token);
    softhsm_end(&hsm);
    return 0;
}

#define assert_ok(call)                                                                                              \
    do {                                                                                                             \
        struct sck_err err_ = SCK_ERR_INIT;                                                                          \
        err = err_;                                                                                                  \
        if ((call) != SCK_OK)                                                                                        \
            fail_msg("%s: %s", #call, err.message);                                                                  \
    } while (0)

static struct sck_err err;

static struct sck_tkey *
make_and_load(enum sck_alg alg, enum sck_usage usage, struct sck_buf *spki)
{
    struct sck_buf blob;
    struct sck_tkey *key = NULL;
    sck_buf_init(&blob, 8192);
    assert_ok(sck_token_generate(token, alg, usage, &blob, spki, &err));
    assert_ok(sck_tkey_load(token, alg, usage, SCK_ORIGIN_GENERATED, blob.data, blob.len, &key, &err));
    sck_buf_clear(&blob);
    return key;
}

static EVP_PKEY *
public_key(const struct sck_buf *spki)
{
    const unsigned char *p = spki->data;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)spki->len);
    assert_non_null(pkey);
    return pkey;
}

static void
ec_signs(void **state)
{
    static const struct {
        enum sck_alg alg;
        size_t spki_len;
    } cases[] = {{SCK_ALG_EC_P256, 91}, {SCK_ALG_EC_P384, 120}, {SCK_ALG_EC_P521, 158}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sck_buf spki;
        uint8_t digest[32], sig[160];
        size_t sig_len = 0;
        sck_buf_init(&spki, 512);
        struct sck_tkey *key = make_and_load(cases[i].alg, SCK_USAGE_SIGN, &spki);
        assert_int_equal(spki.len, cases[i].spki_len);
        assert_ok(sck_sha256("hello", 5, digest, &err));
        assert_ok(sck_tkey_sign(key, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &err));
        EVP_PKEY *pkey = public_key(&spki);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
        assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
        assert_int_equal(EVP_PKEY_verify(ctx, sig, sig_len, digest, 32), 1);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(pkey);
        sck_tkey_unref(&key);
        assert_null(key);
        sck_buf_clear(&spki);
    }
}

static void
gcm_seals_and_opens(void **state)
{
    (void)state;
    uint8_t nonce[12] = {1}, sealed[64 + 16], back[64], plain[64];
    memset(plain, 7, sizeof plain);
    struct sck_tkey *key = make_and_load(SCK_ALG_AES_256, SCK_USAGE_GCM, NULL);
    assert_ok(sck_tkey_gcm_seal(key, nonce, (const uint8_t *)"aad", 3, plain, 64, sealed, &err));
    assert_ok(sck_tkey_gcm_open(key, nonce, (const uint8_t *)"aad", 3, sealed, 80, back, &err));
    assert_memory_equal(back, plain, 64);
    struct sck_err bad = SCK_ERR_INIT;
    for (size_t i = 0; i < sizeof sealed; i++) {
        uint8_t copy[80];
        memcpy(copy, sealed, sizeof copy);
        copy[i] ^= 1;
        memset(back, 0x55, sizeof back);
        sck_err_clear(&bad);
        assert_int_equal(sck_tkey_gcm_open(key, nonce, (const uint8_t *)"aad", 3, copy, 80, back, &bad),
                         SCK_E_AUTHENTIC);
        assert_string_equal(bad.message, "decrypting with AES-GCM: the data is altered or not of this key");
        for (size_t j = 0; j < sizeof back; j++)
            assert_int_equal(back[j], 0);
    }
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_gcm_open(key, nonce, (const uint8_t *)"aae", 3, sealed, 80, back, &bad),
                     SCK_E_AUTHENTIC);
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_gcm_open(key, nonce, NULL, 0, sealed, 15, back, &bad), SCK_E_AUTHENTIC);
    assert_string_equal(bad.message, "decrypting with AES-GCM: 15 bytes are shorter than a tag");
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_gcm_seal(key, nonce, NULL, 0, plain, (size_t)1 << 40, sealed, &bad), SCK_E_USAGE);
    /* Nothing to encrypt but a tag to make. */
    assert_ok(sck_tkey_gcm_seal(key, nonce, NULL, 0, NULL, 0, sealed, &err));
    assert_ok(sck_tkey_gcm_open(key, nonce, NULL, 0, sealed, 16, back, &err));
    sck_tkey_unref(&key);
}

static void
rsa_signs_and_decrypts(void **state)
{
    (void)state;
    struct sck_buf spki;
    uint8_t digest[32], sig[512], sealed[512];
    size_t sig_len = 0, sealed_len = sizeof sealed;
    struct sck_secret *plain = NULL;
    sck_buf_init(&spki, 1024);
    struct sck_tkey *key = make_and_load(SCK_ALG_RSA_2048, SCK_USAGE_ANY, &spki);
    assert_int_equal(spki.len, 294);
    EVP_PKEY *pkey = public_key(&spki);
    assert_ok(sck_sha256("hello", 5, digest, &err));

    struct sck_pss pss = {NID_sha256, NID_sha256, 32};
    assert_ok(sck_tkey_sign(key, SCK_SIGN_RSA_PSS, &pss, digest, 32, sig, sizeof sig, &sig_len, &err));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, sig, sig_len, digest, 32), 1);
    EVP_PKEY_CTX_free(ctx);

    static const uint8_t sha256_info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                          0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    uint8_t info[sizeof sha256_info + 32];
    memcpy(info, sha256_info, sizeof sha256_info);
    memcpy(info + sizeof sha256_info, digest, 32);
    assert_ok(sck_tkey_sign(key, SCK_SIGN_RSA_PKCS1, NULL, info, sizeof info, sig, sizeof sig, &sig_len, &err));
    ctx = EVP_PKEY_CTX_new(pkey, NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, sig, sig_len, digest, 32), 1);
    EVP_PKEY_CTX_free(ctx);

    static const int digests[] = {NID_sha1, NID_sha256, NID_sha384};
    for (size_t i = 0; i < 3; i++) {
        const EVP_MD *md = EVP_get_digestbynid(digests[i]);
        ctx = EVP_PKEY_CTX_new(pkey, NULL);
        assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md), 1);
        sealed_len = sizeof sealed;
        assert_int_equal(EVP_PKEY_encrypt(ctx, sealed, &sealed_len, (const uint8_t *)"secret", 6), 1);
        EVP_PKEY_CTX_free(ctx);
        struct sck_oaep oaep = {digests[i], digests[i], {NULL, 0}};
        assert_ok(sck_tkey_rsa_decrypt(key, SCK_RSA_OAEP, &oaep, sealed, sealed_len, &plain, &err));
        assert_int_equal(plain->len, 6);
        assert_memory_equal(plain->data, "secret", 6);
        sck_secret_free(&plain);
        sealed[17] ^= 1;
        struct sck_err bad = SCK_ERR_INIT;
        assert_int_equal(sck_tkey_rsa_decrypt(key, SCK_RSA_OAEP, &oaep, sealed, sealed_len, &plain, &bad),
                         SCK_E_AUTHENTIC);
        assert_string_equal(bad.message, "RSA decryption: the ciphertext is altered or not of this key");
        assert_null(plain);
    }
    EVP_PKEY_free(pkey);
    sck_tkey_unref(&key);
    sck_buf_clear(&spki);
}

static void
own_keys_work(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    struct sck_buf sig, spki;
    sck_buf_init(&sig, 200);
    sck_buf_init(&spki, 200);
    assert_ok(sck_token_hmac(token, SCK_SYS_MAC, "x", 1, a, &err));
    assert_ok(sck_token_hmac(token, SCK_SYS_MAC, "x", 1, b, &err));
    assert_memory_equal(a, b, 32);
    assert_ok(sck_token_hmac(token, SCK_SYS_NAME, "x", 1, b, &err));
    assert_memory_not_equal(a, b, 32);
    assert_ok(sck_token_hmac(token, SCK_SYS_AUDIT, "", 0, b, &err));
    assert_ok(sck_token_system_sign(token, SCK_SYS_RECEIPT, "receipt", 7, &sig, &err));
    assert_ok(sck_token_system_public(token, SCK_SYS_RECEIPT, &spki, &err));
    assert_int_equal(spki.len, 91);
    assert_ok(sck_ecdsa_verify(spki.data, spki.len, (const uint8_t *)"receipt", 7, sig.data, sig.len, &err));
    sck_buf_reset(&spki);
    assert_ok(sck_token_system_public(token, SCK_SYS_CATALOG, &spki, &err));
    struct sck_err bad = SCK_ERR_INIT;
    assert_int_equal(sck_ecdsa_verify(spki.data, spki.len, (const uint8_t *)"receipt", 7, sig.data, sig.len, &bad),
                     SCK_E_AUTHENTIC);
    sck_err_clear(&bad);
    assert_int_equal(sck_token_hmac(token, SCK_SYS_RECEIPT, "x", 1, a, &bad), SCK_E_USAGE);
    sck_err_clear(&bad);
    assert_int_equal(sck_token_system_sign(token, SCK_SYS_MAC, "x", 1, &sig, &bad), SCK_E_USAGE);
    sck_buf_clear(&sig);
    sck_buf_clear(&spki);
}

static void
kek_records(void **state)
{
    (void)state;
    struct sck_buf record;
    struct sck_tkey *kek = NULL;
    uint8_t nonce[12] = {0}, sealed[88], back[72], dek[72] = {9};
    uint32_t epoch = 0;
    sck_buf_init(&record, 256);
    assert_ok(sck_token_epoch(token, &epoch, &err));
    assert_int_equal(epoch, 1);
    assert_ok(sck_token_kek_make(token, "name", 4, &record, &err));
    assert_int_equal(record.len, 4 + 12 + 40 + 16);
    assert_ok(sck_token_kek_load(token, "name", 4, record.data, record.len, &kek, &err));
    assert_ok(sck_tkey_gcm_seal(kek, nonce, NULL, 0, dek, 72, sealed, &err));
    assert_ok(sck_tkey_gcm_open(kek, nonce, NULL, 0, sealed, 88, back, &err));
    assert_memory_equal(back, dek, 72);
    sck_tkey_unref(&kek);
    struct sck_err bad = SCK_ERR_INIT;
    assert_int_equal(sck_token_kek_load(token, "other", 5, record.data, record.len, &kek, &bad), SCK_E_INTEGRITY);
    assert_string_equal(bad.message, "a KEK record does not open: it was changed or belongs to another name");
    for (size_t i = 4; i < record.len; i++) {
        record.data[i] ^= 1;
        sck_err_clear(&bad);
        assert_int_equal(sck_token_kek_load(token, "name", 4, record.data, record.len, &kek, &bad), SCK_E_INTEGRITY);
        record.data[i] ^= 1;
    }
    record.data[3] = 9;
    sck_err_clear(&bad);
    assert_int_equal(sck_token_kek_load(token, "name", 4, record.data, record.len, &kek, &bad), SCK_E_CONFIG);
    record.data[3] = 0;
    sck_err_clear(&bad);
    assert_int_equal(sck_token_kek_load(token, "name", 4, record.data, record.len, &kek, &bad), SCK_E_INTEGRITY);
    sck_buf_clear(&record);
}

static void
resident_keys(void **state)
{
    (void)state;
    struct sck_buf spki, blob;
    struct sck_tkey *key = NULL;
    static const uint8_t id[16] = "resident ed25519";
    uint8_t sig[64];
    size_t sig_len = 0;
    sck_buf_init(&spki, 200);
    sck_buf_init(&blob, 200);
    struct sck_err bad = SCK_ERR_INIT;
    assert_int_equal(sck_token_generate(token, SCK_ALG_ED25519, SCK_USAGE_SIGN, &blob, &spki, &bad),
                     SCK_E_UNSUPPORTED);
    assert_string_equal(bad.message, "token scopekey test cannot wrap ed25519 keys: such a key can only be resident, "
                                     "one token object each");
    assert_ok(
        sck_token_generate_resident(token, SCK_ALG_ED25519, SCK_USAGE_SIGN, "subject/alice/ed", id, &spki, &err));
    assert_int_equal(spki.len, 44);
    assert_ok(sck_tkey_find(token, SCK_ALG_ED25519, SCK_USAGE_SIGN, id, &key, &err));
    assert_ok(sck_tkey_sign(key, SCK_SIGN_EDDSA, NULL, (const uint8_t *)"hello", 5, sig, sizeof sig, &sig_len, &err));
    assert_int_equal(sig_len, 64);
    EVP_PKEY *pkey = public_key(&spki);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey), 1);
    assert_int_equal(EVP_DigestVerify(ctx, sig, sig_len, (const uint8_t *)"hello", 5), 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    sck_tkey_unref(&key);
    sck_err_clear(&bad);
    assert_int_equal(sck_token_generate_resident(token, SCK_ALG_ED25519, SCK_USAGE_SIGN, "again", id, &spki, &bad),
                     SCK_E_EXISTS);
    assert_ok(sck_token_destroy_resident(token, id, &err));
    assert_ok(sck_token_destroy_resident(token, id, &err));
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_find(token, SCK_ALG_ED25519, SCK_USAGE_SIGN, id, &key, &bad), SCK_E_NOT_FOUND);
    sck_buf_clear(&spki);
    sck_buf_clear(&blob);
}

static void
wrong_use_is_refused(void **state)
{
    (void)state;
    struct sck_err bad = SCK_ERR_INIT;
    struct sck_buf blob;
    struct sck_tkey *key = NULL;
    uint8_t out[600], nonce[12] = {0};
    size_t len = 0;
    sck_buf_init(&blob, 4096);
    struct sck_tkey *ec = make_and_load(SCK_ALG_EC_P256, SCK_USAGE_SIGN, &blob);
    assert_int_equal(sck_tkey_gcm_seal(ec, nonce, NULL, 0, out, 16, out + 32, &bad), SCK_E_STATE);
    assert_string_equal(bad.message, "a key of usage sign cannot encrypt with AES-GCM");
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_sign(ec, SCK_SIGN_RSA_PSS, NULL, out, 32, out, sizeof out, &len, &bad), SCK_E_STATE);
    assert_string_equal(bad.message, "a key of algorithm ec-p256 and usage sign cannot sign that way");
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_sign(ec, SCK_SIGN_ECDSA, NULL, out, 65, out, sizeof out, &len, &bad), SCK_E_USAGE);
    assert_string_equal(bad.message, "signing with ec-p256: an input of 65 bytes does not fit the key");
    sck_err_clear(&bad);
    assert_int_equal(sck_tkey_sign(ec, SCK_SIGN_ECDSA, NULL, out, 32, out, 20, &len, &bad), SCK_E_USAGE);
    sck_tkey_unref(&ec);

    sck_buf_reset(&blob);
    assert_ok(sck_token_generate(token, SCK_ALG_AES_256, SCK_USAGE_GCM, &blob, NULL, &err));
    assert_int_equal(blob.len, 40);
    /* Another usage's master does not open it, nor does a changed blob. */
    sck_err_clear(&bad);
    assert_int_equal(
        sck_tkey_load(token, SCK_ALG_AES_256, SCK_USAGE_CBC, SCK_ORIGIN_GENERATED, blob.data, blob.len, &key, &bad),
        SCK_E_INTEGRITY);
    for (size_t i = 0; i < blob.len; i++) {
        blob.data[i] ^= 1;
        sck_err_clear(&bad);
        assert_int_equal(sck_tkey_load(token, SCK_ALG_AES_256, SCK_USAGE_GCM, SCK_ORIGIN_GENERATED, blob.data,
                                       blob.len, &key, &bad),
                         SCK_E_INTEGRITY);
        blob.data[i] ^= 1;
    }
    sck_err_clear(&bad);
    assert_int_equal(
        sck_tkey_load(token, SCK_ALG_AES_256, SCK_USAGE_GCM, SCK_ORIGIN_GENERATED, blob.data, 39, &key, &bad),
        SCK_E_INTEGRITY);
    assert_string_equal(bad.message, "a wrapped key of 39 bytes: the record was changed");
    sck_buf_clear(&blob);
}

static void
anchor_alternates(void **state)
{
    (void)state;
    struct sck_buf out;
    sck_buf_init(&out, 200);
    assert_ok(sck_token_anchor_read(token, &out, &err));
    assert_int_equal(out.len, 0);
    for (char i = 0; i < 5; i++) {
        char text[] = "anchor 0";
        text[7] = (char)('0' + i);
        assert_ok(sck_token_anchor_write(token, text, 8, &err));
        sck_buf_reset(&out);
        assert_ok(sck_token_anchor_read(token, &out, &err));
        assert_int_equal(out.len, 8);
        assert_memory_equal(out.data, text, 8);
    }
    struct sck_err bad = SCK_ERR_INIT;
    uint8_t large[129] = {0};
    assert_int_equal(sck_token_anchor_write(token, large, sizeof large, &bad), SCK_E_USAGE);
    assert_ok(sck_token_anchor_write(token, large, 128, &err));
    sck_buf_clear(&out);
}

static void
random_bytes(void **state)
{
    (void)state;
    uint8_t a[64], b[64];
    assert_ok(sck_token_random(token, a, sizeof a, &err));
    assert_ok(sck_token_random(token, b, sizeof b, &err));
    assert_memory_not_equal(a, b, sizeof a);
}

static void
capabilities(void **state)
{
    (void)state;
    struct sck_token_caps caps;
    assert_ok(sck_token_caps_get(token, &caps, &err));
    assert_int_equal(caps.wrap_mechanism, 0x210A);
    assert_true(caps.wraps[SCK_FAMILY_AES]);
    assert_true(caps.wraps[SCK_FAMILY_SECRET]);
    assert_true(caps.wraps[SCK_FAMILY_RSA]);
    assert_true(caps.wraps[SCK_FAMILY_EC]);
    assert_false(caps.wraps[SCK_FAMILY_EDWARDS]);
    for (size_t i = 0; sck_alg_at(i) != NULL; i++)
        assert_true(caps.makes[sck_alg_at(i)->alg]);
    assert_true(caps.enforces_masters);
    assert_false(caps.oaep_sha256);
    assert_int_equal(caps.max_sessions, 0);
    assert_string_equal(caps.manufacturer, "SoftHSM project");
    assert_string_equal(caps.label, "scopekey test");
}

static void
verifies(void **state)
{
    (void)state;
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
    /* Made once: a second time finds everything. */
    assert_ok(sck_token_provision(token, NULL, NULL, &err));
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ec_signs),
        cmocka_unit_test(gcm_seals_and_opens),
        cmocka_unit_test(rsa_signs_and_decrypts),
        cmocka_unit_test(own_keys_work),
        cmocka_unit_test(kek_records),
        cmocka_unit_test(resident_keys),
        cmocka_unit_test(wrong_use_is_refused),
        cmocka_unit_test(anchor_alternates),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(capabilities),
        cmocka_unit_test(verifies),
    };
    return cmocka_run_group_tests_name("token/keys", tests, set_up, tear_down);
}
