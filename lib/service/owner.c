/* SPDX-License-Identifier: MIT */
/* Owners of KEKs: subjects, clients and the files without a subject. */
#include "lib/service/kek.h"
#include "lib/service/kekepoch.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"

#include <string.h>

/* How long a process that claimed an owner waits for one that took the claim over. */
enum { JOIN_WAIT_MS = 3000, JOIN_STEP_MS = 20 };

enum sck_code
sck_owner_of_scope(const struct sck_scope *scope, enum sck_owner_kind *kind, const char **id, size_t *id_len,
                   struct sck_err *err)
{
    *id = scope->id;
    *id_len = scope->id_len;
    switch (scope->kind) {
    case SCK_SCOPE_SUBJECT: *kind = SCK_OWNER_SUBJECT; return SCK_OK;
    case SCK_SCOPE_CLIENT: *kind = SCK_OWNER_CLIENT; return SCK_OK;
    case SCK_SCOPE_FILE:
        *kind = SCK_OWNER_FILES;
        *id = "";
        *id_len = 0;
        return SCK_OK;
    case SCK_SCOPE_SYSTEM: break;
    }
    return sck_fail(err, SCK_E_USAGE, "scope system has no KEK: its keys are resident in the token");
}

/* How an owner is called in messages; personal data, so only in answers to whoever named it. */
static void
owner_text(enum sck_owner_kind kind, const char *id, char out[SCK_SCOPE_TEXT_MAX + 1])
{
    struct sck_scope scope;
    struct sck_err ignored = SCK_ERR_INIT;
    enum sck_scope_kind k = kind == SCK_OWNER_SUBJECT ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT;
    if (kind != SCK_OWNER_FILES && sck_scope_make(k, id, strlen(id), &scope, &ignored) == SCK_OK)
        sck_scope_text(&scope, out);
    else
        memcpy(out, "files", sizeof "files");
}

struct sck_kek
sck_kek_from_rec(const struct sck_kek_rec *rec)
{
    return (struct sck_kek){rec->name,       rec->generation,           rec->version, rec->mount,
                            rec->name_space, sck_buf_bytes(&rec->record)};
}

/* The name a KEK of this generation gets at the keeper. */
static enum sck_code
kek_name(struct sck_engine *engine, enum sck_owner_kind kind, uint32_t generation, const char *id, size_t id_len,
         char out[SCK_KEK_NAME_MAX + 1], struct sck_err *err)
{
    if (!engine->conf->keyed_names)
        return sck_kek_name_plain(engine->conf->key_prefix, kind, generation, id, id_len, out, err);
    uint8_t mac[SCK_SHA256_LEN];
    struct sck_buf input;
    sck_buf_init(&input, 1024);
    sck_kek_name_input(kind, generation, id, id_len, &input);
    enum sck_code rc = sck_buf_check(&input, "KEK name", err);
    if (rc == SCK_OK)
        rc = sck_token_hmac(engine->token, SCK_SYS_NAME, input.data, input.len, mac, err);
    if (rc == SCK_OK)
        rc = sck_kek_name_keyed(engine->conf->key_prefix, mac, out, err);
    sck_buf_clear(&input);
    return rc;
}

static enum sck_code
read_owner(struct sck_catalog *catalog, enum sck_query query, struct sck_owner_rec *owner, bool *found,
           struct sck_err *err)
{
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_get(catalog, query, owner, &look);
    *found = rc == SCK_OK;
    if (rc == SCK_OK || rc == SCK_E_NOT_FOUND)
        return SCK_OK;
    return sck_fail(err, rc, "%s", look.message);
}

static enum sck_code
read_current_kek(struct sck_catalog *catalog, const struct sck_owner_rec *owner, struct sck_kek_rec *kek,
                 struct sck_err *err)
{
    *kek = (struct sck_kek_rec){.owner_id = owner->id, .serial = owner->kek_serial};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_KEK, kek, &look);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, SCK_E_INTEGRITY, "the catalog has an owner without its KEK: restore it from a backup");
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

static void
fill_ident(struct sck_owner_rec *owner, enum sck_owner_kind kind, const char *id, size_t id_len)
{
    *owner = (struct sck_owner_rec){.kind = (uint32_t)kind};
    memcpy(owner->ident, id, id_len);
}

enum sck_code
sck_owner_get(struct sck_engine *engine, const struct sck_scope *scope, bool provision, struct sck_owner_rec *owner,
              struct sck_kek_rec *kek, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    enum sck_owner_kind kind = SCK_OWNER_SUBJECT;
    const char *id = NULL;
    size_t id_len = 0;
    bool found = false;
    char text[SCK_SCOPE_TEXT_MAX + 1];
    enum sck_code rc = sck_owner_of_scope(scope, &kind, &id, &id_len, err);
    if (rc == SCK_OK)
        rc = sck_engine_started(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc != SCK_OK)
        return rc;
    owner_text(kind, id, text);
    fill_ident(owner, kind, id, id_len);
    rc = read_owner(catalog, SCK_BY_OWNER_IDENT, owner, &found, err);
    if (rc != SCK_OK)
        return rc;
    if (found && owner->state == SCK_OWNER_ERASING)
        return sck_fail(err, SCK_E_ERASED, "%s was erased", text);
    if (!found || owner->state != SCK_OWNER_ACTIVE) {
        if (provision) {
            struct sck_err why = SCK_ERR_INIT, look = SCK_ERR_INIT;
            rc = sck_owner_provision(engine, kind, id, id_len, false, &why);
            if (rc != SCK_OK && rc != SCK_E_EXISTS)
                return sck_fail(err, rc, "%s", why.message);
            /* "There already": another process was quicker, or the name is held by a KEK that is not ours. */
            enum sck_code got = sck_owner_get(engine, scope, false, owner, kek, &look);
            if (got == SCK_E_NOT_FOUND && rc == SCK_E_EXISTS)
                return sck_fail(err, rc, "%s", why.message);
            return got == SCK_OK ? got : sck_fail(err, got, "%s", look.message);
        }
        uint32_t erased = 0;
        rc = sck_tomb_generations(engine, (uint8_t)kind, id, id_len, &erased, err);
        if (rc != SCK_OK)
            return rc;
        if (erased > 0 && !found)
            return sck_fail(err, SCK_E_ERASED, "%s was erased", text);
        return sck_fail(err, SCK_E_NOT_FOUND,
                        "%s is not provisioned: run `scopekey subject create %s` (or set auto_provision)", text,
                        kind == SCK_OWNER_SUBJECT ? strchr(text, '/') + 1 : text);
    }
    return read_current_kek(catalog, owner, kek, err);
}

enum sck_code
sck_owner_get_by_id(struct sck_engine *engine, int64_t id, struct sck_owner_rec *owner, struct sck_kek_rec *kek,
                    struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    bool found = false;
    enum sck_code rc = sck_engine_started(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc != SCK_OK)
        return rc;
    *owner = (struct sck_owner_rec){.id = id};
    rc = read_owner(catalog, SCK_BY_OWNER_ID, owner, &found, err);
    if (rc != SCK_OK)
        return rc;
    if (!found || owner->state == SCK_OWNER_ERASING)
        return sck_fail(err, SCK_E_ERASED, "the owner of this key was erased");
    return read_current_kek(catalog, owner, kek, err);
}

/* No erasure of this generation came since the tombstones were asked; in the caller's transaction. */
static enum sck_code
still_unerased(struct sck_catalog *catalog, const uint8_t hash[32], const char *text, struct sck_err *err)
{
    struct sck_tomb_rec tomb = {0};
    struct sck_err look = SCK_ERR_INIT;
    memcpy(tomb.hash, hash, sizeof tomb.hash);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_TOMB, &tomb, &look);
    if (rc == SCK_E_NOT_FOUND)
        return SCK_OK;
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    return sck_fail(err, SCK_E_ERASED, "%s was erased: `scopekey subject create --again` starts anew", text);
}

/*
 * First half of provisioning: rows in state creating, in the transaction that looked for a tombstone; `hash` is that
 * of the generation wanted, made before because the token must not be called inside.
 */
static enum sck_code
claim(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *wanted,
      const uint8_t hash[32], struct sck_owner_rec *owner, struct sck_kek_rec *kek, bool *taken_over,
      struct sck_err *err)
{
    bool found = false;
    char text[SCK_SCOPE_TEXT_MAX + 1];
    owner_text((enum sck_owner_kind)wanted->kind, wanted->ident, text);
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    *owner = *wanted;
    rc = read_owner(catalog, SCK_BY_OWNER_IDENT, owner, &found, err);
    if (rc != SCK_OK)
        goto out;
    *taken_over = found && owner->state == SCK_OWNER_CREATING;
    if (found && owner->state == SCK_OWNER_ERASING) {
        rc = sck_fail(err, SCK_E_ERASED, "%s is being erased", text);
    } else if (found && owner->state == SCK_OWNER_ACTIVE) {
        rc = sck_fail(err, SCK_E_EXISTS, "%s is there already", text);
    } else if (*taken_over) {
        rc = read_current_kek(catalog, owner, kek, err);
        if (rc == SCK_OK)
            rc = sck_epoch_charge_kek(engine, catalog, kek, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(catalog, err);
    } else {
        *owner = *wanted;
        rc = still_unerased(catalog, hash, text, err);
        if (rc == SCK_OK)
            rc = sck_catalog_insert(catalog, SCK_TABLE_OWNERS, owner, err);
        kek->owner_id = owner->id;
        if (rc == SCK_OK)
            rc = sck_catalog_insert(catalog, SCK_TABLE_KEKS, kek, err);
        if (rc == SCK_OK)
            rc = sck_epoch_charge_kek(engine, catalog, kek, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(catalog, err);
    }
out:
    sck_catalog_rollback(catalog);
    return rc;
}

/*
 * Second half: the KEK is there; make the rows active, unless an erasure came between.  When another process took the
 * same rows over and was first, they are active: the KEK has the same name, and theirs is the record that counts.
 */
static enum sck_code
activate(struct sck_catalog *catalog, const struct sck_owner_rec *claimed, struct sck_kek_rec *kek, bool *late,
         bool *stale, struct sck_err *err)
{
    struct sck_owner_rec owner = {.id = claimed->id};
    bool found = false;
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    rc = read_owner(catalog, SCK_BY_OWNER_ID, &owner, &found, err);
    *late = !found || owner.state == SCK_OWNER_ERASING || owner.generation != claimed->generation;
    *stale = false;
    bool ours = rc == SCK_OK && !*late && owner.state == SCK_OWNER_CREATING;
    if (ours)
        rc = sck_epoch_is_stale(catalog, kek, stale, err);
    if (rc == SCK_OK && ours && !*stale) {
        kek->state = SCK_KEK_CURRENT;
        owner.state = SCK_OWNER_ACTIVE;
        rc = sck_catalog_update(catalog, SCK_TABLE_KEKS, kek, err);
        if (rc == SCK_OK)
            rc = sck_catalog_update(catalog, SCK_TABLE_OWNERS, &owner, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(catalog, err);
    }
    sck_catalog_rollback(catalog);
    return rc;
}

/* `ours`: one that is there already is an earlier run's, which made it for this very row. */
static enum sck_code
make_kek(struct sck_engine *engine, struct sck_keeper *keeper, struct sck_kek_rec *kek, bool ours, struct sck_err *err)
{
    struct sck_kek_made made = {0};
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = keeper->ops->create(keeper, kek->name, kek->generation, &made, &why);
    if (rc == SCK_E_EXISTS && ours) {
        /* An earlier run made it and stopped before it could say so. */
        rc = SCK_OK;
        made.version = 1;
        if (keeper->ops->kind == SCK_KEEPER_VAULT) {
            (void)strncpy(made.mount, engine->conf->vault_mount, sizeof made.mount - 1);
            (void)strncpy(made.name_space, engine->conf->vault_namespace, sizeof made.name_space - 1);
        }
    }
    if (rc != SCK_OK) {
        rc = sck_fail(err, rc, "%s", why.message);
    } else {
        kek->version = made.version;
        memcpy(kek->mount, made.mount, sizeof kek->mount);
        memcpy(kek->name_space, made.name_space, sizeof kek->name_space);
        sck_buf_reset(&kek->record);
        sck_buf_init(&kek->record, SCK_REC_BLOB_MAX);
        sck_buf_put(&kek->record, made.record.data, made.record.len);
        rc = sck_buf_check(&kek->record, "KEK record", err);
    }
    sck_buf_clear(&made.record);
    return rc;
}

/* The rows that we claimed are active by now: another process took them over and made the KEK before us. */
static bool
others_made_it(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *claimed)
{
    for (int64_t waited_ms = 0; waited_ms < JOIN_WAIT_MS; waited_ms += JOIN_STEP_MS) {
        struct sck_owner_rec owner = {.id = claimed->id};
        bool found = false;
        if (read_owner(catalog, SCK_BY_OWNER_ID, &owner, &found, NULL) != SCK_OK || !found ||
            owner.generation != claimed->generation || owner.state == SCK_OWNER_ERASING)
            return false;
        if (owner.state == SCK_OWNER_ACTIVE)
            return true;
        engine->clock->sleep_ms(engine->clock->arg, JOIN_STEP_MS);
    }
    return false;
}

bool
sck_owner_unclaim(struct sck_catalog *catalog, const struct sck_owner_rec *claimed, bool if_wanted)
{
    struct sck_owner_rec owner = {.id = claimed->id};
    struct sck_kek_rec kek = {0};
    struct sck_err ignored = SCK_ERR_INIT;
    bool found = false;
    enum sck_code rc = sck_catalog_begin(catalog, &ignored);
    if (rc != SCK_OK)
        return false;
    rc = read_owner(catalog, SCK_BY_OWNER_ID, &owner, &found, &ignored);
    if (rc == SCK_OK && found && owner.state == SCK_OWNER_CREATING && owner.generation == claimed->generation)
        rc = read_current_kek(catalog, &owner, &kek, &ignored);
    else
        rc = SCK_E_STATE;
    if (rc == SCK_OK && if_wanted && kek.state != SCK_KEK_WANTED)
        rc = SCK_E_STATE;
    if (rc == SCK_OK)
        rc = sck_catalog_delete(catalog, SCK_TABLE_KEKS, &kek, &ignored);
    if (rc == SCK_OK)
        rc = sck_catalog_delete(catalog, SCK_TABLE_OWNERS, &owner, &ignored);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, &ignored);
    sck_catalog_rollback(catalog);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc == SCK_OK;
}

/* Make the KEK of rows that we claimed, or find it made by whoever took them over. */
static enum sck_code
make_or_join(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_keeper *keeper,
             const struct sck_owner_rec *claimed, struct sck_kek_rec *kek, bool taken_over, struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    bool ours = false;
    enum sck_code rc = sck_kek_reserve(catalog, keeper, kek, &ours, &why);
    if (rc == SCK_OK)
        rc = make_kek(engine, keeper, kek, ours && taken_over, &why);
    if (rc == SCK_E_EXISTS && others_made_it(engine, catalog, claimed))
        return SCK_OK;
    /* The name is held by a KEK that is not ours: with the rows gone, no later run takes it for one that it made. */
    if (rc == SCK_E_EXISTS)
        (void)sck_owner_unclaim(catalog, claimed, false);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}

/* What comes between the claim and an owner that can be used: the KEK is made, and the rows become active. */
static enum sck_code
establish(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *owner,
          struct sck_kek_rec *kek, bool taken_over, const char *text, struct sck_err *err)
{
    struct sck_keeper *keeper = NULL;
    bool late = false, stale = false;
    /* Of the row: a claim that is taken over may be older than the configuration. */
    enum sck_code rc = sck_engine_keeper(engine, (enum sck_keeper_kind)kek->keeper, &keeper, err);
    if (rc == SCK_OK) {
        sck_fault_point("provision.claimed");
        rc = make_or_join(engine, catalog, keeper, owner, kek, taken_over, err);
    }
    if (rc == SCK_OK) {
        sck_fault_point("provision.made");
        rc = activate(catalog, owner, kek, &late, &stale, err);
    }
    /* The epoch was rotated between the two: the record would be under a key that is to be destroyed. */
    for (int tries = 0; rc == SCK_OK && !late && stale && tries < 3; tries++) {
        rc = sck_epoch_charge_now(engine, catalog, 1, err);
        if (rc == SCK_OK)
            rc = make_kek(engine, keeper, kek, true, err);
        if (rc == SCK_OK)
            rc = activate(catalog, owner, kek, &late, &stale, err);
    }
    if (rc == SCK_OK && !late && stale)
        rc = sck_fail(err, SCK_E_BUSY, "the epoch is being rotated: try again");
    if (rc == SCK_OK && late) {
        struct sck_erase_proof proof = {0};
        struct sck_kek ref = sck_kek_from_rec(kek);
        struct sck_err why = SCK_ERR_INIT;
        if (keeper->ops->erase(keeper, &ref, kek->version, NULL, 0, &proof, &why) != SCK_OK)
            sck_log(SCK_LOG_ERROR, "service.owner", "late KEK %s could not be destroyed: %s", kek->name, why.message);
        rc = sck_fail(err, SCK_E_ERASED, "%s was erased meanwhile", text);
    }
    return rc;
}

enum sck_code
sck_owner_provision(struct sck_engine *engine, enum sck_owner_kind kind, const char *id, size_t id_len, bool again,
                    struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_keeper *keeper = NULL;
    struct sck_owner_rec wanted;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {.serial = 1};
    uint32_t erased = 0;
    uint8_t hash[32];
    bool taken_over = false;
    char text[SCK_SCOPE_TEXT_MAX + 1];
    fill_ident(&wanted, kind, id, id_len);
    owner_text(kind, wanted.ident, text);
    enum sck_code rc = sck_engine_started(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    /* Before anything is claimed: a keeper that is not configured leaves no claim at it. */
    if (rc == SCK_OK)
        rc = sck_engine_keeper(engine, sck_engine_keeper_kind(engine), &keeper, err);
    if (rc == SCK_OK)
        rc = sck_tomb_generations(engine, (uint8_t)kind, id, id_len, &erased, err);
    if (rc == SCK_OK && erased > 0 && !again)
        rc = sck_fail(err, SCK_E_ERASED, "%s was erased: `scopekey subject create --again` starts anew", text);
    if (rc == SCK_OK)
        rc = sck_tomb_hash(engine, (uint8_t)kind, erased + 1, id, id_len, hash, err);
    if (rc != SCK_OK)
        return rc;
    wanted.generation = erased + 1;
    wanted.state = SCK_OWNER_CREATING;
    wanted.created_s = sck_now_s(engine->clock);
    wanted.kek_serial = 1;
    kek.generation = wanted.generation;
    kek.keeper = (uint32_t)keeper->ops->kind;
    kek.state = sck_kek_claim_state(engine, keeper->ops->kind);
    kek.created_s = wanted.created_s;
    rc = kek_name(engine, kind, wanted.generation, id, id_len, kek.name, err);
    if (rc == SCK_OK)
        rc = claim(engine, catalog, &wanted, hash, &owner, &kek, &taken_over, err);
    if (rc == SCK_OK) {
        struct sck_err why = SCK_ERR_INIT;
        uint32_t erased_by_now = 0;
        rc = establish(engine, catalog, &owner, &kek, taken_over, text, &why);
        /* A keeper that misses the KEK it has just made may have lost it to an erasure. */
        if (rc != SCK_OK && rc != SCK_E_ERASED &&
            sck_tomb_generations(engine, (uint8_t)kind, id, id_len, &erased_by_now, NULL) == SCK_OK &&
            erased_by_now > erased)
            rc = sck_fail(err, SCK_E_ERASED, "%s was erased meanwhile", text);
        else if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", why.message);
    }
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc;
}

static enum sck_code
fill_info(struct sck_catalog *catalog, const struct sck_owner_rec *owner, struct sck_owner_info *out,
          struct sck_err *err)
{
    struct sck_kek_rec kek = {0};
    enum sck_scope_kind kind = owner->kind == SCK_OWNER_SUBJECT ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT;
    enum sck_code rc = SCK_OK;
    memset(out, 0, sizeof *out);
    if (owner->kind == SCK_OWNER_FILES)
        out->scope.kind = SCK_SCOPE_FILE;
    else
        rc = sck_scope_make(kind, owner->ident, strlen(owner->ident), &out->scope, err);
    if (rc == SCK_OK)
        rc = read_current_kek(catalog, owner, &kek, err);
    if (rc != SCK_OK)
        return rc;
    out->generation = owner->generation;
    out->active = owner->state == SCK_OWNER_ACTIVE;
    out->created_s = owner->created_s;
    memcpy(out->kek_name, kek.name, sizeof out->kek_name);
    out->kek_version = kek.version;
    out->keeper = (enum sck_keeper_kind)kek.keeper;
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return SCK_OK;
}

static enum sck_code
only_owners(const struct sck_scope *scope, struct sck_err *err)
{
    if (scope->kind == SCK_SCOPE_SUBJECT || scope->kind == SCK_SCOPE_CLIENT)
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "only subjects and clients have a KEK of their own");
}

enum sck_code
sck_owner_wall_check(const struct sck_service *service, const struct sck_scope *scope, struct sck_err *err)
{
    /* The files' KEK is everybody's. */
    if (scope->kind == SCK_SCOPE_FILE)
        return service->scopes == NULL ? SCK_OK
                                       : sck_fail(err, SCK_E_DENIED, "the files' KEK is outside the allowed scopes of "
                                                  "this process");
    enum sck_code rc = only_owners(scope, err);
    return rc == SCK_OK ? sck_wall_check(service, scope, err) : rc;
}

bool
sck_owner_is_allowed(const struct sck_service *service, const struct sck_owner_rec *owner)
{
    struct sck_scope scope;
    struct sck_err ignored = SCK_ERR_INIT;
    enum sck_scope_kind kind = owner->kind == SCK_OWNER_SUBJECT ? SCK_SCOPE_SUBJECT : SCK_SCOPE_CLIENT;
    if (service->scopes == NULL)
        return true;
    return owner->kind != SCK_OWNER_FILES &&
           sck_scope_make(kind, owner->ident, strlen(owner->ident), &scope, &ignored) == SCK_OK &&
           sck_scope_is_allowed(&scope, service->scopes);
}

enum sck_code
sck_owner_describe(struct sck_service *service, const struct sck_scope *scope, struct sck_owner_info *out,
                   struct sck_err *err)
{
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    enum sck_code rc = sck_owner_get(service->engine, scope, false, &owner, &kek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return rc == SCK_OK ? fill_info(service->engine->catalog, &owner, out, err) : rc;
}

enum sck_code
sck_owner_find(struct sck_service *service, const struct sck_scope *scope, struct sck_owner_info *out,
               struct sck_err *err)
{
    enum sck_code rc = sck_wall_check(service, scope, err);
    if (rc == SCK_OK)
        rc = only_owners(scope, err);
    return rc == SCK_OK ? sck_owner_describe(service, scope, out, err) : rc;
}

enum sck_code
sck_owner_create(struct sck_service *service, const struct sck_scope *scope, bool again, struct sck_owner_info *out,
                 struct sck_err *err)
{
    enum sck_owner_kind kind = SCK_OWNER_SUBJECT;
    const char *id = NULL;
    size_t id_len = 0;
    enum sck_code rc = sck_wall_check(service, scope, err);
    if (rc == SCK_OK)
        rc = only_owners(scope, err);
    if (rc == SCK_OK)
        rc = sck_owner_of_scope(scope, &kind, &id, &id_len, err);
    if (rc == SCK_OK)
        rc = sck_owner_provision(service->engine, kind, id, id_len, again, err);
    return rc == SCK_OK ? sck_owner_find(service, scope, out, err) : rc;
}

struct owner_walk {
    struct sck_service *service;
    struct sck_catalog *catalog;
    sck_owner_fn fn;
    void *arg;
};

static enum sck_code
walk_owner(void *arg, void *record, struct sck_err *err)
{
    struct owner_walk *w = arg;
    const struct sck_owner_rec *owner = record;
    struct sck_owner_info info;
    if (owner->kind == SCK_OWNER_FILES || owner->state != SCK_OWNER_ACTIVE)
        return SCK_OK;
    enum sck_code rc = fill_info(w->catalog, owner, &info, err);
    if (rc == SCK_OK && sck_scope_is_allowed(&info.scope, w->service->scopes))
        rc = w->fn(w->arg, &info, err);
    return rc;
}

enum sck_code
sck_owner_each(struct sck_service *service, sck_owner_fn fn, void *arg, struct sck_err *err)
{
    struct owner_walk w = {service, NULL, fn, arg};
    struct sck_owner_rec owner = {0};
    enum sck_code rc = sck_engine_catalog(service->engine, &w.catalog, err);
    return rc == SCK_OK ? sck_catalog_each(w.catalog, SCK_OWNERS_ALL, &owner, true, 0, walk_owner, &w, err) : rc;
}

enum sck_code
sck_owner_kek_name(struct sck_service *service, const struct sck_scope *scope, char out[128], struct sck_err *err)
{
    struct sck_owner_info info;
    struct sck_err look = SCK_ERR_INIT;
    enum sck_owner_kind kind = SCK_OWNER_SUBJECT;
    const char *id = NULL;
    size_t id_len = 0;
    enum sck_code rc = sck_owner_find(service, scope, &info, &look);
    if (rc == SCK_OK) {
        memcpy(out, info.kek_name, 128);
        return SCK_OK;
    }
    if (rc != SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_owner_of_scope(scope, &kind, &id, &id_len, err);
    return rc == SCK_OK ? kek_name(service->engine, kind, 1, id, id_len, out, err) : rc;
}
