/* SPDX-License-Identifier: MIT */
/* Provisioning beside provisioning and erasure, with keeper local, whose file shows every KEK there is. */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/base/file.h"
#include "lib/service/engine.h"

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
            made[i] = (struct made){.scope = numbered("many", round), .start = &start};
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_subject_is_provisioned_by_many_at_once),
        cmocka_unit_test(an_erasure_between_question_and_claim_is_seen),
        cmocka_unit_test(provisioning_raced_against_erasure_leaves_no_kek),
    };
    return cmocka_run_group_tests_name("service/races", tests, set_up, tear_down);
}
