/* SPDX-License-Identifier: MIT */
#include "lib/service/kek.h"

#include "lib/base/log.h"
#include "lib/service/kekepoch.h"
#include "lib/service/key.h"

#include <string.h>

bool
sck_kek_fits(const struct sck_kek_rec *kek, const struct sck_wrapped *w)
{
    return kek->keeper == (uint32_t)w->keeper && kek->generation == w->generation && kek->version == w->kek_version;
}

struct search {
    const struct sck_wrapped *wrapped;
    struct sck_kek_rec *out;
    bool found;
    bool retired;
};

static enum sck_code
pick(void *arg, void *record, struct sck_err *err)
{
    struct search *s = arg;
    struct sck_kek_rec *kek = record;
    (void)err;
    if (s->found || !sck_kek_fits(kek, s->wrapped) || kek->state == SCK_KEK_CREATING ||
        kek->state == SCK_KEK_WANTED)
        return SCK_OK;
    if (kek->state == SCK_KEK_DESTROYED || kek->state == SCK_KEK_GONE) {
        s->retired = true;
        return SCK_OK;
    }
    *s->out = *kek;
    kek->record = (struct sck_buf){0};
    s->found = true;
    return SCK_OK;
}

enum sck_code
sck_kek_find(struct sck_engine *engine, const struct sck_kek_rec *current, const struct sck_wrapped *w,
             struct sck_kek_rec *out, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_keeper *keeper = NULL;
    struct search s = {.wrapped = w, .out = out};
    struct sck_kek_rec from = {.owner_id = current->owner_id};
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_each(catalog, SCK_KEKS_OF_OWNER, &from, true, 0, pick, &s, err);
    if (rc != SCK_OK) {
        sck_record_clear(SCK_TABLE_KEKS, out);
        return rc;
    }
    if (s.found)
        return SCK_OK;
    /* A version of which there is no row yet: whoever rotated it at its keeper did not tell us. */
    if (!s.retired && w->keeper == (enum sck_keeper_kind)current->keeper && w->generation == current->generation) {
        rc = sck_engine_keeper(engine, w->keeper, &keeper, err);
        if (rc != SCK_OK)
            return rc;
        if (!keeper->ops->versions_are_records) {
            *out = *current;
            out->record = (struct sck_buf){0};
            out->version = w->kek_version;
            return SCK_OK;
        }
    }
    if (s.retired)
        return sck_fail(err, SCK_E_STATE, "version %u of the KEK was retired at keeper %s: what it wrapped is lost",
                        (unsigned)w->kek_version, sck_keeper_kind_name(w->keeper));
    return sck_fail(err, SCK_E_CONTEXT, "the wrapped DEK belongs to another KEK");
}

enum sck_code
sck_kek_failed(struct sck_engine *engine, int64_t owner_id, enum sck_code code, const struct sck_err *why,
               struct sck_err *err)
{
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_err look = SCK_ERR_INIT;
    if (code == SCK_E_NOT_FOUND && sck_owner_get_by_id(engine, owner_id, &owner, &kek, &look) == SCK_E_ERASED)
        code = sck_fail(err, SCK_E_ERASED, "%s", look.message);
    else
        code = sck_fail(err, code, "%s", why->message);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return code;
}

enum sck_code
sck_kek_last(struct sck_catalog *catalog, int64_t owner_id, uint32_t *serial, struct sck_err *err)
{
    struct sck_kek_rec kek = {.owner_id = owner_id};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_get(catalog, SCK_KEKS_OF_OWNER, &kek, &look);
    *serial = rc == SCK_OK ? kek.serial : 0;
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc == SCK_OK || rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", look.message);
}

/* ---- counting ---- */

/* Steps grow with use: a command that wraps once reserves one, a daemon few times. */
#define STEP_MAX 4096

static struct sck_kek_tally *
tally_of(struct sck_engine *engine, int64_t owner_id, bool handed_out)
{
    return &engine->tallies[((uint64_t)owner_id * 2 + handed_out) % SCK_KEK_TALLIES];
}

/* Take `count` from what is reserved; else *step is what to reserve. */
static bool
tally_take(struct sck_engine *engine, int64_t owner_id, uint32_t serial, bool handed_out, int64_t count,
           int64_t *step)
{
    pthread_mutex_lock(&engine->lock);
    struct sck_kek_tally *t = tally_of(engine, owner_id, handed_out);
    bool same = t->owner_id == owner_id && t->serial == serial;
    bool enough = same && t->left >= count;
    if (enough)
        t->left -= count;
    *step = same && t->step * 2 <= STEP_MAX ? t->step * 2 : same ? STEP_MAX : 1;
    if (*step < count)
        *step = count;
    pthread_mutex_unlock(&engine->lock);
    return enough;
}

static void
tally_put(struct sck_engine *engine, int64_t owner_id, uint32_t serial, bool handed_out, int64_t left, int64_t step)
{
    pthread_mutex_lock(&engine->lock);
    *tally_of(engine, owner_id, handed_out) = (struct sck_kek_tally){owner_id, serial, left, step};
    pthread_mutex_unlock(&engine->lock);
}

void
sck_kek_uncount(struct sck_engine *engine, int64_t owner_id)
{
    tally_put(engine, owner_id, 0, false, 0, 0);
}

/* Reserve `step` in the open transaction. */
static enum sck_code
reserve(struct sck_catalog *catalog, const struct sck_owner_rec *owner, bool handed_out, int64_t step,
        struct sck_err *err)
{
    struct sck_kek_rec kek = {.owner_id = owner->id, .serial = owner->kek_serial};
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_KEK, &kek, err);
    if (rc == SCK_OK && kek.wraps > SCK_KEK_WRAPS_MAX - step)
        rc = sck_fail(err, SCK_E_STATE, "KEK %s has wrapped 2^32 data keys, its limit: rotate it (`scopekey rotate`)",
                      kek.name);
    if (rc == SCK_OK) {
        kek.wraps += step;
        kek.messages += handed_out ? step : 0;
        rc = sck_catalog_update(catalog, SCK_TABLE_KEKS, &kek, err);
    }
    if (rc == SCK_OK && kek.wraps >= SCK_KEK_WRAPS_WARN)
        sck_log(SCK_LOG_WARNING, "service.kek", "KEK %s has used half of its 2^32 wraps: rotate it soon", kek.name);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc;
}

/* In a write transaction: alive, and nobody made another KEK current. */
static enum sck_code
check_current(struct sck_catalog *catalog, const struct sck_owner_rec *owner, bool *moved, struct sck_err *err)
{
    struct sck_owner_rec now;
    enum sck_code rc = sck_owner_reread(catalog, owner, &now, err);
    *moved = rc == SCK_OK && now.kek_serial != owner->kek_serial;
    return rc;
}

enum sck_code
sck_kek_use(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *owner, int64_t count,
            bool *moved, struct sck_err *err)
{
    int64_t step = 0;
    enum sck_code rc = check_current(catalog, owner, moved, err);
    if (rc != SCK_OK || *moved || tally_take(engine, owner->id, owner->kek_serial, false, count, &step))
        return rc;
    rc = reserve(catalog, owner, false, step, err);
    if (rc == SCK_OK)
        tally_put(engine, owner->id, owner->kek_serial, false, step - count, step);
    return rc;
}

enum sck_code
sck_kek_hand_out(struct sck_engine *engine, const struct sck_owner_rec *owner, bool *moved, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    int64_t step = 0;
    *moved = false;
    if (tally_take(engine, owner->id, owner->kek_serial, true, 1, &step))
        return SCK_OK;
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = check_current(catalog, owner, moved, err);
    if (rc == SCK_OK && !*moved)
        rc = reserve(catalog, owner, true, step, err);
    if (rc == SCK_OK && !*moved)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    if (rc == SCK_OK && !*moved)
        tally_put(engine, owner->id, owner->kek_serial, true, step - 1, step);
    return rc;
}

enum sck_code
sck_kek_busy(struct sck_err *err)
{
    return sck_fail(err, SCK_E_BUSY, "the KEK was rotated again and again meanwhile: try again");
}

/* ---- succession ---- */

enum sck_code
sck_kek_take_made(struct sck_kek_rec *kek, struct sck_kek_made *made, struct sck_err *err)
{
    kek->version = made->version;
    memcpy(kek->mount, made->mount, sizeof kek->mount);
    memcpy(kek->name_space, made->name_space, sizeof kek->name_space);
    sck_buf_clear(&kek->record);
    sck_buf_init(&kek->record, SCK_REC_BLOB_MAX);
    sck_buf_put(&kek->record, made->record.data, made->record.len);
    sck_buf_clear(&made->record);
    return sck_buf_check(&kek->record, "KEK record", err);
}

/* The row of `fresh`, new or as it was claimed.  False when the claimed one is no longer there to be taken. */
static enum sck_code
put_fresh(struct sck_catalog *catalog, struct sck_kek_rec *fresh, bool *late, struct sck_err *err)
{
    struct sck_kek_rec now = {.owner_id = fresh->owner_id, .serial = fresh->serial};
    enum sck_code rc = SCK_OK;
    fresh->state = SCK_KEK_CURRENT;
    if (fresh->serial == 0) {
        rc = sck_kek_last(catalog, fresh->owner_id, &fresh->serial, err);
        fresh->serial++;
        return rc == SCK_OK ? sck_catalog_insert(catalog, SCK_TABLE_KEKS, fresh, err) : rc;
    }
    rc = sck_catalog_get(catalog, SCK_BY_KEK, &now, err);
    *late = rc == SCK_OK && now.state != SCK_KEK_CREATING;
    sck_record_clear(SCK_TABLE_KEKS, &now);
    return rc == SCK_OK && !*late ? sck_catalog_update(catalog, SCK_TABLE_KEKS, fresh, err) : rc;
}

static enum sck_code
retire_row(struct sck_catalog *catalog, int64_t owner_id, uint32_t serial, struct sck_err *err)
{
    struct sck_kek_rec old = {.owner_id = owner_id, .serial = serial};
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_KEK, &old, err);
    old.state = SCK_KEK_RETIRED;
    if (rc == SCK_OK)
        rc = sck_catalog_update(catalog, SCK_TABLE_KEKS, &old, err);
    sck_record_clear(SCK_TABLE_KEKS, &old);
    return rc;
}

enum sck_code
sck_kek_succeed(struct sck_engine *engine, uint32_t serial, struct sck_kek_rec *fresh, bool *late,
                struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    const struct sck_owner_rec expected = {
        .id = fresh->owner_id, .generation = fresh->generation, .kek_serial = serial};
    struct sck_owner_rec owner = {.id = fresh->owner_id};
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = check_current(catalog, &expected, late, err);
    if (rc == SCK_OK && !*late)
        rc = sck_epoch_admit(engine, catalog, fresh, err);
    if (rc == SCK_OK && !*late)
        rc = put_fresh(catalog, fresh, late, err);
    if (rc != SCK_OK || *late)
        goto out;
    rc = retire_row(catalog, fresh->owner_id, serial, err);
    if (rc == SCK_OK)
        rc = sck_catalog_get(catalog, SCK_BY_OWNER_ID, &owner, err);
    owner.kek_serial = fresh->serial;
    if (rc == SCK_OK)
        rc = sck_catalog_update(catalog, SCK_TABLE_OWNERS, &owner, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
out:
    sck_catalog_rollback(catalog);
    return rc;
}

enum sck_code
sck_kek_note_version(struct sck_engine *engine, const struct sck_kek_rec *kek, uint32_t version, struct sck_err *err)
{
    struct sck_kek_rec fresh = *kek;
    bool late = false;
    if (version == kek->version)
        return SCK_OK;
    if (version < kek->version)
        return sck_fail(err, SCK_E_CONNECT, "keeper %s: a node that is behind answered for KEK %s: try again",
                        sck_keeper_kind_name((enum sck_keeper_kind)kek->keeper), kek->name);
    fresh.serial = 0;
    fresh.version = version;
    fresh.record = (struct sck_buf){0};
    fresh.wraps = 0;
    fresh.messages = 0;
    fresh.created_s = sck_now_s(engine->clock);
    enum sck_code rc = sck_kek_succeed(engine, kek->serial, &fresh, &late, err);
    if (rc == SCK_OK && !late)
        sck_log(SCK_LOG_INFO, "service.kek", "KEK %s has version %u at its keeper: it was rotated there", kek->name,
                (unsigned)version);
    return rc;
}

void
sck_kek_canary(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_buf *canary, uint32_t *version)
{
    struct sck_secret *payload = NULL;
    struct sck_err ignored = SCK_ERR_INIT;
    if (sck_secret_new(SCK_PAYLOAD_LEN, &payload, &ignored) != SCK_OK ||
        sck_random(payload->data, payload->len, &ignored) != SCK_OK ||
        keeper->ops->wrap(keeper, kek, payload, canary, version, &ignored) != SCK_OK)
        sck_buf_reset(canary);
    sck_secret_free(&payload);
}

/* ---- one wrapped DEK to another KEK ---- */

static enum sck_code
move_blob(struct sck_engine *engine, const struct sck_kek_rec *from, const struct sck_kek_rec *to,
          struct sck_wrapped *w, struct sck_err *err)
{
    struct sck_keeper *source = NULL;
    struct sck_keeper *target = NULL;
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    const struct sck_kek from_ref = sck_kek_from_rec(from);
    const struct sck_kek to_ref = sck_kek_from_rec(to);
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_keeper(engine, w->keeper, &source, err);
    if (rc == SCK_OK)
        rc = sck_engine_keeper(engine, (enum sck_keeper_kind)to->keeper, &target, err);
    if (rc == SCK_OK)
        rc = source->ops->unwrap(source, &from_ref, w->kek_version, w->blob, w->blob_len, &payload, err);
    if (rc == SCK_OK)
        rc = target->ops->wrap(target, &to_ref, payload, &blob, &w->kek_version, err);
    if (rc == SCK_OK)
        rc = sck_kek_note_version(engine, to, w->kek_version, err);
    if (rc == SCK_OK)
        rc = sck_buf_check(&blob, "wrapped DEK", err);
    if (rc == SCK_OK) {
        w->keeper = (enum sck_keeper_kind)to->keeper;
        memcpy(w->blob, blob.data, blob.len);
        w->blob_len = blob.len;
    }
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    return rc;
}

enum sck_code
sck_wrapped_move(struct sck_engine *engine, const struct sck_kek_rec *to, struct sck_buf *wrapped,
                 struct sck_err *err)
{
    struct sck_wrapped w;
    struct sck_kek_rec from = {0};
    enum sck_code rc = sck_wrapped_decode(wrapped->data, wrapped->len, &w, err);
    if (rc != SCK_OK || sck_kek_fits(to, &w))
        return rc;
    rc = sck_kek_find(engine, to, &w, &from, err);
    if (rc == SCK_OK)
        rc = move_blob(engine, &from, to, &w, err);
    sck_record_clear(SCK_TABLE_KEKS, &from);
    if (rc == SCK_OK) {
        sck_buf_reset(wrapped);
        rc = sck_wrapped_encode(&w, wrapped, err);
    }
    return rc;
}
