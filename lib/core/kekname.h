/* SPDX-License-Identifier: MIT */
/* KEK names: injective, legal in Vault, OpenBao and Azure, keyed by default.  Pure.  Format: docs/formats.md. */
#ifndef SCK_CORE_KEKNAME_H
#define SCK_CORE_KEKNAME_H

#include "lib/base/crypto.h"

#define SCK_KEK_NAME_MAX 120
#define SCK_KEK_PREFIX_MAX 24

/* Whose KEK: the kind byte that goes into names, tombstones and rows. */
enum sck_owner_kind { SCK_OWNER_SUBJECT = 'S', SCK_OWNER_CLIENT = 'C', SCK_OWNER_FILES = 'F' };

/* True for [a-z][a-z0-9]{0,23}. */
bool sck_kek_prefix_is_valid(const char *prefix);

/*
 * Append what the `name` key MACs for a keyed name: "kek-name/v1" ‖ kind ‖ u32 generation ‖ id.
 * The id is empty for SCK_OWNER_FILES alone.
 */
void sck_kek_name_input(enum sck_owner_kind kind, uint32_t generation, const void *id, size_t id_len,
                        struct sck_buf *out);
/* prefix "--k--" base32hex(mac).  SCK_E_USAGE for a bad prefix. */
SCK_MUST_CHECK enum sck_code sck_kek_name_keyed(const char *prefix, const uint8_t mac[SCK_SHA256_LEN],
                                                char out[SCK_KEK_NAME_MAX + 1], struct sck_err *err);
/*
 * The direct form (subjects of generation 1: prefix "--" enc(id)), else the hashed form
 * prefix "--h--" base32hex(SHA-256(kind ‖ u32 generation ‖ id)).  SCK_E_USAGE: bad prefix, empty or over-long id.
 */
SCK_MUST_CHECK enum sck_code sck_kek_name_plain(const char *prefix, enum sck_owner_kind kind, uint32_t generation,
                                                const void *id, size_t id_len, char out[SCK_KEK_NAME_MAX + 1],
                                                struct sck_err *err);
/* True for a name that is legal in every keeper: [0-9a-z-]{1,120} that starts and ends in [a-z0-9]. */
bool sck_kek_name_is_legal(const char *name);

/* Kinds of tombstones beside the owners'. */
enum sck_tomb_kind { SCK_TOMB_KEY_ID = 'K', SCK_TOMB_FILE_ID = 'I', SCK_TOMB_KEY_NAME = 'N' };
/* Append what the `name` key MACs for a tombstone: "tomb/v1" ‖ kind ‖ u32 generation ‖ id. */
void sck_tomb_input(uint8_t kind, uint32_t generation, const void *id, size_t id_len, struct sck_buf *out);

#endif
