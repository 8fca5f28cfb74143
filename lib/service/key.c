/* SPDX-License-Identifier: MIT */
/* Making scoped keys: generated in the token, wrapped there, sealed under the owner's KEK (docs/formats.md). */
#include "lib/service/key.h"

#include "lib/base/fault.h"
#include "lib/service/kek.h"

#include <string.h>

/* The DEK of purpose seal (around layer 1) or envelope (the key itself) and, for seal, layer 2. */
static enum sck_code
seal_version(struct sck_engine *engine, const struct sck_key_rec *key, const struct sck_owner_rec *owner,
             const struct sck_kek_rec *kek, const struct sck_buf *layer1, struct sck_version_rec *version,
             struct sck_err *err)
{
    struct sck_context ctx;
    struct sck_secret *dek = NULL;
    struct sck_buf aad;
    uint8_t salt[SCK_SEAL_SALT_LEN];
    sck_buf_init(&aad, SCK_CONTEXT_BYTES_MAX);
    enum sck_code rc = sck_version_context(engine, key, version, owner->generation, &ctx, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_DEK_LEN, &dek, err);
    if (rc == SCK_OK)
        rc = sck_random(dek->data, SCK_DEK_LEN, err);
    if (rc == SCK_OK)
        rc = sck_dek_wrap(engine, kek, &ctx, dek, &version->wrapped_dek, err);
    if (rc == SCK_OK && key->protection != SCK_PROTECTION_ENVELOPE) {
        rc = sck_random(salt, sizeof salt, err);
        if (rc == SCK_OK)
            rc = sck_context_encode(&ctx, &aad, err);
        if (rc == SCK_OK)
            rc = sck_seal(dek, salt, aad.data, aad.len, layer1->data, layer1->len, &version->sealed, err);
    }
    sck_secret_free(&dek);
    sck_context_clear(&ctx);
    sck_buf_clear(&aad);
    return rc;
}

/* A resident version is found by an id of its own, so that rotation leaves the older one in place. */
enum sck_code
sck_resident_id(const uint8_t key[16], uint32_t version, uint8_t out[16], struct sck_err *err)
{
    uint8_t hash[SCK_SHA256_LEN];
    uint8_t number[4];
    sck_be32(number, version);
    const struct sck_bytes parts[] = {{(const uint8_t *)"resident/v1", 11}, {key, 16}, {number, 4}};
    enum sck_code rc = sck_sha256_parts(parts, 3, hash, err);
    if (rc == SCK_OK)
        memcpy(out, hash, 16);
    return rc;
}

/* Make the key material of one version; resident keys are then in the token, others in the record. */
static enum sck_code
make_material(struct sck_engine *engine, const struct sck_key_rec *key, const struct sck_owner_rec *owner,
              const struct sck_kek_rec *kek, struct sck_version_rec *version, struct sck_err *err)
{
    enum sck_alg alg = (enum sck_alg)key->alg;
    enum sck_usage usage = (enum sck_usage)key->usage;
    struct sck_buf layer1;
    uint8_t id[16];
    enum sck_code rc = SCK_OK;
    sck_buf_init(&layer1, SCK_REC_BLOB_MAX);
    if (key->residence == SCK_RESIDENT) {
        struct sck_scope scope;
        struct sck_buf label;
        sck_buf_init(&label, SCK_LABEL_MAX + 1);
        rc = sck_scope_make((enum sck_scope_kind)key->scope_kind, key->scope_id, strlen(key->scope_id), &scope, err);
        if (rc == SCK_OK) {
            /* The token's label holds no personal data; the key is found by its id. */
            sck_buf_put_str(&label, key->key_id);
            rc = sck_resident_id(key->id, version->version, id, err);
        }
        if (rc == SCK_OK)
            rc = sck_token_generate_resident(engine->token, alg, usage, sck_buf_str(&label), id, &version->spki, err);
        sck_buf_clear(&label);
        return rc;
    }
    if (key->protection != SCK_PROTECTION_ENVELOPE)
        rc = sck_token_generate(engine->token, alg, usage, &layer1, &version->spki, err);
    if (rc == SCK_OK)
        rc = seal_version(engine, key, owner, kek, &layer1, version, err);
    sck_buf_clear(&layer1);
    return rc;
}

void
sck_version_init(struct sck_version_rec *v)
{
    *v = (struct sck_version_rec){.state = SCK_VERSION_ACTIVE};
    sck_buf_init(&v->spki, SCK_SPKI_MAX);
    sck_buf_init(&v->sealed, SCK_REC_BLOB_MAX);
    sck_buf_init(&v->wrapped_dek, SCK_WRAPPED_MAX);
    sck_buf_init(&v->signature, 256);
}

enum sck_code
sck_version_make(struct sck_engine *engine, const struct sck_key_rec *key, uint32_t number,
                 const struct sck_owner_rec *owner, const struct sck_kek_rec *kek, struct sck_version_rec *v,
                 struct sck_err *err)
{
    sck_version_init(v);
    v->version = number;
    v->created_s = sck_now_s(engine->clock);
    memcpy(v->key, key->id, sizeof v->key);
    enum sck_code rc = sck_new_uuid(engine, v->record_id, err);
    if (rc == SCK_OK)
        rc = make_material(engine, key, owner, kek, v, err);
    if (rc == SCK_OK)
        rc = sck_sign_record(engine, SCK_TABLE_VERSIONS, v, &v->signature, err);
    return rc;
}

/* Whether the token keeps keys of this kind itself, because it cannot wrap them. */
static enum sck_code
choose_residence(struct sck_engine *engine, const struct sck_scope *scope, const struct sck_alg_info *alg,
                 enum sck_protection protection, uint32_t *residence, struct sck_err *err)
{
    struct sck_token_caps caps;
    *residence = SCK_WRAPPED;
    if (protection == SCK_PROTECTION_ENVELOPE)
        return SCK_OK;
    enum sck_code rc = sck_token_caps_get(engine->token, &caps, err);
    if (rc == SCK_OK && !caps.makes[alg->alg])
        return sck_fail(err, SCK_E_UNSUPPORTED, "this token cannot make keys of algorithm %s", alg->name);
    if (rc == SCK_OK && (scope->kind == SCK_SCOPE_SYSTEM || !caps.wraps[alg->family]))
        *residence = SCK_RESIDENT;
    return rc;
}

static enum sck_code
check_spec(const struct sck_scope *scope, const char *name, const struct sck_key_spec *spec, int64_t now_s,
           struct sck_err *err)
{
    const struct sck_alg_info *alg = sck_alg_info(spec->alg);
    if (alg == NULL)
        return sck_fail(err, SCK_E_USAGE, "unknown key algorithm");
    enum sck_usage usage = spec->usage != 0 ? spec->usage : alg->default_usage;
    if (name[0] != '\0' && !sck_key_name_is_valid(name, strlen(name)))
        return sck_fail(err, SCK_E_USAGE, "\"%s\" is no key name: use A-Z a-z 0-9 . _ -, at most 64, none of ._- first",
                        name);
    if (!sck_usage_fits(spec->alg, usage))
        return sck_fail(err, SCK_E_USAGE, "a key of algorithm %s cannot have usage %s", alg->name,
                        sck_usage_name(usage));
    bool envelope = spec->protection == SCK_PROTECTION_ENVELOPE;
    if (envelope && (spec->alg != SCK_ALG_AES_256 || usage != SCK_USAGE_GCM))
        return sck_fail(err, SCK_E_USAGE, "protection envelope is for aes-256 keys of usage gcm only");
    if (envelope && scope->kind == SCK_SCOPE_SYSTEM)
        return sck_fail(err, SCK_E_USAGE, "system keys are resident: protection envelope does not go with them");
    if (spec->expires_s != 0 && spec->expires_s <= now_s)
        return sck_fail(err, SCK_E_USAGE, "the expiry lies in the past");
    return SCK_OK;
}

static enum sck_code
fill_key(struct sck_engine *engine, const struct sck_scope *scope, const char *name, const struct sck_key_spec *spec,
         struct sck_key_rec *key, struct sck_err *err)
{
    const struct sck_alg_info *alg = sck_alg_info(spec->alg);
    enum sck_protection protection = spec->protection != 0 ? spec->protection : SCK_PROTECTION_TOKEN;
    *key = (struct sck_key_rec){.scope_kind = scope->kind,
                                .alg = spec->alg,
                                .usage = spec->usage != 0 ? spec->usage : alg->default_usage,
                                .protection = protection,
                                .origin = SCK_ORIGIN_GENERATED,
                                .state = SCK_KEY_ENABLED,
                                .version = 1,
                                .created_s = sck_now_s(engine->clock),
                                .expires_s = spec->expires_s};
    sck_buf_init(&key->signature, 256);
    memcpy(key->scope_id, scope->id, sizeof key->scope_id);
    enum sck_code rc = sck_new_uuid(engine, key->id, err);
    if (rc != SCK_OK)
        return rc;
    sck_key_id_format(key->id, alg->is_asymmetric, key->key_id);
    const char *chosen = name[0] != '\0' ? name : key->key_id;
    memcpy(key->name, chosen, strnlen(chosen, sizeof key->name - 1));
    return choose_residence(engine, scope, alg, protection, &key->residence, err);
}

/* How long a resident key may be in the making before its maker must be dead. */
#define CREATING_S 120

/* A row in state creating is another process at work, or what is left of one. */
static enum sck_code
clear_leftover(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_key_rec *key, struct sck_err *err)
{
    uint8_t id[16];
    if (key->created_s + CREATING_S > sck_now_s(engine->clock))
        return sck_fail(err, SCK_E_BUSY, "key %s is being made by another process: try again later", key->name);
    enum sck_code rc = sck_resident_id(key->id, 1, id, err);
    if (rc == SCK_OK)
        rc = sck_token_destroy_resident(engine->token, id, err);
    return rc == SCK_OK ? sck_catalog_delete(catalog, SCK_TABLE_KEYS, key, err) : rc;
}

/* Names that were destroyed stay so: a new key under an old name would answer for the old one's ciphertexts. */
static enum sck_code
check_name_is_free(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_scope *scope,
                   uint32_t generation, const char *name, struct sck_err *err)
{
    struct sck_key_rec key = {.scope_kind = scope->kind};
    struct sck_err look = SCK_ERR_INIT;
    char text[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(scope, text);
    memcpy(key.scope_id, scope->id, sizeof key.scope_id);
    (void)strncpy(key.name, name, sizeof key.name - 1);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_KEY_NAME, &key, &look);
    if (rc == SCK_OK && key.state == SCK_KEY_CREATING)
        rc = clear_leftover(engine, catalog, &key, err);
    else if (rc == SCK_OK)
        rc = sck_fail(err, SCK_E_EXISTS, "key scopekey:%s/%s is there already", text, name);
    else if (rc == SCK_E_NOT_FOUND)
        rc = SCK_OK;
    else
        rc = sck_fail(err, rc, "%s", look.message);
    sck_record_clear(SCK_TABLE_KEYS, &key);
    if (rc != SCK_OK)
        return rc;
    struct sck_buf label;
    bool gone = false;
    sck_buf_init(&label, SCK_LABEL_MAX + 1);
    sck_label_format(scope, name, &label);
    rc = sck_tomb_find(engine, SCK_TOMB_KEY_NAME, generation, label.data, label.len, &gone, err);
    sck_buf_clear(&label);
    if (rc == SCK_OK && gone)
        rc = sck_fail(err, SCK_E_ERASED, "key scopekey:%s/%s was destroyed: choose another name", text, name);
    return rc;
}

/* Insert key and version, unless the owner was erased or its KEK rotated (*moved) since its KEK was read. */
static enum sck_code
store(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *owner,
      struct sck_key_rec *key, struct sck_version_rec *version, bool *moved, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    *moved = false;
    if (owner->id != 0)
        rc = sck_kek_use(engine, catalog, owner, 1, moved, err);
    if (rc == SCK_OK && !*moved) {
        rc = sck_catalog_insert(catalog, SCK_TABLE_KEYS, key, err);
        if (rc == SCK_OK)
            rc = sck_catalog_insert(catalog, SCK_TABLE_VERSIONS, version, err);
        if (rc == SCK_OK)
            rc = sck_catalog_commit(catalog, err);
        if (rc != SCK_OK)
            sck_kek_uncount(engine, owner->id);
    }
    sck_catalog_rollback(catalog);
    return rc;
}

enum sck_code
sck_version_move(struct sck_engine *engine, struct sck_owner_rec *owner, struct sck_kek_rec *kek,
                 struct sck_version_rec *version, struct sck_err *err)
{
    sck_record_clear(SCK_TABLE_KEKS, kek);
    enum sck_code rc = sck_owner_get_by_id(engine, owner->id, owner, kek, err);
    return rc == SCK_OK ? sck_wrapped_move(engine, kek, &version->wrapped_dek, err) : rc;
}

static enum sck_code
create_wrapped(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_owner_rec *owner,
               struct sck_kek_rec *kek, struct sck_key_rec *key, struct sck_version_rec *version,
               struct sck_err *err)
{
    bool moved = true;
    enum sck_code rc = sck_version_make(engine, key, 1, owner, kek, version, err);
    if (rc == SCK_OK)
        rc = sck_sign_record(engine, SCK_TABLE_KEYS, key, &key->signature, err);
    sck_fault_point("create.made");
    for (int i = 0; rc == SCK_OK && moved && i < SCK_KEK_TRIES; i++) {
        rc = store(engine, catalog, owner, key, version, &moved, err);
        if (rc == SCK_OK && moved)
            rc = sck_version_move(engine, owner, kek, version, err);
    }
    return rc == SCK_OK && moved ? sck_kek_busy(err) : rc;
}

enum sck_code
sck_owner_reread(struct sck_catalog *catalog, const struct sck_owner_rec *owner, struct sck_owner_rec *now,
                 struct sck_err *err)
{
    struct sck_err look = SCK_ERR_INIT;
    *now = (struct sck_owner_rec){.id = owner->id};
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_OWNER_ID, now, &look);
    if (rc == SCK_E_NOT_FOUND ||
        (rc == SCK_OK && (now->state != SCK_OWNER_ACTIVE || now->generation != owner->generation)))
        return sck_fail(err, SCK_E_ERASED, "the owner of this key was erased meanwhile");
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

enum sck_code
sck_owner_recheck(struct sck_catalog *catalog, const struct sck_owner_rec *owner, struct sck_err *err)
{
    struct sck_owner_rec now;
    return sck_owner_reread(catalog, owner, &now, err);
}

/*
 * A resident key is a token object, which no transaction covers: the row comes first in state creating, so that a crash
 * leaves something by which sck_resume() finds and destroys the object.
 */
static enum sck_code
create_resident(struct sck_engine *engine, struct sck_catalog *catalog, const struct sck_owner_rec *owner,
                struct sck_key_rec *key, struct sck_version_rec *version, struct sck_err *err)
{
    const struct sck_kek_rec none = {0};
    key->state = SCK_KEY_CREATING;
    enum sck_code rc = sck_sign_record(engine, SCK_TABLE_KEYS, key, &key->signature, err);
    if (rc == SCK_OK)
        rc = sck_catalog_insert(catalog, SCK_TABLE_KEYS, key, err);
    if (rc != SCK_OK)
        return rc;
    sck_fault_point("create.resident.row");
    rc = sck_version_make(engine, key, 1, owner, &none, version, err);
    key->state = SCK_KEY_ENABLED;
    if (rc == SCK_OK) {
        sck_buf_clear(&key->signature);
        rc = sck_sign_record(engine, SCK_TABLE_KEYS, key, &key->signature, err);
    }
    if (rc == SCK_OK)
        rc = sck_catalog_begin(catalog, err);
    if (rc == SCK_OK && owner->id != 0)
        rc = sck_owner_recheck(catalog, owner, err);
    if (rc == SCK_OK)
        rc = sck_catalog_insert(catalog, SCK_TABLE_VERSIONS, version, err);
    if (rc == SCK_OK)
        rc = sck_catalog_update(catalog, SCK_TABLE_KEYS, key, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    if (rc != SCK_OK) {
        uint8_t id[16];
        struct sck_err ignored = SCK_ERR_INIT;
        if (sck_resident_id(key->id, 1, id, &ignored) == SCK_OK &&
            sck_token_destroy_resident(engine->token, id, &ignored) == SCK_OK)
            (void)!sck_catalog_delete(catalog, SCK_TABLE_KEYS, key, &ignored);
    }
    return rc;
}

enum sck_code
sck_key_create(struct sck_service *service, const struct sck_scope *scope, const char *name,
               const struct sck_key_spec *spec, struct sck_key_info *out, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_key_rec key = {0};
    struct sck_version_rec version = {0};
    enum sck_code rc = sck_wall_check(service, scope, err);
    if (rc == SCK_OK)
        rc = check_spec(scope, name, spec, sck_now_s(engine->clock), err);
    if (rc == SCK_OK)
        rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK && scope->kind != SCK_SCOPE_SYSTEM)
        rc = sck_owner_get(engine, scope, service->auto_provision, &owner, &kek, err);
    if (rc == SCK_OK)
        rc = fill_key(engine, scope, name, spec, &key, err);
    if (rc == SCK_OK && name[0] != '\0')
        rc = check_name_is_free(engine, catalog, scope, sck_name_generation(&owner), name, err);
    if (rc != SCK_OK)
        goto out;
    key.owner_id = owner.id;
    if (key.residence == SCK_RESIDENT)
        rc = create_resident(engine, catalog, &owner, &key, &version, err);
    else
        rc = create_wrapped(engine, catalog, &owner, &kek, &key, &version, err);
    if (rc == SCK_OK)
        rc = sck_info_fill(&key, &version, out, err);
out:
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    sck_record_clear(SCK_TABLE_KEYS, &key);
    sck_record_clear(SCK_TABLE_VERSIONS, &version);
    return rc;
}
