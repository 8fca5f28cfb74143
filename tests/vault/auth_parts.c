/* SPDX-License-Identifier: MIT */
/* The pure parts of logging in: when to act on a lease, what a login sends and takes, where secrets are kept. */
#include "lib/base/file.h"
#include "tests/lib/expect.h"
#include "vault/http/auth_method.h"
#include "vault/http/auth_source.h"
#include "vault/http/lease.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define S INT64_C(1000000)

static void
is_lease(const struct sck_lease *l, enum sck_lease_next next, int64_t act_us, int64_t end_us)
{
    assert_int_equal(l->next, next);
    assert_int_equal(l->act_us, act_us);
    assert_int_equal(l->end_us, end_us);
}

static void
a_lease_is_renewed_at_two_thirds_and_a_third_of_the_grace(void **state)
{
    (void)state;
    struct sck_lease l;
    sck_lease_begin(&l, 5 * S, 60, true, false, 0);
    is_lease(&l, SCK_LEASE_RENEW, 47 * S, 65 * S);
    sck_lease_begin(&l, 5 * S, 60, true, true, UINT32_MAX);
    assert_int_equal(l.next, SCK_LEASE_RENEW);
    assert_in_range((uint64_t)l.act_us, (uint64_t)(5 * S + 43 * S + S / 2), (uint64_t)(5 * S + 44 * S));
    sck_lease_begin(&l, 5 * S, 60, false, true, 0);
    is_lease(&l, SCK_LEASE_LOGIN, 47 * S, 65 * S);
    sck_lease_begin(&l, 5 * S, 60, false, false, 0);
    is_lease(&l, SCK_LEASE_NOTHING, SCK_LEASE_NEVER, 65 * S);
    assert_int_equal(sck_lease_left_s(&l, 5 * S), 60);
    assert_int_equal(sck_lease_left_s(&l, 64 * S + 1), 0);
    assert_int_equal(sck_lease_left_s(&l, 66 * S), 0);
    /* A root token. */
    sck_lease_begin(&l, 5 * S, 0, true, true, 0);
    is_lease(&l, SCK_LEASE_NOTHING, SCK_LEASE_NEVER, SCK_LEASE_NEVER);
    assert_int_equal(sck_lease_left_s(&l, 5 * S), -1);
    /* 136 years. */
    sck_lease_begin(&l, 5 * S, UINT32_MAX, true, true, UINT32_MAX);
    assert_true(l.end_us > l.act_us && l.act_us > 5 * S);
}

static void
a_given_token_is_renewed_soon_to_learn_its_lease(void **state)
{
    (void)state;
    struct sck_lease l;
    sck_lease_begin_unknown(&l, 5 * S, 1000, false);
    is_lease(&l, SCK_LEASE_RENEW, 6 * S, SCK_LEASE_NEVER);
    sck_lease_renewed(&l, 6 * S, 30, true, 0);
    is_lease(&l, SCK_LEASE_RENEW, 27 * S, 36 * S);
    sck_lease_renewed(&l, 27 * S, 30, true, 0);
    is_lease(&l, SCK_LEASE_RENEW, 48 * S, 57 * S);
    sck_lease_begin_unknown(&l, 5 * S, 1000, false);
    sck_lease_not_renewable(&l, 6 * S, 0);
    is_lease(&l, SCK_LEASE_NOTHING, SCK_LEASE_NEVER, SCK_LEASE_NEVER);
}

/* A token of 60 s that may live 100 s in all. */
static void
a_renewal_that_moves_nothing_met_the_maximum(void **state)
{
    (void)state;
    struct sck_lease l;
    sck_lease_begin(&l, 0, 60, true, true, 0);
    sck_lease_renewed(&l, 42 * S, 58, true, 0);
    is_lease(&l, SCK_LEASE_RENEW, 42 * S + 58 * S / 3 * 2 + 58 * S / 100 * 10 / 3, 100 * S);
    sck_lease_renewed(&l, 83 * S, 17, true, 0);
    is_lease(&l, SCK_LEASE_LOGIN, 83 * S, 100 * S);
    /* Without a login it is used to its end. */
    sck_lease_begin(&l, 0, 60, true, false, 0);
    sck_lease_renewed(&l, 42 * S, 18, true, 0);
    is_lease(&l, SCK_LEASE_NOTHING, SCK_LEASE_NEVER, 60 * S);
    /* The whole lease is granted: a short one moves by less than a second. */
    sck_lease_begin(&l, 0, 1, true, true, 0);
    sck_lease_renewed(&l, 7 * S / 10, 1, true, 0);
    assert_int_equal(l.next, SCK_LEASE_RENEW);
    assert_int_equal(l.end_us, 17 * S / 10);
    /* From now on it is not renewable. */
    sck_lease_begin(&l, 0, 60, true, true, 0);
    sck_lease_renewed(&l, 42 * S, 60, false, 0);
    is_lease(&l, SCK_LEASE_LOGIN, 84 * S, 102 * S);
    sck_lease_begin(&l, 0, 60, true, true, 0);
    sck_lease_not_renewable(&l, 30 * S, 0);
    is_lease(&l, SCK_LEASE_LOGIN, 51 * S, 60 * S);
    sck_lease_not_renewable(&l, 70 * S, 0);
    is_lease(&l, SCK_LEASE_LOGIN, 70 * S, 60 * S);
}

static void
failures_back_off_and_never_miss_the_end(void **state)
{
    (void)state;
    static const int64_t want[] = {10000, 20000, 40000, 80000, 160000, 300000, 300000};
    for (unsigned i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_int_equal(sck_lease_backoff_ms(i + 1, 0), want[i]);
    assert_int_equal(sck_lease_backoff_ms(UINT32_MAX, 0), 300000);
    assert_in_range((uint64_t)sck_lease_backoff_ms(1, UINT32_MAX), 8000, 8100);
    struct sck_lease l;
    sck_lease_begin(&l, 0, 600, true, true, 0);
    sck_lease_failed(&l, 420 * S, 0);
    is_lease(&l, SCK_LEASE_RENEW, 430 * S, 600 * S);
    sck_lease_failed(&l, 430 * S, 0);
    is_lease(&l, SCK_LEASE_RENEW, 450 * S, 600 * S);
    sck_lease_failed(&l, 570 * S, 0);
    is_lease(&l, SCK_LEASE_RENEW, 580 * S, 600 * S);
    sck_lease_failed(&l, 599 * S, 0);
    is_lease(&l, SCK_LEASE_RENEW, 599 * S + S / 2, 600 * S);
    sck_lease_failed(&l, 601 * S, 0);
    assert_int_equal(l.next, SCK_LEASE_LOGIN);
    assert_int_equal(l.act_us, (601 + 160) * S);
    sck_lease_begin(&l, 0, 600, true, false, 0);
    sck_lease_failed(&l, 601 * S, 0);
    is_lease(&l, SCK_LEASE_NOTHING, SCK_LEASE_NEVER, 600 * S);
    /* Success forgets the failures. */
    sck_lease_begin(&l, 0, 600, true, true, 0);
    sck_lease_failed(&l, 420 * S, 0);
    sck_lease_renewed(&l, 430 * S, 600, true, 0);
    sck_lease_failed(&l, 850 * S, 0);
    is_lease(&l, SCK_LEASE_RENEW, 860 * S, 1030 * S);
}

/* ---- methods ---- */

static struct sck_secret *
secret(const char *text)
{
    struct sck_secret *s = NULL;
    assert_int_equal(sck_secret_from(text, strlen(text), &s, NULL), SCK_OK);
    return s;
}

static void
sends(enum sck_auth_method method, const char *role, const char *role_id, const char *proof, const char *want)
{
    struct sck_secret *id = role_id != NULL ? secret(role_id) : NULL, *p = proof != NULL ? secret(proof) : NULL;
    struct sck_secret *body = NULL;
    EXPECT_OK(sck_auth_login_body(method, role, id, p, &body, &err));
    assert_int_equal(body->len, strlen(want));
    assert_memory_equal(body->data, want, body->len);
    sck_secret_free(&id);
    sck_secret_free(&p);
    sck_secret_free(&body);
}

static void
a_login_sends_what_its_method_wants(void **state)
{
    (void)state;
    sends(SCK_AUTH_APPROLE, "ignored", "r-1", "s-1", "{\"role_id\":\"r-1\",\"secret_id\":\"s-1\"}");
    sends(SCK_AUTH_APPROLE, "", "r-1", NULL, "{\"role_id\":\"r-1\"}");
    sends(SCK_AUTH_KUBERNETES, "app", NULL, "e.y.J", "{\"role\":\"app\",\"jwt\":\"e.y.J\"}");
    sends(SCK_AUTH_JWT, "", NULL, "e.y.J", "{\"jwt\":\"e.y.J\"}");
    sends(SCK_AUTH_CERT, "web", NULL, NULL, "{\"name\":\"web\"}");
    sends(SCK_AUTH_CERT, "", NULL, NULL, "{}");
    sends(SCK_AUTH_JWT, "a\",\"role\":\"b\\\x01", NULL, "x", "{\"role\":\"a\\\",\\\"role\\\":\\\"b\\\\\\u0001\",\"jwt\":\"x\"}");
    struct sck_secret *body = NULL, *proof = NULL;
    EXPECT_FAIL(sck_auth_login_body(SCK_AUTH_TOKEN, "", NULL, NULL, &body, &err), SCK_E_INTERNAL,
                "keeper vault: there is no login by token");
    assert_int_equal(sck_secret_new(SCK_SECRET_MAX, &proof, NULL), SCK_OK);
    EXPECT_FAIL(sck_auth_login_body(SCK_AUTH_JWT, "", NULL, proof, &body, &err), SCK_E_CONFIG,
                "keeper vault: what the login would send is over 1 MiB");
    assert_null(body);
    sck_secret_free(&proof);
    enum sck_auth_method m;
    assert_true(sck_auth_method_parse("kubernetes", &m));
    assert_int_equal(m, SCK_AUTH_KUBERNETES);
    assert_false(sck_auth_method_parse("aws", &m));
    assert_false(sck_auth_method_parse("", &m));
    assert_string_equal(sck_auth_method_name(SCK_AUTH_CERT), "cert");
    assert_true(sck_auth_method_logs_in(SCK_AUTH_CERT) && !sck_auth_method_logs_in(SCK_AUTH_AGENT));
}

static void
refuses_answer(const char *text, bool token, enum sck_code code, const char *want)
{
    struct sck_auth_grant grant;
    EXPECT_FAIL(sck_auth_grant_parse(sck_json_parse(text, strlen(text)), token, &grant, &err), code, want);
    assert_null(grant.token);
}

static void
a_login_takes_what_it_is_granted(void **state)
{
    (void)state;
    static const char good[] = "{\"data\":null,\"auth\":{\"client_token\":\"s.abc\",\"accessor\":\"x\",\"policies\":[\"p\"],"
                               "\"lease_duration\":3600,\"renewable\":true,\"token_type\":\"service\",\"num_uses\":0}}";
    static const char batch[] = "{\"auth\":{\"client_token\":\"b.AAA\",\"lease_duration\":20,\"renewable\":false,"
                                "\"token_type\":\"batch\",\"num_uses\":3}}";
    static const char lacks[] = "keeper vault: the answer lacks auth.lease_duration: is url a Vault or OpenBao?";
    static const char no_token[] = "keeper vault: the answer lacks auth.client_token: is url a Vault or OpenBao?";
    struct sck_auth_grant grant;
    EXPECT_OK(sck_auth_grant_parse(sck_json_parse(good, strlen(good)), true, &grant, &err));
    assert_int_equal(grant.token->len, 5);
    assert_memory_equal(grant.token->data, "s.abc", 5);
    assert_true(grant.lease_s == 3600 && grant.renewable && !grant.batch && !grant.counted);
    sck_auth_grant_clear(&grant);
    EXPECT_OK(sck_auth_grant_parse(sck_json_parse(batch, strlen(batch)), false, &grant, &err));
    assert_null(grant.token);
    assert_true(grant.lease_s == 20 && !grant.renewable && grant.batch && grant.counted);
    refuses_answer("{\"auth\":null}", true, SCK_E_CONFIG, lacks);
    refuses_answer("", true, SCK_E_CONFIG, lacks);
    refuses_answer("{\"auth\":{\"client_token\":\"s\",\"lease_duration\":-1}}", true, SCK_E_CONFIG, lacks);
    refuses_answer("{\"auth\":{\"client_token\":\"s\",\"lease_duration\":\"9\"}}", true, SCK_E_CONFIG, lacks);
    refuses_answer("{\"auth\":{\"lease_duration\":9}}", true, SCK_E_CONFIG, no_token);
    refuses_answer("{\"auth\":{\"client_token\":\"\",\"lease_duration\":9}}", true, SCK_E_CONFIG, no_token);
    refuses_answer("{\"auth\":{\"client_token\":\"a b\",\"lease_duration\":9}}", true, SCK_E_CONFIG, no_token);
    refuses_answer("{\"auth\":{\"client_token\":\"a\\r\\nX: y\",\"lease_duration\":9}}", true, SCK_E_CONFIG, no_token);
    refuses_answer("{\"auth\":{\"client_token\":\"\",\"lease_duration\":0,\"mfa_requirement\":{\"mfa_request_id\":\"i\"}}}",
                   true, SCK_E_CREDENTIAL, "keeper vault: the login asks for a second factor, which a service has not: "
                   "take the MFA requirement off its role");
}

/* ---- sources ---- */

static char dir[64];
static const char path[] = "token";

static int
set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "auth_parts.XXXXXX");
    return mkdtemp(dir) != NULL ? chdir(dir) : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return chdir("..") == 0 ? rmdir(dir) : -1;
}

static void
put(const char *text, mode_t mode)
{
    assert_int_equal(sck_file_replace(path, text, strlen(text), mode, NULL), SCK_OK);
}

static void
reads(const struct sck_auth_source *s, const char *want)
{
    struct sck_secret *got = NULL;
    EXPECT_OK(sck_auth_source_read(s, &got, &err));
    assert_int_equal(got->len, strlen(want));
    assert_memory_equal(got->data, want, got->len);
    sck_secret_free(&got);
}

static void
fails(const struct sck_auth_source *s, const char *want)
{
    struct sck_secret *got = NULL;
    EXPECT_FAIL(sck_auth_source_read(s, &got, &err), SCK_E_CONFIG, want);
    assert_null(got);
}

static void
a_file_is_read_strictly(void **state)
{
    (void)state;
    struct sck_auth_source s = {.what = "the data token", .setting = "token_file", .path = path};
    struct sck_auth_stamp none = sck_auth_source_stamp(&s);
    assert_false(none.there);
    fails(&s, "keeper vault: cannot open the data token token: No such file or directory");
    put("s.one\n", 0600);
    reads(&s, "s.one");
    struct sck_auth_stamp one = sck_auth_source_stamp(&s), again = sck_auth_source_stamp(&s);
    assert_true(sck_auth_stamp_is_same(&one, &again) && !sck_auth_stamp_is_same(&one, &none));
    put("s.two\n", 0600);
    again = sck_auth_source_stamp(&s);
    assert_false(sck_auth_stamp_is_same(&one, &again));
    put("s.two\n", 0640);
    fails(&s, "keeper vault: the data token token can be read by others (mode 0640): run chmod 600 on it");
    s.shared = true;
    reads(&s, "s.two");
    s.shared = false;
    put("", 0600);
    fails(&s, "keeper vault: the data token token is empty: put the secret on its first line");
    put("a b", 0600);
    fails(&s, "keeper vault: the data token token holds more than a token: put the token alone on one line");
    put("a\r\nX-Evil: 1\n", 0600);
    fails(&s, "keeper vault: the data token token holds more than a token: put the token alone on one line");
    put("{\"token\":\"s.one\"}", 0600);
    fails(&s, "keeper vault: the data token token is a JSON text: have it written plain, neither wrapped nor encrypted");
    s.path = ".";
    struct sck_secret *got = NULL;
    assert_int_equal(sck_auth_source_read(&s, &got, NULL), SCK_E_CONFIG);
    s.path = NULL;
    fails(&s, "keeper vault: the data token is needed for this: set token_file");
    assert_false(sck_auth_source_is_set(&s) || sck_auth_source_is_live(&s));
}

static void
other_sources(void **state)
{
    (void)state;
    int ends[2];
    struct sck_auth_source s = {.what = "the data token", .setting = "token_file", .credential = "token"};
    put("s.cred", 0400);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_false(sck_auth_source_stamp(&s).there);
    fails(&s, "keeper vault: the systemd credential token with the data token is not there: use LoadCredential=token:/path "
              "in the unit");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", ".", 1), 0);
    reads(&s, "s.cred");
    assert_true(sck_auth_source_stamp(&s).there && sck_auth_source_is_live(&s));
    s.credential = "nothing";
    fails(&s, "keeper vault: cannot read the data token from the systemd credential nothing: No such file or directory");
    s.credential = "../token";
    fails(&s, "keeper vault: the systemd credential ../token with the data token is not there: use "
              "LoadCredential=../token:/path in the unit");
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "s.fd\n", 5), 5);
    assert_int_equal(close(ends[1]), 0);
    s.fd = ends[0];
    reads(&s, "s.fd");
    assert_false(sck_auth_source_is_live(&s));
    assert_int_equal(close(ends[0]), 0);
    s.env = "AUTH_PARTS_TOKEN";
    assert_int_equal(unsetenv(s.env), 0);
    fails(&s, "keeper vault: the environment variable AUTH_PARTS_TOKEN with the data token is not set");
    assert_int_equal(setenv(s.env, "s.env", 1), 0);
    reads(&s, "s.env");
    assert_false(sck_auth_source_is_live(&s));
    assert_int_equal(setenv(s.env, "s env", 1), 0);
    fails(&s, "keeper vault: the data token holds more than a token: put the token alone on one line");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_renewed_at_two_thirds_and_a_third_of_the_grace),
        cmocka_unit_test(a_given_token_is_renewed_soon_to_learn_its_lease),
        cmocka_unit_test(a_renewal_that_moves_nothing_met_the_maximum),
        cmocka_unit_test(failures_back_off_and_never_miss_the_end),
        cmocka_unit_test(a_login_sends_what_its_method_wants),
        cmocka_unit_test(a_login_takes_what_it_is_granted),
        cmocka_unit_test(a_file_is_read_strictly),
        cmocka_unit_test(other_sources),
    };
    return cmocka_run_group_tests_name("vault/auth_parts", tests, set_up, tear_down);
}
