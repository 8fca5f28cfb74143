/* SPDX-License-Identifier: MIT */
/* Own keys: what a set-up is made of, what a crash leaves, what somebody changed, and tokens that protect nothing. */
#include "tests/token/room.h"

#include "lib/token/own.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct softhsm hsm;
static struct spy_counts *counts;

static int
set_up(void **state)
{
    (void)state;
    softhsm_start(&hsm);
    softhsm_spy(&hsm);
    counts = spy_counts_map(hsm.counts_path);
    return counts == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
    (void)state;
    softhsm_end(&hsm);
    return 0;
}

static struct sck_token *
new_token(const char *faults)
{
    struct sck_token *token = NULL;
    softhsm_fault(&hsm, faults);
    assert_ok(sck_token_new(&hsm.conf, &token, &err));
    return token;
}

struct told {
    unsigned lines;
    unsigned cures;
    unsigned made;
    unsigned attacks;
    char last_cure[300];
    char worked[2000];
};

static void
report(void *arg, const char *what, const char *cure)
{
    struct told *t = arg;
    char name[64];
    t->lines++;
    t->cures += cure != NULL;
    t->made += strstr(what, " made") != NULL;
    t->attacks += strncmp(what, "attack ", 7) == 0;
    if (cure != NULL)
        (void)snprintf(t->last_cure, sizeof t->last_cure, "%s: %s", what, cure);
    if (sscanf(what, "attack %63s works", name) == 1 && strstr(what, " works") != NULL)
        (void)snprintf(t->worked + strlen(t->worked), sizeof t->worked - strlen(t->worked), "%s ", name);
}

static void
nothing_is_there_yet(void **state)
{
    (void)state;
    uint8_t mac[32];
    struct sck_token *token = new_token("");
    assert_ok(sck_token_login(token, &err));
    assert_fails(sck_token_hmac(token, SCK_SYS_MAC, "x", 1, mac, &err), SCK_E_CONFIG,
                 "Scopekey's own key mac is not on token scopekey test: run `scopekey init`, or restore the token");
    assert_fails(sck_token_verify(token, NULL, NULL, &err), SCK_E_CONFIG,
                 "Scopekey's own key epoch/1 is not on token scopekey test: run `scopekey init`, or restore the token");
    sck_token_free(&token);
}

/* Somebody puts an object in a session of ours. */
struct intruder {
    struct sck_token *token;
    const char *name;
    bool create;
};

static CK_RV
intrude(struct sck_use *use, void *arg)
{
    const struct intruder *i = arg;
    struct sck_template t;
    char label[128];
    static const uint8_t value[32] = "a value that somebody knows.....";
    CK_OBJECT_HANDLE found[4];
    CK_ULONG count = 0;
    (void)snprintf(label, sizeof label, "%s%s", use->token->prefix, i->name);
    sck_template_start(&t);
    sck_template_bytes(&t, CKA_LABEL, label, strlen(label));
    if (!i->create) {
        CK_RV rv = sck_find(&use->conn, use->session, &t, found, 4, &count);
        for (CK_ULONG j = 0; rv == CKR_OK && j < count; j++)
            rv = SCK_P11(&use->conn, C_DestroyObject, use->session, found[j]);
        return rv;
    }
    sck_template_bytes(&t, CKA_ID, use->token->conf.setup_id, 16);
    sck_template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
    sck_template_ulong(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
    sck_template_bool(&t, CKA_TOKEN, true);
    sck_template_bool(&t, CKA_PRIVATE, true);
    sck_template_bool(&t, CKA_SIGN, true);
    sck_template_bytes(&t, CKA_VALUE, value, sizeof value);
    return SCK_P11(&use->conn, C_CreateObject, use->session, t.at, t.count, found);
}

static void
tamper(struct sck_token *token, const char *name, bool create)
{
    struct intruder i = {token, name, create};
    assert_ok(sck_token_run(token, SCK_NEED_BARE, false, intrude, &i, "intruding", &err));
}

static void
half_made_is_made_anew(void **state)
{
    (void)state;
    struct told told = {0};
    struct sck_token *token = new_token("");
    /* As a crash may leave it: there, visible, and without what makes it what it must be. */
    tamper(token, "mac", true);
    tamper(token, "name", true);
    tamper(token, "name", true);
    assert_ok(sck_token_provision(token, report, &told, &err));
    assert_int_equal(told.cures, 0);
    /* Each own key, and the two that were half made told twice. */
    unsigned keys = 0;
    struct sck_own_spec spec;
    while (sck_own_spec_at(keys, &spec))
        keys++;
    assert_int_equal(told.made, keys + 2);
    assert_true(told.attacks > 35);
    assert_string_equal(told.worked, "");
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
    sck_token_free(&token);
}

static void
again_changes_nothing(void **state)
{
    (void)state;
    uint8_t before[32], after[32];
    struct told told = {0};
    struct sck_token *token = new_token("");
    assert_ok(sck_token_hmac(token, SCK_SYS_MAC, "x", 1, before, &err));
    assert_ok(sck_token_provision(token, report, &told, &err));
    assert_int_equal(told.made, 0);
    assert_ok(sck_token_hmac(token, SCK_SYS_MAC, "x", 1, after, &err));
    assert_memory_equal(before, after, 32);
    sck_token_free(&token);
}

static void
changed_attributes_are_found(void **state)
{
    static const struct {
        const char *fault;
        const char *attribute;
    } cases[] = {
        {"flip-attribute 0x10c\n", "CKA_DERIVE"},      {"flip-attribute 0x162\n", "CKA_EXTRACTABLE"},
        {"flip-attribute 0x163\n", "CKA_LOCAL"},       {"flip-attribute 0x170\n", "CKA_MODIFIABLE"},
        {"flip-attribute 0x171\n", "CKA_COPYABLE"},    {"unknown-attribute 0x40000600\n", "CKA_ALLOWED_MECHANISMS"},
        {"flip-attribute 0x103\n", "CKA_SENSITIVE"},   {"flip-attribute 0x165\n", "CKA_ALWAYS_SENSITIVE"},
        {"flip-attribute 0x164\n", "CKA_NEVER_EXTRACTABLE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sck_token *token = new_token(cases[i].fault);
        struct sck_err e = SCK_ERR_INIT;
        assert_int_equal(sck_token_login(token, &e), SCK_E_INTEGRITY);
        assert_true(strstr(e.message, " on token scopekey test: ") != NULL);
        if (strstr(e.message, cases[i].attribute) == NULL)
            fail_msg("%s: %s", cases[i].fault, e.message);
        struct told told = {0};
        struct sck_err v = SCK_ERR_INIT;
        assert_int_equal(sck_token_verify(token, report, &told, &v), SCK_E_INTEGRITY);
        assert_true(told.cures >= 1);
        sck_token_free(&token);
    }
    /* The templates of the masters. */
    struct sck_token *token = new_token("unknown-attribute 0x40000212\n");
    struct sck_err e = SCK_ERR_INIT;
    assert_int_equal(sck_token_login(token, &e), SCK_E_INTEGRITY);
    assert_true(strstr(e.message, "own key master/") != NULL);
    assert_true(strstr(e.message, "CKA_UNWRAP_TEMPLATE is not what it must be") != NULL);
    sck_token_free(&token);
    token = new_token("");
    assert_ok(sck_token_login(token, &err));
    sck_token_free(&token);
}

static void
a_second_key_of_the_name(void **state)
{
    (void)state;
    struct sck_err e = SCK_ERR_INIT;
    struct sck_token *token = new_token("");
    tamper(token, "audit", true);
    sck_token_free(&token);
    token = new_token("");
    assert_int_equal(sck_token_login(token, &e), SCK_E_INTEGRITY);
    assert_true(strstr(e.message, "own key audit on token scopekey test: ") != NULL);
    sck_token_free(&token);
}

static void
what_was_complete_is_not_made_anew(void **state)
{
    (void)state;
    struct sck_token *token = new_token("");
    assert_fails(sck_token_provision(token, NULL, NULL, &err), SCK_E_INTEGRITY,
                 "own key audit on token scopekey test: CKA_SENSITIVE is not what it must be: the key was exchanged or "
                 "the token does not keep it; restore the token from its backup");
    tamper(token, "audit", false);
    assert_fails(sck_token_provision(token, NULL, NULL, &err), SCK_E_CONFIG,
                 "own key audit is missing on token scopekey test although the set-up was complete: restore the token");
    struct told told = {0};
    assert_fails(sck_token_verify(token, report, &told, &err), SCK_E_CONFIG,
                 "Scopekey's own key audit is not on token scopekey test: run `scopekey init`, or restore the token");
    assert_int_equal(told.cures, 1);
    sck_token_free(&token);
}

/* ---- another set-up on the same token, and tokens that protect nothing ---- */

static void
other_set_up(const char *id)
{
    (void)snprintf((char *)hsm.conf.setup_id, sizeof hsm.conf.setup_id, "%s", id);
}

static void
two_set_ups_on_one_token(void **state)
{
    (void)state;
    other_set_up("the second one");
    struct sck_token *token = new_token("");
    assert_ok(sck_token_provision(token, NULL, NULL, &err));
    uint8_t mac[32];
    assert_ok(sck_token_hmac(token, SCK_SYS_AUDIT, "x", 1, mac, &err));
    sck_token_free(&token);
}

static void
no_protection_is_refused(void **state)
{
    (void)state;
    struct told told = {0};
    other_set_up("unprotected");
    struct sck_token *token = new_token("no-policy\n");
    assert_fails(sck_token_provision(token, report, &told, &err), SCK_E_UNSUPPORTED,
                 "token scopekey test does not protect masters: the attack set-master-decrypt works; use another token "
                 "(docs/tokens.md)");
    assert_int_equal(told.made, 0);
    /* Those that the token's forgetting allows; the others are stopped by attributes that it keeps. */
    assert_string_equal(told.worked,
                        "set-master-decrypt copy-master-decrypt copy-master-modifiable wrap-known-key "
                        "wrap-other-type wrap-by-other-mechanism unwrap-extractable unwrap-readable unwrap-resident "
                        "unwrap-public unwrap-copyable unwrap-modifiable unwrap-signing unwrap-wrapping "
                        "unwrap-deriving unwrap-as-generic unwrap-as-des3 unwrap-silent unwrap-other-use "
                        "set-key-sign copy-key key-by-other-mechanism set-new-key copy-new-key sign-key-raw "
                        "unwrap-sign-as-decrypt ");
    sck_token_free(&token);
    hsm.conf.insecure_master = true;
    token = new_token("no-policy\n");
    assert_ok(sck_token_provision(token, NULL, NULL, &err));
    struct sck_tkey *key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    assert_ok(room_sign(key, &err));
    sck_tkey_unref(&key);
    sck_token_free(&token);
    /* It does without protection, not without sense. */
    struct sck_err e = SCK_ERR_INIT;
    token = new_token("no-policy\nflip-attribute 0x162\n");
    assert_int_equal(sck_token_login(token, &e), SCK_E_INTEGRITY);
    sck_token_free(&token);
    hsm.conf.insecure_master = false;
}

static void
no_wrapping_is_refused(void **state)
{
    (void)state;
    other_set_up("no wrapping");
    struct sck_token *token = new_token("no-wrap-pad\n");
    assert_fails(sck_token_provision(token, NULL, NULL, &err), SCK_E_UNSUPPORTED,
                 "token scopekey test cannot wrap keys with AES key wrap with padding (RFC 5649): use another token");
    sck_token_free(&token);
}

static void
token_is_full(void **state)
{
    (void)state;
    other_set_up("full");
    struct sck_token *token = new_token("C_GenerateKeyPair 0x31 always\n");
    struct sck_err e = SCK_ERR_INIT;
    assert_int_equal(sck_token_provision(token, NULL, NULL, &e), SCK_E_TOKEN);
    assert_true(strstr(e.message, "CKR_DEVICE_MEMORY (0x31): the token is full: remove objects") != NULL);
    /* Not complete, so the rest is made as soon as it can be. */
    softhsm_fault(&hsm, "");
    assert_ok(sck_token_provision(token, NULL, NULL, &err));
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
    sck_token_free(&token);
}

/* The process ends in the middle, as SoftHSM's exit(5) or a signal would have it; from within a token call, too. */
static void
ended_in_the_middle(void **state)
{
    static const char *const ends[] = {"C_GenerateKey exit\n", "C_GenerateKeyPair exit\n", "C_WrapKey exit\n",
                                       "C_CreateObject exit\n", "C_DestroyObject exit\n", "C_Sign exit\n"};
    (void)state;
    other_set_up("ended");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        int status = 0;
        softhsm_fault(&hsm, ends[i]);
        pid_t pid = fork();
        assert_int_not_equal(pid, -1);
        if (pid == 0) {
            struct sck_token *token = NULL;
            struct sck_err e = SCK_ERR_INIT;
            if (sck_token_new(&hsm.conf, &token, &e) == SCK_OK)
                (void)!sck_token_provision(token, NULL, NULL, &e);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 3);
    }
    struct sck_token *token = new_token("");
    assert_ok(sck_token_provision(token, NULL, NULL, &err));
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
    sck_token_free(&token);
}

/* Two programs make the same set-up at the same time: one set of keys comes out of it. */
static void
two_at_once(void **state)
{
    (void)state;
    pid_t pids[2];
    other_set_up("two at once");
    softhsm_fault(&hsm, "");
    for (int i = 0; i < 2; i++) {
        pids[i] = fork();
        assert_int_not_equal(pids[i], -1);
        if (pids[i] == 0) {
            struct sck_token *token = NULL;
            struct sck_err e = SCK_ERR_INIT;
            if (sck_token_new(&hsm.conf, &token, &e) != SCK_OK ||
                sck_token_provision(token, NULL, NULL, &e) != SCK_OK)
                fprintf(stderr, "child: %s\n", e.message);
            _exit(e.code == SCK_OK ? 0 : 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status = 1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    struct sck_token *token = new_token("");
    assert_ok(sck_token_verify(token, NULL, NULL, &err));
    sck_token_free(&token);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there_yet),         cmocka_unit_test(half_made_is_made_anew),
        cmocka_unit_test(again_changes_nothing),        cmocka_unit_test(changed_attributes_are_found),
        cmocka_unit_test(a_second_key_of_the_name),     cmocka_unit_test(what_was_complete_is_not_made_anew),
        cmocka_unit_test(two_set_ups_on_one_token),     cmocka_unit_test(no_protection_is_refused),
        cmocka_unit_test(no_wrapping_is_refused),       cmocka_unit_test(token_is_full),
        cmocka_unit_test(ended_in_the_middle),          cmocka_unit_test(two_at_once),
    };
    return cmocka_run_group_tests_name("token/own", tests, set_up, tear_down);
}
