/* SPDX-License-Identifier: MIT */
/*
 * C2SP FLOE with AES-256-GCM and HKDF-Expand-SHA-384 (ePrint 2025/2275): segment at a time, no I/O.
 * Pure: the IV and the nonces are passed in.  docs/file-format.md
 */
#ifndef SCK_CORE_FLOE_H
#define SCK_CORE_FLOE_H

#include "lib/base/crypto.h"

#define SCK_FLOE_HEADER_LEN 74
#define SCK_FLOE_IV_LEN 32
#define SCK_FLOE_OVERHEAD 32            /* bytes a segment is longer than its plaintext */
#define SCK_FLOE_SEGMENT_MIN 33U        /* encrypted bytes per segment */
#define SCK_FLOE_SEGMENT_MAX (64U * 1024U * 1024U + SCK_FLOE_OVERHEAD)
#define SCK_FLOE_AAD_MAX (24 * 1024)    /* bytes; OpenSSL 3.0's HKDF takes 32 KiB of info */

struct sck_floe;  /* message key and cipher context; one per thread, see sck_floe_dup() */

/*
 * Start an encryption: derive the message key from `key` (32 bytes) and write the header.
 * `segment_len` counts encrypted bytes.  `aad` (at most SCK_FLOE_AAD_MAX) is copied.
 * SCK_E_USAGE: a length is out of range.  SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_floe_encrypt_new(const struct sck_secret *key, const uint8_t *aad, size_t aad_len,
                                                  uint32_t segment_len, const uint8_t iv[SCK_FLOE_IV_LEN],
                                                  uint8_t header[SCK_FLOE_HEADER_LEN], struct sck_floe **out,
                                                  struct sck_err *err);
/*
 * Start a decryption: check the header and its tag (constant time; this commits to the key).
 * SCK_E_AUTHENTIC: unknown parameters, wrong key, other aad.  SCK_E_USAGE, SCK_E_MEMORY as above.
 */
SCK_MUST_CHECK enum sck_code sck_floe_decrypt_new(const struct sck_secret *key, const uint8_t *aad, size_t aad_len,
                                                  const uint8_t header[SCK_FLOE_HEADER_LEN],
                                                  struct sck_floe **out, struct sck_err *err);
/* Another context for the same stream, to use in another thread. */
SCK_MUST_CHECK enum sck_code sck_floe_dup(const struct sck_floe *from, struct sck_floe **out, struct sck_err *err);
void sck_floe_free(struct sck_floe **floe);

/* Encrypted bytes of a full segment, and plaintext bytes in one. */
uint32_t sck_floe_segment_len(const struct sck_floe *floe);
uint32_t sck_floe_plain_len(const struct sck_floe *floe);

/*
 * Seal segment `index` (from 0).  Only the final segment may be shorter than sck_floe_plain_len() (or empty).
 * `out` takes plain_len + SCK_FLOE_OVERHEAD bytes and may not overlap `plain`.  Allocates only when `index`
 * passes a multiple of 2^20.  SCK_E_USAGE: a wrong length, index from 2^40 on, or a context made for decryption.
 */
SCK_MUST_CHECK enum sck_code sck_floe_seal_segment(struct sck_floe *floe, uint64_t index, bool is_final,
                                                   const uint8_t nonce[SCK_GCM_NONCE_LEN], const uint8_t *plain,
                                                   size_t plain_len, uint8_t *out, struct sck_err *err);
/*
 * Open segment `index` of `len` bytes.  SCK_E_AUTHENTIC (out wiped): altered, out of place, wrong length word,
 * or final where it should not be.  Writes len - SCK_FLOE_OVERHEAD bytes.  SCK_E_USAGE: index from 2^40 on, or a
 * context made for encryption.  The caller knows from the file's length which segment is the final one.
 */
SCK_MUST_CHECK enum sck_code sck_floe_open_segment(struct sck_floe *floe, uint64_t index, bool is_final,
                                                   const uint8_t *segment, size_t len, uint8_t *out,
                                                   struct sck_err *err);

#endif
