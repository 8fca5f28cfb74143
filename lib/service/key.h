/* SPDX-License-Identifier: MIT */
/* Inside lib/service: making and keeping versions of keys. */
#ifndef SCK_SERVICE_KEY_H
#define SCK_SERVICE_KEY_H

#include "lib/service/engine.h"

/* Zero a version record and give its buffers their maxima. */
void sck_version_init(struct sck_version_rec *v);
/* Generate, wrap, seal and sign version `number` of a key; nothing is stored.  Clear `v` with sck_record_clear(). */
SCK_MUST_CHECK enum sck_code sck_version_make(struct sck_engine *engine, const struct sck_key_rec *key,
                                              uint32_t number, const struct sck_owner_rec *owner,
                                              const struct sck_kek_rec *kek, struct sck_version_rec *v,
                                              struct sck_err *err);
/* CKA_ID of a resident version in the token: the first 16 bytes of SHA-256("resident/v1" ‖ key id ‖ u32 version). */
SCK_MUST_CHECK enum sck_code sck_resident_id(const uint8_t key[16], uint32_t version, uint8_t out[16],
                                             struct sck_err *err);
/* In a write transaction: the owner is still the living one that was read before.  SCK_E_ERASED. */
SCK_MUST_CHECK enum sck_code sck_owner_recheck(struct sck_catalog *catalog, const struct sck_owner_rec *owner,
                                               struct sck_err *err);
/* The same, and its row as it is now. */
SCK_MUST_CHECK enum sck_code sck_owner_reread(struct sck_catalog *catalog, const struct sck_owner_rec *owner,
                                              struct sck_owner_rec *now, struct sck_err *err);
/* After the KEK was rotated under a version that is to be stored: read the owner and its KEK again, and wrap anew. */
SCK_MUST_CHECK enum sck_code sck_version_move(struct sck_engine *engine, struct sck_owner_rec *owner,
                                              struct sck_kek_rec *kek, struct sck_version_rec *version,
                                              struct sck_err *err);
/* The generation in the tombstones of key names: the owner's, so that who comes back may use old names; 1 without owner. */
static inline uint32_t
sck_name_generation(const struct sck_owner_rec *owner)
{
    return owner->generation != 0 ? owner->generation : 1;
}

/*
 * Remove a key for good: resident objects, rows, and tombstones for its key_id and name in one transaction.
 * Safe to repeat after a crash.
 */
SCK_MUST_CHECK enum sck_code sck_key_remove(struct sck_engine *engine, struct sck_catalog *catalog,
                                            const struct sck_key_rec *key, struct sck_err *err);

#endif
