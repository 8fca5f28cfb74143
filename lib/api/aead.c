/* SPDX-License-Identifier: MIT */
/* Secrets, ciphers and materials: the objects that callers hold. */
#include "lib/api/api.h"

#include "lib/core/seal.h"

#include <stdlib.h>
#include <string.h>

enum { AAD_MAX = SCOPEKEY_AAD_MAX };

_Static_assert(SCOPEKEY_KEY_LENGTH == SCK_DEK_LEN && SCOPEKEY_SEAL_OVERHEAD == SCK_SEAL_OVERHEAD &&
                   SCOPEKEY_SEAL_MAX == SCK_SEAL_MAX,
               "the header's numbers are the format's");

static const struct sck_secret *
secret_of(const struct scopekey_secret *secret)
{
    return (const struct sck_secret *)(const void *)secret;
}

const uint8_t *
scopekey_secret_data(const struct scopekey_secret *secret)
{
    return secret == NULL ? NULL : secret_of(secret)->data;
}

size_t
scopekey_secret_length(const struct scopekey_secret *secret)
{
    return secret == NULL ? 0 : secret_of(secret)->len;
}

void
scopekey_secret_free(struct scopekey_secret **secret)
{
    if (secret == NULL)
        return;
    struct sck_secret *s = (struct sck_secret *)(void *)*secret;
    sck_secret_free(&s);
    *secret = NULL;
}

void
scopekey_free(void *memory)
{
    free(memory);
}

enum sck_code
sck_api_steal(struct sck_buf *buf, void **out, size_t *len, struct sck_err *err)
{
    (void)sck_buf_str(buf);
    enum sck_code rc = sck_buf_check(buf, "result", err);
    if (rc != SCK_OK)
        return rc;
    *out = buf->data;
    if (len != NULL)
        *len = buf->len;
    *buf = (struct sck_buf){.max_len = buf->max_len};
    return SCK_OK;
}

struct scopekey_aead *
sck_aead_take(struct sck_secret **dek, struct sck_buf *context)
{
    struct scopekey_aead *aead = calloc(1, sizeof *aead);
    if (aead == NULL)
        return NULL;
    aead->dek = *dek;
    aead->context = *context;
    *dek = NULL;
    *context = (struct sck_buf){.max_len = context->max_len};
    return aead;
}

void
scopekey_aead_free(struct scopekey_aead **aead)
{
    if (aead == NULL || *aead == NULL)
        return;
    sck_secret_free(&(*aead)->dek);
    sck_buf_clear(&(*aead)->context);
    free(*aead);
    *aead = NULL;
}

const struct scopekey_secret *
scopekey_aead_key(const struct scopekey_aead *aead)
{
    return aead == NULL ? NULL : sck_api_secret(aead->dek);
}

/* What a seal authenticates: the context, which says where it ends, and what the caller adds. */
static enum sck_code
join_aad(const struct scopekey_aead *aead, struct sck_bytes aad, struct sck_buf *out, struct sck_err *err)
{
    if (aad.len > AAD_MAX)
        return sck_fail(err, SCK_E_USAGE, "additional data has %zu bytes, and may have %d", aad.len, AAD_MAX);
    sck_buf_init(out, SCK_CONTEXT_BYTES_MAX + AAD_MAX);
    sck_buf_put(out, aead->context.data, aead->context.len);
    sck_buf_put(out, aad.data, aad.len);
    return sck_buf_check(out, "additional data", err);
}

enum sck_code
sck_aead_seal(const struct scopekey_aead *aead, struct sck_bytes plain, struct sck_bytes aad, struct sck_buf *out,
              struct sck_err *err)
{
    uint8_t salt[SCK_SEAL_SALT_LEN];
    struct sck_buf joined = {0};
    enum sck_code rc = join_aad(aead, aad, &joined, err);
    if (rc == SCK_OK)
        rc = sck_random(salt, sizeof salt, err);
    if (rc == SCK_OK)
        rc = sck_seal(aead->dek, salt, joined.data, joined.len, plain.data, plain.len, out, err);
    sck_buf_clear(&joined);
    return rc;
}

enum sck_code
sck_aead_open(const struct scopekey_aead *aead, struct sck_bytes seal, struct sck_bytes aad, struct sck_secret **out,
              struct sck_err *err)
{
    struct sck_buf joined = {0};
    enum sck_code rc = join_aad(aead, aad, &joined, err);
    if (rc == SCK_OK)
        rc = sck_seal_open(aead->dek, joined.data, joined.len, seal.data, seal.len, out, err);
    sck_buf_clear(&joined);
    return rc;
}

enum scopekey_code
scopekey_aead_seal(const struct scopekey_aead *aead, const void *plain, size_t length, const void *aad,
                   size_t aad_length, uint8_t *out, size_t out_size, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf sealed;
    enum sck_code rc = SCK_OK;
    sck_api_begin(error);
    if (aead == NULL || plain == NULL || out == NULL || (aad == NULL && aad_length > 0))
        return sck_api_null(error, "scopekey_aead_seal");
    sck_buf_init(&sealed, SCK_SEAL_OVERHEAD + SCK_SEAL_MAX);
    if (length <= SCK_SEAL_MAX && out_size < length + SCK_SEAL_OVERHEAD)
        rc = sck_fail(&err, SCK_E_USAGE, "scopekey_aead_seal: the result has %zu bytes, the room for it %zu",
                      length + SCK_SEAL_OVERHEAD, out_size);
    if (rc == SCK_OK)
        rc = sck_aead_seal(aead, (struct sck_bytes){plain, length}, (struct sck_bytes){aad, aad_length}, &sealed, &err);
    if (rc == SCK_OK)
        memcpy(out, sealed.data, sealed.len);
    sck_buf_clear(&sealed);
    return rc == SCK_OK ? SCOPEKEY_OK : sck_api_fail(error, rc, &err);
}

enum scopekey_code
scopekey_aead_open(const struct scopekey_aead *aead, const void *sealed, size_t length, const void *aad,
                   size_t aad_length, struct scopekey_secret **out, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_secret *plain = NULL;
    sck_api_begin(error);
    if (out != NULL)
        *out = NULL;
    if (aead == NULL || sealed == NULL || out == NULL || (aad == NULL && aad_length > 0))
        return sck_api_null(error, "scopekey_aead_open");
    enum sck_code rc = sck_aead_open(aead, (struct sck_bytes){sealed, length}, (struct sck_bytes){aad, aad_length},
                                     &plain, &err);
    if (rc != SCK_OK)
        return sck_api_fail(error, rc, &err);
    *out = sck_api_secret(plain);
    return SCOPEKEY_OK;
}

const struct scopekey_aead *
scopekey_material_aead(const struct scopekey_material *material)
{
    return material == NULL ? NULL : material->aead;
}

static const uint8_t *
give(const struct sck_buf *buf, size_t *length)
{
    if (length != NULL)
        *length = buf != NULL ? buf->len : 0;
    return buf != NULL ? buf->data : NULL;
}

const uint8_t *
scopekey_material_wrapped(const struct scopekey_material *material, size_t *length)
{
    return give(material != NULL ? &material->wrapped : NULL, length);
}

const uint8_t *
scopekey_material_context(const struct scopekey_material *material, size_t *length)
{
    return give(material != NULL ? &material->aead->context : NULL, length);
}

void
scopekey_material_free(struct scopekey_material **material)
{
    if (material == NULL || *material == NULL)
        return;
    scopekey_aead_free(&(*material)->aead);
    sck_buf_clear(&(*material)->wrapped);
    free(*material);
    *material = NULL;
}
