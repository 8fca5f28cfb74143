/* SPDX-License-Identifier: MIT */
/*
 * Wrapped DEKs: version ‖ 00 ‖ ciphertext ‖ HMAC[32] (docs/formats.md).  A public key is everybody's, so that the
 * HMAC is what tells our wrapped DEKs from others, and it is checked before the vault is asked.
 */
#include "vault/azure/azure.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

enum {
    KW_LEN = SCK_PAYLOAD_LEN + 8, /* RFC 3394 */
    RSA_LEAST = 256,
    RSA_MOST = 512,
    HEAD_LEN = SCK_AZURE_VERSION_LEN + 1,
    NUMBER_MAX = 0xFFFFFF /* no name goes on into a number that begins with 00 */
};

static enum sck_code
blob_mac(struct sck_azure *a, const char *name, uint32_t version, const uint8_t *blob, size_t len,
         uint8_t out[SCK_SHA256_LEN], struct sck_err *err)
{
    uint8_t input[SCK_WDEK_AAD_MAX + HEAD_LEN + RSA_MOST];
    size_t used = sck_wdek_aad(name, version, input);
    memcpy(input + used, blob, len);
    return a->mac(a->mac_arg, input, used + len, out, err);
}

/* RSA-OAEP-256 of RFC 7518 section 4.3: SHA-256 for the label and for the mask; no label. */
static bool
oaep(EVP_PKEY *key, const struct sck_secret *payload, uint8_t *out, size_t *out_len)
{
    char digest[] = "SHA2-256", mode[] = OSSL_PKEY_RSA_PAD_MODE_OAEP;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, mode, 0),
                                 OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(sck_libctx(), key, NULL);
    ERR_set_mark();
    bool ok = ctx != NULL && EVP_PKEY_encrypt_init_ex(ctx, params) == 1 &&
              EVP_PKEY_encrypt(ctx, out, out_len, payload->data, payload->len) == 1;
    ERR_pop_to_mark();
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* {"alg":"...","value":"..."} */
static enum sck_code
make_body(const char *alg, const uint8_t *value, size_t len, struct sck_secret **out, struct sck_err *err)
{
    char head[64];
    int head_len = snprintf(head, sizeof head, "{\"alg\":\"%s\",\"value\":\"", alg);
    enum sck_code rc = sck_secret_new((size_t)head_len + SCK_B64URL_LEN(len) + 2, out, err);
    if (rc == SCK_OK) {
        char *at = (char *)(*out)->data;
        memcpy(at, head, (size_t)head_len);
        sck_b64url_encode(value, len, at + head_len);
        memcpy(at + head_len + SCK_B64URL_LEN(len), "\"}", 2);
    }
    return rc;
}

/* The value of an answer that must be about this version. */
static enum sck_code
take_value(struct sck_azure *a, const struct sck_call *call, const char *version, uint8_t *out, size_t cap,
           size_t *len, struct sck_err *err)
{
    char answered[SCK_AZURE_VERSION_LEN + 1];
    struct sck_json value = sck_json_get(call->answer.json, "value");
    if (!sck_azure_kid_version(sck_json_get(call->answer.json, "kid"), sck_azure_url(a), call->kek, answered) ||
        strcmp(answered, version) != 0 || value.kind != SCK_JSON_STRING ||
        !sck_b64url_decode(value.at, value.len, out, cap, len))
        return sck_call_strange(call, "a value and the version that it is under", err);
    return SCK_OK;
}

static enum sck_code
wrap_remotely(struct sck_azure *a, const char *name, const struct sck_azure_key *key,
              const struct sck_secret *payload, int64_t deadline_us, uint8_t *out, size_t *len, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_secret *body = NULL;
    struct sck_call call = {.op = 0};
    (void)snprintf(path, sizeof path, "/keys/%s/%s/wrapkey?" SCK_AZURE_API, name, key->version);
    enum sck_code rc = make_body("A256KW", payload->data, payload->len, &body, err);
    const struct sck_azure_ask ask = {.op = SCK_AZ_WRAP,
                                      .method = "POST",
                                      .path = path,
                                      .kek = name,
                                      .login = &a->data,
                                      .body = body,
                                      .deadline_us = deadline_us};
    if (rc == SCK_OK)
        rc = sck_azure_expect(a, &ask, SCK_SAYS_OK, &call, err);
    if (rc == SCK_OK)
        rc = take_value(a, &call, key->version, out, KW_LEN, len, err);
    if (rc == SCK_OK && *len != KW_LEN)
        rc = sck_call_strange(&call, "a ciphertext of A256KW", err);
    sck_call_clear(&call);
    sck_secret_free(&body);
    return rc;
}

enum sck_code
sck_azure_make_blob(struct sck_azure *a, const struct sck_kek *kek, const struct sck_secret *payload,
                    int64_t deadline_us, struct sck_buf *blob, uint32_t *version, struct sck_err *err)
{
    struct sck_azure_key key = {.number = 0};
    uint8_t made[HEAD_LEN + RSA_MOST] = {0}, mac[SCK_SHA256_LEN];
    size_t len = RSA_MOST;
    *version = 0;
    if (payload->len != SCK_PAYLOAD_LEN)
        return sck_fail(err, SCK_E_USAGE, "keeper azure: a payload has %d bytes, not %zu", SCK_PAYLOAD_LEN,
                        payload->len);
    enum sck_code rc = sck_azure_check_name(kek->name, err);
    if (rc == SCK_OK)
        rc = sck_azure_key_get(a, kek->name, kek->version, deadline_us, &key, err);
    if (rc != SCK_OK)
        return rc;
    memcpy(made, key.version, SCK_AZURE_VERSION_LEN);
    if (key.public == NULL)
        rc = wrap_remotely(a, kek->name, &key, payload, deadline_us, made + HEAD_LEN, &len, err);
    else if (!oaep(key.public, payload, made + HEAD_LEN, &len))
        rc = sck_fail(err, SCK_E_INTERNAL, "keeper azure, wrap of KEK %s: OpenSSL cannot encrypt by RSA-OAEP-256",
                      kek->name);
    if (rc == SCK_OK)
        rc = blob_mac(a, kek->name, key.number, made, HEAD_LEN + len, mac, err);
    if (rc == SCK_OK) {
        sck_buf_put(blob, made, HEAD_LEN + len);
        sck_buf_put(blob, mac, sizeof mac);
        *version = key.number;
        rc = sck_buf_check(blob, "the wrapped DEK", err);
    }
    sck_azure_key_release(&key);
    return rc;
}

enum sck_code
sck_azure_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload,
               struct sck_buf *blob, uint32_t *version, struct sck_err *err)
{
    return sck_azure_make_blob(sck_azure_of(keeper), kek, payload, 0, blob, version, err);
}

/* What a wrapped DEK consists of; false when it is none. */
struct parts {
    char version[SCK_AZURE_VERSION_LEN + 1];
    const uint8_t *ciphertext;
    size_t ciphertext_len;
    const uint8_t *mac;
};

static bool
split(const uint8_t *blob, size_t len, struct parts *out)
{
    if (len <= HEAD_LEN + SCK_SHA256_LEN || blob[SCK_AZURE_VERSION_LEN] != 0 ||
        !sck_azure_version_is_legal((const char *)blob, SCK_AZURE_VERSION_LEN))
        return false;
    memcpy(out->version, blob, sizeof out->version);
    out->ciphertext = blob + HEAD_LEN;
    out->ciphertext_len = len - HEAD_LEN - SCK_SHA256_LEN;
    out->mac = blob + len - SCK_SHA256_LEN;
    return out->ciphertext_len == KW_LEN || (out->ciphertext_len >= RSA_LEAST && out->ciphertext_len <= RSA_MOST);
}

/* Ask the vault to open it. */
static enum sck_code
ask_to_open(struct sck_azure *a, const char *name, const struct parts *p, int64_t deadline_us, struct sck_call *call,
            struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_secret *body = NULL;
    (void)snprintf(path, sizeof path, "/keys/%s/%s/unwrapkey?" SCK_AZURE_API, name, p->version);
    enum sck_code rc = make_body(p->ciphertext_len == KW_LEN ? "A256KW" : "RSA-OAEP-256", p->ciphertext,
                                 p->ciphertext_len, &body, err);
    const struct sck_azure_ask ask = {.op = SCK_AZ_UNWRAP,
                                      .method = "POST",
                                      .path = path,
                                      .kek = name,
                                      .login = &a->data,
                                      .body = body,
                                      .deadline_us = deadline_us};
    if (rc == SCK_OK)
        rc = sck_azure_send(a, &ask, call, err);
    call->path = "";
    call->body = NULL;
    sck_secret_free(&body);
    return rc;
}

enum sck_code
sck_azure_open_blob(struct sck_azure *a, const char *name, uint32_t version, struct sck_bytes blob,
                    int64_t deadline_us, struct sck_secret **payload, struct sck_err *err)
{
    struct sck_call call = {.op = 0};
    struct parts p;
    uint8_t mac[SCK_SHA256_LEN];
    size_t len = 0;
    *payload = NULL;
    enum sck_code rc = sck_azure_check_name(name, err);
    if (rc != SCK_OK)
        return rc;
    if (version == 0 || version > NUMBER_MAX || !split(blob.data, blob.len, &p))
        return sck_fail(err, SCK_E_AUTHENTIC, "keeper azure: this is no wrapped DEK of this keeper");
    rc = blob_mac(a, name, version, blob.data, blob.len - SCK_SHA256_LEN, mac, err);
    if (rc == SCK_OK && !sck_ct_equal(mac, p.mac, sizeof mac))
        rc = sck_fail(err, SCK_E_AUTHENTIC,
                      "keeper azure, unwrap of KEK %s: the wrapped DEK was altered or not made here, "
                      "so the vault is not asked",
                      name);
    if (rc == SCK_OK)
        rc = ask_to_open(a, name, &p, deadline_us, &call, err);
    if (rc == SCK_OK && call.answer.row->verdict != SCK_SAYS_OK)
        rc = sck_call_refused(&call, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, payload, err);
    if (rc == SCK_OK)
        rc = take_value(a, &call, p.version, (*payload)->data, (*payload)->cap, &len, err);
    if (rc == SCK_OK && len != SCK_PAYLOAD_LEN)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "keeper azure, unwrap of KEK %s: what came out is no payload of Scopekey",
                      name);
    if (rc != SCK_OK)
        sck_secret_free(payload);
    sck_call_clear(&call);
    return rc;
}

enum sck_code
sck_azure_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *blob,
                 size_t blob_len, struct sck_secret **payload, struct sck_err *err)
{
    return sck_azure_open_blob(sck_azure_of(keeper), kek->name, version, (struct sck_bytes){blob, blob_len}, 0,
                               payload, err);
}

enum sck_code
sck_azure_try(struct sck_azure *a, const char *name, const uint8_t *blob, size_t blob_len, enum sck_verdict *verdict,
              struct sck_err *err)
{
    static const uint8_t made_up[RSA_LEAST];
    struct sck_call call = {.op = 0};
    struct parts p;
    *verdict = SCK_SAYS_NOTHING;
    if (!split(blob, blob_len, &p)) {
        /* For whoever has none: a living key says that it is not its own, a deleted one that it is missing. */
        memset(p.version, '0', SCK_AZURE_VERSION_LEN);
        p.version[SCK_AZURE_VERSION_LEN] = '\0';
        p.ciphertext = made_up;
        p.ciphertext_len = sizeof made_up;
    }
    enum sck_code rc = ask_to_open(a, name, &p, 0, &call, err);
    if (rc == SCK_OK) {
        *verdict = call.answer.row->verdict;
        bool of_the_key = *verdict == SCK_SAYS_OK || *verdict == SCK_SAYS_MISSING || *verdict == SCK_SAYS_ALTERED ||
                          *verdict == SCK_SAYS_TOO_OLD || *verdict == SCK_SAYS_BUSY;
        if (!of_the_key)
            rc = sck_call_refused(&call, err);
    }
    sck_call_clear(&call);
    return rc;
}
