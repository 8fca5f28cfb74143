/* SPDX-License-Identifier: MIT */
/*
 * Inside lib/service: what all doors of one process share for one configuration.
 * `lock` guards the pointers and the cache, for moments only: never across a token, network, database or disk call.
 */
#ifndef SCK_SERVICE_ENGINE_H
#define SCK_SERVICE_ENGINE_H

#include "lib/base/clock.h"
#include "lib/catalog/catalog.h"
#include "lib/core/kekname.h"
#include "lib/core/row.h"
#include "lib/core/seal.h"
#include "lib/service/service.h"
#include "lib/token/pin.h"
#include "vault/keeper.h"

#include <pthread.h>
#include <stdatomic.h>

struct sck_ukey_cache;
struct sck_dek_cache;

/* Wraps that a committed update reserved and that were not made yet (lib/service/kek.c). */
struct sck_kek_tally {
    int64_t owner_id;
    uint32_t serial;
    int64_t left;
    int64_t step;               /* what was reserved last */
};
enum { SCK_KEK_TALLIES = 128 };

struct sck_engine {
    struct sck_engine *next;
    unsigned refs;
    struct sck_conf *conf;
    pthread_mutex_t lock;
    struct sck_token *token;            /* made at once, loads nothing before it is used */
    struct sck_catalog *catalog;        /* opened at first use */
    struct sck_keeper *keepers[SCK_KEEPER_LOCAL + 1];   /* by enum sck_keeper_kind; each opened at first use */
    struct sck_pin_sources pins;
    sck_ask_pin_fn ask_pin;
    void *ask_pin_arg;
    atomic_bool logged_in;              /* the row key was had once: rows are trusted by their MAC */
    atomic_bool started;                /* sck_engine_started() */
    atomic_bool resumed;
    struct sck_buf catalog_spki;        /* public half of the `catalog` key, from the set-up's catalog.pem */
    _Atomic(void *) epoch;              /* erasure epoch word, one per machine, mapped; NULL until mapped */
    struct sck_ukey_cache *cache;
    struct sck_kek_tally tallies[SCK_KEK_TALLIES];      /* by owner; under the lock */
    struct sck_dek_cache *deks;         /* opened DEKs, and unwraps under way */
    const struct sck_clock *clock;
};

struct sck_service {
    struct sck_engine *engine;
    char *scopes;                       /* this door's wall; NULL: everything */
    bool auto_provision;
};

/* Borrow the catalog, opened now if need be. */
SCK_MUST_CHECK enum sck_code sck_engine_catalog(struct sck_engine *engine, struct sck_catalog **out,
                                                struct sck_err *err);
/* The keeper that new KEKs are made at. */
enum sck_keeper_kind sck_engine_keeper_kind(const struct sck_engine *engine);
/*
 * Borrow a keeper, opened now if need be: a set-up that was migrated has KEKs at more than one.
 * SCK_E_CONFIG when the configuration does not say how to reach it.
 */
SCK_MUST_CHECK enum sck_code sck_engine_keeper(struct sck_engine *engine, enum sck_keeper_kind kind,
                                               struct sck_keeper **out, struct sck_err *err);
/* Log in to the token: from here on rows are checked by MAC. */
SCK_MUST_CHECK enum sck_code sck_engine_login(struct sck_engine *engine, struct sck_err *err);
/*
 * Logged in, and the catalog is not older than the token's anchor; asked once.  Before any KEK is used, made or erased.
 * SCK_E_INTEGRITY: it was set back (`scopekey reconcile`).
 */
SCK_MUST_CHECK enum sck_code sck_engine_started(struct sck_engine *engine, struct sck_err *err);
/* Whether a login needs nobody at a keyboard. */
bool sck_engine_can_login(const struct sck_engine *engine);
/* "STATE/name", allocated. */
char *sck_engine_path(const struct sck_engine *engine, const char *name);
/* The SPKI in a PEM file, appended to `out`.  SCK_E_CONFIG when it is none. */
SCK_MUST_CHECK enum sck_code sck_pem_read_spki(const char *path, struct sck_buf *out, struct sck_err *err);
/* An SPKI as PEM text, appended. */
void sck_pem_format_spki(const uint8_t *spki, size_t len, struct sck_buf *out);

/* ---- lib/service/open.c: the one place where the outside things are chosen ---- */
SCK_MUST_CHECK enum sck_code sck_open_token(const struct sck_conf *conf, const char *lock_path, sck_pin_fn pin,
                                            void *arg, struct sck_token **out, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_open_keeper(const struct sck_conf *conf, enum sck_keeper_kind kind,
                                             struct sck_token *token, struct sck_keeper **out, struct sck_err *err);
/* What the admin prepares at the keeper when a set-up is made. */
SCK_MUST_CHECK enum sck_code sck_prepare_keeper(struct sck_keeper *keeper, struct sck_err *err);

/* ---- lib/service/epoch.c ---- */
/* The word's value now; false when it cannot be mapped (the caller then looks into the catalog each time). */
bool sck_epoch_read(struct sck_engine *engine, uint64_t *value);
/* Tell every process of this machine that something was erased, destroyed or disabled.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_epoch_bump(struct sck_engine *engine, struct sck_err *err);
void sck_epoch_unmap(struct sck_engine *engine);
/* Make the word's file (0644).  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_epoch_create(const char *path, struct sck_err *err);

/* ---- lib/service/tomb.c ---- */
/* HMAC of the `name` key: what stands for an id once it is erased. */
SCK_MUST_CHECK enum sck_code sck_tomb_hash(struct sck_engine *engine, uint8_t kind, uint32_t generation,
                                           const void *id, size_t id_len, uint8_t out[32], struct sck_err *err);
/* Whether a tombstone is there.  SCK_OK sets *found. */
SCK_MUST_CHECK enum sck_code sck_tomb_find(struct sck_engine *engine, uint8_t kind, uint32_t generation,
                                           const void *id, size_t id_len, bool *found, struct sck_err *err);
/* Insert one at the end of the chain; in the caller's transaction. */
SCK_MUST_CHECK enum sck_code sck_tomb_add(struct sck_engine *engine, struct sck_catalog *catalog, uint32_t kind,
                                          uint32_t generation, const uint8_t hash[32], enum sck_tomb_state state,
                                          int64_t owner_id, struct sck_err *err);
/* How often an owner was erased: the number of generations with a tombstone. */
SCK_MUST_CHECK enum sck_code sck_tomb_generations(struct sck_engine *engine, uint8_t kind, const void *id,
                                                  size_t id_len, uint32_t *count, struct sck_err *err);

/* ---- lib/service/owner.c ---- */
/* Whose KEK seals keys of a scope: kind and id (empty for files).  System scopes have none: SCK_E_INTERNAL. */
SCK_MUST_CHECK enum sck_code sck_owner_of_scope(const struct sck_scope *scope, enum sck_owner_kind *kind,
                                                const char **id, size_t *id_len, struct sck_err *err);
/*
 * The living owner of a scope with its current KEK row.  Provisions when `provision`.
 * SCK_E_NOT_FOUND, SCK_E_ERASED.  Clear `kek` with sck_record_clear(SCK_TABLE_KEKS).
 */
SCK_MUST_CHECK enum sck_code sck_owner_get(struct sck_engine *engine, const struct sck_scope *scope, bool provision,
                                           struct sck_owner_rec *owner, struct sck_kek_rec *kek,
                                           struct sck_err *err);
/* The same by row id. */
SCK_MUST_CHECK enum sck_code sck_owner_get_by_id(struct sck_engine *engine, int64_t id, struct sck_owner_rec *owner,
                                                 struct sck_kek_rec *kek, struct sck_err *err);
/* The same for those that have a KEK of their own, and the files' (scope kind file): may this door administer it? */
SCK_MUST_CHECK enum sck_code sck_owner_wall_check(const struct sck_service *service, const struct sck_scope *scope,
                                                  struct sck_err *err);
bool sck_owner_is_allowed(const struct sck_service *service, const struct sck_owner_rec *owner);
/* As sck_owner_find(), for the files too (scope kind file and no id). */
SCK_MUST_CHECK enum sck_code sck_owner_describe(struct sck_service *service, const struct sck_scope *scope,
                                                struct sck_owner_info *out, struct sck_err *err);
/* The row as the keeper wants it; borrows from `rec`. */
struct sck_kek sck_kek_from_rec(const struct sck_kek_rec *rec);
/* Make the KEK of an owner; `again`: after an erasure too. */
SCK_MUST_CHECK enum sck_code sck_owner_provision(struct sck_engine *engine, enum sck_owner_kind kind, const char *id,
                                                 size_t id_len, bool again, struct sck_err *err);
/*
 * Take a claim back, of which nothing came: `if_wanted`: only if its KEK was not asked for.  False: the rows are not
 * there in that state, or they stay for another reason.
 */
bool sck_owner_unclaim(struct sck_catalog *catalog, const struct sck_owner_rec *claimed, bool if_wanted);

/* ---- lib/service/dek.c ---- */
/* Wrap and unwrap under a given KEK; `ctx` is complete. */
SCK_MUST_CHECK enum sck_code sck_dek_wrap(struct sck_engine *engine, const struct sck_kek_rec *kek,
                                          const struct sck_context *ctx, const struct sck_secret *dek,
                                          struct sck_buf *wrapped, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_dek_unwrap(struct sck_engine *engine, const struct sck_kek_rec *kek,
                                            const struct sck_context *ctx, const uint8_t *wrapped, size_t len,
                                            struct sck_secret **dek, struct sck_err *err);
/*
 * A fresh DEK wrapped for `ctx` (generation and env are filled in), and the owner as it was when its KEK was read: whoever
 * stores it asks sck_kek_use(), whoever hands it out sck_kek_hand_out().  Errors of sck_owner_get() and sck_dek_wrap().
 */
SCK_MUST_CHECK enum sck_code sck_dek_fresh(struct sck_service *service, const struct sck_scope *scope,
                                           struct sck_context *ctx, struct sck_secret **dek, struct sck_buf *wrapped,
                                           struct sck_owner_rec *owner, struct sck_err *err);
/* Fill in the context of a key version's DEK. */
SCK_MUST_CHECK enum sck_code sck_version_context(struct sck_engine *engine, const struct sck_key_rec *key,
                                                 const struct sck_version_rec *version, uint32_t generation,
                                                 struct sck_context *ctx, struct sck_err *err);
/* A new UUIDv7. */
SCK_MUST_CHECK enum sck_code sck_new_uuid(struct sck_engine *engine, uint8_t out[16], struct sck_err *err);

/* ---- lib/service/find.c ---- */
/* Whether this door may see a scope; SCK_E_DENIED with the one message that gives nothing away. */
SCK_MUST_CHECK enum sck_code sck_wall_check(const struct sck_service *service, const struct sck_scope *scope,
                                            struct sck_err *err);
/* Read a key's row and one version's row, trusted by MAC or signature.  `key` holds the query's fields. */
SCK_MUST_CHECK enum sck_code sck_read_key(struct sck_engine *engine, enum sck_query query, struct sck_key_rec *key,
                                          struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_read_version(struct sck_engine *engine, const uint8_t key[16], uint32_t version,
                                              struct sck_version_rec *out, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_info_fill(const struct sck_key_rec *key, const struct sck_version_rec *version,
                                           struct sck_key_info *out, struct sck_err *err);
/* The info of a key row that was just read: the version asked for, or (0) the current one. */
SCK_MUST_CHECK enum sck_code sck_info_of(struct sck_engine *engine, const struct sck_key_rec *key, uint32_t version,
                                         struct sck_key_info *out, struct sck_err *err);
/* Check a row's signature by the `catalog` key's public half: no login.  SCK_E_INTEGRITY. */
SCK_MUST_CHECK enum sck_code sck_record_check(struct sck_engine *engine, enum sck_table table, const void *record,
                                              const struct sck_buf *signature, struct sck_err *err);
/* Sign a key's or version's public columns with the token's `catalog` key into its `signature`. */
SCK_MUST_CHECK enum sck_code sck_sign_record(struct sck_engine *engine, enum sck_table table, void *record,
                                             struct sck_buf *signature, struct sck_err *err);
/* Why a key that is not there is not there: SCK_E_ERASED or SCK_E_NOT_FOUND, as a message about `label`. */
enum sck_code sck_explain_missing(struct sck_engine *engine, const struct sck_scope *scope, const char *name,
                                  struct sck_err *err);
enum sck_code sck_explain_missing_id(struct sck_engine *engine, const char *key_id, struct sck_err *err);

/* ---- lib/service/use.c ---- */
struct sck_ukey_cache *sck_ukey_cache_new(size_t most);
void sck_ukey_cache_free(struct sck_ukey_cache **cache);
/* Drop cached keys of an owner (or of all: 0). */
void sck_ukey_cache_drop(struct sck_engine *engine, int64_t owner_id);

#endif
