/* SPDX-License-Identifier: MIT */
/* A throw-away KEK through its whole life: `scopekey keeper test`. */
#include "lib/service/keepers.h"

#include "lib/base/text.h"
#include "lib/service/engine.h"

#include <stdio.h>
#include <string.h>

struct trial {
    struct sck_engine *engine;
    struct sck_keeper *keeper;
    sck_keeper_step_fn step;
    void *arg;
    char name[SCK_KEK_NAME_MAX + 1];
    struct sck_kek_made made, rotated;
    struct sck_secret *payload;
    struct sck_buf old, fresh;          /* blobs under version 1 and under the newest */
    uint32_t old_version, fresh_version;
};

/* The KEK as its row would describe it; `made` is where its newest version is from. */
static struct sck_kek
kek_of(const struct trial *t, const struct sck_kek_made *made)
{
    return (struct sck_kek){t->name, 1, made->version, made->mount, made->name_space, sck_buf_bytes(&made->record)};
}

static enum sck_code
opens(struct trial *t, const struct sck_kek *kek, uint32_t version, const struct sck_buf *blob, struct sck_err *err)
{
    struct sck_secret *opened = NULL;
    enum sck_code rc = t->keeper->ops->unwrap(t->keeper, kek, version, blob->data, blob->len, &opened, err);
    if (rc == SCK_OK && (opened->len != t->payload->len || !sck_ct_equal(opened->data, t->payload->data, opened->len)))
        rc = sck_fail(err, SCK_E_INTEGRITY, "what was unwrapped is not what was wrapped");
    sck_secret_free(&opened);
    return rc;
}

static enum sck_code
do_create(struct trial *t, struct sck_err *err)
{
    return t->keeper->ops->create(t->keeper, t->name, 1, &t->made, err);
}

static enum sck_code
do_wrap(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->made);
    return t->keeper->ops->wrap(t->keeper, &kek, t->payload, &t->old, &t->old_version, err);
}

static enum sck_code
do_unwrap(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->made);
    return opens(t, &kek, t->old_version, &t->old, err);
}

static enum sck_code
do_rotate(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->made);
    enum sck_code rc = t->keeper->ops->rotate(t->keeper, &kek, &t->rotated, err);
    if (rc == SCK_OK && t->rotated.version != t->made.version + 1)
        rc = sck_fail(err, SCK_E_STATE, "the new version is %u: somebody else rotates this KEK", t->rotated.version);
    if (rc == SCK_OK && t->rotated.mount[0] == '\0') {
        memcpy(t->rotated.mount, t->made.mount, sizeof t->rotated.mount);
        memcpy(t->rotated.name_space, t->made.name_space, sizeof t->rotated.name_space);
    }
    return rc;
}

static enum sck_code
do_rewrap(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->rotated), before = kek_of(t, &t->made);
    struct sck_keeper_item item = {.blob = sck_buf_bytes(&t->old), .version = t->old_version};
    struct sck_keeper_work work = {.what = SCK_KEEPER_REWRAP, .kek = &kek, .items = &item, .count = 1};
    enum sck_code rc = SCK_OK;
    if (t->keeper->ops->versions_are_records) {
        /* The older version is a record of its own: both halves are the caller's work. */
        rc = opens(t, &before, t->old_version, &t->old, err);
        if (rc == SCK_OK)
            rc = t->keeper->ops->wrap(t->keeper, &kek, t->payload, &t->fresh, &t->fresh_version, err);
        return rc;
    }
    sck_buf_init(&item.out, SCK_KEEPER_BLOB_MAX);
    rc = t->keeper->ops->run(t->keeper, &work);
    if (rc != SCK_OK) {
        rc = sck_fail(err, rc, "%s", work.err.message);
    } else {
        sck_buf_put(&t->fresh, item.out.data, item.out.len);
        t->fresh_version = item.version;
        rc = sck_buf_check(&t->fresh, "the rewrapped DEK", err);
    }
    sck_buf_clear(&item.out);
    return rc;
}

static enum sck_code
do_check(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->rotated);
    if (t->fresh_version != t->rotated.version)
        return sck_fail(err, SCK_E_STATE, "it was rewrapped to version %u, not %u", t->fresh_version, t->rotated.version);
    return opens(t, &kek, t->fresh_version, &t->fresh, err);
}

static enum sck_code
do_retire(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->rotated);
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = t->keeper->ops->retire(t->keeper, &kek, t->rotated.version, err);
    if (rc != SCK_OK || t->keeper->ops->versions_are_records)
        return rc;
    if (opens(t, &kek, t->old_version, &t->old, &why) == SCK_OK)
        return sck_fail(err, SCK_E_INTEGRITY, "the retired version still opens");
    return opens(t, &kek, t->fresh_version, &t->fresh, err);
}

/* With the record of the newest version, and a canary if there is one. */
static enum sck_code
do_erase(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, t->rotated.version != 0 ? &t->rotated : &t->made);
    const struct sck_buf *canary = t->fresh.len > 0 ? &t->fresh : &t->old;
    struct sck_erase_proof proof = {0};
    enum sck_code rc = t->keeper->ops->erase(t->keeper, &kek, t->fresh.len > 0 ? t->fresh_version : t->old_version,
                                             canary->data, canary->len, &proof, err);
    if (rc == SCK_OK && proof.how == SCK_ERASURE_IMMEDIATE &&
        (!proof.read_says_gone || (canary->len > 0 && !proof.canary_refused)))
        rc = sck_fail(err, SCK_E_INTEGRITY, "the keeper does not prove that the KEK is gone");
    return rc;
}

/* What the keeper proved is tried once more.  A scheduled erasure leaves nothing to try. */
static enum sck_code
do_verify(struct trial *t, struct sck_err *err)
{
    const struct sck_kek kek = kek_of(t, &t->rotated);
    struct sck_err why = SCK_ERR_INIT;
    if (t->keeper->ops->erasure != SCK_ERASURE_IMMEDIATE)
        return SCK_OK;
    enum sck_code rc = opens(t, &kek, t->fresh_version, &t->fresh, &why);
    if (rc == SCK_OK)
        return sck_fail(err, SCK_E_INTEGRITY, "the erased KEK still opens");
    return rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", why.message);
}

struct part {
    const char *name;
    enum sck_code (*run)(struct trial *t, struct sck_err *err);
};

static enum sck_code
run_part(struct trial *t, const struct part *part, struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    int64_t from = sck_monotonic_us(t->engine->clock);
    enum sck_code rc = part->run(t, &why);
    int64_t took = sck_monotonic_us(t->engine->clock) - from;
    t->step(t->arg, part->name, took, rc == SCK_OK ? NULL : why.message);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s: %s", part->name, why.message);
}

static enum sck_code
begin(struct trial *t, struct sck_err *err)
{
    uint8_t random[16];
    char text[40];
    sck_buf_init(&t->old, SCK_KEEPER_BLOB_MAX);
    sck_buf_init(&t->fresh, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_keeper(t->engine, sck_engine_keeper_kind(t->engine), &t->keeper, err);
    if (rc == SCK_OK)
        rc = sck_random(random, sizeof random, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, &t->payload, err);
    if (rc == SCK_OK)
        rc = sck_random(t->payload->data, t->payload->len, err);
    sck_base32hex_format(random, sizeof random, text);
    (void)snprintf(t->name, sizeof t->name, "%s-trial-%s", t->engine->conf->key_prefix, text);
    return rc;
}

enum sck_code
sck_keeper_try(struct sck_service *service, sck_keeper_step_fn step, void *arg, struct sck_err *err)
{
    static const struct part create = {"create", do_create};
    static const struct part life[] = {{"wrap", do_wrap},     {"unwrap", do_unwrap}, {"rotate", do_rotate},
                                       {"rewrap", do_rewrap}, {"check", do_check},   {"retire", do_retire}};
    static const struct part erase = {"erase", do_erase}, verify = {"verify", do_verify};
    struct trial t = {.engine = service->engine, .step = step, .arg = arg};
    struct sck_err late = SCK_ERR_INIT;
    enum sck_code rc = begin(&t, err);
    if (rc == SCK_OK)
        rc = run_part(&t, &create, err);
    bool created = rc == SCK_OK;
    for (size_t i = 0; rc == SCK_OK && i < sizeof life / sizeof life[0]; i++)
        rc = run_part(&t, &life[i], err);
    /* Also one whose making failed half-way. */
    if (t.keeper != NULL && t.payload != NULL) {
        enum sck_code erased = created ? run_part(&t, &erase, &late) : do_erase(&t, &late);
        if (erased != SCK_OK && created)
            rc = rc != SCK_OK ? rc : sck_fail(err, erased, "%s", late.message);
    }
    if (rc == SCK_OK)
        rc = run_part(&t, &verify, err);
    sck_buf_clear(&t.made.record);
    sck_buf_clear(&t.rotated.record);
    sck_buf_clear(&t.old);
    sck_buf_clear(&t.fresh);
    sck_secret_free(&t.payload);
    return rc;
}
