/* SPDX-License-Identifier: MIT */
/* Work on many DEKs for keepers that know only one at a time. */
#include "vault/keeper.h"

#include "lib/base/clock.h"

#include <string.h>

static enum sck_code
do_item(struct sck_keeper *keeper, const struct sck_keeper_work *work, struct sck_keeper_item *item,
        struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    enum sck_code rc = SCK_OK;
    if (work->what != SCK_KEEPER_WRAP)
        rc = keeper->ops->unwrap(keeper, work->kek, item->version, item->blob.data, item->blob.len, &payload, err);
    if (rc == SCK_OK && work->what != SCK_KEEPER_UNWRAP)
        rc = keeper->ops->wrap(keeper, work->kek, payload != NULL ? payload : item->payload, &item->out,
                               &item->version, err);
    if (rc == SCK_OK && work->what == SCK_KEEPER_UNWRAP) {
        item->opened = payload;
        payload = NULL;
    }
    sck_secret_free(&payload);
    return rc;
}

enum sck_code
sck_keeper_run_each(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    const struct sck_clock *clock = sck_clock_system();
    work->code = SCK_OK;
    sck_err_clear(&work->err);
    for (size_t i = 0; i < work->count; i++) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_keeper_item *item = &work->items[i];
        if (work->deadline_us != 0 && sck_monotonic_us(clock) >= work->deadline_us)
            item->code = sck_fail(&err, SCK_E_BUSY, "keeper %s: the time for this work is over after %zu of %zu DEKs",
                                  keeper->ops->name, i, work->count);
        else
            item->code = do_item(keeper, work, item, &err);
        if (item->code != SCK_OK && work->code == SCK_OK) {
            work->code = item->code;
            work->err = err;
        }
    }
    return work->code;
}
