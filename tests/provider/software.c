/* SPDX-License-Identifier: MIT */
/* The application's software keys stay with default, or work with us, whatever happened before. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tests/provider/fixture.h"
#include "tests/provider/tls.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALICE "scopekey:subject/alice/"

static const char *
owner(const EVP_PKEY *key)
{
    return OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key));
}

/* Everything that is fetched by name without a property query is default's. */
static void
check_fetches(OSSL_LIB_CTX *ctx)
{
    static const char *const managers[] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448", "X25519", "X448", "DH", "HMAC"};
    for (size_t i = 0; i < sizeof managers / sizeof managers[0]; i++) {
        EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(ctx, managers[i], NULL);
        assert_non_null(k);
        assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KEYMGMT_get0_provider(k)), "default");
        EVP_KEYMGMT_free(k);
    }
    EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(ctx, "ECDSA", NULL);
    EVP_MD *md = EVP_MD_fetch(ctx, "SHA256", NULL);
    EVP_CIPHER *c = EVP_CIPHER_fetch(ctx, "AES-256-GCM", NULL);
    EVP_RAND *r = EVP_RAND_fetch(ctx, "CTR-DRBG", NULL);
    EVP_KEYEXCH *x = EVP_KEYEXCH_fetch(ctx, "ECDH", NULL);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_SIGNATURE_get0_provider(s)), "default");
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(md)), "default");
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(c)), "default");
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_RAND_get0_provider(r)), "default");
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KEYEXCH_get0_provider(x)), "default");
    EVP_SIGNATURE_free(s);
    EVP_MD_free(md);
    EVP_CIPHER_free(c);
    EVP_RAND_free(r);
    EVP_KEYEXCH_free(x);
}

static EVP_PKEY *
through_pem(OSSL_LIB_CTX *ctx, const char *propq, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    EVP_PKEY *back = PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, ctx, propq);
    assert_non_null(back);
    assert_int_equal(EVP_PKEY_eq(key, back), 1);
    BIO_free(bio);
    return back;
}

static void
check_agreement(OSSL_LIB_CTX *ctx, const char *propq, EVP_PKEY *a, EVP_PKEY *b)
{
    unsigned char ab[64], ba[64];
    size_t ab_len = sizeof ab, ba_len = sizeof ba;
    EVP_PKEY_CTX *ca = EVP_PKEY_CTX_new_from_pkey(ctx, a, propq), *cb = EVP_PKEY_CTX_new_from_pkey(ctx, b, propq);
    assert_int_equal(EVP_PKEY_derive_init(ca), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ca, b), 1);
    assert_int_equal(EVP_PKEY_derive(ca, ab, &ab_len), 1);
    assert_int_equal(EVP_PKEY_derive_init(cb), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(cb, a), 1);
    assert_int_equal(EVP_PKEY_derive(cb, ba, &ba_len), 1);
    assert_int_equal(ab_len, ba_len);
    assert_memory_equal(ab, ba, ab_len);
    EVP_PKEY_CTX_free(ca);
    EVP_PKEY_CTX_free(cb);
}

static EVP_PKEY *
generate(OSSL_LIB_CTX *ctx, const char *propq, const char *type)
{
    if (strcmp(type, "EC") == 0)
        return EVP_PKEY_Q_keygen(ctx, propq, "EC", "P-256");
    if (strcmp(type, "RSA") == 0)
        return EVP_PKEY_Q_keygen(ctx, propq, "RSA", (size_t)2048);
    return EVP_PKEY_Q_keygen(ctx, propq, type);
}

/* Make, write, read, sign, agree; `who` serves the keys that are made. */
static void
check_keys(OSSL_LIB_CTX *ctx, const char *propq, const char *who, bool with_rsa)
{
    static const char *const types[] = {"EC", "ED25519", "RSA"};
    for (size_t i = 0; i < (with_rsa ? 3 : 2); i++) {
        const char *md = strcmp(types[i], "ED25519") == 0 ? NULL : "SHA256";
        EVP_PKEY *key = generate(ctx, propq, types[i]);
        if (key == NULL)
            ERR_print_errors_fp(stderr);
        assert_non_null(key);
        assert_string_equal(owner(key), who);
        EVP_PKEY *back = through_pem(ctx, propq, key);
        assert_true(fx_sign_and_verify(ctx, key, back, md, 33));
        assert_true(fx_sign_and_verify(ctx, back, key, md, 33));
        if (strcmp(types[i], "EC") == 0)
            check_agreement(ctx, propq, key, back);
        assert_true(fx_tls(ctx, propq, back, md, TLS1_3_VERSION, "P-256"));
        EVP_PKEY_free(back);
        EVP_PKEY_free(key);
    }
}

static void
check_legacy_key(OSSL_LIB_CTX *ctx)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    assert_int_equal(EC_KEY_generate_key(ec), 1);
    assert_int_equal(EVP_PKEY_assign_EC_KEY(key, ec), 1);
    assert_true(fx_sign_and_verify(ctx, key, key, "SHA256", 5));
    EVP_PKEY_free(key);
}

static void
check_software(OSSL_LIB_CTX *ctx)
{
    check_fetches(ctx);
    check_keys(ctx, NULL, "default", false);
    check_legacy_key(ctx);
    fx_expect_no_error();
}

/* Load a token key and sign; what it does to the caches is what this test is about. */
static void
use_token_key(OSSL_LIB_CTX *ctx, const char *uri)
{
    EVP_PKEY *key = fx_load(ctx, uri), *pub = fx_public(ctx, key);
    assert_true(fx_sign_and_verify(ctx, key, pub, "SHA256", 5));
    EVP_PKEY_free(pub);
    EVP_PKEY_free(key);
}

static void
walk(struct fx_app *app)
{
    OSSL_LIB_CTX *ctx = app->ctx;
    check_software(ctx);
    EVP_PKEY *key = fx_load(ctx, ALICE "tls"), *pub = fx_public(ctx, key), *ed = fx_load(ctx, ALICE "ed");
    EVP_PKEY *rsa = fx_load(ctx, ALICE "rsa");
    check_software(ctx);
    for (int round = 0; round < 3; round++) {
        assert_true(fx_sign_and_verify(ctx, key, pub, "SHA256", 5));
        assert_true(fx_sign_and_verify(ctx, ed, ed, NULL, 5));
        assert_true(fx_sign_and_verify(ctx, rsa, rsa, "SHA256", 5));
        check_software(ctx);
        /* Each of these empties libcrypto's memory of methods; the token key is the first to sign afterwards. */
        if (round == 0)
            assert_int_equal(EVP_set_default_properties(ctx, ""), 1);
        OSSL_PROVIDER *more = OSSL_PROVIDER_load(ctx, round == 0 ? "base" : "null");
        assert_non_null(more);
        assert_true(fx_sign_and_verify(ctx, key, pub, "SHA256", 5));
        check_fetches(ctx);
        assert_int_equal(OSSL_PROVIDER_unload(more), 1);
        use_token_key(ctx, ALICE "rsa");
        check_software(ctx);
    }
    assert_true(fx_tls(ctx, NULL, key, "SHA256", TLS1_3_VERSION, "P-256"));
    assert_true(fx_tls(ctx, NULL, key, "SHA256", TLS1_2_VERSION, "P-384:P-256"));
    assert_true(fx_tls(ctx, NULL, rsa, "SHA256", TLS1_2_VERSION, "P-521"));
    assert_true(fx_tls(ctx, NULL, rsa, "SHA256", TLS1_3_VERSION, "X25519"));
    assert_true(fx_tls(ctx, NULL, ed, NULL, TLS1_3_VERSION, "P-256"));
    check_keys(ctx, NULL, "default", true);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(pub);
    EVP_PKEY_free(key);
}

static void
test_own_contexts(void **state)
{
    (void)state;
    for (int ours_first = 0; ours_first < 2; ours_first++) {
        struct fx_app app;
        fx_app_new(&app, ours_first != 0);
        walk(&app);
        fx_app_free(&app);
    }
}

/* The default context can be had once in a process only. */
static void
default_context(bool ours_first)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct fx_app app = {0};
        fx_app_default(&app, ours_first);
        walk(&app);
        (void)fflush(stdout);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
test_default_context(void **state)
{
    (void)state;
    default_context(true);
    default_context(false);
}

/* With ?provider=scopekey even software keys come to us. */
static void
test_property_query(void **state)
{
    (void)state;
    for (int ours_first = 0; ours_first < 2; ours_first++) {
        struct fx_app app;
        fx_app_new(&app, ours_first != 0);
        check_keys(app.ctx, "?provider=scopekey", "scopekey", true);
        use_token_key(app.ctx, ALICE "tls");
        check_keys(app.ctx, "?provider=scopekey", "scopekey", true);
        EVP_PKEY *key = fx_load(app.ctx, ALICE "tls");
        assert_true(fx_tls(app.ctx, "?provider=scopekey", key, "SHA256", TLS1_3_VERSION, "P-256"));
        assert_true(fx_tls(app.ctx, "?provider=scopekey", key, "SHA256", TLS1_3_VERSION, "secp384r1"));
        EVP_PKEY_free(key);
        check_software(app.ctx);
        fx_app_free(&app);
    }
}

/* fips=yes leaves only what has that property: nothing of ours, nothing of default, and no recursion. */
static void
test_fips_query(void **state)
{
    (void)state;
    struct fx_app app;
    fx_app_new(&app, true);
    assert_null(EVP_KEYMGMT_fetch(app.ctx, "EC", "fips=yes"));
    assert_null(EVP_SIGNATURE_fetch(app.ctx, "SCOPEKEY-ECDSA", "fips=yes"));
    ERR_clear_error();
    use_token_key(app.ctx, ALICE "tls");
    assert_null(EVP_KEYMGMT_fetch(app.ctx, "EC", "fips=yes"));
    ERR_clear_error();
    check_software(app.ctx);
    fx_app_free(&app);
}

/* Default arrives when our key managers are known already: we serve the software keys, and they work. */
static void
test_default_loaded_late(void **state)
{
    (void)state;
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *ours = OSSL_PROVIDER_load(ctx, "scopekey");
    assert_non_null(ours);
    EVP_PKEY *key = fx_load(ctx, ALICE "tls");
    assert_true(fx_sign_and_verify(ctx, key, key, "SHA256", 5));
    OSSL_PROVIDER *standard = OSSL_PROVIDER_load(ctx, "default");
    assert_non_null(standard);
    EVP_PKEY *soft = generate(ctx, NULL, "EC"), *rsa = generate(ctx, NULL, "RSA");
    EVP_PKEY *back = through_pem(ctx, NULL, soft);
    assert_true(fx_sign_and_verify(ctx, soft, back, "SHA256", 5));
    assert_true(fx_sign_and_verify(ctx, rsa, rsa, "SHA256", 5));
    check_agreement(ctx, NULL, soft, back);
    assert_true(fx_tls(ctx, NULL, soft, "SHA256", TLS1_3_VERSION, "P-256"));
    EVP_PKEY_free(back);
    EVP_PKEY_free(soft);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(key);
    assert_int_equal(OSSL_PROVIDER_unload(standard), 1);
    assert_int_equal(OSSL_PROVIDER_unload(ours), 1);
    OSSL_LIB_CTX_free(ctx);
}

struct race {
    OSSL_LIB_CTX *ctx;
    int number;
    bool ok;
};

static void *
race(void *arg)
{
    struct race *r = arg;
    EVP_PKEY *key = NULL, *soft = NULL;
    if (r->number % 2 == 0) {
        key = fx_try_load(r->ctx, ALICE "tls");
        r->ok = key != NULL && fx_sign_and_verify(r->ctx, key, key, "SHA256", 5);
    } else {
        r->ok = true;
    }
    soft = EVP_PKEY_Q_keygen(r->ctx, NULL, "EC", "P-256");
    r->ok = r->ok && soft != NULL && fx_sign_and_verify(r->ctx, soft, soft, "SHA256", 5);
    EVP_PKEY_free(soft);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return NULL;
}

static void
test_threads_race_to_be_first(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct fx_app app;
        struct race races[8];
        pthread_t threads[8];
        fx_app_new(&app, round % 2 == 0);
        for (int i = 0; i < 8; i++) {
            races[i] = (struct race){app.ctx, i, false};
            assert_int_equal(pthread_create(&threads[i], NULL, race, &races[i]), 0);
        }
        for (int i = 0; i < 8; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_true(races[i].ok);
        }
        check_software(app.ctx);
        fx_app_free(&app);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_contexts),   cmocka_unit_test(test_default_context),
        cmocka_unit_test(test_property_query), cmocka_unit_test(test_fips_query),
        cmocka_unit_test(test_default_loaded_late), cmocka_unit_test(test_threads_race_to_be_first),
    };
    return cmocka_run_group_tests(tests, fx_start, fx_stop);
}
