/* SPDX-License-Identifier: MIT */
/* The header of a Scopekey file around its FLOE body.  Pure.  Format: docs/file-format.md. */
#ifndef SCK_CORE_CONTAINER_H
#define SCK_CORE_CONTAINER_H

#include "lib/core/dek.h"

#define SCK_CONTAINER_FIXED_LEN 64
#define SCK_CONTAINER_META_MAX 16384
#define SCK_CONTAINER_SLOTS_MAX 8
#define SCK_CONTAINER_HEAD_MAX (SCK_CONTAINER_FIXED_LEN + SCK_CONTAINER_META_MAX + 8 * 1024 + 8)

enum sck_container_flag { SCK_CONTAINER_SLOTS = 1, SCK_CONTAINER_META = 2 };

struct sck_container {
    uint8_t suite;              /* 1 */
    uint16_t flags;
    uint32_t body_off;          /* where the FLOE body begins; multiple of 8 */
    uint8_t file_id[16];        /* UUIDv7 */
    uint8_t dek_id[16];
    uint32_t slot_off;
    uint16_t slot_size;         /* 512 or 1024; 0 without slots */
    uint16_t slot_count;
    uint32_t meta_len;
    uint8_t meta[SCK_CONTAINER_META_MAX];
};

/* Fill in a header without slots: offsets from `meta_len`.  Metadata over the maximum is refused by encoding. */
void sck_container_init(struct sck_container *c, const uint8_t file_id[16], const uint8_t dek_id[16],
                        const uint8_t *meta, size_t meta_len);
/*
 * Append everything up to body_off: header, metadata, padding, and slots as zeros (empty ones), if there are any.
 * SCK_E_USAGE: inconsistent fields or malformed metadata.  SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_container_encode(const struct sck_container *c, struct sck_buf *out,
                                                  struct sck_err *err);
/*
 * Decode the fixed 64 bytes: enough to know meta_len and body_off.  SCK_E_AUTHENTIC: "not a Scopekey file",
 * an unknown version or suite, or any field that is not what sck_container_encode() could have written.
 */
SCK_MUST_CHECK enum sck_code sck_container_decode_fixed(const uint8_t head[SCK_CONTAINER_FIXED_LEN],
                                                        struct sck_container *out, struct sck_err *err);
/*
 * Decode the rest of the head, bytes 64 to body_off, behind sck_container_decode_fixed(): metadata (checked to be
 * well-formed) and padding.  Slots are not looked at.  SCK_E_AUTHENTIC.
 */
SCK_MUST_CHECK enum sck_code sck_container_decode_rest(const uint8_t *rest, size_t len, struct sck_container *c,
                                                       struct sck_err *err);
/* Append FLOE's aad. */
void sck_container_aad(const struct sck_container *c, struct sck_buf *out);

/* Metadata TLV tags; each once but extended attributes. */
enum sck_meta_tag {
    SCK_META_MODE = 1,  /* u32: st_mode & 07777 */
    SCK_META_MTIME = 2, /* i64: nanoseconds since 1970 */
    SCK_META_AAD = 3,   /* canonical pairs (lib/core/pairs.h) */
    SCK_META_NAME = 4,  /* 1 to 255 bytes without "/" and NUL, not "." or ".." */
    SCK_META_XATTR = 5  /* name 00 value */
};
/* Append one; a value over 65535 bytes makes `out` fail. */
void sck_meta_put(struct sck_buf *out, uint16_t tag, const void *value, size_t len);
/* Find the first value of `tag` in well-formed metadata; false when absent. */
bool sck_meta_find(const struct sck_container *c, uint16_t tag, struct sck_bytes *value);

/* "file-{file_id}/{dek_id}", the documented key reference, with NUL. */
#define SCK_KEY_REFERENCE_LEN (5 + 36 + 1 + 36)
void sck_key_reference_format(const uint8_t file_id[16], const uint8_t dek_id[16],
                              char out[SCK_KEY_REFERENCE_LEN + 1]);

#endif
