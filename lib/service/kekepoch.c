/* SPDX-License-Identifier: MIT */
/* What the catalog says of epochs, and how many messages each key has sealed. */
#include "lib/service/kekepoch.h"

#include "lib/base/log.h"

#include <stdio.h>
#include <string.h>

#define MESSAGES_WARN (INT64_C(1) << 31)
#define MESSAGES_MAX (INT64_C(1) << 32)

struct loading {
    struct sck_epochs *out;
    uint32_t last;              /* any number seen, destroyed ones too */
};

static enum sck_code
load_one(void *arg, void *record, struct sck_err *err)
{
    struct loading *l = arg;
    const struct sck_epoch_rec *epoch = record;
    struct sck_epochs *out = l->out;
    l->last = epoch->number;
    if (epoch->state == SCK_EPOCH_DESTROYED)
        return SCK_OK;
    if (out->count == sizeof out->at / sizeof out->at[0])
        return sck_fail(err, SCK_E_INTEGRITY, "the catalog has more epochs than a token holds: restore it from a backup");
    out->at[out->count++] = *epoch;
    if (epoch->state == SCK_EPOCH_CURRENT)
        out->current = epoch->number;
    if (out->needed == 0 && (epoch->state == SCK_EPOCH_CURRENT || epoch->state == SCK_EPOCH_MOVING))
        out->needed = epoch->number;
    return SCK_OK;
}

enum sck_code
sck_epochs_load(struct sck_catalog *catalog, struct sck_epochs *out, struct sck_err *err)
{
    struct sck_epoch_rec from = {0};
    struct sck_setup_rec setup = {.id = 1};
    struct loading l = {out, 0};
    *out = (struct sck_epochs){.stored = true};
    enum sck_code rc = sck_catalog_each(catalog, SCK_EPOCHS_ALL, &from, true, 0, load_one, &l, err);
    if (rc != SCK_OK || out->current != 0)
        return rc;
    if (l.last != 0)
        return sck_fail(err, SCK_E_INTEGRITY, "the catalog has no current epoch: restore it from a backup");
    rc = sck_catalog_get(catalog, SCK_BY_SETUP, &setup, err);
    out->at[0] = (struct sck_epoch_rec){.number = 1, .state = SCK_EPOCH_CURRENT, .created_s = setup.created_s};
    out->count = 1;
    out->current = out->needed = 1;
    out->stored = false;
    return rc;
}

struct sck_epoch_rec *
sck_epochs_find(struct sck_epochs *epochs, uint32_t number)
{
    for (size_t i = 0; i < epochs->count; i++) {
        if (epochs->at[i].number == number)
            return &epochs->at[i];
    }
    return NULL;
}

enum sck_code
sck_epoch_put(struct sck_catalog *catalog, const struct sck_epoch_rec *epoch, struct sck_err *err)
{
    struct sck_epoch_rec copy = *epoch;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_update(catalog, SCK_TABLE_EPOCHS, epoch, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_catalog_insert(catalog, SCK_TABLE_EPOCHS, &copy, err);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

enum sck_code
sck_epoch_charge(struct sck_engine *engine, struct sck_catalog *catalog, int64_t count, struct sck_err *err)
{
    struct sck_epochs epochs;
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_epoch_rec *current = sck_epochs_find(&epochs, epochs.current);
    if (current->messages > MESSAGES_MAX - count)
        return sck_fail(err, SCK_E_STATE,
                        "epoch key %u has sealed 2^32 records, the limit of GCM: run `scopekey rotate --epoch`",
                        epochs.current);
    current->messages += count;
    if (current->messages >= MESSAGES_WARN)
        sck_log(SCK_LOG_WARNING, "service.epoch",
                "epoch key %u has used half of its 2^32 messages: run `scopekey rotate --epoch`", epochs.current);
    sck_token_epoch_use(engine->token, epochs.current);
    return sck_epoch_put(catalog, current, err);
}

enum sck_code
sck_epoch_charge_kek(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_kek_rec *kek,
                     struct sck_err *err)
{
    return kek->keeper == SCK_KEEPER_TOKEN ? sck_epoch_charge(engine, catalog, 1, err) : SCK_OK;
}

enum sck_code
sck_epoch_charge_now(struct sck_engine *engine, struct sck_catalog *catalog, int64_t count, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc == SCK_OK)
        rc = sck_epoch_charge(engine, catalog, count, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}

enum sck_code
sck_epoch_is_stale(struct sck_catalog *catalog, const struct sck_kek_rec *kek, bool *stale, struct sck_err *err)
{
    struct sck_epochs epochs;
    *stale = false;
    if (kek->keeper != SCK_KEEPER_TOKEN)
        return SCK_OK;
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    if (rc == SCK_OK)
        *stale = sck_token_kek_epoch(kek->record.data, kek->record.len) < epochs.current;
    return rc;
}

enum sck_code
sck_epoch_admit(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_kek_rec *kek,
                struct sck_err *err)
{
    bool stale = false;
    if (kek->keeper != SCK_KEEPER_TOKEN || kek->record.len == 0)
        return SCK_OK;
    enum sck_code rc = sck_epoch_is_stale(catalog, kek, &stale, err);
    if (rc == SCK_OK && stale)
        rc = sck_fail(err, SCK_E_BUSY, "the epoch was rotated meanwhile: try again");
    return rc == SCK_OK ? sck_epoch_charge(engine, catalog, 1, err) : rc;
}

static bool
is_on_token(const uint32_t *list, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == number)
            return true;
    }
    return false;
}

/* Epochs behind the current one that only the token knows: the last of them is current, this one's records move. */
static enum sck_code
add_later(struct sck_catalog *catalog, struct sck_epochs *epochs, const uint32_t *list, size_t count, int64_t now_s,
          struct sck_err *err)
{
    uint32_t known = epochs->at[epochs->count - 1].number;
    enum sck_code rc = SCK_OK;
    if (list[count - 1] <= known)
        return SCK_OK;
    struct sck_epoch_rec *current = sck_epochs_find(epochs, epochs->current);
    current->state = SCK_EPOCH_MOVING;
    rc = sck_epoch_put(catalog, current, err);
    for (size_t i = 0; rc == SCK_OK && i < count; i++) {
        bool last = i + 1 == count;
        const struct sck_epoch_rec epoch = {.number = list[i],
                                            .state = last ? SCK_EPOCH_CURRENT : SCK_EPOCH_WAITING,
                                            .created_s = now_s,
                                            .moved_s = last ? 0 : now_s};
        if (list[i] > known)
            rc = sck_epoch_put(catalog, &epoch, err);
    }
    return rc;
}

enum sck_code
sck_epochs_adopt(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_err *err)
{
    uint32_t list[SCK_EPOCHS_MAX];
    size_t count = 0;
    struct sck_epochs epochs;
    int64_t now_s = sck_now_s(engine->clock);
    enum sck_code rc = sck_token_epoch_list(engine->token, list, &count, err);
    if (rc == SCK_OK && count == 0)
        rc = sck_fail(err, SCK_E_CONFIG, "no epoch key is on the token: restore the token");
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_epochs_load(catalog, &epochs, err);
    if (rc == SCK_OK && list[count - 1] < epochs.current)
        rc = sck_fail(err, SCK_E_CONFIG,
                      "the newest epoch key on the token is %u but the catalog's current one is %u: the token was set "
                      "back; restore its newest state", list[count - 1], epochs.current);
    if (rc == SCK_OK)
        rc = add_later(catalog, &epochs, list, count, now_s, err);
    for (size_t i = 0; rc == SCK_OK && i < epochs.count; i++) {
        struct sck_epoch_rec *epoch = &epochs.at[i];
        bool there = is_on_token(list, count, epoch->number);
        bool making = epoch->state == SCK_EPOCH_MAKING;
        if (making ? epoch->number >= list[count - 1] : there)
            continue;
        /* Destroyed on the token by a later state of this catalog: what is still under it is lost with it. */
        epoch->state = there ? SCK_EPOCH_WAITING : SCK_EPOCH_DESTROYED;
        *(there ? &epoch->moved_s : &epoch->destroyed_s) = now_s;
        rc = sck_epoch_put(catalog, epoch, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    return rc;
}
