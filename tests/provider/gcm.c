/* SPDX-License-Identifier: MIT */
/* SCOPEKEY-AES-256-GCM through EVP: round trips and misuse. */
#include "tests/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/err.h>

#define ALICE "scopekey:subject/alice/"
#define USAGE "invalid argument: correct the call or the key URI"
#define STATE "key may not do that now: see scopekey key show"

static struct fx_app app;
static EVP_CIPHER *gcm;

static int
start(void **state)
{
    if (fx_start(state) != 0)
        return -1;
    fx_app_new(&app, true);
    gcm = EVP_CIPHER_fetch(app.ctx, "SCOPEKEY-AES-256-GCM", NULL);
    return gcm != NULL ? 0 : -1;
}

static int
stop(void **state)
{
    EVP_CIPHER_free(gcm);
    fx_app_free(&app);
    return fx_stop(state);
}

struct message {
    uint8_t nonce[12], tag[16], data[256];
    size_t len;
};

static int
init(EVP_CIPHER_CTX *ctx, int encrypting, const char *uri, const uint8_t *nonce)
{
    char text[128];
    (void)snprintf(text, sizeof text, "%s", uri);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("uri", text, 0), OSSL_PARAM_construct_end()};
    return EVP_CipherInit_ex2(ctx, gcm, NULL, nonce, encrypting, params);
}

static int
get(EVP_CIPHER_CTX *ctx, const char *name, void *out, size_t len)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(name, out, len), OSSL_PARAM_construct_end()};
    return EVP_CIPHER_CTX_get_params(ctx, params);
}

static int
set_tag(EVP_CIPHER_CTX *ctx, uint8_t *tag, size_t len)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, len),
                           OSSL_PARAM_construct_end()};
    return EVP_CIPHER_CTX_set_params(ctx, params);
}

static void
seal(const char *uri, const uint8_t *nonce, const char *aad, const char *text, struct message *m)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    assert_int_equal(init(ctx, 1, uri, nonce), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)aad, (int)strlen(aad)), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, m->data, &n, (const unsigned char *)text, (int)strlen(text)), 1);
    assert_int_equal(n, (int)strlen(text));
    assert_int_equal(EVP_CipherFinal_ex(ctx, m->data + n, &last), 1);
    assert_int_equal(last, 0);
    m->len = (size_t)n;
    assert_int_equal(EVP_CIPHER_CTX_get_updated_iv(ctx, m->nonce, sizeof m->nonce), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sizeof m->tag, m->tag), 1);
    fx_expect_no_error();
    EVP_CIPHER_CTX_free(ctx);
}

/* 1 and the text in `out`, or what failed first. */
static int
unseal(const char *uri, struct message *m, const char *aad, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, last = 0;
    int ok = init(ctx, 0, uri, m->nonce) == 1 && set_tag(ctx, m->tag, sizeof m->tag) == 1 &&
             EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)aad, (int)strlen(aad)) == 1 &&
             EVP_CipherUpdate(ctx, out, &n, m->data, (int)m->len) == 1 && EVP_CipherFinal_ex(ctx, out + n, &last) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static void
test_round_trips(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "x", "sixteen bytes...", "a message of some length, not a multiple of 16"};
    struct message m, again;
    uint8_t out[256];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        seal(ALICE "data", NULL, "header", texts[i], &m);
        seal(ALICE "data", NULL, "header", texts[i], &again);
        assert_memory_not_equal(m.nonce, again.nonce, sizeof m.nonce);
        assert_int_equal(unseal(ALICE "data", &m, "header", out), 1);
        assert_memory_equal(out, texts[i], m.len);
        assert_int_equal(unseal(ALICE "data?version=1", &m, "header", out), 1);
        fx_expect_no_error();
    }
    assert_int_equal(EVP_CIPHER_get_mode(gcm), EVP_CIPH_GCM_MODE);
    assert_int_equal(EVP_CIPHER_get_block_size(gcm), 1);
    assert_int_equal(EVP_CIPHER_get_iv_length(gcm), 12);
    assert_true((EVP_CIPHER_get_flags(gcm) & EVP_CIPH_FLAG_AEAD_CIPHER) != 0);
}

static void
test_nothing_altered_opens(void **state)
{
    (void)state;
    struct message good, m;
    uint8_t out[256], zeros[256] = {0};
    seal(ALICE "data", NULL, "header", "secret text", &good);
    for (size_t i = 0; i < 12 + 16 + good.len + 1; i++) {
        m = good;
        if (i < 12)
            m.nonce[i] ^= 1;
        else if (i < 28)
            m.tag[i - 12] ^= 1;
        else if (i < 28 + good.len)
            m.data[i - 28] ^= 1;
        memset(out, 0, sizeof out);
        assert_int_equal(unseal(ALICE "data", &m, i == 28 + good.len ? "headex" : "header", out), 0);
        assert_string_equal(ERR_reason_error_string(ERR_peek_last_error()), "data altered or not made with this key");
        assert_memory_equal(out, zeros, sizeof out);
        ERR_clear_error();
    }
}

static void
test_misuse(void **state)
{
    (void)state;
    uint8_t nonce[12] = {1}, key[32] = {0}, out[64], tag[16];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_CipherInit_ex2(ctx, gcm, key, NULL, 1, NULL), 0);
    fx_expect_error(USAGE, "keys stay in the token: name one by the parameter uri instead of giving bytes");
    assert_int_equal(init(ctx, 1, ALICE "data", nonce), 0);
    fx_expect_error(USAGE, "a key of usage gcm makes its own nonces: give none and read updated-iv");
    /* The nonce first, the key later. */
    EVP_CIPHER_CTX_reset(ctx);
    assert_int_equal(EVP_CipherInit_ex2(ctx, gcm, NULL, NULL, 1, NULL), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"x", 1), 0);
    fx_expect_error(USAGE, "no key: set the parameter uri");
    assert_int_equal(init(ctx, 1, ALICE "iv", NULL), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"x", 1), 0);
    fx_expect_error(USAGE, "a key of usage gcm-caller-iv needs a nonce for each message");
    assert_int_equal(init(ctx, 1, ALICE "tls", NULL), 0);
    assert_string_equal(ERR_reason_error_string(ERR_get_error()), STATE);
    assert_int_equal(init(ctx, 1, ALICE "cmac", NULL), 0);
    assert_string_equal(ERR_reason_error_string(ERR_get_error()), STATE);
    assert_int_equal(init(ctx, 1, ALICE "none", NULL), 0);
    fx_expect_error("key not found: see scopekey key list",
                    "there is no key scopekey:subject/alice/none: see `scopekey key list`");
    assert_int_equal(init(ctx, 1, "scopekey:subject/alice/data?x=1", NULL), 0);
    fx_expect_error(USAGE, "key URI: unknown attribute \"x\": there are version, type and pin-source");
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 16, NULL), 0);
    ERR_clear_error();

    assert_int_equal(init(ctx, 1, ALICE "data", NULL), 1);
    assert_int_equal(get(ctx, OSSL_CIPHER_PARAM_UPDATED_IV, nonce, 12), 0);
    fx_expect_error(STATE, "the nonce is made with the message: read it after final");
    assert_int_equal(get(ctx, OSSL_CIPHER_PARAM_AEAD_TAG, tag, 16), 0);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"one", 3), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"two", 3), 0);
    fx_expect_error(STATE, "the data comes in one update, or in parts with the parameter buffered = 1");
    assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)"aad", 3), 0);
    fx_expect_error(STATE, "additional data comes before the data");
    assert_int_equal(get(ctx, OSSL_CIPHER_PARAM_AEAD_TAG, tag, 12), 0);

    assert_int_equal(init(ctx, 0, ALICE "data", nonce), 1);
    assert_int_equal(set_tag(ctx, tag, 12), 0);
    fx_expect_error(USAGE, "the tag must be 16 bytes");
    assert_int_equal(EVP_CipherFinal_ex(ctx, out, &n), 0);
    fx_expect_error(USAGE, "decryption needs the tag");
    assert_int_equal(init(ctx, 0, ALICE "data", NULL), 1);
    assert_int_equal(set_tag(ctx, tag, 16), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"xxx", 3), 0);
    fx_expect_error(USAGE, "decryption needs the nonce that the message was made with");
    EVP_CIPHER_CTX_free(ctx);
}

/* Many programs set the tag between the data and final, which writes behind what update wrote (nothing). */
static void
test_tag_after_data(void **state)
{
    (void)state;
    struct message m;
    uint8_t out[256], other[256];
    int n = 0, last = 0;
    seal(ALICE "data", NULL, "", "text", &m);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(init(ctx, 0, ALICE "data", m.nonce), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, m.data, (int)m.len), 1);
    assert_int_equal(n, 0);
    assert_int_equal(set_tag(ctx, m.tag, 16), 1);
    assert_int_equal(EVP_CipherFinal_ex(ctx, out + n, &last), 1);
    assert_int_equal(last, 4);
    assert_memory_equal(out, "text", 4);
    fx_expect_no_error();
    assert_int_equal(init(ctx, 0, ALICE "data", m.nonce), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, m.data, (int)m.len), 1);
    assert_int_equal(set_tag(ctx, m.tag, 16), 1);
    assert_int_equal(EVP_CipherFinal_ex(ctx, other, &last), 0);
    fx_expect_error(USAGE, "set the tag before the data, or finish into the buffer that update was given");
    EVP_CIPHER_CTX_free(ctx);
}

static void
set_buffered(EVP_CIPHER_CTX *ctx)
{
    int on = 1;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_int("buffered", &on), OSSL_PARAM_construct_end()};
    assert_int_equal(EVP_CIPHER_CTX_set_params(ctx, params), 1);
}

static void
test_parts(void **state)
{
    (void)state;
    struct message m;
    uint8_t out[256];
    int n = 0, total = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new(), *copy = EVP_CIPHER_CTX_new();
    assert_int_equal(init(ctx, 1, ALICE "data", NULL), 1);
    set_buffered(ctx);
    assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)"he", 2), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)"ad", 2), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, m.data, &n, (const unsigned char *)"first ", 6), 1);
    assert_int_equal(n, 0);
    assert_int_equal(EVP_CIPHER_CTX_copy(copy, ctx), 1);
    EVP_CIPHER_CTX *both[] = {ctx, copy};
    const char *ends[] = {"second", "other!"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(EVP_CipherUpdate(both[i], m.data, &n, (const unsigned char *)ends[i], 6), 1);
        assert_int_equal(EVP_CipherFinal_ex(both[i], m.data, &total), 1);
        assert_int_equal(total, 12);
        m.len = 12;
        assert_int_equal(EVP_CIPHER_CTX_get_updated_iv(both[i], m.nonce, 12), 1);
        assert_int_equal(get(both[i], OSSL_CIPHER_PARAM_AEAD_TAG, m.tag, 16), 1);
        assert_int_equal(unseal(ALICE "data", &m, "head", out), 1);
        assert_memory_equal(out, "first ", 6);
        assert_memory_equal(out + 6, ends[i], 6);
    }
    fx_expect_no_error();
    EVP_CIPHER_CTX_free(copy);
    EVP_CIPHER_CTX_free(ctx);
}

static void
test_bounds(void **state)
{
    (void)state;
    size_t most = (size_t)16 * 1024 * 1024;
    unsigned char *data = calloc(1, most + 1), *out = malloc(most + 1);
    assert_non_null(data);
    assert_non_null(out);
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    assert_int_equal(init(ctx, 1, ALICE "data", NULL), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, data, (int)most + 1), 0);
    fx_expect_error(USAGE, "a message has at most 16 MiB: use scopekey encrypt for files");
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, data, (int)most), 1);
    assert_int_equal(n, (int)most);
    assert_int_equal(init(ctx, 1, ALICE "data", NULL), 1);
    set_buffered(ctx);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, data, (int)most), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, data, 1), 0);
    fx_expect_error(USAGE, "a message has at most 16 MiB: use scopekey encrypt for files");
    EVP_CIPHER_CTX_free(ctx);
    free(data);
    free(out);
}

static void
test_caller_nonce(void **state)
{
    (void)state;
    static const uint8_t nonce[12] = "twelve bytes";
    struct message m;
    uint8_t out[256];
    int n = 0;
    seal(ALICE "iv", nonce, "h", "text", &m);
    assert_memory_equal(m.nonce, nonce, 12);
    assert_int_equal(unseal(ALICE "iv", &m, "h", out), 1);
    assert_memory_equal(out, "text", 4);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new(), *copy = EVP_CIPHER_CTX_new();
    assert_int_equal(init(ctx, 1, ALICE "iv", nonce), 1);
    assert_int_equal(EVP_CIPHER_CTX_copy(copy, ctx), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"one", 3), 1);
    assert_int_equal(EVP_CipherUpdate(copy, out, &n, (const unsigned char *)"two", 3), 0);
    fx_expect_error(USAGE, "a key of usage gcm-caller-iv needs a nonce for each message");
    /* The next message of the same context needs a new one too. */
    assert_int_equal(EVP_CipherInit_ex2(ctx, NULL, NULL, NULL, 1, NULL), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, out, &n, (const unsigned char *)"two", 3), 0);
    fx_expect_error(USAGE, "a key of usage gcm-caller-iv needs a nonce for each message");
    EVP_CIPHER_CTX_free(copy);
    EVP_CIPHER_CTX_free(ctx);
}

static enum sck_code
rotate_data(struct sck_service *service, struct sck_err *err)
{
    struct sck_uri uri;
    struct sck_key_info info, next;
    enum sck_code rc = sck_uri_parse(ALICE "data", strlen(ALICE "data"), &uri, err);
    if (rc == SCK_OK)
        rc = sck_key_find(service, &uri, &info, err);
    if (rc == SCK_OK)
        rc = sck_key_rotate(service, &info, &next, err);
    return rc;
}

static void
test_older_version_opens(void **state)
{
    (void)state;
    struct message old, now;
    uint8_t out[256];
    seal(ALICE "data", NULL, "h", "old text", &old);
    fx_child(rotate_data);
    seal(ALICE "data", NULL, "h", "new text", &now);
    assert_int_equal(unseal(ALICE "data", &now, "h", out), 1);
    assert_memory_equal(out, "new text", 8);
    assert_int_equal(unseal(ALICE "data", &old, "h", out), 1);
    assert_memory_equal(out, "old text", 8);
    fx_expect_no_error();
    assert_int_equal(unseal(ALICE "data?version=2", &old, "h", out), 0);
    assert_string_equal(ERR_reason_error_string(ERR_peek_last_error()), "data altered or not made with this key");
    ERR_clear_error();
    old.tag[0] ^= 1;
    assert_int_equal(unseal(ALICE "data", &old, "h", out), 0);
    fx_expect_error("data altered or not made with this key",
                    "the message was altered, or not made with any version of this key");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_nothing_altered_opens),
        cmocka_unit_test(test_misuse),      cmocka_unit_test(test_tag_after_data),
        cmocka_unit_test(test_parts),       cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_caller_nonce), cmocka_unit_test(test_older_version_opens),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
