/* SPDX-License-Identifier: MIT */
/* Inside lib/service: a key that is open. */
#ifndef SCK_SERVICE_USE_H
#define SCK_SERVICE_USE_H

#include "lib/service/engine.h"

/* An opened envelope DEK.  Uses count references, so that its time can end while others still compute with it. */
struct sck_dek_box {
    atomic_uint refs;
    struct sck_secret *dek;
    int64_t until_us;                   /* monotonic; not used from then on */
};

struct sck_ukey {
    atomic_uint refs;
    struct sck_engine *engine;          /* borrowed: doors hold their service longer than their keys */
    struct sck_key_info info;
    int64_t owner_id;
    struct sck_tkey *tkey;              /* protection token */
    struct sck_dek_box *box;            /* protection envelope; guarded by the engine's lock */
    _Atomic(uint64_t) epoch_seen;
    atomic_bool retired;                /* rotated since it was opened */
    _Atomic(int64_t) reserved_left;     /* GCM messages that may still be sealed without asking the catalog */
    /* the cache's */
    bool cached;
    struct sck_ukey *chain;
    struct sck_ukey *newer;
    struct sck_ukey *older;
};

/* A cached key with one reference more, or NULL; it becomes the most recently used. */
struct sck_ukey *sck_ukey_cache_take(struct sck_engine *engine, const uint8_t id[16], uint32_t version);
/* Put a fresh key into the cache; another thread's copy wins (*key is then that one), and the least recently used goes. */
void sck_ukey_cache_put(struct sck_engine *engine, struct sck_ukey **key);
/* Take a key out, if it is in. */
void sck_ukey_cache_discard(struct sck_engine *engine, struct sck_ukey *key);
/* Wipe the envelope DEKs whose time is over; keys stay cached and open theirs again when they are used. */
void sck_ukey_cache_age(struct sck_engine *engine);

/*
 * Is the key still what it was: one atomic load unless something changed on this machine.  `making`: it is about to sign or
 * seal, which retired versions and expired keys do not.  SCK_E_ERASED, SCK_E_STATE.
 */
SCK_MUST_CHECK enum sck_code sck_ukey_check(struct sck_ukey *key, bool making, struct sck_err *err);
/* Borrow the envelope DEK of a key, opened again when its time was over; give back with sck_dek_box_unref(). */
SCK_MUST_CHECK enum sck_code sck_ukey_box(struct sck_ukey *key, struct sck_dek_box **out, struct sck_err *err);
void sck_dek_box_unref(struct sck_dek_box **box);
/* The same for a row.  SCK_E_STATE. */
SCK_MUST_CHECK enum sck_code sck_key_state_check(const struct sck_key_rec *key, int64_t now_s, bool making,
                                                 struct sck_err *err);

#endif
