/* SPDX-License-Identifier: MIT */
/* The pure parts of keeper `azure`: what is on the wire, assertions, the table of answers row by row. */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"
#include "vault/azure/assertion.h"
#include "vault/azure/azure.h"

#include <jansson.h>
#include <openssl/evp.h>

static struct sck_json
parse(const char *text)
{
    return sck_json_parse(text, strlen(text));
}

/* RFC 4648 section 10, without padding. */
static void
base64url_has_one_spelling(void **state)
{
    (void)state;
    static const struct { const char *plain, *text; } vectors[] = {
        {"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "-__-"},
    };
    static const char *const bad[] = {"Z", "Zm9vY", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9", "Zm9v\n", "Zm.v"};
    uint8_t out[64], again[64];
    char text[88];
    size_t len = 99;
    struct prop p;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        size_t plain = strlen(vectors[i].plain);
        sck_b64url_encode((const uint8_t *)vectors[i].plain, plain, text);
        assert_int_equal(SCK_B64URL_LEN(plain), strlen(vectors[i].text));
        assert_memory_equal(text, vectors[i].text, strlen(vectors[i].text));
        assert_true(sck_b64url_decode(vectors[i].text, strlen(vectors[i].text), out, plain, &len));
        assert_int_equal(len, plain);
        assert_memory_equal(out, vectors[i].plain, plain);
        if (plain > 0)
            assert_false(sck_b64url_decode(vectors[i].text, strlen(vectors[i].text), out, plain - 1, &len));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (sck_b64url_decode(bad[i], strlen(bad[i]), out, sizeof out, &len))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(len, 0);
    }
    prop_init(&p, "base64url");
    for (int i = 0; i < 5000; i++) {
        size_t n = prop_below(&p, sizeof out + 1);
        prop_bytes(&p, out, n);
        sck_b64url_encode(out, n, text);
        assert_true(sck_b64url_decode(text, SCK_B64URL_LEN(n), again, sizeof again, &len));
        assert_int_equal(len, n);
        assert_memory_equal(out, again, n);
    }
}

#define V "78deebed173b48e48f55abf87ed4cf71"

static void
key_identifiers_are_of_this_vault_and_key(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\"https://other.vault.azure.net/keys/a--b/" V "\"", "\"https://my.vault.azure.net/keys/a--c/" V "\"",
        "\"https://my.vault.azure.net/keys/a--b/" V "0\"", "\"https://my.vault.azure.net/keys/a--b\"",
        "\"https://my.vault.azure.net/secrets/a--b/" V "\"", "\"http://my.vault.azure.net/keys/a--b/" V "\"",
        "\"https://my.vault.azure.net/keys/a--b/78DEEBED173b48e48f55abf87ed4cf71\"",
        "\"https://my.vault.azure.net.evil/keys/a--b/" V "\"", "null", "7", "\"\"",
        "\"https://my.vault.azure.net/keys/a--b/../../keys/a--b/78deebed\"",
    };
    char version[SCK_AZURE_VERSION_LEN + 1] = "";
    assert_true(sck_azure_kid_version(parse("\"https://MY.vault.azure.net/keys/a--b/" V "\""), "https://my.vault.azure.net",
                                      "a--b", version));
    assert_string_equal(version, V);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (sck_azure_kid_version(parse(bad[i]), "https://my.vault.azure.net", "a--b", version))
            fail_msg("taken: %s", bad[i]);
    }
    assert_true(sck_azure_version_is_legal(V, 32));
    assert_false(sck_azure_version_is_legal(V, 31));
}

static void
challenges_are_read_in_every_spelling(void **state)
{
    (void)state;
    static const struct { const char *header, *tenant, *resource; } good[] = {
        {"Bearer authorization=\"https://login.microsoftonline.com/t-1\", resource=\"https://vault.azure.net\"", "t-1",
         "https://vault.azure.net"},
        {"Bearer resource=\"https://localhost:8443\", authorization_uri=\"https://login.example/t-2/\"", "t-2",
         "https://localhost:8443"},
        {"bearer scope=\"https://vault.azure.net/.default\",authorization=\"https://login.example/t\"", "t",
         "https://vault.azure.net"},
        {"Bearer authorization=https://l/t resource=https://vault.azure.net/", "t", "https://vault.azure.net"},
        {"Bearer resource=\"https://vault.azure.net\", error=\"invalid_token\", error_description=\"AKV10022: a, b=c\"", "",
         "https://vault.azure.net"},
    };
    static const char *const bad[] = {
        "", "Bearer", "Bearer ", "Basic realm=\"x\"", "PoP resource=\"https://vault.azure.net\"",
        "Bearer authorization=\"https://l/t\"", "Bearer resource=\"https://vault.azure.net", "Bearer resource=",
        "Bearer resource=\"https://a\", resource=\"https://b\"", "Bearer resource=\"https://a\", scope=\"https://b\"",
        "Bearer authorization=\"https://l/a\", authorization_uri=\"https://l/b\", resource=\"https://a\"",
        "Bearer resource=\"https://a\"x", "Bearer =\"x\", resource=\"https://a\"", "Bearer resource=\"https://a\\\"b\"",
        "Bearer authorization=\"none\", resource=\"https://a\"", "Bearerresource=\"https://a\"",
    };
    struct sck_azure_challenge c;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(sck_azure_challenge_parse(good[i].header, &c));
        assert_string_equal(c.tenant, good[i].tenant);
        assert_string_equal(c.resource, good[i].resource);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (sck_azure_challenge_parse(bad[i], &c))
            fail_msg("taken: %s", bad[i]);
    }
}

static void
only_a_vaults_own_domain_gets_a_token(void **state)
{
    (void)state;
    static const struct { const char *vault, *resource; bool fits; } pairs[] = {
        {"https://my.vault.azure.net", "https://vault.azure.net", true},
        {"https://MY.vault.azure.net", "https://Vault.Azure.Net", true},
        {"https://h.managedhsm.azure.net", "https://managedhsm.azure.net", true},
        {"https://my.vault.azure.cn", "https://vault.azure.cn", true},
        {"https://127.0.0.1:8443", "https://127.0.0.1:8443", true},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080", true},
        {"https://my.vault.azure.net", "https://management.azure.com", false},
        {"https://my.vault.azure.net", "https://azure.net", false},
        {"https://my.vault.azure.net", "https://net", false},
        {"https://my.vault.azure.net", "https://my.vault.azure.net.evil", false},
        {"https://my.vault.azure.net", "https://y.vault.azure.net", false},
        {"https://my.vault.azure.net", "http://vault.azure.net", false},
        {"https://my.vault.azure.net", "https://vault.azure.net/x", false},
        {"https://my.vault.azure.net", "https://vault.azure.net@evil", false},
        {"https://my.vault.azure.net", "", false},
        {"https://evilvault.azure.net", "https://vault.azure.net", false},
        {"https://127.0.0.1:8443", "https://127.0.0.1:8444", false},
        {"https://127.0.0.1:8443", "https://0.0.1:8443", false},
        {"https://localhost", "https://", false},
        {"https://vault.net", "https://net", false},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (sck_azure_resource_fits(pairs[i].vault, pairs[i].resource) != pairs[i].fits)
            fail_msg("%s for %s", pairs[i].resource, pairs[i].vault);
    }
}

static void
tokens_have_a_life(void **state)
{
    (void)state;
    static const struct { const char *body, *token; int64_t life_s; } good[] = {
        {"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"ey.J_-\"}", "ey.J_-", 3599},
        {"{\"access_token\":\"x\",\"expires_in\":\"86399\",\"expires_on\":\"5\"}", "x", 86399},
        {"{\"access_token\":\"x\",\"expires_on\":\"1600\",\"resource\":\"r\"}", "x", 600},
        {"{\"access_token\":\"x\",\"expires_on\":1600}", "x", 600},
        {"{\"access_token\":\"x\",\"expires_in\":9223372036854775807}", "x", 604800},
    };
    static const char *const bad[] = {
        "{}", "[]", "{\"access_token\":\"x\"}", "{\"access_token\":\"x\",\"expires_in\":0}",
        "{\"access_token\":\"\",\"expires_in\":1}", "{\"access_token\":7,\"expires_in\":1}",
        "{\"access_token\":\"x\",\"expires_on\":\"999\"}", "{\"access_token\":\"x\",\"expires_in\":\"1h\"}",
        "{\"access_token\":\"a\\u000d\\u000aX: y\",\"expires_in\":1}", "{\"access_token\":\"a b\",\"expires_in\":1}",
        "{\"access_token\":\"x\",\"access_token\":\"y\",\"expires_in\":1}", "{\"access_token\":\"x\",\"expires_in\":-1}",
    };
    struct sck_json token;
    int64_t life_s;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(sck_azure_token_parse(parse(good[i].body), 1000, &token, &life_s));
        assert_true(sck_json_is(token, good[i].token));
        assert_int_equal(life_s, good[i].life_s);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (sck_azure_token_parse(parse(bad[i]), 1000, &token, &life_s))
            fail_msg("taken: %s", bad[i]);
    }
}

static void
error_texts_carry_the_inner_codes(void **state)
{
    (void)state;
    char out[SCK_TEXT_MAX];
    assert_null(sck_azure_error_text(parse("{}"), out, sizeof out));
    assert_null(sck_azure_error_text(parse("{\"value\":[]}"), out, sizeof out));
    assert_null(sck_azure_error_text((struct sck_json){0}, out, sizeof out));
    assert_string_equal(sck_azure_error_text(parse("{\"error\":{\"code\":\"Forbidden\",\"message\":\"no\",\"innererror\":"
                                                   "{\"code\":\"KeyDisabled\"}}}"), out, sizeof out),
                        "Forbidden/KeyDisabled: no");
    assert_string_equal(sck_azure_error_text(parse("{\"error\":{\"code\":\"Conflict\",\"message\":\"m\",\"innererror\":{"
                                                   "\"code\":\"A\",\"innererror\":{\"code\":\"B\"}}}}"), out, sizeof out),
                        "Conflict/A/B: m");
    assert_string_equal(sck_azure_error_text(parse("{\"error\":{}}"), out, sizeof out), ": ");
    assert_string_equal(sck_azure_error_text(parse("{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7: x\"}"),
                                             out, sizeof out), "invalid_client: AADSTS7: x");
    assert_string_equal(sck_azure_error_text(parse("{\"error\":{\"code\":\"abcdef\",\"message\":\"ghijkl\"}}"), out, 10),
                        "abcdef: g");
    assert_string_equal(sck_azure_error_text(parse("{\"error\":{\"code\":\"abcdef\",\"message\":\"ghijkl\"}}"), out, 5),
                        "abcd");
}

/* The middle of a JWT as JSON. */
static json_t *
part_of(const char *from, size_t len)
{
    uint8_t out[1024];
    size_t out_len = 0;
    assert_true(sck_b64url_decode(from, len, out, sizeof out, &out_len));
    return json_loadb((const char *)out, out_len, 0, NULL);
}

static void
assertions_say_who_whom_and_when(void **state)
{
    (void)state;
    static const uint8_t print[SCK_SHA256_LEN] = {1, 2, 3};
    char input[SCK_ASSERTION_INPUT_MAX], client[1100];
    const char *text;
    EXPECT_OK(sck_assertion_input(print, "client-1", "https://l/t/oauth2/v2.0/token", "abc", 1000, input, &err));
    const char *dot = strchr(input, '.');
    json_t *header = part_of(input, (size_t)(dot - input)), *claims = part_of(dot + 1, strlen(dot + 1));
    json_int_t exp = 0, iat = 0, nbf = 0;
    const char *iss, *sub, *aud, *jti, *alg, *typ;
    assert_int_equal(json_unpack(header, "{s:s, s:s, s:s !}", "alg", &alg, "typ", &typ, "x5t#S256", &text), 0);
    assert_string_equal(alg, "PS256");
    assert_string_equal(typ, "JWT");
    assert_string_equal(text, "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(json_unpack(claims, "{s:s, s:s, s:s, s:s, s:I, s:I, s:I !}", "iss", &iss, "sub", &sub, "aud", &aud,
                                 "jti", &jti, "exp", &exp, "iat", &iat, "nbf", &nbf), 0);
    assert_string_equal(iss, "client-1");
    assert_string_equal(sub, "client-1");
    assert_string_equal(aud, "https://l/t/oauth2/v2.0/token");
    assert_string_equal(jti, "abc");
    assert_true(exp == 1300 && iat == 1000 && nbf == 1000);
    json_decref(header);
    json_decref(claims);
    memset(client, 'c', sizeof client - 1);
    client[sizeof client - 1] = '\0';
    EXPECT_FAIL(sck_assertion_input(print, client, "https://l", "abc", 1000, input, &err), SCK_E_USAGE,
                "keeper azure: client_id or authority is too long for an assertion");
}

static void
public_keys_are_sound_or_none(void **state)
{
    (void)state;
    uint8_t n[513];
    char text[SCK_B64URL_LEN(513)];
    memset(n, 0xC3, sizeof n);
    EVP_PKEY *key = NULL;
    sck_b64url_encode(n, 256, text);
    key = sck_azure_public_key(text, SCK_B64URL_LEN(256), "AQAB", 4);
    assert_non_null(key);
    assert_int_equal(EVP_PKEY_get_bits(key), 2048);
    EVP_PKEY_free(key);
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(256), "AQ", 2));      /* e = 1 */
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(256), "AQAA", 4));    /* even */
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(256), "", 0));
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(256) - 1, "AQAB", 4));
    sck_b64url_encode(n, 255, text);
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(255), "AQAB", 4));
    sck_b64url_encode(n, 513, text);
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(513), "AQAB", 4));
    n[255] = 0xC2;
    sck_b64url_encode(n, 256, text);
    assert_null(sck_azure_public_key(text, SCK_B64URL_LEN(256), "AQAB", 4));
}

#define ALL 0x3FFFU
#define ADDS (unsigned)(SCK_AZ_CREATE | SCK_AZ_ROTATE)
#define TOKENS (unsigned)(SCK_AZ_LOGIN | SCK_AZ_IDENTITY)
#define VAULT_OPS (ALL & ~TOKENS)
#define OF_A_KEY                                                                                                      \
    (unsigned)(SCK_AZ_READ | SCK_AZ_VERSIONS | SCK_AZ_ROTATE | SCK_AZ_UPDATE | SCK_AZ_WRAP | SCK_AZ_UNWRAP | SCK_AZ_DELETE)
#define HTTP SCK_NET_ANSWER

/* What is answered, to which requests, and what it must mean. */
static const struct answer {
    enum sck_net net;
    long status;
    unsigned ops;
    const char *text;
    enum sck_action action;
    enum sck_verdict verdict;
    enum sck_code code;
    const char *outcome;
} answers[] = {
    {SCK_NET_CONNECT, 0, ALL, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unreachable"},
    {SCK_NET_TIMEOUT, 0, ALL & ~ADDS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout"},
    {SCK_NET_TIMEOUT, 0, ADDS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost"},
    {SCK_NET_BROKEN, 0, ALL & ~ADDS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "broken"},
    {SCK_NET_BROKEN, 0, ADDS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost"},
    {SCK_NET_CERTIFICATE, 0, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "untrusted"},
    {SCK_NET_OVERSIZE, 0, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "oversize"},
    {SCK_NET_SETUP, 0, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "setup"},

    {HTTP, 200, ALL & ~(unsigned)SCK_AZ_CHALLENGE, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok"},
    {HTTP, 204, SCK_AZ_PURGE, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok"},
    {HTTP, 401, SCK_AZ_CHALLENGE, "Unauthorized: AKV10000", SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "challenge"},
    {HTTP, 200, SCK_AZ_CHALLENGE, NULL, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_challenge"},
    {HTTP, 302, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "redirect"},

    {HTTP, 400, SCK_AZ_LOGIN, "invalid_request: AADSTS90002: Tenant 'x' not found.", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT,
     SCK_E_CONFIG, "no_tenant"},
    {HTTP, 401, SCK_AZ_LOGIN, "invalid_client: AADSTS700024: not within its valid time range", SCK_ACT_STOP,
     SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "clock"},
    {HTTP, 400, SCK_AZ_LOGIN, "unauthorized_client: AADSTS700016: not found", SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN,
     SCK_E_CREDENTIAL, "no_client"},
    {HTTP, 401, SCK_AZ_LOGIN, "invalid_client: AADSTS7000215: Invalid client secret", SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN,
     SCK_E_CREDENTIAL, "bad_credential"},
    {HTTP, 400, SCK_AZ_LOGIN, "temporarily_unavailable: AADSTS90033", SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT,
     "unavailable"},
    {HTTP, 400, SCK_AZ_LOGIN, "invalid_scope: AADSTS1002012", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 404, SCK_AZ_LOGIN, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 404, SCK_AZ_IDENTITY, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable"},
    {HTTP, 410, SCK_AZ_IDENTITY, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable"},
    {HTTP, 400, SCK_AZ_IDENTITY, "invalid_request: Identity not found", SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN,
     SCK_E_CREDENTIAL, "no_identity"},
    {HTTP, 401, SCK_AZ_IDENTITY, NULL, SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "no_identity"},
    {HTTP, 429, TOKENS, NULL, SCK_ACT_EASE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "throttled"},

    {HTTP, 400, SCK_AZ_UNWRAP, "BadParameter: The parameter is incorrect.", SCK_ACT_STOP, SCK_SAYS_ALTERED,
     SCK_E_AUTHENTIC, "altered"},
    {HTTP, 400, VAULT_OPS & ~(unsigned)SCK_AZ_UNWRAP, "BadParameter: kty", SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG,
     "refused"},
    {HTTP, 400, SCK_AZ_UNWRAP, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},
    {HTTP, 401, VAULT_OPS & ~(unsigned)SCK_AZ_CHALLENGE, "Unauthorized: AKV10022", SCK_ACT_TOKEN, SCK_SAYS_BAD_TOKEN,
     SCK_E_CREDENTIAL, "bad_token"},

    {HTTP, 403, VAULT_OPS, "Forbidden/AccessDenied: no keys purge permission", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG,
     "denied"},
    {HTTP, 403, VAULT_OPS, "Forbidden/ForbiddenByRbac: no", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied"},
    {HTTP, 403, SCK_AZ_PURGE, "Forbidden/ForbiddenByPolicy: purge protection", SCK_ACT_STOP, SCK_SAYS_UNDELETABLE,
     SCK_E_STATE, "protected"},
    {HTTP, 403, SCK_AZ_CREATE, "Forbidden/ForbiddenByPolicy: key size", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG,
     "denied"},
    {HTTP, 403, SCK_AZ_UNWRAP, "Forbidden/KeyDisabled: not allowed on a disabled key", SCK_ACT_STOP, SCK_SAYS_TOO_OLD,
     SCK_E_STATE, "disabled"},
    {HTTP, 403, SCK_AZ_WRAP, "Forbidden/KeyOperationForbidden: no", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_STATE,
     "forbidden"},
    {HTTP, 403, VAULT_OPS, "Forbidden/ForbiddenByFirewall: 1.2.3.4", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG,
     "firewall"},
    {HTTP, 403, VAULT_OPS, "Forbidden/ForbiddenByConnection: public", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG,
     "firewall"},

    {HTTP, 404, OF_A_KEY, "KeyNotFound: A key with (name/id) a was not found", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing"},
    {HTTP, 404, SCK_AZ_DELETED | SCK_AZ_PURGE, "KeyNotFound: Deleted Key not found", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing"},
    {HTTP, 404, VAULT_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},
    {HTTP, 404, SCK_AZ_CREATE | SCK_AZ_LIST, "NotFound: no", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},
    {HTTP, 405, VAULT_OPS, "BadRequest: no", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path"},
    {HTTP, 408, VAULT_OPS & ~ADDS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout"},
    {HTTP, 408, ADDS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost"},

    {HTTP, 409, SCK_AZ_CREATE, "Conflict/ObjectIsDeletedButRecoverable: x", SCK_ACT_STOP, SCK_SAYS_SOFT_DELETED,
     SCK_E_STATE, "soft_deleted"},
    {HTTP, 409, SCK_AZ_PURGE | SCK_AZ_CREATE | SCK_AZ_DELETE, "Conflict/ObjectIsBeingDeleted: x", SCK_ACT_STOP,
     SCK_SAYS_BUSY, SCK_E_BUSY, "being_deleted"},
    {HTTP, 409, VAULT_OPS, "Conflict: x", SCK_ACT_STOP, SCK_SAYS_BUSY, SCK_E_BUSY, "conflict"},
    {HTTP, 429, VAULT_OPS, "Throttled: too many", SCK_ACT_EASE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "throttled"},
    {HTTP, 418, VAULT_OPS, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused"},

    {HTTP, 500, ALL & ~ADDS, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error"},
    {HTTP, 503, ALL & ~ADDS, "ServiceUnavailable: x", SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error"},
    {HTTP, 500, ADDS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost"},
    {HTTP, 504, ADDS, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost"},
    {HTTP, 501, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "unsupported"},
    {HTTP, 100, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange"},
    {HTTP, 999, ALL, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange"},
};

static void
each_answer_means_what_it_must(void **state)
{
    (void)state;
    size_t count = 0;
    const struct sck_triage *rows = sck_azure_triage_rows(&count);
    bool used[128] = {false};
    assert_true(count < 128);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer *a = &answers[i];
        for (unsigned op = 1; op <= SCK_AZ_IDENTITY; op <<= 1) {
            if ((a->ops & op) == 0)
                continue;
            const struct sck_triage *row = sck_azure_triage(a->net, a->status, op, a->text);
            used[row - rows] = true;
            if (row->action != a->action || row->verdict != a->verdict || row->code != a->code ||
                strcmp(row->outcome, a->outcome) != 0)
                fail_msg("answer %zu (%ld %s) to %s: got %s", i, a->status, a->text != NULL ? a->text : "-",
                         sck_azure_op_name(op), row->outcome);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (!used[i])
            fail_msg("no answer above meets row %zu (%s, %s)", i, rows[i].outcome, rows[i].text);
        assert_true((rows[i].code == SCK_OK) == (rows[i].action == SCK_ACT_DONE));
        assert_true((rows[i].code == SCK_OK) == (rows[i].message[0] == '\0'));
    }
    for (unsigned op = 1; op <= SCK_AZ_IDENTITY; op <<= 1)
        assert_string_not_equal(sck_azure_op_name(op), "unknown");
    assert_string_equal(sck_azure_op_name(1U << 20), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64url_has_one_spelling),
        cmocka_unit_test(key_identifiers_are_of_this_vault_and_key),
        cmocka_unit_test(challenges_are_read_in_every_spelling),
        cmocka_unit_test(only_a_vaults_own_domain_gets_a_token),
        cmocka_unit_test(tokens_have_a_life),
        cmocka_unit_test(error_texts_carry_the_inner_codes),
        cmocka_unit_test(assertions_say_who_whom_and_when),
        cmocka_unit_test(public_keys_are_sound_or_none),
        cmocka_unit_test(each_answer_means_what_it_must),
    };
    return cmocka_run_group_tests_name("vault/azure_parts", tests, NULL, NULL);
}
