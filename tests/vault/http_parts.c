/* SPDX-License-Identifier: MIT */
/* The pure parts of keeper `vault`: the JSON reader beside jansson, the table of answers row by row, waits, names. */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"
#include "vault/http/json.h"
#include "vault/http/retry.h"
#include "vault/http/status.h"
#include "vault/http/transit.h"
#include "vault/http/url.h"

#include <jansson.h>

#define ALL_OPS (0x1FFFU | SCK_OP_ROTATE | SCK_OP_TRIM)
#define ALL_BUT(op) (ALL_OPS & ~(unsigned)(op))

static struct sck_json
parse(const char *text)
{
    return sck_json_parse(text, strlen(text));
}

static void
json_reads_what_is_well_formed(void **state)
{
    (void)state;
    char text[64];
    uint64_t number = 0;
    struct sck_json v = parse(" {\"a\": {\"b\": [1, \"x\\n\\t\\u0041\\u00e9\\u0000\", true, false, null, {}]}, \"n\": 42}\n");
    struct sck_json list = sck_json_get(sck_json_get(v, "a"), "b");
    assert_int_equal(v.kind, SCK_JSON_OBJECT);
    assert_int_equal(list.kind, SCK_JSON_ARRAY);
    assert_int_equal(sck_json_item(list, 0).kind, SCK_JSON_NUMBER);
    assert_true(sck_json_text(sck_json_item(list, 1), text, sizeof text));
    assert_string_equal(text, "x\n\tA??");
    assert_true(sck_json_text(sck_json_item(list, 1), text, 3));
    assert_string_equal(text, "x\n");
    assert_int_equal(sck_json_item(list, 2).kind, SCK_JSON_TRUE);
    assert_int_equal(sck_json_item(list, 3).kind, SCK_JSON_FALSE);
    assert_int_equal(sck_json_item(list, 4).kind, SCK_JSON_NULL);
    assert_int_equal(sck_json_item(list, 5).kind, SCK_JSON_OBJECT);
    assert_int_equal(sck_json_item(list, 6).kind, SCK_JSON_NONE);
    assert_int_equal(sck_json_get(sck_json_item(list, 5), "x").kind, SCK_JSON_NONE);
    assert_int_equal(sck_json_get(list, "x").kind, SCK_JSON_NONE);
    assert_int_equal(sck_json_item(v, 0).kind, SCK_JSON_NONE);
    assert_true(sck_json_u64(sck_json_get(v, "n"), 42, &number));
    assert_int_equal(number, 42);
    assert_false(sck_json_u64(sck_json_get(v, "n"), 41, &number));
    assert_false(sck_json_text(sck_json_get(v, "n"), text, sizeof text));
    assert_string_equal(text, "");
    assert_false(sck_json_u64(parse("1.0"), 10, &number));
    assert_false(sck_json_u64(parse("-1"), 10, &number));
    assert_false(sck_json_u64(parse("\"1\""), 10, &number));
    assert_true(sck_json_is(parse("\"abc\""), "abc"));
    assert_false(sck_json_is(parse("\"abc\""), "ab"));
    assert_false(sck_json_is(parse("\"\\u0061bc\""), "abc"));
}

/* A name that comes twice has no value that everyone agrees on. */
static void
json_gives_nothing_for_a_name_that_comes_twice(void **state)
{
    (void)state;
    assert_int_equal(sck_json_get(parse("{\"a\":1,\"b\":2,\"a\":1}"), "a").kind, SCK_JSON_NONE);
    assert_int_equal(sck_json_get(parse("{\"a\":1,\"b\":2,\"a\":1}"), "b").kind, SCK_JSON_NUMBER);
    assert_int_equal(sck_json_get(parse("{\"\\u0061\":1}"), "a").kind, SCK_JSON_NONE);
}

static void
json_refuses_what_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " ", "{", "}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}",
        "\"", "\"a", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "01", "-", "1.", ".1", "1e", "1e+", "+1",
        "tru", "truex", "nul", "True", "1 2", "{} {}", "[1 2]", "{\"a\" 1}", "'a'", "//x", "\xEF\xBB\xBF{}", "[1]x",
    };
    char deep[80];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i]).kind != SCK_JSON_NONE)
            fail_msg("taken: %s", bad[i]);
    }
    memset(deep, '[', 40);
    memset(deep + 40, ']', 40);
    assert_int_equal(sck_json_parse(deep + 40 - SCK_JSON_DEPTH_MAX, 2 * SCK_JSON_DEPTH_MAX).kind, SCK_JSON_ARRAY);
    assert_int_equal(sck_json_parse(deep + 39 - SCK_JSON_DEPTH_MAX, 2 * SCK_JSON_DEPTH_MAX + 2).kind, SCK_JSON_NONE);
}

/* Every text that is one change away from an answer: we take it exactly when jansson does. */
static void
json_agrees_with_jansson(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        "{\"request_id\":\"65978fde\",\"data\":{\"ciphertext\":\"vault:v1:AAAA+/==\",\"key_version\":1,\"keys\":{\"1\":17953}},"
        "\"wrap_info\":null,\"warnings\":[\"a\\n\\t\\\"b\\u0041\"],\"renewable\":false,\"x\":-1.5e+10}",
        "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}",
        "[[],{},\"\",0,-0,0.1,1e9,true,false,null,[[[{\"a\":[1]}]]]]",
    };
    static const char splice[] = "{}[]\",:\\0123456789.-+eEtfnu \n/a";
    struct prop p;
    size_t taken = 0, refused = 0;
    prop_init(&p, "json_agrees_with_jansson");
    for (int i = 0; i < 60000; i++) {
        char text[512];
        size_t len = strlen(seeds[i % 3]);
        memcpy(text, seeds[i % 3], len);
        for (uint32_t n = 1 + prop_below(&p, 2); n > 0; n--) {
            size_t at = prop_below(&p, (uint32_t)len);
            char ch = splice[prop_below(&p, sizeof splice - 1)];
            if (prop_below(&p, 3) == 0) {
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
            } else if (prop_below(&p, 2) == 0) {
                memmove(text + at + 1, text + at, len - at);
                text[at] = ch;
                len++;
            } else {
                text[at] = ch;
            }
        }
        json_error_t why;
        json_t *theirs = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
        /* Numbers too large for its types are well-formed all the same. */
        if (theirs == NULL && json_error_code(&why) == json_error_numeric_overflow)
            continue;
        bool ours = sck_json_parse(text, len).kind != SCK_JSON_NONE;
        if (ours != (theirs != NULL))
            fail_msg("ours %d, jansson %d: %.*s", ours, theirs != NULL, (int)len, text);
        *(ours ? &taken : &refused) += 1;
        json_decref(theirs);
    }
    assert_true(taken > 5000);
    assert_true(refused > 5000);
}

/* One answer and what it must mean.  `text` as in sck_triage(). */
struct answer {
    enum sck_net net;
    long status;
    unsigned ops;
    const char *text;
    enum sck_action action;
    enum sck_verdict verdict;
    enum sck_code code;
    const char *outcome;
};
#define DENIED "1 error occurred:\n\t* permission denied\n\n"
#define HTTP SCK_NET_ANSWER

static const struct answer answers[] = {
    {SCK_NET_CONNECT, 0, ALL_OPS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unreachable"},
    {SCK_NET_TIMEOUT, 0, ALL_OPS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout"},
    {SCK_NET_TIMEOUT, 200, ALL_OPS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout"},
    {SCK_NET_BROKEN, 200, ALL_OPS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "broken"},
    {SCK_NET_CERTIFICATE, 0, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "untrusted"},
    {SCK_NET_TLS, 0, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "no_tls"},
    {SCK_NET_OVERSIZE, 200, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "oversize"},
    {SCK_NET_SETUP, 0, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "setup"},

    {HTTP, 200, ALL_OPS, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok"},
    {HTTP, 204, ALL_OPS, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok"},
    {HTTP, 301, ALL_BUT(SCK_OP_HEALTH), NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "redirect"},
    {HTTP, 307, ALL_BUT(SCK_OP_HEALTH), NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "redirect"},

    {HTTP, 400, SCK_OP_ENCRYPT | SCK_OP_DECRYPT | SCK_OP_REWRAP, "encryption key not found", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing"},
    {HTTP, 400, SCK_OP_READ | SCK_OP_CREATE | SCK_OP_DELETE, "encryption key not found", SCK_ACT_STOP,
     SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 400, SCK_OP_CONFIG, "no existing key named sk--a could be found", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing"},
    {HTTP, 400, SCK_OP_ROTATE, "key not found", SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing"},
    {HTTP, 400, SCK_OP_TRIM, "invalid key name", SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing"},
    {HTTP, 400, SCK_OP_DELETE, "error deleting policy sk--a: could not delete key; not found", SCK_ACT_STOP,
     SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing"},
    {HTTP, 400, SCK_OP_DELETE, "error deleting policy sk--a: deletion is not allowed for this key", SCK_ACT_STOP,
     SCK_SAYS_UNDELETABLE, SCK_E_STATE, "undeletable"},
    {HTTP, 400, ALL_OPS, "refusing to use soft-deleted key", SCK_ACT_STOP, SCK_SAYS_SOFT_DELETED, SCK_E_STATE,
     "soft_deleted"},
    {HTTP, 400, SCK_OP_DECRYPT | SCK_OP_REWRAP, "cipher: message authentication failed", SCK_ACT_STOP, SCK_SAYS_ALTERED,
     SCK_E_AUTHENTIC, "altered"},
    {HTTP, 400, SCK_OP_DECRYPT | SCK_OP_REWRAP, "ciphertext or signature version is disallowed by policy (too old)", SCK_ACT_STOP,
     SCK_SAYS_TOO_OLD, SCK_E_STATE, "too_old"},
    {HTTP, 400, SCK_OP_DECRYPT | SCK_OP_REWRAP, "invalid ciphertext: no prefix", SCK_ACT_STOP, SCK_SAYS_ALTERED, SCK_E_AUTHENTIC,
     "altered"},
    {HTTP, 400, SCK_OP_DECRYPT | SCK_OP_REWRAP, "invalid ciphertext: version is too new", SCK_ACT_STOP, SCK_SAYS_ALTERED,
     SCK_E_AUTHENTIC, "altered"},
    {HTTP, 400, SCK_OP_DECRYPT | SCK_OP_REWRAP, "invalid ciphertext length", SCK_ACT_STOP, SCK_SAYS_ALTERED, SCK_E_AUTHENTIC,
     "altered"},
    {HTTP, 400, SCK_OP_ENCRYPT, "requested version for encryption is less than the minimum encryption key version",
     SCK_ACT_STOP, SCK_SAYS_TOO_OLD, SCK_E_STATE, "too_old"},
    {HTTP, 400, ALL_OPS, "refused JSON input due to high complexity: exceeded maximum number of strings", SCK_ACT_STOP,
     SCK_SAYS_TOO_LARGE, SCK_E_CONFIG, "complexity"},
    {HTTP, 400, ALL_OPS, "missing plaintext to encrypt", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 400, SCK_OP_ENCRYPT | SCK_OP_DECRYPT | SCK_OP_REWRAP, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG,
     "partial"},
    {HTTP, 400, ALL_BUT(SCK_OP_HEALTH | SCK_OP_ENCRYPT | SCK_OP_DECRYPT | SCK_OP_REWRAP), NULL, SCK_ACT_STOP,
     SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},

    {HTTP, 403, ALL_OPS, "permission denied", SCK_ACT_TOKEN, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "bad_token"},
    {HTTP, 403, ALL_OPS, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n", SCK_ACT_TOKEN,
     SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "bad_token"},
    {HTTP, 403, ALL_OPS, DENIED, SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},
    {HTTP, 403, SCK_OP_MOUNT, "preflight capability check returned 403, please ensure …", SCK_ACT_STOP,
     SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},
    {HTTP, 403, ALL_BUT(SCK_OP_LOOKUP), "no", SCK_ACT_LOOKUP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},
    {HTTP, 401, ALL_BUT(SCK_OP_LOOKUP), "no", SCK_ACT_LOOKUP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},
    {HTTP, 403, SCK_OP_LOOKUP, "no", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},

    {HTTP, 403, SCK_OP_LOGIN, "permission denied", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CREDENTIAL, "no_login"},
    {HTTP, 403, SCK_OP_LOGIN, DENIED, SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused"},
    {HTTP, 400, SCK_OP_LOGIN, "invalid role or secret ID", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused"},
    {HTTP, 400, SCK_OP_LOGIN, "could not load configuration", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused"},
    {HTTP, 500, SCK_OP_LOGIN, "failed to verify client's certificate: x509: certificate has expired", SCK_ACT_STOP,
     SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused"},
    {HTTP, 500, SCK_OP_LOGIN, "missing role_id", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused"},
    {HTTP, 500, SCK_OP_LOGIN, "internal error", SCK_ACT_RETRY_ONCE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error"},
    {HTTP, 503, SCK_OP_LOGIN | SCK_OP_RENEW, "Vault is sealed", SCK_ACT_SEALED, SCK_SAYS_SEALED, SCK_E_CONNECT, "sealed"},
    {HTTP, 400, SCK_OP_RENEW, "lease is not renewable", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_STATE, "not_renewable"},
    {HTTP, 403, SCK_OP_RENEW | SCK_OP_REVOKE, "permission denied", SCK_ACT_TOKEN, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL,
     "bad_token"},
    {HTTP, 403, SCK_OP_RENEW | SCK_OP_REVOKE, DENIED, SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},
    {HTTP, 400, SCK_OP_WRAPPING, "wrapping token is not valid or does not exist", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_CREDENTIAL, "spent"},
    {HTTP, 403, SCK_OP_WRAPPING, "permission denied", SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_CREDENTIAL, "spent"},
    {HTTP, 400, SCK_OP_WRAPPING, "no", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},

    {HTTP, 404, SCK_OP_READ, "", SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing"},
    {HTTP, 404, ALL_BUT(SCK_OP_READ), "", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},
    {HTTP, 404, SCK_OP_READ | SCK_OP_DECRYPT, NULL, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},
    {HTTP, 404, ALL_OPS, "encryption key not found", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},
    {HTTP, 404, ALL_OPS, "1 error occurred:\n\t* unsupported path\n\n", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG,
     "no_path"},
    {HTTP, 404, ALL_OPS, "no handler for route \"x/keys/a\". route entry not found.", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT,
     SCK_E_CONFIG, "no_mount"},
    {HTTP, 404, ALL_OPS, "namespace not found", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_namespace"},
    {HTTP, 405, ALL_OPS, "", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},

    {HTTP, 412, ALL_OPS, "required index state not present", SCK_ACT_RETRY_SHORT, SCK_SAYS_NOTHING, SCK_E_CONNECT,
     "stale"},
    {HTTP, 413, ALL_OPS, "http: request body too large", SCK_ACT_STOP, SCK_SAYS_TOO_LARGE, SCK_E_CONFIG, "complexity"},
    {HTTP, 429, ALL_OPS, "request path \"x\": rate limit quota exceeded", SCK_ACT_EASE, SCK_SAYS_NOTHING,
     SCK_E_CONNECT, "quota"},
    {HTTP, 429, SCK_OP_HEALTH, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok"},
    {HTTP, 472, ALL_OPS, "", SCK_ACT_ELSEWHERE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "wrong_node"},
    {HTTP, 473, ALL_OPS, "", SCK_ACT_ELSEWHERE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "wrong_node"},
    {HTTP, 503, SCK_OP_HEALTH, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok"},
    {HTTP, 418, ALL_OPS, "tea", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},

    {HTTP, 500, ALL_OPS, "unable to get associated_data/additional_data from factory[0]: illegal base64 data",
     SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 500, ALL_OPS, "failed to parse batch input: '[1].plaintext' missing plaintext to encrypt", SCK_ACT_STOP,
     SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 500, ALL_OPS, "put failed due to key being too large", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG,
     "refused"},
    {HTTP, 500, ALL_OPS, "refusing to use soft-deleted key", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 500, ALL_OPS, "failed to RSA decrypt the ciphertext", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG,
     "refused"},
    {HTTP, 500, ALL_OPS, "failed to verify client's certificate: x509", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG,
     "refused"},
    {HTTP, 500, ALL_OPS, "invalid key size for HMAC key", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 500, ALL_OPS, "the import path cannot be used with an existing key; …", SCK_ACT_STOP, SCK_SAYS_MALFORMED,
     SCK_E_CONFIG, "refused"},
    {HTTP, 500, ALL_OPS, "local node not active but active cluster node not found", SCK_ACT_RETRY, SCK_SAYS_NOTHING,
     SCK_E_CONNECT, "failover"},
    {HTTP, 500, ALL_OPS, "disk on fire", SCK_ACT_RETRY_ONCE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error"},
    {HTTP, 501, ALL_OPS, "no", SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "unsupported"},
    {HTTP, 503, ALL_OPS, "Vault is sealed", SCK_ACT_SEALED, SCK_SAYS_SEALED, SCK_E_CONNECT, "sealed"},
    {HTTP, 503, ALL_OPS, "namespace is sealed", SCK_ACT_SEALED, SCK_SAYS_SEALED, SCK_E_CONNECT, "sealed"},
    {HTTP, 502, ALL_BUT(SCK_OP_HEALTH), NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable"},
    {HTTP, 503, ALL_OPS, "overloaded", SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable"},
    {HTTP, 504, ALL_OPS, "", SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable"},
    {HTTP, 599, ALL_OPS, "", SCK_ACT_RETRY_ONCE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error"},
    {HTTP, 100, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange"},
    {HTTP, 0, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange"},
    {HTTP, 999, ALL_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange"},
};

static void
each_answer_means_what_it_must(void **state)
{
    (void)state;
    size_t count = 0;
    const struct sck_triage *rows = sck_vault_triage_rows(&count);
    bool used[128] = {false};
    assert_true(count < 128);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer *a = &answers[i];
        for (unsigned op = 1; op <= SCK_OP_WRAPPING; op <<= 1) {
            if ((a->ops & op) == 0)
                continue;
            const struct sck_triage *row = sck_vault_triage(a->net, a->status, op, a->text);
            used[row - rows] = true;
            if (row->action != a->action || row->verdict != a->verdict || row->code != a->code ||
                strcmp(row->outcome, a->outcome) != 0)
                fail_msg("answer %zu (%ld %s) to %s: got %s", i, a->status, a->text != NULL ? a->text : "-",
                         sck_vault_op_name(op), row->outcome);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!used[i])
            fail_msg("no answer above meets row %zu (%s, %s)", i, rows[i].outcome, rows[i].text);
        /* Only a good answer has no code, and each bad one says what to do. */
        assert_true((rows[i].code == SCK_OK) == (rows[i].action == SCK_ACT_DONE));
        assert_true((rows[i].code == SCK_OK) == (rows[i].message[0] == '\0'));
    }
}

static void
waits_double_with_jitter_up_to_five_seconds(void **state)
{
    (void)state;
    static const struct { unsigned retry; int64_t low, high; } waits[] = {
        {1, 75, 124}, {2, 150, 249}, {3, 300, 499}, {4, 600, 999}, {5, 1200, 1999}, {6, 2400, 3999}, {7, 4800, 5000},
        {8, 5000, 5000}, {40, 5000, 5000}, {4000000000U, 5000, 5000},
    };
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        assert_int_equal(sck_retry_delay_ms(100, waits[i].retry, 0, false, 0), waits[i].low);
        assert_int_equal(sck_retry_delay_ms(100, waits[i].retry, UINT32_MAX, false, 0), waits[i].high);
    }
    assert_int_equal(sck_retry_delay_ms(100, 1, 0x80000000U, false, 0), 100);
    assert_int_equal(sck_retry_delay_ms(100, 3, 0, true, 0), 0);
    assert_int_equal(sck_retry_delay_ms(100, 3, UINT32_MAX, true, 0), 399);
    assert_int_equal(sck_retry_delay_ms(100, 3, 0, true, 70), 70);
    assert_int_equal(sck_retry_delay_ms(100, 40, UINT32_MAX, true, 0), 5000);
    /* Retry-After lengthens, beyond the cap too, and never shortens. */
    assert_int_equal(sck_retry_delay_ms(100, 1, 0, false, 1000), 1000);
    assert_int_equal(sck_retry_delay_ms(100, 4, UINT32_MAX, false, 500), 999);
    assert_int_equal(sck_retry_delay_ms(100, 1, 0, false, 60000), 60000);
    assert_int_equal(sck_retry_delay_short_ms(10, 1, 0), 50);
    assert_int_equal(sck_retry_delay_short_ms(100, 2, 0), 150);
    assert_int_equal(sck_retry_delay_short_ms(100, 9, 0), 500);
}

static void
the_budget_is_ten_and_a_tenth_a_call(void **state)
{
    (void)state;
    struct sck_retry_budget b;
    sck_retry_budget_init(&b);
    for (int i = 0; i < 50; i++)
        sck_retry_budget_earn(&b);
    for (int i = 0; i < 10; i++)
        assert_true(sck_retry_budget_spend(&b));
    assert_false(sck_retry_budget_spend(&b));
    for (int i = 0; i < 9; i++)
        sck_retry_budget_earn(&b);
    assert_false(sck_retry_budget_spend(&b));
    sck_retry_budget_earn(&b);
    assert_true(sck_retry_budget_spend(&b));
    assert_false(sck_retry_budget_spend(&b));
}

static void
namespaces_may_end_in_a_slash(void **state)
{
    (void)state;
    char long_one[300];
    memset(long_one, 'a', sizeof long_one);
    long_one[256] = '\0';
    assert_false(sck_vault_namespace_is_legal(long_one));
    long_one[255] = '\0';
    assert_true(sck_vault_namespace_is_legal(long_one));
    assert_true(sck_vault_namespace_is_legal(""));
    assert_true(sck_vault_namespace_is_legal("a/b_c-D9/"));
    assert_false(sck_vault_namespace_is_legal("/"));
    assert_false(sck_vault_namespace_is_legal("a//"));
    assert_false(sck_vault_namespace_is_legal("/a"));
    assert_false(sck_vault_namespace_is_legal("a\nb"));
    assert_false(sck_vault_namespace_is_legal(".."));
}

static void
urls_lose_nothing_but_the_slash(void **state)
{
    (void)state;
    char out[SCK_VAULT_URL_MAX], host[260] = "https://";
    EXPECT_OK(sck_vault_url_parse("https://Vault.example:8200/", false, out, &err));
    assert_string_equal(out, "https://Vault.example:8200");
    EXPECT_OK(sck_vault_url_parse("http://[::1]:8200", true, out, &err));
    assert_string_equal(out, "http://[::1]:8200");
    EXPECT_OK(sck_vault_url_parse("http://127.1", true, out, &err));
    assert_string_equal(out, "http://127.0.0.1");
    memset(host + 8, 'a', 248);
    EXPECT_FAIL(sck_vault_url_parse(host, false, out, &err), SCK_E_CONFIG,
                "keeper vault: url is malformed: write https://host:port");
    EXPECT_FAIL(sck_vault_url_parse("http://127.0.0.1\n.example", true, out, &err), SCK_E_CONFIG,
                "keeper vault: url is malformed: write https://host:port");
    EXPECT_FAIL(sck_vault_url_parse("http://[::2]:8200", true, out, &err), SCK_E_CONFIG,
                "keeper vault: http:// is for a server on this machine alone: use https://");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_reads_what_is_well_formed),
        cmocka_unit_test(json_gives_nothing_for_a_name_that_comes_twice),
        cmocka_unit_test(json_refuses_what_is_malformed),
        cmocka_unit_test(json_agrees_with_jansson),
        cmocka_unit_test(each_answer_means_what_it_must),
        cmocka_unit_test(waits_double_with_jitter_up_to_five_seconds),
        cmocka_unit_test(the_budget_is_ten_and_a_tenth_a_call),
        cmocka_unit_test(namespaces_may_end_in_a_slash),
        cmocka_unit_test(urls_lose_nothing_but_the_slash),
    };
    return cmocka_run_group_tests_name("vault/http_parts", tests, NULL, NULL);
}
