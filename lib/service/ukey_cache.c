/* SPDX-License-Identifier: MIT */
/* The cache of open keys: a hash table with a list from the most to the least recently used. */
#include "lib/service/use.h"

#include <stdlib.h>
#include <string.h>

struct sck_ukey_cache {
    struct sck_ukey **buckets;
    size_t bucket_count;
    struct sck_ukey *newest;
    struct sck_ukey *oldest;
    size_t count;
    size_t most;
};

struct sck_ukey_cache *
sck_ukey_cache_new(size_t most)
{
    struct sck_ukey_cache *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->most = most;
    c->bucket_count = 64;
    while (c->bucket_count < most && c->bucket_count < 65536)
        c->bucket_count *= 2;
    c->buckets = calloc(c->bucket_count, sizeof(struct sck_ukey *));
    if (c->buckets == NULL) {
        free(c);
        return NULL;
    }
    return c;
}

static struct sck_ukey **
bucket_of(struct sck_ukey_cache *c, const uint8_t id[16], uint32_t version)
{
    /* The last bytes of a UUIDv7 are random. */
    return &c->buckets[(sck_be32_get(id + 12) ^ version) & (c->bucket_count - 1)];
}

static void
list_remove(struct sck_ukey_cache *c, struct sck_ukey *k)
{
    *(k->newer != NULL ? &k->newer->older : &c->newest) = k->older;
    *(k->older != NULL ? &k->older->newer : &c->oldest) = k->newer;
    k->newer = k->older = NULL;
}

static void
list_push(struct sck_ukey_cache *c, struct sck_ukey *k)
{
    k->newer = NULL;
    k->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = k;
    c->newest = k;
}

/* Take a key out; the cache's reference passes to the caller. */
static void
cache_unlink(struct sck_ukey_cache *c, struct sck_ukey *k)
{
    struct sck_ukey **at = bucket_of(c, k->info.id, k->info.version);
    while (*at != k)
        at = &(*at)->chain;
    *at = k->chain;
    k->chain = NULL;
    list_remove(c, k);
    k->cached = false;
    c->count--;
}

static struct sck_ukey *
cache_find(struct sck_ukey_cache *c, const uint8_t id[16], uint32_t version)
{
    struct sck_ukey *k = *bucket_of(c, id, version);
    while (k != NULL && (k->info.version != version || memcmp(k->info.id, id, 16) != 0))
        k = k->chain;
    return k;
}

void
sck_ukey_cache_free(struct sck_ukey_cache **cache)
{
    struct sck_ukey_cache *c = *cache;
    if (c == NULL)
        return;
    while (c->newest != NULL) {
        struct sck_ukey *k = c->newest;
        cache_unlink(c, k);
        sck_ukey_unref(&k);
    }
    free(c->buckets);
    free(c);
    *cache = NULL;
}

void
sck_ukey_cache_drop(struct sck_engine *engine, int64_t owner_id)
{
    struct sck_ukey *dropped = NULL;
    pthread_mutex_lock(&engine->lock);
    struct sck_ukey *next = NULL;
    for (struct sck_ukey *k = engine->cache->newest; k != NULL; k = next) {
        next = k->older;
        if (owner_id == 0 || k->owner_id == owner_id) {
            cache_unlink(engine->cache, k);
            k->chain = dropped;
            dropped = k;
        }
    }
    pthread_mutex_unlock(&engine->lock);
    /* Letting go of a session object is a token call, so it happens without the lock. */
    while (dropped != NULL) {
        struct sck_ukey *k = dropped;
        dropped = k->chain;
        k->chain = NULL;
        sck_ukey_unref(&k);
    }
}

struct sck_ukey *
sck_ukey_cache_take(struct sck_engine *engine, const uint8_t id[16], uint32_t version)
{
    pthread_mutex_lock(&engine->lock);
    struct sck_ukey *k = cache_find(engine->cache, id, version);
    if (k != NULL) {
        (void)sck_ukey_ref(k);
        list_remove(engine->cache, k);
        list_push(engine->cache, k);
    }
    pthread_mutex_unlock(&engine->lock);
    return k;
}

void
sck_ukey_cache_put(struct sck_engine *engine, struct sck_ukey **key)
{
    struct sck_ukey_cache *c = engine->cache;
    struct sck_ukey *evicted = NULL;
    struct sck_ukey *mine = NULL;
    pthread_mutex_lock(&engine->lock);
    struct sck_ukey *there = cache_find(c, (*key)->info.id, (*key)->info.version);
    if (there != NULL) {
        mine = *key;
        *key = sck_ukey_ref(there);
    } else {
        struct sck_ukey **bucket = bucket_of(c, (*key)->info.id, (*key)->info.version);
        (*key)->chain = *bucket;
        *bucket = sck_ukey_ref(*key);
        list_push(c, *key);
        (*key)->cached = true;
        if (++c->count > c->most) {
            evicted = c->oldest;
            cache_unlink(c, evicted);
        }
    }
    pthread_mutex_unlock(&engine->lock);
    sck_ukey_unref(&evicted);
    sck_ukey_unref(&mine);
}

void
sck_ukey_cache_discard(struct sck_engine *engine, struct sck_ukey *key)
{
    struct sck_ukey *held = NULL;
    pthread_mutex_lock(&engine->lock);
    if (key->cached) {
        cache_unlink(engine->cache, key);
        held = key;
    }
    pthread_mutex_unlock(&engine->lock);
    sck_ukey_unref(&held);
}

void
sck_ukey_cache_age(struct sck_engine *engine)
{
    int64_t now = sck_monotonic_us(engine->clock);
    pthread_mutex_lock(&engine->lock);
    for (struct sck_ukey *k = engine->cache->newest; k != NULL; k = k->older) {
        if (k->box != NULL && now >= k->box->until_us)
            sck_dek_box_unref(&k->box);
    }
    pthread_mutex_unlock(&engine->lock);
}
