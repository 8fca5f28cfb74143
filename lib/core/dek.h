/* SPDX-License-Identifier: MIT */
/* The 72-byte DEK payload and the wrapped DEK as stored and handed out.  Pure.  Formats: docs/formats.md. */
#ifndef SCK_CORE_DEK_H
#define SCK_CORE_DEK_H

#include "lib/base/crypto.h"

#define SCK_DEK_LEN 32
#define SCK_PAYLOAD_LEN 72
#define SCK_WRAPPED_MAX 4096        /* bytes of an encoded wrapped DEK */
#define SCK_KEEPER_BLOB_MAX 3072

/* Stored in wrapped DEKs: never reuse a number. */
enum sck_keeper_kind { SCK_KEEPER_TOKEN = 1, SCK_KEEPER_VAULT = 2, SCK_KEEPER_AZURE = 3, SCK_KEEPER_LOCAL = 4 };
const char *sck_keeper_kind_name(enum sck_keeper_kind kind);
enum sck_keeper_kind sck_keeper_kind_by_name(const char *name);  /* 0 when unknown */

/* header(8) ‖ dek(32) ‖ context hash(32).  `out` is a secret of SCK_PAYLOAD_LEN bytes made by the caller. */
void sck_payload_encode(const uint8_t dek[SCK_DEK_LEN], const uint8_t context_hash[SCK_SHA256_LEN],
                        uint8_t out[SCK_PAYLOAD_LEN]);
/*
 * Check length and header, compare the hash in constant time, and copy the DEK into a new secret.
 * SCK_E_AUTHENTIC: not a payload.  SCK_E_CONTEXT: it belongs to another context.  No branch depends on secret bytes
 * but on those two verdicts.
 */
SCK_MUST_CHECK enum sck_code sck_payload_decode(const uint8_t *payload, size_t len,
                                                const uint8_t context_hash[SCK_SHA256_LEN],
                                                struct sck_secret **dek, struct sck_err *err);

#define SCK_WDEK_AAD_MAX (7 + 120 + 4)
/*
 * What binds a DEK that AES-GCM wraps to its KEK: "wdek/v1" ‖ KEK name ‖ u32 version.  `name` is a legal one (at most
 * SCK_KEK_NAME_MAX bytes).  Returns the length.
 */
size_t sck_wdek_aad(const char *name, uint32_t version, uint8_t out[SCK_WDEK_AAD_MAX]);

struct sck_wrapped {
    enum sck_keeper_kind keeper;
    uint32_t generation;
    uint32_t kek_version;
    uint8_t blob[SCK_KEEPER_BLOB_MAX];  /* what the keeper made; of keeper azure its last 32 bytes are the HMAC */
    size_t blob_len;
};

/*
 * 01 ‖ keeper ‖ u32 generation ‖ u32 version ‖ u16 length ‖ blob; the length does not count the HMAC of keeper azure.
 * SCK_E_USAGE when a field is out of range: generation and version start at 1, the blob is not empty without the HMAC.
 */
SCK_MUST_CHECK enum sck_code sck_wrapped_encode(const struct sck_wrapped *w, struct sck_buf *out,
                                                struct sck_err *err);
/* Strictly the opposite.  SCK_E_AUTHENTIC when malformed. */
SCK_MUST_CHECK enum sck_code sck_wrapped_decode(const uint8_t *data, size_t len, struct sck_wrapped *out,
                                                struct sck_err *err);

/* Append what binds a KEK's record (keeper token) to its name: "kek/v1" ‖ name ‖ u32 generation (docs/formats.md). */
void sck_kek_record_aad(const char *name, uint32_t generation, struct sck_buf *out);

#endif
