/* SPDX-License-Identifier: MIT */
/* Erasure through lib/service: nothing of the erased comes back, nothing of the others goes; crashes are resumed. */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/base/crypto.h"
#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/service/engine.h"
#include "lib/service/filecrypt.h"

#include <jansson.h>
#include <signal.h>
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
make(const char *subject, const char *name, enum sck_alg alg)
{
    struct sck_scope scope = scope_of(subject);
    struct sck_key_spec spec = {.alg = alg};
    struct sck_key_info info;
    EXPECT_OK(sck_key_create(svc, &scope, name, &spec, &info, &err));
    return info;
}

static void
encrypt_for(const char *subject, const char *plain, const char *sealed)
{
    struct sck_scope scope = scope_of(subject);
    struct sck_file_info info;
    const struct sck_encrypt_opts opts = {.io = {.in = plain, .out = sealed, .sync = true}, .subject = &scope};
    EXPECT_OK(sck_file_encrypt(svc, &opts, &info, &err));
}

static enum sck_code
decrypt(const char *sealed, const char *out, struct sck_err *err)
{
    struct sck_file_info info;
    const struct sck_decrypt_opts opts = {.io = {.in = sealed, .out = out}};
    return sck_file_decrypt(svc, &opts, &info, err);
}

static void
erase_ok(const char *subject, struct sck_buf *receipt)
{
    struct sck_scope scope = scope_of(subject);
    sck_buf_init(receipt, 65536);
    EXPECT_OK(sck_erase(svc, &scope, NULL, NULL, receipt, &err));
}

static void
verify_receipt(const struct sck_buf *receipt, const char *status)
{
    json_t *o = json_loadb((const char *)receipt->data, receipt->len, 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "status")), status);
    char *b64 = strdup(json_string_value(json_object_get(o, "signature")));
    struct sck_buf sig;
    struct sck_buf spki;
    sck_buf_init(&sig, 256);
    sck_buf_init(&spki, 1024);
    assert_true(sck_base64_parse(b64, strlen(b64), &sig));
    json_object_del(o, "signature");
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    char path[512];
    (void)snprintf(path, sizeof path, "%s/receipt.pem", home.home);
    EXPECT_OK(sck_pem_read_spki(path, &spki, &err));
    EXPECT_OK(sck_ecdsa_verify(spki.data, spki.len, (const uint8_t *)text, strlen(text), sig.data, sig.len, &err));
    text[strlen(text) / 2] ^= 1;
    EXPECT_FAIL(sck_ecdsa_verify(spki.data, spki.len, (const uint8_t *)text, strlen(text), sig.data, sig.len, &err),
                SCK_E_AUTHENTIC, "the signature does not verify");
    free(text);
    free(b64);
    json_decref(o);
    sck_buf_clear(&sig);
    sck_buf_clear(&spki);
}

static void
everything_of_the_subject_is_refused_as_erased(void **state)
{
    (void)state;
    const char *plain = home_file(&home, "f", "some text", 9);
    const char *sealed = home_path(&home, "f.sk");
    const char *others = home_path(&home, "g.sk");
    struct sck_key_info tls = make("subject/alice", "tls", SCK_ALG_EC_P256);
    struct sck_key_info ed = make("subject/alice", "ed", SCK_ALG_ED25519);
    struct sck_key_info bob = make("subject/bob", "tls", SCK_ALG_EC_P256);
    struct sck_ukey *held = NULL;
    struct sck_ukey *bobs = NULL;
    uint8_t digest[32] = {1};
    uint8_t sig[128];
    size_t sig_len = 0;
    encrypt_for("subject/alice", plain, sealed);
    encrypt_for("subject/bob", plain, others);
    EXPECT_OK(sck_ukey_open(svc, &tls, &held, &err));
    EXPECT_OK(sck_ukey_sign(held, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &err));
    EXPECT_OK(sck_ukey_open(svc, &bob, &bobs, &err));

    struct sck_buf receipt;
    erase_ok("subject/alice", &receipt);
    verify_receipt(&receipt, "scheduled");

    char text[256];
    struct sck_key_info found;
    struct sck_scope alice = scope_of("subject/alice");
    struct sck_uri uri = uri_of("scopekey:subject/alice/tls");
    (void)snprintf(text, sizeof text, "key %s was erased", tls.key_id);
    EXPECT_FAIL(sck_ukey_sign(held, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &err), SCK_E_ERASED,
                text);
    EXPECT_FAIL(sck_key_find(svc, &uri, &found, &err), SCK_E_ERASED, "subject/alice was erased");
    EXPECT_FAIL(sck_key_find_by_key_id(svc, tls.key_id, 0, &found, &err), SCK_E_ERASED, text);
    (void)snprintf(text, sizeof text, "key %s was erased", ed.key_id);
    EXPECT_FAIL(sck_key_find_by_key_id(svc, ed.key_id, 0, &found, &err), SCK_E_ERASED, text);
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    EXPECT_FAIL(sck_key_create(svc, &alice, "new", &spec, &found, &err), SCK_E_ERASED,
                "subject/alice was erased: `scopekey subject create --again` starts anew");
    struct sck_err why = SCK_ERR_INIT;
    const char *out = home_path(&home, "out");
    assert_int_equal(decrypt(sealed, out, &why), SCK_E_ERASED);
    assert_int_equal(access(out, F_OK), -1);
    EXPECT_OK(sck_ukey_sign(bobs, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &sig_len, &err));
    EXPECT_OK(decrypt(others, out, &err));
    sck_ukey_unref(&held);
    sck_ukey_unref(&bobs);

    struct sck_buf again;
    erase_ok("subject/alice", &again);
    assert_int_equal(again.len, receipt.len);
    assert_memory_equal(again.data, receipt.data, receipt.len);
    sck_buf_clear(&again);
    sck_buf_clear(&receipt);
}

static void
nothing_of_the_erased_id_is_left_in_the_catalog(void **state)
{
    (void)state;
    struct sck_buf receipt;
    struct sck_buf bytes = {0};
    (void)make("subject/zacharias-the-unique", "k", SCK_ALG_AES_256);
    erase_ok("subject/zacharias-the-unique", &receipt);
    sck_buf_clear(&receipt);
    static const char *const files[] = {"d/catalog.db", "d/catalog.db-wal", "d/receipts/erasures.log"};
    for (size_t i = 0; i < 3; i++) {
        struct sck_err err = SCK_ERR_INIT;
        enum sck_code rc = sck_file_read(home_path(&home, files[i]), 64 << 20, &bytes, &err);
        if (rc == SCK_E_NOT_FOUND)
            continue;
        assert_int_equal(rc, SCK_OK);
        assert_true(bytes.len == 0 || memmem(bytes.data, bytes.len, "zacharias", 9) == NULL);
        sck_buf_clear(&bytes);
    }
}

static void
the_same_person_may_come_back_with_a_new_kek(void **state)
{
    (void)state;
    struct sck_scope carol = scope_of("subject/carol");
    struct sck_owner_info first;
    struct sck_owner_info second;
    struct sck_buf receipt;
    EXPECT_OK(sck_owner_create(svc, &carol, false, &first, &err));
    assert_int_equal(first.generation, 1);
    EXPECT_FAIL(sck_owner_create(svc, &carol, false, &second, &err), SCK_E_EXISTS, "subject/carol is there already");
    (void)make("subject/carol", "tls", SCK_ALG_AES_256);
    erase_ok("subject/carol", &receipt);
    EXPECT_FAIL(sck_owner_create(svc, &carol, false, &second, &err), SCK_E_ERASED,
                "subject/carol was erased: `scopekey subject create --again` starts anew");
    EXPECT_OK(sck_owner_create(svc, &carol, true, &second, &err));
    assert_int_equal(second.generation, 2);
    assert_string_not_equal(first.kek_name, second.kek_name);
    /* A name of the first life is free in the second. */
    (void)make("subject/carol", "tls", SCK_ALG_AES_256);
    sck_buf_clear(&receipt);
    erase_ok("subject/carol", &receipt);
    sck_buf_clear(&receipt);
    EXPECT_FAIL(sck_owner_create(svc, &carol, false, &second, &err), SCK_E_ERASED,
                "subject/carol was erased: `scopekey subject create --again` starts anew");
}

static void
one_file_is_erased_alone(void **state)
{
    (void)state;
    char uuid[SCK_UUID_TEXT];
    char text[80];
    struct sck_buf receipt;
    struct sck_file_info info;
    const char *plain = home_file(&home, "p", "one file", 8);
    encrypt_for("subject/dora", plain, home_path(&home, "one.sk"));
    encrypt_for("subject/dora", plain, home_path(&home, "two.sk"));
    EXPECT_OK(sck_file_info(svc, home_path(&home, "one.sk"), &info, &err));
    sck_uuid_format(info.file_id, uuid);
    (void)snprintf(text, sizeof text, "file/%s", uuid);
    erase_ok(text, &receipt);
    verify_receipt(&receipt, "scheduled");
    sck_buf_clear(&receipt);
    char want[192];
    (void)snprintf(want, sizeof want, "the key of file %s was erased: nobody can read it any more", uuid);
    EXPECT_FAIL(decrypt(home_path(&home, "one.sk"), home_path(&home, "one.out"), &err), SCK_E_ERASED, want);
    EXPECT_OK(decrypt(home_path(&home, "two.sk"), home_path(&home, "two.out"), &err));
}

static void
unknown_subjects_have_no_receipt(void **state)
{
    (void)state;
    struct sck_buf receipt;
    struct sck_scope nobody = scope_of("subject/nobody");
    sck_buf_init(&receipt, 65536);
    EXPECT_FAIL(sck_erase(svc, &nobody, NULL, NULL, &receipt, &err), SCK_E_NOT_FOUND,
                "there is nothing of subject/nobody");
    sck_buf_clear(&receipt);
}

static void
copy_file(const char *from, const char *to)
{
    struct sck_buf bytes = {0};
    EXPECT_OK(sck_file_read(from, 64 << 20, &bytes, &err));
    EXPECT_OK(sck_file_replace(to, bytes.data, bytes.len, 0600, &err));
    sck_buf_clear(&bytes);
}

static void
a_catalog_set_back_is_noticed(void **state)
{
    (void)state;
    struct sck_buf receipt;
    (void)make("subject/eve", "k", SCK_ALG_AES_256);
    sck_service_close(&svc);
    copy_file(home_path(&home, "d/catalog.db"), home_path(&home, "old.db"));
    svc = home_open(&home, NULL);
    erase_ok("subject/eve", &receipt);
    sck_buf_clear(&receipt);
    EXPECT_OK(sck_resume(svc, &err));
    sck_service_close(&svc);
    copy_file(home_path(&home, "d/catalog.db"), home_path(&home, "new.db"));
    (void)unlink(home_path(&home, "d/catalog.db-wal"));
    (void)unlink(home_path(&home, "d/catalog.db-shm"));
    copy_file(home_path(&home, "old.db"), home_path(&home, "d/catalog.db"));
    svc = home_open(&home, NULL);
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_resume(svc, &err), SCK_E_INTEGRITY);
    assert_non_null(strstr(err.message, "the catalog was set back to before an erasure"));
    sck_service_close(&svc);
    (void)unlink(home_path(&home, "d/catalog.db-wal"));
    (void)unlink(home_path(&home, "d/catalog.db-shm"));
    copy_file(home_path(&home, "new.db"), home_path(&home, "d/catalog.db"));
    svc = home_open(&home, NULL);
}

#ifdef SCK_FAULT_POINTS
/* Run `work` in a child that is killed at `point`; true when it was. */
static bool
killed_at(const char *point, void (*work)(struct sck_service *s))
{
    pid_t child = fork();
    if (child == 0) {
        (void)setenv("SCOPEKEY_FAULT_POINT", point, 1);
        struct sck_service *s = home_open(&home, NULL);
        work(s);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void
erase_frank(struct sck_service *s)
{
    struct sck_scope frank = scope_of("subject/frank");
    struct sck_buf receipt;
    struct sck_err err = SCK_ERR_INIT;
    sck_buf_init(&receipt, 65536);
    (void)!sck_erase(s, &frank, NULL, NULL, &receipt, &err);
}

static void
an_interrupted_erasure_is_finished_by_the_next_start(void **state)
{
    (void)state;
    static const char *const points[] = {"erase.tombstone", "erase.log",       "erase.kek",
                                         "destroy.objects", "erase.keys", "erase.rows"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct sck_scope frank = scope_of("subject/frank");
        struct sck_owner_info owner;
        struct sck_key_info info;
        struct sck_key_spec spec = {.alg = SCK_ALG_EC_P256};
        char name[32];
        (void)snprintf(name, sizeof name, "k%zu", i);
        EXPECT_OK(sck_owner_create(svc, &frank, true, &owner, &err));
        EXPECT_OK(sck_key_create(svc, &frank, name, &spec, &info, &err));
        assert_true(killed_at(points[i], erase_frank));
        struct sck_ukey *key = NULL;
        struct sck_err why = SCK_ERR_INIT;
        assert_int_equal(sck_ukey_open(svc, &info, &key, &why), SCK_E_ERASED);
        sck_service_close(&svc);
        svc = home_open(&home, NULL);
        EXPECT_OK(sck_resume(svc, &err));
        char want[192];
        (void)snprintf(want, sizeof want, "key %s was erased", info.key_id);
        EXPECT_FAIL(sck_key_find_by_key_id(svc, info.key_id, 0, &info, &err), SCK_E_ERASED, want);
        struct sck_buf receipt;
        erase_ok("subject/frank", &receipt);
        verify_receipt(&receipt, "scheduled");
        sck_buf_clear(&receipt);
    }
}

static void
provision_grace(struct sck_service *s)
{
    struct sck_scope grace = scope_of("subject/grace");
    struct sck_owner_info info;
    struct sck_err err = SCK_ERR_INIT;
    (void)!sck_owner_create(s, &grace, false, &info, &err);
}

static void
an_interrupted_provisioning_is_taken_over(void **state)
{
    (void)state;
    struct sck_key_info info;
    struct sck_scope grace = scope_of("subject/grace");
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    assert_true(killed_at("provision.claimed", provision_grace));
    assert_true(killed_at("provision.made", provision_grace));
    EXPECT_OK(sck_key_create(svc, &grace, "k", &spec, &info, &err));
}

static void
make_resident(struct sck_service *s)
{
    struct sck_scope henry = scope_of("subject/henry");
    struct sck_key_info info;
    struct sck_key_spec spec = {.alg = SCK_ALG_ED25519};
    struct sck_err err = SCK_ERR_INIT;
    (void)!sck_key_create(s, &henry, "ed", &spec, &info, &err);
}

static void
a_half_made_resident_key_is_not_there(void **state)
{
    (void)state;
    struct sck_key_info info;
    struct sck_uri uri = uri_of("scopekey:subject/henry/ed");
    assert_true(killed_at("create.resident.row", make_resident));
    EXPECT_FAIL(sck_key_find(svc, &uri, &info, &err), SCK_E_NOT_FOUND,
                "there is no key scopekey:subject/henry/ed: see `scopekey key list`");
    struct sck_key_spec spec = {.alg = SCK_ALG_ED25519};
    EXPECT_FAIL(sck_key_create(svc, &uri.scope, "ed", &spec, &info, &err), SCK_E_BUSY,
                "key ed is being made by another process: try again later");
}

static void
encrypt_a_file(struct sck_service *s)
{
    struct sck_scope ida = scope_of("subject/ida");
    struct sck_file_info info;
    struct sck_err err = SCK_ERR_INIT;
    const char *in = home_path(&home, "crash.in");
    const char *out = home_path(&home, "crash.sk");
    const struct sck_encrypt_opts opts = {.io = {.in = in, .out = out, .sync = true}, .subject = &ida};
    (void)!sck_file_encrypt(s, &opts, &info, &err);
}

static void
a_killed_encryption_leaves_a_whole_file_or_none(void **state)
{
    (void)state;
    (void)home_file(&home, "crash.in", "important", 9);
    assert_true(killed_at("file.pending", encrypt_a_file));
    assert_int_equal(access(home_path(&home, "crash.sk"), F_OK), -1);
    assert_true(killed_at("file.written", encrypt_a_file));
    assert_int_equal(access(home_path(&home, "crash.sk"), F_OK), -1);
    assert_true(killed_at("file.named", encrypt_a_file));
    EXPECT_OK(decrypt(home_path(&home, "crash.sk"), home_path(&home, "crash.out"), &err));
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_the_subject_is_refused_as_erased),
        cmocka_unit_test(nothing_of_the_erased_id_is_left_in_the_catalog),
        cmocka_unit_test(the_same_person_may_come_back_with_a_new_kek),
        cmocka_unit_test(one_file_is_erased_alone),
        cmocka_unit_test(unknown_subjects_have_no_receipt),
        cmocka_unit_test(a_catalog_set_back_is_noticed),
#ifdef SCK_FAULT_POINTS
        cmocka_unit_test(an_interrupted_erasure_is_finished_by_the_next_start),
        cmocka_unit_test(an_interrupted_provisioning_is_taken_over),
        cmocka_unit_test(a_half_made_resident_key_is_not_there),
        cmocka_unit_test(a_killed_encryption_leaves_a_whole_file_or_none),
#endif
    };
    return cmocka_run_group_tests_name("service/erase", tests, set_up, tear_down);
}
