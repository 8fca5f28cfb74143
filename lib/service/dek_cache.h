/* SPDX-License-Identifier: MIT */
/*
 * Inside lib/service: opened DEKs that are kept for a moment (off by default, [materials] of scopekey.conf).
 * Its lock is held for moments only; before a fork it is taken after the engine's.
 */
#ifndef SCK_SERVICE_DEK_CACHE_H
#define SCK_SERVICE_DEK_CACHE_H

#include "lib/service/engine.h"

/* Names a DEK: SHA-256 over the wrapped DEK (keeper, generation, KEK version, blob) and the hash of its context. */
struct sck_dek_id {
    uint8_t hash[SCK_SHA256_LEN];
};

/* Whose DEK it is, and the erasure word before that was looked up: when the word has changed, one looks again. */
struct sck_dek_owner {
    int64_t id;
    uint32_t generation;
    bool mapped;                /* whether there is a word; without one the catalog is asked each time */
    uint64_t epoch;
};

struct sck_dek_cache *sck_dek_cache_new(struct sck_engine *engine);
/* Wipe all and end the thread that looks after it. */
void sck_dek_cache_free(struct sck_dek_cache **cache);
/* Around a fork; a child starts with nothing. */
void sck_dek_cache_lock(struct sck_dek_cache *cache);
void sck_dek_cache_unlock(struct sck_dek_cache *cache);
void sck_dek_cache_unlock_in_child(struct sck_dek_cache *cache);

/*
 * A copy of a kept DEK: SCK_OK with *dek, or NULL when there is none.  SCK_E_ERASED: its owner was erased since, and
 * the DEK is wiped.
 */
SCK_MUST_CHECK enum sck_code sck_dek_cache_get(struct sck_dek_cache *cache, const struct sck_dek_id *id,
                                               struct sck_secret **dek, struct sck_err *err);
/* Keep a copy, if the cache is on. */
void sck_dek_cache_put(struct sck_dek_cache *cache, const struct sck_dek_id *id, const struct sck_dek_owner *owner,
                       const struct sck_secret *dek);
/* The owner is alive and of that generation, by the erasure word or else by the catalog.  SCK_E_ERASED. */
SCK_MUST_CHECK enum sck_code sck_dek_owner_check(struct sck_engine *engine, struct sck_dek_owner *owner,
                                                 struct sck_err *err);

/* Unwraps under way and who waits for them (dek_flight.h), behind the same lock. */
struct sck_dek_flights {
    struct sck_dek_flight *first;
    pthread_cond_t moved;       /* CLOCK_MONOTONIC; a wait is over or to lead */
};
struct sck_dek_flights *sck_dek_cache_flights(struct sck_dek_cache *cache);
pthread_mutex_t *sck_dek_cache_mutex(struct sck_dek_cache *cache);

#endif
