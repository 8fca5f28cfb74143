/* SPDX-License-Identifier: MIT */
/* Inside lib/service: the parts of sck_reconcile() that are files of their own. */
#ifndef SCK_SERVICE_RECONCILE_H
#define SCK_SERVICE_RECONCILE_H

#include "lib/service/erase.h"

/* Work on a catalog or keeper that may have been set back. */
struct sck_reconciling {
    struct sck_service *service;
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    sck_progress_fn progress;
    void *arg;
    struct sck_err waiting;     /* the first keeper that could not be asked: everything else goes on */
};

void sck_reconcile_say(const struct sck_reconciling *r, const char *fmt, ...) SCK_PRINTF(2, 3);
/* True when `rc` is a keeper's failure that can be left for later; it is kept in r->waiting. */
bool sck_reconcile_defer(struct sck_reconciling *r, enum sck_code rc, const struct sck_err *why);

/*
 * Receipts of STATE/receipts whose rows the catalog does not have come back into it, if their signature is good.  Then
 * every KEK that a receipt names is erased again at its keeper, which costs little where it is gone.
 */
SCK_MUST_CHECK enum sck_code sck_reconcile_receipts(struct sck_reconciling *r, struct sck_err *err);

/*
 * Tombstones that only the erasure log knows: what is alive of them is erased again, all of them are set.
 * *known is how many erasures the log tells of.
 */
SCK_MUST_CHECK enum sck_code sck_reconcile_log(struct sck_reconciling *r, int64_t *known, struct sck_err *err);

#endif
