/* SPDX-License-Identifier: MIT */
#include "lib/core/dek.h"

#include <string.h>

#define WRAPPED_VERSION 1

static const uint8_t payload_header[8] = {0x53, 0x43, 0x4B, 0x44, 0x45, 0x4B, 0x00, 0x01};

static const char *const keepers[] = {
    [SCK_KEEPER_TOKEN] = "token",
    [SCK_KEEPER_VAULT] = "vault",
    [SCK_KEEPER_AZURE] = "azure",
    [SCK_KEEPER_LOCAL] = "local",
};

#define KEEPER_COUNT (sizeof keepers / sizeof keepers[0])

const char *
sck_keeper_kind_name(enum sck_keeper_kind kind)
{
    size_t i = (size_t)kind;
    return i > 0 && i < KEEPER_COUNT ? keepers[i] : "unknown";
}

enum sck_keeper_kind
sck_keeper_kind_by_name(const char *name)
{
    for (size_t i = 1; i < KEEPER_COUNT; i++) {
        if (strcmp(keepers[i], name) == 0)
            return (enum sck_keeper_kind)i;
    }
    return (enum sck_keeper_kind)0;
}

void
sck_payload_encode(const uint8_t dek[SCK_DEK_LEN], const uint8_t context_hash[SCK_SHA256_LEN],
                   uint8_t out[SCK_PAYLOAD_LEN])
{
    memcpy(out, payload_header, sizeof payload_header);
    memcpy(out + 8, dek, SCK_DEK_LEN);
    memcpy(out + 8 + SCK_DEK_LEN, context_hash, SCK_SHA256_LEN);
}

enum sck_code
sck_payload_decode(const uint8_t *payload, size_t len, const uint8_t context_hash[SCK_SHA256_LEN],
                   struct sck_secret **dek, struct sck_err *err)
{
    *dek = NULL;
    if (len != SCK_PAYLOAD_LEN || !sck_ct_equal(payload, payload_header, sizeof payload_header))
        return sck_fail(err, SCK_E_AUTHENTIC, "unwrapped DEK: what the keeper returned is no DEK of Scopekey");
    if (!sck_ct_equal(payload + 8 + SCK_DEK_LEN, context_hash, SCK_SHA256_LEN))
        return sck_fail(err, SCK_E_CONTEXT, "unwrapped DEK: it belongs to another encryption context");
    return sck_secret_from(payload + 8, SCK_DEK_LEN, dek, err);
}

/* Bytes behind the blob that its length does not count. */
static size_t
trailer(enum sck_keeper_kind keeper)
{
    return keeper == SCK_KEEPER_AZURE ? SCK_SHA256_LEN : 0;
}

/* What is wrong with the fields, or NULL. */
static const char *
wrapped_fault(const struct sck_wrapped *w)
{
    if (w->keeper < SCK_KEEPER_TOKEN || w->keeper > SCK_KEEPER_LOCAL)
        return "unknown keeper";
    if (w->generation == 0 || w->kek_version == 0)
        return "generations and KEK versions start at 1";
    if (w->blob_len <= trailer(w->keeper) || w->blob_len > SCK_KEEPER_BLOB_MAX)
        return "the keeper's blob is empty or too long";
    return NULL;
}

enum sck_code
sck_wrapped_encode(const struct sck_wrapped *w, struct sck_buf *out, struct sck_err *err)
{
    const char *fault = wrapped_fault(w);
    if (fault != NULL)
        return sck_fail(err, SCK_E_USAGE, "wrapped DEK: %s", fault);
    sck_buf_put_u8(out, WRAPPED_VERSION);
    sck_buf_put_u8(out, (uint8_t)w->keeper);
    sck_buf_put_u32(out, w->generation);
    sck_buf_put_u32(out, w->kek_version);
    sck_buf_put_u16(out, (uint16_t)(w->blob_len - trailer(w->keeper)));
    sck_buf_put(out, w->blob, w->blob_len);
    return sck_buf_check(out, "wrapped DEK", err);
}

enum sck_code
sck_wrapped_decode(const uint8_t *data, size_t len, struct sck_wrapped *out, struct sck_err *err)
{
    struct sck_reader r = sck_reader_from(data, len);
    memset(out, 0, sizeof *out);
    if (sck_read_u8(&r) != WRAPPED_VERSION)
        return sck_fail(err, SCK_E_AUTHENTIC, "wrapped DEK: unknown format version");
    out->keeper = (enum sck_keeper_kind)sck_read_u8(&r);
    out->generation = sck_read_u32(&r);
    out->kek_version = sck_read_u32(&r);
    out->blob_len = sck_read_u16(&r);
    out->blob_len += trailer(out->keeper);
    const uint8_t *blob = sck_read(&r, out->blob_len);
    const char *fault = sck_reader_is_done(&r) ? wrapped_fault(out) : "it is cut short, or something follows it";
    if (fault != NULL) {
        memset(out, 0, sizeof *out);
        return sck_fail(err, SCK_E_AUTHENTIC, "wrapped DEK: %s", fault);
    }
    memcpy(out->blob, blob, out->blob_len);
    return SCK_OK;
}

size_t
sck_wdek_aad(const char *name, uint32_t version, uint8_t out[SCK_WDEK_AAD_MAX])
{
    size_t len = strnlen(name, SCK_WDEK_AAD_MAX - 7 - 4);
    memcpy(out, "wdek/v1", 7);
    memcpy(out + 7, name, len);
    sck_be32(out + 7 + len, version);
    return 7 + len + 4;
}

void
sck_kek_record_aad(const char *name, uint32_t generation, struct sck_buf *out)
{
    sck_buf_put_str(out, "kek/v1");
    sck_buf_put_str(out, name);
    sck_buf_put_u32(out, generation);
}
