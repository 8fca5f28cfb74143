/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"

#include "rest/strict.h"

/* The verdict on a head given as "Name: value" lines; '\n' ends each. */
static const char *
head(const char *lines, const char *version)
{
    struct sck_strict seen = {0};
    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n");
        size_t name = strcspn(lines, ":");
        size_t value = name + 2 <= len ? len - name - 2 : 0;
        sck_strict_header(&seen, lines, name, value > 0 ? lines + name + 2 : NULL, value);
        lines += len + (lines[len] == '\n');
    }
    return sck_strict_head(&seen, version);
}

static void
takes_ordinary_heads(void **state)
{
    (void)state;
    assert_null(head("Host: a\n", "HTTP/1.1"));
    assert_null(head("", "HTTP/1.0"));
    assert_null(head("host: a\ncontent-length: 12\nContent-Type: application/json\nX-API-Key: k\n", "HTTP/1.1"));
    assert_null(head("Host: a\nTransfer-Encoding: chunked\n", "HTTP/1.1"));
    assert_null(head("Host: a\nX-Thing: tab\there\nAccept: */*\n", "HTTP/1.1"));
    assert_null(head("Host: a\nX-Thing: \xC3\xA4\nX-Empty:\n", "HTTP/1.1"));
}

static void
refuses_ambiguous_heads(void **state)
{
    static const struct {
        const char *lines;
        const char *version;
        const char *verdict;
    } bad[] = {
        {"Host: a\n", "HTTP/1.2", "Only HTTP/1.1 and HTTP/1.0 are spoken here"},
        {"Host: a\n", "HTTP/2.0", "Only HTTP/1.1 and HTTP/1.0 are spoken here"},
        {"Ho st: a\n", "HTTP/1.1", "A header name is malformed"},
        {"Host : a\n", "HTTP/1.1", "A header name is malformed"},
        {": a\n", "HTTP/1.1", "A header name is malformed"},
        {"H\x01: a\n", "HTTP/1.1", "A header name is malformed"},
        {"H\xC3\xA4: a\n", "HTTP/1.1", "A header name is malformed"},
        {"X: a\x01z\n", "HTTP/1.1", "A header value has control characters"},
        {"X: a\rz\n", "HTTP/1.1", "A header value has control characters"},
        {"X: a\x7Fz\n", "HTTP/1.1", "A header value has control characters"},
        {"Host: a\nHOST: a\n", "HTTP/1.1", "There is more than one Host"},
        {"Content-Length: 5\ncontent-length: 5\n", "HTTP/1.1", "There is more than one Content-Length"},
        {"Content-Length: 5, 5\n", "HTTP/1.1", "Content-Length is malformed"},
        {"Content-Length: +5\n", "HTTP/1.1", "Content-Length is malformed"},
        {"Content-Length: -5\n", "HTTP/1.1", "Content-Length is malformed"},
        {"Content-Length: 0x5\n", "HTTP/1.1", "Content-Length is malformed"},
        {"Content-Length:\n", "HTTP/1.1", "Content-Length is malformed"},
        {"Content-Length: 1000000000000000000\n", "HTTP/1.1", "Content-Length is malformed"},
        {"Content-Length: 5\nTransfer-Encoding: chunked\n", "HTTP/1.1",
         "There are both Content-Length and Transfer-Encoding"},
        {"Transfer-Encoding: Chunked\n", "HTTP/1.1", "Transfer-Encoding is not chunked"},
        {"Transfer-Encoding: gzip, chunked\n", "HTTP/1.1", "Transfer-Encoding is not chunked"},
        {"Transfer-Encoding: chunked \n", "HTTP/1.1", "Transfer-Encoding is not chunked"},
        {"Transfer-Encoding: identity\n", "HTTP/1.1", "Transfer-Encoding is not chunked"},
        {"Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", "HTTP/1.1", "Transfer-Encoding is not chunked"},
        {"Transfer-Encoding: chunked\n", "HTTP/1.0", "Transfer-Encoding is not chunked"},
        {"Content-Type: a/b\nContent-Type: a/b\n", "HTTP/1.1", "There is more than one Content-Type"},
        {"X-API-Key: a\nx-api-key: a\n", "HTTP/1.1", "There is more than one X-API-Key"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *verdict = head(bad[i].lines, bad[i].version);
        assert_non_null(verdict);
        assert_string_equal(verdict, bad[i].verdict);
    }
}

static void
knows_a_body(void **state)
{
    struct sck_strict seen = {0};
    (void)state;
    assert_false(sck_strict_has_body(&seen));
    sck_strict_header(&seen, "Content-Length", 14, "0", 1);
    assert_false(sck_strict_has_body(&seen));
    seen = (struct sck_strict){0};
    sck_strict_header(&seen, "Content-Length", 14, "999999999999999999", 18);
    assert_true(sck_strict_has_body(&seen));
    assert_true(seen.length == UINT64_C(999999999999999999));
    seen = (struct sck_strict){0};
    sck_strict_header(&seen, "Transfer-Encoding", 17, "chunked", 7);
    assert_true(sck_strict_has_body(&seen));
}

static void
judges_targets(void **state)
{
    static const struct {
        const char *target;
        const char *verdict;
    } cases[] = {
        {"/", NULL},
        {"/api/kms/encrypt", NULL},
        {"/a//b/", NULL},
        {"/a/%2F/%C3%A4", NULL},
        {"/.../.a/a.", NULL},
        {"*", "The request target must be a path"},
        {"", "The request target must be a path"},
        {"http://localhost/health", "The request target must be a path"},
        {"localhost:80", "The request target must be a path"},
        {"/a%", "The path has a malformed percent-encoding"},
        {"/a%2", "The path has a malformed percent-encoding"},
        {"/a%zz", "The path has a malformed percent-encoding"},
        {"/a%00", "The path has control characters"},
        {"/a%0a", "The path has control characters"},
        {"/a%7F", "The path has control characters"},
        {"/a\x01", "The path has characters that must be percent-encoded"},
        {"/a\\b", "The path has characters that must be percent-encoded"},
        {"/a#b", "The path has characters that must be percent-encoded"},
        {"/a b", "The path has characters that must be percent-encoded"},
        {"/a\xC3\xA4", "The path has characters that must be percent-encoded"},
        {"/./a", "The path has dot segments"},
        {"/a/..", "The path has dot segments"},
        {"/a/%2e%2E/b", "The path has dot segments"},
        {"/a/.%2e", "The path has dot segments"},
        {"/health?x=1", "The path takes no query"},
        {"/health?", "The path takes no query"},
        {"/..?x", "The path has dot segments"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *verdict = sck_strict_target(cases[i].target);
        assert_string_equal(verdict != NULL ? verdict : "fine", cases[i].verdict != NULL ? cases[i].verdict : "fine");
    }
}

static void
knows_json_types_and_request_ids(void **state)
{
    char id[66];
    (void)state;
    assert_true(sck_strict_is_json("application/json"));
    assert_true(sck_strict_is_json("Application/JSON; charset=utf-8"));
    assert_true(sck_strict_is_json("application/json ;charset=utf-8"));
    assert_false(sck_strict_is_json("application/jsonx"));
    assert_false(sck_strict_is_json("application/problem+json"));
    assert_false(sck_strict_is_json("text/json"));
    assert_false(sck_strict_is_json(""));
    assert_true(sck_strict_is_request_id("Az09._-"));
    assert_false(sck_strict_is_request_id(""));
    assert_false(sck_strict_is_request_id("a b"));
    assert_false(sck_strict_is_request_id("a\""));
    memset(id, 'a', sizeof id);
    id[64] = '\0';
    assert_true(sck_strict_is_request_id(id));
    id[64] = 'a';
    id[65] = '\0';
    assert_false(sck_strict_is_request_id(id));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_ordinary_heads), cmocka_unit_test(refuses_ambiguous_heads),
        cmocka_unit_test(knows_a_body),         cmocka_unit_test(judges_targets),
        cmocka_unit_test(knows_json_types_and_request_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
