/* SPDX-License-Identifier: MIT */
/* What transit is sent for DEKs, and what it answers for each. */
#include "vault/http/transit.h"

#include "lib/base/text.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Base64 of a payload has no padding: 72 is a multiple of 3. */
enum { PAYLOAD_B64 = SCK_PAYLOAD_LEN / 3 * 4 };

/* ---- requests ---- */

struct writer {
    uint8_t *at;
};

static void
put(struct writer *w, const void *data, size_t len)
{
    memcpy(w->at, data, len);
    w->at += len;
}

static void
put_item(struct writer *w, const char *field, const struct sck_keeper_item *item, bool wraps)
{
    put(w, "{\"", 2);
    put(w, field, strlen(field));
    put(w, "\":\"", 3);
    if (wraps)
        w->at += EVP_EncodeBlock(w->at, item->payload->data, (int)item->payload->len);
    else
        put(w, item->blob.data, item->blob.len);
    put(w, "\"}", 2);
}

enum sck_code
sck_transit_write(const struct sck_keeper_item *items, size_t count, size_t asked, bool wraps,
                  struct sck_secret **body, struct sck_err *err)
{
    static const char head[] = "{\"batch_input\":[", tail[] = "]}";
    const char *field = wraps ? "plaintext" : "ciphertext";
    size_t room = sizeof head + sizeof tail;
    for (size_t i = 0; i < count; i++)
        room += strlen(field) + 9 + (wraps ? PAYLOAD_B64 : items[i].blob.len);
    enum sck_code rc = sck_secret_new(room, body, err);
    if (rc != SCK_OK)
        return rc;
    struct writer w = {(*body)->data};
    if (asked > 1)
        put(&w, head, sizeof head - 1);
    for (size_t i = 0, n = 0; i < count; i++) {
        if (items[i].code != SCK_OK)
            continue;
        if (n++ > 0)
            put(&w, ",", 1);
        put_item(&w, field, &items[i], wraps);
    }
    if (asked > 1)
        put(&w, tail, sizeof tail - 1);
    (*body)->len = (size_t)(w.at - (*body)->data);
    return SCK_OK;
}

/* ---- answers ---- */

static bool
is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

uint32_t
sck_transit_blob_version(const char *blob, size_t len)
{
    uint64_t version = 0;
    static const char head[] = "vault:v";
    if (len > SCK_KEEPER_BLOB_MAX || len < sizeof head || memcmp(blob, head, sizeof head - 1) != 0)
        return 0;
    const char *number = blob + sizeof head - 1;
    const char *colon = memchr(number, ':', len - (sizeof head - 1));
    if (colon == NULL || !sck_u64_parse(number, (size_t)(colon - number), UINT32_MAX, &version))
        return 0;
    size_t body = len - (size_t)(colon + 1 - blob);
    const char *p = colon + 1;
    while (body > 0 && p[body - 1] == '=')
        body--;
    for (size_t i = 0; i < body; i++) {
        if (!is_base64(p[i]))
            return 0;
    }
    return body > 0 ? (uint32_t)version : 0;
}

/* Base64 of nonce[12], ciphertext and tag[16] (aes256-gcm96): a cut one would be found out only when it is needed. */
static bool
is_of_payload(struct sck_json ciphertext)
{
    enum { SEALED_LEN = 12 + SCK_PAYLOAD_LEN + 16, SEALED_B64 = (SEALED_LEN + 2) / 3 * 4, PADDING = 2 };
    size_t head = 0, len = ciphertext.len;
    const char *text = ciphertext.at;
    for (unsigned colons = 0; head < len && colons < 2; head++)
        colons += text[head] == ':';
    return len - head == SEALED_B64 && memcmp(text + len - PADDING, "==", PADDING) == 0 && text[len - PADDING - 1] != '=';
}

/* What a result may hold. */
struct result {
    struct sck_json error, plaintext, ciphertext, key_version;
};

/* In one go: a batch has many.  What comes twice is as good as absent. */
static void
read_result(struct sck_json object, struct result *out)
{
    struct { const char *name; struct sck_json *value; unsigned times; } fields[] = {
        {"error", &out->error, 0}, {"plaintext", &out->plaintext, 0}, {"ciphertext", &out->ciphertext, 0},
        {"key_version", &out->key_version, 0}};
    struct sck_json name, value;
    memset(out, 0, sizeof *out);
    for (size_t at = 0; sck_json_member(object, &at, &name, &value);) {
        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
            if (sck_json_is(name, fields[i].name))
                *fields[i].value = fields[i].times++ == 0 ? value : (struct sck_json){SCK_JSON_NONE, NULL, 0};
        }
    }
}

static enum sck_code
take_ciphertext(const struct sck_vault_call *call, const struct result *result, struct sck_keeper_item *item,
                struct sck_err *err)
{
    struct sck_json ciphertext = result->ciphertext;
    uint64_t key_version = 0;
    uint32_t found = ciphertext.kind == SCK_JSON_STRING ? sck_transit_blob_version(ciphertext.at, ciphertext.len) : 0;
    if (found == 0 || !sck_json_u64(result->key_version, UINT32_MAX, &key_version) ||
        key_version != found || found < item->version || !is_of_payload(ciphertext))
        return sck_vault_strange(call, "a ciphertext and its key_version", err);
    sck_buf_put(&item->out, ciphertext.at, ciphertext.len);
    enum sck_code rc = sck_buf_check(&item->out, "the wrapped DEK", err);
    if (rc == SCK_OK)
        item->version = found;
    return rc;
}

/* The base64 of a payload straight into a new secret. */
static enum sck_code
take_payload(const struct sck_vault_call *call, const struct result *result, struct sck_keeper_item *item,
             struct sck_err *err)
{
    struct sck_json plaintext = result->plaintext;
    if (plaintext.kind != SCK_JSON_STRING)
        return sck_vault_strange(call, "a plaintext", err);
    enum sck_code rc = sck_secret_new(SCK_PAYLOAD_LEN, &item->opened, err);
    if (rc != SCK_OK)
        return rc;
    /* 96 characters without '=' can only be 72 bytes; EVP_DecodeBlock() refuses all outside the alphabet but space. */
    bool plain = plaintext.len == PAYLOAD_B64 && memchr(plaintext.at, '=', plaintext.len) == NULL;
    for (size_t i = 0; plain && i < plaintext.len; i++)
        plain = (uint8_t)plaintext.at[i] > 0x20;
    if (plain && EVP_DecodeBlock(item->opened->data, (const unsigned char *)plaintext.at, PAYLOAD_B64) ==
                     SCK_PAYLOAD_LEN)
        return SCK_OK;
    sck_secret_free(&item->opened);
    return sck_fail(err, SCK_E_AUTHENTIC, "keeper vault, unwrap of KEK %s: what came out is no payload of Scopekey",
                    call->kek);
}

static enum sck_code
take_error(const struct sck_vault *v, const struct sck_vault_call *call, const char *url, struct sck_json error,
           struct sck_err *err)
{
    struct sck_answer bad = {.gave_up = "", .attempts = 1};
    (void)sck_json_text(error, bad.text, sizeof bad.text);
    bad.row = sck_vault_triage(SCK_NET_ANSWER, 400, call->op, bad.text);
    (void)snprintf(bad.url, sizeof bad.url, "%s", url);
    return sck_vault_refused(v, call, &bad, err);
}

enum sck_code
sck_transit_take(const struct sck_vault *v, const struct sck_vault_call *call, const char *url,
                 struct sck_json object, struct sck_keeper_item *item, struct sck_err *err)
{
    struct result result;
    read_result(object, &result);
    /* First, as a failed item has an empty plaintext like a good one. */
    if (result.error.kind == SCK_JSON_STRING && result.error.len > 0)
        return take_error(v, call, url, result.error, err);
    return call->op == SCK_OP_DECRYPT ? take_payload(call, &result, item, err)
                                      : take_ciphertext(call, &result, item, err);
}
