/* SPDX-License-Identifier: MIT */
/*
 * People are kept apart: erasing one takes nothing from those whose ids look alike, and brings nobody back.
 * For apart.test.sh: apart token|local|vault keyed|plain.  Keeper vault's server comes from the environment: VAULT_URL,
 * MOUNT, TOKEN_FILE, ADMIN_TOKEN_FILE; LIAR_URL answers 404 to everything; ADMIN is a command that takes list (names of all
 * keys), hide and show (the mount).
 */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/base/file.h"
#include "lib/service/engine.h"
#include "lib/service/filecrypt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static const char *keeper, *naming;
static struct home home;
static struct sck_service *svc;

static void
append_conf(const char *path, const char *more)
{
    struct sck_buf conf = {0};
    EXPECT_OK(sck_file_read(home.conf, 65536, &conf, &err));
    conf.max_len = 70000;
    sck_buf_put_str(&conf, more);
    EXPECT_OK(sck_file_replace(path, conf.data, conf.len, 0600, &err));
    sck_buf_clear(&conf);
}

static int
set_up(void **state)
{
    char *path = NULL;
    (void)state;
    home_begin(&home);
    const bool vault = strcmp(keeper, "vault") == 0;
    const struct sck_setup setup = {
        .home = home.home,
        .pin_file = home.pin_file,
        .keeper = keeper,
        .vault_url = vault ? getenv("VAULT_URL") : NULL,
        .vault_mount = vault ? getenv("MOUNT") : NULL,
        .vault_data.token_file = vault ? getenv("TOKEN_FILE") : NULL,
        .vault_admin.token_file = vault ? getenv("ADMIN_TOKEN_FILE") : NULL,
        .insecure_http = vault,
        .key_prefix = strcmp(naming, "plain") == 0 ? "p" : "k",
    };
    EXPECT_OK(sck_setup_init(&setup, NULL, NULL, &path, &err));
    free(path);
    if (strcmp(naming, "plain") == 0)
        append_conf(home.conf, "\n[scopekey]\nkeyed_names = false\n");
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

static struct sck_scope
subject(const char *id)
{
    struct sck_scope scope;
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, id, strlen(id), &scope, &err));
    return scope;
}

/* A wrapped DEK and what opens it. */
struct kept {
    struct sck_scope scope;
    struct sck_context ctx;
    struct sck_secret *dek;
    struct sck_buf wrapped;
    int64_t owner_id;
};

static enum sck_code
keep(struct kept *k, const struct sck_scope *scope, struct sck_err *err)
{
    *k = (struct kept){.scope = *scope};
    k->ctx = (struct sck_context){.scope = *scope, .purpose = SCK_PURPOSE_MESSAGE, .created_s = 1700000000, .id = {9}};
    sck_buf_init(&k->wrapped, SCK_WRAPPED_MAX);
    return sck_dek_make(svc, scope, &k->ctx, &k->dek, &k->wrapped, &k->owner_id, err);
}

static enum sck_code
opens(const struct kept *k, struct sck_err *err)
{
    struct sck_secret *dek = NULL;
    struct sck_context ctx = k->ctx;
    enum sck_code rc = sck_dek_open(svc, k->owner_id, &ctx, k->wrapped.data, k->wrapped.len, &dek, err);
    if (rc == SCK_OK)
        assert_memory_equal(dek->data, k->dek->data, k->dek->len);
    sck_secret_free(&dek);
    return rc;
}

static void
let_go(struct kept *k)
{
    sck_secret_free(&k->dek);
    sck_buf_clear(&k->wrapped);
}

static enum sck_code
erase(const struct sck_scope *scope, struct sck_err *err)
{
    struct sck_buf receipt;
    sck_buf_init(&receipt, 65536);
    enum sck_code rc = sck_erase(svc, scope, NULL, NULL, &receipt, err);
    sck_buf_clear(&receipt);
    return rc;
}

/* Every KEK that the keeper has, as text. */
static void
list_keks(struct sck_buf *out)
{
    sck_buf_init(out, 16 << 20);
    if (strcmp(keeper, "local") == 0) {
        sck_buf_clear(out);
        EXPECT_OK(sck_file_read(home_path(&home, "d/secrets/secrets.json"), 16 << 20, out, &err));
    } else if (strcmp(keeper, "vault") == 0) {
        char command[512], line[256];
        (void)snprintf(command, sizeof command, "%s list", getenv("ADMIN"));
        FILE *p = popen(command, "r");
        assert_non_null(p);
        while (fgets(line, sizeof line, p) != NULL)
            sck_buf_put_str(out, line);
        assert_int_equal(pclose(p), 0);
    }
}

static bool
keeper_has(const char *name)
{
    struct sck_buf all;
    list_keks(&all);
    bool has = all.len > 0 && memmem(all.data, all.len, name, strlen(name)) != NULL;
    sck_buf_clear(&all);
    return has;
}

/* Ids that one naive naming or another would take for one. */
static const char *const alike[] = {
    "user.1", "user@1", "user_1", "USER.1", "User.1", "user.1.", "user.1..", "user..1", ".user.1", "user 1", "user-1",
    "user--1", "user1", "user/1", "user/1/", "/user/1", "user%2E1", "user%2e1", "user%1", "user-2e1", "user:1", "user+1",
    "user;1", "user=1", "user?1", "user#1", "user\\1", "user\xc3\xbc", "user\xc3\xa9", "user\xcc\x81", "\xc3\xbc", "\xc3\xa9",
    "u\xcc\x88", "../user.1", "...", "-", "--", "a--b", "k--x", "h--x", "files", "F", "default",
};
enum { ALIKE = sizeof alike / sizeof alike[0] };

static void
erasing_one_leaves_those_alike(void **state)
{
    struct kept kept[ALIKE];
    char names[ALIKE][128];
    (void)state;
    for (size_t i = 0; i < ALIKE; i++) {
        struct sck_scope scope = subject(alike[i]);
        struct sck_owner_info info;
        EXPECT_OK(keep(&kept[i], &scope, &err));
        EXPECT_OK(sck_owner_find(svc, &scope, &info, &err));
        memcpy(names[i], info.kek_name, sizeof names[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
    }
    /* The first, one of those with an accent, and the one called like the owner of files. */
    static const char *const victims[] = {"user.1", "\xc3\xbc", "files"};
    bool gone[ALIKE] = {false};
    for (size_t v = 0; v < 3; v++) {
        struct sck_scope victim = subject(victims[v]);
        EXPECT_OK(erase(&victim, &err));
        for (size_t i = 0; i < ALIKE; i++) {
            struct sck_err why = SCK_ERR_INIT;
            gone[i] = gone[i] || strcmp(alike[i], victims[v]) == 0;
            enum sck_code want = gone[i] ? SCK_E_ERASED : SCK_OK, rc = opens(&kept[i], &why);
            if (rc != want)
                print_error("%s, after %s was erased: %s\n", alike[i], victims[v], why.message);
            assert_int_equal(rc, want);
        }
    }
    if (strcmp(keeper, "token") != 0) {
        assert_false(keeper_has(names[0]) && strcmp(naming, "keyed") == 0);
        assert_true(keeper_has(names[1]));
    }
    for (size_t i = 0; i < ALIKE; i++)
        let_go(&kept[i]);
}

static void
a_subject_called_files_is_not_the_files(void **state)
{
    (void)state;
    static const char *const called[] = {"files", "F", ""};
    struct sck_file_info info;
    const char *plain = home_file(&home, "p", "nobody's", 8);
    const char *sealed = home_path(&home, "p.sk");
    const struct sck_encrypt_opts opts = {.io = {.in = plain, .out = sealed, .sync = true}};
    EXPECT_OK(sck_file_encrypt(svc, &opts, &info, &err));
    for (size_t i = 0; called[i][0] != '\0'; i++) {
        struct sck_scope scope = subject(called[i]);
        struct kept k;
        struct sck_err why = SCK_ERR_INIT;
        if (keep(&k, &scope, &why) == SCK_OK)
            EXPECT_OK(erase(&scope, &err));
        let_go(&k);
        const struct sck_decrypt_opts back = {.io = {.in = sealed, .out = home_path(&home, "p.out"), .force = true}};
        EXPECT_OK(sck_file_decrypt(svc, &back, &info, &err));
    }
}

/* Ids that hold what texts and URLs are cut at: each wrapped DEK opens for its own subject alone. */
static void
delimiters_forge_no_context(void **state)
{
    (void)state;
    static const char *const ids[] = {"alice", "alice;timestamp=2020-01-01T00:00:00Z", "alice;version=1",
                                      "alice=", "alice%3Bversion=1", "alice/tls", "alice\xc2\xa0", "subject/alice"};
    enum { COUNT = sizeof ids / sizeof ids[0] };
    struct kept kept[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        struct sck_scope scope = subject(ids[i]);
        EXPECT_OK(keep(&kept[i], &scope, &err));
    }
    for (size_t i = 0; i < COUNT; i++) {
        struct sck_buf text;
        sck_buf_init(&text, 8192);
        EXPECT_OK(sck_context_format(&kept[i].ctx, &text, &err));
        struct sck_context read;
        EXPECT_OK(sck_context_parse((const char *)text.data, text.len, &read, &err));
        assert_int_equal(read.scope.id_len, strlen(ids[i]));
        assert_memory_equal(read.scope.id, ids[i], strlen(ids[i]));
        sck_context_clear(&read);
        sck_buf_clear(&text);
        for (size_t j = 0; j < COUNT; j++) {
            struct kept forged = kept[i];
            struct sck_err why = SCK_ERR_INIT;
            forged.ctx.scope = kept[j].scope;
            if (i == j)
                EXPECT_OK(opens(&forged, &err));
            else
                assert_int_equal(opens(&forged, &why), SCK_E_CONTEXT);
            /* And under the other's KEK it is not even a wrapped DEK. */
            forged.owner_id = kept[j].owner_id;
            why = (struct sck_err)SCK_ERR_INIT;
            if (i != j)
                assert_int_not_equal(opens(&forged, &why), SCK_OK);
        }
    }
    static const struct {
        const char *id;
        size_t len;
    } refused[] = {{"alice\0bob", 9}, {"\xff", 1}, {"\xc0\xaf", 2}, {"a\r\nX-Vault-Token: root", 22}, {"a\nb", 3},
                   {"\xed\xa0\x80", 3}, {"\x7f", 1}, {"\xc2\x85", 2}, {"", 0}, {".", 1}, {"..", 2}};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sck_scope scope;
        assert_int_equal(sck_scope_make(SCK_SCOPE_SUBJECT, refused[i].id, refused[i].len, &scope, NULL), SCK_E_USAGE);
    }
    for (size_t i = 0; i < COUNT; i++)
        let_go(&kept[i]);
}

/* ---- nobody comes back ---- */

enum { WRITERS = 64, WRITING_MS = 3000 };

struct writer {
    struct sck_scope scope;
    atomic_bool *stop;
    int64_t tries, others;
    char message[SCK_ERR_MESSAGE_MAX];
};

static void *
write_for(void *arg)
{
    struct writer *w = arg;
    while (!atomic_load(w->stop)) {
        struct kept k;
        struct sck_err why = SCK_ERR_INIT;
        enum sck_code rc = keep(&k, &w->scope, &why);
        let_go(&k);
        w->tries++;
        if (rc != SCK_E_ERASED) {
            w->others++;
            memcpy(w->message, why.message, sizeof w->message);
        }
        (void)usleep(2000);
    }
    return NULL;
}

static void
writers_do_not_bring_the_erased_back(void **state)
{
    (void)state;
    pthread_t threads[WRITERS];
    static struct writer writers[WRITERS];
    atomic_bool stop = false;
    struct sck_owner_info info;
    struct sck_scope scope = subject("walter");
    EXPECT_OK(sck_owner_create(svc, &scope, false, &info, &err));
    EXPECT_OK(erase(&scope, &err));
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.scope = scope, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, write_for, &writers[i]), 0);
    }
    (void)usleep(WRITING_MS * 1000);
    atomic_store(&stop, true);
    int64_t tries = 0;
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        tries += writers[i].tries;
        if (writers[i].others > 0)
            print_error("%s\n", writers[i].message);
        assert_int_equal(writers[i].others, 0);
    }
    assert_true(tries >= WRITERS);
    assert_false(keeper_has(info.kek_name));
}

struct racer {
    struct sck_scope scope;
    enum sck_code code;
    char message[SCK_ERR_MESSAGE_MAX];
};

static void *
race_provision(void *arg)
{
    struct racer *r = arg;
    struct sck_owner_info info;
    struct sck_err err = SCK_ERR_INIT;
    r->code = sck_owner_create(svc, &r->scope, false, &info, &err);
    memcpy(r->message, err.message, sizeof r->message);
    return NULL;
}

static void
provisioning_raced_against_erasure_leaves_no_kek(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        char id[32], name[128];
        pthread_t thread;
        (void)snprintf(id, sizeof id, "raced-%u", round);
        struct racer racer = {.scope = subject(id)};
        struct sck_err why = SCK_ERR_INIT;
        enum sck_code rc;
        EXPECT_OK(sck_owner_kek_name(svc, &racer.scope, name, &err));
        assert_int_equal(pthread_create(&thread, NULL, race_provision, &racer), 0);
        do {
            sck_err_clear(&why);
            rc = erase(&racer.scope, &why);
        } while (rc == SCK_E_NOT_FOUND);
        pthread_join(thread, NULL);
        if (rc != SCK_OK)
            print_error("%s\n", why.message);
        assert_int_equal(rc, SCK_OK);
        if (racer.code != SCK_OK && racer.code != SCK_E_ERASED)
            print_error("%s\n", racer.message);
        assert_true(racer.code == SCK_OK || racer.code == SCK_E_ERASED);
        assert_false(keeper_has(name));
    }
}

/* ---- a keeper that is not there has erased nothing ---- */

static void
admin(const char *what)
{
    char command[512];
    (void)snprintf(command, sizeof command, "%s %s", getenv("ADMIN"), what);
    assert_int_equal(system(command), 0); /* NOLINT: a script of the test's own */
}

static void
erase_fails_and_is_finished_later(const char *id, struct sck_service *through, const char *want)
{
    struct sck_scope scope = subject(id);
    struct sck_owner_info info;
    struct kept k;
    struct sck_service *right = svc;
    struct sck_err why = SCK_ERR_INIT;
    EXPECT_OK(keep(&k, &scope, &err));
    EXPECT_OK(sck_owner_find(svc, &scope, &info, &err));
    if (through != NULL)
        svc = through;
    else
        admin("hide");
    enum sck_code rc = erase(&scope, &why);
    svc = right;
    if (through == NULL)
        admin("show");
    assert_int_not_equal(rc, SCK_OK);
    assert_int_not_equal(rc, SCK_E_ERASED);
    assert_int_not_equal(rc, SCK_E_NOT_FOUND);
    if (strstr(why.message, want) == NULL)
        print_error("%s\n", why.message);
    assert_non_null(strstr(why.message, want));
    assert_true(keeper_has(info.kek_name));
    /* The person is gone for everybody; the KEK goes when the keeper is back. */
    why = (struct sck_err)SCK_ERR_INIT;
    assert_int_equal(opens(&k, &why), SCK_E_ERASED);
    EXPECT_OK(erase(&scope, &err));
    assert_false(keeper_has(info.kek_name));
    let_go(&k);
}

static void
a_missing_mount_is_no_erasure(void **state)
{
    (void)state;
    erase_fails_and_is_finished_later("mountless", NULL, "mount");
}

static void
a_server_that_knows_nothing_is_no_erasure(void **state)
{
    char more[512], path[340];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/liar.conf", home.home);
    (void)snprintf(more, sizeof more, "\n[keeper vault]\nurl = %s\nmax_retries = 0\n", getenv("LIAR_URL"));
    append_conf(path, more);
    struct sck_service *liar = NULL;
    const struct sck_open how = {.conf_path = path};
    EXPECT_OK(sck_service_open(&how, &liar, &err));
    erase_fails_and_is_finished_later("lied about%0d%0aX-Evil: 1?list=true#", liar, "the server knows no such path");
    sck_service_close(&liar);
}

int
main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    keeper = argv[1];
    naming = argv[2];
    const struct CMUnitTest all[] = {
        cmocka_unit_test(erasing_one_leaves_those_alike),
        cmocka_unit_test(a_subject_called_files_is_not_the_files),
        cmocka_unit_test(delimiters_forge_no_context),
    };
    const struct CMUnitTest with_a_list[] = {
        cmocka_unit_test(writers_do_not_bring_the_erased_back),
    };
    const struct CMUnitTest with_a_server[] = {
        cmocka_unit_test(provisioning_raced_against_erasure_leaves_no_kek),
        cmocka_unit_test(a_missing_mount_is_no_erasure),
        cmocka_unit_test(a_server_that_knows_nothing_is_no_erasure),
    };
    bool keyed = strcmp(naming, "keyed") == 0;
    int failed = cmocka_run_group_tests_name("service/apart", all, set_up, tear_down);
    if (keyed && strcmp(keeper, "token") != 0)
        failed += cmocka_run_group_tests_name("service/apart list", with_a_list, set_up, tear_down);
    if (keyed && strcmp(keeper, "vault") == 0)
        failed += cmocka_run_group_tests_name("service/apart server", with_a_server, set_up, tear_down);
    return failed;
}
