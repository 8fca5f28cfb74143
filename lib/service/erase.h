/* SPDX-License-Identifier: MIT */
/* Inside lib/service: the steps of an erasure that are files of their own. */
#ifndef SCK_SERVICE_ERASE_H
#define SCK_SERVICE_ERASE_H

#include "lib/service/engine.h"

/* What was destroyed, for the receipt. */
struct sck_erasure_facts {
    struct sck_tomb_rec tomb;
    char keeper[16];
    char kek_name[128];
    uint32_t kek_version;
    uint32_t keks;              /* KEKs destroyed */
    int64_t keys;
    int64_t files;
    struct sck_erase_proof proof;
};

/* Remove one row of file_keys and leave the file's tombstone.  Safe to repeat after a crash. */
SCK_MUST_CHECK enum sck_code sck_file_row_remove(struct sck_engine *engine, struct sck_catalog *catalog,
                                                 const struct sck_file_rec *file, struct sck_err *err);
/* sck_erase() of a file scope; already logged in. */
SCK_MUST_CHECK enum sck_code sck_erase_file(struct sck_service *service, const struct sck_scope *scope,
                                            sck_progress_fn progress, void *arg, struct sck_buf *receipt,
                                            struct sck_err *err);
/* sck_row_fn: copy the first key row without its buffers into the struct sck_key_rec `arg`. */
enum sck_code sck_collect_first_key(void *arg, void *record, struct sck_err *err);
/* Append the tombstone to STATE/receipts/erasures.log unless its line is there already.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_erasure_log_add(struct sck_engine *engine, const struct sck_tomb_rec *tomb,
                                                 struct sck_err *err);
/* Write the token's anchor: catalog generation, tombstones, head of the chain. */
SCK_MUST_CHECK enum sck_code sck_anchor_write(struct sck_engine *engine, struct sck_catalog *catalog,
                                              struct sck_err *err);
/* A catalog with fewer tombstones than the anchor was set back: SCK_E_INTEGRITY says to run `scopekey reconcile`. */
SCK_MUST_CHECK enum sck_code sck_anchor_check(struct sck_engine *engine, struct sck_catalog *catalog,
                                              struct sck_err *err);
/* Make, sign and store the receipt; `json` gets it. */
SCK_MUST_CHECK enum sck_code sck_receipt_make(struct sck_engine *engine, struct sck_catalog *catalog,
                                              const struct sck_erasure_facts *facts, struct sck_buf *json,
                                              struct sck_err *err);
/* The stored receipt of a tombstone.  SCK_E_NOT_FOUND when the erasure has not got that far. */
SCK_MUST_CHECK enum sck_code sck_receipt_find(struct sck_catalog *catalog, const uint8_t hash[32],
                                              struct sck_buf *json, struct sck_err *err);

#endif
