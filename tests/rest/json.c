/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"

#include "rest/json.h"

static enum sck_code
parse(const char *text, json_t **out, struct sck_err *err)
{
    return sck_rest_json_parse((const uint8_t *)text, strlen(text), out, err);
}

static void
refuses_what_is_no_strict_json(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } bad[] = {
        {"", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{} {}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":1,}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{'a':1}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":NaN}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":01}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":\"\\ud800\"}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":\"\xC0\xAF\"}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":\"\xED\xA0\x80\"}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":\"\n\"}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"\xEF\xBB\xBF{}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\\u0000b\":1}", "The body is not valid JSON (RFC 8259) in UTF-8"},
        {"{\"a\":1,\"a\":1}", "The body has a member twice"},
        {"{\"a\":{\"b\":1,\"\\u0062\":2}}", "The body has a member twice"},
        {"{\"a\":1e999}", "The body has a number that is out of range"},
        {"{\"a\":9223372036854775808}", "The body has a number that is out of range"},
        {"[]", "The body must be a JSON object"},
        {"\"text\"", "The body is not valid JSON (RFC 8259) in UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *out = NULL;
        EXPECT_FAIL(parse(bad[i].text, &out, &err), SCK_E_USAGE, bad[i].message);
        assert_null(out);
    }
}

/* `levels` arrays around nothing, inside one object. */
static void
nest(char *out, size_t levels)
{
    size_t n = (size_t)sprintf(out, "{\"a\":");
    memset(out + n, '[', levels);
    memset(out + n + levels, ']', levels);
    memcpy(out + n + 2 * levels, "}", 2);
}

static void
counts_levels(void **state)
{
    char text[256];
    json_t *out = NULL;
    (void)state;
    nest(text, 31);
    EXPECT_OK(parse(text, &out, &err));
    json_decref(out);
    nest(text, 32);
    EXPECT_FAIL(parse(text, &out, &err), SCK_E_USAGE, "The body is nested more than 32 levels deep");
    /* Brackets in strings, behind escaped quotes too, are no levels. */
    EXPECT_OK(parse("{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", &out, &err));
    json_decref(out);
}

static void
keeps_every_character(void **state)
{
    json_t *out = NULL;
    (void)state;
    EXPECT_OK(parse("{\"a\":\"x\\u0000y\\ud83d\\ude00\",\"b\":\"\"}", &out, &err));
    struct sck_bytes a = sck_rest_json_text(out, "a");
    assert_int_equal(a.len, 7);
    assert_memory_equal(a.data, "x\0y\xF0\x9F\x98\x80", 7);
    assert_int_equal(sck_rest_json_text(out, "b").len, 0);
    assert_non_null(sck_rest_json_text(out, "b").data);
    assert_null(sck_rest_json_text(out, "c").data);
    json_decref(out);
}

static enum sck_code
check(const char *text, struct sck_err *err)
{
    static const struct sck_rest_json_member members[] = {
        {"key_id", JSON_STRING, true},
        {"context", JSON_OBJECT, false},
        {"key_version", JSON_INTEGER, false},
    };
    json_t *object = NULL;
    enum sck_code rc = parse(text, &object, err);
    if (rc == SCK_OK)
        rc = sck_rest_json_check(object, members, 3, err);
    json_decref(object);
    return rc;
}

static void
names_what_does_not_belong(void **state)
{
    (void)state;
    EXPECT_OK(check("{\"key_id\":\"k\"}", &err));
    EXPECT_OK(check("{\"key_version\":1,\"context\":{},\"key_id\":\"k\"}", &err));
    EXPECT_FAIL(check("{}", &err), SCK_E_USAGE, "key_id is required");
    EXPECT_FAIL(check("{\"key_id\":null}", &err), SCK_E_USAGE, "key_id must be a string");
    EXPECT_FAIL(check("{\"key_id\":7}", &err), SCK_E_USAGE, "key_id must be a string");
    EXPECT_FAIL(check("{\"key_id\":\"k\",\"context\":[]}", &err), SCK_E_USAGE, "context must be an object");
    EXPECT_FAIL(check("{\"key_id\":\"k\",\"key_version\":1.0}", &err), SCK_E_USAGE, "key_version must be an integer");
    EXPECT_FAIL(check("{\"key_id\":\"k\",\"contxt\":{}}", &err), SCK_E_USAGE, "Unknown member contxt");
    /* A name that might be a misplaced value is not repeated. */
    EXPECT_FAIL(check("{\"key_id\":\"k\",\"My secret\":1}", &err), SCK_E_USAGE, "Unknown member");
    EXPECT_FAIL(check("{\"key_id\":\"k\",\"abcdefghijklmnopqrstuvwxyzabcdefg\":1}", &err), SCK_E_USAGE,
                "Unknown member");
}

static void
decode(const char *text, const char *want, size_t want_len)
{
    struct sck_buf out;
    json_t *object = json_pack("{s:s}", "nonce", text);
    sck_buf_init(&out, 100);
    if (want != NULL) {
        EXPECT_OK(sck_rest_json_base64(object, "nonce", &out, &err));
        assert_int_equal(out.len, want_len);
        if (want_len > 0)
            assert_memory_equal(out.data, want, want_len);
    } else {
        EXPECT_FAIL(sck_rest_json_base64(object, "nonce", &out, &err), SCK_E_USAGE, "nonce must be base64 (RFC 4648)");
    }
    sck_buf_clear(&out);
    json_decref(object);
}

static void
reads_base64_of_one_spelling(void **state)
{
    (void)state;
    decode("", "", 0);
    decode("Zg==", "f", 1);
    decode("Zg", "f", 1);
    decode("Zm9vYg==", "foob", 4);
    decode("-_8=", "\xFB\xFF", 2);
    decode("+/8=", "\xFB\xFF", 2);
    decode("+_8=", NULL, 0);
    decode("Zh==", NULL, 0);
    decode("Zg=", NULL, 0);
    decode("Zg===", NULL, 0);
    decode("Z", NULL, 0);
    decode("Zm 9v", NULL, 0);
    decode("Zm9v\n", NULL, 0);
    decode("Zm9v=", NULL, 0);
    decode("====", NULL, 0);
}

static void
writes_base64(void **state)
{
    (void)state;
    json_t *object = json_object();
    assert_true(sck_rest_json_put_base64(object, "a", (const uint8_t *)"\xFB\xFF", 2));
    assert_true(sck_rest_json_put_base64(object, "b", (const uint8_t *)"", 0));
    char *text = json_dumps(object, JSON_COMPACT);
    assert_string_equal(text, "{\"a\":\"+/8=\",\"b\":\"\"}");
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(text);
    json_decref(object);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_strict_json), cmocka_unit_test(counts_levels),
        cmocka_unit_test(keeps_every_character),          cmocka_unit_test(names_what_does_not_belong),
        cmocka_unit_test(reads_base64_of_one_spelling),   cmocka_unit_test(writes_base64),
    };
    sck_rest_json_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
