/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/base/text.h"
#include "lib/core/scope.h"
#include "lib/core/uri.h"

#define UUID "0190163d-8694-739b-aea5-966c26f8ad91"
#define NAME_FIRST "ABCXYZabcxyz0189"
#define NAME_REST NAME_FIRST "._-"

static enum sck_code
parse(const char *text, struct sck_err *err)
{
    struct sck_scope scope;
    return sck_scope_parse(text, strlen(text), &scope, err);
}

static enum sck_code
make(enum sck_scope_kind kind, const char *id, size_t len, struct sck_err *err)
{
    struct sck_scope scope;
    return sck_scope_make(kind, id, len, &scope, err);
}

/* A random scope of any kind. */
static void
random_scope(struct prop *p, struct sck_scope *out)
{
    char id[SCK_SCOPE_ID_MAX + 1];
    size_t len;
    uint8_t uuid[16];
    enum sck_scope_kind kind = (enum sck_scope_kind)(1 + prop_below(p, 4));
    do {
        if (kind == SCK_SCOPE_FILE) {
            prop_bytes(p, uuid, sizeof uuid);
            sck_uuid_format(uuid, id);
            len = strlen(id);
        } else if (kind == SCK_SCOPE_SYSTEM) {
            len = prop_word(p, NAME_FIRST, NAME_REST, id, SCK_KEY_NAME_MAX);
        } else {
            len = prop_utf8(p, id, SCK_SCOPE_ID_MAX);
        }
    } while (strcmp(id, ".") == 0 || strcmp(id, "..") == 0);
    EXPECT_OK(sck_scope_make(kind, id, len, out, &err));
}

static void
format_and_parse_are_inverse(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "scope format/parse");
    for (int i = 0; i < 20000; i++) {
        struct sck_scope scope;
        struct sck_scope back;
        char text[SCK_SCOPE_TEXT_MAX + 1];
        struct sck_buf buf;
        random_scope(&p, &scope);
        sck_scope_text(&scope, text);
        sck_buf_init(&buf, SCK_SCOPE_TEXT_MAX);
        sck_scope_format(&scope, &buf);
        assert_string_equal(sck_buf_str(&buf), text);
        EXPECT_OK(sck_scope_parse(text, strlen(text), &back, &err));
        assert_memory_equal(&scope, &back, sizeof scope);
        assert_true(sck_scope_equal(&scope, &back));
        sck_buf_clear(&buf);
    }
}

/* Whatever is accepted is the one spelling: any text that parses is what its scope formats to. */
static void
accepted_text_is_canonical(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "scope canonical text");
    int accepted = 0;
    for (int i = 0; i < 40000; i++) {
        struct sck_scope scope;
        char text[SCK_SCOPE_TEXT_MAX + 1];
        char back[SCK_SCOPE_TEXT_MAX + 1];
        random_scope(&p, &scope);
        sck_scope_text(&scope, text);
        size_t len = strlen(text);
        text[prop_below(&p, (uint32_t)len)] = "%2fF/.aA~ \x80\x01"[prop_below(&p, 11)];
        if (sck_scope_parse(text, len, &scope, NULL) != SCK_OK)
            continue;
        accepted++;
        sck_scope_text(&scope, back);
        assert_string_equal(text, back);
    }
    assert_true(accepted > 1000);
}

static void
longest_and_shortest_ids(void **state)
{
    (void)state;
    char id[SCK_SCOPE_ID_MAX + 2];
    char text[SCK_SCOPE_TEXT_MAX + 1];
    struct sck_scope scope;
    memset(id, ' ', sizeof id);
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, id, 255, &scope, &err));
    sck_scope_text(&scope, text);
    assert_int_equal(strlen(text), SCK_SCOPE_TEXT_MAX);
    EXPECT_OK(parse(text, &err));
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, id, 256, &err), SCK_E_USAGE, "scope: the id has more than 255 bytes");
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, id, 0, &err), SCK_E_USAGE, "scope: the id is empty");
    char long_text[8 + 256 + 1] = "subject/";
    memset(long_text + 8, 'a', 256);
    EXPECT_FAIL(parse(long_text, &err), SCK_E_USAGE, "scope: the id has more than 255 bytes");
    long_text[8 + 255] = '\0';
    EXPECT_OK(parse(long_text, &err));
}

static void
bad_ids_are_refused(void **state)
{
    (void)state;
    static const char not_text[] = "scope: the id is not UTF-8 without control characters";
    static const char dots[] = "scope: the id may not be \".\" or \"..\"";
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "a\0b", 3, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "a\nb", 3, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_CLIENT, "\x7f", 1, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "\xC2\x80", 2, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "\xC0\xAF", 2, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "\xED\xA0\x80", 3, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "ab\xC3", 3, &err), SCK_E_USAGE, not_text);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, "..", 2, &err), SCK_E_USAGE, dots);
    EXPECT_FAIL(make(SCK_SCOPE_SUBJECT, ".", 1, &err), SCK_E_USAGE, dots);
    EXPECT_OK(make(SCK_SCOPE_SUBJECT, "...", 3, &err));
    EXPECT_OK(make(SCK_SCOPE_SUBJECT, "files", 5, &err));
    EXPECT_FAIL(make(SCK_SCOPE_FILE, "0190163D-8694-739B-AEA5-966C26F8AD91", 36, &err), SCK_E_USAGE,
                "scope: the id of a file is a UUID in lower case");
    EXPECT_OK(make(SCK_SCOPE_FILE, UUID, 36, &err));
    EXPECT_FAIL(make(SCK_SCOPE_SYSTEM, "-mac", 4, &err), SCK_E_USAGE,
                "scope: a system name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit");
    EXPECT_FAIL(make((enum sck_scope_kind)9, "a", 1, &err), SCK_E_USAGE,
                "scope: the kind is subject, file, client or system");
}

static void
bad_text_is_refused(void **state)
{
    (void)state;
    static const char no_kind[] = "scope: it does not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"";
    EXPECT_FAIL(parse("", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("subject", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("Subject/a", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("/subject/a", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("../subject/a", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("person/a", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("subject/", &err), SCK_E_USAGE, "scope: the id is empty");
    EXPECT_FAIL(parse("subject/a/b", &err), SCK_E_USAGE, "scope: the id: byte 2 must be written %2F");
    EXPECT_FAIL(parse("subject/a@b", &err), SCK_E_USAGE, "scope: the id: byte 2 must be written %40");
    EXPECT_FAIL(parse("subject/\xC3\xBC", &err), SCK_E_USAGE, "scope: the id: byte 1 must be written %C3");
    EXPECT_FAIL(parse("subject/a\n", &err), SCK_E_USAGE, "scope: the id: byte 2 must be written %0A");
    EXPECT_FAIL(parse("subject/%41", &err), SCK_E_USAGE,
                "scope: the id: byte 1: this character is written as it is, not escaped");
    EXPECT_FAIL(parse("subject/%2E%2E", &err), SCK_E_USAGE,
                "scope: the id: byte 1: this character is written as it is, not escaped");
    EXPECT_FAIL(parse("subject/a%2f", &err), SCK_E_USAGE,
                "scope: the id: byte 2: hex digits are written in upper case");
    EXPECT_FAIL(parse("subject/a%2", &err), SCK_E_USAGE,
                "scope: the id: byte 2: \"%\" is not followed by two hex digits");
    EXPECT_FAIL(parse("subject/%%25", &err), SCK_E_USAGE,
                "scope: the id: byte 1: \"%\" is not followed by two hex digits");
    EXPECT_FAIL(parse("subject/%00", &err), SCK_E_USAGE, "scope: the id is not UTF-8 without control characters");
    EXPECT_FAIL(parse("subject/%C3%28", &err), SCK_E_USAGE, "scope: the id is not UTF-8 without control characters");
    EXPECT_FAIL(parse("subject/..", &err), SCK_E_USAGE, "scope: the id may not be \".\" or \"..\"");
    struct sck_scope scope;
    EXPECT_FAIL(sck_scope_parse("subject/a\0b", 11, &scope, &err), SCK_E_USAGE,
                "scope: the id: byte 2 must be written %00");
}

static void
look_alikes_stay_apart(void **state)
{
    (void)state;
    static const char *const ids[] = {"user.1",   "user@1", "user_1", "USER.1",   "user 1",   "user/1",    "user%1",
                                      "user%2F1", "user-1", "user~1", "\xC3\xBC", "\xC3\xA9", "u\xCC\x88", "..."};
    enum { N = sizeof ids / sizeof ids[0] };
    struct sck_scope scopes[N];
    for (size_t i = 0; i < N; i++)
        EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, ids[i], strlen(ids[i]), &scopes[i], &err));
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            char a[SCK_SCOPE_TEXT_MAX + 1];
            char b[SCK_SCOPE_TEXT_MAX + 1];
            sck_scope_text(&scopes[i], a);
            sck_scope_text(&scopes[j], b);
            assert_int_equal(strcmp(a, b) == 0, i == j);
            assert_int_equal(sck_scope_equal(&scopes[i], &scopes[j]), i == j);
        }
    }
    struct sck_scope client;
    EXPECT_OK(sck_scope_make(SCK_SCOPE_CLIENT, "user.1", 6, &client, &err));
    assert_false(sck_scope_equal(&client, &scopes[0]));
}

static void
patterns_allow_what_they_say(void **state)
{
    (void)state;
    struct sck_scope alice;
    struct sck_scope star;
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, "alice", 5, &alice, &err));
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, "*", 1, &star, &err));
    assert_true(sck_scope_is_allowed(&alice, NULL));
    assert_false(sck_scope_is_allowed(&alice, ""));
    assert_false(sck_scope_is_allowed(&alice, " , "));
    assert_true(sck_scope_is_allowed(&alice, "subject/*"));
    assert_true(sck_scope_is_allowed(&alice, "client/x, subject/alice"));
    assert_true(sck_scope_is_allowed(&alice, "client/*,subject/alice file/*"));
    assert_false(sck_scope_is_allowed(&alice, "client/*"));
    assert_false(sck_scope_is_allowed(&alice, "subject/alic"));
    assert_false(sck_scope_is_allowed(&alice, "subject/alicex"));
    assert_false(sck_scope_is_allowed(&alice, "subject/a*"));
    assert_false(sck_scope_is_allowed(&alice, "*"));
    assert_false(sck_scope_is_allowed(&alice, "*/*"));
    assert_false(sck_scope_is_allowed(&alice, "subject/%2A"));
    assert_true(sck_scope_is_allowed(&star, "subject/%2A"));
    EXPECT_OK(sck_scope_patterns_check(NULL, &err));
    EXPECT_OK(sck_scope_patterns_check("", &err));
    EXPECT_OK(sck_scope_patterns_check("subject/*, client/a%40b file/" UUID, &err));
    EXPECT_FAIL(sck_scope_patterns_check("subject/*, */x", &err), SCK_E_CONFIG,
                "scope pattern 2 is neither KIND/* nor a scope: scope: it does not begin with \"subject/\", "
                "\"file/\", \"client/\" or \"system/\"");
    EXPECT_FAIL(sck_scope_patterns_check("subject/a*", &err), SCK_E_CONFIG,
                "scope pattern 1 is neither KIND/* nor a scope: scope: the id: byte 2 must be written %2A");
}

static void
kinds_have_names(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++) {
        const char *name = sck_scope_kind_name((enum sck_scope_kind)i);
        assert_int_equal(sck_scope_kind_by_name(name, strlen(name)), i);
    }
    assert_string_equal(sck_scope_kind_name((enum sck_scope_kind)0), "unknown");
    assert_int_equal(sck_scope_kind_by_name("unknown", 7), 0);
    assert_int_equal(sck_scope_kind_by_name(NULL, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_and_parse_are_inverse), cmocka_unit_test(accepted_text_is_canonical),
        cmocka_unit_test(longest_and_shortest_ids),     cmocka_unit_test(bad_ids_are_refused),
        cmocka_unit_test(bad_text_is_refused),          cmocka_unit_test(look_alikes_stay_apart),
        cmocka_unit_test(patterns_allow_what_they_say), cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests_name("core/scope", tests, NULL, NULL);
}
