/* SPDX-License-Identifier: MIT */
/* scopekey.h on a real SoftHSM token with keeper token: what each blocking call gives and refuses. */
#include "tests/api/api_test.h"

#include <sys/wait.h>
#include <unistd.h>

static struct home home;
static struct scopekey *sk;
static struct scopekey_error *error;

static int
set_up(void **state)
{
    (void)state;
    sk = api_open(&home, "", 0);
    error = scopekey_error_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scopekey_close(&sk);
    scopekey_error_free(&error);
    home_remove(&home);
    return 0;
}

static enum scopekey_code
open_as(const char *subject, const struct parts *p, struct scopekey_aead **out)
{
    return scopekey_decryption_keys_for(sk, subject, p->wrapped, p->wrapped_len, p->context, p->context_len, NULL, out,
                                        error);
}

static void
what_is_made_opens(void **state)
{
    (void)state;
    struct scopekey_aead *aead = NULL;
    struct scopekey_secret *plain = NULL;
    uint8_t sealed[5 + SCOPEKEY_SEAL_OVERHEAD];
    struct parts p = api_make(sk, "alice");
    const struct scopekey_secret *key = scopekey_aead_key(scopekey_material_aead(p.m));
    assert_int_equal(scopekey_secret_length(key), SCOPEKEY_KEY_LENGTH);
    assert_int_equal(p.wrapped_len, 12 + 12 + 72 + 16);
    OK(open_as("alice", &p, &aead));
    assert_memory_equal(scopekey_secret_data(scopekey_aead_key(aead)), scopekey_secret_data(key), SCOPEKEY_KEY_LENGTH);
    OK(scopekey_aead_seal(scopekey_material_aead(p.m), "hello", 5, "with", 4, sealed, sizeof sealed, error));
    OK(scopekey_aead_open(aead, sealed, sizeof sealed, "with", 4, &plain, error));
    assert_int_equal(scopekey_secret_length(plain), 5);
    assert_memory_equal(scopekey_secret_data(plain), "hello", 5);
    scopekey_secret_free(&plain);
    assert_null(plain);
    FAILS(scopekey_aead_open(aead, sealed, sizeof sealed, "wit", 3, &plain, error), SCOPEKEY_E_INTEGRITY,
          "short seal: it was made with another key or context, or altered");
    assert_null(plain);
    FAILS(scopekey_aead_seal(aead, "hello", 5, NULL, 0, sealed, sizeof sealed - 1, error), SCOPEKEY_E_USAGE,
          "scopekey_aead_seal: the result has 87 bytes, the room for it 86");
    FAILS(scopekey_aead_seal(aead, "", 0, NULL, 0, sealed, sizeof sealed, error), SCOPEKEY_E_USAGE,
          "short seal: the data has 0 bytes, and may have 1 to 1048576");
    FAILS(scopekey_aead_seal(aead, sealed, SIZE_MAX, NULL, 0, sealed, sizeof sealed, error), SCOPEKEY_E_USAGE,
          "short seal: the data has 18446744073709551615 bytes, and may have 1 to 1048576");
    FAILS(scopekey_aead_seal(aead, "hello", 5, sealed, SCOPEKEY_AAD_MAX + 1, sealed, sizeof sealed, error),
          SCOPEKEY_E_USAGE, "additional data has 65537 bytes, and may have 65536");
    /* Two DEKs of one subject are two keys. */
    struct parts q = api_make(sk, "alice");
    assert_memory_not_equal(scopekey_secret_data(scopekey_aead_key(scopekey_material_aead(q.m))),
                            scopekey_secret_data(key), SCOPEKEY_KEY_LENGTH);
    FAILS(scopekey_aead_open(scopekey_material_aead(q.m), sealed, sizeof sealed, "with", 4, &plain, error),
          SCOPEKEY_E_INTEGRITY, "short seal: it was made with another key or context, or altered");
    scopekey_material_free(&q.m);
    scopekey_aead_free(&aead);
    scopekey_material_free(&p.m);
    assert_null(p.m);
}

static void
subjects_must_be_there_and_well_formed(void **state)
{
    (void)state;
    char longest[257];
    struct scopekey_material *m = (struct scopekey_material *)1;
    FAILS(scopekey_encryption_keys_for(sk, "nobody", NULL, &m, error), SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND,
          "subject/nobody is not provisioned: run `scopekey subject create nobody` (or set auto_provision)");
    assert_null(m);
    memset(longest, 'a', sizeof longest - 1);
    longest[256] = '\0';
    static const char *const bad[] = {"", ".", "..", "a\nb", "a\x7f", "a\xC2\x80", "\xFF", "\xC0\xAF", "\xED\xA0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(scopekey_encryption_keys_for(sk, bad[i], NULL, &m, error), SCOPEKEY_E_USAGE);
        assert_int_equal(scopekey_subject_ensure(sk, bad[i], NULL, error), SCOPEKEY_E_USAGE);
        assert_int_equal(scopekey_subject_erase(sk, bad[i], NULL, NULL, error), SCOPEKEY_E_USAGE);
    }
    assert_int_equal(scopekey_subject_ensure(sk, longest, NULL, error), SCOPEKEY_E_USAGE);
    longest[255] = '\0';
    OK(scopekey_subject_ensure(sk, longest, NULL, error));
    /* Ids that would forge a context or a path if anything pasted texts. */
    static const char *const odd[] = {"a;timestamp=x", "a=b", "a%3Bb", "a/b", "../alice", "alice?version=1", "\xC3\xA4 \xE2\x82\xAC",
                                      "alice ", "ALICE", "subjectId=alice;purpose=file"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct scopekey_aead *aead = NULL;
        char *text = NULL;
        void *bytes = NULL;
        size_t len = 0;
        OK(scopekey_subject_ensure(sk, odd[i], NULL, error));
        OK(scopekey_subject_ensure(sk, odd[i], NULL, error));
        struct parts p = api_make(sk, odd[i]);
        OK(scopekey_context_format(p.context, p.context_len, &text, error));
        OK(scopekey_context_parse(text, strlen(text), &bytes, &len, error));
        assert_int_equal(len, p.context_len);
        assert_memory_equal(bytes, p.context, len);
        FAILS(open_as("alice", &p, &aead), SCOPEKEY_E_INVALID_CONTEXT, "the encryption context is of another subject");
        OK(open_as(odd[i], &p, &aead));
        scopekey_aead_free(&aead);
        scopekey_free(text);
        scopekey_free(bytes);
        scopekey_material_free(&p.m);
    }
}

static void
a_context_has_one_text(void **state)
{
    (void)state;
    const struct scopekey_pair pairs[] = {{"x_tenant", "blue; gr\xC3\xBCn"}, {"x_a", ""}};
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    struct scopekey_material *m = NULL;
    struct scopekey_aead *aead = NULL;
    char *text = NULL;
    void *bytes = NULL;
    size_t len = 0;
    call.pairs = pairs;
    call.pair_count = 2;
    OK(scopekey_encryption_keys_for(sk, "alice", &call, &m, error));
    const uint8_t *context = scopekey_material_context(m, &len);
    OK(scopekey_context_format(context, len, &text, error));
    assert_int_equal(strncmp(text, "subjectId=alice;timestamp=20", 28), 0);
    assert_non_null(strstr(text, "Z;version=1;env=development;generation=1;id="));
    assert_non_null(strstr(text, ";purpose=message;x_a=;x_tenant=blue%3B%20gr%C3%BCn"));
    OK(scopekey_context_parse(text, strlen(text), &bytes, &len, error));
    size_t wrapped_len = 0;
    const uint8_t *wrapped = scopekey_material_wrapped(m, &wrapped_len);
    OK(scopekey_decryption_keys_for(sk, "alice", wrapped, wrapped_len, bytes, len, NULL, &aead, error));
    scopekey_aead_free(&aead);
    scopekey_free(bytes);
    FAILS(scopekey_decryption_keys_for(sk, "alice", wrapped, wrapped_len, context, len, &call, &aead, error),
          SCOPEKEY_E_USAGE, "pairs are given when a DEK is made, and are in its context from then on");

    /* Every other spelling is refused. */
    static const struct {
        const char *from, *to;
    } changes[] = {
        {"subjectId=alice", "subjectId=alice;subjectId=bob"}, {"subjectId=alice", "subjectId=al;ice"},
        {"subjectId=alice", "subjectId=%61lice"}, {"subjectId=alice", "SubjectId=alice"}, {"subjectId=", "clientId=a="},
        {"subjectId=alice", "subjectId="}, {"alice", "%ff"}, {"alice", "%00"}, {"alice", "a%0"}, {"alice", "\xC3\xA4"},
        {"version=1", "version=2"}, {"version=1", "version=01"}, {"env=development", "env=test"}, {"env=", "ENV="},
        {"generation=1", "generation=0"}, {"generation=1", "generation=+1"}, {"generation=1", "generation=4294967296"},
        {";purpose", ";;purpose"}, {"purpose=message", "purpose=messages"}, {"purpose=message;", ""}, {"Z;", "z;"},
        {"%3B", "%3b"}, {"%3B", ";"}, {"%20", " "}, {"x_a=;", "x_z=;"}, {"x_a=;", "x_a=;x_a=;"}, {"x_a=;", "a=;"},
        {"x_a=;", "x_a;"}, {";x_tenant", "; x_tenant"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char other[2000];
        const char *at = strstr(text, changes[i].from);
        assert_non_null(at);
        (void)snprintf(other, sizeof other, "%.*s%s%s", (int)(at - text), text, changes[i].to,
                       at + strlen(changes[i].from));
        assert_int_equal(scopekey_context_parse(other, strlen(other), &bytes, &len, error), SCOPEKEY_E_INVALID_CONTEXT);
        assert_null(bytes);
    }
    assert_int_equal(scopekey_context_parse(text, strlen(text) + 1, &bytes, &len, error), SCOPEKEY_E_INVALID_CONTEXT);
    assert_int_equal(scopekey_context_parse("", 0, &bytes, &len, error), SCOPEKEY_E_INVALID_CONTEXT);
    scopekey_free(text);
    FAILS(scopekey_context_format("", 0, &text, error), SCOPEKEY_E_INVALID_CONTEXT,
          "encryption context: it is cut short, or something follows it");
    assert_null(text);
    scopekey_material_free(&m);
}

static void
bad_pairs_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct scopekey_pair pairs[2];
        size_t count;
        enum scopekey_code code;
        const char *message;
    } rows[] = {
        {{{"tenant", "a"}}, 1, SCOPEKEY_E_INVALID_CONTEXT,
         "encryption context: a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _"},
        {{{"x_A", "a"}}, 1, SCOPEKEY_E_INVALID_CONTEXT,
         "encryption context: a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _"},
        {{{"purpose", "file"}}, 1, SCOPEKEY_E_INVALID_CONTEXT,
         "encryption context: a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _"},
        {{{"x_a", "a"}, {"x_a", "b"}}, 2, SCOPEKEY_E_INVALID_CONTEXT, "encryption context: x_a is given twice"},
        {{{"x_a", "a\nb"}}, 1, SCOPEKEY_E_INVALID_CONTEXT,
         "encryption context: the value of x_a is not UTF-8 without control characters, or too long"},
        {{{"x_a", "\xFF"}}, 1, SCOPEKEY_E_INVALID_CONTEXT,
         "encryption context: the value of x_a is not UTF-8 without control characters, or too long"},
        {{{"x_a", NULL}}, 1, SCOPEKEY_E_INVALID_CONTEXT, "encryption context: pair 0 has no name or no value"},
        {{{NULL, "a"}}, 1, SCOPEKEY_E_INVALID_CONTEXT, "encryption context: pair 0 has no name or no value"},
    };
    struct scopekey_material *m = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scopekey_call call = SCOPEKEY_CALL_INIT;
        call.pairs = rows[i].pairs;
        call.pair_count = rows[i].count;
        FAILS(scopekey_encryption_keys_for(sk, "alice", &call, &m, error), rows[i].code, rows[i].message);
    }
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    call.pair_count = 1;
    FAILS(scopekey_encryption_keys_for(sk, "alice", &call, &m, error), SCOPEKEY_E_USAGE,
          "the pairs are NULL, and there are 1");
    struct scopekey_pair many[26];
    char names[26][8];
    for (size_t i = 0; i < 26; i++) {
        (void)snprintf(names[i], sizeof names[i], "x_%zu", i);
        many[i] = (struct scopekey_pair){names[i], "v"};
    }
    call.pairs = many;
    call.pair_count = 25;
    OK(scopekey_encryption_keys_for(sk, "alice", &call, &m, error));
    scopekey_material_free(&m);
    call.pair_count = 26;
    FAILS(scopekey_encryption_keys_for(sk, "alice", &call, &m, error), SCOPEKEY_E_INVALID_CONTEXT,
          "encryption context: more than 32 pairs");
    call = (struct scopekey_call)SCOPEKEY_CALL_INIT;
    call.deadline_ms = -1;
    FAILS(scopekey_encryption_keys_for(sk, "alice", &call, &m, error), SCOPEKEY_E_USAGE,
          "a deadline is a number of milliseconds from now, 0 for the keeper's own");
    call.deadline_ms = 60000;
    OK(scopekey_encryption_keys_for(sk, "alice", &call, &m, error));
    scopekey_material_free(&m);
    call.size = 8;
    FAILS(scopekey_encryption_keys_for(sk, "alice", &call, &m, error), SCOPEKEY_E_USAGE,
          "the call's size is 8: start from SCOPEKEY_CALL_INIT");
    struct {
        struct scopekey_call call;
        uint64_t newer;
    } later = {SCOPEKEY_CALL_INIT, 0};
    later.call.size = sizeof later;
    OK(scopekey_encryption_keys_for(sk, "alice", &later.call, &m, error));
    scopekey_material_free(&m);
    later.newer = 1;
    FAILS(scopekey_encryption_keys_for(sk, "alice", &later.call, &m, error), SCOPEKEY_E_UNSUPPORTED,
          "the call asks for something newer than this library");
}

/* What opening says of parts that were changed: one of the two, and nothing is released. */
static bool
is_refused(const char *subject, const uint8_t *wrapped, size_t wrapped_len, const uint8_t *context, size_t context_len)
{
    struct scopekey_aead *aead = NULL;
    enum scopekey_code code =
        scopekey_decryption_keys_for(sk, subject, wrapped, wrapped_len, context, context_len, NULL, &aead, error);
    return aead == NULL && (code == SCOPEKEY_E_INVALID_CONTEXT || code == SCOPEKEY_E_INTEGRITY);
}

static void
every_changed_byte_is_refused(void **state)
{
    (void)state;
    uint8_t changed[1024];
    struct parts p = api_make(sk, "alice");
    for (size_t i = 0; i < p.wrapped_len; i++) {
        memcpy(changed, p.wrapped, p.wrapped_len);
        changed[i] ^= (uint8_t)(1U << (i % 8));
        assert_true(is_refused("alice", changed, p.wrapped_len, p.context, p.context_len));
        assert_true(is_refused("alice", p.wrapped, i, p.context, p.context_len));
    }
    for (size_t i = 0; i < p.context_len; i++) {
        memcpy(changed, p.context, p.context_len);
        changed[i] ^= (uint8_t)(1U << (i % 8));
        assert_true(is_refused("alice", p.wrapped, p.wrapped_len, changed, p.context_len));
        assert_true(is_refused("alice", p.wrapped, p.wrapped_len, p.context, i));
    }
    memcpy(changed, p.wrapped, p.wrapped_len);
    changed[p.wrapped_len] = 0;
    assert_true(is_refused("alice", changed, p.wrapped_len + 1, p.context, p.context_len));
    memset(changed, 0, sizeof changed);
    assert_true(is_refused("alice", changed, sizeof changed, p.context, p.context_len));
    static uint8_t huge[SCOPEKEY_MESSAGE_MAX];
    assert_true(is_refused("alice", huge, sizeof huge, p.context, p.context_len));
    assert_true(is_refused("alice", p.wrapped, p.wrapped_len, huge, sizeof huge));
    scopekey_material_free(&p.m);
}

/* The context of `p` with a part of its text replaced. */
static void
with_text(const struct parts *p, const char *from, const char *to, void **out, size_t *len)
{
    char *text = NULL;
    char other[1000];
    OK(scopekey_context_format(p->context, p->context_len, &text, error));
    const char *at = strstr(text, from);
    assert_non_null(at);
    (void)snprintf(other, sizeof other, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    OK(scopekey_context_parse(other, strlen(other), out, len, error));
    scopekey_free(text);
}

static void
parts_of_others_are_refused(void **state)
{
    (void)state;
    struct scopekey_aead *aead = NULL;
    struct parts alice = api_make(sk, "alice");
    struct parts second = api_make(sk, "alice");
    struct parts bob = api_make(sk, "bob");
    void *context = NULL;
    size_t len = 0;
    static const char mismatch[] = "unwrapped DEK: it belongs to another encryption context";
    FAILS(open_as("bob", &alice, &aead), SCOPEKEY_E_INVALID_CONTEXT, "the encryption context is of another subject");
    /* Alice's DEK under bob, with bob's context: another KEK. */
    FAILS(scopekey_decryption_keys_for(sk, "bob", alice.wrapped, alice.wrapped_len, bob.context, bob.context_len, NULL,
                                       &aead, error),
          SCOPEKEY_E_INTEGRITY, "decrypting with AES-GCM: the data is altered or not of this key");
    FAILS(scopekey_decryption_keys_for(sk, "alice", alice.wrapped, alice.wrapped_len, bob.context, bob.context_len, NULL,
                                       &aead, error),
          SCOPEKEY_E_INVALID_CONTEXT, "the encryption context is of another subject");
    /* Two of alice, exchanged. */
    FAILS(scopekey_decryption_keys_for(sk, "alice", alice.wrapped, alice.wrapped_len, second.context,
                                       second.context_len, NULL, &aead, error),
          SCOPEKEY_E_INVALID_CONTEXT, mismatch);
    static const struct {
        const char *from, *to, *message;
    } rows[] = {
        {"timestamp=20", "timestamp=21", mismatch},
        {"purpose=message", "purpose=message;x_a=1", mismatch},
        {"generation=1", "generation=2", "the encryption context is of another generation than the wrapped DEK"},
        {"env=development", "env=production", "the encryption context is of environment production, this is development"},
        {"purpose=message", "purpose=file",
         "the encryption context is of purpose file: only DEKs of purpose message are opened here"},
        {"subjectId=", "clientId=", "the encryption context is of another subject"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        with_text(&alice, rows[i].from, rows[i].to, &context, &len);
        FAILS(scopekey_decryption_keys_for(sk, "alice", alice.wrapped, alice.wrapped_len, context, len, NULL, &aead, error),
              SCOPEKEY_E_INVALID_CONTEXT, rows[i].message);
        scopekey_free(context);
    }
    uint8_t changed[512];
    memcpy(changed, alice.wrapped, alice.wrapped_len);
    changed[9] = 2; /* KEK version */
    FAILS(scopekey_decryption_keys_for(sk, "alice", changed, alice.wrapped_len, alice.context, alice.context_len, NULL,
                                       &aead, error),
          SCOPEKEY_E_INVALID_CONTEXT, "the wrapped DEK belongs to another KEK");
    assert_null(aead);
    scopekey_material_free(&alice.m);
    scopekey_material_free(&second.m);
    scopekey_material_free(&bob.m);
}

/* A wrapped DEK of the catalog with its true context, and with that context under purpose `message`. */
static void
catalog_dek_is_refused(struct sck_context *ctx, const struct sck_buf *wrapped)
{
    struct sck_err err = SCK_ERR_INIT;
    struct scopekey_aead *aead = NULL;
    struct sck_buf bytes;
    char want[128];
    sck_buf_init(&bytes, SCK_CONTEXT_BYTES_MAX);
    assert_int_equal(sck_context_encode(ctx, &bytes, &err), SCK_OK);
    (void)snprintf(want, sizeof want,
                   "the encryption context is of purpose %s: only DEKs of purpose message are opened here",
                   sck_purpose_name(ctx->purpose));
    FAILS(scopekey_decryption_keys_for(sk, "alice", wrapped->data, wrapped->len, bytes.data, bytes.len, NULL, &aead,
                                       error),
          SCOPEKEY_E_INVALID_CONTEXT, want);
    sck_buf_reset(&bytes);
    ctx->purpose = SCK_PURPOSE_MESSAGE;
    assert_int_equal(sck_context_encode(ctx, &bytes, &err), SCK_OK);
    FAILS(scopekey_decryption_keys_for(sk, "alice", wrapped->data, wrapped->len, bytes.data, bytes.len, NULL, &aead,
                                       error),
          SCOPEKEY_E_INVALID_CONTEXT, "unwrapped DEK: it belongs to another encryption context");
    void *again = NULL;
    size_t len = 0;
    FAILS(scopekey_rewrap(sk, "alice", wrapped->data, wrapped->len, bytes.data, bytes.len, NULL, &again, &len, error),
          SCOPEKEY_E_INVALID_CONTEXT, "unwrapped DEK: it belongs to another encryption context");
    assert_null(aead);
    sck_buf_clear(&bytes);
}

static void
deks_of_files_and_keys_are_refused(void **state)
{
    (void)state;
    struct sck_engine *engine = sk->service->engine;
    const struct sck_scope alice = scope_of("subject/alice");
    static const enum sck_protection protections[] = {SCK_PROTECTION_TOKEN, SCK_PROTECTION_ENVELOPE};
    for (size_t i = 0; i < 2; i++) {
        struct sck_key_spec spec = {.alg = SCK_ALG_AES_256, .protection = protections[i]};
        struct sck_key_info info;
        struct sck_key_rec key = {0};
        struct sck_version_rec version = {0};
        struct sck_context ctx;
        EXPECT_OK(sck_key_create(sk->service, &alice, i == 0 ? "sealed" : "envelope", &spec, &info, &err));
        memcpy(key.id, info.id, sizeof key.id);
        EXPECT_OK(sck_read_key(engine, SCK_BY_KEY_UUID, &key, &err));
        EXPECT_OK(sck_read_version(engine, info.id, 1, &version, &err));
        EXPECT_OK(sck_version_context(engine, &key, &version, 1, &ctx, &err));
        catalog_dek_is_refused(&ctx, &version.wrapped_dek);
        sck_context_clear(&ctx);
        sck_record_clear(SCK_TABLE_KEYS, &key);
        sck_record_clear(SCK_TABLE_VERSIONS, &version);
    }
    struct sck_context ctx;
    struct sck_secret *dek = NULL;
    struct sck_buf wrapped;
    int64_t owner = 0;
    sck_context_init(&ctx);
    sck_buf_init(&wrapped, SCK_WRAPPED_MAX);
    ctx.scope = alice;
    ctx.purpose = SCK_PURPOSE_FILE;
    ctx.created_s = 1700000000;
    EXPECT_OK(sck_dek_make(sk->service, &alice, &ctx, &dek, &wrapped, &owner, &err));
    catalog_dek_is_refused(&ctx, &wrapped);
    sck_secret_free(&dek);
    sck_buf_clear(&wrapped);
    sck_context_clear(&ctx);
}

static void
rewrapped_deks_open(void **state)
{
    (void)state;
    struct scopekey_aead *aead = NULL;
    struct parts p = api_make(sk, "alice");
    void *again = NULL;
    size_t len = 0;
    OK(scopekey_rewrap(sk, "alice", p.wrapped, p.wrapped_len, p.context, p.context_len, NULL, &again, &len, error));
    assert_int_equal(len, p.wrapped_len);
    assert_memory_not_equal(again, p.wrapped, len);
    OK(scopekey_decryption_keys_for(sk, "alice", again, len, p.context, p.context_len, NULL, &aead, error));
    assert_memory_equal(scopekey_secret_data(scopekey_aead_key(aead)),
                        scopekey_secret_data(scopekey_aead_key(scopekey_material_aead(p.m))), SCOPEKEY_KEY_LENGTH);
    scopekey_aead_free(&aead);
    scopekey_free(again);
    FAILS(scopekey_rewrap(sk, "bob", p.wrapped, p.wrapped_len, p.context, p.context_len, NULL, &again, &len, error),
          SCOPEKEY_E_INVALID_CONTEXT, "the encryption context is of another subject");
    assert_null(again);
    scopekey_material_free(&p.m);
}

static void
old_versions_open_until_they_are_retired(void **state)
{
    (void)state;
    struct scopekey_aead *aead = NULL;
    struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    struct sck_key_info info;
    const struct sck_scope erna = scope_of("subject/erna");
    uint64_t number = 7;
    void *again = NULL;
    size_t len = 0;
    FAILS(scopekey_subject_rotate(sk, "nobody", NULL, &number, error), SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND,
          "subject/nobody is not provisioned: run `scopekey subject create nobody` (or set auto_provision)");
    assert_int_equal(number, 0);
    OK(scopekey_subject_ensure(sk, "erna", NULL, error));
    EXPECT_OK(sck_key_create(sk->service, &erna, "k", &spec, &info, &err));
    struct parts p = api_make(sk, "erna");
    OK(scopekey_subject_rotate(sk, "erna", NULL, &number, error));
    assert_int_equal(number, 2);
    OK(scopekey_subject_rotate(sk, "erna", NULL, NULL, error));
    OK(open_as("erna", &p, &aead));
    scopekey_aead_free(&aead);
    OK(scopekey_rewrap(sk, "erna", p.wrapped, p.wrapped_len, p.context, p.context_len, NULL, &again, &len, error));
    assert_int_equal(((uint8_t *)again)[9], 3);
    OK(scopekey_decryption_keys_for(sk, "erna", again, len, p.context, p.context_len, NULL, &aead, error));
    scopekey_aead_free(&aead);
    OK(scopekey_subject_rewrap(sk, "erna", NULL, &number, error));
    assert_int_equal(number, 1);
    OK(scopekey_subject_rewrap(sk, "erna", NULL, NULL, error));
    /* What callers hold keeps its version alive. */
    OK(open_as("erna", &p, &aead));
    scopekey_aead_free(&aead);
    scopekey_free(again);
    scopekey_material_free(&p.m);
}

static void
messages_are_whole(void **state)
{
    (void)state;
    const struct scopekey_pair pair = {"x_kind", "note"};
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    struct scopekey_secret *plain = NULL;
    void *message = NULL;
    void *other = NULL;
    size_t len = 0;
    call.pairs = &pair;
    call.pair_count = 1;
    OK(scopekey_message_seal(sk, "alice", "hello", 5, "aad", 3, &call, &message, &len, error));
    assert_in_range(len, 5 + SCOPEKEY_SEAL_OVERHEAD, 700);
    OK(scopekey_message_open(sk, "alice", message, len, "aad", 3, NULL, &plain, error));
    assert_int_equal(scopekey_secret_length(plain), 5);
    assert_memory_equal(scopekey_secret_data(plain), "hello", 5);
    scopekey_secret_free(&plain);
    FAILS(scopekey_message_open(sk, "alice", message, len, NULL, 0, NULL, &plain, error), SCOPEKEY_E_INTEGRITY,
          "short seal: it was made with another key or context, or altered");
    FAILS(scopekey_message_open(sk, "bob", message, len, "aad", 3, NULL, &plain, error), SCOPEKEY_E_INVALID_CONTEXT,
          "the encryption context is of another subject");
    FAILS(scopekey_message_open(sk, "alice", "SCKX", 4, NULL, 0, NULL, &plain, error), SCOPEKEY_E_INTEGRITY,
          "sealed message: it is none of Scopekey");
    FAILS(scopekey_message_open(sk, "alice", message, 100, "aad", 3, NULL, &plain, error), SCOPEKEY_E_INTEGRITY,
          "sealed message: it is cut short");
    uint8_t *bytes = message;
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 0x10;
        enum scopekey_code code = scopekey_message_open(sk, "alice", message, len, "aad", 3, NULL, &plain, error);
        assert_true(code == SCOPEKEY_E_INTEGRITY || code == SCOPEKEY_E_INVALID_CONTEXT);
        assert_null(plain);
        bytes[i] ^= 0x10;
        code = scopekey_message_open(sk, "alice", message, i, "aad", 3, NULL, &plain, error);
        assert_true(code == SCOPEKEY_E_INTEGRITY || code == SCOPEKEY_E_INVALID_CONTEXT);
    }
    scopekey_free(message);
    static uint8_t big[SCOPEKEY_SEAL_MAX + 1];
    FAILS(scopekey_message_seal(sk, "alice", big, sizeof big, NULL, 0, NULL, &other, &len, error), SCOPEKEY_E_USAGE,
          "the data has 1048577 bytes, and may have 1 to 1048576");
    FAILS(scopekey_message_seal(sk, "alice", big, 0, NULL, 0, NULL, &other, &len, error), SCOPEKEY_E_USAGE,
          "the data has 0 bytes, and may have 1 to 1048576");
    OK(scopekey_message_seal(sk, "alice", big, sizeof big - 1, NULL, 0, NULL, &other, &len, error));
    assert_true(len <= SCOPEKEY_MESSAGE_MAX);
    OK(scopekey_message_open(sk, "alice", other, len, NULL, 0, NULL, &plain, error));
    assert_int_equal(scopekey_secret_length(plain), SCOPEKEY_SEAL_MAX);
    scopekey_secret_free(&plain);
    scopekey_free(other);
}

static void
erased_is_erased(void **state)
{
    (void)state;
    struct scopekey_aead *aead = NULL;
    struct scopekey_material *m = NULL;
    struct sck_owner_info info;
    char *receipt = NULL;
    char *again = NULL;
    const struct sck_scope carol = scope_of("subject/carol");
    FAILS(scopekey_subject_erase(sk, "carol", NULL, &receipt, error), SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND,
          "there is nothing of subject/carol");
    OK(scopekey_subject_ensure(sk, "carol", NULL, error));
    struct parts p = api_make(sk, "carol");
    OK(scopekey_subject_erase(sk, "carol", NULL, &receipt, error));
    OK(scopekey_subject_erase(sk, "carol", NULL, &again, error));
    assert_string_equal(receipt, again);
    OK(scopekey_subject_erase(sk, "carol", NULL, NULL, error));
    FAILS(open_as("carol", &p, &aead), SCOPEKEY_E_ERASED, "subject/carol was erased");
    FAILS(scopekey_encryption_keys_for(sk, "carol", NULL, &m, error), SCOPEKEY_E_ERASED, "subject/carol was erased");
    FAILS(scopekey_subject_ensure(sk, "carol", NULL, error), SCOPEKEY_E_ERASED,
          "subject/carol was erased: `scopekey subject create --again` starts anew");
    /* She comes back: what was hers stays erased, and the generations are told apart. */
    EXPECT_OK(sck_owner_create(sk->service, &carol, true, &info, &err));
    struct parts q = api_make(sk, "carol");
    FAILS(open_as("carol", &p, &aead), SCOPEKEY_E_ERASED,
          "what was encrypted for this subject in generation 1 was erased");
    FAILS(scopekey_decryption_keys_for(sk, "carol", q.wrapped, q.wrapped_len, p.context, p.context_len, NULL, &aead, error),
          SCOPEKEY_E_INVALID_CONTEXT, "the encryption context is of another generation than the wrapped DEK");
    OK(open_as("carol", &q, &aead));
    scopekey_aead_free(&aead);
    scopekey_material_free(&p.m);
    scopekey_material_free(&q.m);
    scopekey_free(receipt);
    scopekey_free(again);
}

static size_t
give_pin(void *arg, int again, char *pin, size_t size)
{
    int *asked = arg;
    (void)again;
    ++*asked;
    return (size_t)snprintf(pin, size, "73512846");
}

static size_t
give_nothing(void *arg, int again, char *pin, size_t size)
{
    (void)arg;
    (void)again;
    (void)pin;
    (void)size;
    return 0;
}

/* The configuration without its PIN file, in a directory of its own beside the set-up. */
static const char *
conf_without_pin(const char *name)
{
    static char path[600];
    char line[512];
    FILE *in = fopen(home.conf, "r");
    (void)snprintf(path, sizeof path, "%s/%s", home.home, name);
    FILE *out = fopen(path, "w");
    assert_true(in != NULL && out != NULL);
    while (fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, "pin_file", 8) != 0)
            assert_true(fputs(line, out) >= 0);
    }
    assert_true(fclose(in) == 0 && fclose(out) == 0);
    return path;
}

static void
options_are_read(void **state)
{
    (void)state;
    struct scopekey_options o = SCOPEKEY_OPTIONS_INIT;
    struct scopekey *mine = (struct scopekey *)1;
    struct scopekey_material *m = NULL;
    o.configuration = "/nonexistent/scopekey.conf";
    assert_int_equal(scopekey_open(&o, &mine, error), SCOPEKEY_E_CONFIGURATION);
    assert_null(mine);
    o.configuration = home.conf;
    o.scopes = "subject/alice";
    OK(scopekey_open(&o, &mine, error));
    OK(scopekey_encryption_keys_for(mine, "alice", NULL, &m, error));
    scopekey_material_free(&m);
    assert_int_equal(scopekey_encryption_keys_for(mine, "bob", NULL, &m, error), SCOPEKEY_E_DENIED);
    assert_int_equal(scopekey_subject_ensure(mine, "nobody", NULL, error), SCOPEKEY_E_DENIED);
    assert_int_equal(scopekey_subject_erase(mine, "bob", NULL, NULL, error), SCOPEKEY_E_DENIED);
    scopekey_close(&mine);
    o.scopes = "person/alice";
    assert_int_equal(scopekey_open(&o, &mine, error), SCOPEKEY_E_CONFIGURATION);
    o.scopes = NULL;
    o.auto_provision = 1;
    OK(scopekey_open(&o, &mine, error));
    OK(scopekey_encryption_keys_for(mine, "newcomer", NULL, &m, error));
    scopekey_material_free(&m);
    scopekey_close(&mine);
    o.size = 4;
    FAILS(scopekey_open(&o, &mine, error), SCOPEKEY_E_USAGE,
          "scopekey_open: the options' size is 4: start from SCOPEKEY_OPTIONS_INIT");
    struct {
        struct scopekey_options options;
        uint64_t newer;
    } later = {SCOPEKEY_OPTIONS_INIT, 1};
    later.options.size = sizeof later;
    FAILS(scopekey_open(&later.options, &mine, error), SCOPEKEY_E_UNSUPPORTED,
          "scopekey_open: an option is newer than this library");

    int asked = 0;
    o = (struct scopekey_options)SCOPEKEY_OPTIONS_INIT;
    o.configuration = conf_without_pin("asks.conf");
    o.pin = give_nothing;
    /* The token is logged in by the set-up that is open: a process of its own has to ask. */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        scopekey_close(&sk);
        int bad = scopekey_open(&o, &mine, NULL) != SCOPEKEY_OK ||
                  scopekey_encryption_keys_for(mine, "alice", NULL, &m, error) != SCOPEKEY_E_AUTHENTICATION ||
                  strcmp(scopekey_error_message(error), "no PIN was given") != 0;
        scopekey_close(&mine);
        o.configuration = conf_without_pin("asks2.conf");
        o.pin = give_pin;
        o.pin_arg = &asked;
        bad = bad || scopekey_open(&o, &mine, NULL) != SCOPEKEY_OK ||
              scopekey_encryption_keys_for(mine, "alice", NULL, &m, error) != SCOPEKEY_OK || asked != 1;
        if (bad)
            print_error("%s\n", scopekey_error_message(error));
        scopekey_material_free(&m);
        scopekey_close(&mine);
        _exit(bad);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define NULLS(call, function) FAILS(call, SCOPEKEY_E_USAGE, function ": an argument is NULL that must not be")

static void
null_is_refused_everywhere(void **state)
{
    (void)state;
    struct scopekey_material *m = NULL;
    struct scopekey_aead *aead = NULL;
    struct scopekey_secret *secret = NULL;
    struct scopekey_request *r = NULL;
    void *bytes = NULL;
    size_t len = 0;
    uint8_t b[8] = {0};
    NULLS(scopekey_open(NULL, NULL, error), "scopekey_open");
    NULLS(scopekey_encryption_keys_for(NULL, "alice", NULL, &m, error), "scopekey_encryption_keys_for");
    NULLS(scopekey_encryption_keys_for(sk, NULL, NULL, &m, error), "scopekey_encryption_keys_for");
    NULLS(scopekey_encryption_keys_for(sk, "alice", NULL, NULL, error), "scopekey_encryption_keys_for");
    NULLS(scopekey_decryption_keys_for(sk, "alice", NULL, 1, b, 8, NULL, &aead, error), "scopekey_decryption_keys_for");
    NULLS(scopekey_decryption_keys_for(sk, "alice", b, 8, NULL, 0, NULL, &aead, error), "scopekey_decryption_keys_for");
    NULLS(scopekey_decryption_keys_for(sk, "alice", b, 8, b, 8, NULL, NULL, error), "scopekey_decryption_keys_for");
    NULLS(scopekey_rewrap(sk, "alice", b, 8, b, 8, NULL, NULL, &len, error), "scopekey_rewrap");
    NULLS(scopekey_rewrap(sk, "alice", b, 8, b, 8, NULL, &bytes, NULL, error), "scopekey_rewrap");
    NULLS(scopekey_message_seal(sk, "alice", NULL, 0, NULL, 0, NULL, &bytes, &len, error), "scopekey_message_seal");
    NULLS(scopekey_message_seal(sk, "alice", b, 8, NULL, 3, NULL, &bytes, &len, error), "scopekey_message_seal");
    NULLS(scopekey_message_open(sk, "alice", NULL, 0, NULL, 0, NULL, &secret, error), "scopekey_message_open");
    NULLS(scopekey_message_open(sk, "alice", b, 8, NULL, 0, NULL, NULL, error), "scopekey_message_open");
    NULLS(scopekey_subject_ensure(sk, NULL, NULL, error), "scopekey_subject_ensure");
    NULLS(scopekey_subject_rotate(sk, NULL, NULL, NULL, error), "scopekey_subject_rotate");
    NULLS(scopekey_subject_rewrap(NULL, "alice", NULL, NULL, error), "scopekey_subject_rewrap");
    NULLS(scopekey_subject_rotate_async(sk, "alice", NULL, NULL, NULL, NULL, error), "scopekey_subject_rotate_async");
    NULLS(scopekey_subject_rewrap_async(sk, NULL, NULL, NULL, NULL, &r, error), "scopekey_subject_rewrap_async");
    assert_int_equal(scopekey_request_number(NULL), 0);
    NULLS(scopekey_subject_erase(NULL, "alice", NULL, NULL, error), "scopekey_subject_erase");
    NULLS(scopekey_context_format(NULL, 0, (char **)&bytes, error), "scopekey_context_format");
    NULLS(scopekey_context_parse(NULL, 0, &bytes, &len, error), "scopekey_context_parse");
    NULLS(scopekey_context_parse("", 0, &bytes, NULL, error), "scopekey_context_parse");
    NULLS(scopekey_aead_seal(NULL, b, 8, NULL, 0, b, 8, error), "scopekey_aead_seal");
    NULLS(scopekey_aead_open(NULL, b, 8, NULL, 0, &secret, error), "scopekey_aead_open");
    NULLS(scopekey_metrics_format(NULL, NULL, error), "scopekey_metrics_format");
    NULLS(scopekey_encryption_keys_for_async(sk, "alice", NULL, NULL, NULL, NULL, error),
          "scopekey_encryption_keys_for_async");
    NULLS(scopekey_decryption_keys_for_async(sk, "alice", NULL, 0, b, 8, NULL, NULL, NULL, &r, error),
          "scopekey_decryption_keys_for_async");
    NULLS(scopekey_rewrap_async(sk, "alice", b, 8, NULL, 0, NULL, NULL, NULL, &r, error), "scopekey_rewrap_async");
    NULLS(scopekey_message_seal_async(sk, "alice", NULL, 0, NULL, 0, NULL, NULL, NULL, &r, error),
          "scopekey_message_seal_async");
    NULLS(scopekey_message_open_async(sk, "alice", NULL, 0, NULL, 0, NULL, NULL, NULL, &r, error),
          "scopekey_message_open_async");
    NULLS(scopekey_subject_ensure_async(NULL, "alice", NULL, NULL, NULL, &r, error), "scopekey_subject_ensure_async");
    NULLS(scopekey_subject_erase_async(sk, NULL, NULL, NULL, NULL, &r, error), "scopekey_subject_erase_async");
    NULLS(scopekey_request_result(NULL, error), "scopekey_request_result");
    assert_null(r);
    /* A request that is malformed is not begun. */
    FAILS(scopekey_decryption_keys_for_async(sk, "alice", b, 8, b, 8, NULL, NULL, NULL, &r, error),
          SCOPEKEY_E_INVALID_CONTEXT,
          "encryption context: it is cut short, or something follows it");
    assert_null(r);
    /* Accessors of nothing give nothing. */
    assert_null(scopekey_secret_data(NULL));
    assert_int_equal(scopekey_secret_length(NULL), 0);
    assert_null(scopekey_material_aead(NULL));
    len = 5;
    assert_null(scopekey_material_wrapped(NULL, &len));
    assert_int_equal(len, 0);
    assert_null(scopekey_material_context(NULL, NULL));
    assert_null(scopekey_aead_key(NULL));
    assert_int_equal(scopekey_request_is_over(NULL), 0);
    assert_null(scopekey_request_take_material(NULL));
    assert_null(scopekey_request_take_aead(NULL));
    assert_null(scopekey_request_take_secret(NULL));
    len = 5;
    assert_null(scopekey_request_take_bytes(NULL, &len));
    assert_int_equal(len, 0);
    scopekey_request_cancel(NULL);
    scopekey_request_free(NULL);
    scopekey_request_free(&r);
    scopekey_secret_free(NULL);
    scopekey_secret_free(&secret);
    scopekey_material_free(NULL);
    scopekey_material_free(&m);
    scopekey_aead_free(NULL);
    scopekey_aead_free(&aead);
    scopekey_error_free(NULL);
    scopekey_free(NULL);
    assert_int_equal(scopekey_error_code(NULL), SCOPEKEY_OK);
    assert_string_equal(scopekey_error_message(NULL), "");
    /* Without an error object the code is there alone. */
    assert_int_equal(scopekey_encryption_keys_for(sk, "nobody", NULL, &m, NULL), SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND);
}

static void
codes_have_names(void **state)
{
    (void)state;
    static const char *const names[] = {"ok", "usage", "io", "integrity", "subject_key_not_found", "exists", "state",
                                        "invalid_context", "authentication", "connectivity", "token", "busy",
                                        "subject_erased", "configuration", "record", "denied", "unsupported", "memory",
                                        "cancelled", "internal"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(scopekey_code_name((enum scopekey_code)i), names[i]);
    assert_string_equal(scopekey_code_name((enum scopekey_code)1000), "internal");
    assert_string_equal(scopekey_code_name((enum scopekey_code)-1), "internal");
    for (int code = SCK_OK; code <= SCK_E_INTERNAL; code++)
        assert_int_equal(sck_api_code((enum sck_code)code) == SCOPEKEY_OK, code == SCK_OK);
    assert_string_equal(scopekey_version(), PACKAGE_VERSION);
}

static void
metrics_count_calls(void **state)
{
    (void)state;
    static const char series[] = "scopekey_materials_total{op=\"encryption_keys\",outcome=\"ok\"}";
    int64_t before = metric(series);
    int64_t failed = metric("scopekey_errors_total{door=\"c\",code=\"subject_key_not_found\"}");
    int64_t timed = metric("scopekey_materials_seconds_count{op=\"encryption_keys\"}");
    struct parts p = api_make(sk, "alice");
    struct scopekey_material *m = NULL;
    assert_int_equal(scopekey_encryption_keys_for(sk, "nobody", NULL, &m, error), SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND);
    assert_int_equal(metric(series), before + 1);
    assert_int_equal(metric("scopekey_errors_total{door=\"c\",code=\"subject_key_not_found\"}"), failed + 1);
    assert_int_equal(metric("scopekey_materials_seconds_count{op=\"encryption_keys\"}"), timed + 2);
    scopekey_material_free(&p.m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_opens),
        cmocka_unit_test(subjects_must_be_there_and_well_formed),
        cmocka_unit_test(a_context_has_one_text),
        cmocka_unit_test(bad_pairs_are_refused),
        cmocka_unit_test(every_changed_byte_is_refused),
        cmocka_unit_test(parts_of_others_are_refused),
        cmocka_unit_test(deks_of_files_and_keys_are_refused),
        cmocka_unit_test(rewrapped_deks_open),
        cmocka_unit_test(old_versions_open_until_they_are_retired),
        cmocka_unit_test(messages_are_whole),
        cmocka_unit_test(erased_is_erased),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(null_is_refused_everywhere),
        cmocka_unit_test(codes_have_names),
        cmocka_unit_test(metrics_count_calls),
    };
    return cmocka_run_group_tests_name("materials", tests, set_up, tear_down);
}
