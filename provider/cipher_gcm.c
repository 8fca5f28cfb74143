/* SPDX-License-Identifier: MIT */
/*
 * SCOPEKEY-AES-256-GCM: the key is named by the parameter "uri" and stays in the token.
 *
 * A token does one message in one call, so the data comes in one update, whose output is complete (as CCM's): nothing
 * larger than what the caller made room for is ever written.  Decryption wants the tag before the data; when the tag
 * comes later, the data waits, and final writes where update was told to.  With the parameter "buffered" = 1 the data
 * may come in parts of together at most 16 MiB, and final writes all of it.
 */
#include "provider/gcm.h"

#include <stdlib.h>
#include <string.h>

static OSSL_FUNC_cipher_newctx_fn gcm_newctx;
static OSSL_FUNC_cipher_freectx_fn gcm_freectx;
static OSSL_FUNC_cipher_dupctx_fn gcm_dupctx;
static OSSL_FUNC_cipher_encrypt_init_fn gcm_encrypt_init;
static OSSL_FUNC_cipher_decrypt_init_fn gcm_decrypt_init;
static OSSL_FUNC_cipher_update_fn gcm_update;
static OSSL_FUNC_cipher_final_fn gcm_final;
static OSSL_FUNC_cipher_get_params_fn gcm_get_params;
static OSSL_FUNC_cipher_gettable_params_fn gcm_gettable_params;
static OSSL_FUNC_cipher_get_ctx_params_fn gcm_get_ctx_params;
static OSSL_FUNC_cipher_gettable_ctx_params_fn gcm_gettable_ctx_params;
static OSSL_FUNC_cipher_set_ctx_params_fn gcm_set_ctx_params;
static OSSL_FUNC_cipher_settable_ctx_params_fn gcm_settable_ctx_params;

#define KEY_LEN 32
#define DATA_MAX ((size_t)16 * 1024 * 1024)
#define AAD_MAX ((size_t)1024 * 1024)
#define PARAM_URI "uri"
#define PARAM_BUFFERED "buffered"
#define PARAM_KEY_VERSION "key-version"

static void *
gcm_newctx(void *provctx)
{
    struct sck_gcm *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->prov = provctx;
    sck_buf_init(&g->aad, AAD_MAX);
    sck_buf_init(&g->data, DATA_MAX);
    return g;
}

static void
gcm_freectx(void *ctx)
{
    struct sck_gcm *g = ctx;
    if (g == NULL)
        return;
    sck_buf_clear(&g->aad);
    sck_buf_clear(&g->data);
    sck_ukey_unref(&g->ukey);
    free(g->info);
    free(g);
}

static void *
gcm_dupctx(void *ctx)
{
    const struct sck_gcm *from = ctx;
    struct sck_gcm *to = malloc(sizeof *to);
    if (to == NULL)
        return NULL;
    *to = *from;
    sck_buf_init(&to->aad, AAD_MAX);
    sck_buf_init(&to->data, DATA_MAX);
    sck_buf_put(&to->aad, from->aad.data, from->aad.len);
    sck_buf_put(&to->data, from->data.data, from->data.len);
    to->ukey = from->ukey != NULL ? sck_ukey_ref(from->ukey) : NULL;
    to->info = NULL;
    /* One nonce, one message: a copy must not seal a second one with the caller's. */
    if (from->encrypting)
        to->has_nonce = false;
    bool ok = !to->aad.failed && !to->data.failed;
    if (ok && from->info != NULL) {
        to->info = malloc(sizeof *to->info);
        ok = to->info != NULL;
        if (ok)
            *to->info = *from->info;
    }
    if (ok)
        return to;
    gcm_freectx(to);
    return NULL;
}

static enum sck_code
check_key(const struct sck_key_info *key, struct sck_err *err)
{
    if (key->alg != SCK_ALG_AES_256)
        return sck_fail(err, SCK_E_STATE, "%s is a key for %s: SCOPEKEY-AES-256-GCM needs aes-256", key->key_id,
                        sck_alg_info(key->alg)->name);
    if (key->usage != SCK_USAGE_GCM && key->usage != SCK_USAGE_GCM_CALLER_IV)
        return sck_fail(err, SCK_E_STATE, "%s has usage %s: SCOPEKEY-AES-256-GCM needs gcm or gcm-caller-iv",
                        key->key_id, sck_usage_name(key->usage));
    return SCK_OK;
}

/* Find the key a URI names: public data, no login. */
static int
set_uri(struct sck_gcm *g, const OSSL_PARAM *p)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_service *service = NULL;
    struct sck_uri uri;
    const char *text = NULL;
    if (!OSSL_PARAM_get_utf8_string_ptr(p, &text) || text == NULL)
        return sck_gcm_refuse(g, SCK_E_USAGE, "the parameter uri is no text");
    struct sck_key_info *info = malloc(sizeof *info);
    enum sck_code rc = SCK_OK;
    if (info == NULL)
        rc = sck_fail(&err, SCK_E_MEMORY, "out of memory");
    sck_queue_keep();
    if (rc == SCK_OK)
        rc = sck_uri_parse(text, strlen(text), &uri, &err);
    if (rc == SCK_OK)
        rc = sck_prov_service(g->prov, &service, &err);
    if (rc == SCK_OK)
        rc = sck_key_find(service, &uri, info, &err);
    if (rc == SCK_OK)
        rc = check_key(info, &err);
    sck_queue_restore();
    if (rc != SCK_OK) {
        free(info);
        return sck_gcm_check(g, rc, &err);
    }
    sck_ukey_unref(&g->ukey);
    free(g->info);
    g->info = info;
    g->uri = uri;
    return 1;
}

static int
init(struct sck_gcm *g, bool encrypting, const unsigned char *key, const unsigned char *iv, size_t iv_len,
     const OSSL_PARAM params[])
{
    g->encrypting = encrypting;
    g->has_data = g->done = g->has_tag = g->nonce_known = g->has_nonce = false;
    sck_buf_reset(&g->aad);
    sck_buf_reset(&g->data);
    if (key != NULL)
        return sck_gcm_refuse(g, SCK_E_USAGE,
                              "keys stay in the token: name one by the parameter uri instead of giving bytes");
    if (iv != NULL && iv_len != sizeof g->nonce)
        return sck_gcm_refuse(g, SCK_E_USAGE, "the nonce must be 12 bytes");
    if (iv != NULL) {
        memcpy(g->nonce, iv, sizeof g->nonce);
        g->has_nonce = g->nonce_known = true;
    }
    if (params != NULL && !gcm_set_ctx_params(g, params))
        return 0;
    if (encrypting && g->has_nonce && g->info != NULL && g->info->usage == SCK_USAGE_GCM)
        return sck_gcm_refuse(g, SCK_E_USAGE,
                              "a key of usage gcm makes its own nonces: give none and read updated-iv");
    return 1;
}

static int
gcm_encrypt_init(void *ctx, const unsigned char *key, size_t key_len, const unsigned char *iv, size_t iv_len,
                 const OSSL_PARAM params[])
{
    (void)key_len;
    return init(ctx, true, key, iv, iv_len, params);
}

static int
gcm_decrypt_init(void *ctx, const unsigned char *key, size_t key_len, const unsigned char *iv, size_t iv_len,
                 const OSSL_PARAM params[])
{
    (void)key_len;
    return init(ctx, false, key, iv, iv_len, params);
}

static int
add_aad(struct sck_gcm *g, const unsigned char *in, size_t len)
{
    if (g->has_data || g->done)
        return sck_gcm_refuse(g, SCK_E_STATE, "additional data comes before the data");
    sck_buf_put(&g->aad, in, len);
    return g->aad.failed ? sck_gcm_refuse(g, SCK_E_USAGE, "more than 1 MiB of additional data") : 1;
}

static int
gcm_update(void *ctx, unsigned char *out, size_t *out_len, size_t out_size, const unsigned char *in, size_t len)
{
    struct sck_gcm *g = ctx;
    *out_len = 0;
    if (g->info == NULL)
        return sck_gcm_refuse(g, SCK_E_USAGE, "no key: set the parameter uri");
    if (len == 0)
        return 1;
    if (out == NULL)
        return add_aad(g, in, len);
    if (g->done || (g->has_data && !g->buffered))
        return sck_gcm_refuse(g, SCK_E_STATE,
                              "the data comes in one update, or in parts with the parameter buffered = 1");
    if (len > DATA_MAX - g->data.len)
        return sck_gcm_refuse(g, SCK_E_USAGE, "a message has at most 16 MiB: use scopekey encrypt for files");
    if (!g->buffered && out_size < len)
        return sck_gcm_refuse(g, SCK_E_USAGE, "the output buffer is shorter than the data");
    g->has_data = true;
    if (g->buffered || (!g->encrypting && !g->has_tag)) {
        sck_buf_put(&g->data, in, len);
        g->data_out = out;
        return g->data.failed ? sck_gcm_refuse(g, SCK_E_MEMORY, "out of memory") : 1;
    }
    int ok = g->encrypting ? sck_gcm_message_seal(g, in, len, out) : sck_gcm_message_open(g, in, len, out);
    *out_len = ok ? len : 0;
    return ok;
}

static int
gcm_final(void *ctx, unsigned char *out, size_t *out_len, size_t out_size)
{
    struct sck_gcm *g = ctx;
    (void)out_size;
    *out_len = 0;
    if (g->done)
        return 1;
    if (g->has_data && g->data.len == 0)
        return sck_gcm_refuse(g, SCK_E_STATE, "the message failed");
    if (!g->encrypting && !g->has_tag)
        return sck_gcm_refuse(g, SCK_E_USAGE, "decryption needs the tag");
    if (g->data.len > 0 && !g->buffered && out != g->data_out)
        return sck_gcm_refuse(g, SCK_E_USAGE,
                              "set the tag before the data, or finish into the buffer that update was given");
    int ok = g->encrypting ? sck_gcm_message_seal(g, g->data.data, g->data.len, out)
                           : sck_gcm_message_open(g, g->data.data, g->data.len, out);
    *out_len = ok ? g->data.len : 0;
    sck_buf_clear(&g->data);
    return ok;
}

static int
gcm_get_params(OSSL_PARAM params[])
{
    const struct {
        const char *name;
        unsigned value;
    } facts[] = {
        {OSSL_CIPHER_PARAM_MODE, EVP_CIPH_GCM_MODE},
        {OSSL_CIPHER_PARAM_KEYLEN, KEY_LEN},
        {OSSL_CIPHER_PARAM_IVLEN, SCK_GCM_NONCE_LEN},
        {OSSL_CIPHER_PARAM_BLOCK_SIZE, 1},
        {OSSL_CIPHER_PARAM_AEAD, 1},
        {OSSL_CIPHER_PARAM_CUSTOM_IV, 1},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        OSSL_PARAM *p = OSSL_PARAM_locate(params, facts[i].name);
        if (p != NULL && !OSSL_PARAM_set_uint(p, facts[i].value))
            return 0;
    }
    return 1;
}

static const OSSL_PARAM *
gcm_gettable_params(void *provctx)
{
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_uint(OSSL_CIPHER_PARAM_MODE, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_BLOCK_SIZE, NULL),
        OSSL_PARAM_int(OSSL_CIPHER_PARAM_AEAD, NULL),
        OSSL_PARAM_int(OSSL_CIPHER_PARAM_CUSTOM_IV, NULL),
        OSSL_PARAM_END,
    };
    return list;
}

static int
get_nonce(const struct sck_gcm *g, OSSL_PARAM *p)
{
    if (!g->nonce_known)
        return sck_gcm_refuse(g, SCK_E_STATE, "the nonce is made with the message: read it after final");
    return OSSL_PARAM_set_octet_string(p, g->nonce, sizeof g->nonce) ||
           OSSL_PARAM_set_octet_ptr(p, g->nonce, sizeof g->nonce);
}

static int
gcm_get_ctx_params(void *ctx, OSSL_PARAM params[])
{
    const struct sck_gcm *g = ctx;
    int ok = 1;
    for (OSSL_PARAM *p = params; ok && p->key != NULL; p++) {
        if (strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN) == 0)
            ok = OSSL_PARAM_set_size_t(p, KEY_LEN);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN) == 0)
            ok = OSSL_PARAM_set_size_t(p, sizeof g->nonce);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAGLEN) == 0)
            ok = OSSL_PARAM_set_size_t(p, sizeof g->tag);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_IV) == 0 || strcmp(p->key, OSSL_CIPHER_PARAM_UPDATED_IV) == 0)
            ok = get_nonce(g, p);
        else if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0)
            ok = g->encrypting && g->done && p->data_size == sizeof g->tag &&
                 OSSL_PARAM_set_octet_string(p, g->tag, sizeof g->tag);
        else if (strcmp(p->key, PARAM_KEY_VERSION) == 0)
            ok = OSSL_PARAM_set_uint32(p, g->version);
    }
    return ok;
}

static const OSSL_PARAM *
gcm_gettable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_AEAD_TAGLEN, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_IV, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_UPDATED_IV, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
        OSSL_PARAM_uint32(PARAM_KEY_VERSION, NULL),
        OSSL_PARAM_END,
    };
    return list;
}

/* Encrypting, only the length may be said (no data): short tags are not made. */
static int
set_tag(struct sck_gcm *g, const OSSL_PARAM *p)
{
    if (p->data_size != sizeof g->tag)
        return sck_gcm_refuse(g, SCK_E_USAGE, "the tag must be 16 bytes");
    if (p->data == NULL)
        return 1;
    void *to = g->tag;
    size_t len = 0;
    if (g->encrypting || g->done)
        return sck_gcm_refuse(g, SCK_E_STATE, "a tag is given to a decryption that is not finished");
    g->has_tag = OSSL_PARAM_get_octet_string(p, &to, sizeof g->tag, &len) != 0;
    return g->has_tag;
}

static int
set_length(const struct sck_gcm *g, const OSSL_PARAM *p, size_t must_be, const char *text)
{
    size_t len = 0;
    return OSSL_PARAM_get_size_t(p, &len) && len == must_be ? 1 : sck_gcm_refuse(g, SCK_E_USAGE, text);
}

static int
gcm_set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
    struct sck_gcm *g = ctx;
    int ok = 1, flag = 0;
    for (const OSSL_PARAM *p = params; ok && p != NULL && p->key != NULL; p++) {
        if (strcmp(p->key, PARAM_URI) == 0) {
            ok = !g->has_data ? set_uri(g, p)
                              : sck_gcm_refuse(g, SCK_E_STATE, "the key cannot change within a message");
        } else if (strcmp(p->key, PARAM_BUFFERED) == 0) {
            ok = !g->has_data && OSSL_PARAM_get_int(p, &flag);
            g->buffered = flag != 0;
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_AEAD_TAG) == 0) {
            ok = set_tag(g, p);
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_IVLEN) == 0) {
            ok = set_length(g, p, sizeof g->nonce, "the nonce must be 12 bytes");
        } else if (strcmp(p->key, OSSL_CIPHER_PARAM_KEYLEN) == 0) {
            ok = set_length(g, p, KEY_LEN, "the key has 32 bytes");
        }
    }
    return ok;
}

static const OSSL_PARAM *
gcm_settable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(PARAM_URI, NULL, 0),
        OSSL_PARAM_int(PARAM_BUFFERED, NULL),
        OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, NULL, 0),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_IVLEN, NULL),
        OSSL_PARAM_size_t(OSSL_CIPHER_PARAM_KEYLEN, NULL),
        OSSL_PARAM_END,
    };
    return list;
}

const OSSL_DISPATCH sck_gcm_cipher[] = {
    {OSSL_FUNC_CIPHER_NEWCTX, (void (*)(void))gcm_newctx},
    {OSSL_FUNC_CIPHER_FREECTX, (void (*)(void))gcm_freectx},
    {OSSL_FUNC_CIPHER_DUPCTX, (void (*)(void))gcm_dupctx},
    {OSSL_FUNC_CIPHER_ENCRYPT_INIT, (void (*)(void))gcm_encrypt_init},
    {OSSL_FUNC_CIPHER_DECRYPT_INIT, (void (*)(void))gcm_decrypt_init},
    {OSSL_FUNC_CIPHER_UPDATE, (void (*)(void))gcm_update},
    {OSSL_FUNC_CIPHER_FINAL, (void (*)(void))gcm_final},
    {OSSL_FUNC_CIPHER_GET_PARAMS, (void (*)(void))gcm_get_params},
    {OSSL_FUNC_CIPHER_GETTABLE_PARAMS, (void (*)(void))gcm_gettable_params},
    {OSSL_FUNC_CIPHER_GET_CTX_PARAMS, (void (*)(void))gcm_get_ctx_params},
    {OSSL_FUNC_CIPHER_GETTABLE_CTX_PARAMS, (void (*)(void))gcm_gettable_ctx_params},
    {OSSL_FUNC_CIPHER_SET_CTX_PARAMS, (void (*)(void))gcm_set_ctx_params},
    {OSSL_FUNC_CIPHER_SETTABLE_CTX_PARAMS, (void (*)(void))gcm_settable_ctx_params},
    {0, NULL},
};
