/* SPDX-License-Identifier: MIT */
/* Inside lib/service: the steps of an erasure that are files of their own. */
#ifndef SCK_SERVICE_ERASE_H
#define SCK_SERVICE_ERASE_H

#include "lib/service/engine.h"

/* A KEK that was destroyed, at one place. */
struct sck_erased_kek {
    char keeper[16];
    char name[128];
    char mount[128];
    char name_space[256];
    uint32_t first_version;
    uint32_t last_version;
    uint32_t epoch;             /* keeper token: the newest that its records were under; else 0 */
    struct sck_erase_proof proof;
};

/* What was destroyed, for the receipt. */
struct sck_erasure_facts {
    struct sck_tomb_rec tomb;
    struct sck_erased_kek *keks;
    size_t kek_count;
    uint32_t kek_rows;          /* KEKs destroyed: a keeper whose versions are records counts each */
    int64_t keys;
    int64_t files;
};

/* Add what was destroyed; versions of one KEK at one place are one entry.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_facts_add(struct sck_erasure_facts *facts, const struct sck_keeper *keeper,
                                           const struct sck_kek_rec *kek, const struct sck_erase_proof *proof,
                                           struct sck_err *err);
/* The proof of an earlier version of the same KEK at the same place, or NULL. */
const struct sck_erase_proof *sck_facts_find(const struct sck_erasure_facts *facts, const struct sck_keeper *keeper,
                                             const struct sck_kek_rec *kek);
void sck_facts_clear(struct sck_erasure_facts *facts);

/*
 * Remove one row of file_keys and leave the file's tombstone.  Safe to repeat after a crash.  `alone`: the file is
 * erased for itself, not with its owner, and counts as an erasure.
 */
SCK_MUST_CHECK enum sck_code sck_file_row_remove(struct sck_engine *engine, struct sck_catalog *catalog,
                                                 const struct sck_file_rec *file, bool alone, struct sck_err *err);
/*
 * In the caller's transaction: the catalog's generation goes up, and with it the number of erasures.  An anchor that is
 * written afterwards makes every older copy of the catalog one that has to be reconciled.
 */
SCK_MUST_CHECK enum sck_code sck_setup_count(struct sck_catalog *catalog, int64_t erasures, struct sck_err *err);
/* sck_erase() of a file scope; already logged in. */
SCK_MUST_CHECK enum sck_code sck_erase_file(struct sck_service *service, const struct sck_scope *scope,
                                            sck_progress_fn progress, void *arg, struct sck_buf *receipt,
                                            struct sck_err *err);
/* Go on with the erasure of a pending tombstone; already logged in. */
SCK_MUST_CHECK enum sck_code sck_erase_go_on(struct sck_engine *engine, struct sck_catalog *catalog,
                                             const struct sck_tomb_rec *tomb, struct sck_err *err);
/* Erase an owner whose row was just read; already logged in. */
SCK_MUST_CHECK enum sck_code sck_erase_owner(struct sck_engine *engine, struct sck_catalog *catalog,
                                             const struct sck_owner_rec *owner, sck_progress_fn progress, void *arg,
                                             struct sck_err *err);
/* sck_row_fn: copy the first key row without its buffers into the struct sck_key_rec `arg`. */
enum sck_code sck_collect_first_key(void *arg, void *record, struct sck_err *err);
/* Append the tombstone to STATE/receipts/erasures.log unless its line is there already.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_erasure_log_add(struct sck_engine *engine, const struct sck_tomb_rec *tomb,
                                                 struct sck_err *err);
/* The token's anchor; zeros before the first was written.  SCK_E_INTEGRITY: of an unknown form. */
struct sck_anchor {
    int64_t generation;
    int64_t tombstones;
};
SCK_MUST_CHECK enum sck_code sck_anchor_read(struct sck_engine *engine, struct sck_anchor *out, struct sck_err *err);
/* Write the token's anchor: catalog generation, tombstones, head of the chain.  It is never set back. */
SCK_MUST_CHECK enum sck_code sck_anchor_write(struct sck_engine *engine, struct sck_catalog *catalog,
                                              struct sck_err *err);
/* A catalog with fewer tombstones than the anchor was set back: SCK_E_INTEGRITY says to run `scopekey reconcile`. */
SCK_MUST_CHECK enum sck_code sck_anchor_check(struct sck_engine *engine, struct sck_catalog *catalog,
                                              struct sck_err *err);
/* Make, sign and store the receipt; `json` gets it. */
SCK_MUST_CHECK enum sck_code sck_receipt_make(struct sck_engine *engine, struct sck_catalog *catalog,
                                              const struct sck_erasure_facts *facts, struct sck_buf *json,
                                              struct sck_err *err);
/* Issue the receipt that says `complete` instead of the stored one, and drop the pledge, in one transaction. */
SCK_MUST_CHECK enum sck_code sck_receipt_complete(struct sck_engine *engine, struct sck_catalog *catalog,
                                                  const struct sck_pledge_rec *pledge, struct sck_err *err);
/* The stored receipt of a tombstone.  SCK_E_NOT_FOUND when the erasure has not got that far. */
SCK_MUST_CHECK enum sck_code sck_receipt_find(struct sck_catalog *catalog, const uint8_t hash[32],
                                              struct sck_buf *json, struct sck_err *err);

#endif
