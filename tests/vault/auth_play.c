/* SPDX-License-Identifier: MIT */
/*
 * A credential of keeper `vault` over answers from a script, with a clock that only the test moves: what is asked when,
 * and never more than that.  Then with threads, a fork, and a server that takes its time.
 */
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/metric.h"
#include "tests/lib/expect.h"
#include "tests/lib/forkgate.h"
#include "vault/http/auth.h"
#include "vault/http/call.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A script names what matters of a step; the rest is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define S INT64_C(1000000)
enum { MANY = 64 };

/* One request that must come, and its answer. */
struct step {
    const char *want;           /* "METHOD path [token] [in namespace] [body]" */
    long status;
    const char *body;
    enum sck_net net;
};

static struct {
    const struct step *steps;
    size_t count, at;
    int64_t now_us;
    uint32_t random;
    bool fresh;
    bool certified;
    atomic_int logins, slow_ms;     /* without a script */
} play;

static int64_t clock_s(void *arg) { (void)arg; return play.now_us / S; }
static int64_t clock_ms(void *arg) { (void)arg; return play.now_us / 1000; }
static int64_t clock_us(void *arg) { (void)arg; return play.now_us; }
static void clock_sleep(void *arg, int64_t ms) { (void)arg; play.now_us += ms * 1000; }
static const struct sck_clock clock_played = {clock_s, clock_ms, clock_us, clock_sleep, NULL};
static uint32_t random_played(void *arg) { (void)arg; return play.random; }

static void
put_secret(char *out, size_t cap, const char *before, const struct sck_secret *s)
{
    if (s != NULL)
        (void)snprintf(out + strlen(out), cap - strlen(out), "%s%.*s", before, (int)s->len, (const char *)s->data);
}

static void
answer(struct sck_http_reply *reply, enum sck_net net, long status, const char *body)
{
    *reply = (struct sck_http_reply){.net = net, .status = status};
    reply->body_len = body != NULL ? strlen(body) : 0;
    if (reply->body_len > 0)
        assert_int_equal(sck_secret_from(body, reply->body_len, &reply->body, NULL), SCK_OK);
}

static void
exchange_played(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    char got[600];
    (void)arg;
    (void)snprintf(got, sizeof got, "%s %s", request->method, request->url + strlen("https://v/v1/"));
    put_secret(got, sizeof got, " ", request->token);
    if (request->header_count == 2)
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), " in %s", request->headers[1].value);
    put_secret(got, sizeof got, " ", request->body);
    if (play.at == play.count)
        fail_msg("one request too many: %s", got);
    const struct step *step = &play.steps[play.at++];
    assert_string_equal(got, step->want);
    play.fresh = request->fresh;
    play.certified = request->identity != NULL && strcmp(request->identity->cert_file, "client.pem") == 0;
    answer(reply, step->net, step->status, step->body);
}

/* ---- a credential for one script ---- */

static struct sck_remote remote;
static struct sck_credential credential;
static char dir[64];

static int
set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "auth_play.XXXXXX");
    sck_log_setup(2, SCK_LOG_CRITICAL, SCK_LOG_TEXT);
    return mkdtemp(dir) != NULL ? chdir(dir) : -1;
}

static int
tear_down(void **state)
{
    static const char *const files[] = {"token", "secret", "jwt", "client.pem", "client.key"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        (void)unlink(files[i]);
    return chdir("..") == 0 ? rmdir(dir) : -1;
}

static void
put(const char *path, const char *text)
{
    assert_int_equal(sck_file_replace(path, text, strlen(text), 0600, NULL), SCK_OK);
}

static void
begin_with(const struct sck_keeper_vault_auth *conf, const struct sck_env *env, bool threaded)
{
    remote = (struct sck_remote){.dialect = &sck_vault_dialect, .env = *env, .nodes = {"https://v"}, .node_count = 1,
                                 .request_timeout_ms = 5000, .deadline_ms = 30000, .retry_backoff_ms = 100};
    sck_remote_init(&remote);
    const struct sck_auth_setup setup = {.what = "the data token", .role_word = "data", .prefix = "", .conf = conf,
                                         .token_file = "token", .name_space = "", .remote = &remote,
                                         .threaded = threaded};
    credential = (struct sck_credential){NULL};
    EXPECT_OK(sck_auth_init(&credential, &setup, &err));
}

static void
begin(const struct sck_keeper_vault_auth *conf, const struct step *steps, size_t count)
{
    const struct sck_env env = {&clock_played, random_played, NULL, exchange_played, NULL};
    play.steps = steps;
    play.count = count;
    play.at = 0;
    play.random = 0;
    play.now_us = 1000 * S;
    begin_with(conf, &env, false);
}

#define BEGIN(conf, steps) begin(conf, steps, sizeof(steps) / sizeof((steps)[0]))

static void
end(void)
{
    sck_credential_clear(&credential);
    sck_remote_clear(&remote);
    assert_int_equal(play.at, play.count);
}

static enum sck_code
get(const char *refused, struct sck_secret **token, struct sck_err *err)
{
    struct sck_secret *bad = NULL;
    if (refused != NULL)
        assert_int_equal(sck_secret_from(refused, strlen(refused), &bad, NULL), SCK_OK);
    enum sck_code rc = credential.ops->get(&credential, bad, INT64_MAX, token, err);
    sck_secret_free(&bad);
    assert_int_equal(*token != NULL, rc == SCK_OK);
    return rc;
}

static void
gets(const char *refused, const char *want)
{
    struct sck_secret *token = NULL;
    EXPECT_OK(get(refused, &token, &err));
    assert_int_equal(token->len, strlen(want));
    assert_memory_equal(token->data, want, token->len);
    sck_secret_free(&token);
}

static void
fails(const char *refused, enum sck_code code, const char *want)
{
    struct sck_secret *token = NULL;
    EXPECT_FAIL(get(refused, &token, &err), code, want);
}

static void
works(const char *value)
{
    struct sck_secret *token = NULL;
    assert_int_equal(sck_secret_from(value, strlen(value), &token, NULL), SCK_OK);
    credential.ops->proved(&credential, token);
    sck_secret_free(&token);
}

/* The next thing is due `us` from now; nothing is asked before. */
static void
next_in(int64_t us)
{
    int64_t due = sck_auth_step(sck_auth_of(&credential));
    if (us == SCK_LEASE_NEVER)
        assert_int_equal(due, SCK_LEASE_NEVER);
    else
        assert_int_equal(due - play.now_us, us);
}

static void
pass_us(int64_t us)
{
    size_t before = play.at;
    play.now_us += us - 1;
    (void)sck_auth_step(sck_auth_of(&credential));
    assert_int_equal(play.at, before);
    play.now_us += 1;
}

#define TOKEN(token, lease, renewable) \
    "{\"auth\":{\"client_token\":\"" token "\",\"lease_duration\":" lease ",\"renewable\":" renewable ",\"token_type\":\"service\"}}"
#define LOGIN "POST auth/approle/login {\"role_id\":\"r\",\"secret_id\":\"s\"}"
#define RENEW(token) "POST auth/token/renew-self " token
#define REVOKE(token) "POST auth/token/revoke-self " token
#define DENIED "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
#define BAD_TOKEN "{\"errors\":[\"permission denied\"]}"
#define INVALID "{\"errors\":[\"invalid role or secret ID\"]}"
#define REFUSED \
    "keeper vault, login at https://v: the login is refused: check the role and what proves it (invalid role or secret ID)"

static const struct sck_keeper_vault_auth approle = {.method = "approle", .role_id = "r", .secret_id_file = "secret"};

/* ---- lives of tokens ---- */

static void
a_login_is_renewed_and_repeated_before_its_maximum(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, 200, TOKEN("one", "60", "true")}, {RENEW("one"), 200, TOKEN("one", "58", "true")},
        {RENEW("one"), 200, TOKEN("one", "17", "true")}, {LOGIN, 200, TOKEN("two", "60", "true")},
        {REVOKE("two"), 204, ""},
    };
    put("secret", "s\n");
    BEGIN(&approle, steps);
    gets(NULL, "one");
    gets(NULL, "one");
    assert_int_equal(sck_auth_left_s(sck_auth_of(&credential)), 60);
    next_in(42 * S);
    pass_us(42 * S);
    next_in(58 * S / 3 * 2 + 58 * S / 100 * 10 / 3);
    assert_int_equal(play.at, 2);
    pass_us(58 * S / 3 * 2 + 58 * S / 100 * 10 / 3);
    next_in(42 * S);
    assert_int_equal(play.at, 4);
    gets(NULL, "two");
    end();
}

static void
a_refused_token_is_replaced_once_for_all(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, 200, TOKEN("one", "60", "true")}, {LOGIN, 200, TOKEN("two", "60", "true")}, {REVOKE("two"), 204, ""},
    };
    put("secret", "s\n");
    BEGIN(&approle, steps);
    gets(NULL, "one");
    works("one");
    gets("one", "two");
    gets("one", "two");
    gets("one", "two");
    end();
}

static void
tokens_that_never_work_are_no_loop(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, 200, TOKEN("one", "600", "true")}, {LOGIN, 200, TOKEN("two", "600", "true")},
        {LOGIN, 200, TOKEN("three", "600", "true")}, {LOGIN, 200, TOKEN("four", "600", "true")},
        {LOGIN, 200, TOKEN("five", "600", "true")}, {REVOKE("five"), 204, ""},
    };
#define USELESS "keeper vault: the server refuses tokens that it just gave: look at its log, and at the role's " \
                "token_bound_cidrs and token_num_uses; no other login before "
    put("secret", "s\n");
    BEGIN(&approle, steps);
    gets(NULL, "one");
    gets("one", "two");
    fails("two", SCK_E_CREDENTIAL, USELESS "10 s have passed");
    fails("two", SCK_E_CREDENTIAL, USELESS "10 s have passed");
    fails(NULL, SCK_E_CREDENTIAL, USELESS "10 s have passed");
    play.now_us += 10 * S;
    gets(NULL, "three");
    fails("three", SCK_E_CREDENTIAL, USELESS "20 s have passed");
    play.now_us += 20 * S;
    gets(NULL, "four");
    works("four");
    gets("four", "five");
    end();
}

static void
a_refused_login_backs_off(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, 400, INVALID}, {LOGIN, 400, INVALID}, {LOGIN, 400, INVALID},
        {"POST auth/approle/login {\"role_id\":\"r\",\"secret_id\":\"t\"}", 200, TOKEN("one", "60", "true")},
        {REVOKE("one"), 403, BAD_TOKEN},
    };
    put("secret", "s\n");
    BEGIN(&approle, steps);
    fails(NULL, SCK_E_CREDENTIAL, REFUSED);
    fails(NULL, SCK_E_CREDENTIAL, REFUSED "; no other login before 10 s have passed");
    play.now_us += 10 * S - 1;
    fails(NULL, SCK_E_CREDENTIAL, REFUSED "; no other login before 1 s have passed");
    play.now_us += 1;
    fails(NULL, SCK_E_CREDENTIAL, REFUSED);
    fails(NULL, SCK_E_CREDENTIAL, REFUSED "; no other login before 20 s have passed");
    play.now_us += 20 * S;
    fails(NULL, SCK_E_CREDENTIAL, REFUSED);
    fails(NULL, SCK_E_CREDENTIAL, REFUSED "; no other login before 40 s have passed");
    /* A corrected file need not wait. */
    put("secret", "t\n");
    gets(NULL, "one");
    end();
}

static void
an_absent_server_is_asked_again_by_the_next_call(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, .net = SCK_NET_TIMEOUT}, {LOGIN, 503, "{\"errors\":[\"overloaded\"]}"}, {LOGIN, 200, TOKEN("one", "60", "true")},
        {RENEW("one"), .net = SCK_NET_BROKEN}, {RENEW("one"), 500, "{\"errors\":[\"x\"]}"},
        {RENEW("one"), 200, TOKEN("one", "60", "true")}, {REVOKE("one"), .net = SCK_NET_CONNECT},
    };
    put("secret", "s\n");
    BEGIN(&approle, steps);
    fails(NULL, SCK_E_CONNECT, "keeper vault, login at https://v: the server did not answer in time: try again later");
    fails(NULL, SCK_E_CONNECT, "keeper vault, login at https://v: the server is not available: try again later");
    gets(NULL, "one");
    pass_us(42 * S);
    next_in(6 * S);
    pass_us(6 * S);
    next_in(4 * S);
    pass_us(4 * S);
    next_in(42 * S);
    gets(NULL, "one");
    end();
}

static void
a_token_that_cannot_be_renewed_is_replaced_in_time(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, 200, TOKEN("one", "60", "false")}, {LOGIN, .net = SCK_NET_TIMEOUT}, {LOGIN, 400, INVALID},
        {LOGIN, 200, TOKEN("two", "60", "true")}, {RENEW("two"), 403, DENIED}, {LOGIN, 200, TOKEN("three", "60", "true")},
        {RENEW("three"), 403, BAD_TOKEN}, {LOGIN, 200, TOKEN("four", "60", "true")}, {REVOKE("four"), 204, ""},
    };
    put("secret", "s\n");
    BEGIN(&approle, steps);
    gets(NULL, "one");
    pass_us(42 * S);
    next_in(6 * S);
    /* What fails meanwhile does not take the token that still lives. */
    pass_us(6 * S);
    next_in(10 * S);
    gets(NULL, "one");
    pass_us(10 * S);
    next_in(42 * S);
    gets(NULL, "two");
    /* Its policy lacks renew-self. */
    pass_us(42 * S);
    next_in(18 * S / 3 * 2 + 18 * S / 100 * 10 / 3);
    pass_us(18 * S / 3 * 2 + 18 * S / 100 * 10 / 3);
    next_in(42 * S);
    /* Revoked by somebody: replaced before a call is refused. */
    pass_us(42 * S);
    next_in(42 * S);
    gets(NULL, "four");
    end();
}

static void
an_ended_token_is_not_shown(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {LOGIN, 200, TOKEN("one", "60", "true")}, {LOGIN, 200, TOKEN("two", "0", "false")}, {REVOKE("two"), 204, ""},
    };
    put("secret", "s\n");
    BEGIN(&approle, steps);
    gets(NULL, "one");
    /* The machine slept. */
    play.now_us += 3600 * S;
    gets(NULL, "two");
    next_in(SCK_LEASE_NEVER);
    assert_int_equal(sck_auth_left_s(sck_auth_of(&credential)), -1);
    end();
}

/* ---- methods ---- */

static void
a_jwt_is_read_at_each_login(void **state)
{
    (void)state;
    static const struct sck_keeper_vault_auth conf = {.method = "jwt", .mount = "team/oidc", .role = "app", .jwt_file = "jwt",
                                                      .name_space = "a/b"};
    static const struct step steps[] = {
        {"POST auth/team/oidc/login in a/b {\"role\":\"app\",\"jwt\":\"j1\"}", 200, TOKEN("one", "60", "true")},
        {"POST auth/team/oidc/login in a/b {\"role\":\"app\",\"jwt\":\"j2\"}", 200, TOKEN("two", "60", "true")},
        {"POST auth/token/renew-self two in a/b", 200, TOKEN("two", "60", "true")},
    };
    put("jwt", "j1\n");
    BEGIN(&conf, steps);
    gets(NULL, "one");
    works("one");
    put("jwt", "j2\n");
    gets("one", "two");
    pass_us(42 * S);
    next_in(42 * S);
    assert_int_equal(unlink("jwt"), 0);
    fails("two", SCK_E_CONFIG, "keeper vault: cannot open the JWT jwt: No such file or directory");
    end();
}

static void
a_certificate_logs_in_on_a_connection_of_its_own(void **state)
{
    (void)state;
    static const struct sck_keeper_vault_auth conf = {.method = "cert", .role = "web", .client_cert_file = "client.pem",
                                                      .client_key_file = "client.key"};
    static const struct step steps[] = {
        {"POST auth/cert/login {\"name\":\"web\"}", 200, TOKEN("one", "60", "true")}, {REVOKE("one"), 204, ""},
    };
    put("client.key", "k");
    BEGIN(&conf, steps);
    assert_string_equal(credential.identity->cert_file, "client.pem");
    gets(NULL, "one");
    assert_true(play.fresh);
    assert_true(play.certified);
    end();
    assert_true(play.certified);
}

static void
a_wrapped_secret_id_is_opened_once(void **state)
{
    (void)state;
    static const struct sck_keeper_vault_auth conf = {.method = "approle", .role = "web", .role_id = "r",
                                                      .secret_id_file = "secret", .secret_id_wrapped = true};
#define PATH(path) "{\"data\":{\"creation_path\":\"" path "\",\"creation_ttl\":60}}"
    static const struct step steps[] = {
        {"POST sys/wrapping/lookup w1", 200, PATH("auth/approle/role/web/secret-id")},
        {"POST sys/wrapping/unwrap w1", 200, "{\"data\":{\"secret_id\":\"s\",\"secret_id_accessor\":\"a\"}}"},
        {LOGIN, 200, TOKEN("one", "60", "true")}, {LOGIN, 200, TOKEN("two", "60", "true")},
        {"POST sys/wrapping/lookup w2", 200, PATH("auth/approle/role/other/secret-id")},
        {"POST sys/wrapping/lookup w3", 400, "{\"errors\":[\"wrapping token is not valid or does not exist\"]}"},
        {"POST sys/wrapping/lookup w4", 200, PATH("auth/approle/role/web/secret-id")},
        {"POST sys/wrapping/unwrap w4", .net = SCK_NET_BROKEN},
    };
    put("secret", "w1\n");
    BEGIN(&conf, steps);
    gets(NULL, "one");
    works("one");
    gets("one", "two");
    works("two");
    put("secret", "w2\n");
    fails("two", SCK_E_CREDENTIAL, "keeper vault: the wrapped secret id of the data token was not made by the role's "
          "secret-id endpoint: somebody else may have opened it, so destroy that secret id at the server and deliver a "
          "new one");
    put("secret", "w3\n");
    fails(NULL, SCK_E_CREDENTIAL, "keeper vault: the wrapped secret id of the data token was opened before, has expired or "
          "is none: somebody else may have opened it, so destroy that secret id at the server and deliver a new one");
    put("secret", "w4\n");
    fails(NULL, SCK_E_CONNECT, "keeper vault, unwrapping at https://v: the connection broke: try again later");
    end();
}

/* ---- tokens that are given ---- */

static void
a_given_token_is_renewed_and_never_revoked(void **state)
{
    (void)state;
    static const struct sck_keeper_vault_auth conf = {.method = "token"};
    static const struct step steps[] = {
        {RENEW("t1"), 200, TOKEN("t1", "60", "true")}, {RENEW("t2"), 400, "{\"errors\":[\"lease is not renewable\"]}"},
        {"GET auth/token/lookup-self t2", 200, "{\"data\":{\"ttl\":100,\"renewable\":false}}"},
    };
    put("token", "t1\n");
    BEGIN(&conf, steps);
    gets(NULL, "t1");
    next_in(1 * S);
    pass_us(1 * S);
    next_in(42 * S);
    assert_int_equal(sck_auth_left_s(sck_auth_of(&credential)), 60);
    /* There is no other: no words of our own. */
    struct sck_secret *token = NULL;
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(get("t1", &token, &err), SCK_E_CREDENTIAL);
    assert_int_equal(err.code, SCK_OK);
    put("token", "t2\n");
    gets(NULL, "t2");
    gets("t1", "t2");
    pass_us(1 * S);
    next_in(SCK_LEASE_NEVER);
    assert_int_equal(sck_auth_left_s(sck_auth_of(&credential)), 100);
    end();
}

static void
nobody_renews_for_an_agent(void **state)
{
    (void)state;
    static const struct sck_keeper_vault_auth agent = {.method = "agent"}, given = {.method = "token"};
    put("token", "t1\n");
    begin(&agent, NULL, 0);
    gets(NULL, "t1");
    next_in(SCK_LEASE_NEVER);
    put("token", "t2\n");
    gets(NULL, "t2");
    put("token", "t3\n");
    gets("t2", "t3");
    assert_int_equal(unlink("token"), 0);
    fails(NULL, SCK_E_CONFIG, "keeper vault: cannot open the data token token: No such file or directory");
    end();
    /* Batch tokens neither. */
    put("token", "b.AAAA\n");
    begin(&given, NULL, 0);
    gets(NULL, "b.AAAA");
    next_in(SCK_LEASE_NEVER);
    end();
    put("token", "hvb\n");
    begin(&given, NULL, 0);
    gets(NULL, "hvb");
    next_in(1 * S);
    end();
}

/* ---- threads ---- */

static uint32_t random_real(void *arg) { (void)arg; return 7; }

/* A server that logs anybody in, slowly; each token is another one. */
static void
exchange_slow(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    char body[200];
    (void)arg;
    int ms = atomic_load(&play.slow_ms);
    if (ms > 0)
        sck_clock_system()->sleep_ms(NULL, ms);
    if (strstr(request->url, "/login") == NULL) {
        answer(reply, SCK_NET_ANSWER, 204, NULL);
        return;
    }
    int n = atomic_fetch_add(&play.logins, 1);
    (void)snprintf(body, sizeof body, "{\"auth\":{\"client_token\":\"t%d\",\"lease_duration\":3600,\"renewable\":true}}", n);
    answer(reply, SCK_NET_ANSWER, 200, body);
}

static void
begin_threads(int slow_ms)
{
    const struct sck_env env = {sck_clock_system(), random_real, NULL, exchange_slow, NULL};
    put("secret", "s\n");
    atomic_store(&play.logins, 0);
    atomic_store(&play.slow_ms, slow_ms);
    play.at = play.count = 0;
    begin_with(&approle, &env, true);
}

static pthread_barrier_t all_have_one;

static void *
get_and_refuse(void *arg)
{
    struct sck_secret *first = NULL, *second = NULL;
    struct sck_err err = SCK_ERR_INIT;
    const struct sck_credential_ops *ops = credential.ops;
    (void)arg;
    bool ok = ops->get(&credential, NULL, INT64_MAX, &first, &err) == SCK_OK;
    if (ok)
        ops->proved(&credential, first);
    (void)pthread_barrier_wait(&all_have_one);
    ok = ok && ops->get(&credential, first, INT64_MAX, &second, &err) == SCK_OK;
    ok = ok && first->len == 2 && second->len == 2 && memcmp(second->data, "t1", 2) == 0;
    sck_secret_free(&first);
    sck_secret_free(&second);
    return ok ? NULL : arg;
}

static void
one_login_for_any_number_of_threads(void **state)
{
    (void)state;
    pthread_t ids[MANY];
    begin_threads(50);
    assert_int_equal(pthread_barrier_init(&all_have_one, NULL, MANY), 0);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(pthread_create(&ids[i], NULL, get_and_refuse, &play), 0);
    for (size_t i = 0; i < MANY; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(ids[i], &bad), 0);
        assert_null(bad);
    }
    assert_int_equal(atomic_load(&play.logins), 2);
    (void)pthread_barrier_destroy(&all_have_one);
    end();
}

struct waiter {
    struct sck_credential_waiter base;
    atomic_int told;
    enum sck_code code;
};
static struct waiter waiters[MANY];

static void
got(struct sck_credential_waiter *w, enum sck_code code, struct sck_secret *value, const struct sck_err *err)
{
    struct waiter *own = (struct waiter *)(void *)w;
    own->code = code == SCK_OK && err->code != SCK_OK ? SCK_E_INTERNAL : code;
    sck_secret_free(&value);
    atomic_fetch_add(&own->told, 1);
}

static void
one_login_for_calls_that_do_not_block(void **state)
{
    (void)state;
    int gone = 0;
    begin_threads(100);
    for (size_t i = 0; i < MANY; i++) {
        waiters[i] = (struct waiter){.base = {.got = got, .deadline_us = INT64_MAX}};
        credential.ops->want(&credential, NULL, &waiters[i].base);
    }
    for (size_t i = 0; i < MANY; i += 2)
        gone += credential.ops->unwant(&credential, &waiters[i].base);
    gets(NULL, "t0");
    for (size_t i = 0; i < MANY; i++) {
        for (int tries = 0; i % 2 == 1 && atomic_load(&waiters[i].told) == 0 && tries < 10000; tries++)
            sck_clock_system()->sleep_ms(NULL, 1);
        if (i % 2 == 1)
            assert_int_equal(atomic_load(&waiters[i].told), 1);
        assert_int_equal(waiters[i].code, SCK_OK);
    }
    assert_int_equal(gone, MANY / 2);
    assert_int_equal(atomic_load(&play.logins), 1);
    /* Now that there is one it is given at once. */
    waiters[0] = (struct waiter){.base = {.got = got, .deadline_us = INT64_MAX}};
    credential.ops->want(&credential, NULL, &waiters[0].base);
    assert_int_equal(atomic_load(&waiters[0].told), 1);
    assert_false(credential.ops->unwant(&credential, &waiters[0].base));
    end();
}

static void
a_call_waits_no_longer_than_its_deadline(void **state)
{
    (void)state;
    struct sck_secret *token = NULL;
    begin_threads(400);
    int64_t deadline_us = sck_monotonic_us(sck_clock_system()) + 50000;
    EXPECT_FAIL(credential.ops->get(&credential, NULL, deadline_us, &token, &err), SCK_E_CONNECT,
                "keeper vault: the login for the data token takes too long: try again later");
    assert_null(token);
    /* The login goes on for the others. */
    gets(NULL, "t0");
    assert_int_equal(atomic_load(&play.logins), 1);
    end();
}

/* A child goes on with the token, logs in by itself, and revokes only what is its own. */
static void
a_child_has_its_own_way(void **state)
{
    (void)state;
    begin_threads(0);
    gets(NULL, "t0");
    works("t0");
    forkgate_close();
    pid_t pid = fork();
    forkgate_open(pid);
    if (pid == 0) {
#ifdef __SANITIZE_THREAD__
        /* It takes a new thread for the parent's of the same address. */
        sck_auth_of(&credential)->threaded = false;
#endif
        gets(NULL, "t0");
        gets("t0", "t1");
        assert_int_equal(atomic_load(&play.logins), 2);
        sck_credential_clear(&credential);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    gets(NULL, "t0");
    assert_int_equal(atomic_load(&play.logins), 1);
    end();
}

static void
logins_are_counted(void **state)
{
    (void)state;
    struct sck_metric *ok = sck_metric_counter("scopekey_keeper_logins_total", "Logins and renewals.",
                                               "keeper=\"vault\",role=\"data\",outcome=\"login_ok\"");
    struct sck_metric *ttl = sck_metric_gauge("scopekey_keeper_token_ttl_seconds",
                                              "What was left of a login token's life when it was last looked at.",
                                              "keeper=\"vault\",role=\"data\"");
    int64_t before = sck_metric_get(ok);
    begin_threads(0);
    gets(NULL, "t0");
    assert_int_equal(sck_metric_get(ok), before + 1);
    assert_in_range((uint64_t)sck_metric_get(ttl), 3590, 3600);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_is_renewed_and_repeated_before_its_maximum),
        cmocka_unit_test(a_refused_token_is_replaced_once_for_all),
        cmocka_unit_test(tokens_that_never_work_are_no_loop),
        cmocka_unit_test(a_refused_login_backs_off),
        cmocka_unit_test(an_absent_server_is_asked_again_by_the_next_call),
        cmocka_unit_test(a_token_that_cannot_be_renewed_is_replaced_in_time),
        cmocka_unit_test(an_ended_token_is_not_shown),
        cmocka_unit_test(a_jwt_is_read_at_each_login),
        cmocka_unit_test(a_certificate_logs_in_on_a_connection_of_its_own),
        cmocka_unit_test(a_wrapped_secret_id_is_opened_once),
        cmocka_unit_test(a_given_token_is_renewed_and_never_revoked),
        cmocka_unit_test(nobody_renews_for_an_agent),
        cmocka_unit_test(one_login_for_any_number_of_threads),
        cmocka_unit_test(one_login_for_calls_that_do_not_block),
        cmocka_unit_test(a_call_waits_no_longer_than_its_deadline),
        cmocka_unit_test(a_child_has_its_own_way),
        cmocka_unit_test(logins_are_counted),
    };
    return cmocka_run_group_tests_name("vault/auth_play", tests, set_up, tear_down);
}
