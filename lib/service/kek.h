/* SPDX-License-Identifier: MIT */
/*
 * Inside lib/service: versions and former homes of an owner's KEK, and how often each was used.
 *
 * Every version at every keeper is a row of `keks`; one is current.  A DEK is stored only in a transaction that sees
 * its KEK still current, so that what is under an older one only ever gets less.
 */
#ifndef SCK_SERVICE_KEK_H
#define SCK_SERVICE_KEK_H

#include "lib/service/engine.h"

/* A KEK or epoch key wraps at most 2^32 times (SP 800-38D section 8.3); from half of it on the log says so. */
#define SCK_KEK_WRAPS_MAX (INT64_C(1) << 32)
#define SCK_KEK_WRAPS_WARN (INT64_C(1) << 31)

/* Whether a wrapped DEK is under this row's version at this row's keeper. */
bool sck_kek_fits(const struct sck_kek_rec *kek, const struct sck_wrapped *w);
/*
 * The row that `w` is under, among all of the owner that `current` belongs to.  SCK_E_CONTEXT: the owner never had such
 * a KEK.  SCK_E_STATE: that version was retired.  Clear `out` with sck_record_clear().
 */
SCK_MUST_CHECK enum sck_code sck_kek_find(struct sck_engine *engine, const struct sck_kek_rec *current,
                                          const struct sck_wrapped *w, struct sck_kek_rec *out,
                                          struct sck_err *err);
/*
 * Record a keeper's failure and return its code: "no such KEK" is SCK_E_ERASED when the owner was erased while the keeper
 * was asked, else what `why` says.
 */
enum sck_code sck_kek_failed(struct sck_engine *engine, int64_t owner_id, enum sck_code code,
                             const struct sck_err *why, struct sck_err *err);
/* The owner's highest serial; 0 when it has no row. */
SCK_MUST_CHECK enum sck_code sck_kek_last(struct sck_catalog *catalog, int64_t owner_id, uint32_t *serial,
                                          struct sck_err *err);
/*
 * In the write transaction that stores `count` DEKs wrapped under the owner's KEK as `owner` was read: it is alive, and
 * that KEK is its current one still.  *moved: another one is current now and nothing was counted: roll back and wrap
 * anew.  SCK_E_ERASED.  SCK_E_STATE: the KEK has wrapped 2^32 times.  Whoever rolls back after it calls
 * sck_kek_uncount().
 */
SCK_MUST_CHECK enum sck_code sck_kek_use(struct sck_engine *engine, struct sck_catalog *catalog,
                                         const struct sck_owner_rec *owner, int64_t count, bool *moved,
                                         struct sck_err *err);
void sck_kek_uncount(struct sck_engine *engine, int64_t owner_id);
/*
 * Before a DEK wrapped under the owner's KEK as `owner` was read is handed out: counts it, by a committed update that
 * reserves ever larger steps.  No transaction is open.  *moved and the errors as sck_kek_use().
 */
SCK_MUST_CHECK enum sck_code sck_kek_hand_out(struct sck_engine *engine, const struct sck_owner_rec *owner,
                                              bool *moved, struct sck_err *err);
/*
 * Make `fresh` the current KEK of its owner and retire the one of `serial`, in one transaction.  `fresh` without a
 * serial becomes a new row, else it is a row in state creating.  *late: another one became current meanwhile, or the
 * row is gone; nothing was changed.  SCK_E_ERASED.
 */
SCK_MUST_CHECK enum sck_code sck_kek_succeed(struct sck_engine *engine, uint32_t serial, struct sck_kek_rec *fresh,
                                             bool *late, struct sck_err *err);
/*
 * The state in which a row is claimed for a KEK that is going to be made at this keeper: wanted where others could have
 * chosen its name, else creating.
 */
uint32_t sck_kek_claim_state(const struct sck_engine *engine, enum sck_keeper_kind keeper);
/*
 * Before the keeper is asked to make the KEK of a claimed row: a wanted one becomes creating, here and in the catalog, if
 * the keeper has none of that name.  *ours: what create finds there was made for this very row by an earlier run or
 * another process.  SCK_E_EXISTS: somebody else's KEK has that name.  SCK_E_ERASED.  No transaction is open.
 */
SCK_MUST_CHECK enum sck_code sck_kek_reserve(struct sck_catalog *catalog, struct sck_keeper *keeper,
                                             struct sck_kek_rec *kek, bool *ours, struct sck_err *err);
/* Record that the keeper holds somebody else's KEK under this name.  SCK_E_EXISTS. */
enum sck_code sck_kek_is_foreign(const struct sck_keeper *keeper, const struct sck_kek_rec *kek, struct sck_err *err);
/* What the keeper made, into a row.  Clears made->record. */
SCK_MUST_CHECK enum sck_code sck_kek_take_made(struct sck_kek_rec *kek, struct sck_kek_made *made,
                                               struct sck_err *err);
/*
 * The keeper wrapped under `version` though the row knows `kek->version`: someone rotated there.  Gives a newer one a
 * row, so that it is counted by itself.  SCK_E_CONNECT when it is an older one: a node that is behind.
 */
SCK_MUST_CHECK enum sck_code sck_kek_note_version(struct sck_engine *engine, const struct sck_kek_rec *kek,
                                                  uint32_t version, struct sck_err *err);
/*
 * Bring one wrapped DEK under `to`, from wherever it is; nothing happens when it is there.  In locked memory, or inside
 * the keeper.
 */
SCK_MUST_CHECK enum sck_code sck_wrapped_move(struct sck_engine *engine, const struct sck_kek_rec *to,
                                              struct sck_buf *wrapped, struct sck_err *err);

/* A DEK wrapped under the KEK, which must not open after its end.  Empty when there is none (the KEK is gone already). */
void sck_kek_canary(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_buf *canary, uint32_t *version);

/* How often a DEK is wrapped anew because its KEK was rotated meanwhile, before SCK_E_BUSY. */
#define SCK_KEK_TRIES 5
enum sck_code sck_kek_busy(struct sck_err *err);

#endif
