/* SPDX-License-Identifier: MIT */
/* Rotation of KEKs and rewrapping: everything still opens, whatever is cut, raced or altered. */
#include "tests/service/people.h"

#include "lib/base/text.h"
#include "lib/service/filecrypt.h"
#include "lib/service/kek.h"
#include "lib/service/rewrap.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
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

static void
reopen(void)
{
    sck_service_close(&svc);
    svc = home_open(&home, NULL);
}

/* ---- what the service says ---- */

static void
rotate_ok(const char *subject, uint32_t version)
{
    struct sck_scope scope = scope_of(subject);
    struct sck_owner_info info;
    EXPECT_OK(sck_kek_rotate(svc, &scope, &info, &err));
    assert_int_equal(info.kek_version, version);
}

struct told {
    size_t problems;
    char last[640];
    size_t progress;
};

static void
note_problem(void *arg, const char *line)
{
    struct told *t = arg;
    t->problems++;
    (void)snprintf(t->last, sizeof t->last, "%s", line);
}

static struct sck_rewrap_report
rewrap_ok(const char *subject, bool retire, bool discard, struct told *told)
{
    struct sck_rewrap_report r;
    struct sck_scope scope;
    struct sck_rewrap how = {.retire = retire, .discard_messages = discard, .arg = told};
    if (told != NULL)
        how.problem = note_problem;
    if (subject != NULL) {
        scope = scope_of(subject);
        how.scope = &scope;
    }
    EXPECT_OK(sck_rewrap_run(svc, &how, &r, &err));
    return r;
}

/* ---- tests ---- */

static void
older_versions_open_until_all_is_moved(void **state)
{
    (void)state;
    struct belongings alice = people_provide(&home, svc, "subject/alice");
    struct belongings bob = people_provide(&home, svc, "subject/bob");
    rotate_ok("subject/alice", 2);
    people_check(&home, svc, &alice);
    rotate_ok("subject/alice", 3);
    people_check(&home, svc, &alice);
    struct sck_key_info fresh = people_key(svc, "subject/alice", "fresh", SCK_ALG_AES_256, 0);
    struct versions v = people_versions(svc, "subject/alice");
    assert_int_equal(v.count, 3);
    assert_string_equal(v.at[0].state, "current");
    assert_int_equal(v.at[0].blobs, 1);
    assert_int_equal(v.at[1].blobs, 0);
    assert_string_equal(v.at[2].state, "retired");
    assert_int_equal(v.at[2].version, 1);
    assert_int_equal(v.at[2].blobs, 4);
    assert_string_equal(v.at[2].name, v.at[0].name);

    const struct sck_scope scope = scope_of("subject/alice");
    const struct sck_rewrap dry = {.scope = &scope, .dry_run = true, .retire = true};
    struct sck_rewrap_report r;
    EXPECT_OK(sck_rewrap_run(svc, &dry, &r, &err));
    assert_int_equal(r.seen, 5);
    assert_int_equal(r.stale, 4);
    assert_int_equal(r.moved + r.retired, 0);
    assert_int_equal(people_versions(svc, "subject/alice").at[2].blobs, 4);

    r = rewrap_ok("subject/alice", false, false, NULL);
    assert_int_equal(r.moved, 4);
    assert_int_equal(r.failed + r.retired, 0);
    v = people_versions(svc, "subject/alice");
    assert_int_equal(v.at[0].blobs, 5);
    assert_int_equal(v.at[2].blobs, 0);
    people_check(&home, svc, &alice);
    r = rewrap_ok("subject/alice", true, false, NULL);
    assert_int_equal(r.moved, 0);
    assert_int_equal(r.retired, 2);
    assert_int_equal(r.kept, 0);
    v = people_versions(svc, "subject/alice");
    assert_string_equal(v.at[2].state, "destroyed");
    reopen();
    people_check(&home, svc, &alice);
    people_check(&home, svc, &bob);
    /* Row signatures and MACs are right. */
    struct sck_key_info found;
    EXPECT_OK(sck_key_find_by_id(svc, fresh.id, 0, &found, &err));
    EXPECT_OK(sck_catalog_verify(svc->engine->catalog, note_problem, &(struct told){0}, &err));
    struct sck_rewrap_report all = rewrap_ok(NULL, true, false, NULL);
    assert_int_equal(all.moved + all.failed + all.retired, 0);
    assert_int_equal(all.seen, 9);
    assert_true(all.total >= 9);
}

static void
the_files_and_clients_rotate_too(void **state)
{
    (void)state;
    struct sck_scope files = {.kind = SCK_SCOPE_FILE};
    struct sck_owner_info owner;
    struct sck_file_info info;
    const char *in = home_file(&home, "plain", "no one's", 8);
    const char *out = home_path(&home, "plain.sk");
    const struct sck_encrypt_opts enc = {.io = {.in = in, .out = out}};
    const struct sck_decrypt_opts dec = {.io = {.in = out, .out = home_path(&home, "plain.out"), .force = true}};
    EXPECT_OK(sck_file_encrypt(svc, &enc, &info, &err));
    EXPECT_OK(sck_kek_rotate(svc, &files, &owner, &err));
    assert_int_equal(owner.kek_version, 2);
    EXPECT_OK(sck_file_decrypt(svc, &dec, &info, &err));
    struct sck_rewrap_report r = rewrap_ok(NULL, true, false, NULL);
    assert_int_equal(r.moved, 1);
    assert_int_equal(r.retired, 1);
    EXPECT_OK(sck_file_decrypt(svc, &dec, &info, &err));
    struct sck_scope client = scope_of("client/default");
    EXPECT_OK(sck_kek_rotate(svc, &client, &owner, &err));
    assert_int_equal(owner.kek_version, 2);
    struct sck_scope nobody = scope_of("subject/nobody");
    EXPECT_FAIL(sck_kek_rotate(svc, &nobody, &owner, &err), SCK_E_NOT_FOUND,
                "subject/nobody is not provisioned: run `scopekey subject create nobody` (or set auto_provision)");
    struct sck_scope system = scope_of("system/x");
    EXPECT_FAIL(sck_kek_rotate(svc, &system, &owner, &err), SCK_E_USAGE,
                "only subjects and clients have a KEK of their own");
    struct sck_service *walled = home_open(&home, "subject/alice");
    EXPECT_FAIL(sck_kek_rotate(walled, &files, &owner, &err), SCK_E_DENIED,
                "the files' KEK is outside the allowed scopes of this process");
    EXPECT_FAIL(sck_kek_rotate(walled, &client, &owner, &err), SCK_E_DENIED,
                "scope client/default is outside the allowed scopes of this process");
    sck_service_close(&walled);
}

static struct sck_context
message_context(const char *subject)
{
    struct sck_context ctx;
    sck_context_init(&ctx);
    ctx.scope = scope_of(subject);
    ctx.purpose = SCK_PURPOSE_MESSAGE;
    ctx.created_s = 1700000000;
    ctx.id[0] = 9;
    return ctx;
}

static void
versions_with_deks_that_were_handed_out_are_kept(void **state)
{
    (void)state;
    struct sck_scope carol = scope_of("subject/carol");
    struct sck_context ctx = message_context("subject/carol");
    struct sck_secret *dek = NULL;
    struct sck_secret *back = NULL;
    struct sck_buf wrapped;
    int64_t owner = 0;
    sck_buf_init(&wrapped, SCK_WRAPPED_MAX);
    EXPECT_OK(sck_dek_make(svc, &carol, &ctx, &dek, &wrapped, &owner, &err));
    assert_int_equal(people_versions(svc, "subject/carol").at[0].messages, 1);
    rotate_ok("subject/carol", 2);
    struct sck_rewrap_report r = rewrap_ok("subject/carol", true, false, NULL);
    assert_int_equal(r.retired, 0);
    assert_int_equal(r.kept, 1);
    EXPECT_OK(sck_dek_open(svc, owner, &ctx, wrapped.data, wrapped.len, &back, &err));
    assert_memory_equal(back->data, dek->data, SCK_DEK_LEN);
    sck_secret_free(&back);
    r = rewrap_ok("subject/carol", true, true, NULL);
    assert_int_equal(r.retired, 1);
    EXPECT_FAIL(sck_dek_open(svc, owner, &ctx, wrapped.data, wrapped.len, &back, &err), SCK_E_STATE,
                "version 1 of the KEK was retired at keeper token: what it wrapped is lost");
    sck_secret_free(&dek);
    sck_buf_clear(&wrapped);
    sck_context_clear(&ctx);
}

static void
set_wraps(const char *subject, const char *column, int64_t count)
{
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_scope scope = scope_of(subject);
    EXPECT_OK(sck_owner_get(svc->engine, &scope, false, &owner, &kek, &err));
    *(strcmp(column, "wraps") == 0 ? &kek.wraps : &kek.messages) = count;
    EXPECT_OK(sck_catalog_update(svc->engine->catalog, SCK_TABLE_KEKS, &kek, &err));
    sck_record_clear(SCK_TABLE_KEKS, &kek);
}

static void
a_kek_wraps_2_to_the_32_times(void **state)
{
    (void)state;
    char want[256];
    struct sck_scope dan = scope_of("subject/dan");
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    struct sck_key_info info;
    (void)people_key(svc, "subject/dan", "one", SCK_ALG_AES_256, 0);
    assert_int_equal(people_versions(svc, "subject/dan").at[0].wraps, 1);
    (void)people_key(svc, "subject/dan", "two", SCK_ALG_AES_256, 0);
    (void)people_key(svc, "subject/dan", "three", SCK_ALG_AES_256, 0);
    (void)people_key(svc, "subject/dan", "four", SCK_ALG_AES_256, 0);
    /* Reserved in steps of 1, 2, 4, ... */
    assert_int_equal(people_versions(svc, "subject/dan").at[0].wraps, 7);
    reopen();
    (void)people_key(svc, "subject/dan", "five", SCK_ALG_AES_256, 0);
    assert_int_equal(people_versions(svc, "subject/dan").at[0].wraps, 8);
    set_wraps("subject/dan", "wraps", (INT64_C(1) << 32) - 1);
    (void)snprintf(want, sizeof want,
                   "KEK %s has wrapped 2^32 data keys, its limit: rotate it (`scopekey rotate`)",
                   people_versions(svc, "subject/dan").at[0].name);
    reopen();
    (void)people_key(svc, "subject/dan", "last", SCK_ALG_AES_256, 0);
    EXPECT_FAIL(sck_key_create(svc, &dan, "more", &spec, &info, &err), SCK_E_STATE, want);
    rotate_ok("subject/dan", 2);
    (void)people_key(svc, "subject/dan", "more", SCK_ALG_AES_256, 0);
    assert_int_equal(people_versions(svc, "subject/dan").at[0].wraps, 1);
}

/* Execute SQL on the catalog, by hand. */
static void
raw_sql(const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(home_path(&home, "d/catalog.db"), &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void
altered_rows_are_told_and_the_others_moved(void **state)
{
    (void)state;
    struct told told = {0};
    char sql[256];
    struct belongings erin = people_provide(&home, svc, "subject/erin");
    struct belongings fred = people_provide(&home, svc, "subject/fred");
    rotate_ok("subject/erin", 2);
    rotate_ok("subject/fred", 2);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE versions SET wrapped_dek = zeroblob(length(wrapped_dek)) WHERE key_uuid = (SELECT id FROM "
                   "keys WHERE key_id = '%s')", erin.gcm.key_id);
    reopen();
    raw_sql(sql);
    struct sck_rewrap_report r = rewrap_ok(NULL, true, false, &told);
    assert_int_equal(r.failed, 1);
    assert_int_equal(told.problems, 1);
    assert_non_null(strstr(told.last, "the row of versions with key_uuid = "));
    assert_non_null(strstr(told.last, "was changed by someone else"));
    assert_int_equal(r.moved, 3 + 4);
    /* What is under the altered row is not known: erin's older version stays. */
    assert_int_equal(r.retired, 1);
    assert_string_equal(people_versions(svc, "subject/fred").at[1].state, "destroyed");
    struct versions v = people_versions(svc, "subject/erin");
    assert_string_equal(v.at[1].state, "retired");
    people_check(&home, svc, &fred);
    people_check_gcm(svc, &erin.envelope, erin.nonce[1], erin.sealed[1]);
}

/* A blob under a right MAC that its KEK does not open. */
static void
a_wrapped_dek_that_does_not_open_is_told(void **state)
{
    (void)state;
    struct told told = {0};
    char want[160];
    char id[SCK_UUID_TEXT];
    struct belongings gus = people_provide(&home, svc, "subject/gus");
    struct sck_version_rec v = {.version = 1};
    memcpy(v.key, gus.gcm.id, sizeof v.key);
    EXPECT_OK(sck_catalog_get(svc->engine->catalog, SCK_BY_VERSION, &v, &err));
    v.wrapped_dek.data[v.wrapped_dek.len - 1] ^= 1;
    EXPECT_OK(sck_catalog_update(svc->engine->catalog, SCK_TABLE_VERSIONS, &v, &err));
    sck_record_clear(SCK_TABLE_VERSIONS, &v);
    rotate_ok("subject/gus", 2);
    struct sck_rewrap_report r = rewrap_ok("subject/gus", true, false, &told);
    sck_uuid_format(gus.gcm.id, id);
    (void)snprintf(want, sizeof want, "key %s version 1: its data key cannot be moved (decryption_failed)", id);
    assert_string_equal(told.last, want);
    assert_int_equal(told.problems, 1);
    assert_int_equal(r.moved, 3);
    assert_int_equal(r.failed, 1);
    assert_int_equal(r.retired, 0);
}

/* ---- races ---- */

static void *
rewrap_thread(void *arg)
{
    struct sck_rewrap_report *r = arg;
    struct sck_scope scope = scope_of("subject/hana");
    const struct sck_rewrap how = {.scope = &scope};
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_rewrap_run(svc, &how, r, &err), SCK_OK);
    return NULL;
}

static atomic_bool stop_making;

static void *
make_thread(void *arg)
{
    int *made = arg;
    struct sck_scope scope = scope_of("subject/hana");
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256, .protection = SCK_PROTECTION_ENVELOPE};
    while (!atomic_load(&stop_making)) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_key_info info;
        if (sck_key_create(svc, &scope, "", &spec, &info, &err) != SCK_OK)
            fail_msg("%s", err.message);
        (*made)++;
    }
    return NULL;
}

static enum sck_code
open_key(void *arg, const struct sck_key_info *info, struct sck_err *err)
{
    struct sck_ukey *key = NULL;
    int *opened = arg;
    enum sck_code rc = sck_ukey_open(svc, info, &key, err);
    sck_ukey_unref(&key);
    (*opened)++;
    return rc;
}

/* Rewraps, rotations, retirements and new keys at the same time: no DEK is lost. */
static void
two_rewraps_race_with_rotation_and_new_keys(void **state)
{
    (void)state;
    pthread_t threads[3];
    struct sck_rewrap_report reports[2];
    int made = 0;
    int opened = 0;
    struct belongings hana = people_provide(&home, svc, "subject/hana");
    for (int i = 0; i < 200; i++) {
        struct sck_scope scope = scope_of("subject/hana");
        struct sck_key_spec spec = {.alg = SCK_ALG_AES_256, .protection = SCK_PROTECTION_ENVELOPE};
        struct sck_key_info info;
        EXPECT_OK(sck_key_create(svc, &scope, "", &spec, &info, &err));
    }
    atomic_store(&stop_making, false);
    assert_int_equal(pthread_create(&threads[2], NULL, make_thread, &made), 0);
    for (uint32_t round = 0; round < 4; round++) {
        rotate_ok("subject/hana", round + 2);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, rewrap_thread, &reports[i]), 0);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(reports[0].failed + reports[1].failed, 0);
        (void)rewrap_ok("subject/hana", true, false, NULL);
    }
    atomic_store(&stop_making, true);
    assert_int_equal(pthread_join(threads[2], NULL), 0);
    struct versions v = people_versions(svc, "subject/hana");
    assert_int_equal(v.count, 5);
    assert_int_equal(v.at[0].blobs, 200 + 4 + made);
    for (size_t i = 1; i < v.count; i++)
        assert_string_equal(v.at[i].state, "destroyed");
    reopen();
    people_check(&home, svc, &hana);
    struct sck_scope scope = scope_of("subject/hana");
    EXPECT_OK(sck_key_each(svc, &scope, open_key, &opened, &err));
    assert_int_equal(opened, 200 + 3 + made);
}

static void *
erase_thread(void *arg)
{
    struct sck_scope scope = scope_of("subject/ines");
    struct sck_buf receipt;
    struct sck_err err = SCK_ERR_INIT;
    (void)arg;
    sck_buf_init(&receipt, 65536);
    if (sck_erase(svc, &scope, NULL, NULL, &receipt, &err) != SCK_OK)
        fail_msg("%s", err.message);
    sck_buf_clear(&receipt);
    return NULL;
}

static void
an_erasure_in_the_middle_ends_it_quietly(void **state)
{
    (void)state;
    pthread_t eraser;
    struct told told = {0};
    struct sck_key_info info;
    struct sck_rewrap_report r;
    struct belongings jan = people_provide(&home, svc, "subject/jan");
    for (int i = 0; i < 150; i++) {
        struct sck_scope scope = scope_of("subject/ines");
        struct sck_key_spec spec = {.alg = SCK_ALG_AES_256, .protection = SCK_PROTECTION_ENVELOPE};
        EXPECT_OK(sck_key_create(svc, &scope, "", &spec, &info, &err));
    }
    rotate_ok("subject/ines", 2);
    rotate_ok("subject/jan", 2);
    assert_int_equal(pthread_create(&eraser, NULL, erase_thread, NULL), 0);
    r = rewrap_ok(NULL, true, false, &told);
    assert_int_equal(pthread_join(eraser, NULL), 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(told.problems, 0);
    char want[192];
    (void)snprintf(want, sizeof want, "key %s was erased", info.key_id);
    EXPECT_FAIL(sck_key_find_by_key_id(svc, info.key_id, 0, &info, &err), SCK_E_ERASED, want);
    people_check(&home, svc, &jan);
}

#ifdef SCK_FAULT_POINTS
static void
rotate_kate(struct sck_service *s)
{
    struct sck_scope kate = scope_of("subject/kate");
    struct sck_owner_info info;
    struct sck_err err = SCK_ERR_INIT;
    (void)!sck_kek_rotate(s, &kate, &info, &err);
}

static void
rewrap_kate(struct sck_service *s)
{
    struct sck_scope kate = scope_of("subject/kate");
    const struct sck_rewrap how = {.scope = &kate, .retire = true};
    struct sck_rewrap_report r;
    struct sck_err err = SCK_ERR_INIT;
    (void)!sck_rewrap_run(s, &how, &r, &err);
}

static void
create_for_kate(struct sck_service *s)
{
    struct sck_scope kate = scope_of("subject/kate");
    struct sck_key_spec spec = {.alg = SCK_ALG_EC_P256};
    struct sck_key_info info;
    struct sck_err err = SCK_ERR_INIT;
    (void)!sck_key_create(s, &kate, "later", &spec, &info, &err);
}

static void
cut_anywhere_nothing_is_lost(void **state)
{
    (void)state;
    struct belongings kate = people_provide(&home, svc, "subject/kate");
    struct sck_scope scope = scope_of("subject/kate");
    struct sck_key_spec spec = {.alg = SCK_ALG_EC_P256};
    struct sck_key_info info;
    /* The record of a rotation that was cut was nowhere yet. */
    assert_true(people_killed_at(&home, "kek.rotate.made", rotate_kate));
    reopen();
    people_check(&home, svc, &kate);
    assert_int_equal(people_versions(svc, "subject/kate").count, 1);
    assert_true(people_killed_at(&home, "kek.rotate.done", rotate_kate));
    reopen();
    people_check(&home, svc, &kate);
    assert_int_equal(people_versions(svc, "subject/kate").count, 2);
    assert_true(people_killed_at(&home, "create.made", create_for_kate));
    EXPECT_OK(sck_key_create(svc, &scope, "later", &spec, &info, &err));
    static const char *const points[] = {"rewrap.wrapped", "rewrap.stored", "retire.row"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        assert_true(people_killed_at(&home, points[i], rewrap_kate));
        reopen();
        people_check(&home, svc, &kate);
    }
    struct versions v = people_versions(svc, "subject/kate");
    assert_string_equal(v.at[1].state, "destroyed");
    assert_int_equal(v.at[0].blobs, 5);
    rotate_ok("subject/kate", 3);
    (void)rewrap_ok("subject/kate", true, false, NULL);
    people_check(&home, svc, &kate);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_versions_open_until_all_is_moved),
        cmocka_unit_test(the_files_and_clients_rotate_too),
        cmocka_unit_test(versions_with_deks_that_were_handed_out_are_kept),
        cmocka_unit_test(a_kek_wraps_2_to_the_32_times),
        cmocka_unit_test(two_rewraps_race_with_rotation_and_new_keys),
        cmocka_unit_test(an_erasure_in_the_middle_ends_it_quietly),
#ifdef SCK_FAULT_POINTS
        cmocka_unit_test(cut_anywhere_nothing_is_lost),
#endif
        /* What these break stays so. */
        cmocka_unit_test(altered_rows_are_told_and_the_others_moved),
        cmocka_unit_test(a_wrapped_dek_that_does_not_open_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
