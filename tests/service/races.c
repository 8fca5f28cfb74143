/* SPDX-License-Identifier: MIT */
/* Provisioning beside provisioning and erasure, with keeper local, whose file shows every KEK there is. */
#include "tests/service/people.h"

#include "lib/base/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static struct home home;
static struct sck_service *svc;

static int
set_up(void **state)
{
    struct sck_err err = SCK_ERR_INIT;
    char *path = NULL;
    (void)state;
    home_begin(&home);
    const struct sck_setup setup = {.home = home.home, .pin_file = home.pin_file, .keeper = "local"};
    assert_int_equal(sck_setup_init(&setup, NULL, NULL, &path, &err), SCK_OK);
    free(path);
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

/* Whether a KEK of this name is in the keeper's file or in any of its backups. */
static bool
keeper_has(const char *name)
{
    static const char *const files[] = {"d/secrets/secrets.json", "d/secrets/secrets.json.bak.1", "d/secrets/secrets.json.bak.2",
                                        "d/secrets/secrets.json.bak.3", "d/secrets/secrets.json.bak.4",
                                        "d/secrets/secrets.json.bak.5"};
    bool has = false;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct sck_buf bytes = {0};
        struct sck_err err = SCK_ERR_INIT;
        if (sck_file_read(home_path(&home, files[i]), 16 << 20, &bytes, &err) != SCK_OK)
            continue;
        has = has || memmem(bytes.data, bytes.len, name, strlen(name)) != NULL;
        sck_buf_clear(&bytes);
    }
    return has;
}

struct made {
    struct sck_scope scope;
    pthread_barrier_t *start;
    enum sck_code code;
    struct sck_context ctx;
    struct sck_buf wrapped;
    int64_t owner_id;
    char message[SCK_ERR_MESSAGE_MAX];
};

static void
dek_for(struct made *m)
{
    struct sck_secret *dek = NULL;
    struct sck_err err = SCK_ERR_INIT;
    m->ctx = (struct sck_context){.scope = m->scope, .purpose = SCK_PURPOSE_MESSAGE, .created_s = 1700000000, .id = {7}};
    sck_buf_init(&m->wrapped, SCK_WRAPPED_MAX);
    m->code = sck_dek_make(svc, &m->scope, &m->ctx, &dek, &m->wrapped, &m->owner_id, &err);
    memcpy(m->message, err.message, sizeof m->message);
    sck_secret_free(&dek);
}

static void *
dek_thread(void *arg)
{
    struct made *m = arg;
    pthread_barrier_wait(m->start);
    dek_for(m);
    return NULL;
}

static void *
create_thread(void *arg)
{
    struct made *m = arg;
    struct sck_owner_info info;
    struct sck_err err = SCK_ERR_INIT;
    pthread_barrier_wait(m->start);
    m->code = sck_owner_create(svc, &m->scope, false, &info, &err);
    memcpy(m->message, err.message, sizeof m->message);
    return NULL;
}

static void *
erase_thread(void *arg)
{
    struct made *m = arg;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf receipt;
    sck_buf_init(&receipt, 65536);
    pthread_barrier_wait(m->start);
    /* Until there is something to erase. */
    do {
        sck_err_clear(&err);
        m->code = sck_erase(svc, &m->scope, NULL, NULL, &receipt, &err);
    } while (m->code == SCK_E_NOT_FOUND);
    memcpy(m->message, err.message, sizeof m->message);
    sck_buf_clear(&receipt);
    return NULL;
}

static struct sck_scope
numbered(const char *start, unsigned number)
{
    char text[64];
    (void)snprintf(text, sizeof text, "subject/%s-%u", start, number);
    return scope_of(text);
}

static void
one_subject_is_provisioned_by_many_at_once(void **state)
{
    enum { THREADS = 8, ROUNDS = 12 };
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_t threads[THREADS];
        struct made made[THREADS];
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, THREADS);
        for (unsigned i = 0; i < THREADS; i++) {
            made[i] = (struct made){.scope = numbered(svc->engine->conf->keyed_names ? "many" : "plainly", round), .start = &start};
            assert_int_equal(pthread_create(&threads[i], NULL, dek_thread, &made[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < THREADS; i++) {
            struct sck_secret *dek = NULL;
            if (made[i].code != SCK_OK)
                print_error("%s\n", made[i].message);
            assert_int_equal(made[i].code, SCK_OK);
            EXPECT_OK(sck_dek_open(svc, made[i].owner_id, &made[i].ctx, made[i].wrapped.data, made[i].wrapped.len, &dek,
                                   &err));
            sck_secret_free(&dek);
            sck_buf_clear(&made[i].wrapped);
        }
        pthread_barrier_destroy(&start);
    }
}

/*
 * Someone creates, someone uses and someone erases the same subject at the same time.  Whatever came first: once it is
 * erased its KEK is nowhere, and it is not made again.
 */
static void
one_round(unsigned round)
{
    enum { CREATE, USE, ERASE, PARTS };
    static void *(*const parts[PARTS])(void *) = {create_thread, dek_thread, erase_thread};
    pthread_t threads[PARTS];
    struct made made[PARTS];
    struct sck_owner_info info;
    pthread_barrier_t start;
    char name[128];
    struct sck_err why = SCK_ERR_INIT;
    struct sck_scope scope = numbered("raced", round);
    EXPECT_OK(sck_owner_kek_name(svc, &scope, name, &err));
    /* In half of the rounds it is there already. */
    if (round % 2 == 0)
        EXPECT_OK(sck_owner_create(svc, &scope, false, &info, &err));
    pthread_barrier_init(&start, NULL, PARTS);
    for (unsigned i = 0; i < PARTS; i++) {
        made[i] = (struct made){.scope = scope, .start = &start};
        assert_int_equal(pthread_create(&threads[i], NULL, parts[i], &made[i]), 0);
    }
    for (unsigned i = 0; i < PARTS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    sck_buf_clear(&made[USE].wrapped);
    if (made[ERASE].code != SCK_OK)
        print_error("%s\n", made[ERASE].message);
    assert_int_equal(made[ERASE].code, SCK_OK);
    assert_int_equal(sck_owner_find(svc, &scope, &info, &why), SCK_E_ERASED);
    assert_true(made[CREATE].code == SCK_OK || made[CREATE].code == SCK_E_EXISTS || made[CREATE].code == SCK_E_ERASED);
    assert_true(made[USE].code == SCK_OK || made[USE].code == SCK_E_ERASED);
    if (keeper_has(name))
        print_error("round %u: KEK %s is left\n", round, name);
    assert_false(keeper_has(name));
}

static void
provisioning_raced_against_erasure_leaves_no_kek(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 1000; round++)
        one_round(round);
}

/* The machine's clock, that erases a subject when it is asked for the time by whoever is provisioning. */
static struct sck_scope clock_erases;
static atomic_bool clock_armed;

static int64_t
now_and_erase(void *arg)
{
    (void)arg;
    if (atomic_exchange(&clock_armed, false)) {
        struct sck_buf receipt;
        sck_buf_init(&receipt, 65536);
        EXPECT_OK(sck_erase(svc, &clock_erases, NULL, NULL, &receipt, &err));
        sck_buf_clear(&receipt);
    }
    return sck_now_s(sck_clock_system());
}

static void
an_erasure_between_question_and_claim_is_seen(void **state)
{
    struct sck_owner_info info;
    char name[128];
    (void)state;
    struct sck_clock clock = *sck_clock_system();
    clock.now_s = now_and_erase;
    clock_erases = scope_of("subject/between");
    EXPECT_OK(sck_owner_create(svc, &clock_erases, false, &info, &err));
    memcpy(name, info.kek_name, sizeof name);
    svc->engine->clock = &clock;
    atomic_store(&clock_armed, true);
    EXPECT_FAIL(sck_owner_create(svc, &clock_erases, false, &info, &err), SCK_E_ERASED,
                "subject/between was erased: `scopekey subject create --again` starts anew");
    svc->engine->clock = sck_clock_system();
    assert_false(atomic_load(&clock_armed));
    EXPECT_FAIL(sck_owner_find(svc, &clock_erases, &info, &err), SCK_E_ERASED, "subject/between was erased");
    assert_false(keeper_has(name));
}

/* ---- plain names, which others may have chosen as well; from here on ---- */

#define FOREIGN(name) \
    "keeper local: KEK " name " is there already, and this set-up did not make it: set key_prefix to a name of your own, " \
    "or remove that KEK if nobody uses it"

static struct sck_keeper *
local(void)
{
    struct sck_keeper *keeper = NULL;
    EXPECT_OK(sck_engine_keeper(svc->engine, SCK_KEEPER_LOCAL, &keeper, &err));
    return keeper;
}

static void
somebody_makes(const char *name)
{
    struct sck_kek_made made;
    EXPECT_OK(local()->ops->create(local(), name, 1, &made, &err));
    sck_buf_clear(&made.record);
}

static void
names_are_plain(void **state)
{
    (void)state;
    struct sck_buf text = {0};
    struct sck_owner_info info;
    struct sck_buf receipt;
    EXPECT_OK(sck_file_read(home.conf, 65536, &text, &err));
    text.max_len = 70000;
    sck_buf_put_str(&text, "\n[scopekey]\nkeyed_names = false\n");
    EXPECT_OK(sck_file_replace(home.conf, text.data, text.len, 0600, &err));
    sck_buf_clear(&text);
    sck_service_close(&svc);
    svc = home_open(&home, NULL);
    struct sck_scope scope = scope_of("subject/plain");
    EXPECT_OK(sck_owner_create(svc, &scope, false, &info, &err));
    assert_string_equal(info.kek_name, "scopekey--plain");
    sck_buf_init(&receipt, 65536);
    EXPECT_OK(sck_erase(svc, &scope, NULL, NULL, &receipt, &err));
    sck_buf_clear(&receipt);
    assert_false(keeper_has("scopekey--plain"));
}

static void
a_name_that_is_taken_is_refused(void **state)
{
    (void)state;
    struct sck_owner_info info;
    struct sck_scope scope = scope_of("subject/taken");
    somebody_makes("scopekey--taken");
    for (int i = 0; i < 2; i++)
        EXPECT_FAIL(sck_owner_create(svc, &scope, false, &info, &err), SCK_E_EXISTS, FOREIGN("scopekey--taken"));
    assert_true(keeper_has("scopekey--taken"));
}

#ifdef SCK_FAULT_POINTS
static struct sck_scope cut_scope;

static void
provision(struct sck_service *s)
{
    struct sck_owner_info info;
    struct sck_err err = SCK_ERR_INIT;
    (void)!sck_owner_create(s, &cut_scope, false, &info, &err);
}

static void
a_foreign_kek_is_not_taken_for_that_of_a_cut_run(void **state)
{
    (void)state;
    struct sck_owner_info info;
    struct sck_buf receipt;
    cut_scope = scope_of("subject/cut");
    assert_true(people_killed_at(&home, "provision.claimed", provision));
    somebody_makes("scopekey--cut");
    EXPECT_FAIL(sck_owner_create(svc, &cut_scope, false, &info, &err), SCK_E_EXISTS, FOREIGN("scopekey--cut"));
    /* Nor is it erased: not after the refusal, and not instead of it. */
    sck_buf_init(&receipt, 65536);
    EXPECT_FAIL(sck_erase(svc, &cut_scope, NULL, NULL, &receipt, &err), SCK_E_NOT_FOUND,
                "there is nothing of subject/cut");
    cut_scope = scope_of("subject/cut2");
    assert_true(people_killed_at(&home, "provision.claimed", provision));
    somebody_makes("scopekey--cut2");
    EXPECT_FAIL(sck_erase(svc, &cut_scope, NULL, NULL, &receipt, &err), SCK_E_NOT_FOUND,
                "there is nothing of subject/cut2");
    sck_buf_clear(&receipt);
    assert_true(keeper_has("scopekey--cut\""));
    assert_true(keeper_has("scopekey--cut2"));
}

static void
the_kek_of_a_cut_run_is_found_again(void **state)
{
    (void)state;
    static const char *const points[] = {"provision.claimed", "provision.made"};
    struct sck_owner_info info;
    struct sck_buf receipt;
    cut_scope = scope_of("subject/again");
    for (size_t i = 0; i < 2; i++)
        assert_true(people_killed_at(&home, points[i], provision));
    assert_true(keeper_has("scopekey--again"));
    EXPECT_OK(sck_owner_create(svc, &cut_scope, false, &info, &err));
    assert_string_equal(info.kek_name, "scopekey--again");
    /* What was made and not finished goes with an erasure. */
    cut_scope = scope_of("subject/half");
    assert_true(people_killed_at(&home, "provision.made", provision));
    assert_true(keeper_has("scopekey--half"));
    sck_buf_init(&receipt, 65536);
    EXPECT_OK(sck_erase(svc, &cut_scope, NULL, NULL, &receipt, &err));
    sck_buf_clear(&receipt);
    assert_false(keeper_has("scopekey--half"));
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_subject_is_provisioned_by_many_at_once),
        cmocka_unit_test(an_erasure_between_question_and_claim_is_seen),
        cmocka_unit_test(provisioning_raced_against_erasure_leaves_no_kek),
        cmocka_unit_test(names_are_plain),
        cmocka_unit_test(one_subject_is_provisioned_by_many_at_once),
        cmocka_unit_test(a_name_that_is_taken_is_refused),
#ifdef SCK_FAULT_POINTS
        cmocka_unit_test(a_foreign_kek_is_not_taken_for_that_of_a_cut_run),
        cmocka_unit_test(the_kek_of_a_cut_run_is_found_again),
#endif
    };
    return cmocka_run_group_tests_name("service/races", tests, set_up, tear_down);
}
