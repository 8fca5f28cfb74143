/* SPDX-License-Identifier: MIT */
/* Inside lib/service: erasures whose receipt says `scheduled`, and the receipt that says `complete` in the end. */
#ifndef SCK_SERVICE_PLEDGE_H
#define SCK_SERVICE_PLEDGE_H

#include "lib/service/engine.h"

/* In the caller's transaction or in one of its own: remember what an erasure waits for; a row that is there stays. */
SCK_MUST_CHECK enum sck_code sck_pledge_add(struct sck_catalog *catalog, const struct sck_pledge_rec *pledge,
                                            struct sck_err *err);
/* Issue the receipts of all erasures whose wait is over.  Cheap when there is none. */
SCK_MUST_CHECK enum sck_code sck_pledges_settle(struct sck_engine *engine, struct sck_catalog *catalog,
                                                sck_progress_fn progress, void *arg, struct sck_err *err);

#endif
