/* SPDX-License-Identifier: MIT */
/* Moving between keepers: everything opens on the way and at its end, erasure reaches every home, cuts are resumed. */
#include "tests/service/people.h"

#include "lib/base/file.h"
#include "lib/service/kek.h"

#include <pthread.h>
#include <stdatomic.h>
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

static bool
conf_has(const char *line)
{
    struct sck_buf text = {0};
    EXPECT_OK(sck_file_read(home.conf, 65536, &text, &err));
    bool has = strstr(sck_buf_str(&text), line) != NULL;
    sck_buf_clear(&text);
    return has;
}

static struct sck_rewrap_report
migrate_ok(enum sck_keeper_kind from, enum sck_keeper_kind to, bool keep, bool discard)
{
    struct sck_rewrap_report report;
    bool switched = false;
    const struct sck_migrate how = {
        .from = from, .to = to, .keep_source = keep, .work = {.discard_messages = discard}};
    EXPECT_OK(sck_migrate_run(svc, &how, &report, &switched, &err));
    assert_true(switched);
    assert_int_equal(report.failed, 0);
    reopen();
    return report;
}

static void
there_and_back_again(void **state)
{
    (void)state;
    struct belongings alice = people_provide(&home, svc, "subject/alice");
    struct belongings bob = people_provide(&home, svc, "subject/bob");
    const struct sck_migrate dry = {.from = SCK_KEEPER_TOKEN, .to = SCK_KEEPER_LOCAL, .work = {.dry_run = true}};
    struct sck_rewrap_report report;
    bool switched = true;
    EXPECT_OK(sck_migrate_run(svc, &dry, &report, &switched, &err));
    assert_false(switched);
    assert_int_equal(report.stale, 8);
    assert_int_equal(report.moved, 0);
    assert_int_equal(people_versions(svc, "subject/alice").count, 1);
    assert_true(conf_has("keeper = \"token\"\n"));

    report = migrate_ok(SCK_KEEPER_TOKEN, SCK_KEEPER_LOCAL, false, false);
    assert_int_equal(report.moved, 8);
    assert_int_equal(report.kept, 0);
    assert_true(conf_has("keeper = local\n"));
    assert_false(conf_has("keeper = \"token\""));
    people_check(&home, svc, &alice);
    people_check(&home, svc, &bob);
    struct versions v = people_versions(svc, "subject/alice");
    assert_int_equal(v.count, 2);
    assert_int_equal(v.at[0].keeper, SCK_KEEPER_LOCAL);
    assert_int_equal(v.at[0].version, 1);
    assert_int_equal(v.at[0].blobs, 4);
    assert_string_equal(v.at[1].state, "destroyed");
    struct belongings carol = people_provide(&home, svc, "subject/carol");
    assert_int_equal(people_versions(svc, "subject/carol").at[0].keeper, SCK_KEEPER_LOCAL);

    report = migrate_ok(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, false, false);
    assert_int_equal(report.moved, 12);
    people_check(&home, svc, &alice);
    people_check(&home, svc, &carol);
    v = people_versions(svc, "subject/alice");
    /* A version number is never given twice. */
    assert_int_equal(v.at[0].keeper, SCK_KEEPER_TOKEN);
    assert_int_equal(v.at[0].version, 2);
    assert_string_equal(v.at[1].state, "destroyed");
    assert_int_equal(people_versions(svc, "subject/carol").at[0].version, 1);
    /* Nothing is left to do, and nothing is done. */
    report = migrate_ok(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, false, false);
    assert_int_equal(report.moved + report.retired, 0);
}

static bool
local_has(const char *kek_name)
{
    struct sck_buf text = {0};
    struct sck_err err = SCK_ERR_INIT;
    const char *path = home_path(&home, "d/secrets/secrets.json");
    enum sck_code rc = sck_file_read(path, 1 << 20, &text, &err);
    assert_int_equal(rc, SCK_OK);
    bool has = strstr(sck_buf_str(&text), kek_name) != NULL;
    sck_buf_clear(&text);
    return has;
}

static void
erase_ok(const char *subject, struct sck_buf *receipt)
{
    struct sck_scope scope = scope_of(subject);
    sck_buf_init(receipt, 65536);
    EXPECT_OK(sck_erase(svc, &scope, NULL, NULL, receipt, &err));
}

static void
a_kept_source_is_reached_by_erasure(void **state)
{
    (void)state;
    struct sck_buf receipt;
    struct belongings dora = people_provide(&home, svc, "subject/dora");
    struct belongings eric = people_provide(&home, svc, "subject/eric");
    (void)migrate_ok(SCK_KEEPER_TOKEN, SCK_KEEPER_LOCAL, false, false);
    struct sck_rewrap_report report = migrate_ok(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, true, false);
    assert_int_equal(report.retired, 0);
    people_check(&home, svc, &dora);
    struct versions v = people_versions(svc, "subject/dora");
    assert_string_equal(v.at[1].state, "retired");
    assert_true(local_has(v.at[1].name));
    erase_ok("subject/dora", &receipt);
    assert_false(local_has(v.at[1].name));
    assert_non_null(strstr(sck_buf_str(&receipt), "\"keeper\":\"local\""));
    assert_non_null(strstr(sck_buf_str(&receipt), "\"keeper\":\"token\""));
    sck_buf_clear(&receipt);
    /* Back to a keeper that still has it: a new version there. */
    v = people_versions(svc, "subject/eric");
    (void)migrate_ok(SCK_KEEPER_TOKEN, SCK_KEEPER_LOCAL, false, false);
    people_check(&home, svc, &eric);
    v = people_versions(svc, "subject/eric");
    assert_int_equal(v.at[0].keeper, SCK_KEEPER_LOCAL);
    assert_int_equal(v.at[0].version, 2);
    (void)migrate_ok(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, false, false);
    assert_false(local_has(v.at[0].name));
    people_check(&home, svc, &eric);
}

static void
keks_of_deks_that_were_handed_out_stay(void **state)
{
    (void)state;
    struct sck_scope fay = scope_of("subject/fay");
    struct sck_context ctx;
    struct sck_secret *dek = NULL;
    struct sck_secret *back = NULL;
    struct sck_buf wrapped;
    int64_t owner = 0;
    sck_context_init(&ctx);
    ctx.scope = fay;
    ctx.purpose = SCK_PURPOSE_MESSAGE;
    ctx.created_s = 1700000000;
    sck_buf_init(&wrapped, SCK_WRAPPED_MAX);
    EXPECT_OK(sck_dek_make(svc, &fay, &ctx, &dek, &wrapped, &owner, &err));
    struct sck_rewrap_report report = migrate_ok(SCK_KEEPER_TOKEN, SCK_KEEPER_LOCAL, false, false);
    assert_int_equal(report.kept, 1);
    EXPECT_OK(sck_dek_open(svc, owner, &ctx, wrapped.data, wrapped.len, &back, &err));
    assert_memory_equal(back->data, dek->data, SCK_DEK_LEN);
    sck_secret_free(&back);
    report = migrate_ok(SCK_KEEPER_TOKEN, SCK_KEEPER_LOCAL, false, true);
    assert_int_equal(report.kept, 0);
    assert_int_equal(report.retired, 1);
    EXPECT_FAIL(sck_dek_open(svc, owner, &ctx, wrapped.data, wrapped.len, &back, &err), SCK_E_STATE,
                "version 1 of the KEK was retired at keeper token: what it wrapped is lost");
    sck_secret_free(&dek);
    sck_buf_clear(&wrapped);
    sck_context_clear(&ctx);
    (void)migrate_ok(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, false, false);
}

static void
bad_requests_change_nothing(void **state)
{
    (void)state;
    struct sck_rewrap_report report;
    bool switched = false;
    const struct sck_migrate same = {.from = SCK_KEEPER_TOKEN, .to = SCK_KEEPER_TOKEN};
    const struct sck_migrate absent = {.from = SCK_KEEPER_TOKEN, .to = SCK_KEEPER_VAULT};
    EXPECT_FAIL(sck_migrate_run(svc, &same, &report, &switched, &err), SCK_E_USAGE,
                "keeper migrate: both keepers are token");
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(sck_migrate_run(svc, &absent, &report, &switched, &why), SCK_E_CONFIG);
    struct sck_service *walled = home_open(&home, "subject/alice");
    const struct sck_migrate good = {.from = SCK_KEEPER_TOKEN, .to = SCK_KEEPER_LOCAL};
    EXPECT_FAIL(sck_migrate_run(walled, &good, &report, &switched, &err), SCK_E_DENIED,
                "keeper migrate: this process may not use all scopes (`scopes`)");
    sck_service_close(&walled);
    assert_false(switched);
    assert_true(conf_has("keeper = token\n"));
}

static void
one_line_of_the_configuration_changes(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        const char *after;
    } cases[] = {
        {"# k\n[scopekey]\nkeeper = token\nx = y\n", "# k\n[scopekey]\nkeeper = local\nx = y\n"},
        {"[ scopekey ]\n  keeper=\"token\"  # why\n", "[ scopekey ]\nkeeper = local\n"},
        {"[scopekey]\n#keeper = vault\nx = y\n[keeper vault]\nkeeper = z", "[scopekey]\nkeeper = local\n#keeper = vault\n"
                                                                       "x = y\n[keeper vault]\nkeeper = z\n"},
        {"[scopekey]\nkeeper_x = 1\n", "[scopekey]\nkeeper = local\nkeeper_x = 1\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sck_buf text = {0};
        const char *path = home_file(&home, "edit.conf", cases[i].before, strlen(cases[i].before));
        EXPECT_OK(sck_conf_set(path, "scopekey", "keeper", "local", &err));
        EXPECT_OK(sck_file_read(path, 65536, &text, &err));
        assert_string_equal(sck_buf_str(&text), cases[i].after);
        sck_buf_clear(&text);
    }
    char want[640];
    const char *path = home_file(&home, "none.conf", "[token]\n", 8);
    (void)snprintf(want, sizeof want, "%s has no section [scopekey]: set `keeper = local` there", path);
    EXPECT_FAIL(sck_conf_set(path, "scopekey", "keeper", "local", &err), SCK_E_CONFIG, want);
}

/* ---- an erasure in the middle ---- */

static atomic_int erased;

static void *
erase_thread(void *arg)
{
    char subject[32];
    (void)arg;
    for (int i = 0; i < 12; i++) {
        struct sck_buf receipt;
        (void)snprintf(subject, sizeof subject, "subject/gone-%d", i);
        erase_ok(subject, &receipt);
        sck_buf_clear(&receipt);
        atomic_fetch_add(&erased, 1);
    }
    return NULL;
}

static void
the_erased_stay_erased(void **state)
{
    (void)state;
    pthread_t eraser;
    struct sck_rewrap_report report;
    bool switched = false;
    char names[12][128];
    const struct sck_migrate how = {.from = SCK_KEEPER_TOKEN, .to = SCK_KEEPER_LOCAL};
    struct belongings hugo = people_provide(&home, svc, "subject/hugo");
    for (int i = 0; i < 12; i++) {
        char subject[32];
        (void)snprintf(subject, sizeof subject, "subject/gone-%d", i);
        (void)people_key(svc, subject, "k", SCK_ALG_AES_256, SCK_PROTECTION_ENVELOPE);
        memcpy(names[i], people_versions(svc, subject).at[0].name, 128);
    }
    assert_int_equal(pthread_create(&eraser, NULL, erase_thread, NULL), 0);
    EXPECT_OK(sck_migrate_run(svc, &how, &report, &switched, &err));
    assert_int_equal(pthread_join(eraser, NULL), 0);
    assert_int_equal(report.failed, 0);
    for (int i = 0; i < 12; i++)
        assert_false(local_has(names[i]));
    reopen();
    people_check(&home, svc, &hugo);
    (void)migrate_ok(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, false, false);
}

#ifdef SCK_FAULT_POINTS
static enum sck_keeper_kind cut_from, cut_to;

static void
migrate_child(struct sck_service *s)
{
    struct sck_rewrap_report report;
    bool switched = false;
    struct sck_err err = SCK_ERR_INIT;
    const struct sck_migrate how = {.from = cut_from, .to = cut_to};
    (void)!sck_migrate_run(s, &how, &report, &switched, &err);
}

static void
cut_each(enum sck_keeper_kind from, enum sck_keeper_kind to, const char *const *points, const struct belongings *one,
         const struct belongings *two)
{
    cut_from = from;
    cut_to = to;
    for (size_t i = 0; points[i] != NULL; i++) {
        if (!people_killed_at(&home, points[i], migrate_child))
            fail_msg("not killed at %s", points[i]);
        reopen();
        people_check(&home, svc, one);
        people_check(&home, svc, two);
    }
    (void)migrate_ok(from, to, false, false);
    people_check(&home, svc, one);
    people_check(&home, svc, two);
    struct versions v = people_versions(svc, one->subject);
    assert_int_equal(v.at[0].keeper, to);
    for (size_t i = 1; i < v.count; i++)
        assert_string_equal(v.at[i].state, "destroyed");
}

static void
cut_anywhere_it_goes_on(void **state)
{
    (void)state;
    static const char *const away[] = {"migrate.claimed", "migrate.made", "migrate.current", "rewrap.wrapped",
                                       "rewrap.stored",   "retire.row",   "migrate.switch",  NULL};
    static const char *const back[] = {"migrate.claimed", "migrate.made",  "migrate.current", "rewrap.wrapped",
                                       "rewrap.stored",   "retire.keeper", "retire.row",      "migrate.switch", NULL};
    struct belongings ivy = people_provide(&home, svc, "subject/ivy");
    struct belongings jon = people_provide(&home, svc, "subject/jon");
    cut_each(SCK_KEEPER_TOKEN, SCK_KEEPER_LOCAL, away, &ivy, &jon);
    cut_each(SCK_KEEPER_LOCAL, SCK_KEEPER_TOKEN, back, &ivy, &jon);
    /* What was claimed and never finished is no hindrance to a rotation, and goes with its owner. */
    cut_to = SCK_KEEPER_LOCAL;
    cut_from = SCK_KEEPER_TOKEN;
    struct belongings kay = people_provide(&home, svc, "subject/kay");
    for (int i = 0; i < 8 && people_versions(svc, "subject/kay").count == 1; i++)
        (void)people_killed_at(&home, i % 2 == 0 ? "migrate.made" : "migrate.current", migrate_child);
    reopen();
    struct sck_scope scope = scope_of("subject/kay");
    struct sck_owner_info info;
    struct sck_buf receipt;
    EXPECT_OK(sck_kek_rotate(svc, &scope, &info, &err));
    people_check(&home, svc, &kay);
    char name[128];
    memcpy(name, info.kek_name, sizeof name);
    erase_ok("subject/kay", &receipt);
    sck_buf_clear(&receipt);
    assert_false(local_has(name));
}
#endif

/* Plain names: the target has a KEK of the name that is somebody else's. */
static void
a_foreign_kek_at_the_target_is_never_taken(void **state)
{
    (void)state;
    struct sck_keeper *keeper = NULL;
    struct sck_kek_made made;
    struct sck_rewrap_report report;
    struct sck_buf receipt;
    struct sck_buf text = {0};
    bool switched = false;
    const char *name = "scopekey--lena";
    const struct sck_migrate how = {.from = SCK_KEEPER_TOKEN, .to = SCK_KEEPER_LOCAL};
    EXPECT_OK(sck_file_read(home.conf, 65536, &text, &err));
    text.max_len = 70000;
    sck_buf_put_str(&text, "\n[scopekey]\nkeyed_names = false\n");
    EXPECT_OK(sck_file_replace(home.conf, text.data, text.len, 0600, &err));
    sck_buf_clear(&text);
    reopen();
    struct belongings lena = people_provide(&home, svc, "subject/lena");
    EXPECT_OK(sck_engine_keeper(svc->engine, SCK_KEEPER_LOCAL, &keeper, &err));
    EXPECT_OK(keeper->ops->create(keeper, name, 1, &made, &err));
    sck_buf_clear(&made.record);
    /* The second run finds what the first one claimed. */
    for (int i = 0; i < 2; i++) {
        EXPECT_FAIL(sck_migrate_run(svc, &how, &report, &switched, &err), SCK_E_EXISTS,
                    "keeper local: KEK scopekey--lena is there already, and this set-up did not make it: set "
                    "key_prefix to a name of your own, or remove that KEK if nobody uses it");
        assert_false(switched);
    }
    people_check(&home, svc, &lena);
    erase_ok(lena.subject, &receipt);
    assert_null(strstr(sck_buf_str(&receipt), "\"keeper\":\"local\""));
    sck_buf_clear(&receipt);
    assert_true(local_has(name));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_again),
        cmocka_unit_test(bad_requests_change_nothing),
        cmocka_unit_test(a_kept_source_is_reached_by_erasure),
        cmocka_unit_test(keks_of_deks_that_were_handed_out_stay),
        cmocka_unit_test(one_line_of_the_configuration_changes),
        cmocka_unit_test(the_erased_stay_erased),
        cmocka_unit_test(a_foreign_kek_at_the_target_is_never_taken),
#ifdef SCK_FAULT_POINTS
        cmocka_unit_test(cut_anywhere_it_goes_on),
#endif
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
