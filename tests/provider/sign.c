/* SPDX-License-Identifier: MIT */
/* Keys and signatures through EVP. */
#include "tests/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509.h>

#define ALICE "scopekey:subject/alice/"

static const struct {
    const char *uri, *md, *kind;
} pairs[] = {
    {ALICE "tls", "SHA256", "EC"},
    {ALICE "p384", "SHA384", "EC"},
    {ALICE "rsa", "SHA512", "RSA"},
    {ALICE "ed", NULL, "ED25519"},
};
#define PAIRS (sizeof pairs / sizeof pairs[0])

static void
test_one_shot(void **state)
{
    (void)state;
    for (int ours_first = 0; ours_first < 2; ours_first++) {
        struct fx_app app;
        fx_app_new(&app, ours_first != 0);
        for (size_t i = 0; i < PAIRS; i++) {
            EVP_PKEY *key = fx_load(app.ctx, pairs[i].uri);
            assert_true(EVP_PKEY_is_a(key, pairs[i].kind));
            assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "scopekey");
            EVP_PKEY *pub = fx_public(app.ctx, key);
            assert_true(fx_sign_and_verify(app.ctx, key, pub, pairs[i].md, 0));
            assert_true(fx_sign_and_verify(app.ctx, key, pub, pairs[i].md, 100));
            assert_true(fx_sign_and_verify(app.ctx, key, key, pairs[i].md, 100000));
            fx_expect_no_error();
            EVP_PKEY_free(pub);
            EVP_PKEY_free(key);
        }
        fx_app_free(&app);
    }
}

/* A context that is copied in the middle goes on both ways. */
static void
test_parts_and_copies(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    for (size_t i = 0; i < PAIRS; i++) {
        if (pairs[i].md == NULL)
            continue;
        EVP_PKEY *key = fx_load(app.ctx, pairs[i].uri), *pub = fx_public(app.ctx, key);
        EVP_MD_CTX *a = EVP_MD_CTX_new(), *b = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
        unsigned char sig[1024];
        const char *ends[] = {"one", "two"};
        assert_int_equal(EVP_DigestSignInit_ex(a, NULL, pairs[i].md, app.ctx, NULL, key, NULL), 1);
        assert_int_equal(EVP_DigestSignUpdate(a, "begin ", 6), 1);
        assert_int_equal(EVP_MD_CTX_copy_ex(b, a), 1);
        EVP_MD_CTX *both[] = {a, b};
        for (size_t j = 0; j < 2; j++) {
            size_t len = 0;
            assert_int_equal(EVP_DigestSignUpdate(both[j], ends[j], 3), 1);
            assert_int_equal(EVP_DigestSignFinal(both[j], NULL, &len), 1);
            assert_true(len <= sizeof sig && len == (size_t)EVP_PKEY_get_size(key));
            assert_int_equal(EVP_DigestSignFinal(both[j], sig, &len), 1);
            assert_int_equal(EVP_DigestVerifyInit_ex(v, NULL, pairs[i].md, app.ctx, NULL, pub, NULL), 1);
            assert_int_equal(EVP_DigestVerifyUpdate(v, "begin ", 6), 1);
            assert_int_equal(EVP_DigestVerifyUpdate(v, ends[j], 3), 1);
            assert_int_equal(EVP_DigestVerifyFinal(v, sig, len), 1);
            EVP_MD_CTX_reset(v);
        }
        fx_expect_no_error();
        EVP_MD_CTX_free(a);
        EVP_MD_CTX_free(b);
        EVP_MD_CTX_free(v);
        EVP_PKEY_free(pub);
        EVP_PKEY_free(key);
    }
    fx_app_free(&app);
}

static void
test_verify_refuses(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    for (size_t i = 0; i < PAIRS; i++) {
        EVP_PKEY *key = fx_load(app.ctx, pairs[i].uri);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        unsigned char sig[1024];
        size_t len = sizeof sig;
        assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, pairs[i].md, app.ctx, NULL, key, NULL), 1);
        assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"data", 4), 1);
        EVP_MD_CTX_reset(ctx);
        assert_int_equal(EVP_DigestVerifyInit_ex(ctx, NULL, pairs[i].md, app.ctx, NULL, key, NULL), 1);
        assert_int_equal(EVP_DigestVerify(ctx, sig, len, (const unsigned char *)"dato", 4), 0);
        EVP_MD_CTX_reset(ctx);
        sig[len - 1] ^= 1;
        assert_int_equal(EVP_DigestVerifyInit_ex(ctx, NULL, pairs[i].md, app.ctx, NULL, key, NULL), 1);
        assert_int_equal(EVP_DigestVerify(ctx, sig, len, (const unsigned char *)"data", 4), 0);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
        ERR_clear_error();
    }
    fx_app_free(&app);
}

static EVP_PKEY_CTX *
rsa_ctx(const struct fx_app *app, EVP_PKEY *key, int padding, const char *md)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(app->ctx, key, NULL);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0);
    if (md != NULL)
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)), 1);
    return ctx;
}

static void
test_rsa_parameters(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    EVP_PKEY *key = fx_load(app.ctx, ALICE "rsa"), *pub = fx_public(app.ctx, key);
    uint8_t digest[32] = {1}, sig[256];
    static const int salts[] = {RSA_PSS_SALTLEN_DIGEST, RSA_PSS_SALTLEN_MAX, RSA_PSS_SALTLEN_AUTO, 0, 20, 222};
    for (size_t i = 0; i < sizeof salts / sizeof salts[0]; i++) {
        size_t len = sizeof sig;
        int told = 0, padding = 0;
        EVP_PKEY_CTX *ctx = rsa_ctx(&app, key, RSA_PKCS1_PSS_PADDING, "SHA256");
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salts[i]), 1);
        assert_true(EVP_PKEY_CTX_get_rsa_pss_saltlen(ctx, &told) > 0);
        assert_int_equal(told, salts[i]);
        assert_true(EVP_PKEY_CTX_get_rsa_padding(ctx, &padding) > 0);
        assert_int_equal(padding, RSA_PKCS1_PSS_PADDING);
        assert_int_equal(EVP_PKEY_sign(ctx, sig, &len, digest, sizeof digest), 1);
        EVP_PKEY_CTX_free(ctx);
        int expected = salts[i] == RSA_PSS_SALTLEN_AUTO ? RSA_PSS_SALTLEN_MAX : salts[i];
        EVP_PKEY *verifiers[] = {pub, key};
        for (size_t j = 0; j < 2; j++) {
            ctx = EVP_PKEY_CTX_new_from_pkey(app.ctx, verifiers[j], NULL);
            assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
            assert_true(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0);
            assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
            assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, expected), 1);
            assert_int_equal(EVP_PKEY_verify(ctx, sig, len, digest, sizeof digest), 1);
            EVP_PKEY_CTX_free(ctx);
        }
    }
    fx_expect_no_error();

    size_t len = sizeof sig;
    EVP_PKEY_CTX *ctx = rsa_ctx(&app, key, RSA_PKCS1_PSS_PADDING, "SHA256");
    assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 223), 1);
    assert_int_not_equal(EVP_PKEY_sign(ctx, sig, &len, digest, sizeof digest), 1);
    fx_expect_error("invalid argument: correct the call or the key URI",
                    "the PSS salt does not fit into this key: use a shorter salt or digest");
    EVP_PKEY_CTX_free(ctx);
    ctx = rsa_ctx(&app, key, RSA_PKCS1_PSS_PADDING, NULL);
    assert_int_not_equal(EVP_PKEY_sign(ctx, sig, &len, digest, sizeof digest), 1);
    fx_expect_error("invalid argument: correct the call or the key URI",
                    "PSS needs to know the digest: set it (-pkeyopt digest:sha256)");
    EVP_PKEY_CTX_free(ctx);
    ctx = rsa_ctx(&app, key, RSA_PKCS1_PADDING, "SHA256");
    assert_int_not_equal(EVP_PKEY_sign(ctx, sig, &len, digest, 31), 1);
    fx_expect_error("invalid argument: correct the call or the key URI",
                    "the input is not as long as the digest that was set");
    len = 255;
    assert_int_not_equal(EVP_PKEY_sign(ctx, sig, &len, digest, sizeof digest), 1);
    ERR_clear_error();
    assert_int_not_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_X931_PADDING), 1);
    fx_expect_error("not supported for this key", "unknown padding: pkcs1, pss and none are there");
    EVP_PKEY_CTX_free(ctx);
    /* Bytes as they are, recovered by the public half. */
    uint8_t back[256];
    size_t back_len = sizeof back;
    len = sizeof sig;
    ctx = rsa_ctx(&app, key, RSA_PKCS1_PADDING, NULL);
    assert_int_equal(EVP_PKEY_sign(ctx, sig, &len, (const unsigned char *)"as they are", 11), 1);
    EVP_PKEY_CTX_free(ctx);
    ctx = EVP_PKEY_CTX_new_from_pkey(app.ctx, key, NULL);
    assert_int_equal(EVP_PKEY_verify_recover_init(ctx), 1);
    assert_int_equal(EVP_PKEY_verify_recover(ctx, back, &back_len, sig, len), 1);
    assert_int_equal(back_len, 11);
    assert_memory_equal(back, "as they are", 11);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pub);
    EVP_PKEY_free(key);
    fx_app_free(&app);
}

static void
test_refused(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, false);
    EVP_PKEY *key = fx_load(app.ctx, ALICE "tls?type=public");
    assert_false(fx_sign_and_verify(app.ctx, key, key, "SHA256", 5));
    fx_expect_error("key may not do that now: see scopekey key show",
                    "the key was loaded with type=public: load it without");
    EVP_PKEY_free(key);
    key = fx_load(app.ctx, ALICE "dec");
    assert_false(fx_sign_and_verify(app.ctx, key, key, "SHA256", 5));
    unsigned long e = ERR_peek_last_error();
    assert_string_equal(ERR_reason_error_string(e), "key may not do that now: see scopekey key show");
    ERR_clear_error();
    EVP_PKEY_free(key);
    key = fx_load(app.ctx, ALICE "ed");
    assert_false(fx_sign_and_verify(app.ctx, key, key, "SHA256", 5));
    fx_expect_error("invalid argument: correct the call or the key URI", "Ed25519 takes no digest");
    EVP_PKEY_free(key);
    assert_null(fx_try_load(app.ctx, ALICE "none"));
    fx_expect_error("key not found: see scopekey key list",
                    "there is no key scopekey:subject/alice/none: see `scopekey key list`");
    fx_app_free(&app);
}

static int
count_params(const OSSL_PARAM params[], void *arg)
{
    int *n = arg;
    for (; params->key != NULL; params++)
        (*n)++;
    return 1;
}

static void
test_private_half_stays(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    for (size_t i = 0; i < PAIRS; i++) {
        EVP_PKEY *key = fx_load(app.ctx, pairs[i].uri);
        int n = 0;
        OSSL_PARAM *params = NULL;
        BIGNUM *bn = NULL;
        unsigned char raw[64], *der = NULL;
        size_t raw_len = sizeof raw;
        assert_int_equal(EVP_PKEY_export(key, EVP_PKEY_KEYPAIR, count_params, &n), 0);
        assert_int_equal(EVP_PKEY_todata(key, 0x87, &params), 0);
        assert_int_equal(n, 0);
        fx_expect_no_error();
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &bn), 0);
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &bn), 0);
        assert_int_not_equal(EVP_PKEY_get_raw_private_key(key, raw, &raw_len), 1);
        assert_true(i2d_PrivateKey(key, &der) <= 0);
        assert_int_equal(EVP_PKEY_export(key, EVP_PKEY_PUBLIC_KEY, count_params, &n), 1);
        assert_true(n > 0);
        ERR_clear_error();
        EVP_PKEY_free(key);
    }
    fx_app_free(&app);
}

static void
test_key_object(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    char text[128];
    size_t len = 0;
    EVP_PKEY *key = fx_load(app.ctx, ALICE "tls"), *pub = fx_public(app.ctx, key);
    EVP_PKEY *again = fx_load(app.ctx, ALICE "tls?version=1"), *other = fx_load(app.ctx, ALICE "p384");
    assert_int_equal(EVP_PKEY_eq(key, pub), 1);
    assert_int_equal(EVP_PKEY_eq(pub, key), 1);
    assert_int_equal(EVP_PKEY_eq(key, again), 1);
    assert_int_not_equal(EVP_PKEY_eq(key, other), 1);
    assert_int_equal(EVP_PKEY_get_bits(key), 256);
    assert_int_equal(EVP_PKEY_get_security_bits(key), 128);
    assert_int_equal(EVP_PKEY_get_size(key), 72);
    assert_int_equal(EVP_PKEY_get_group_name(key, text, sizeof text, &len), 1);
    assert_string_equal(text, "prime256v1");
    assert_int_equal(EVP_PKEY_get_default_digest_name(key, text, sizeof text), 1);
    assert_string_equal(text, "SHA256");
    assert_int_equal(EVP_PKEY_get_utf8_string_param(key, "uri", text, sizeof text, &len), 1);
    assert_string_equal(text, ALICE "tls?version=1");
    EVP_PKEY *copy = EVP_PKEY_dup(key);
    assert_non_null(copy);
    EVP_PKEY_free(key);
    assert_true(fx_sign_and_verify(app.ctx, copy, pub, "SHA256", 9));
    EVP_PKEY_free(copy);
    EVP_PKEY_free(pub);
    EVP_PKEY_free(again);
    EVP_PKEY_free(other);
    fx_app_free(&app);
}

static void
test_store(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    int keys = 0, names = 0;
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex("scopekey:subject/alice", app.ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    assert_non_null(store);
    while (!OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info == NULL)
            continue;
        keys += OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY;
        names += OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_NAME;
        OSSL_STORE_INFO_free(info);
    }
    assert_int_equal(OSSL_STORE_error(store), 0);
    OSSL_STORE_close(store);
    assert_int_equal(keys, 5);
    assert_int_equal(names, 3);
    ERR_clear_error();
    store = OSSL_STORE_open_ex("scopekey:subject/alice", app.ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    assert_int_equal(OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY), 1);
    assert_null(OSSL_STORE_load(store));
    assert_int_equal(OSSL_STORE_error(store), 1);
    fx_expect_error("invalid argument: correct the call or the key URI",
                    "the URI names a scope with 5 key pairs: add a key's name (dec, ed, p384, rsa, tls)");
    OSSL_STORE_close(store);
    store = OSSL_STORE_open_ex(ALICE "tls", app.ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    assert_int_equal(OSSL_STORE_expect(store, OSSL_STORE_INFO_CERT), 1);
    assert_null(OSSL_STORE_load(store));
    OSSL_STORE_close(store);
    ERR_clear_error();
    fx_app_free(&app);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shot),       cmocka_unit_test(test_parts_and_copies),
        cmocka_unit_test(test_verify_refuses), cmocka_unit_test(test_rsa_parameters),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_private_half_stays),
        cmocka_unit_test(test_key_object),     cmocka_unit_test(test_store),
    };
    return cmocka_run_group_tests(tests, fx_start, fx_stop);
}
