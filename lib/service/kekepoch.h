/* SPDX-License-Identifier: MIT */
/*
 * Inside lib/service: epochs of keeper `token` (docs/erasure.md).  An epoch key lies over the KEK records; destroying an
 * old one makes old copies of the catalog forget the erased.  Which epoch is current is the catalog's to say: a record
 * is stored only in a transaction that has seen that its epoch is not behind the current one, so that none can appear
 * under a key that is about to be destroyed.
 */
#ifndef SCK_SERVICE_KEKEPOCH_H
#define SCK_SERVICE_KEKEPOCH_H

#include "lib/service/engine.h"

/* Epochs whose keys may be on the token, ascending. */
struct sck_epochs {
    struct sck_epoch_rec at[SCK_EPOCHS_MAX + 2];
    size_t count;
    uint32_t current;
    uint32_t needed;            /* the oldest that living records need */
    bool stored;                /* false: the one epoch of a set-up that never rotated; its row is not there yet */
};

/* Read them; inside or outside a transaction. */
SCK_MUST_CHECK enum sck_code sck_epochs_load(struct sck_catalog *catalog, struct sck_epochs *out, struct sck_err *err);
/* The entry of an epoch, or NULL. */
struct sck_epoch_rec *sck_epochs_find(struct sck_epochs *epochs, uint32_t number);
/* Insert or replace a row, in the caller's transaction. */
SCK_MUST_CHECK enum sck_code sck_epoch_put(struct sck_catalog *catalog, const struct sck_epoch_rec *epoch,
                                           struct sck_err *err);
/*
 * In the caller's transaction, before `count` records are sealed: count them against the current epoch key, and have
 * the token use it.  SCK_E_STATE at 2^32 (rotate --epoch).
 */
SCK_MUST_CHECK enum sck_code sck_epoch_charge(struct sck_engine *engine, struct sck_catalog *catalog, int64_t count,
                                              struct sck_err *err);
/* The same for the one record of a KEK that is going to be made at this keeper; nothing to do for other keepers. */
SCK_MUST_CHECK enum sck_code sck_epoch_charge_kek(struct sck_engine *engine, struct sck_catalog *catalog,
                                                  const struct sck_kek_rec *kek, struct sck_err *err);
/* The same in a transaction of its own. */
SCK_MUST_CHECK enum sck_code sck_epoch_charge_now(struct sck_engine *engine, struct sck_catalog *catalog,
                                                  int64_t count, struct sck_err *err);
/*
 * In the caller's transaction, before a row with this record is stored.  *stale: the epoch was rotated since the record
 * was made, make it again; other keepers' rows never are.
 */
SCK_MUST_CHECK enum sck_code sck_epoch_is_stale(struct sck_catalog *catalog, const struct sck_kek_rec *kek, bool *stale,
                                                struct sck_err *err);
/*
 * Both for a row that is about to be stored: its record, if it has one, is counted and must be of the current epoch.
 * SCK_E_BUSY: the epoch was rotated since it was made.
 */
SCK_MUST_CHECK enum sck_code sck_epoch_admit(struct sck_engine *engine, struct sck_catalog *catalog,
                                             const struct sck_kek_rec *kek, struct sck_err *err);
/*
 * What the catalog says of epochs is made to agree with the token, which is right when a catalog was set back.
 * Changes nothing when it does already.
 */
SCK_MUST_CHECK enum sck_code sck_epochs_adopt(struct sck_engine *engine, struct sck_catalog *catalog,
                                              struct sck_err *err);
/* Move every living record to the current epoch; what was left without any waits for its destruction. */
SCK_MUST_CHECK enum sck_code sck_epochs_move(struct sck_engine *engine, struct sck_catalog *catalog,
                                             sck_progress_fn progress, void *arg, struct sck_err *err);
/* Living records of epochs before this one. */
SCK_MUST_CHECK enum sck_code sck_epochs_count_before(struct sck_catalog *catalog, uint32_t epoch, int64_t *count,
                                                     struct sck_err *err);
/*
 * When and why not yet: *due_s is when the epoch's key may be destroyed, 0 when `awaited` says what is missing.
 */
SCK_MUST_CHECK enum sck_code sck_epoch_due(struct sck_engine *engine, struct sck_catalog *catalog,
                                           const struct sck_epoch_rec *epoch, int64_t *due_s, char awaited[128],
                                           struct sck_err *err);
/* Destroy what is due, then bring the receipts that waited for it up to date. */
SCK_MUST_CHECK enum sck_code sck_epochs_retire(struct sck_engine *engine, struct sck_catalog *catalog,
                                               sck_progress_fn progress, void *arg, struct sck_err *err);

#endif
