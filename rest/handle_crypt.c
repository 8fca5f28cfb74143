/* SPDX-License-Identifier: MIT */
#include "rest/aad.h"
#include "rest/handlers.h"
#include "rest/json.h"
#include "rest/keys.h"

#include <string.h>

#define ALGORITHM "AES-256-GCM"
#define AAD_MAX (16 + 2 + SCK_KEY_ID_MAX + 4 + SCK_PAIRS_BYTES_MAX)

static const struct sck_rest_json_member encrypt_members[] = {
    {"key_id", JSON_STRING, true},    {"plaintext", JSON_STRING, false}, {"plaintext_b64", JSON_STRING, false},
    {"context", JSON_OBJECT, false},  {"format", JSON_STRING, false},
};

static const struct sck_rest_json_member decrypt_members[] = {
    {"key_id", JSON_STRING, true},   {"ciphertext", JSON_STRING, true},   {"nonce", JSON_STRING, false},
    {"context", JSON_OBJECT, false}, {"key_version", JSON_INTEGER, false}, {"encoding", JSON_STRING, false},
};

/* The members of a string that has two spellings: index of the one given, 0 when absent, -1 when it is neither. */
static int
read_choice(const json_t *body, const char *name, const char *first, const char *second)
{
    struct sck_bytes text = sck_rest_json_text(body, name);
    if (text.data == NULL)
        return 0;
    if (text.len == strlen(first) && memcmp(text.data, first, text.len) == 0)
        return 1;
    return text.len == strlen(second) && memcmp(text.data, second, text.len) == 0 ? 2 : -1;
}

/* Parse and check a body, and take its key_id.  NULL when answered. */
static json_t *
read_body(struct sck_request *req, const struct sck_rest_json_member *members, size_t count)
{
    struct sck_err err = SCK_ERR_INIT;
    json_t *body = NULL;
    enum sck_code rc;
    req->algorithm = ALGORITHM;
    if (req->body == NULL)
        rc = sck_fail(&err, SCK_E_USAGE, "The body is missing");
    else
        rc = sck_rest_json_parse(req->body->data, req->body->len, &body, &err);
    if (rc == SCK_OK)
        rc = sck_rest_json_check(body, members, count, &err);
    if (rc == SCK_E_USAGE)
        sck_reply_invalid(req, err.message);
    else if (rc != SCK_OK)
        sck_reply_failed(req, &err);
    if (rc == SCK_OK && sck_rest_key_id(req, body))
        return body;
    json_decref(body);
    return NULL;
}

/* The bytes that GCM authenticates beside the data.  SCK_E_USAGE with a message for the client. */
static enum sck_code
make_aad(const struct sck_request *req, const json_t *body, uint32_t version, struct sck_buf *aad,
         struct sck_err *err)
{
    struct sck_pair pairs[SCK_PAIRS_MAX];
    size_t count = 0;
    json_t *context = json_object_get(body, "context");
    const char *name;
    json_t *value;
    json_object_foreach(context, name, value) {
        if (count == SCK_PAIRS_MAX)
            return sck_fail(err, SCK_E_USAGE, "context has more than %d members", SCK_PAIRS_MAX);
        if (!json_is_string(value))
            return sck_fail(err, SCK_E_USAGE, "The values in context must be strings");
        pairs[count++] =
            (struct sck_pair){{(const uint8_t *)name, strlen(name)},
                              {(const uint8_t *)json_string_value(value), json_string_length(value)}};
    }
    sck_buf_reset(aad);
    return sck_rest_aad(req->key_id, version, pairs, count, aad, err);
}

/* The open handle of a key that can do this, so that the provider meets it in the cache. */
static enum sck_code
open_key(const struct sck_request *req, const struct sck_key_info *key, struct sck_ukey **ukey, struct sck_err *err)
{
    if (key->alg != SCK_ALG_AES_256 || key->usage != SCK_USAGE_GCM)
        return sck_fail(err, SCK_E_STATE, "the key is not for " ALGORITHM);
    return sck_ukey_open(req->app->service, key, ukey, err);
}

/* ---- encrypt ---- */

/* flag ‖ data.  SCK_E_USAGE with a message for the client. */
static enum sck_code
read_plaintext(struct sck_request *req, const json_t *body, struct sck_secret **covered, struct sck_err *err)
{
    struct sck_bytes text = sck_rest_json_text(body, "plaintext");
    struct sck_bytes b64 = sck_rest_json_text(body, "plaintext_b64");
    struct sck_buf decoded;
    enum sck_code rc = SCK_OK;
    sck_buf_init(&decoded, SCK_SECRET_MAX);
    if ((text.data == NULL) == (b64.data == NULL))
        rc = sck_fail(err, SCK_E_USAGE, "Exactly one of plaintext and plaintext_b64 is required");
    else if (b64.data != NULL)
        rc = sck_rest_json_base64(body, "plaintext_b64", &decoded, err);
    struct sck_bytes data = text.data != NULL ? text : sck_buf_bytes(&decoded);
    if (rc == SCK_OK)
        rc = sck_secret_new(1 + data.len, covered, err);
    if (rc == SCK_OK) {
        (*covered)->data[0] = text.data != NULL ? SCK_REST_FLAG_TEXT : SCK_REST_FLAG_BYTES;
        if (data.len > 0)
            memcpy((*covered)->data + 1, data.data, data.len);
        req->data_length = (int64_t)data.len;
    }
    sck_buf_clear(&decoded);
    return rc;
}

static json_t *
encrypted(const struct sck_request *req, const struct sck_key_info *key, const uint8_t nonce[SCK_GCM_NONCE_LEN],
          const struct sck_buf *sealed, bool is_blob)
{
    struct sck_buf blob;
    sck_buf_init(&blob, SCK_REPLY_MAX);
    json_t *object = json_pack("{s:s}", "key_id", key->key_id);
    bool done = object != NULL;
    if (is_blob) {
        sck_rest_blob_encode(key->version, nonce, sealed->data, sealed->len, &blob);
        done = done && !blob.failed && sck_rest_json_put_base64(object, "ciphertext", blob.data, blob.len);
    } else {
        done = done && sck_rest_json_put_base64(object, "ciphertext", sealed->data, sealed->len) &&
               sck_rest_json_put_base64(object, "nonce", nonce, SCK_GCM_NONCE_LEN);
    }
    done = done && json_object_set_new(object, "algorithm", json_string(ALGORITHM)) == 0 &&
           sck_reply_put_time(req, object) &&
           json_object_set_new(object, "key_version", json_integer(key->version)) == 0;
    sck_buf_clear(&blob);
    if (!done) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* SCK_E_USAGE with a message for the client; everything else with one for the log. */
static enum sck_code
encrypt(struct sck_request *req, const json_t *body, const struct sck_secret *covered, bool is_blob,
        struct sck_err *err)
{
    struct sck_key_info key;
    struct sck_ukey *ukey = NULL;
    struct sck_buf aad;
    struct sck_buf sealed;
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    sck_buf_init(&aad, AAD_MAX);
    sck_buf_init(&sealed, SCK_SECRET_MAX + SCK_GCM_TAG_LEN);
    enum sck_code rc = sck_rest_key_find(req, 0, &key, err);
    if (rc == SCK_OK)
        rc = open_key(req, &key, &ukey, err);
    if (rc == SCK_OK)
        rc = make_aad(req, body, key.version, &aad, err);
    if (rc == SCK_OK)
        rc = sck_crypt_seal(req->app->crypt, &key, sck_buf_bytes(&aad), covered, nonce, &sealed, err);
    if (rc == SCK_OK)
        sck_reply_json(req, 200, encrypted(req, &key, nonce, &sealed, is_blob));
    sck_ukey_unref(&ukey);
    sck_buf_clear(&aad);
    sck_buf_clear(&sealed);
    return rc;
}

static void
answer_failure(struct sck_request *req, enum sck_code rc, const struct sck_err *err)
{
    if (rc == SCK_E_USAGE)
        sck_reply_invalid(req, err->message);
    else if (rc != SCK_OK)
        sck_reply_failed(req, err);
}

void
sck_handle_encrypt(struct sck_request *req)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_secret *covered = NULL;
    json_t *body = read_body(req, encrypt_members, sizeof encrypt_members / sizeof encrypt_members[0]);
    if (body == NULL)
        return;
    int format = read_choice(body, "format", "split", "blob");
    enum sck_code rc = SCK_OK;
    if (format < 0)
        rc = sck_fail(&err, SCK_E_USAGE, "format must be split or blob");
    if (rc == SCK_OK)
        rc = read_plaintext(req, body, &covered, &err);
    if (rc == SCK_OK)
        rc = encrypt(req, body, covered, format == 2, &err);
    answer_failure(req, rc, &err);
    sck_secret_free(&covered);
    json_decref(body);
}

/* ---- decrypt ---- */

struct sealed_data {
    struct sck_buf ciphertext;      /* as sent */
    struct sck_buf nonce_buf;       /* as sent */
    struct sck_bytes nonce;
    struct sck_bytes sealed;        /* ciphertext ‖ tag */
    uint32_t version;               /* 0: not said */
};

/*
 * Take the request apart.  SCK_E_USAGE for what anybody can see to be malformed; SCK_E_AUTHENTIC for bytes that are
 * well spelled but cannot be a ciphertext of ours.
 */
static enum sck_code
read_sealed(const json_t *body, struct sealed_data *in, struct sck_err *err)
{
    const json_t *version = json_object_get(body, "key_version");
    bool split = json_object_get(body, "nonce") != NULL;
    if (version != NULL && (json_integer_value(version) < 1 || json_integer_value(version) > UINT32_MAX))
        return sck_fail(err, SCK_E_USAGE, "key_version is out of range");
    in->version = version != NULL ? (uint32_t)json_integer_value(version) : 0;
    enum sck_code rc = sck_rest_json_base64(body, "ciphertext", &in->ciphertext, err);
    if (rc == SCK_OK && split)
        rc = sck_rest_json_base64(body, "nonce", &in->nonce_buf, err);
    if (rc != SCK_OK)
        return rc;
    if (split) {
        in->nonce = sck_buf_bytes(&in->nonce_buf);
        in->sealed = sck_buf_bytes(&in->ciphertext);
    } else {
        uint32_t stated = 0;
        if (!sck_rest_blob_decode(in->ciphertext.data, in->ciphertext.len, &stated, &in->nonce, &in->sealed) ||
            stated == 0 || (in->version != 0 && in->version != stated))
            return sck_fail(err, SCK_E_AUTHENTIC, "no blob of ours");
        in->version = stated;
    }
    /* At least the flag, and the tag. */
    if (in->nonce.len != SCK_GCM_NONCE_LEN || in->sealed.len < 1 + SCK_GCM_TAG_LEN)
        return sck_fail(err, SCK_E_AUTHENTIC, "no ciphertext of ours");
    return SCK_OK;
}

/* One version.  SCK_E_AUTHENTIC: not under this one. */
static enum sck_code
open_version(struct sck_request *req, const json_t *body, const struct sealed_data *in,
             const struct sck_key_info *key, struct sck_secret **covered, struct sck_err *err)
{
    struct sck_ukey *ukey = NULL;
    struct sck_buf aad;
    sck_buf_init(&aad, AAD_MAX);
    enum sck_code rc = open_key(req, key, &ukey, err);
    if (rc == SCK_OK)
        rc = make_aad(req, body, key->version, &aad, err);
    if (rc == SCK_OK)
        rc = sck_crypt_open(req->app->crypt, key, sck_buf_bytes(&aad), in->nonce.data, in->sealed, covered, err);
    sck_ukey_unref(&ukey);
    sck_buf_clear(&aad);
    return rc;
}

/* The stated version, or all living ones, newest first. */
static enum sck_code
open_any_version(struct sck_request *req, const json_t *body, const struct sealed_data *in,
                 struct sck_secret **covered, struct sck_err *err)
{
    struct sck_key_info key;
    enum sck_code rc = sck_rest_key_find(req, 0, &key, err);
    if (rc != SCK_OK)
        return rc;
    uint32_t current = key.version;
    uint32_t last = in->version != 0 ? in->version : 1;
    for (uint32_t v = in->version != 0 ? in->version : current; v >= last; v--) {
        struct sck_err why = SCK_ERR_INIT;
        if (v != current)
            rc = sck_rest_key_find(req, v, &key, &why);
        if (rc == SCK_OK)
            rc = open_version(req, body, in, &key, covered, &why);
        if (rc == SCK_OK)
            return SCK_OK;
        /* The key is there: what is missing is this version, which then sealed nothing. */
        if (rc != SCK_E_AUTHENTIC && rc != SCK_E_NOT_FOUND)
            return sck_fail(err, rc, "%s", why.message);
        rc = SCK_OK;
    }
    return sck_fail(err, SCK_E_AUTHENTIC, "no living version of the key opens it");
}

static json_t *
decrypted(const struct sck_request *req, const struct sck_secret *covered, int encoding)
{
    bool is_text = covered->data[0] == SCK_REST_FLAG_TEXT && encoding != 2;
    const uint8_t *data = covered->data + 1;
    size_t len = covered->len - 1;
    json_t *object = json_pack("{s:s}", "key_id", req->key_id);
    bool done = object != NULL;
    if (is_text)
        done = done && json_object_set_new(object, "plaintext", json_stringn((const char *)data, len)) == 0;
    else
        done = done && sck_rest_json_put_base64(object, "plaintext_b64", data, len);
    done = done && json_object_set_new(object, "algorithm", json_string(ALGORITHM)) == 0 &&
           sck_reply_put_time(req, object);
    if (!done) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

void
sck_handle_decrypt(struct sck_request *req)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_secret *covered = NULL;
    struct sealed_data in = {0};
    json_t *body = read_body(req, decrypt_members, sizeof decrypt_members / sizeof decrypt_members[0]);
    if (body == NULL)
        return;
    sck_buf_init(&in.ciphertext, SCK_SECRET_MAX);
    sck_buf_init(&in.nonce_buf, SCK_SECRET_MAX);
    int encoding = read_choice(body, "encoding", "text", "base64");
    enum sck_code rc = SCK_OK;
    if (encoding < 0)
        rc = sck_fail(&err, SCK_E_USAGE, "encoding must be text or base64");
    if (rc == SCK_OK)
        rc = read_sealed(body, &in, &err);
    if (rc == SCK_OK)
        rc = open_any_version(req, body, &in, &covered, &err);
    if (rc == SCK_OK && covered->data[0] > SCK_REST_FLAG_BYTES)
        rc = sck_fail(&err, SCK_E_AUTHENTIC, "an unknown flag");
    if (rc == SCK_OK && covered->data[0] == SCK_REST_FLAG_BYTES && encoding == 1)
        rc = sck_fail(&err, SCK_E_USAGE, "The data is no text: leave encoding out, or ask for base64");
    if (rc == SCK_OK) {
        req->data_length = (int64_t)covered->len - 1;
        sck_reply_json(req, 200, decrypted(req, covered, encoding));
    }
    answer_failure(req, rc, &err);
    sck_secret_free(&covered);
    sck_buf_clear(&in.ciphertext);
    sck_buf_clear(&in.nonce_buf);
    json_decref(body);
}
