/* SPDX-License-Identifier: MIT */
/* Whose the KEK is that a keeper holds under the name of a row that was claimed. */
#include "lib/service/kek.h"

/*
 * A run that is cut between its claim and its activation leaves a row, and the next run finds a KEK of that name: its
 * predecessor's, or somebody else's.  Keepers do not tell: transit keys carry no tag, and a creation time is by another
 * clock.  A keyed name needs nothing more, as only this token can compute it.  A plain name does: the row begins as
 * wanted, and becomes creating when the keeper was seen to have no such KEK, before it is asked for one.  So a row that
 * is still wanted made nothing, and what is there under its name is never used, nor erased.
 */
uint32_t
sck_kek_claim_state(const struct sck_engine *engine, enum sck_keeper_kind keeper)
{
    /* The token's KEKs are records in our own rows. */
    return engine->conf->keyed_names || keeper == SCK_KEEPER_TOKEN ? SCK_KEK_CREATING : SCK_KEK_WANTED;
}

/* The row as it is now; *alive: its owner was not erased. */
static enum sck_code
reread(struct sck_catalog *catalog, const struct sck_kek_rec *kek, struct sck_kek_rec *now, bool *alive,
       struct sck_err *err)
{
    struct sck_owner_rec owner = {.id = kek->owner_id};
    struct sck_err look = SCK_ERR_INIT;
    *now = (struct sck_kek_rec){.owner_id = kek->owner_id, .serial = kek->serial};
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_OWNER_ID, &owner, &look);
    if (rc == SCK_OK)
        rc = sck_catalog_get(catalog, SCK_BY_KEK, now, &look);
    *alive = rc == SCK_OK && owner.state != SCK_OWNER_ERASING && owner.generation == kek->generation;
    return rc == SCK_OK || rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", look.message);
}

/* The name was free: from now on what is there is ours. */
static enum sck_code
mark(struct sck_catalog *catalog, struct sck_kek_rec *kek, struct sck_err *err)
{
    struct sck_kek_rec now;
    bool alive = false;
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = reread(catalog, kek, &now, &alive, err);
    if (rc == SCK_OK && !alive)
        rc = sck_fail(err, SCK_E_ERASED, "the owner of KEK %s was erased meanwhile", kek->name);
    if (rc == SCK_OK && now.state == SCK_KEK_WANTED) {
        now.state = SCK_KEK_CREATING;
        rc = sck_catalog_update(catalog, SCK_TABLE_KEKS, &now, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(catalog, err);
    }
    sck_catalog_rollback(catalog);
    sck_record_clear(SCK_TABLE_KEKS, &now);
    if (rc == SCK_OK)
        kek->state = SCK_KEK_CREATING;
    return rc;
}

enum sck_code
sck_kek_reserve(struct sck_catalog *catalog, struct sck_keeper *keeper, struct sck_kek_rec *kek, bool *ours,
                struct sck_err *err)
{
    struct sck_kek_rec now;
    struct sck_err look = SCK_ERR_INIT;
    const struct sck_kek ref = sck_kek_from_rec(kek);
    uint32_t version = 0;
    bool alive = false;
    *ours = kek->state == SCK_KEK_CREATING;
    if (*ours)
        return SCK_OK;
    enum sck_code rc = keeper->ops->newest(keeper, &ref, &version, &look);
    if (rc == SCK_E_NOT_FOUND)
        return mark(catalog, kek, err);
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    /* Another process may have marked the row and made it since we read it. */
    rc = reread(catalog, kek, &now, &alive, err);
    *ours = rc == SCK_OK && alive && now.state != SCK_KEK_WANTED;
    sck_record_clear(SCK_TABLE_KEKS, &now);
    if (rc != SCK_OK)
        return rc;
    if (*ours) {
        kek->state = SCK_KEK_CREATING;
        return SCK_OK;
    }
    return sck_kek_is_foreign(keeper, kek, err);
}

enum sck_code
sck_kek_is_foreign(const struct sck_keeper *keeper, const struct sck_kek_rec *kek, struct sck_err *err)
{
    return sck_fail(err, SCK_E_EXISTS, "keeper %s: KEK %s is there already, and this set-up did not make it: set key_prefix "
                    "to a name of your own, or remove that KEK if nobody uses it", keeper->ops->name, kek->name);
}
