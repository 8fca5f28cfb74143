/* SPDX-License-Identifier: MIT */
/* Keys through lib/service on a real SoftHSM token: make, find, use, change, and every refusal. */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/base/crypto.h"
#include "lib/service/engine.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct home home;
static struct sck_service *svc;

static int
set_up(void **state)
{
    (void)state;
    home_make(&home);
    svc = home_open(&home, NULL);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sck_service_close(&svc);
    home_remove(&home);
    return 0;
}

static struct sck_key_info
make(const char *uri_text, enum sck_alg alg, enum sck_usage usage, enum sck_protection protection)
{
    struct sck_uri uri = uri_of(uri_text);
    struct sck_key_spec spec = {.alg = alg, .usage = usage, .protection = protection};
    struct sck_key_info info;
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = sck_key_create(svc, &uri.scope, uri.name, &spec, &info, &err);
    if (rc != SCK_OK)
        fail_msg("%s: %s", uri_text, err.message);
    return info;
}

static struct sck_ukey *
open_key(const struct sck_key_info *info)
{
    struct sck_ukey *key = NULL;
    struct sck_err err = SCK_ERR_INIT;
    if (sck_ukey_open(svc, info, &key, &err) != SCK_OK)
        fail_msg("open: %s", err.message);
    return key;
}

static EVP_PKEY *
public_of(const struct sck_key_info *info)
{
    const unsigned char *p = info->spki;
    EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &p, (long)info->spki_len, sck_libctx(), NULL);
    assert_non_null(key);
    return key;
}

static void
ec_key_signs(void **state)
{
    (void)state;
    static const uint8_t message[] = "the message";
    uint8_t digest[32];
    uint8_t sig[128];
    size_t sig_len = 0;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info made = make("scopekey:subject/alice/tls", SCK_ALG_EC_P256, 0, 0);
    assert_int_equal(made.spki_len, 91);
    assert_int_equal(made.version, 1);
    assert_int_equal(made.usage, SCK_USAGE_SIGN);
    struct sck_key_info found;
    struct sck_uri uri = uri_of("scopekey:subject/alice/tls");
    assert_int_equal(sck_key_find(svc, &uri, &found, &err), SCK_OK);
    assert_memory_equal(&found, &made, sizeof made);
    struct sck_ukey *key = open_key(&found);
    assert_int_equal(sck_sha256(message, sizeof message, digest, &err), SCK_OK);
    assert_int_equal(sck_ukey_sign(key, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &err), SCK_OK);
    assert_int_equal(
        sck_ecdsa_verify(found.spki, found.spki_len, message, sizeof message, sig, sig_len, &err), SCK_OK);
    sck_ukey_unref(&key);
}

static void
ed25519_is_resident_and_signs(void **state)
{
    (void)state;
    static const uint8_t message[] = "the message";
    uint8_t sig[64];
    size_t sig_len = 0;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info made = make("scopekey:subject/alice/ed", SCK_ALG_ED25519, 0, 0);
    assert_int_equal(made.residence, SCK_RESIDENT);
    struct sck_ukey *key = open_key(&made);
    assert_int_equal(
        sck_ukey_sign(key, SCK_SIGN_EDDSA, NULL, message, sizeof message, sig, sizeof sig, &sig_len, &err), SCK_OK);
    EVP_PKEY *pub = public_of(&made);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit_ex(md, NULL, NULL, sck_libctx(), NULL, pub, NULL), 1);
    assert_int_equal(EVP_DigestVerify(md, sig, sig_len, message, sizeof message), 1);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pub);
    sck_ukey_unref(&key);
}

static void
gcm_round_trip(struct sck_key_info *info)
{
    static const uint8_t plain[] = "Hello, World!";
    uint8_t nonce[12];
    uint8_t again[12];
    uint8_t sealed[sizeof plain + 16];
    uint8_t opened[sizeof plain];
    struct sck_err bad = SCK_ERR_INIT;
    struct sck_ukey *key = open_key(info);
    EXPECT_OK(sck_ukey_gcm_seal(key, nonce, (const uint8_t *)"aad", 3, plain, sizeof plain, sealed, &err));
    EXPECT_OK(sck_ukey_gcm_open(key, nonce, (const uint8_t *)"aad", 3, sealed, sizeof sealed, opened, &err));
    assert_memory_equal(plain, opened, sizeof plain);
    EXPECT_OK(sck_ukey_gcm_seal(key, again, NULL, 0, plain, sizeof plain, sealed, &err));
    assert_memory_not_equal(nonce, again, sizeof nonce);
    sealed[3] ^= 1;
    assert_int_equal(sck_ukey_gcm_open(key, again, NULL, 0, sealed, sizeof sealed, opened, &bad), SCK_E_AUTHENTIC);
    char text[256];
    (void)snprintf(text, sizeof text, "key %s has usage gcm: its nonces are made here, none may be given", info->key_id);
    EXPECT_FAIL(sck_ukey_gcm_seal_iv(key, nonce, NULL, 0, plain, sizeof plain, sealed, &err), SCK_E_STATE, text);
    sck_ukey_unref(&key);
}

static void
aes_key_seals_in_the_token_and_in_an_envelope(void **state)
{
    (void)state;
    struct sck_key_info token = make("scopekey:subject/alice/data", SCK_ALG_AES_256, 0, 0);
    gcm_round_trip(&token);
    struct sck_key_info envelope =
        make("scopekey:subject/alice/bulk", SCK_ALG_AES_256, 0, SCK_PROTECTION_ENVELOPE);
    gcm_round_trip(&envelope);
}

static void
rsa_keys_of_both_uses(void **state)
{
    (void)state;
    struct sck_err err = SCK_ERR_INIT;
    uint8_t digest[32] = {1};
    uint8_t sig[512];
    size_t sig_len = 0;
    const struct sck_pss pss = {NID_sha256, NID_sha256, 32};
    struct sck_key_info sign = make("scopekey:subject/alice/rsa", SCK_ALG_RSA_2048, 0, 0);
    struct sck_ukey *key = open_key(&sign);
    assert_int_equal(sck_ukey_sign(key, SCK_SIGN_RSA_PSS, &pss, digest, 32, sig, sizeof sig, &sig_len, &err), SCK_OK);
    assert_int_equal(sig_len, 256);
    EVP_PKEY *pub = public_of(&sign);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(sck_libctx(), pub, NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
    assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, sck_md_sha256()), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, sig, sig_len, digest, 32), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pub);
    struct sck_secret *plain = NULL;
    assert_int_equal(sck_ukey_rsa_decrypt(key, SCK_RSA_PKCS1, NULL, sig, sig_len, &plain, &err), SCK_E_STATE);
    sck_ukey_unref(&key);
}

static void
bad_specifications_are_refused(void **state)
{
    (void)state;
    struct sck_scope alice = scope_of("subject/alice");
    struct sck_scope nobody = scope_of("subject/nobody");
    struct sck_key_info info;
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256, .usage = SCK_USAGE_SIGN};
    EXPECT_FAIL(sck_key_create(svc, &alice, "x", &spec, &info, &err), SCK_E_USAGE,
            "a key of algorithm aes-256 cannot have usage sign");
    spec = (struct sck_key_spec){.alg = SCK_ALG_AES_256};
    EXPECT_FAIL(sck_key_create(svc, &alice, "-x", &spec, &info, &err), SCK_E_USAGE,
            "\"-x\" is no key name: use A-Z a-z 0-9 . _ -, at most 64, none of ._- first");
    (void)make("scopekey:subject/alice/twice", SCK_ALG_AES_256, 0, 0);
    EXPECT_FAIL(sck_key_create(svc, &alice, "twice", &spec, &info, &err), SCK_E_EXISTS,
            "key scopekey:subject/alice/twice is there already");
    spec.expires_s = 1;
    EXPECT_FAIL(sck_key_create(svc, &alice, "x", &spec, &info, &err), SCK_E_USAGE, "the expiry lies in the past");
    spec = (struct sck_key_spec){.alg = SCK_ALG_EC_P256, .protection = SCK_PROTECTION_ENVELOPE};
    EXPECT_FAIL(sck_key_create(svc, &alice, "x", &spec, &info, &err), SCK_E_USAGE,
            "protection envelope is for aes-256 keys of usage gcm only");
    struct sck_service *strict = NULL;
    struct sck_err open_err = SCK_ERR_INIT;
    const struct sck_open how = {.conf_path = home.conf};
    assert_int_equal(sck_service_open(&how, &strict, &open_err), SCK_OK);
    spec = (struct sck_key_spec){.alg = SCK_ALG_AES_256};
    EXPECT_FAIL(sck_key_create(strict, &nobody, "x", &spec, &info, &err), SCK_E_NOT_FOUND,
            "subject/nobody is not provisioned: run `scopekey subject create nobody` (or set auto_provision)");
    sck_service_close(&strict);
}

static void
missing_and_ambiguous_names_are_told(void **state)
{
    (void)state;
    struct sck_key_info info;
    struct sck_uri uri = uri_of("scopekey:subject/alice/none");
    EXPECT_FAIL(sck_key_find(svc, &uri, &info, &err), SCK_E_NOT_FOUND,
            "there is no key scopekey:subject/alice/none: see `scopekey key list`");
    (void)make("scopekey:subject/two/a", SCK_ALG_AES_256, 0, 0);
    (void)make("scopekey:subject/two/b", SCK_ALG_AES_256, 0, 0);
    uri = uri_of("scopekey:subject/two");
    EXPECT_FAIL(sck_key_find(svc, &uri, &info, &err), SCK_E_USAGE,
            "scopekey:subject/two names 2 keys (a, b): add a key's name");
    (void)make("scopekey:subject/one/only", SCK_ALG_AES_256, 0, 0);
    struct sck_err err = SCK_ERR_INIT;
    uri = uri_of("scopekey:subject/one");
    assert_int_equal(sck_key_find(svc, &uri, &info, &err), SCK_OK);
    assert_string_equal(info.name, "only");
    uri = uri_of("scopekey:subject/one/only?version=2");
    err = (struct sck_err)SCK_ERR_INIT;
    assert_int_equal(sck_key_find(svc, &uri, &info, &err), SCK_E_NOT_FOUND);
}

static void
the_wall_shows_nothing_of_others(void **state)
{
    (void)state;
    struct sck_key_info info;
    struct sck_key_info bob = make("scopekey:subject/bob/data", SCK_ALG_AES_256, 0, 0);
    struct sck_service *walled = home_open(&home, "subject/alice");
    struct sck_uri uri = uri_of("scopekey:subject/bob/data");
    EXPECT_FAIL(sck_key_find(walled, &uri, &info, &err), SCK_E_DENIED,
            "scope subject/bob is outside the allowed scopes of this process");
    uri = uri_of("scopekey:subject/bob/unknown");
    EXPECT_FAIL(sck_key_find(walled, &uri, &info, &err), SCK_E_DENIED,
            "scope subject/bob is outside the allowed scopes of this process");
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_key_find_by_key_id(walled, bob.key_id, 0, &info, &err), SCK_E_NOT_FOUND);
    err = (struct sck_err)SCK_ERR_INIT;
    assert_int_equal(sck_key_find_by_id(walled, bob.id, 0, &info, &err), SCK_E_NOT_FOUND);
    struct sck_ukey *key = NULL;
    err = (struct sck_err)SCK_ERR_INIT;
    assert_int_equal(sck_ukey_open(walled, &bob, &key, &err), SCK_E_DENIED);
    assert_null(key);
    sck_service_close(&walled);
}

static void
rotation_keeps_the_old_version_for_opening(void **state)
{
    (void)state;
    uint8_t nonce[12];
    uint8_t sealed[4 + 16];
    uint8_t opened[4];
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info v2;
    struct sck_key_info v1 = make("scopekey:subject/alice/rot", SCK_ALG_AES_256, 0, 0);
    struct sck_ukey *old = open_key(&v1);
    assert_int_equal(sck_ukey_gcm_seal(old, nonce, NULL, 0, (const uint8_t *)"data", 4, sealed, &err), SCK_OK);
    assert_int_equal(sck_key_rotate(svc, &v1, &v2, &err), SCK_OK);
    assert_int_equal(v2.version, 2);
    assert_int_equal(v2.current_version, 2);
    assert_int_equal(sck_ukey_gcm_open(old, nonce, NULL, 0, sealed, sizeof sealed, opened, &err), SCK_OK);
    assert_memory_equal(opened, "data", 4);
    assert_int_equal(sck_ukey_gcm_seal(old, nonce, NULL, 0, (const uint8_t *)"data", 4, sealed, &err), SCK_E_STATE);
    sck_ukey_unref(&old);
    struct sck_ukey *new = open_key(&v2);
    sck_err_clear(&err);
    assert_int_equal(sck_ukey_gcm_seal(new, nonce, NULL, 0, (const uint8_t *)"data", 4, sealed, &err), SCK_OK);
    sck_ukey_unref(&new);
}

/* In another process, so that it is the epoch word on disk that tells. */
static void
disable_from_another_process(const struct sck_key_info *info)
{
    pid_t child = fork();
    if (child == 0) {
        struct sck_err err = SCK_ERR_INIT;
        _exit(sck_key_set_enabled(svc, info, false, &err) == SCK_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void
a_disabled_key_stops_at_once_everywhere(void **state)
{
    (void)state;
    uint8_t digest[32] = {1};
    uint8_t sig[128];
    size_t sig_len = 0;
    struct sck_key_info info = make("scopekey:subject/alice/dis", SCK_ALG_EC_P256, 0, 0);
    struct sck_ukey *key = open_key(&info);
    struct sck_err ok = SCK_ERR_INIT;
    assert_int_equal(sck_ukey_sign(key, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &ok), SCK_OK);
    disable_from_another_process(&info);
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_ukey_sign(key, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &err), SCK_E_STATE);
    assert_non_null(strstr(err.message, "is disabled"));
    assert_int_equal(sck_key_set_enabled(svc, &info, true, &ok), SCK_OK);
    assert_int_equal(sck_ukey_sign(key, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &ok), SCK_OK);
    sck_ukey_unref(&key);
}

static void
a_destroyed_name_answers_erased(void **state)
{
    (void)state;
    struct sck_key_info info = make("scopekey:subject/alice/gone", SCK_ALG_AES_256, 0, 0);
    struct sck_err ok = SCK_ERR_INIT;
    struct sck_key_info found;
    assert_int_equal(sck_key_destroy(svc, &info, &ok), SCK_OK);
    struct sck_uri uri = uri_of("scopekey:subject/alice/gone");
    EXPECT_FAIL(sck_key_find(svc, &uri, &found, &err), SCK_E_ERASED, "key scopekey:subject/alice/gone was destroyed");
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(sck_key_find_by_key_id(svc, info.key_id, 0, &found, &why), SCK_E_ERASED);
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    EXPECT_FAIL(sck_key_create(svc, &uri.scope, "gone", &spec, &found, &err), SCK_E_ERASED,
            "key scopekey:subject/alice/gone was destroyed: choose another name");
}

static void
gcm_stops_at_its_limit(void **state)
{
    (void)state;
    uint8_t nonce[12];
    uint8_t sealed[4 + 16];
    struct sck_err ok = SCK_ERR_INIT;
    struct sck_key_info info = make("scopekey:subject/alice/many", SCK_ALG_AES_256, 0, 0);
    struct sck_catalog *catalog = NULL;
    struct sck_version_rec v = {.version = 1};
    memcpy(v.key, info.id, 16);
    assert_int_equal(sck_engine_catalog(svc->engine, &catalog, &ok), SCK_OK);
    assert_int_equal(sck_catalog_get(catalog, SCK_BY_VERSION, &v, &ok), SCK_OK);
    v.gcm_reserved = INT64_C(1) << 32;
    assert_int_equal(sck_catalog_update(catalog, SCK_TABLE_VERSIONS, &v, &ok), SCK_OK);
    sck_record_clear(SCK_TABLE_VERSIONS, &v);
    struct sck_ukey *key = open_key(&info);
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_ukey_gcm_seal(key, nonce, NULL, 0, (const uint8_t *)"data", 4, sealed, &err), SCK_E_STATE);
    assert_non_null(strstr(err.message, "has sealed 2^32 messages, the limit of GCM: rotate it"));
    sck_ukey_unref(&key);
}

static void
count_key(const struct sck_key_info *key, size_t *n)
{
    assert_true(key->version >= 1);
    (*n)++;
}

static enum sck_code
counting(void *arg, const struct sck_key_info *key, struct sck_err *err)
{
    (void)err;
    count_key(key, arg);
    return SCK_OK;
}

static void
lists_need_no_login_and_notice_a_changed_row(void **state)
{
    (void)state;
    size_t n = 0;
    size_t all = 0;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_scope two = scope_of("subject/two");
    assert_int_equal(sck_key_each(svc, &two, counting, &n, &err), SCK_OK);
    assert_int_equal(n, 2);
    assert_int_equal(sck_key_each(svc, NULL, counting, &all, &err), SCK_OK);
    assert_true(all >= 10);
    /* A process that cannot log in: the PIN file is out of reach. */
    assert_int_equal(rename(home.pin_file, home_path(&home, "away")), 0);
    pid_t child = fork();
    if (child == 0) {
        struct sck_service *fresh = NULL;
        const struct sck_open how = {.conf_path = home.conf};
        struct sck_uri uri = uri_of("scopekey:subject/alice/tls");
        struct sck_key_info info;
        struct sck_err e = SCK_ERR_INIT;
        sck_service_close(&svc);
        int ok = sck_service_open(&how, &fresh, &e) == SCK_OK && sck_key_find(fresh, &uri, &info, &e) == SCK_OK;
        if (!ok)
            (void)fprintf(stderr, "%s\n", e.message);
        sqlite3 *db = NULL;
        ok = ok && sqlite3_open(fresh->engine->conf->catalog, &db) == SQLITE_OK &&
             sqlite3_exec(db, "UPDATE keys SET usage = 9 WHERE name = 'tls'", NULL, NULL, NULL) == SQLITE_OK;
        (void)sqlite3_close(db);
        ok = ok && sck_key_find(fresh, &uri, &info, &e) == SCK_E_INTEGRITY;
        _exit(ok ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(rename(home_path(&home, "away"), home.pin_file), 0);
    assert_int_equal(status, 0);
    struct sck_uri uri = uri_of("scopekey:subject/alice/tls");
    struct sck_key_info info;
    assert_int_equal(sck_key_find(svc, &uri, &info, &err), SCK_E_INTEGRITY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ec_key_signs),
        cmocka_unit_test(ed25519_is_resident_and_signs),
        cmocka_unit_test(aes_key_seals_in_the_token_and_in_an_envelope),
        cmocka_unit_test(rsa_keys_of_both_uses),
        cmocka_unit_test(bad_specifications_are_refused),
        cmocka_unit_test(missing_and_ambiguous_names_are_told),
        cmocka_unit_test(the_wall_shows_nothing_of_others),
        cmocka_unit_test(rotation_keeps_the_old_version_for_opening),
        cmocka_unit_test(a_disabled_key_stops_at_once_everywhere),
        cmocka_unit_test(a_destroyed_name_answers_erased),
        cmocka_unit_test(gcm_stops_at_its_limit),
        cmocka_unit_test(lists_need_no_login_and_notice_a_changed_row),
    };
    return cmocka_run_group_tests_name("service/keys", tests, set_up, tear_down);
}
