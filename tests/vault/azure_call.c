/* SPDX-License-Identifier: MIT */
/* Keeper `azure` over a server of a few lines, with a clock of our own: what it asks, what it believes, how often. */
#include "tests/lib/expect.h"
#include "vault/azure/azure.h"
#include "vault/azure/keeper_azure.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define URL "https://my.vault.azure.net"
#define NAME "scopekey--k--abc"
#define VERSIONS_MAX 4

/* The server and the world around it. */
static struct world {
    pthread_mutex_t lock;
    int64_t now_us;
    unsigned requests, challenges, logins, unwraps, rotates, patches, deletes, purges;
    const char *challenge; /* the resource it names */
    int life_s; /* of tokens */
    bool login_fails;
    char token[16]; /* the good one */
    bool refuse_token; /* 401 whatever comes */
    /* The key. */
    int versions;
    int64_t created[VERSIONS_MAX];
    bool enabled[VERSIONS_MAX];
    const char *key_ops, *kty, *exportable;
    int page; /* versions in a page */
    const char *link; /* of the next page, before its number */
    bool lose_rotate; /* the answer, not the rotation */
    /* Its deletion. */
    bool deleted, purged;
    int64_t gone_after_us; /* how long it takes */
    int64_t deleted_us;
    const char *recovery;
    /* What unwrapping says. */
    const char *unwrap_body;
    long unwrap_status;
} w;

static int64_t
clock_now_us(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    int64_t now = w.now_us;
    pthread_mutex_unlock(&w.lock);
    return now;
}

static int64_t
clock_now_s(void *arg)
{
    return clock_now_us(arg) / 1000000;
}
static int64_t
clock_now_ms(void *arg)
{
    return clock_now_us(arg) / 1000;
}

static void
clock_sleep_ms(void *arg, int64_t ms)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    w.now_us += ms * 1000;
    pthread_mutex_unlock(&w.lock);
}

static const struct sck_clock virtual_clock = {clock_now_s, clock_now_ms, clock_now_us, clock_sleep_ms, NULL};

static uint32_t
any_number(void *arg)
{
    (void)arg;
    return 0x80000000U;
}

static void
version_id(int number, char out[33])
{
    /* Not in the order in which they were made. */
    (void)snprintf(out, 33, "%02x%030x", (0xF0 - number * 7) & 0xFF, number);
}

static void
say(struct sck_http_reply *reply, long status, const char *body)
{
    reply->net = SCK_NET_ANSWER;
    reply->status = status;
    if (body != NULL && sck_secret_from(body, strlen(body), &reply->body, NULL) == SCK_OK)
        reply->body_len = strlen(body);
}

static void
say_bundle(struct sck_http_reply *reply, int number)
{
    char body[1600], id[33], n[SCK_B64URL_LEN(256) + 1] = "";
    uint8_t modulus[256];
    memset(modulus, 0xC3, sizeof modulus);
    sck_b64url_encode(modulus, sizeof modulus, n);
    version_id(number, id);
    (void)snprintf(body, sizeof body,
                   "{\"key\":{\"kid\":\"" URL "/keys/" NAME "/%s\",\"kty\":\"%s\",\"key_ops\":%s,"
                   "\"n\":\"%s\",\"e\":\"AQAB\"},\"attributes\":{\"enabled\":%s,\"created\":%lld,\"exportable\":%s}}",
                   id, w.kty, w.key_ops, n, w.enabled[number - 1] ? "true" : "false",
                   (long long)w.created[number - 1], w.exportable);
    say(reply, 200, body);
}

static void
say_versions(struct sck_http_reply *reply, int from)
{
    char body[2048] = "{\"value\":[", id[33];
    int at = from;
    for (; at < w.versions && at < from + w.page; at++) {
        size_t used = strlen(body);
        version_id(at + 1, id);
        (void)snprintf(body + used, sizeof body - used,
                       "%s{\"kid\":\"" URL "/keys/" NAME "/%s\",\"attributes\":{\"enabled\":%s,"
                       "\"created\":%lld}}",
                       at > from ? "," : "", id, w.enabled[at] ? "true" : "false", (long long)w.created[at]);
    }
    size_t used = strlen(body);
    if (at < w.versions)
        (void)snprintf(body + used, sizeof body - used, "],\"nextLink\":\"%s%d\"}", w.link, at);
    else
        (void)snprintf(body + used, sizeof body - used, "],\"nextLink\":null}");
    say(reply, 200, body);
}

static const char missing[] = "{\"error\":{\"code\":\"KeyNotFound\",\"message\":\"none\"}}";
static const char busy[] =
    "{\"error\":{\"code\":\"Conflict\",\"message\":\"x\",\"innererror\":{\"code\":\"ObjectIsBeingDeleted\"}}}";

static void
serve_deleted(const struct sck_http_request *request, struct sck_http_reply *reply)
{
    char body[256];
    bool still = w.now_us < w.deleted_us + w.gone_after_us;
    if (strcmp(request->method, "DELETE") == 0) {
        w.purges++;
        if (w.deleted && still)
            say(reply, 409, busy);
        else if (w.deleted && !w.purged)
            w.purged = true, say(reply, 204, NULL);
        else
            say(reply, 404, missing);
    } else if (!w.deleted || still || w.purged) {
        say(reply, 404, missing);
    } else {
        (void)snprintf(body, sizeof body,
                       "{\"scheduledPurgeDate\":4102444800,\"attributes\":{\"recoveryLevel\":\"%s\"}}", w.recovery);
        say(reply, 200, body);
    }
}

static void
serve_key(const struct sck_http_request *request, const char *rest, struct sck_http_reply *reply)
{
    char id[33];
    bool post = strcmp(request->method, "POST") == 0;
    if (w.deleted || w.versions == 0) {
        w.deletes += strcmp(request->method, "DELETE") == 0;
        say(reply, 404, missing);
    } else if (strncmp(rest, "/versions", 9) == 0) {
        const char *skip = strstr(rest, "skip=");
        say_versions(reply, skip != NULL ? atoi(skip + 5) : 0);
    } else if (post && strncmp(rest, "/rotate", 7) == 0) {
        w.rotates++;
        w.created[w.versions] = w.now_us / 1000000;
        w.enabled[w.versions++] = true;
        if (w.lose_rotate)
            reply->net = SCK_NET_TIMEOUT;
        else
            say_bundle(reply, w.versions);
    } else if (post && strstr(rest, "/unwrapkey") != NULL) {
        w.unwraps++;
        say(reply, w.unwrap_status, w.unwrap_body);
    } else if (strcmp(request->method, "DELETE") == 0) {
        w.deletes++;
        w.deleted = true;
        w.deleted_us = w.now_us;
        say(reply, 200, "{}");
    } else {
        int number = w.versions;
        for (int i = 1; i <= w.versions && rest[0] == '/'; i++) {
            version_id(i, id);
            if (strncmp(rest + 1, id, 32) == 0)
                number = i;
        }
        if (strcmp(request->method, "PATCH") == 0) {
            w.patches++;
            w.enabled[number - 1] = false;
        }
        say_bundle(reply, number);
    }
}

static void
serve(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    char body[128];
    (void)arg;
    pthread_mutex_lock(&w.lock);
    *reply = (struct sck_http_reply){.net = SCK_NET_ANSWER};
    w.requests++;
    const char *path = strstr(request->url, "://") + 3;
    path += strcspn(path, "/");
    if (strstr(path, "/oauth2/v2.0/token") != NULL) {
        w.logins++;
        (void)snprintf(w.token, sizeof w.token, "token-%u", w.logins);
        (void)snprintf(body, sizeof body, "{\"access_token\":\"%s\",\"expires_in\":%d}", w.token, w.life_s);
        say(reply, w.login_fails ? 401 : 200, w.login_fails ? "{\"error\":\"invalid_client\"}" : body);
    } else if (request->token == NULL) {
        w.challenges++;
        say(reply, 401, "{}");
        (void)snprintf(reply->challenge, sizeof reply->challenge,
                       "Bearer authorization=\"https://l/t\", resource=\"%s\"", w.challenge);
    } else if (w.refuse_token || strlen(w.token) != request->token->len ||
               memcmp(w.token, request->token->data, request->token->len) != 0) {
        say(reply, 401, "{\"error\":{\"code\":\"Unauthorized\",\"message\":\"AKV10022\"}}");
    } else if (strncmp(path, "/deletedkeys/", 13) == 0) {
        serve_deleted(request, reply);
    } else if (strncmp(path, "/keys/" NAME, strlen("/keys/" NAME)) == 0) {
        serve_key(request, path + strlen("/keys/" NAME), reply);
    } else {
        say(reply, 404, missing);
    }
    pthread_mutex_unlock(&w.lock);
}

/* A mac that anybody can check here: its key is one byte. */
static enum sck_code
test_mac(void *arg, const void *data, size_t len, uint8_t out[SCK_SHA256_LEN], struct sck_err *err)
{
    return sck_hmac_sha256(arg, 1, data, len, out, err);
}

static uint8_t our_key = 7, their_key = 8;
static char good_unwrap[256];
static const struct sck_kek kek = {.name = NAME, .generation = 1, .version = 1, .mount = "", .name_space = ""};

static void
world_reset(void)
{
    char id[33], value[SCK_B64URL_LEN(SCK_PAYLOAD_LEN) + 1] = "";
    uint8_t payload[SCK_PAYLOAD_LEN];
    w = (struct world){.lock = PTHREAD_MUTEX_INITIALIZER,
                       .now_us = 1000000000,
                       .challenge = "https://vault.azure.net",
                       .life_s = 3600,
                       .versions = 1,
                       .created = {100},
                       .enabled = {true},
                       .key_ops = "[\"wrapKey\",\"unwrapKey\"]",
                       .kty = "RSA",
                       .exportable = "false",
                       .page = 25,
                       .link = URL ":443/keys/" NAME "/versions?api-version=7.4&skip=",
                       .recovery = "Recoverable+Purgeable",
                       .unwrap_status = 200};
    memset(payload, 0x5A, sizeof payload);
    sck_b64url_encode(payload, sizeof payload, value);
    version_id(1, id);
    (void)snprintf(good_unwrap, sizeof good_unwrap, "{\"kid\":\"" URL "/keys/" NAME "/%s\",\"value\":\"%s\"}", id,
                   value);
    w.unwrap_body = good_unwrap;
}

static struct sck_keeper *
open_with(uint8_t *mac_key)
{
    static const uint8_t text[] = "secret";
    struct sck_secret *secret = NULL;
    struct sck_keeper *keeper = NULL;
    const struct sck_env env = {&virtual_clock, any_number, NULL, serve, NULL};
    EXPECT_OK(sck_secret_from(text, 6, &secret, &err));
    const struct sck_keeper_azure_conf conf = {.url = URL,
                                               .tenant_id = "t",
                                               .authority = "https://login.example",
                                               .metadata = "http://169.254.169.254",
                                               .data = {.client_id = "c", .secret = secret},
                                               .key_type = "RSA",
                                               .key_bits = 2048,
                                               .purge = true,
                                               .delete_wait_ms = 5000,
                                               .max_retries = 3,
                                               .mac = test_mac,
                                               .mac_arg = mac_key};
    EXPECT_OK(sck_keeper_azure_new(&conf, &env, &keeper, &err));
    sck_secret_free(&secret);
    assert_int_equal(w.requests, 0);
    return keeper;
}

static struct sck_buf
wrap_with(struct sck_keeper *keeper, uint32_t *version)
{
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    EXPECT_OK(sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err));
    EXPECT_OK(keeper->ops->wrap(keeper, &kek, payload, &blob, version, &err));
    sck_secret_free(&payload);
    return blob;
}

static enum sck_code
unwrap(struct sck_keeper *keeper, const struct sck_buf *blob, uint32_t version, struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    enum sck_code rc = keeper->ops->unwrap(keeper, &kek, version, blob->data, blob->len, &payload, err);
    if (rc == SCK_OK) {
        assert_int_equal(payload->len, SCK_PAYLOAD_LEN);
        assert_int_equal(payload->data[71], 0x5A);
    } else {
        assert_null(payload);
    }
    sck_secret_free(&payload);
    return rc;
}

#define NOT_OURS                                                                                                     \
    "keeper azure, unwrap of KEK " NAME ": the wrapped DEK was altered or not made here, so the vault is not asked"

/* Everybody may have the public key: what it made is refused, and the vault hears nothing of it. */
static void
forged_deks_are_refused_unasked(void **state)
{
    (void)state;
    world_reset();
    uint32_t version = 0;
    struct sck_keeper *forger = open_with(&their_key);
    struct sck_buf forged = wrap_with(forger, &version);
    forger->ops->close(forger);
    world_reset();
    struct sck_keeper *keeper = open_with(&our_key);
    EXPECT_FAIL(unwrap(keeper, &forged, version, &err), SCK_E_AUTHENTIC, NOT_OURS);
    assert_int_equal(w.requests, 0);
    sck_buf_clear(&forged);

    struct sck_buf blob = wrap_with(keeper, &version);
    assert_int_equal(version, 1);
    assert_int_equal(blob.len, 33 + 256 + 32);
    assert_int_equal(w.unwraps, 0);
    EXPECT_OK(unwrap(keeper, &blob, 1, &err));
    assert_int_equal(w.unwraps, 1);
    unsigned before = w.requests;
    EXPECT_FAIL(unwrap(keeper, &blob, 2, &err), SCK_E_AUTHENTIC, NOT_OURS);
    for (size_t at = 0; at < blob.len; at += 7) {
        struct sck_err err = SCK_ERR_INIT;
        blob.data[at] ^= 1;
        assert_int_equal(unwrap(keeper, &blob, 1, &err), SCK_E_AUTHENTIC);
        blob.data[at] ^= 1;
    }
    struct sck_kek other = kek;
    struct sck_secret *payload = NULL;
    other.name = "scopekey--k--abd";
    EXPECT_FAIL(
        keeper->ops->unwrap(keeper, &other, 1, blob.data, blob.len, &payload, &err), SCK_E_AUTHENTIC,
        "keeper azure, unwrap of KEK scopekey--k--abd: the wrapped DEK was altered or not made here, so the vault is "
        "not asked");
    for (size_t len = 0; len < blob.len; len += 13) {
        struct sck_buf cut = blob;
        cut.len = len;
        struct sck_err err = SCK_ERR_INIT;
        assert_int_equal(unwrap(keeper, &cut, 1, &err), SCK_E_AUTHENTIC);
    }
    EXPECT_FAIL(unwrap(keeper, &blob, 0, &err), SCK_E_AUTHENTIC,
                "keeper azure: this is no wrapped DEK of this keeper");
    EXPECT_FAIL(unwrap(keeper, &blob, 0x1000000, &err), SCK_E_AUTHENTIC,
                "keeper azure: this is no wrapped DEK of this keeper");
    assert_int_equal(w.requests, before);
    sck_buf_clear(&blob);
    keeper->ops->close(keeper);
}

static void
lies_about_a_payload_are_noticed(void **state)
{
    (void)state;
    world_reset();
    uint32_t version = 0;
    char other[256], short_one[256];
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_buf blob = wrap_with(keeper, &version);
    static const char strange[] =
        "keeper azure, unwrap of KEK " NAME ": the answer lacks a value and the version that it is "
        "under: is url a Key Vault?";
    (void)snprintf(other, sizeof other, "%s", good_unwrap);
    other[strlen("{\"kid\":\"" URL "/keys/" NAME "/")] = '0';
    (void)snprintf(short_one, sizeof short_one, "%.*s\"}", (int)strlen(good_unwrap) - 6, good_unwrap);
    static const char *const bodies[] = {"{}", "[]", "", "{\"value\":\"AAAA\"}", "not json"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        w.unwrap_body = bodies[i];
        EXPECT_FAIL(unwrap(keeper, &blob, 1, &err), SCK_E_CONFIG, strange);
    }
    w.unwrap_body = other;
    EXPECT_FAIL(unwrap(keeper, &blob, 1, &err), SCK_E_CONFIG, strange);
    w.unwrap_body = short_one;
    EXPECT_FAIL(unwrap(keeper, &blob, 1, &err), SCK_E_AUTHENTIC,
                "keeper azure, unwrap of KEK " NAME ": what came out is no payload of Scopekey");
    w.unwrap_status = 400;
    w.unwrap_body = "{\"error\":{\"code\":\"BadParameter\",\"message\":\"x\"}}";
    EXPECT_FAIL(unwrap(keeper, &blob, 1, &err), SCK_E_AUTHENTIC,
                "keeper azure, unwrap of KEK " NAME " at " URL ": the wrapped DEK was altered or is not of this KEK");
    sck_buf_clear(&blob);
    keeper->ops->close(keeper);
}

static void
tokens_are_kept_until_five_minutes_before_their_end(void **state)
{
    (void)state;
    world_reset();
    uint32_t version = 0;
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_buf blob = wrap_with(keeper, &version);
    assert_int_equal(w.logins, 1);
    w.now_us += (int64_t)3290 * 1000000;
    EXPECT_OK(unwrap(keeper, &blob, 1, &err));
    assert_int_equal(w.logins, 1);
    w.now_us += (int64_t)11 * 1000000;
    EXPECT_OK(unwrap(keeper, &blob, 1, &err));
    EXPECT_OK(unwrap(keeper, &blob, 1, &err));
    assert_int_equal(w.logins, 2);
    assert_int_equal(w.challenges, 1);
    /* Refused before its end: replaced once, by one login. */
    (void)snprintf(w.token, sizeof w.token, "revoked");
    EXPECT_OK(unwrap(keeper, &blob, 1, &err));
    assert_int_equal(w.logins, 3);
    w.refuse_token = true;
    unsigned before = w.requests;
    EXPECT_FAIL(unwrap(keeper, &blob, 1, &err), SCK_E_CREDENTIAL,
                "keeper azure, unwrap of KEK " NAME " at " URL ": the vault "
                "refuses the token: is tenant_id the vault's? (Unauthorized: AKV10022); 2 attempts");
    assert_int_equal(w.logins, 4);
    assert_int_equal(w.requests, before + 3);
    sck_buf_clear(&blob);
    keeper->ops->close(keeper);
}

static void
a_foreign_resource_gets_no_token(void **state)
{
    (void)state;
    world_reset();
    w.challenge = "https://management.azure.com";
    struct sck_keeper *keeper = open_with(&our_key);
    uint32_t version = 0;
    EXPECT_FAIL(keeper->ops->newest(keeper, &kek, &version, &err), SCK_E_CONFIG,
                "keeper azure at " URL ": it wants a token for "
                "another resource, so none is sent: is url the vault's own address?");
    assert_int_equal(w.requests, 1);
    assert_int_equal(w.logins, 0);
    keeper->ops->close(keeper);
}

static void *
ask_newest(void *arg)
{
    uint32_t version = 0;
    struct sck_keeper *keeper = arg;
    enum sck_code rc = keeper->ops->newest(keeper, &kek, &version, NULL);
    return (void *)(uintptr_t)rc;
}

static void
one_login_serves_all_who_wait(void **state)
{
    (void)state;
    pthread_t threads[16];
    for (int fails = 0; fails < 2; fails++) {
        world_reset();
        w.login_fails = fails == 1;
        struct sck_keeper *keeper = open_with(&our_key);
        for (size_t i = 0; i < 16; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, ask_newest, keeper), 0);
        for (size_t i = 0; i < 16; i++) {
            void *rc = NULL;
            assert_int_equal(pthread_join(threads[i], &rc), 0);
            assert_int_equal((uintptr_t)rc, fails == 1 ? SCK_E_CREDENTIAL : SCK_OK);
        }
        if (fails == 0)
            assert_int_equal(w.logins, 1);
        assert_true(w.logins <= 16);
        keeper->ops->close(keeper);
    }
}

static void
versions_are_counted_page_by_page(void **state)
{
    (void)state;
    world_reset();
    w.versions = 3;
    w.page = 1;
    for (int i = 0; i < 3; i++)
        w.created[i] = 100 + i, w.enabled[i] = true;
    struct sck_keeper *keeper = open_with(&our_key);
    uint32_t version = 0;
    EXPECT_OK(keeper->ops->newest(keeper, &kek, &version, &err));
    assert_int_equal(version, 3);
    static const char *const elsewhere[] = {"https://evil.example/keys/x?skip=",
                                            "http://my.vault.azure.net/keys?skip=",
                                            URL ".evil/keys?skip=",
                                            URL ":8443/keys?skip=",
                                            URL "@evil/?skip=",
                                            "/keys?skip="};
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        w.link = elsewhere[i];
        EXPECT_FAIL(keeper->ops->newest(keeper, &kek, &version, &err), SCK_E_CONFIG,
                    "keeper azure, versions of KEK " NAME
                    ": the answer lacks a next page at the same vault: is url a Key Vault?");
    }
    w.versions = 0;
    EXPECT_FAIL(keeper->ops->newest(keeper, &kek, &version, &err), SCK_E_NOT_FOUND,
                "keeper azure, versions of KEK " NAME " at " URL ": no such KEK");
    keeper->ops->close(keeper);
}

static void
rotation_is_asked_for_once(void **state)
{
    (void)state;
    world_reset();
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_kek_made made;
    uint32_t version = 0;
    struct sck_buf blob = wrap_with(keeper, &version);
    sck_buf_clear(&blob);
    EXPECT_OK(keeper->ops->rotate(keeper, &kek, &made, &err));
    assert_int_equal(made.version, 2);
    blob = wrap_with(keeper, &version);
    assert_int_equal(version, 2);
    sck_buf_clear(&blob);
    w.lose_rotate = true;
    EXPECT_FAIL(keeper->ops->rotate(keeper, &kek, &made, &err), SCK_E_CONNECT,
                "keeper azure, rotate of KEK " NAME " at " URL
                ": no answer came in time, so that nobody knows whether it was done: run the same command again");
    assert_int_equal(w.rotates, 2);
    EXPECT_OK(keeper->ops->newest(keeper, &kek, &version, &err));
    assert_int_equal(version, 3);
    keeper->ops->close(keeper);
}

static void
retiring_disables_what_is_older(void **state)
{
    (void)state;
    world_reset();
    w.versions = 3;
    for (int i = 0; i < 3; i++)
        w.created[i] = 100 + i, w.enabled[i] = true;
    struct sck_keeper *keeper = open_with(&our_key);
    EXPECT_OK(keeper->ops->retire(keeper, &kek, 1, &err));
    assert_int_equal(w.patches, 0);
    EXPECT_OK(keeper->ops->retire(keeper, &kek, 3, &err));
    assert_int_equal(w.patches, 2);
    assert_false(w.enabled[0] || w.enabled[1]);
    assert_true(w.enabled[2]);
    EXPECT_OK(keeper->ops->retire(keeper, &kek, 3, &err));
    assert_int_equal(w.patches, 2);
    EXPECT_FAIL(keeper->ops->retire(keeper, &kek, 4, &err), SCK_E_USAGE,
                "keeper azure: KEK " NAME " has versions 1 to 3, not 4");
    /* Of two that were made in one second only the newest is known. */
    w.enabled[0] = w.enabled[1] = true;
    w.created[1] = w.created[2];
    EXPECT_OK(keeper->ops->retire(keeper, &kek, 3, &err));
    assert_false(w.enabled[0] || w.enabled[1]);
    assert_true(w.enabled[2]);
    w.created[1] = w.created[0];
    EXPECT_FAIL(keeper->ops->retire(keeper, &kek, 2, &err), SCK_E_STATE,
                "keeper azure: versions 1 and 2 of KEK " NAME
                " were made in one second, and the vault does not say which was first: rotate once more, rewrap, and "
                "retire then");
    keeper->ops->close(keeper);
}

static void
only_keys_that_wrap_and_nothing_else_are_used(void **state)
{
    (void)state;
    struct sck_azure_key key;
    world_reset();
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_azure *a = sck_azure_of(keeper);
    static const char foreign[] =
        "keeper azure: KEK " NAME " is no key that wraps and unwraps and does nothing else: someone "
        "else made it";
    w.key_ops = "[\"wrapKey\",\"unwrapKey\",\"decrypt\"]";
    EXPECT_FAIL(sck_azure_key_get(a, NAME, 1, 0, &key, &err), SCK_E_STATE, foreign);
    w.key_ops = "[\"wrapKey\"]";
    EXPECT_FAIL(sck_azure_key_get(a, NAME, 1, 0, &key, &err), SCK_E_STATE, foreign);
    w.key_ops = "[\"unwrapKey\",\"wrapKey\"]";
    w.kty = "EC";
    EXPECT_FAIL(sck_azure_key_get(a, NAME, 1, 0, &key, &err), SCK_E_STATE, foreign);
    w.kty = "RSA-HSM";
    w.exportable = "true";
    EXPECT_FAIL(sck_azure_key_get(a, NAME, 1, 0, &key, &err), SCK_E_STATE,
                "keeper azure: KEK " NAME " can be exported: erase its owner");
    w.exportable = "false";
    w.enabled[0] = false;
    EXPECT_FAIL(sck_azure_key_get(a, NAME, 1, 0, &key, &err), SCK_E_STATE,
                "keeper azure: every version of KEK " NAME " is disabled: enable the newest");
    /* A disabled newest version is passed over. */
    w.versions = 3;
    w.created[1] = 101, w.created[2] = 101;
    w.enabled[0] = w.enabled[1] = true;
    EXPECT_OK(sck_azure_key_get(a, NAME, 1, 0, &key, &err));
    assert_int_equal(key.number, 2);
    sck_azure_key_release(&key);
    /* Cached for ten minutes, or until it is too old. */
    unsigned before = w.requests;
    EXPECT_OK(sck_azure_key_get(a, NAME, 2, 0, &key, &err));
    assert_int_equal(w.requests, before);
    sck_azure_key_release(&key);
    w.enabled[2] = true;
    EXPECT_OK(sck_azure_key_get(a, NAME, 3, 0, &key, &err));
    assert_int_equal(key.number, 3);
    sck_azure_key_release(&key);
    before = w.requests;
    w.now_us += (int64_t)601 * 1000000;
    EXPECT_OK(sck_azure_key_get(a, NAME, 3, 0, &key, &err));
    assert_int_equal(w.requests, before + 2);
    sck_azure_key_release(&key);
    keeper->ops->close(keeper);
}

static void
erasure_waits_for_the_vault_and_says_what_it_saw(void **state)
{
    (void)state;
    struct sck_erase_proof proof;
    world_reset();
    w.gone_after_us = 2000000;
    struct sck_keeper *keeper = open_with(&our_key);
    EXPECT_OK(keeper->ops->erase(keeper, &kek, 1, NULL, 0, &proof, &err));
    assert_true(proof.how == SCK_ERASURE_IMMEDIATE && proof.read_says_gone && proof.canary_refused);
    assert_int_equal(proof.effective_s, 0);
    assert_string_equal(proof.node, URL);
    assert_true(w.deletes == 1 && w.purged);
    /* Once more: gone already. */
    EXPECT_OK(keeper->ops->erase(keeper, &kek, 1, NULL, 0, &proof, &err));
    assert_int_equal(proof.how, SCK_ERASURE_IMMEDIATE);
    keeper->ops->close(keeper);

    world_reset();
    w.recovery = "Recoverable";
    keeper = open_with(&our_key);
    EXPECT_OK(keeper->ops->erase(keeper, &kek, 1, NULL, 0, &proof, &err));
    assert_true(proof.how == SCK_ERASURE_SCHEDULED && proof.read_says_gone && proof.canary_refused);
    assert_int_equal(proof.effective_s, 4102444800);
    assert_int_equal(w.purges, 0);
    keeper->ops->close(keeper);

    world_reset();
    w.gone_after_us = 60000000;
    keeper = open_with(&our_key);
    EXPECT_FAIL(keeper->ops->erase(keeper, &kek, 1, NULL, 0, &proof, &err), SCK_E_BUSY,
                "keeper azure, erase of KEK " NAME " at " URL
                ": the vault is still deleting it: run the same command again");
    assert_false(proof.read_says_gone || proof.canary_refused);
    keeper->ops->close(keeper);
}

/* ---- many at once ---- */

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t all;
    unsigned done, cancelled;
};

static void
count_done(struct sck_keeper_work *work)
{
    struct tally *t = work->arg;
    pthread_mutex_lock(&t->lock);
    t->done++;
    t->cancelled += work->code == SCK_E_CANCELLED;
    (void)pthread_cond_signal(&t->all);
    pthread_mutex_unlock(&t->lock);
}

enum { WORKS = 64, ITEMS = 5 };

static void
work_goes_on_in_parallel_and_is_told_once(void **state)
{
    (void)state;
    static struct sck_keeper_work works[WORKS];
    static struct sck_keeper_item items[WORKS][ITEMS];
    struct tally t = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    uint32_t version = 0;
    world_reset();
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_buf blob = wrap_with(keeper, &version), bad = wrap_with(keeper, &version);
    bad.data[40] ^= 1;
    memset(works, 0, sizeof works);
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < WORKS; i++) {
        for (size_t k = 0; k < ITEMS; k++) {
            items[i][k].blob = sck_buf_bytes(i % 4 == 1 && k >= 2 ? &bad : &blob);
            items[i][k].version = 1;
        }
        works[i] = (struct sck_keeper_work){
            .what = SCK_KEEPER_UNWRAP, .kek = &kek, .items = items[i], .count = ITEMS, .done = count_done, .arg = &t};
        assert_int_equal(keeper->ops->submit(keeper, &works[i]), SCK_OK);
        if (i % 4 == 3)
            keeper->ops->cancel(keeper, &works[i]);
    }
    pthread_mutex_lock(&t.lock);
    while (t.done < WORKS)
        (void)pthread_cond_wait(&t.all, &t.lock);
    pthread_mutex_unlock(&t.lock);
    assert_int_equal(t.done, WORKS);
    for (size_t i = 0; i < WORKS; i++) {
        if (i % 4 == 1) {
            assert_int_equal(works[i].code, SCK_E_AUTHENTIC);
            assert_string_equal(works[i].err.message, NOT_OURS);
        } else if (i % 4 != 3) {
            assert_int_equal(works[i].code, SCK_OK);
        }
        for (size_t k = 0; k < ITEMS; k++) {
            assert_true((items[i][k].opened != NULL) == (items[i][k].code == SCK_OK));
            assert_true(items[i][k].code == SCK_OK || i % 4 == 3 || (i % 4 == 1 && k >= 2));
            sck_secret_free(&items[i][k].opened);
        }
    }
    assert_int_equal(w.logins, 1);
    sck_buf_clear(&blob);
    sck_buf_clear(&bad);
    keeper->ops->close(keeper);
}

static void
rewrapping_moves_to_the_newest_version(void **state)
{
    (void)state;
    struct sck_keeper_item items[3] = {{0}};
    uint32_t version = 0;
    world_reset();
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_buf blob = wrap_with(keeper, &version);
    w.versions = 2;
    w.created[1] = 200;
    w.enabled[1] = true;
    struct sck_kek newer = kek;
    newer.version = 2;
    struct sck_keeper_work work = {.what = SCK_KEEPER_REWRAP, .kek = &newer, .items = items, .count = 3};
    for (size_t i = 0; i < 3; i++) {
        items[i].blob = sck_buf_bytes(&blob);
        items[i].version = 1;
        sck_buf_init(&items[i].out, SCK_KEEPER_BLOB_MAX);
    }
    assert_false(keeper->ops->rewraps_blind);
    assert_int_equal(keeper->ops->run(keeper, &work), SCK_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(items[i].version, 2);
        assert_int_equal(items[i].out.len, blob.len);
        assert_memory_not_equal(items[i].out.data, blob.data, 32);
        sck_buf_clear(&items[i].out);
    }
    work.count = 0;
    assert_int_equal(keeper->ops->run(keeper, &work), SCK_OK);
    assert_int_equal(keeper->ops->submit(keeper, &work), SCK_E_USAGE);
    work.count = 1;
    work.deadline_us = 1;
    assert_int_equal(keeper->ops->run(keeper, &work), SCK_E_BUSY);
    assert_string_equal(work.err.message, "keeper azure: the time for this work is over");
    sck_buf_clear(&blob);
    keeper->ops->close(keeper);
}

/* A child begins with no thread and no login of its parent's under way, and uses what is in memory. */
static void
a_child_goes_on(void **state)
{
    (void)state;
    uint32_t version = 0;
    struct sck_keeper_item items[4] = {{0}};
    world_reset();
    struct sck_keeper *keeper = open_with(&our_key);
    struct sck_buf blob = wrap_with(keeper, &version);
    struct sck_keeper_work work = {.what = SCK_KEEPER_UNWRAP, .kek = &kek, .items = items, .count = 4};
    for (size_t i = 0; i < 4; i++) {
        items[i].blob = sck_buf_bytes(&blob);
        items[i].version = 1;
    }
    assert_int_equal(keeper->ops->run(keeper, &work), SCK_OK);
    for (size_t i = 0; i < 4; i++)
        sck_secret_free(&items[i].opened);
#ifdef __SANITIZE_THREAD__
    /* It knows no threads that are started in a child of a process with threads: one DEK needs none. */
    work.count = 1;
#endif
    pid_t child = fork();
    if (child == 0) {
        bool well = keeper->ops->run(keeper, &work) == SCK_OK && w.logins == 1;
        for (size_t i = 0; i < 4; i++)
            sck_secret_free(&items[i].opened);
        keeper->ops->close(keeper);
        _exit(well ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sck_buf_clear(&blob);
    keeper->ops->close(keeper);
}

static void
settings_are_checked(void **state)
{
    (void)state;
    static const struct sck_keeper_azure_conf good = {.url = URL,
                                                      .tenant_id = "t",
                                                      .authority = "https://login.example",
                                                      .metadata = "http://169.254.169.254",
                                                      .data = {.credential = SCK_AZURE_MANAGED},
                                                      .key_type = "RSA",
                                                      .key_bits = 2048,
                                                      .mac = test_mac};
    struct sck_keeper *keeper = NULL;
    struct sck_keeper_azure_conf conf;
#define REFUSED(field, value, message)                                                                               \
    do {                                                                                                             \
        conf = good;                                                                                                 \
        conf.field = value;                                                                                          \
        EXPECT_FAIL(sck_keeper_azure_new(&conf, NULL, &keeper, &err), SCK_E_CONFIG, "keeper azure: " message);       \
        assert_null(keeper);                                                                                         \
    } while (0)
    conf = good;
    EXPECT_OK(sck_keeper_azure_new(&conf, NULL, &keeper, &err));
    keeper->ops->close(keeper);
    keeper = NULL;
    REFUSED(url, "vault", "url is malformed: write https://host:port");
    REFUSED(url, "ftp://my.vault.azure.net", "url must begin with https://");
    REFUSED(url, URL "/keys", "url must be scheme, host and port alone");
    REFUSED(url, "https://user@my.vault.azure.net", "url is malformed: write https://host:port");
    REFUSED(url, "http://127.0.0.1",
            "url is http://: use https://, or for a server on this machine set insecure_http = true");
    REFUSED(authority, "http://169.254.169.254",
            "authority is http://: use https://, or for a server on this machine set insecure_http = true");
    REFUSED(metadata, "http://10.0.0.1", "http:// is for a server on this machine alone: use https://");
    REFUSED(tenant_id, "a/b", "tenant_id is neither a tenant's id nor its domain");
    REFUSED(tenant_id, "..", "tenant_id is neither a tenant's id nor its domain");
    REFUSED(key_bits, 1024, "key_bits must be 2048, 3072 or 4096");
    REFUSED(key_type, "EC", "key_type must be rsa, rsa-hsm or oct-hsm");
    REFUSED(max_retries, 11, "max_retries must be at most 10");
    REFUSED(delete_wait_ms, -1, "times must not be negative");
    REFUSED(data.credential, SCK_AZURE_SECRET, "set client_id (or KEY_VAULT_CLIENT_ID) in [keeper azure]");
    REFUSED(data.client_id, "a&b=c", "client_id is no application id");
#undef REFUSED
    conf = good;
    conf.data =
        (struct sck_azure_identity){.credential = SCK_AZURE_CERTIFICATE, .client_id = "c", .certificate_file = "x"};
    EXPECT_FAIL(sck_keeper_azure_new(&conf, NULL, &keeper, &err), SCK_E_CONFIG,
                "keeper azure: set certificate_key_file in [keeper azure]");
    conf = good;
    conf.admin = (struct sck_azure_identity){.credential = SCK_AZURE_SECRET, .client_id = "c"};
    EXPECT_FAIL(sck_keeper_azure_new(&conf, NULL, &keeper, &err), SCK_E_CONFIG,
                "keeper azure: set admin_client_secret_file in [keeper azure]");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(forged_deks_are_refused_unasked),
        cmocka_unit_test(lies_about_a_payload_are_noticed),
        cmocka_unit_test(tokens_are_kept_until_five_minutes_before_their_end),
        cmocka_unit_test(a_foreign_resource_gets_no_token),
        cmocka_unit_test(one_login_serves_all_who_wait),
        cmocka_unit_test(versions_are_counted_page_by_page),
        cmocka_unit_test(rotation_is_asked_for_once),
        cmocka_unit_test(retiring_disables_what_is_older),
        cmocka_unit_test(only_keys_that_wrap_and_nothing_else_are_used),
        cmocka_unit_test(erasure_waits_for_the_vault_and_says_what_it_saw),
        cmocka_unit_test(work_goes_on_in_parallel_and_is_told_once),
        cmocka_unit_test(rewrapping_moves_to_the_newest_version),
        cmocka_unit_test(a_child_goes_on),
    };
    return cmocka_run_group_tests_name("vault/azure_call", tests, NULL, NULL);
}
