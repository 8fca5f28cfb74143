/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/base/text.h"
#include "lib/core/context.h"
#include "lib/core/pairs.h"

#define WORD_FIRST "abcxyz"
#define WORD_REST "abcxyz0189_"

static const char *const environments[] = {"development", "staging", "production"};

static void
example(struct sck_context *ctx)
{
    sck_context_init(ctx);
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, "alice", 5, &ctx->scope, &err));
    ctx->generation = 1;
    ctx->purpose = SCK_PURPOSE_MESSAGE;
    ctx->created_s = 1749904200; /* 2025-06-14T12:30:00Z */
    memcpy(ctx->env, "production", 11);
    memset(ctx->id, 0x11, sizeof ctx->id);
}

static void
random_context(struct prop *p, struct sck_context *ctx)
{
    char text[SCK_SCOPE_ID_MAX + 1];
    example(ctx);
    do {
        (void)prop_utf8(p, text, SCK_SCOPE_ID_MAX);
    } while (strcmp(text, ".") == 0 || strcmp(text, "..") == 0);
    EXPECT_OK(sck_scope_make(prop_below(p, 2) == 0 ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT, text, strlen(text),
                             &ctx->scope, &err));
    ctx->generation = 1 + prop_below(p, UINT32_MAX);
    ctx->purpose = (enum sck_purpose)(1 + prop_below(p, 5));
    ctx->created_s = prop_below(p, UINT32_MAX);
    prop_bytes(p, ctx->id, sizeof ctx->id);
    (void)snprintf(ctx->env, sizeof ctx->env, "%s", environments[prop_below(p, 3)]);
    for (uint32_t i = prop_below(p, 8); i > 0; i--) {
        char key[SCK_CONTEXT_KEY_MAX + 1] = "x_";
        char value[65] = "";
        size_t len = prop_below(p, 5) == 0 ? 0 : prop_utf8(p, value, 64);
        (void)prop_word(p, WORD_REST, WORD_REST, key + 2, 30);
        /* A repeated name is refused and leaves the context as it was. */
        if (sck_context_add(ctx, key, value, len, NULL) != SCK_OK)
            continue;
    }
}

static void
assert_same(const struct sck_context *a, const struct sck_context *b)
{
    assert_true(sck_scope_equal(&a->scope, &b->scope));
    assert_int_equal(a->generation, b->generation);
    assert_int_equal(a->purpose, b->purpose);
    assert_memory_equal(a->id, b->id, sizeof a->id);
    assert_int_equal(a->created_s, b->created_s);
    assert_string_equal(a->env, b->env);
    assert_int_equal(a->extra_count, b->extra_count);
    for (size_t i = 0; i < a->extra_count; i++) {
        assert_string_equal(a->extra[i].key, b->extra[i].key);
        assert_int_equal(a->extra[i].value_len, b->extra[i].value_len);
        assert_memory_equal(a->extra[i].value, b->extra[i].value, a->extra[i].value_len);
    }
}

static void
encode_and_decode_are_inverse(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "context encode/decode, format/parse");
    for (int i = 0; i < 5000; i++) {
        struct sck_context ctx;
        struct sck_context back;
        struct sck_buf buf;
        random_context(&p, &ctx);
        sck_buf_init(&buf, SCK_CONTEXT_BYTES_MAX);
        EXPECT_OK(sck_context_encode(&ctx, &buf, &err));
        EXPECT_OK(sck_context_decode(buf.data, buf.len, &back, &err));
        assert_same(&ctx, &back);
        sck_context_clear(&back);
        sck_buf_clear(&buf);
        sck_buf_init(&buf, 4 * SCK_CONTEXT_BYTES_MAX);
        EXPECT_OK(sck_context_format(&ctx, &buf, &err));
        EXPECT_OK(sck_context_parse((const char *)buf.data, buf.len, &back, &err));
        assert_same(&ctx, &back);
        sck_context_clear(&back);
        sck_context_clear(&ctx);
        sck_buf_clear(&buf);
    }
}

static void
order_of_adding_does_not_matter(void **state)
{
    (void)state;
    static const char *const keys[] = {"x_b", "x_a", "x_ab", "x_0", "x__"};
    struct sck_context one;
    struct sck_context two;
    uint8_t h1[SCK_SHA256_LEN];
    uint8_t h2[SCK_SHA256_LEN];
    example(&one);
    example(&two);
    for (size_t i = 0; i < 5; i++) {
        EXPECT_OK(sck_context_add(&one, keys[i], keys[i], strlen(keys[i]), &err));
        EXPECT_OK(sck_context_add(&two, keys[4 - i], keys[4 - i], strlen(keys[4 - i]), &err));
    }
    EXPECT_OK(sck_context_hash(&one, h1, &err));
    EXPECT_OK(sck_context_hash(&two, h2, &err));
    assert_memory_equal(h1, h2, sizeof h1);
    sck_context_clear(&one);
    sck_context_clear(&two);
}

/* A changed byte is refused, or means something else: then the bytes are the canonical ones of that. */
static void
every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct sck_context ctx;
    struct sck_buf buf;
    example(&ctx);
    EXPECT_OK(sck_context_add(&ctx, "x_tenant", "blue", 4, &err));
    sck_buf_init(&buf, SCK_CONTEXT_BYTES_MAX);
    EXPECT_OK(sck_context_encode(&ctx, &buf, &err));
    size_t decoded = 0;
    for (size_t i = 0; i < buf.len; i++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            struct sck_context other;
            struct sck_buf again;
            buf.data[i] ^= (uint8_t)flip;
            if (sck_context_decode(buf.data, buf.len, &other, NULL) == SCK_OK) {
                decoded++;
                sck_buf_init(&again, SCK_CONTEXT_BYTES_MAX);
                EXPECT_OK(sck_context_encode(&other, &again, &err));
                assert_int_equal(again.len, buf.len);
                assert_memory_equal(again.data, buf.data, buf.len);
                sck_buf_clear(&again);
                sck_context_clear(&other);
            }
            buf.data[i] ^= (uint8_t)flip;
        }
    }
    assert_true(decoded > 1000);
    for (size_t len = 0; len < buf.len; len++) {
        struct sck_context other;
        EXPECT_FAIL(sck_context_decode(buf.data, len, &other, &err), SCK_E_CONTEXT,
                    "encryption context: it is cut short, or something follows it");
    }
    sck_buf_clear(&buf);
    sck_context_clear(&ctx);
}

static enum sck_code
decode_pairs(const struct sck_pair *pairs, size_t count, struct sck_err *err)
{
    struct sck_context ctx;
    struct sck_buf buf;
    sck_buf_init(&buf, 2 * SCK_PAIRS_BYTES_MAX);
    enum sck_code rc = sck_pairs_encode(pairs, count, &buf, err);
    if (rc == SCK_OK)
        rc = sck_context_decode(buf.data, buf.len, &ctx, err);
    if (rc == SCK_OK)
        sck_context_clear(&ctx);
    sck_buf_clear(&buf);
    return rc;
}

static struct sck_pair
pair(const char *key, const char *value)
{
    return (struct sck_pair){{(const uint8_t *)key, strlen(key)}, {(const uint8_t *)value, strlen(value)}};
}

static void
malformed_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *value;
    } bad[] = {
        {0, "2025-06-14T12:30:00+00:00"},
        {0, "2025-02-30T00:00:00Z"},
        {0, ""},
        {1, "test"},
        {1, "Production"},
        {2, "2"},
        {2, "01"},
        {3, "0"},
        {3, "01"},
        {3, "4294967296"},
        {4, "x"},
        {4, "0190163D-8694-739B-AEA5-966C26F8AD91"},
        {5, "unknown"},
        {5, ""},
        {6, "alice"},
        {6, "subject/%61"},
        {6, "subject/a/tls"},
    };
    struct sck_pair good[8] = {
        pair("created", "2025-06-14T12:30:00Z"),
        pair("env", "production"),
        pair("format", "1"),
        pair("generation", "1"),
        pair("id", "0190163d-8694-739b-aea5-966c26f8ad91"),
        pair("purpose", "seal"),
        pair("scope", "subject/alice"),
        pair("x_a", ""),
    };
    EXPECT_OK(decode_pairs(good, 8, &err));
    EXPECT_OK(decode_pairs(good, 7, &err));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sck_pair pairs[7];
        char message[100];
        memcpy(pairs, good, sizeof pairs);
        pairs[bad[i].at].value = pair("", bad[i].value).value;
        (void)snprintf(message, sizeof message, "encryption context: the value of %s is malformed",
                       (const char *)pairs[bad[i].at].key.data);
        EXPECT_FAIL(decode_pairs(pairs, 7, &err), SCK_E_CONTEXT, message);
    }
    for (size_t i = 0; i < 7; i++) {
        struct sck_pair pairs[7];
        char message[100];
        memcpy(pairs, good, i * sizeof good[0]);
        memcpy(pairs + i, good + i + 1, (7 - i) * sizeof good[0]);
        (void)snprintf(message, sizeof message, "encryption context: %s is missing, or an unknown name is there",
                       (const char *)good[i].key.data);
        EXPECT_FAIL(decode_pairs(pairs, 7, &err), SCK_E_CONTEXT, message);
    }
    good[7] = pair("tenant", "blue");
    EXPECT_FAIL(decode_pairs(good, 8, &err), SCK_E_CONTEXT,
                "encryption context: a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _");
}

static void
bad_callers_pairs_are_refused(void **state)
{
    (void)state;
    struct sck_context ctx;
    struct sck_buf buf;
    static const char name[] = "encryption context: a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _";
    example(&ctx);
    EXPECT_FAIL(sck_context_add(&ctx, "tenant", "", 0, &err), SCK_E_CONTEXT, name);
    EXPECT_FAIL(sck_context_add(&ctx, "x_", "", 0, &err), SCK_E_CONTEXT, name);
    EXPECT_FAIL(sck_context_add(&ctx, "x_A", "", 0, &err), SCK_E_CONTEXT, name);
    EXPECT_FAIL(sck_context_add(&ctx, "x_a23456789012345678901234567890x", "", 0, &err), SCK_E_CONTEXT, name);
    EXPECT_FAIL(sck_context_add(&ctx, "x_a", "\0", 1, &err), SCK_E_CONTEXT,
                "encryption context: the value of x_a is not UTF-8 without control characters, or too long");
    EXPECT_OK(sck_context_add(&ctx, "x_a", "1", 1, &err));
    EXPECT_FAIL(sck_context_add(&ctx, "x_a", "2", 1, &err), SCK_E_CONTEXT, "encryption context: x_a is given twice");
    for (int i = 1; i < SCK_CONTEXT_EXTRA_MAX; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "x_%d", i);
        EXPECT_OK(sck_context_add(&ctx, key, "", 0, &err));
    }
    EXPECT_FAIL(sck_context_add(&ctx, "x_z", "", 0, &err), SCK_E_CONTEXT, "encryption context: more than 32 pairs");
    sck_context_clear(&ctx);
    example(&ctx);
    static char big[SCK_CONTEXT_BYTES_MAX];
    memset(big, 'v', sizeof big);
    EXPECT_OK(sck_context_add(&ctx, "x_a", big, sizeof big, &err));
    sck_buf_init(&buf, 4 * SCK_CONTEXT_BYTES_MAX);
    EXPECT_FAIL(sck_context_encode(&ctx, &buf, &err), SCK_E_CONTEXT,
                "encryption context: it has 8357 bytes, and may have 8192");
    EXPECT_FAIL(sck_context_format(&ctx, &buf, &err), SCK_E_CONTEXT,
                "encryption context: it has 8357 bytes, and may have 8192");
    sck_buf_clear(&buf);
    sck_context_clear(&ctx);
}

static void
incomplete_contexts_are_refused(void **state)
{
    (void)state;
    struct sck_context good;
    struct sck_context ctx;
    uint8_t hash[SCK_SHA256_LEN];
    example(&good);
#define REFUSED(change, message)                                                                                     \
    do {                                                                                                             \
        ctx = good;                                                                                                  \
        change;                                                                                                      \
        EXPECT_FAIL(sck_context_hash(&ctx, hash, &err), SCK_E_CONTEXT, "encryption context: " message);              \
    } while (0)
    REFUSED(ctx.scope.kind = (enum sck_scope_kind)0, "the scope is missing");
    REFUSED(ctx.generation = 0, "generations start at 1");
    REFUSED(ctx.purpose = (enum sck_purpose)0, "the purpose is missing");
    REFUSED(ctx.purpose = (enum sck_purpose)6, "the purpose is missing");
    REFUSED(ctx.created_s = -1, "the creation time is out of range");
    REFUSED(memcpy(ctx.env, "test", 5), "env is development, staging or production");
    REFUSED(memset(ctx.env, 'p', sizeof ctx.env), "env is development, staging or production");
#undef REFUSED
}

static void
text_form_is_strict(void **state)
{
    (void)state;
    static const char good[] = "subjectId=alice%40example.com;timestamp=2025-06-14T12%3A30%3A00Z;version=1;"
                               "env=production;generation=1;id=0190163d-8694-739b-aea5-966c26f8ad91;"
                               "purpose=message;x_a=%3B%3D;x_b=";
    struct sck_context ctx;
    struct sck_buf buf;
    EXPECT_OK(sck_context_parse(good, strlen(good), &ctx, &err));
    assert_string_equal(ctx.scope.id, "alice@example.com");
    assert_int_equal(ctx.created_s, 1749904200);
    assert_memory_equal(ctx.extra[0].value, ";=", 2);
    sck_buf_init(&buf, 1024);
    EXPECT_OK(sck_context_format(&ctx, &buf, &err));
    assert_string_equal(sck_buf_str(&buf), good);
    sck_context_clear(&ctx);
    sck_buf_clear(&buf);
#define REFUSED(text, message)                                                                                       \
    EXPECT_FAIL(sck_context_parse(text, strlen(text), &ctx, &err), SCK_E_CONTEXT, "encryption context: " message)
#define HEAD "subjectId=a;timestamp=2025-06-14T12%3A30%3A00Z;version=1;env=production;generation=1;"
#define ID "id=0190163d-8694-739b-aea5-966c26f8ad91;"
    REFUSED("", "it is not NAME=VALUE;NAME=VALUE...");
    REFUSED("subjectId", "it is not NAME=VALUE;NAME=VALUE...");
    REFUSED("subjectId=", "it does not begin with a well-formed subjectId, clientId, fileId or systemId");
    REFUSED("subject=a", "it does not begin with a well-formed subjectId, clientId, fileId or systemId");
    REFUSED("fileId=a", "it does not begin with a well-formed subjectId, clientId, fileId or systemId");
    REFUSED("subjectId=..", "it does not begin with a well-formed subjectId, clientId, fileId or systemId");
    REFUSED("subjectId=a@b", "a value: byte 2 must be written %40");
    REFUSED("subjectId=a%40", "timestamp is missing");
    REFUSED("subjectId=a;version=1", "timestamp is not at its place");
    REFUSED("subjectId=a;timestamp=2025-06-14T12:30:00Z", "a value: byte 14 must be written %3A");
    REFUSED("subjectId=a;timestamp=2025-06-14", "the value of timestamp is malformed");
    REFUSED("subjectId=a;timestamp=2025-06-14T12%3a30%3A00Z",
            "a value: byte 14: hex digits are written in upper case");
    REFUSED("subjectId=a;timestamp=2025-06-14T12%3A30%3A00Z;version=2", "the value of version is malformed");
    REFUSED(HEAD "id=x;purpose=seal", "the value of id is malformed");
    REFUSED(HEAD ID "purpose=other", "the value of purpose is malformed");
    REFUSED(HEAD ID "purpose=seal;", "it is not NAME=VALUE;NAME=VALUE...");
    REFUSED(HEAD ID "purpose=seal;y=1", "a caller's name is \"x_\" and 1 to 30 of a-z 0-9 _");
    REFUSED(HEAD ID "purpose=seal;x_b=1;x_a=1", "x_a is out of order");
    REFUSED(HEAD ID "purpose=seal;x_b=1;x_b=1", "x_b is given twice");
    REFUSED(HEAD ID "purpose=seal;x_b=%0A", "the value of x_b is not UTF-8 without control characters, or too long");
    REFUSED(HEAD ID "purpose=seal;x_b=a=b", "a value: byte 2 must be written %3D");
    REFUSED(HEAD "id=0190163d-8694-739b-aea5-966c26f8ad91", "purpose is missing");
    REFUSED(HEAD ID, "it is not NAME=VALUE;NAME=VALUE...");
    static char big[9000] = HEAD ID "purpose=seal;x_a=";
    memset(big + strlen(big), 'v', 8100);
    REFUSED(big, "it has 8258 bytes, and may have 8192");
#undef HEAD
#undef ID
#undef REFUSED
}

static void
purposes_have_names(void **state)
{
    (void)state;
    for (int i = SCK_PURPOSE_FILE; i <= SCK_PURPOSE_BRANCH; i++)
        assert_int_equal(sck_purpose_by_name(sck_purpose_name((enum sck_purpose)i)), i);
    assert_int_equal(sck_purpose_by_name("unknown"), 0);
    assert_string_equal(sck_purpose_name((enum sck_purpose)0), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_and_decode_are_inverse), cmocka_unit_test(order_of_adding_does_not_matter),
        cmocka_unit_test(every_changed_byte_is_noticed), cmocka_unit_test(malformed_values_are_refused),
        cmocka_unit_test(bad_callers_pairs_are_refused), cmocka_unit_test(incomplete_contexts_are_refused),
        cmocka_unit_test(text_form_is_strict),           cmocka_unit_test(purposes_have_names),
    };
    return cmocka_run_group_tests_name("core/context", tests, NULL, NULL);
}
