/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/base/text.h"
#include "lib/core/uri.h"

#define NAME_FIRST "ABCXYZabcxyz0189"
#define NAME_REST NAME_FIRST "._-"

static enum sck_code
parse(const char *text, struct sck_err *err)
{
    struct sck_uri uri;
    return sck_uri_parse(text, strlen(text), &uri, err);
}

static void
random_uri(struct prop *p, struct sck_uri *out)
{
    char id[SCK_SCOPE_ID_MAX + 1];
    memset(out, 0, sizeof *out);
    do {
        (void)prop_utf8(p, id, SCK_SCOPE_ID_MAX);
    } while (strcmp(id, ".") == 0 || strcmp(id, "..") == 0);
    enum sck_scope_kind kind = prop_below(p, 2) == 0 ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT;
    EXPECT_OK(sck_scope_make(kind, id, strlen(id), &out->scope, &err));
    if (prop_below(p, 5) > 0) {
        (void)prop_word(p, NAME_FIRST, NAME_REST, out->name, SCK_KEY_NAME_MAX);
        if (prop_below(p, 2) == 0)
            out->version = 1 + prop_below(p, UINT32_MAX);
    }
    out->type = (enum sck_uri_type)prop_below(p, 5);
    if (prop_below(p, 3) == 0)
        (void)prop_utf8(p, out->pin_source, 200);
}

static void
format_and_parse_are_inverse(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "URI format/parse");
    for (int i = 0; i < 20000; i++) {
        struct sck_uri uri;
        struct sck_uri back;
        struct sck_buf text;
        random_uri(&p, &uri);
        sck_buf_init(&text, 8192);
        sck_uri_format(&uri, &text);
        assert_false(text.failed);
        EXPECT_OK(sck_uri_parse((const char *)text.data, text.len, &back, &err));
        assert_memory_equal(&uri, &back, sizeof uri);
        sck_buf_clear(&text);
    }
}

static void
label_format_and_parse_are_inverse(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "label format/parse");
    for (int i = 0; i < 20000; i++) {
        struct sck_uri uri;
        struct sck_scope scope;
        char name[SCK_KEY_NAME_MAX + 1];
        struct sck_buf label;
        struct sck_buf text;
        random_uri(&p, &uri);
        if (uri.name[0] == '\0')
            continue;
        uri.version = 0;
        uri.type = SCK_TYPE_NONE;
        uri.pin_source[0] = '\0';
        sck_buf_init(&label, SCK_LABEL_MAX);
        sck_buf_init(&text, 8192);
        sck_label_format(&uri.scope, uri.name, &label);
        sck_uri_format(&uri, &text);
        assert_string_equal(sck_buf_str(&text) + strlen("scopekey:"), sck_buf_str(&label));
        EXPECT_OK(sck_label_parse((const char *)label.data, label.len, &scope, name, &err));
        assert_memory_equal(&scope, &uri.scope, sizeof scope);
        assert_string_equal(name, uri.name);
        sck_buf_clear(&label);
        sck_buf_clear(&text);
    }
}

/* Two different (scope, key) pairs never share a label or a URI: sort the texts and compare neighbours. */
struct named {
    char *text;
    struct sck_scope scope;
    char name[SCK_KEY_NAME_MAX + 1];
};

static int
by_text(const void *a, const void *b)
{
    return strcmp(((const struct named *)a)->text, ((const struct named *)b)->text);
}

static void
different_keys_have_different_labels(void **state)
{
    (void)state;
    enum { N = 30000 };
    struct prop p;
    prop_init(&p, "label collisions");
    struct named *all = calloc(N, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < N; i++) {
        struct sck_uri uri;
        struct sck_buf label;
        random_uri(&p, &uri);
        sck_buf_init(&label, SCK_LABEL_MAX);
        sck_label_format(&uri.scope, uri.name, &label);
        all[i].text = strdup(sck_buf_str(&label));
        all[i].scope = uri.scope;
        memcpy(all[i].name, uri.name, sizeof uri.name);
        sck_buf_clear(&label);
    }
    qsort(all, N, sizeof *all, by_text);
    for (size_t i = 1; i < N; i++) {
        bool same = sck_scope_equal(&all[i - 1].scope, &all[i].scope) && strcmp(all[i - 1].name, all[i].name) == 0;
        assert_int_equal(strcmp(all[i - 1].text, all[i].text) == 0, same);
    }
    for (size_t i = 0; i < N; i++)
        free(all[i].text);
    free(all);
}

static void
documented_examples(void **state)
{
    (void)state;
    struct sck_uri uri;
    const char *text = "scopekey:subject/alice/tls?version=2&type=private";
    EXPECT_OK(sck_uri_parse(text, strlen(text), &uri, &err));
    assert_int_equal(uri.scope.kind, SCK_SCOPE_SUBJECT);
    assert_string_equal(uri.scope.id, "alice");
    assert_string_equal(uri.name, "tls");
    assert_int_equal(uri.version, 2);
    assert_int_equal(uri.type, SCK_TYPE_PRIVATE);
    assert_string_equal(uri.pin_source, "");
    text = "SCOPEKEY:subject/alice%40example.com?pin-source=file:/etc/scopekey/pin%20one&type=cert";
    EXPECT_OK(sck_uri_parse(text, strlen(text), &uri, &err));
    assert_string_equal(uri.scope.id, "alice@example.com");
    assert_string_equal(uri.name, "");
    assert_int_equal(uri.version, 0);
    assert_int_equal(uri.type, SCK_TYPE_CERT);
    assert_string_equal(uri.pin_source, "file:/etc/scopekey/pin one");
    struct sck_buf back;
    sck_buf_init(&back, 256);
    sck_uri_format(&uri, &back);
    assert_string_equal(sck_buf_str(&back),
                        "scopekey:subject/alice%40example.com?type=cert&pin-source=file:/etc/scopekey/pin%20one");
    sck_buf_clear(&back);
    EXPECT_OK(parse("scopekey:subject/alice/tls?version=4294967295", &err));
    EXPECT_OK(parse("scopekey:subject/alice/tls?pin-source=%2Fpin", &err));
    assert_true(sck_uri_has_scheme("ScopeKey:x"));
    assert_false(sck_uri_has_scheme("scopekey"));
    assert_false(sck_uri_has_scheme("pkcs11:token=x"));
}

static void
bad_paths_are_refused(void **state)
{
    (void)state;
    static const char no_kind[] =
        "key URI: scope: it does not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"";
    static const char bad_name[] =
        "key URI: a key name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit";
    EXPECT_FAIL(parse("", &err), SCK_E_USAGE, "key URI: it does not begin with \"scopekey:\"");
    EXPECT_FAIL(parse("pkcs11:object=x", &err), SCK_E_USAGE, "key URI: it does not begin with \"scopekey:\"");
    EXPECT_FAIL(parse("scopekey:", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("scopekey:?type=public", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("scopekey://subject/alice", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("scopekey:../subject/alice", &err), SCK_E_USAGE, no_kind);
    EXPECT_FAIL(parse("scopekey:subject//tls", &err), SCK_E_USAGE, "key URI: scope: the id is empty");
    EXPECT_FAIL(parse("scopekey:subject/../tls", &err), SCK_E_USAGE,
                "key URI: scope: the id may not be \".\" or \"..\"");
    EXPECT_FAIL(parse("scopekey:subject/alice/..", &err), SCK_E_USAGE, bad_name);
    EXPECT_FAIL(parse("scopekey:subject/alice/-x", &err), SCK_E_USAGE, bad_name);
    EXPECT_FAIL(parse("scopekey:subject/alice/t%2Fls", &err), SCK_E_USAGE, bad_name);
    EXPECT_FAIL(parse("scopekey:subject/alice/t~", &err), SCK_E_USAGE, bad_name);
    EXPECT_FAIL(
        parse("scopekey:subject/alice/a2345678901234567890123456789012345678901234567890123456789012345", &err),
        SCK_E_USAGE, bad_name);
    EXPECT_OK(parse("scopekey:subject/alice/a234567890123456789012345678901234567890123456789012345678901234", &err));
    EXPECT_FAIL(parse("scopekey:subject/alice/", &err), SCK_E_USAGE,
                "key URI: the key name is empty: leave out the last \"/\" to name the scope");
    EXPECT_FAIL(parse("scopekey:subject/alice/tls/x", &err), SCK_E_USAGE,
                "key URI: the path has more than three parts: inside an id \"/\" is written %2F");
    EXPECT_FAIL(parse("scopekey:subject/alice;version=2", &err), SCK_E_USAGE,
                "key URI: \";\" has no meaning: attributes follow \"?\", with \"&\" between them");
    EXPECT_FAIL(parse("scopekey:subject/alice#x", &err), SCK_E_USAGE,
                "key URI: scope: the id: byte 6 must be written %23");
    EXPECT_FAIL(parse("scopekey:subject/al\x01ice/x", &err), SCK_E_USAGE,
                "key URI: scope: the id: byte 3 must be written %01");
    struct sck_uri uri;
    EXPECT_FAIL(sck_uri_parse("scopekey:subject/a\0/tls", 23, &uri, &err), SCK_E_USAGE,
                "key URI: scope: the id: byte 2 must be written %00");
    EXPECT_FAIL(sck_uri_parse("scopekey:subject/a/t\0s", 22, &uri, &err), SCK_E_USAGE, bad_name);
    char text[17 + 256 + 1] = "scopekey:subject/";
    memset(text + 17, 'a', 256);
    EXPECT_FAIL(parse(text, &err), SCK_E_USAGE, "key URI: scope: the id has more than 255 bytes");
}

static void
bad_queries_are_refused(void **state)
{
    (void)state;
    static const char version[] = "key URI: version is a number from 1 to 4294967295 without leading zeros";
    static const char *const numbers[] = {
        "0", "00", "01", "1e1", "-1", "+1", " 1", "1 ", "4294967296", "0x1", "18446744073709551617"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char text[80];
        (void)snprintf(text, sizeof text, "scopekey:subject/alice/tls?version=%s", numbers[i]);
        EXPECT_FAIL(parse(text, &err), SCK_E_USAGE, version);
    }
#define REFUSED(query, message) EXPECT_FAIL(parse("scopekey:subject/a/k?" query, &err), SCK_E_USAGE, message)
    REFUSED("version=", "key URI: attribute version has no value");
    REFUSED("version", "key URI: attribute version has no value");
    REFUSED("type=", "key URI: attribute type has no value");
    REFUSED("type=Private", "key URI: type is private, public, cert or secret");
    REFUSED("type=data", "key URI: type is private, public, cert or secret");
    REFUSED("version=1&version=1", "key URI: attribute version is given twice");
    REFUSED("type=cert&version=1&type=cert", "key URI: attribute type is given twice");
    REFUSED("", "key URI: an attribute is empty: write NAME=VALUE after \"?\" and \"&\"");
    REFUSED("version=1&", "key URI: an attribute is empty: write NAME=VALUE after \"?\" and \"&\"");
    REFUSED("&version=1", "key URI: an attribute is empty: write NAME=VALUE after \"?\" and \"&\"");
    REFUSED("object=x", "key URI: unknown attribute \"object\": there are version, type and pin-source");
    REFUSED("Version=1", "key URI: unknown attribute \"Version\": there are version, type and pin-source");
    REFUSED("=1", "key URI: unknown attribute \"\": there are version, type and pin-source");
    REFUSED("a\n\"=1", "key URI: unknown attribute \"a\\x0a\\x22\": there are version, type and pin-source");
    REFUSED("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1",
            "key URI: unknown attribute \"aaaaaaaaaaaaaaaaaaaaaaaa\": there are version, type and pin-source");
    REFUSED("version=1;type=cert", "key URI: \";\" has no meaning: attributes follow \"?\", with \"&\" between them");
    REFUSED("version=1?type=cert", version);
    REFUSED("pin-source=a b", "key URI: pin-source: byte 2 must be written %20");
    REFUSED("pin-source=%61", "key URI: pin-source: byte 1: this character is written as it is, not escaped");
    REFUSED("pin-source=%2f", "key URI: pin-source: byte 1: hex digits are written in upper case");
    REFUSED("pin-source=%00", "key URI: pin-source is not UTF-8 without control characters");
    REFUSED("pin-source=%FF", "key URI: pin-source is not UTF-8 without control characters");
#undef REFUSED
    EXPECT_FAIL(parse("scopekey:subject/alice?version=1", &err), SCK_E_USAGE,
                "key URI: version is an attribute of a key, and the path names a whole scope");
    char text[32 + 1024 + 1] = "scopekey:subject/a?pin-source=";
    size_t at = strlen(text);
    memset(text + at, 'a', 1024);
    text[at + 1024] = '\0';
    EXPECT_FAIL(parse(text, &err), SCK_E_USAGE, "key URI: pin-source has more than 1023 bytes");
    text[at + 1023] = '\0';
    EXPECT_OK(parse(text, &err));
}

static void
failure_leaves_nothing(void **state)
{
    (void)state;
    struct sck_uri uri;
    struct sck_uri zero;
    memset(&uri, 0xAA, sizeof uri);
    memset(&zero, 0, sizeof zero);
    assert_int_equal(sck_uri_parse("scopekey:subject/a/k?version=2&x=1", 34, &uri, NULL), SCK_E_USAGE);
    assert_memory_equal(&uri, &zero, sizeof uri);
}

static void
bad_labels_are_refused(void **state)
{
    (void)state;
    struct sck_scope scope;
    char name[SCK_KEY_NAME_MAX + 1];
#define REFUSED(text, message)                                                                                       \
    EXPECT_FAIL(sck_label_parse(text, sizeof(text) - 1, &scope, name, &err), SCK_E_USAGE, message)
    REFUSED("", "label: scope: it does not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"");
    REFUSED("my key", "label: scope: it does not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"");
    REFUSED("scopekey:subject/alice/tls",
            "label: scope: it does not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"");
    REFUSED("subject/alice", "label: it names a scope, not a key: add \"/NAME\"");
    REFUSED("subject/alice/tls?version=1",
            "label: a key name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit");
    REFUSED("subject/alice/tls\0",
            "label: a key name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit");
#undef REFUSED
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_and_parse_are_inverse),
        cmocka_unit_test(label_format_and_parse_are_inverse),
        cmocka_unit_test(different_keys_have_different_labels),
        cmocka_unit_test(documented_examples),
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(bad_queries_are_refused),
        cmocka_unit_test(failure_leaves_nothing),
        cmocka_unit_test(bad_labels_are_refused),
    };
    return cmocka_run_group_tests_name("core/uri", tests, NULL, NULL);
}
