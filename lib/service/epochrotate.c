/* SPDX-License-Identifier: MIT */
/*
 * The life of an epoch: making -> current -> moving -> waiting -> destroying -> destroyed.  Each arrow is a committed
 * row, so that whoever comes next goes on where a crash cut.
 */
#include "lib/service/kekepoch.h"
#include "lib/service/pledge.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct saying {
    sck_progress_fn progress;
    void *arg;
};

static void
say(const struct saying *s, const char *fmt, ...) SCK_PRINTF(2, 3);

static void
say(const struct saying *s, const char *fmt, ...)
{
    char line[256];
    if (s->progress == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    s->progress(s->arg, line);
}

static enum sck_code
lock_epochs(struct sck_engine *engine, int64_t wait_ms, int *lock, struct sck_err *err)
{
    char *path = sck_engine_path(engine, "run/epochs.lock");
    enum sck_code rc = path != NULL ? sck_lock_acquire(path, wait_ms, lock, err)
                                    : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_E_BUSY)
        sck_err_prefix(err, "another process is rotating the epoch");
    free(path);
    return rc;
}

static enum sck_code
put_one(struct sck_catalog *catalog, struct sck_epoch_rec *epoch, enum sck_epoch_state state, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    /* Its count of messages may have gone up since. */
    struct sck_epoch_rec now = {.number = epoch->number};
    struct sck_err look = SCK_ERR_INIT;
    rc = sck_catalog_get(catalog, SCK_BY_EPOCH, &now, &look);
    if (rc == SCK_OK)
        epoch->messages = now.messages;
    else if (rc != SCK_E_NOT_FOUND)
        (void)sck_fail(err, rc, "%s", look.message);
    epoch->state = state;
    if (rc == SCK_OK || rc == SCK_E_NOT_FOUND)
        rc = sck_epoch_put(catalog, epoch, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}

/* What an earlier run left to do: a number being made, or (with *next 0) records to be moved.  Else a new number. */
static enum sck_code
claim_next(struct sck_engine *engine, struct sck_catalog *catalog, uint32_t *next, struct sck_err *err)
{
    struct sck_epochs epochs;
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    if (rc != SCK_OK)
        return rc;
    *next = 0;
    for (size_t i = 0; i < epochs.count; i++) {
        if (epochs.at[i].state == SCK_EPOCH_MAKING)
            *next = epochs.at[i].number;
    }
    if (*next != 0 || epochs.needed < epochs.current)
        return SCK_OK;
    *next = epochs.current + 1;
    struct sck_epoch_rec made = {.number = *next, .created_s = sck_now_s(engine->clock)};
    if (!epochs.stored)
        rc = put_one(catalog, &epochs.at[0], SCK_EPOCH_CURRENT, err);
    return rc == SCK_OK ? put_one(catalog, &made, SCK_EPOCH_MAKING, err) : rc;
}

/* The key is on the disk and was used: from here on every new record is under it. */
static enum sck_code
switch_to(struct sck_engine *engine, struct sck_catalog *catalog, uint32_t next, struct sck_err *err)
{
    struct sck_epochs epochs;
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_epochs_load(catalog, &epochs, err);
    if (rc == SCK_OK) {
        struct sck_epoch_rec *old = sck_epochs_find(&epochs, epochs.current);
        struct sck_epoch_rec *fresh = sck_epochs_find(&epochs, next);
        if (fresh == NULL || fresh->state != SCK_EPOCH_MAKING)
            rc = sck_fail(err, SCK_E_BUSY, "epoch %u was changed by another process: try again", next);
        if (rc == SCK_OK) {
            old->state = SCK_EPOCH_MOVING;
            rc = sck_epoch_put(catalog, old, err);
        }
        if (rc == SCK_OK) {
            fresh->state = SCK_EPOCH_CURRENT;
            fresh->created_s = sck_now_s(engine->clock);
            rc = sck_epoch_put(catalog, fresh, err);
        }
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}

static enum sck_code
rotate_locked(struct sck_engine *engine, struct sck_catalog *catalog, const struct saying *s, struct sck_err *err)
{
    uint32_t next = 0;
    enum sck_code rc = sck_epochs_adopt(engine, catalog, err);
    if (rc == SCK_OK)
        rc = claim_next(engine, catalog, &next, err);
    sck_fault_point("epoch.claimed");
    if (rc == SCK_OK && next == 0)
        say(s, "going on with an unfinished rotation");
    if (rc == SCK_OK && next != 0) {
        rc = sck_token_epoch_make(engine->token, next, err);
        sck_fault_point("epoch.made");
        if (rc == SCK_OK)
            rc = switch_to(engine, catalog, next, err);
        sck_fault_point("epoch.current");
        if (rc == SCK_OK)
            say(s, "epoch key %u made; new KEKs are under it", next);
    }
    return rc == SCK_OK ? sck_epochs_move(engine, catalog, s->progress, s->arg, err) : rc;
}

/* ---- when an old one may be destroyed ---- */

struct qualifying {
    uint32_t above;
    int64_t now_s;
    int64_t since_s;            /* earliest confirmation of a copy that does not need the epoch; 0: none */
};

static enum sck_code
look_at_backup(void *arg, void *record, struct sck_err *err)
{
    struct qualifying *q = arg;
    const struct sck_backup_rec *b = record;
    (void)err;
    if (b->state == SCK_BACKUP_CONFIRMED && b->epoch > q->above &&
        (q->since_s == 0 || b->confirmed_s < q->since_s))
        q->since_s = b->confirmed_s;
    return SCK_OK;
}

enum sck_code
sck_epoch_due(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_epoch_rec *epoch,
              int64_t *due_s, char awaited[128], struct sck_err *err)
{
    struct qualifying q = {.above = epoch->number, .now_s = sck_now_s(engine->clock)};
    struct sck_backup_rec from = {0};
    *due_s = 0;
    awaited[0] = '\0';
    if (epoch->state == SCK_EPOCH_CURRENT)
        return SCK_OK;
    if (epoch->state == SCK_EPOCH_DESTROYING) {
        *due_s = q.now_s;
        return SCK_OK;
    }
    if (epoch->state != SCK_EPOCH_WAITING) {
        (void)snprintf(awaited, 128, "the rotation is not finished: run `scopekey rotate --epoch` again");
        return SCK_OK;
    }
    enum sck_code rc = sck_catalog_each(catalog, SCK_BACKUPS_ALL, &from, true, 0, look_at_backup, &q, err);
    if (rc == SCK_OK && q.since_s == 0)
        (void)snprintf(awaited, 128,
                       "a confirmed backup made since: run `scopekey backup create`, then `scopekey backup confirm`");
    else if (rc == SCK_OK)
        *due_s = (q.since_s > epoch->moved_s ? q.since_s : epoch->moved_s) + engine->conf->retire_epoch_days * 86400;
    return rc;
}

static enum sck_code
destroy_one(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_epoch_rec *epoch, const struct saying *s,
            struct sck_err *err)
{
    int64_t left = 0;
    enum sck_code rc = sck_epochs_count_before(catalog, epoch->number + 1, &left, err);
    if (rc == SCK_OK && left > 0) {
        rc = put_one(catalog, epoch, SCK_EPOCH_MOVING, err);
        return rc != SCK_OK ? rc
                            : sck_fail(err, SCK_E_STATE,
                                       "%lld KEK records are still under epoch %u, which was to be destroyed: run "
                                       "`scopekey rotate --epoch`", (long long)left, epoch->number);
    }
    if (rc == SCK_OK)
        rc = put_one(catalog, epoch, SCK_EPOCH_DESTROYING, err);
    sck_fault_point("epoch.destroying");
    if (rc == SCK_OK)
        rc = sck_token_epoch_destroy(engine->token, epoch->number, err);
    sck_fault_point("epoch.destroyed");
    if (rc == SCK_OK) {
        epoch->destroyed_s = sck_now_s(engine->clock);
        rc = put_one(catalog, epoch, SCK_EPOCH_DESTROYED, err);
    }
    if (rc != SCK_OK)
        return rc;
    say(s, "epoch key %u destroyed: copies of the catalog that need it open nothing any more", epoch->number);
    sck_log(SCK_LOG_INFO, "service.epoch", "epoch key %u destroyed", epoch->number);
    return SCK_OK;
}

/* In order, so that "all up to n are destroyed" is one comparison. */
enum sck_code
sck_epochs_retire(struct sck_engine *engine, struct sck_catalog *catalog, sck_progress_fn progress, void *arg,
                  struct sck_err *err)
{
    const struct saying s = {progress, arg};
    struct sck_epochs epochs;
    char awaited[128];
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    for (size_t i = 0; rc == SCK_OK && i < epochs.count && epochs.at[i].number < epochs.current; i++) {
        int64_t due_s = 0;
        rc = sck_epoch_due(engine, catalog, &epochs.at[i], &due_s, awaited, err);
        if (rc != SCK_OK || due_s == 0 || due_s > sck_now_s(engine->clock))
            break;
        rc = destroy_one(engine, catalog, &epochs.at[i], &s, err);
    }
    return rc == SCK_OK ? sck_pledges_settle(engine, catalog, progress, arg, err) : rc;
}

static enum sck_code
begin(struct sck_service *service, int64_t wait_ms, struct sck_catalog **catalog, int *lock, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    enum sck_code rc = sck_engine_started(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, catalog, err);
    return rc == SCK_OK ? lock_epochs(engine, wait_ms, lock, err) : rc;
}

enum sck_code
sck_epoch_rotate(struct sck_service *service, sck_progress_fn progress, void *arg, struct sck_err *err)
{
    const struct saying s = {progress, arg};
    struct sck_catalog *catalog = NULL;
    int lock = -1;
    enum sck_code rc = begin(service, 0, &catalog, &lock, err);
    if (rc == SCK_OK)
        rc = rotate_locked(service->engine, catalog, &s, err);
    if (rc == SCK_OK)
        rc = sck_epochs_retire(service->engine, catalog, progress, arg, err);
    sck_lock_release(&lock);
    return rc;
}

enum sck_code
sck_epoch_retire(struct sck_service *service, sck_progress_fn progress, void *arg, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    int lock = -1;
    enum sck_code rc = begin(service, 30000, &catalog, &lock, err);
    if (rc == SCK_OK)
        rc = sck_epochs_retire(service->engine, catalog, progress, arg, err);
    sck_lock_release(&lock);
    return rc;
}

enum sck_code
sck_epoch_each(struct sck_service *service, sck_epoch_fn fn, void *arg, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_epochs epochs;
    enum sck_code rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_epochs_load(catalog, &epochs, err);
    for (size_t i = 0; rc == SCK_OK && i < epochs.count; i++) {
        static const char *const states[] = {"", "making", "current", "moving", "waiting", "destroying", "destroyed"};
        const struct sck_epoch_rec *e = &epochs.at[i];
        struct sck_epoch_info info = {.number = e->number,
                                      .state = e->state < sizeof states / sizeof states[0] ? states[e->state] : "",
                                      .created_s = e->created_s,
                                      .moved_s = e->moved_s,
                                      .messages = e->messages};
        rc = sck_epoch_due(engine, catalog, e, &info.due_s, info.awaited, err);
        if (rc == SCK_OK)
            rc = fn(arg, &info, err);
    }
    return rc;
}
