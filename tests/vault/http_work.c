/* SPDX-License-Identifier: MIT */
/*
 * Keeper `vault` through outages and in batches, over a server that is a function and a clock that only sleeping moves:
 * the breaker, other nodes, stale connections, deadlines, and batches whose answers are odd.
 */
#include "lib/base/metric.h"
#include "tests/lib/expect.h"
#include "vault/http/keeper_vault.h"
#include "vault/http/timers.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SENT_MAX = 128 };

/* What the server does with a request. */
typedef void (*server_fn)(const struct sck_http_request *request, struct sck_http_reply *reply);

static struct {
    server_fn server;
    int64_t now_us;
    int64_t waits[SENT_MAX];
    size_t wait_count, sent;
    uint32_t random;
    char urls[SENT_MAX][128];
    bool fresh[SENT_MAX];
    size_t items[SENT_MAX];         /* in the request's batch */
    size_t limit;                   /* of items that the server takes */
    char dir[64], token[96];
} play;

static int64_t clock_s(void *arg) { (void)arg; return 1767225600 + play.now_us / 1000000; }
static int64_t clock_ms(void *arg) { return clock_s(arg) * 1000; }
static int64_t clock_us(void *arg) { (void)arg; return play.now_us; }

static void
clock_sleep(void *arg, int64_t ms)
{
    (void)arg;
    assert_true(play.wait_count < SENT_MAX);
    play.waits[play.wait_count++] = ms;
    play.now_us += ms * 1000;
}

static const struct sck_clock clock_played = {clock_s, clock_ms, clock_us, clock_sleep, NULL};
static uint32_t random_played(void *arg) { (void)arg; return play.random; }

static size_t
times(const char *text, size_t len, const char *word)
{
    size_t count = 0, word_len = strlen(word);
    for (size_t i = 0; i + word_len <= len; i++)
        count += memcmp(text + i, word, word_len) == 0;
    return count;
}

static void
exchange_played(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    const char *body = request->body != NULL ? (const char *)request->body->data : "";
    size_t len = request->body != NULL ? request->body->len : 0;
    (void)arg;
    assert_true(play.sent < SENT_MAX);
    (void)snprintf(play.urls[play.sent], sizeof play.urls[0], "%s", request->url);
    play.fresh[play.sent] = request->fresh;
    play.items[play.sent] = times(body, len, "\"plaintext\"") + times(body, len, "\"ciphertext\"");
    play.sent++;
    *reply = (struct sck_http_reply){.net = SCK_NET_ANSWER, .status = 200};
    play.server(request, reply);
}

static void
say(struct sck_http_reply *reply, long status, const char *body)
{
    reply->status = status;
    reply->body_len = strlen(body);
    if (reply->body_len > 0)
        assert_int_equal(sck_secret_from(body, reply->body_len, &reply->body, NULL), SCK_OK);
}

/* ---- servers ---- */

#define BLOB(version) "vault:v" version ":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define WRAPPED "{\"ciphertext\":\"" BLOB("1") "\",\"key_version\":1}"

static void
well(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 200, "{\"data\":" WRAPPED "}");
}

static void
out_of_reach(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    reply->net = SCK_NET_CONNECT;
    (void)snprintf(reply->detail, sizeof reply->detail, "refused");
}

static void
overloaded(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 503, "{\"errors\":[\"overloaded\"]}");
}

static void
sealed(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 503, "{\"errors\":[\"Vault is sealed\"]}");
}

/* The first node is a standby that does not serve, the second is down, the third serves. */
static void
third_node_only(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    if (strstr(request->url, "one") != NULL)
        say(reply, 473, "");
    else if (strstr(request->url, "two") != NULL)
        out_of_reach(request, reply);
    else
        well(request, reply);
}

/* Each connection that was there before is dead. */
static void
stale(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    if (request->fresh) {
        well(request, reply);
        return;
    }
    reply->net = SCK_NET_BROKEN;
    reply->reused = true;
}

static void
dead_every_time(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    reply->net = SCK_NET_BROKEN;
    reply->reused = true;
}

/* A batch: every third item is bad, and the status is that of an error. */
static void
every_third_bad(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    struct sck_buf text;
    size_t items = play.items[play.sent - 1];
    bool opens = strstr(request->url, "/decrypt/") != NULL;
    if (items > play.limit) {
        say(reply, 400, "{\"errors\":[\"refused JSON input due to high complexity: exceeded maximum number of strings\"]}");
        return;
    }
    if (items == 1) {
        well(request, reply);
        return;
    }
    sck_buf_init(&text, 1 << 20);
    sck_buf_put_str(&text, "{\"data\":{\"batch_results\":[");
    for (size_t i = 0; i < items; i++)
        sck_buf_printf(&text, "%s%s", i > 0 ? "," : "",
                       i % 3 == 2 ? "{\"plaintext\":\"\",\"error\":\"cipher: message authentication failed\",\"reference\":\"\"}"
                       : opens    ? "{\"plaintext\":\"BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
                                    "BBBBBBBBBBBBBBBBBB\",\"reference\":\"\"}"
                                  : WRAPPED);
    sck_buf_put_str(&text, "]}}");
    say(reply, 400, sck_buf_str(&text));
    sck_buf_clear(&text);
}

static void
one_result_short(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 200, "{\"data\":{\"batch_results\":[" WRAPPED "," WRAPPED "]}}");
}

static void
ignores_what_was_asked(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 200, "{\"data\":" WRAPPED ",\"warnings\":[\"Endpoint ignored these unrecognized parameters: [batch_input]\"]}");
}

static void
goes_backwards(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 200, "{\"data\":" WRAPPED "}");
}

/* ---- the keeper ---- */

static int
set_up(void **state)
{
    (void)state;
    (void)snprintf(play.dir, sizeof play.dir, "http_work.XXXXXX");
    if (mkdtemp(play.dir) == NULL)
        return -1;
    (void)snprintf(play.token, sizeof play.token, "%s/token", play.dir);
    FILE *f = fopen(play.token, "w");
    return f != NULL && fputs("data\n", f) >= 0 && fclose(f) == 0 && chmod(play.token, 0600) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    (void)unlink(play.token);
    return rmdir(play.dir);
}

static struct sck_keeper *
begin(server_fn server, const char *nodes)
{
    struct sck_keeper *k = NULL;
    play.server = server;
    play.now_us = 1000000;
    play.wait_count = play.sent = 0;
    play.random = 0x80000000U;
    play.limit = 1000;
    const struct sck_keeper_vault_conf conf = {
        .url = "https://one.example", .nodes = nodes, .mount = "transit", .name_space = "",
        .token_file = play.token, .max_retries = 3,
    };
    const struct sck_env env = {&clock_played, random_played, NULL, exchange_played, NULL};
    EXPECT_OK(sck_keeper_vault_new(&conf, &env, &k, &err));
    return k;
}

static const struct sck_kek kek = {.name = "sk--a", .generation = 1, .version = 1, .mount = "", .name_space = ""};

static enum sck_code
wrap(struct sck_keeper *k, struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    assert_int_equal(sck_secret_new(SCK_PAYLOAD_LEN, &payload, NULL), SCK_OK);
    enum sck_code rc = k->ops->wrap(k, &kek, payload, &blob, &version, err);
    assert_int_equal(version, rc == SCK_OK ? 1 : 0);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    return rc;
}

#define AT "keeper vault, wrap of KEK sk--a at https://one.example: "
#define NOT_ASKED AT "not asked, as the server is out (since 2026-01-01T00:00:0"

/* ---- the breaker ---- */

static void
five_failures_open_it_and_one_probe_closes_it(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(out_of_reach, NULL);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                AT "the server cannot be reached: start it or correct url (refused); 4 attempts");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server cannot be reached: start it or correct url (refused)"
                                                 "; 2 attempts");
    /* One request opened it; the waits of that call ran as usual, and the last one met the half-open breaker. */
    assert_int_equal(play.sent, 6);
    for (int i = 0; i < 100; i++)
        EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                    NOT_ASKED "1Z: the server cannot be reached: start it or correct url)");
    assert_int_equal(play.sent, 6);
    /* The probe fails: twice as long. */
    play.now_us += 1000000;
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server cannot be reached: start it or correct url (refused)");
    assert_int_equal(play.sent, 7);
    play.server = well;
    play.now_us += 1000000;
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                NOT_ASKED "1Z: the server cannot be reached: start it or correct url)");
    play.now_us += 1500000;
    EXPECT_OK(wrap(k, &err));
    EXPECT_OK(wrap(k, &err));
    assert_int_equal(play.sent, 9);
    k->ops->close(k);
}

static void
sealed_opens_it_at_once(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(sealed, NULL);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server is sealed: unseal it");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, NOT_ASKED "1Z: the server is sealed: unseal it)");
    assert_int_equal(play.sent, 1);
    assert_int_equal(play.wait_count, 0);
    play.server = well;
    play.now_us += 600000;
    EXPECT_OK(wrap(k, &err));
    k->ops->close(k);
}

static void
an_outage_costs_the_server_next_to_nothing(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(overloaded, NULL);
    for (int i = 0; i < 2000; i++) {
        struct sck_err err = SCK_ERR_INIT;
        assert_int_equal(wrap(k, &err), SCK_E_CONNECT);
        play.now_us += 10000;
    }
    /* 20 seconds: the breaker's probes alone. */
    assert_true(play.sent <= 16);
    k->ops->close(k);
}

static void
the_breaker_lets_one_through(void **state)
{
    (void)state;
    struct sck_breaker b;
    char why[200];
    sck_breaker_init(&b);
    for (int i = 0; i < SCK_BREAKER_FAILURES - 1; i++)
        assert_false(sck_breaker_bad(&b, 0, 0, false, 0x80000000U, "out"));
    assert_int_equal(sck_breaker_ask(&b, 0, why, sizeof why), SCK_BREAKER_GO);
    assert_string_equal(why, "");
    assert_true(sck_breaker_bad(&b, 0, 86400, false, 0x80000000U, "out"));
    assert_int_equal(sck_breaker_ask(&b, 499999, why, sizeof why), SCK_BREAKER_NO);
    assert_string_equal(why, "since 1970-01-01T00:00:00Z: out");
    assert_int_equal(sck_breaker_ask(&b, 500000, why, sizeof why), SCK_BREAKER_PROBE);
    assert_int_equal(sck_breaker_ask(&b, 500000, why, sizeof why), SCK_BREAKER_BUSY);
    /* A probe that was not made leaves the place to another. */
    sck_breaker_release(&b);
    assert_int_equal(sck_breaker_ask(&b, 500000, why, sizeof why), SCK_BREAKER_PROBE);
    assert_true(sck_breaker_bad(&b, 500000, 1, false, 0x80000000U, "still out"));
    assert_int_equal(sck_breaker_ask(&b, 1499999, why, sizeof why), SCK_BREAKER_NO);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sck_breaker_ask(&b, 100000000 * (int64_t)(i + 1), why, sizeof why), SCK_BREAKER_PROBE);
        assert_true(sck_breaker_bad(&b, 100000000 * (int64_t)(i + 1), 1, false, UINT32_MAX, "still out"));
    }
    assert_int_equal(sck_breaker_ask(&b, 1000000000 + 6249000, why, sizeof why), SCK_BREAKER_PROBE);
    assert_true(sck_breaker_good(&b));
    assert_false(sck_breaker_good(&b));
    assert_int_equal(sck_breaker_state(&b), SCK_BREAKER_CLOSED);
    sck_breaker_clear(&b);
}

/* ---- nodes and connections ---- */

static void
the_node_that_serves_is_found_and_kept(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(third_node_only, "https://two.example:8200  https://three.example");
    EXPECT_OK(wrap(k, &err));
    assert_int_equal(play.sent, 3);
    assert_int_equal(play.wait_count, 0);
    assert_string_equal(play.urls[1], "https://two.example:8200/v1/transit/encrypt/sk--a");
    EXPECT_OK(wrap(k, &err));
    assert_int_equal(play.sent, 4);
    assert_string_equal(play.urls[3], "https://three.example/v1/transit/encrypt/sk--a");
    k->ops->close(k);
}

static void
all_nodes_down_is_one_failure_a_round(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(out_of_reach, "https://two.example");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, "keeper vault, wrap of KEK sk--a at https://one.example: the server cannot "
                "be reached: start it or correct url (refused); 8 attempts");
    assert_int_equal(play.sent, 8);
    assert_int_equal(play.wait_count, 3);
    k->ops->close(k);
}

/* Standbys that redirect; what they say never becomes an address. */
static void
only_two_serves(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    if (strncmp(request->url, "https://two.example/", 20) == 0)
        say(reply, 200, "{\"data\":" WRAPPED "}");
    else
        say(reply, 307, "");
}

static void
all_redirect(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    (void)request;
    say(reply, 307, "");
}

static void
a_redirection_leads_to_the_next_node(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(only_two_serves, "https://two.example");
    EXPECT_OK(wrap(k, &err));
    assert_int_equal(play.sent, 2);
    assert_int_equal(play.wait_count, 0);
    assert_string_equal(play.urls[1], "https://two.example/v1/transit/encrypt/sk--a");
    EXPECT_OK(wrap(k, &err));
    assert_int_equal(play.sent, 3);
    k->ops->close(k);
    k = begin(all_redirect, "https://two.example");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, "keeper vault, wrap of KEK sk--a at https://one.example: every node redirects "
                "elsewhere, which is never followed: try again later, or add the active node to nodes; 8 attempts");
    for (size_t i = 0; i < play.sent; i++)
        assert_true(strncmp(play.urls[i], "https://one.example/", 20) == 0 ||
                    strncmp(play.urls[i], "https://two.example/", 20) == 0);
    k->ops->close(k);
    k = begin(all_redirect, NULL);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG, "keeper vault, wrap of KEK sk--a at https://one.example: the server redirects "
                "elsewhere, which is never followed: set url to the active node, or nodes to all of them");
    assert_int_equal(play.sent, 1);
    k->ops->close(k);
}

static void
bad_nodes_are_refused(void **state)
{
    (void)state;
    static const struct { const char *nodes, *message; } bad[] = {
        {"http://two.example", "keeper vault: url is http://: use https://, or for a server on this machine set "
                               "insecure_http = true"},
        {"two.example", NULL},
        {"https://a https://b https://c https://d https://e https://f https://g https://h",
         "keeper vault: nodes must be at most 7 URLs of less than 256 bytes"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct sck_env env = {&clock_played, random_played, NULL, exchange_played, NULL};
        const struct sck_keeper_vault_conf conf = {.url = "https://one.example", .nodes = bad[i].nodes,
                                                   .mount = "transit", .name_space = "", .token_file = play.token};
        struct sck_keeper *k = NULL;
        struct sck_err err = SCK_ERR_INIT;
        assert_int_equal(sck_keeper_vault_new(&conf, &env, &k, &err), SCK_E_CONFIG);
        if (bad[i].message != NULL)
            assert_string_equal(err.message, bad[i].message);
        assert_null(k);
    }
}

static void
a_stale_connection_costs_nothing_once(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(stale, NULL);
    for (int i = 0; i < 30; i++)
        EXPECT_OK(wrap(k, &err));
    assert_int_equal(play.sent, 60);
    assert_int_equal(play.wait_count, 0);
    assert_false(play.fresh[0]);
    assert_true(play.fresh[1]);
    k->ops->close(k);
    k = begin(dead_every_time, NULL);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the connection broke: try again later; 5 attempts");
    assert_int_equal(play.sent, 5);
    assert_int_equal(play.wait_count, 3);
    k->ops->close(k);
}

/* ---- batches ---- */

enum { ITEMS_MAX = 600 };

static struct {
    struct sck_keeper_item items[ITEMS_MAX];
    struct sck_secret *payload;
    struct sck_keeper_work work;
} batch;

static enum sck_code
run(struct sck_keeper *k, enum sck_keeper_do what, size_t count)
{
    assert_int_equal(sck_secret_new(SCK_PAYLOAD_LEN, &batch.payload, NULL), SCK_OK);
    for (size_t i = 0; i < count; i++) {
        batch.items[i] = (struct sck_keeper_item){.payload = batch.payload, .version = 1,
                                                  .blob = {(const uint8_t *)BLOB("1"), strlen(BLOB("1"))}};
        sck_buf_init(&batch.items[i].out, SCK_KEEPER_BLOB_MAX);
    }
    batch.work = (struct sck_keeper_work){.what = what, .kek = &kek, .items = batch.items, .count = count};
    return k->ops->run(k, &batch.work);
}

static size_t
batch_clear(void)
{
    size_t good = 0;
    for (size_t i = 0; i < batch.work.count; i++) {
        struct sck_keeper_item *item = &batch.items[i];
        bool result = batch.work.what == SCK_KEEPER_UNWRAP ? item->opened != NULL : item->out.len > 0;
        assert_int_equal(result, item->code == SCK_OK);
        good += item->code == SCK_OK;
        sck_buf_clear(&item->out);
        sck_secret_free(&item->opened);
    }
    sck_secret_free(&batch.payload);
    return good;
}

static void
good_items_of_a_bad_batch_are_kept(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(every_third_bad, NULL);
    for (int what = SCK_KEEPER_WRAP; what <= SCK_KEEPER_REWRAP; what++) {
        play.sent = 0;
        assert_int_equal(run(k, (enum sck_keeper_do)what, 300), what == SCK_KEEPER_WRAP ? SCK_E_CONFIG : SCK_E_AUTHENTIC);
        assert_int_equal(play.sent, 3);
        assert_int_equal(play.items[0], 128);
        assert_int_equal(play.items[2], 44);
        if (what == SCK_KEEPER_UNWRAP)
            assert_string_equal(batch.work.err.message, "keeper vault, unwrap of KEK sk--a at https://one.example: the "
                                "wrapped DEK was altered or is not of this KEK");
        assert_int_equal(batch.items[2].code, batch.work.code);
        assert_int_equal(batch_clear(), 300 - 42 - 42 - 14);
    }
    k->ops->close(k);
}

static void
a_batch_shrinks_to_what_the_server_takes(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(every_third_bad, NULL);
    play.limit = 40;
    assert_int_equal(run(k, SCK_KEEPER_UNWRAP, 70), SCK_E_AUTHENTIC);
    (void)batch_clear();
    /* 70 and 35, then as many as are known to be taken. */
    assert_int_equal(play.sent, 3);
    assert_int_equal(play.items[1], 35);
    assert_int_equal(play.items[2], 35);
    assert_int_equal(run(k, SCK_KEEPER_UNWRAP, 70), SCK_E_AUTHENTIC);
    (void)batch_clear();
    assert_int_equal(play.sent, 5);
    k->ops->close(k);
    k = begin(every_third_bad, NULL);
    play.limit = 0;
    assert_int_equal(run(k, SCK_KEEPER_UNWRAP, 4), SCK_E_CONFIG);
    assert_string_equal(batch.work.err.message,
                        "keeper vault, unwrap of KEK sk--a at https://one.example: the server's limits are below one "
                        "request: raise max_request_json_strings (refused JSON input due to high complexity: exceeded "
                        "maximum number of strings)");
    assert_int_equal(batch_clear(), 0);
    assert_int_equal(play.sent, 3);
    k->ops->close(k);
}

static void
an_odd_answer_is_no_result(void **state)
{
    (void)state;
    static const struct { server_fn server; enum sck_keeper_do what; size_t count; const char *lacks; } odd[] = {
        {one_result_short, SCK_KEEPER_WRAP, 3, "wrap of KEK sk--a: the answer lacks a result for each item"},
        {one_result_short, SCK_KEEPER_WRAP, 1, "wrap of KEK sk--a: the answer lacks a ciphertext and its key_version"},
        {well, SCK_KEEPER_WRAP, 3, "wrap of KEK sk--a: the answer lacks a result for each item"},
        {well, SCK_KEEPER_UNWRAP, 1, "unwrap of KEK sk--a: the answer lacks a plaintext"},
        {ignores_what_was_asked, SCK_KEEPER_WRAP, 1,
         "wrap of KEK sk--a: the answer lacks what was asked for, as it ignored a parameter"},
        {ignores_what_was_asked, SCK_KEEPER_REWRAP, 2,
         "rewrap of KEK sk--a: the answer lacks what was asked for, as it ignored a parameter"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char want[256];
        struct sck_keeper *k = begin(odd[i].server, NULL);
        (void)snprintf(want, sizeof want, "keeper vault, %s: is url a Vault or OpenBao, and mount a transit engine?",
                       odd[i].lacks);
        assert_int_equal(run(k, odd[i].what, odd[i].count), SCK_E_CONFIG);
        assert_string_equal(batch.work.err.message, want);
        assert_int_equal(batch_clear(), 0);
        k->ops->close(k);
    }
}

static void
bad_items_are_not_sent(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(well, NULL);
    assert_int_equal(run(k, SCK_KEEPER_WRAP, 0), SCK_OK);
    (void)batch_clear();
    assert_int_equal(play.sent, 0);
    /* A rewrap never goes back. */
    play.server = goes_backwards;
    assert_int_equal(sck_secret_new(SCK_PAYLOAD_LEN, &batch.payload, NULL), SCK_OK);
    struct sck_keeper_item items[] = {
        {.version = 2, .blob = {(const uint8_t *)BLOB("1"), strlen(BLOB("1"))}},
        {.version = 2, .blob = {(const uint8_t *)BLOB("2"), strlen(BLOB("2"))}},
        {.version = 1, .blob = {(const uint8_t *)"vault:v1:A\"A", 12}},
    };
    struct sck_keeper_work work = {.what = SCK_KEEPER_REWRAP, .kek = &kek, .items = items, .count = 3};
    for (size_t i = 0; i < 3; i++)
        sck_buf_init(&items[i].out, SCK_KEEPER_BLOB_MAX);
    assert_int_equal(k->ops->run(k, &work), SCK_E_AUTHENTIC);
    assert_string_equal(work.err.message, "keeper vault: this is no ciphertext of transit under version 2");
    assert_int_equal(items[0].code, SCK_E_AUTHENTIC);
    assert_int_equal(items[1].code, SCK_E_CONFIG);
    assert_int_equal(items[2].code, SCK_E_AUTHENTIC);
    assert_int_equal(items[1].out.len, 0);
    assert_int_equal(play.sent, 1);
    assert_int_equal(play.items[0], 1);
    sck_secret_free(&batch.payload);
    k->ops->close(k);
}

static void
work_keeps_its_deadline(void **state)
{
    (void)state;
    struct sck_keeper *k = begin(overloaded, NULL);
    struct sck_keeper_item item = {.version = 1, .blob = {(const uint8_t *)BLOB("1"), strlen(BLOB("1"))}};
    struct sck_keeper_work work = {.what = SCK_KEEPER_UNWRAP, .kek = &kek, .items = &item, .count = 1,
                                   .deadline_us = play.now_us + 250000};
    assert_int_equal(k->ops->run(k, &work), SCK_E_CONNECT);
    assert_string_equal(work.err.message, "keeper vault, unwrap of KEK sk--a at https://one.example: the server is not "
                        "available: try again later; 2 attempts, the deadline is near");
    assert_int_equal(play.sent, 2);
    k->ops->close(k);
}

/* ---- metrics and timers ---- */

static void
calls_are_counted(void **state)
{
    (void)state;
    struct sck_metric *ok = sck_metric_counter("scopekey_keeper_requests_total", "",
                                               "keeper=\"vault\",op=\"wrap\",outcome=\"ok\"");
    struct sck_metric *again = sck_metric_counter("scopekey_keeper_retries_total", "",
                                                  "keeper=\"vault\",reason=\"unreachable\"");
    struct sck_metric *breaker = sck_metric_gauge("scopekey_keeper_breaker", "", "keeper=\"vault\"");
    struct sck_keeper *k = begin(well, NULL);
    int64_t ok_before = sck_metric_get(ok), again_before = sck_metric_get(again);
    EXPECT_OK(wrap(k, &err));
    assert_int_equal(sck_metric_get(ok) - ok_before, 1);
    assert_int_equal(sck_metric_get(breaker), 0);
    play.server = out_of_reach;
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                AT "the server cannot be reached: start it or correct url (refused); 4 attempts");
    assert_int_equal(sck_metric_get(again) - again_before, 3);
    play.server = sealed;
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server is sealed: unseal it");
    assert_int_equal(sck_metric_get(breaker), 2);
    k->ops->close(k);
}

static void
timers_ring_in_order(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static struct sck_timer t[COUNT];
    struct sck_timers timers = {NULL};
    unsigned seed = 7;
    for (int round = 0; round < 20; round++) {
        size_t set = 0;
        int64_t last = 0;
        for (size_t i = 0; i < COUNT; i++) {
            seed = seed * 1103515245U + 12345U;
            sck_timer_set(&timers, &t[i], seed >> 16 & 0xFF);
        }
        for (size_t i = 0; i < COUNT; i += 3)
            sck_timer_unset(&timers, &t[i]);
        for (size_t i = 0; i < COUNT; i += 7)
            sck_timer_set(&timers, &t[i], (int64_t)(i % 200));
        for (size_t i = 0; i < COUNT; i++)
            set += t[i].set;
        assert_null(sck_timer_due(&timers, -1));
        for (struct sck_timer *due; (due = sck_timer_due(&timers, 1000)) != NULL; set--) {
            assert_true(due->at_us >= last);
            last = due->at_us;
        }
        assert_int_equal(set, 0);
        assert_null(timers.first);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_failures_open_it_and_one_probe_closes_it),
        cmocka_unit_test(sealed_opens_it_at_once),
        cmocka_unit_test(an_outage_costs_the_server_next_to_nothing),
        cmocka_unit_test(the_breaker_lets_one_through),
        cmocka_unit_test(the_node_that_serves_is_found_and_kept),
        cmocka_unit_test(all_nodes_down_is_one_failure_a_round),
        cmocka_unit_test(a_redirection_leads_to_the_next_node),
        cmocka_unit_test(bad_nodes_are_refused),
        cmocka_unit_test(a_stale_connection_costs_nothing_once),
        cmocka_unit_test(good_items_of_a_bad_batch_are_kept),
        cmocka_unit_test(a_batch_shrinks_to_what_the_server_takes),
        cmocka_unit_test(an_odd_answer_is_no_result),
        cmocka_unit_test(bad_items_are_not_sent),
        cmocka_unit_test(work_keeps_its_deadline),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(timers_ring_in_order),
    };
    return cmocka_run_group_tests_name("vault/http_work", tests, set_up, tear_down);
}
