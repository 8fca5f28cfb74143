/* SPDX-License-Identifier: MIT */
/*
 * Keeper `vault` over answers from a script, with a clock that only sleeping and answers move: attempts, waits,
 * deadline, budget, tokens, and servers that lie.
 */
#include "tests/lib/expect.h"
#include "vault/http/keeper_vault.h"
#include "vault/http/transit.h"

#include <sys/stat.h>
#include <unistd.h>

/* A script names what matters of a step; the rest is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum { STEPS_MAX = 64, WAITS_MAX = 32 };

/* One request that must come, and its answer. */
struct step {
    const char *want;           /* "METHOD url-behind-host [token]" */
    long status;
    const char *body;           /* "" for none */
    enum sck_net net;
    int64_t retry_after_ms;
    int64_t takes_ms;
    void (*before)(void);       /* something happens while the server thinks */
};

static struct {
    const struct step *steps;
    size_t count, at;
    int64_t now_us;
    int64_t waits[WAITS_MAX];
    size_t wait_count;
    uint32_t random;
    char last_body[512];
    int64_t last_timeout_ms;
    char dir[64], data_path[96], admin_path[96];
} play;

static int64_t clock_s(void *arg) { (void)arg; return play.now_us / 1000000; }
static int64_t clock_ms(void *arg) { (void)arg; return play.now_us / 1000; }
static int64_t clock_us(void *arg) { (void)arg; return play.now_us; }

static void
clock_sleep(void *arg, int64_t ms)
{
    (void)arg;
    assert_true(play.wait_count < WAITS_MAX);
    play.waits[play.wait_count++] = ms;
    play.now_us += ms * 1000;
}

static const struct sck_clock clock_played = {clock_s, clock_ms, clock_us, clock_sleep, NULL};
static uint32_t random_played(void *arg) { (void)arg; return play.random; }

static void
exchange_played(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    char got[600];
    (void)arg;
    const char *url = request->url;
    if (strncmp(url, "https://vault.example:8200/v1/", 30) == 0)
        url += 30;
    (void)snprintf(got, sizeof got, "%s %s%s%.*s%s%s", request->method, url, request->token != NULL ? " " : "",
                   request->token != NULL ? (int)request->token->len : 0,
                   request->token != NULL ? (const char *)request->token->data : "",
                   request->header_count > 1 ? " in " : "",
                   request->header_count > 1 ? request->headers[1].value : "");
    assert_string_equal(request->headers[0].name, "X-Vault-Request");
    assert_string_equal(request->token_header, "X-Vault-Token: ");
    if (play.at == play.count)
        fail_msg("one request too many: %s", got);
    const struct step *step = &play.steps[play.at++];
    assert_string_equal(got, step->want);
    assert_int_equal(strlen(request->call_id), 16);
    (void)snprintf(play.last_body, sizeof play.last_body, "%.*s", request->body != NULL ? (int)request->body->len : 0,
                   request->body != NULL ? (const char *)request->body->data : "");
    play.last_timeout_ms = request->timeout_ms;
    if (step->before != NULL)
        step->before();
    play.now_us += step->takes_ms * 1000;
    *reply = (struct sck_http_reply){.net = step->net, .status = step->status, .retry_after_ms = step->retry_after_ms};
    if (step->net == SCK_NET_CONNECT)
        (void)snprintf(reply->detail, sizeof reply->detail, "Couldn't connect to server");
    if (step->body != NULL && step->body[0] != '\0') {
        reply->body_len = strlen(step->body);
        assert_int_equal(sck_secret_from(step->body, reply->body_len, &reply->body, NULL), SCK_OK);
    }
}

static void
write_token(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void write_new_data_token(void) { write_token(play.data_path, "data2\n"); }

static int
set_up(void **state)
{
    (void)state;
    (void)snprintf(play.dir, sizeof play.dir, "http_call.XXXXXX");
    if (mkdtemp(play.dir) == NULL)
        return -1;
    (void)snprintf(play.data_path, sizeof play.data_path, "%s/data.tok", play.dir);
    (void)snprintf(play.admin_path, sizeof play.admin_path, "%s/admin.tok", play.dir);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    (void)unlink(play.data_path);
    (void)unlink(play.admin_path);
    return rmdir(play.dir);
}

/* A keeper for one script. */
static struct sck_keeper *
begin(const struct step *steps, size_t count, unsigned max_retries)
{
    struct sck_keeper *k = NULL;
    struct sck_err err = SCK_ERR_INIT;
    write_token(play.data_path, "data\n");
    write_token(play.admin_path, "admin\n");
    play.steps = steps;
    play.count = count;
    play.at = play.wait_count = 0;
    play.random = 0x80000000U;
    const struct sck_keeper_vault_conf conf = {
        .url = "https://vault.example:8200", .mount = "transit", .name_space = "", .token_file = play.data_path,
        .admin_token_file = play.admin_path, .max_retries = max_retries,
    };
    const struct sck_env env = {&clock_played, random_played, NULL, exchange_played, NULL};
    assert_int_equal(sck_keeper_vault_new(&conf, &env, &k, &err), SCK_OK);
    return k;
}

#define BEGIN(steps, retries) begin(steps, sizeof(steps) / sizeof((steps)[0]), retries)

static void
end(struct sck_keeper *k)
{
    assert_int_equal(play.at, play.count);
    k->ops->close(k);
}

#define BLOB "vault:v1:CzBVep/E6Q4zWH2ix+wRNluApcrvFDleg6jN8hc8YYar0PUaP2SJrtP4HUJnjLHW+yBF" \
             "ao+02f4jSG2St9wBJktwlbrfBClOc5i94gcsUXabwOUKL1R5nsPoDTJXfKHG6xA1Wg=="
#define WRAP "POST transit/encrypt/sk--a data"
#define UNWRAP "POST transit/decrypt/sk--a data"
#define READ "GET transit/keys/sk--a admin"
#define WRAPPED "{\"request_id\":\"r\",\"data\":{\"ciphertext\":\"" BLOB "\",\"key_version\":1}}"
#define DENIED "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
#define BAD_TOKEN "{\"errors\":[\"permission denied\"]}"
#define MISSING "{\"errors\":[\"encryption key not found\"]}"
#define EMPTY "{\"errors\":[]}"
#define KEY(version) \
    "{\"data\":{\"type\":\"aes256-gcm96\",\"name\":\"sk--a\",\"derived\":false,\"exportable\":false," \
    "\"allow_plaintext_backup\":false,\"deletion_allowed\":true,\"latest_version\":" version "}}"
#define AT "keeper vault, wrap of KEK sk--a at https://vault.example:8200: "

static const struct sck_kek kek = {.name = "sk--a", .generation = 1, .version = 1, .mount = "", .name_space = ""};

static enum sck_code
wrap(struct sck_keeper *k, struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    uint32_t version = 7;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    assert_int_equal(sck_secret_new(SCK_PAYLOAD_LEN, &payload, NULL), SCK_OK);
    enum sck_code rc = k->ops->wrap(k, &kek, payload, &blob, &version, err);
    if (rc == SCK_OK) {
        assert_string_equal(sck_buf_str(&blob), BLOB);
        assert_int_equal(version, 1);
    } else {
        assert_int_equal(blob.len, 0);
        assert_int_equal(version, 0);
    }
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    return rc;
}

static enum sck_code
unwrap(struct sck_keeper *k, struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    enum sck_code rc = k->ops->unwrap(k, &kek, 1, (const uint8_t *)BLOB, strlen(BLOB), &payload, err);
    assert_int_equal(payload != NULL, rc == SCK_OK);
    sck_secret_free(&payload);
    return rc;
}

static enum sck_code
create(struct sck_keeper *k, struct sck_err *err)
{
    struct sck_kek_made made;
    enum sck_code rc = k->ops->create(k, "sk--a", 1, &made, err);
    assert_int_equal(made.version, rc == SCK_OK ? 1 : 0);
    assert_string_equal(made.mount, rc == SCK_OK ? "transit" : "");
    sck_buf_clear(&made.record);
    return rc;
}

static enum sck_code
erase(struct sck_keeper *k, struct sck_erase_proof *proof, struct sck_err *err)
{
    return k->ops->erase(k, &kek, 1, (const uint8_t *)BLOB, strlen(BLOB), proof, err);
}

static void
assert_waits(const int64_t *want, size_t count)
{
    assert_int_equal(play.wait_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(play.waits[i], want[i]);
}

/* ---- attempts and waits ---- */

static void
four_attempts_and_then_the_first_cause(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, .net = SCK_NET_CONNECT}, {WRAP, .net = SCK_NET_TIMEOUT, .takes_ms = 5000},
        {WRAP, 503, "{\"errors\":[\"overloaded\"]}"}, {WRAP, 500, "{\"errors\":[\"local node not active but …\"]}"},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                AT "the server cannot be reached: start it or correct url (Couldn't connect to server); 4 attempts");
    assert_waits((const int64_t[]){100, 200, 400}, 3);
    end(k);
}

static void
a_later_attempt_succeeds(void **state)
{
    (void)state;
    static const struct step steps[] = {{WRAP, .net = SCK_NET_BROKEN}, {WRAP, 502, "<html>"}, {WRAP, 200, WRAPPED}};
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_OK(wrap(k, &err));
    assert_waits((const int64_t[]){100, 200}, 2);
    end(k);
}

static void
a_later_verdict_counts(void **state)
{
    (void)state;
    static const struct step steps[] = {{UNWRAP, .net = SCK_NET_BROKEN}, {UNWRAP, 400, MISSING}};
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(unwrap(k, &err), SCK_E_NOT_FOUND,
                "keeper vault, unwrap of KEK sk--a at https://vault.example:8200: no such KEK; 2 attempts");
    end(k);
}

static void
jitter_is_a_quarter_either_way(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, .net = SCK_NET_BROKEN}, {WRAP, .net = SCK_NET_BROKEN}, {WRAP, 200, WRAPPED},
        {WRAP, .net = SCK_NET_BROKEN}, {WRAP, .net = SCK_NET_BROKEN}, {WRAP, 200, WRAPPED},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    play.random = 0;
    EXPECT_OK(wrap(k, &err));
    play.random = UINT32_MAX;
    EXPECT_OK(wrap(k, &err));
    assert_waits((const int64_t[]){75, 150, 124, 249}, 4);
    end(k);
}

static void
no_retries_means_one_attempt(void **state)
{
    (void)state;
    static const struct step steps[] = {{WRAP, .net = SCK_NET_TIMEOUT}, {WRAP, 500, "{\"errors\":[\"x\"]}"}};
    struct sck_keeper *k = BEGIN(steps, 0);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server did not answer in time: try again later");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server failed: see its log (x)");
    assert_waits(NULL, 0);
    end(k);
}

static void
what_no_repetition_cures_is_asked_once(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, .net = SCK_NET_CERTIFICATE}, {WRAP, 501, ""}, {WRAP, 307, ""},
        {WRAP, 500, "{\"errors\":[\"unable to …: illegal base64 data\"]}"}, {WRAP, .net = SCK_NET_OVERSIZE},
        {WRAP, 503, "{\"errors\":[\"Vault is sealed\"]}"},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG, AT "the server's certificate is refused: set ca_file to the CA that signed "
                "it, and url to a name in it");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG, AT "the server does not implement it: is url a Vault or OpenBao?");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG,
                AT "the server redirects elsewhere, which is never followed: set url to the active node, or nodes to all of them");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG, AT "the server cannot do this (unable to …: illegal base64 data)");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG, AT "the answer is over 1 MiB: is url a Vault or OpenBao?");
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server is sealed: unseal it");
    assert_waits(NULL, 0);
    end(k);
}

static void
an_unknown_500_is_repeated_once(void **state)
{
    (void)state;
    static const struct step steps[] = {{WRAP, 500, "{\"errors\":[\"a \\u001b[31m\"]}"}, {WRAP, 500, ""}};
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT, AT "the server failed: see its log (a \\x1b[31m); 2 attempts");
    end(k);
}

static void
retry_after_is_honoured(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, 429, "{\"errors\":[\"quota\"]}", .retry_after_ms = 2000},
        {WRAP, 429, "{\"errors\":[\"quota\"]}", .retry_after_ms = 0}, {WRAP, 429, "", .retry_after_ms = 1},
        {WRAP, 200, WRAPPED}, {WRAP, 412, "", 0}, {WRAP, 200, WRAPPED},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_OK(wrap(k, &err));
    EXPECT_OK(wrap(k, &err));
    assert_waits((const int64_t[]){2000, 200, 400, 100}, 4);
    end(k);
}

static void
a_wait_beyond_the_deadline_is_not_begun(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, .net = SCK_NET_TIMEOUT, .takes_ms = 5000},
        {WRAP, 429, "{\"errors\":[\"quota\"]}", .retry_after_ms = 60000},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                AT "the server did not answer in time: try again later; 2 attempts, the deadline is near");
    assert_waits((const int64_t[]){100}, 1);
    end(k);
}

/* The deadline also shortens the last attempts. */
static void
an_attempt_never_outlives_the_deadline(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, .net = SCK_NET_TIMEOUT, .takes_ms = 14000}, {WRAP, .net = SCK_NET_TIMEOUT, .takes_ms = 14000},
        {WRAP, .net = SCK_NET_TIMEOUT, .takes_ms = 1700},
    };
    struct sck_keeper *k = BEGIN(steps, 10);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CONNECT,
                AT "the server did not answer in time: try again later; 3 attempts, the deadline is near");
    assert_int_equal(play.last_timeout_ms, 1700);
    end(k);
}

/* An outage is made at most a tenth worse, whatever max_retries says. */
static void
repetitions_exhaust_the_budget(void **state)
{
    (void)state;
    static struct step steps[STEPS_MAX];
    for (size_t i = 0; i < STEPS_MAX; i++)
        steps[i] = (struct step){WRAP, 429, "{\"errors\":[\"rate limit quota exceeded\"]}"};
    struct sck_keeper *k = begin(steps, 55, 3);
    size_t calls = 0;
    while (play.at < 55) {
        struct sck_err err = SCK_ERR_INIT;
        assert_int_equal(wrap(k, &err), SCK_E_CONNECT);
        calls++;
        if (play.at == 14)
            assert_string_equal(err.message, AT "the server's rate limit is reached: try again later, or raise the quota; "
                                                "2 attempts, too many calls fail to repeat them");
    }
    /* 10 repetitions at once, then one for each ten calls. */
    assert_int_equal(calls, 41);
    assert_int_equal(play.wait_count, 14);
    end(k);
}

/* ---- tokens ---- */

static void
a_replaced_token_is_read_again_once(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, 403, BAD_TOKEN, .before = write_new_data_token}, {WRAP "2", 200, WRAPPED}, {WRAP "2", 200, WRAPPED},
        {WRAP "2", 403, BAD_TOKEN},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_OK(wrap(k, &err));
    EXPECT_OK(wrap(k, &err));
    EXPECT_FAIL(wrap(k, &err), SCK_E_CREDENTIAL,
                AT "the token is invalid, expired or revoked: put a new one into its file");
    assert_waits(NULL, 0);
    end(k);
}

static void
a_replaced_token_that_is_bad_too_ends_it(void **state)
{
    (void)state;
    static const struct step steps[] = {{WRAP, 403, BAD_TOKEN, .before = write_new_data_token}, {WRAP "2", 403, BAD_TOKEN}};
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(wrap(k, &err), SCK_E_CREDENTIAL,
                AT "the token is invalid, expired or revoked: put a new one into its file; 2 attempts");
    end(k);
}

static void
an_unknown_denial_asks_lookup_self(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {UNWRAP, 403, "{\"errors\":[\"sorry\"]}"}, {"GET auth/token/lookup-self data", 200, "{\"data\":{}}"},
        {UNWRAP, 403, "{\"errors\":[\"sorry\"]}"}, {"GET auth/token/lookup-self data", 403, DENIED},
        {UNWRAP, 403, "{\"errors\":[\"sorry\"]}"}, {"GET auth/token/lookup-self data", 403, BAD_TOKEN},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    for (int i = 0; i < 2; i++)
        EXPECT_FAIL(unwrap(k, &err), SCK_E_CONFIG,
                    "keeper vault, unwrap of KEK sk--a at https://vault.example:8200: the server denies it (sorry)");
    EXPECT_FAIL(unwrap(k, &err), SCK_E_CREDENTIAL, "keeper vault, unwrap of KEK sk--a at https://vault.example:8200: "
                "the token is invalid, expired or revoked: put a new one into its file");
    end(k);
}

static void
a_denied_wrap_asks_whether_the_kek_is_missing(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, 403, DENIED}, {UNWRAP, 400, MISSING},
        {WRAP, 403, DENIED}, {UNWRAP, 400, "{\"errors\":[\"invalid ciphertext length\"]}"},
        {WRAP, 403, DENIED}, {UNWRAP, 403, DENIED},
        {WRAP, 403, DENIED}, {UNWRAP, 404, EMPTY},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_FAIL(wrap(k, &err), SCK_E_NOT_FOUND, AT "no such KEK");
    for (int i = 0; i < 3; i++)
        EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG,
                    AT "the token's policy does not allow it, or there is no such mount: correct mount or the policy");
    assert_string_equal(play.last_body, "{\"ciphertext\":\"vault:v1:AAAA\"}");
    end(k);
}

/* ---- answers that are not what they should be ---- */

static void
a_strange_ciphertext_is_not_stored(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "", "{", "[]", "{}", "{\"data\":null}", "{\"data\":{}}", "{\"data\":{\"ciphertext\":\"\",\"key_version\":1}}",
        "{\"data\":{\"ciphertext\":\"" BLOB "\"}}", "{\"data\":{\"ciphertext\":\"" BLOB "\",\"key_version\":2}}",
        "{\"data\":{\"ciphertext\":\"" BLOB "\",\"key_version\":\"1\"}}",
        "{\"data\":{\"ciphertext\":\"vault:v0:AAAA\",\"key_version\":0}}",
        "{\"data\":{\"ciphertext\":\"vault:v1:\",\"key_version\":1}}",
        "{\"data\":{\"ciphertext\":\"vault:v1:AA\\n\",\"key_version\":1}}",
        "{\"data\":{\"ciphertext\":7,\"key_version\":1}}",
        "{\"data\":{\"ciphertext\":\"" BLOB "\",\"key_version\":1},\"data\":{}}",
        "{\"data\":{\"ciphertext\":\"" BLOB "\",\"ciphertext\":\"" BLOB "\",\"key_version\":1}}",
        WRAPPED "x",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        const struct step steps[] = {{WRAP, 200, bodies[i]}};
        struct sck_keeper *k = BEGIN(steps, 3);
        EXPECT_FAIL(wrap(k, &err), SCK_E_CONFIG, "keeper vault, wrap of KEK sk--a: the answer lacks a ciphertext and its "
                    "key_version: is url a Vault or OpenBao, and mount a transit engine?");
        end(k);
    }
}

static void
a_strange_plaintext_is_not_given_out(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "AAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-",
        " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "\\u0041AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char body[256];
        (void)snprintf(body, sizeof body, "{\"data\":{\"plaintext\":\"%s\"}}", texts[i]);
        const struct step steps[] = {{UNWRAP, 200, body}};
        struct sck_keeper *k = BEGIN(steps, 3);
        EXPECT_FAIL(unwrap(k, &err), SCK_E_AUTHENTIC,
                    "keeper vault, unwrap of KEK sk--a: what came out is no payload of Scopekey");
        end(k);
    }
    static const struct step none[] = {{UNWRAP, 200, "{\"data\":{\"plaintext\":null}}"}};
    struct sck_keeper *k = BEGIN(none, 3);
    EXPECT_FAIL(unwrap(k, &err), SCK_E_CONFIG, "keeper vault, unwrap of KEK sk--a: the answer lacks a plaintext: is url a "
                "Vault or OpenBao, and mount a transit engine?");
    end(k);
}

static void
wrap_sends_base64_and_unwrap_takes_it(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {WRAP, 200, WRAPPED},
        {UNWRAP, 200, "{\"data\":{\"plaintext\":\"/+7dzLuqmYh3ZlVEMyIRAP/u3cy7qpmId2ZVRDMiEQD/7t3Mu6qZiHdmVUQzIhEA/+7dz"
                      "LuqmYh3ZlVEMyIRAP/u3cy7qpmI\"}}"},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    struct sck_secret *payload = NULL;
    EXPECT_OK(wrap(k, &err));
    assert_string_equal(play.last_body, "{\"plaintext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}");
    EXPECT_OK(k->ops->unwrap(k, &kek, 1, (const uint8_t *)BLOB, strlen(BLOB), &payload, &err));
    assert_string_equal(play.last_body, "{\"ciphertext\":\"" BLOB "\"}");
    assert_int_equal(payload->len, 72);
    for (size_t i = 0; i < 72; i++)
        assert_int_equal(payload->data[i], 255 - 17 * (i % 16));
    sck_secret_free(&payload);
    end(k);
}

static void
the_record_names_mount_and_namespace(void **state)
{
    (void)state;
    static const struct step steps[] = {{"POST old/place/decrypt/sk--a data in teams/", 400, MISSING}};
    static const struct sck_kek elsewhere = {.name = "sk--a", .generation = 1, .version = 1, .mount = "old/place",
                                             .name_space = "teams/"};
    struct sck_keeper *k = BEGIN(steps, 3);
    struct sck_secret *payload = NULL;
    EXPECT_FAIL(k->ops->unwrap(k, &elsewhere, 1, (const uint8_t *)BLOB, strlen(BLOB), &payload, &err), SCK_E_NOT_FOUND,
                "keeper vault, unwrap of KEK sk--a at https://vault.example:8200: no such KEK");
    end(k);
}

/* ---- create ---- */

#define CREATE "POST transit/keys/sk--a admin"
#define CONFIG "POST transit/keys/sk--a/config admin"

static void
create_reads_first_and_reads_back(void **state)
{
    (void)state;
    static const struct step steps[] = {{READ, 404, EMPTY}, {CREATE, 204, ""}, {READ, 200, KEY("1")}, {CONFIG, 204, ""}};
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_OK(create(k, &err));
    assert_string_equal(play.last_body, "{\"deletion_allowed\":true}");
    end(k);
}

static void
create_survives_a_lost_answer(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {READ, 404, EMPTY}, {CREATE, .net = SCK_NET_BROKEN}, {CREATE, 200, KEY("1")}, {READ, 200, KEY("1")},
        {CONFIG, .net = SCK_NET_TIMEOUT}, {CONFIG, 200, KEY("1")},
    };
    struct sck_keeper *k = BEGIN(steps, 3);
    EXPECT_OK(create(k, &err));
    end(k);
}

static void
create_tells_what_is_in_its_way(void **state)
{
    (void)state;
    static const struct { struct step steps[5]; size_t count; enum sck_code code; const char *message; } cases[] = {
        {{{READ, 200, KEY("1")}}, 1, SCK_E_EXISTS, "keeper vault: KEK sk--a is there already"},
        {{{READ, 404, EMPTY}, {CREATE, 200, ""}, {READ, 200, KEY("2")}}, 3, SCK_E_EXISTS,
         "keeper vault: KEK sk--a is there already"},
        {{{READ, 404, EMPTY}, {CREATE, 200, ""}, {READ, 404, EMPTY}}, 3, SCK_E_CONNECT,
         "keeper vault: KEK sk--a was made and is not there: another node answered, or it was deleted at once"},
        {{{READ, 404, EMPTY}, {CREATE, 200, ""}, {READ, 200, KEY("1")}, {CONFIG, 400, "{\"errors\":[\"no existing key named "
          "sk--a could be found\"]}"}}, 4, SCK_E_CONNECT, "keeper vault: KEK sk--a was deleted while it was made"},
        {{{READ, 404, EMPTY}, {CREATE, 200, ""}, {READ, 200, KEY("1")}, {CONFIG, 200, "{\"data\":{\"deletion_allowed\":false}}"}},
         4, SCK_E_CONFIG, "keeper vault, config of KEK sk--a: the answer lacks deletion_allowed = true: is url a Vault or "
         "OpenBao, and mount a transit engine?"},
        {{{READ, 404, "{\"errors\":[\"no handler for route \\\"transit/keys/sk--a\\\". route entry not found.\"]}"}}, 1,
         SCK_E_CONFIG, "keeper vault, read of KEK sk--a at https://vault.example:8200: no such mount: correct mount, or "
         "enable transit there"},
        {{{READ, 200, "{\"data\":{\"some\":\"secret\"}}"}}, 1, SCK_E_CONFIG, "keeper vault, read of KEK sk--a: the answer "
         "lacks the key's name, type and version: is url a Vault or OpenBao, and mount a transit engine?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sck_keeper *k = begin(cases[i].steps, cases[i].count, 3);
        EXPECT_FAIL(create(k, &err), cases[i].code, cases[i].message);
        end(k);
    }
}

/* ---- erase ---- */

#define MOUNT "GET sys/internal/ui/mounts/transit admin"
#define TRANSIT "{\"data\":{\"type\":\"transit\",\"path\":\"transit/\"}}"
#define DELETE "DELETE transit/keys/sk--a admin"
#define LEADER "GET sys/leader"
#define MOUNT2 "GET https://two.example:8200/v1/sys/internal/ui/mounts/transit admin"
#define DELETE2 "DELETE https://two.example:8200/v1/transit/keys/sk--a admin"
#define READ2 "GET https://two.example:8200/v1/transit/keys/sk--a admin"
#define UNWRAP2 "POST https://two.example:8200/v1/transit/decrypt/sk--a data"
#define ALONE "{\"ha_enabled\":false}"
#define NOT_SELF "{\"ha_enabled\":true,\"is_self\":false,\"leader_address\":\"https://two.example:8200\"}"
#define GONE_CONFIG "{\"errors\":[\"no existing key named sk--a could be found\"]}"
#define GONE_DELETE "{\"errors\":[\"error deleting policy sk--a: could not delete key; not found\"]}"

struct erasure {
    struct step steps[12];
    size_t count;
    enum sck_code code;
    const char *message;        /* or the node */
};

static const struct erasure erasures[] = {
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, ALONE}, {READ, 404, EMPTY},
      {UNWRAP, 400, MISSING}}, 6, SCK_OK, "https://vault.example:8200"},
    /* gone already, or the first answer was lost */
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 400, GONE_CONFIG}, {LEADER, 200, ALONE}, {READ, 404, EMPTY}, {UNWRAP, 400, MISSING}}, 5,
     SCK_OK, "https://vault.example:8200"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, .net = SCK_NET_TIMEOUT}, {DELETE, 400, GONE_DELETE},
      {LEADER, 200, ALONE}, {READ, 404, EMPTY}, {UNWRAP, 400, MISSING}}, 7, SCK_OK, "https://vault.example:8200"},
    /* a standby answers: the active node is asked as well */
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, NOT_SELF}, {MOUNT2, 200, TRANSIT},
      {READ2, 404, EMPTY}, {UNWRAP2, 400, MISSING}, {MOUNT, 200, TRANSIT}, {READ, 404, EMPTY}, {UNWRAP, 400, MISSING}}, 10,
     SCK_OK, "https://two.example:8200"},
    /* the other node is behind: it still has the key, still opens, has no such mount, is sealed */
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, NOT_SELF}, {MOUNT2, 200, TRANSIT},
      {READ2, 404, EMPTY}, {UNWRAP2, 400, MISSING}, {MOUNT, 200, TRANSIT}, {READ, 200, KEY("1")}}, 9, SCK_E_BUSY,
     "keeper vault, erase of KEK sk--a at https://vault.example:8200: it is there again after its deletion: this node is "
     "behind, the erasure is pending until it agrees"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, NOT_SELF}, {MOUNT2, 200, TRANSIT},
      {READ2, 404, EMPTY}, {UNWRAP2, 400, MISSING}, {MOUNT, 200, TRANSIT}, {READ, 404, EMPTY},
      {UNWRAP, 200, "{\"data\":{\"plaintext\":\"AAAA\"}}"}}, 10, SCK_E_BUSY,
     "keeper vault, erase of KEK sk--a at https://vault.example:8200: a wrapped DEK is still answered for: this node is "
     "behind, the erasure is pending until it agrees"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, NOT_SELF}, {MOUNT2, 200, TRANSIT},
      {READ2, 404, EMPTY}, {UNWRAP2, 400, MISSING}, {MOUNT, 200, "{\"data\":{\"type\":\"kv\",\"path\":\"transit/\"}}"}}, 8,
     SCK_E_CONFIG, "keeper vault: mount transit is no transit engine: correct mount, or enable transit there"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, NOT_SELF}, {MOUNT2, 200, TRANSIT},
      {READ2, 404, EMPTY}, {UNWRAP2, 400, MISSING}, {MOUNT, 503, "{\"errors\":[\"Vault is sealed\"]}"}}, 8, SCK_E_CONNECT,
     "keeper vault, mount at https://vault.example:8200: the server is sealed: unseal it"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""},
      {LEADER, 200, "{\"ha_enabled\":true,\"is_self\":false,\"leader_address\":\"\"}"}}, 4, SCK_E_CONNECT,
     "keeper vault: the cluster names no active node that can be asked: try again later, or set url to the active node"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""},
      {LEADER, 200, "{\"ha_enabled\":true,\"is_self\":false,\"leader_address\":\"http://evil.example\"}"}}, 4, SCK_E_CONNECT,
     "keeper vault: the cluster names no active node that can be asked: try again later, or set url to the active node"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, "{}"}}, 4, SCK_E_CONFIG,
     "keeper vault, leader: the answer lacks ha_enabled: is url a Vault or OpenBao, and mount a transit engine?"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, NOT_SELF},
      {MOUNT2, 200, TRANSIT}, {READ2, 200, KEY("1")}}, 6, SCK_E_STATE,
     "keeper vault, erase of KEK sk--a at https://two.example:8200: it is there again after its deletion: find who makes it, "
     "take that right away, and erase again"},
    /* a standby redirects the deletion: the active node is asked, not the address in the redirection */
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 307, ""}, {LEADER, 200, NOT_SELF}, {DELETE2, 204, ""},
      {LEADER, 200, NOT_SELF}, {MOUNT2, 200, TRANSIT}, {READ2, 404, EMPTY}, {UNWRAP2, 400, MISSING}, {MOUNT, 200, TRANSIT},
      {READ, 404, EMPTY}, {UNWRAP, 400, MISSING}}, 12, SCK_OK, "https://two.example:8200"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 307, ""}, {LEADER, 200, ALONE}}, 4, SCK_E_CONFIG,
     "keeper vault, delete of KEK sk--a at https://vault.example:8200: the server redirects elsewhere, which is never followed: "
     "set url to the active node, or nodes to all of them"},
    /* said to be deleted, and still there or still opening */
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, ALONE}, {READ, 200, KEY("1")}}, 5,
     SCK_E_STATE, "keeper vault, erase of KEK sk--a at https://vault.example:8200: it is there again after its deletion: find "
     "who makes it, take that right away, and erase again"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, ALONE}, {READ, 404, EMPTY},
      {UNWRAP, 200, "{\"data\":{\"plaintext\":\"AAAA\"}}"}}, 6, SCK_E_STATE, "keeper vault, erase of KEK sk--a at "
     "https://vault.example:8200: a wrapped DEK is still answered for: find who makes the key, take that right away, and erase "
     "again"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, ALONE}, {READ, 404, EMPTY},
      {UNWRAP, 400, "{\"errors\":[\"cipher: message authentication failed\"]}"}}, 6, SCK_E_STATE, "keeper vault, erase of KEK "
     "sk--a at https://vault.example:8200: a wrapped DEK is still answered for: find who makes the key, take that right away, "
     "and erase again"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 400,
      "{\"errors\":[\"error deleting policy sk--a: deletion is not allowed for this key\"]}"}}, 3, SCK_E_STATE,
     "keeper vault, delete of KEK sk--a at https://vault.example:8200: the KEK may not be deleted: someone set deletion_allowed "
     "back, try again"},
    /* what looks like gone and is not */
    {{{MOUNT, 200, "{\"data\":{\"type\":\"kv\",\"path\":\"transit/\"}}"}}, 1, SCK_E_CONFIG,
     "keeper vault: mount transit is no transit engine: correct mount, or enable transit there"},
    {{{MOUNT, 200, "{\"data\":{\"type\":\"transit\",\"path\":\"transit2/\"}}"}}, 1, SCK_E_CONFIG,
     "keeper vault: mount transit is no transit engine: correct mount, or enable transit there"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, ALONE}, {READ, 404, EMPTY},
      {UNWRAP, 404, EMPTY}}, 6, SCK_E_CONFIG, "keeper vault, unwrap of KEK sk--a at https://vault.example:8200: the server knows "
     "no such path: is the mount a transit engine?"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 200, ALONE}, {READ, 404, EMPTY},
      {UNWRAP, 403, DENIED}}, 6, SCK_E_CONFIG, "keeper vault, unwrap of KEK sk--a at https://vault.example:8200: the token's "
     "policy does not allow it, or there is no such mount: correct mount or the policy"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 404, "{\"errors\":[\"1 error occurred:\\n\\t* unsupported path\\n\\n\"]}"}}, 2, SCK_E_CONFIG,
     "keeper vault, config of KEK sk--a at https://vault.example:8200: the server knows no such path: is the mount a transit "
     "engine? (1 error occurred:\\x0a\\x09* unsupported path\\x0a\\x0a)"},
    {{{MOUNT, 200, TRANSIT}, {CONFIG, 200, KEY("1")}, {DELETE, 204, ""}, {LEADER, 503, "{\"errors\":[\"Vault is sealed\"]}"}}, 4,
     SCK_E_CONNECT, "keeper vault, leader at https://vault.example:8200: the server is sealed: unseal it"},
};

static void
erase_believes_no_single_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof erasures / sizeof erasures[0]; i++) {
        const struct erasure *e = &erasures[i];
        struct sck_erase_proof proof;
        struct sck_err err = SCK_ERR_INIT;
        struct sck_keeper *k = begin(e->steps, e->count, 3);
        enum sck_code rc = erase(k, &proof, &err);
        if (rc != e->code)
            fail_msg("erasure %zu: %s", i, err.message);
        assert_int_equal(proof.how, SCK_ERASURE_IMMEDIATE);
        if (rc == SCK_OK) {
            assert_true(proof.read_says_gone);
            assert_true(proof.canary_refused);
            assert_string_equal(proof.node, e->message);
        } else {
            assert_string_equal(err.message, e->message);
            assert_false(proof.canary_refused);
        }
        end(k);
    }
}

/* ---- prepare and probe ---- */

static void
prepare_believes_what_is_read_back(void **state)
{
    (void)state;
    static const struct step good[] = {
        {MOUNT, 200, TRANSIT}, {"POST transit/config/keys admin", 204, ""},
        {"GET transit/config/keys admin", 200, "{\"data\":{\"disable_upsert\":true}}"},
    };
    struct sck_keeper *k = BEGIN(good, 3);
    EXPECT_OK(sck_transit_prepare(k, &err));
    end(k);
    static const struct step bad[] = {
        {MOUNT, 200, TRANSIT}, {"POST transit/config/keys admin", 200, "{\"data\":{},\"warnings\":[\"ignored\"]}"},
        {"GET transit/config/keys admin", 200, "{\"data\":{\"disable_upsert\":false}}"},
    };
    k = BEGIN(bad, 3);
    EXPECT_FAIL(sck_transit_prepare(k, &err), SCK_E_CONFIG, "keeper vault: the server does not keep disable_upsert: an erased "
                "key could be made again; use OpenBao 2.4 or Vault 1.12, or newer");
    end(k);
}

static void
no_report(void *arg, const char *what, const char *cure)
{
    (void)arg;
    (void)cure;
    fail_msg("reported: %s", what);
}

static void
probe_tells_the_states_of_a_server_apart(void **state)
{
    (void)state;
    static const struct { struct step step; enum sck_code code; const char *message; } cases[] = {
        {{"GET sys/health", 501, "{\"initialized\":false,\"sealed\":true}"}, SCK_E_CONFIG,
         "keeper vault at https://vault.example:8200: the server is not initialised: run its operator init"},
        {{"GET sys/health", 503, "{\"initialized\":true,\"sealed\":true}"}, SCK_E_CONNECT,
         "keeper vault at https://vault.example:8200: the server is sealed: unseal it"},
        {{"GET sys/health", 200, "<html>hello</html>"}, SCK_E_CONFIG,
         "keeper vault, health: the answer lacks initialized: is url a Vault or OpenBao, and mount a transit engine?"},
        {{"GET sys/health", .net = SCK_NET_CONNECT}, SCK_E_CONNECT,
         "keeper vault, health at https://vault.example:8200: the server cannot be reached: start it or correct url "
         "(Couldn't connect to server)"},
        {{"GET sys/health", 429, "{\"errors\":[\"rate limit quota exceeded\"]}"}, SCK_E_CONNECT,
         "keeper vault, health at https://vault.example:8200: the server's rate limit is reached: try again later, or raise the "
         "quota"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sck_keeper *k = begin(&cases[i].step, 1, 0);
        EXPECT_FAIL(k->ops->probe(k, no_report, NULL, &err), cases[i].code, cases[i].message);
        end(k);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_attempts_and_then_the_first_cause),
        cmocka_unit_test(a_later_attempt_succeeds),
        cmocka_unit_test(a_later_verdict_counts),
        cmocka_unit_test(jitter_is_a_quarter_either_way),
        cmocka_unit_test(no_retries_means_one_attempt),
        cmocka_unit_test(what_no_repetition_cures_is_asked_once),
        cmocka_unit_test(an_unknown_500_is_repeated_once),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(a_wait_beyond_the_deadline_is_not_begun),
        cmocka_unit_test(an_attempt_never_outlives_the_deadline),
        cmocka_unit_test(repetitions_exhaust_the_budget),
        cmocka_unit_test(a_replaced_token_is_read_again_once),
        cmocka_unit_test(a_replaced_token_that_is_bad_too_ends_it),
        cmocka_unit_test(an_unknown_denial_asks_lookup_self),
        cmocka_unit_test(a_denied_wrap_asks_whether_the_kek_is_missing),
        cmocka_unit_test(a_strange_ciphertext_is_not_stored),
        cmocka_unit_test(a_strange_plaintext_is_not_given_out),
        cmocka_unit_test(wrap_sends_base64_and_unwrap_takes_it),
        cmocka_unit_test(the_record_names_mount_and_namespace),
        cmocka_unit_test(create_reads_first_and_reads_back),
        cmocka_unit_test(create_survives_a_lost_answer),
        cmocka_unit_test(create_tells_what_is_in_its_way),
        cmocka_unit_test(erase_believes_no_single_answer),
        cmocka_unit_test(prepare_believes_what_is_read_back),
        cmocka_unit_test(probe_tells_the_states_of_a_server_apart),
    };
    return cmocka_run_group_tests_name("vault/http_call", tests, set_up, tear_down);
}
