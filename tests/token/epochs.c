/* SPDX-License-Identifier: MIT */
/* Epoch keys: made once, seen by everybody, moved between, destroyed; and what a crash in the middle leaves. */
#include "tests/token/room.h"

#include "lib/token/own.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct softhsm hsm;
static struct sck_token *token;

static struct sck_token *
new_token(void)
{
    struct sck_token *t = NULL;
    assert_ok(sck_token_new(&hsm.conf, &t, &err));
    return t;
}

static int
set_up(void **state)
{
    (void)state;
    softhsm_start(&hsm);
    token = new_token();
    return sck_token_provision(token, NULL, NULL, NULL) == SCK_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    sck_token_free(&token);
    softhsm_end(&hsm);
    return 0;
}

static void
expect_epochs(struct sck_token *t, uint32_t first, uint32_t last)
{
    uint32_t list[SCK_EPOCHS_MAX];
    size_t count = 0;
    assert_ok(sck_token_epoch_list(t, list, &count, &err));
    assert_int_equal(count, last - first + 1);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i], first + i);
}

static struct sck_buf
make_record(struct sck_token *t)
{
    struct sck_buf record;
    sck_buf_init(&record, 256);
    assert_ok(sck_token_kek_make(t, "name", 4, &record, &err));
    return record;
}

static void
seal_and_open(struct sck_token *t, const struct sck_buf *sealing, const struct sck_buf *opening)
{
    struct sck_tkey *a = NULL, *b = NULL;
    uint8_t nonce[12] = {0}, sealed[88], back[72], dek[72] = {9};
    assert_ok(sck_token_kek_load(t, "name", 4, sealing->data, sealing->len, &a, &err));
    assert_ok(sck_token_kek_load(t, "name", 4, opening->data, opening->len, &b, &err));
    assert_ok(sck_tkey_gcm_seal(a, nonce, NULL, 0, dek, 72, sealed, &err));
    assert_ok(sck_tkey_gcm_open(b, nonce, NULL, 0, sealed, 88, back, &err));
    assert_memory_equal(back, dek, 72);
    sck_tkey_unref(&a);
    sck_tkey_unref(&b);
}

static void
only_the_next_is_made(void **state)
{
    (void)state;
    expect_epochs(token, 1, 1);
    assert_fails(sck_token_epoch_make(token, 0, &err), SCK_E_USAGE, "epochs are numbered from 1");
    assert_fails(sck_token_epoch_make(token, 3, &err), SCK_E_STATE,
                 "epoch key 3 cannot be made: the newest on token scopekey test is 1");
    assert_fails(sck_token_epoch_destroy(token, 1, &err), SCK_E_STATE,
                 "epoch key 1 is the newest on token scopekey test and is not destroyed");
    expect_epochs(token, 1, 1);
}

static void
a_record_moves_and_its_old_copy_dies(void **state)
{
    (void)state;
    struct sck_token *other = new_token();
    struct sck_buf old = make_record(token), fresh, newer;
    struct sck_tkey *key = NULL;
    sck_buf_init(&fresh, 256);
    assert_int_equal(sck_token_kek_epoch(old.data, old.len), 1);
    assert_int_equal(sck_token_kek_epoch(old.data, 3), 0);
    expect_epochs(other, 1, 1);
    sck_token_epoch_use(token, 1);
    assert_ok(sck_token_epoch_make(token, 2, &err));
    assert_ok(sck_token_epoch_make(token, 2, &err));
    /* What is being made is not used before its caller says so. */
    newer = make_record(token);
    assert_int_equal(sck_token_kek_epoch(newer.data, newer.len), 1);
    sck_buf_clear(&newer);
    sck_token_epoch_use(token, 2);
    sck_token_epoch_use(token, 1);
    newer = make_record(token);
    assert_int_equal(sck_token_kek_epoch(newer.data, newer.len), 2);
    assert_ok(sck_token_kek_reseal(token, 2, "name", 4, old.data, old.len, &fresh, &err));
    assert_int_equal(sck_token_kek_epoch(fresh.data, fresh.len), 2);
    seal_and_open(token, &old, &fresh);
    seal_and_open(other, &fresh, &old);
    assert_ok(sck_token_verify(token, NULL, NULL, &err));

    assert_ok(sck_token_epoch_destroy(token, 1, &err));
    assert_ok(sck_token_epoch_destroy(token, 1, &err));
    expect_epochs(token, 2, 2);
    assert_fails(sck_token_kek_load(token, "name", 4, old.data, old.len, &key, &err), SCK_E_ERASED,
                 "the KEK record is of epoch 1, whose key was destroyed");
    assert_fails(sck_token_kek_reseal(token, 2, "name", 4, old.data, old.len, &fresh, &err), SCK_E_ERASED,
                 "the KEK record is of epoch 1, whose key was destroyed");
    seal_and_open(token, &fresh, &fresh);
    struct sck_err why = SCK_ERR_INIT;
    assert_int_not_equal(sck_token_kek_load(other, "name", 4, old.data, old.len, &key, &why), SCK_OK);
    /* Neither doctor nor init miss the first one. */
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
    assert_ok(sck_token_provision(token, NULL, NULL, &err));
    expect_epochs(token, 2, 2);
    sck_token_free(&other);
    sck_buf_clear(&old);
    sck_buf_clear(&fresh);
    sck_buf_clear(&newer);
}

/* Another epoch key under the name of the next one: what a crash leaves, or somebody with the PIN. */
static CK_RV
intrude(struct sck_use *use, void *arg)
{
    struct sck_template t;
    char label[128];
    CK_OBJECT_HANDLE made;
    static const uint8_t value[32] = "a value that somebody knows.....";
    (void)snprintf(label, sizeof label, "%s%s", use->token->prefix, (const char *)arg);
    sck_template_start(&t);
    sck_template_bytes(&t, CKA_LABEL, label, strlen(label));
    sck_template_bytes(&t, CKA_ID, use->token->conf.setup_id, 16);
    sck_template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
    sck_template_ulong(&t, CKA_KEY_TYPE, CKK_AES);
    sck_template_bool(&t, CKA_TOKEN, true);
    sck_template_bool(&t, CKA_ENCRYPT, true);
    sck_template_bytes(&t, CKA_VALUE, value, sizeof value);
    return SCK_P11(&use->conn, C_CreateObject, use->session, t.at, t.count, &made);
}

static void
note_cure(void *arg, const char *what, const char *cure)
{
    if (cure != NULL)
        (void)snprintf(arg, 200, "%s: %s", what, cure);
}

static void
a_half_made_one_is_not_used(void **state)
{
    (void)state;
    char told[200] = "";
    char name[] = "epoch/3";
    struct sck_buf before = make_record(token);
    assert_ok(sck_token_run(token, SCK_NEED_BARE, false, intrude, name, "intruding", &err));
    struct sck_token *other = new_token();
    expect_epochs(other, 2, 2);
    assert_ok(sck_token_verify(other, note_cure, told, &err));
    assert_string_equal(told, "own key epoch/3 on token scopekey test is half made: run `scopekey rotate --epoch`, "
                              "which makes it anew");
    seal_and_open(other, &before, &before);
    assert_ok(sck_token_epoch_make(other, 3, &err));
    expect_epochs(other, 2, 3);
    sck_token_epoch_use(other, 3);
    struct sck_buf after = make_record(other);
    assert_int_equal(sck_token_kek_epoch(after.data, after.len), 3);
    seal_and_open(token, &after, &after);
    sck_token_free(&other);
    sck_buf_clear(&before);
    sck_buf_clear(&after);
}

static void
an_older_one_that_was_exchanged_is_refused(void **state)
{
    (void)state;
    struct sck_err why = SCK_ERR_INIT;
    char name[] = "epoch/2";
    assert_ok(sck_token_run(token, SCK_NEED_BARE, false, intrude, name, "intruding", &err));
    struct sck_token *other = new_token();
    assert_int_equal(sck_token_login(other, &why), SCK_E_INTEGRITY);
    assert_non_null(strstr(why.message, "own key epoch/2 on token scopekey test: "));
    sck_token_free(&other);
    assert_ok(sck_token_epoch_destroy(token, 2, &err));
    expect_epochs(token, 3, 3);
}

/* In a child: make or destroy; true when it was killed at `point`. */
static bool
child(const char *point, uint32_t make, uint32_t destroy)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        struct sck_err e = SCK_ERR_INIT;
        struct sck_token *t = NULL;
        (void)setenv("SCOPEKEY_FAULT_POINT", point, 1);
        enum sck_code rc = sck_token_new(&hsm.conf, &t, &e);
        if (rc == SCK_OK && make != 0)
            rc = sck_token_epoch_make(t, make, &e);
        if (rc == SCK_OK && destroy != 0)
            rc = sck_token_epoch_destroy(t, destroy, &e);
        if (rc != SCK_OK)
            fprintf(stderr, "child: %s\n", e.message);
        _exit(rc == SCK_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void
a_killed_maker_is_followed_by_another(void **state)
{
    (void)state;
#ifdef SCK_FAULT_POINTS
    assert_true(child("token-epoch-made", 4, 0));
    assert_true(child("token-epoch-tried", 4, 0));
    assert_false(child("", 4, 0));
    expect_epochs(token, 3, 4);
    assert_true(child("token-epoch-destroyed", 0, 3));
    assert_false(child("", 0, 3));
#else
    assert_false(child("", 4, 3));
#endif
    expect_epochs(token, 4, 4);
    sck_token_epoch_use(token, 4);
    struct sck_buf record = make_record(token);
    seal_and_open(token, &record, &record);
    sck_buf_clear(&record);
}

static void
two_makers_make_one(void **state)
{
    (void)state;
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(child("", 5, 0) ? 1 : 0);
    }
    for (int i = 0; i < 2; i++) {
        int status = 1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    expect_epochs(token, 4, 5);
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
}

static void
the_token_holds_so_many(void **state)
{
    (void)state;
    char text[128];
    for (uint32_t n = 6; n < 4 + SCK_EPOCHS_MAX; n++)
        assert_ok(sck_token_epoch_make(token, n, &err));
    (void)snprintf(text, sizeof text, "token scopekey test holds %d epoch keys already: let old ones be destroyed first",
                   SCK_EPOCHS_MAX);
    assert_fails(sck_token_epoch_make(token, 4 + SCK_EPOCHS_MAX, &err), SCK_E_STATE, text);
    expect_epochs(token, 4, 3 + SCK_EPOCHS_MAX);
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_next_is_made),
        cmocka_unit_test(a_record_moves_and_its_old_copy_dies),
        cmocka_unit_test(a_half_made_one_is_not_used),
        cmocka_unit_test(an_older_one_that_was_exchanged_is_refused),
        cmocka_unit_test(a_killed_maker_is_followed_by_another),
        cmocka_unit_test(two_makers_make_one),
        cmocka_unit_test(the_token_holds_so_many),
    };
    return cmocka_run_group_tests_name("token/epochs", tests, set_up, tear_down);
}
