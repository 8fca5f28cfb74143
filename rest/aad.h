/* SPDX-License-Identifier: MIT */
/* What a REST ciphertext is bound to, and its blob form.  Pure.  Format: docs/formats.md, "REST ciphertext". */
#ifndef SCK_REST_AAD_H
#define SCK_REST_AAD_H

#include "lib/base/crypto.h"
#include "lib/core/pairs.h"

#define SCK_REST_FLAG_TEXT 0
#define SCK_REST_FLAG_BYTES 1

/*
 * Append "scopekey-rest/v1" ‖ u16 length ‖ key_id ‖ u32 version ‖ canonical pairs (lib/core/pairs.h).  SCK_E_USAGE, with
 * a message for the client, when the pairs are malformed; SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_rest_aad(const char *key_id, uint32_t version, const struct sck_pair *pairs,
                                          size_t count, struct sck_buf *out, struct sck_err *err);

/* 01 ‖ u32 version ‖ nonce[12] ‖ ciphertext ‖ tag */
void sck_rest_blob_encode(uint32_t version, const uint8_t nonce[SCK_GCM_NONCE_LEN], const uint8_t *sealed,
                          size_t len, struct sck_buf *out);
/* The parts of a blob, borrowed; false when it is none. */
bool sck_rest_blob_decode(const uint8_t *blob, size_t len, uint32_t *version, struct sck_bytes *nonce,
                          struct sck_bytes *sealed);

#endif
