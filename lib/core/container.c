/* SPDX-License-Identifier: MIT */
#include "lib/core/container.h"

#include "lib/base/text.h"
#include "lib/core/pairs.h"

#include <stdio.h>
#include <string.h>

#define FILE_VERSION 1
#define FILE_SUITE 1
#define TAG_CRITICAL 0x8000U /* a reader that does not know the tag must refuse */
#define NAME_MAX_BYTES 255

static const uint8_t magic[8] = {0x8E, 0x53, 0x4B, 0x46, 0x0D, 0x0A, 0x1A, 0x0A};

/* Where the slots begin: behind the metadata, on the next multiple of 8. */
static uint32_t
slots_at(uint32_t meta_len)
{
    return (SCK_CONTAINER_FIXED_LEN + meta_len + 7U) & ~7U;
}

void
sck_container_init(struct sck_container *c, const uint8_t file_id[16], const uint8_t dek_id[16], const uint8_t *meta,
                   size_t meta_len)
{
    memset(c, 0, sizeof *c);
    c->suite = FILE_SUITE;
    memcpy(c->file_id, file_id, 16);
    memcpy(c->dek_id, dek_id, 16);
    if (meta_len > SCK_CONTAINER_META_MAX) {
        /* Remembered, so that encoding refuses it. */
        c->meta_len = SCK_CONTAINER_META_MAX + 1;
        return;
    }
    if (meta_len > 0)
        memcpy(c->meta, meta, meta_len);
    c->flags = meta_len > 0 ? SCK_CONTAINER_META : 0;
    c->meta_len = (uint32_t)meta_len;
    c->slot_off = slots_at(c->meta_len);
    c->body_off = c->slot_off;
}

/* What is wrong with the fixed fields, or NULL: a head has one spelling. */
static const char *
fixed_fault(const struct sck_container *c)
{
    bool has_slots = (c->flags & SCK_CONTAINER_SLOTS) != 0;
    bool has_meta = (c->flags & SCK_CONTAINER_META) != 0;
    if (c->suite != FILE_SUITE)
        return "unknown suite";
    if ((c->flags & ~(unsigned)(SCK_CONTAINER_SLOTS | SCK_CONTAINER_META)) != 0)
        return "unknown flags";
    if (c->meta_len > SCK_CONTAINER_META_MAX || has_meta != (c->meta_len > 0))
        return "the metadata's length is wrong";
    if (c->slot_off != slots_at(c->meta_len))
        return "the key slots are not behind the metadata";
    if (has_slots != (c->slot_count > 0) || c->slot_count == 1 || c->slot_count > SCK_CONTAINER_SLOTS_MAX)
        return "the number of key slots is wrong";
    if (has_slots ? c->slot_size != 512 && c->slot_size != 1024 : c->slot_size != 0)
        return "the size of key slots is wrong";
    if (c->body_off != c->slot_off + (uint32_t)c->slot_size * c->slot_count)
        return "the body is not behind the key slots";
    return NULL;
}

static bool
is_file_name(const uint8_t *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_BYTES || sck_bytes_equal(name, len, ".", 1) || sck_bytes_equal(name, len, "..", 2))
        return false;
    return memchr(name, '/', len) == NULL && memchr(name, '\0', len) == NULL;
}

static bool
is_meta_value(uint16_t tag, const uint8_t *value, size_t len)
{
    struct sck_pair pairs[SCK_PAIRS_MAX];
    size_t count = 0;
    switch (tag) {
    case SCK_META_MODE: return len == 4;
    case SCK_META_MTIME: return len == 8;
    case SCK_META_AAD: return sck_pairs_decode(value, len, pairs, &count, NULL) == SCK_OK;
    case SCK_META_NAME: return is_file_name(value, len);
    case SCK_META_XATTR: return len > 1 && value[0] != '\0' && memchr(value, '\0', len) != NULL;
    default: return (tag & TAG_CRITICAL) == 0;
    }
}

/* What is wrong with the metadata, or NULL. */
static const char *
meta_fault(const struct sck_container *c)
{
    struct sck_reader r = sck_reader_from(c->meta, c->meta_len);
    unsigned seen = 0;
    while (r.left > 0) {
        uint16_t tag = sck_read_u16(&r);
        size_t len = sck_read_u16(&r);
        const uint8_t *value = sck_read(&r, len);
        if (value == NULL)
            return "the metadata is cut short";
        if (!is_meta_value(tag, value, len))
            return tag & TAG_CRITICAL ? "it needs a newer version of Scopekey" : "a metadata value is malformed";
        bool is_single = tag >= SCK_META_MODE && tag <= SCK_META_NAME;
        if (is_single && (seen & 1U << tag) != 0)
            return "a metadata value is there twice";
        if (is_single)
            seen |= 1U << tag;
    }
    return NULL;
}

static void
put_fixed(const struct sck_container *c, struct sck_buf *out)
{
    sck_buf_put(out, magic, sizeof magic);
    sck_buf_put_u8(out, FILE_VERSION);
    sck_buf_put_u8(out, c->suite);
    sck_buf_put_u16(out, c->flags);
    sck_buf_put_u32(out, c->body_off);
    sck_buf_put(out, c->file_id, 16);
    sck_buf_put(out, c->dek_id, 16);
    sck_buf_put_u32(out, c->slot_off);
    sck_buf_put_u16(out, c->slot_size);
    sck_buf_put_u16(out, c->slot_count);
    sck_buf_put_u32(out, c->meta_len);
    sck_buf_put_u32(out, 0);
}

enum sck_code
sck_container_encode(const struct sck_container *c, struct sck_buf *out, struct sck_err *err)
{
    const char *fault = fixed_fault(c);
    if (fault == NULL)
        fault = meta_fault(c);
    if (fault != NULL)
        return sck_fail(err, SCK_E_USAGE, "file header: %s", fault);
    put_fixed(c, out);
    sck_buf_put(out, c->meta, c->meta_len);
    (void)sck_buf_grow(out, c->body_off - SCK_CONTAINER_FIXED_LEN - c->meta_len);
    return sck_buf_check(out, "file header", err);
}

enum sck_code
sck_container_decode_fixed(const uint8_t head[SCK_CONTAINER_FIXED_LEN], struct sck_container *out,
                           struct sck_err *err)
{
    struct sck_reader r = sck_reader_from(head, SCK_CONTAINER_FIXED_LEN);
    memset(out, 0, sizeof *out);
    if (memcmp(sck_read(&r, sizeof magic), magic, sizeof magic) != 0)
        return sck_fail(err, SCK_E_AUTHENTIC, "file header: not a Scopekey file");
    if (sck_read_u8(&r) != FILE_VERSION)
        return sck_fail(err, SCK_E_AUTHENTIC, "file header: unknown version, from a newer Scopekey or altered");
    out->suite = sck_read_u8(&r);
    out->flags = sck_read_u16(&r);
    out->body_off = sck_read_u32(&r);
    memcpy(out->file_id, sck_read(&r, 16), 16);
    memcpy(out->dek_id, sck_read(&r, 16), 16);
    out->slot_off = sck_read_u32(&r);
    out->slot_size = sck_read_u16(&r);
    out->slot_count = sck_read_u16(&r);
    out->meta_len = sck_read_u32(&r);
    const char *fault = sck_read_u32(&r) != 0 ? "reserved bytes are not zero" : fixed_fault(out);
    if (fault == NULL)
        return SCK_OK;
    memset(out, 0, sizeof *out);
    return sck_fail(err, SCK_E_AUTHENTIC, "file header: %s", fault);
}

enum sck_code
sck_container_decode_rest(const uint8_t *rest, size_t len, struct sck_container *c, struct sck_err *err)
{
    if (len != c->body_off - SCK_CONTAINER_FIXED_LEN)
        return sck_fail(err, SCK_E_AUTHENTIC, "file header: cut short");
    if (c->meta_len > 0)
        memcpy(c->meta, rest, c->meta_len);
    for (size_t i = c->meta_len; i < c->slot_off - SCK_CONTAINER_FIXED_LEN; i++) {
        if (rest[i] != 0)
            return sck_fail(err, SCK_E_AUTHENTIC, "file header: padding is not zero");
    }
    const char *fault = meta_fault(c);
    return fault == NULL ? SCK_OK : sck_fail(err, SCK_E_AUTHENTIC, "file header: %s", fault);
}

void
sck_container_aad(const struct sck_container *c, struct sck_buf *out)
{
    static const char label[17] = "scopekey-file-v1";
    sck_buf_put(out, label, sizeof label);
    sck_buf_put(out, magic, sizeof magic);
    sck_buf_put_u8(out, FILE_VERSION);
    sck_buf_put_u8(out, c->suite);
    sck_buf_put_u16(out, (uint16_t)(c->flags & ~(unsigned)SCK_CONTAINER_SLOTS));
    sck_buf_put(out, c->file_id, 16);
    sck_buf_put(out, c->dek_id, 16);
    sck_buf_put_u32(out, c->meta_len);
    sck_buf_put(out, c->meta, c->meta_len);
}

void
sck_meta_put(struct sck_buf *out, uint16_t tag, const void *value, size_t len)
{
    if (len > UINT16_MAX)
        out->failed = true;
    sck_buf_put_u16(out, tag);
    sck_buf_put_u16(out, (uint16_t)len);
    sck_buf_put(out, value, len);
}

bool
sck_meta_find(const struct sck_container *c, uint16_t tag, struct sck_bytes *value)
{
    struct sck_reader r = sck_reader_from(c->meta, c->meta_len);
    while (r.left > 0 && !r.failed) {
        uint16_t found = sck_read_u16(&r);
        value->len = sck_read_u16(&r);
        value->data = sck_read(&r, value->len);
        if (found == tag && value->data != NULL)
            return true;
    }
    *value = (struct sck_bytes){NULL, 0};
    return false;
}

void
sck_key_reference_format(const uint8_t file_id[16], const uint8_t dek_id[16], char out[SCK_KEY_REFERENCE_LEN + 1])
{
    char file[SCK_UUID_TEXT];
    char dek[SCK_UUID_TEXT];
    sck_uuid_format(file_id, file);
    sck_uuid_format(dek_id, dek);
    (void)snprintf(out, SCK_KEY_REFERENCE_LEN + 1, "file-%s/%s", file, dek);
}
