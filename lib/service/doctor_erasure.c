/* SPDX-License-Identifier: MIT */
#include "lib/service/doctor.h"

#include "lib/service/kekepoch.h"

#include <stdio.h>

#define MESSAGES_DUE (INT64_C(1) << 31)
#define UNCONFIRMED_S 86400

struct exam {
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    void (*report)(void *arg, const char *what, const char *cure);
    void *arg;
    int64_t now_s;
    int64_t pending, pledges, waiting_for_epoch;
    int64_t backups, unconfirmed, expired;
};

static enum sck_code
count_pending(void *arg, void *record, struct sck_err *err)
{
    struct exam *x = arg;
    (void)record;
    (void)err;
    x->pending++;
    return SCK_OK;
}

static enum sck_code
count_pledge(void *arg, void *record, struct sck_err *err)
{
    struct exam *x = arg;
    const struct sck_pledge_rec *pledge = record;
    (void)err;
    x->pledges++;
    x->waiting_for_epoch += pledge->epoch != 0;
    return SCK_OK;
}

static enum sck_code
count_backup(void *arg, void *record, struct sck_err *err)
{
    struct exam *x = arg;
    const struct sck_backup_rec *b = record;
    (void)err;
    x->backups++;
    x->unconfirmed += b->state != SCK_BACKUP_CONFIRMED && b->created_s + UNCONFIRMED_S < x->now_s;
    x->expired += b->expires_s < x->now_s;
    return SCK_OK;
}

static void
tell_epochs(struct exam *x, const struct sck_epochs *epochs)
{
    char what[192];
    char awaited[128];
    for (size_t i = 0; i < epochs->count; i++) {
        const struct sck_epoch_rec *e = &epochs->at[i];
        struct sck_err ignored = SCK_ERR_INIT;
        int64_t days = (x->now_s - e->created_s) / 86400;
        int64_t due_s = 0;
        if (e->number == epochs->current) {
            (void)snprintf(what, sizeof what, "epoch %u is %lld days old and has sealed %lld of 2^32 records", e->number,
                           (long long)days, (long long)e->messages);
            x->report(x->arg, what, e->messages >= MESSAGES_DUE ? "run `scopekey rotate --epoch`" : NULL);
            continue;
        }
        if (sck_epoch_due(x->engine, x->catalog, e, &due_s, awaited, &ignored) != SCK_OK)
            continue;
        (void)snprintf(what, sizeof what, "epoch %u waits to be destroyed%s%s", e->number,
                       awaited[0] != '\0' ? ", for " : "", awaited);
        bool cut = e->state == SCK_EPOCH_MAKING || e->state == SCK_EPOCH_MOVING || e->state == SCK_EPOCH_DESTROYING;
        x->report(x->arg, what, cut                                  ? "run `scopekey rotate --epoch`"
                                : due_s != 0 && due_s <= x->now_s    ? "run `scopekey receipt refresh`"
                                                                     : NULL);
    }
}

/* An erasure that waits for an epoch which nobody rotates would wait for ever. */
static void
tell_erasures(struct exam *x, const struct sck_epochs *epochs)
{
    char what[192];
    if (x->pending > 0) {
        (void)snprintf(what, sizeof what, "%lld erasures are not finished: their keepers were not all reached",
                       (long long)x->pending);
        x->report(x->arg, what, "run `scopekey receipt refresh`, and see what it says");
    } else {
        x->report(x->arg, "no erasure is unfinished", NULL);
    }
    if (x->pledges == 0)
        return;
    const struct sck_epoch_rec *current = &epochs->at[epochs->count - 1];
    bool late = x->waiting_for_epoch > 0 && epochs->count == 1 &&
                current->created_s + (x->engine->conf->retire_epoch_days + 1) * 86400 < x->now_s;
    (void)snprintf(what, sizeof what, "%lld erasures are scheduled, %lld of them until an epoch key is destroyed",
                   (long long)x->pledges, (long long)x->waiting_for_epoch);
    x->report(x->arg, what, late ? "run `scopekey rotate --epoch`, then back the catalog up" : NULL);
}

static void
tell_backups(struct exam *x)
{
    char what[160];
    (void)snprintf(what, sizeof what, "%lld backups are registered", (long long)x->backups);
    x->report(x->arg, what, NULL);
    if (x->unconfirmed > 0) {
        (void)snprintf(what, sizeof what, "%lld backups are older than a day and not confirmed", (long long)x->unconfirmed);
        x->report(x->arg, what, "run `scopekey backup confirm` on each, or `scopekey backup forget` if it is gone");
    }
    if (x->expired > 0) {
        (void)snprintf(what, sizeof what, "%lld backups are past the day by which they were to be destroyed",
                       (long long)x->expired);
        x->report(x->arg, what, "destroy them, then `scopekey backup forget` each");
    }
}

void
sck_doctor_erasure(struct sck_engine *engine, struct sck_catalog *catalog,
                   void (*report)(void *arg, const char *what, const char *cure), void *arg)
{
    struct exam x = {
        .engine = engine, .catalog = catalog, .report = report, .arg = arg, .now_s = sck_now_s(engine->clock)};
    struct sck_err err = SCK_ERR_INIT;
    struct sck_epochs epochs;
    struct sck_tomb_rec tombs = {0};
    struct sck_pledge_rec pledges = {0};
    struct sck_backup_rec backups = {0};
    enum sck_code rc = sck_epochs_load(catalog, &epochs, &err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, SCK_TOMBS_PENDING, &tombs, true, 0, count_pending, &x, &err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, SCK_PLEDGES_ALL, &pledges, true, 0, count_pledge, &x, &err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, SCK_BACKUPS_ALL, &backups, true, 0, count_backup, &x, &err);
    if (rc != SCK_OK) {
        report(arg, err.message, "see the message");
        return;
    }
    tell_epochs(&x, &epochs);
    tell_erasures(&x, &epochs);
    tell_backups(&x);
}
