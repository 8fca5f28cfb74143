/* SPDX-License-Identifier: MIT */
#include "lib/service/dek_cache.h"

#include "lib/base/exit.h"
#include "lib/base/metric.h"
#include "lib/base/thread.h"
#include "lib/service/dek_flight.h"

#include <stdlib.h>
#include <string.h>

/* How long after an erasure by another process, or the end of its time, a DEK is wiped at the latest. */
#define SWEEP_MS 500

enum { BUCKETS = 1024 };

struct entry {
    struct entry *chain;
    struct entry *newer;
    struct entry *older;
    struct sck_dek_id id;
    struct sck_dek_owner owner;
    struct sck_secret *dek;
    int64_t until_us;
    int64_t uses_left;
};

enum reason { BY_TTL, BY_USES, BY_ROOM, BY_ERASURE, REASONS };

struct sck_dek_cache {
    struct sck_engine *engine;
    bool on;
    size_t most;                        /* entries, by their number and by the bytes that they may take */
    pthread_mutex_t lock;
    pthread_cond_t wake_sweeper;
    struct entry *buckets[BUCKETS];
    struct entry *newest;
    struct entry *oldest;
    size_t count;
    bool sweeping;                      /* there is a sweeper to be joined */
    bool closing;
    pthread_t sweeper;
    struct sck_dek_flights flights;
    struct sck_metric *hits;
    struct sck_metric *misses;
    struct sck_metric *held;
    struct sck_metric *evictions[REASONS];
};

static void
find_metrics(struct sck_dek_cache *c)
{
    static const char help[] = "DEKs that were dropped from the cache.";
    c->hits = sck_metric_counter("scopekey_dek_cache_hits_total", "DEKs served from the cache.", "");
    c->misses = sck_metric_counter("scopekey_dek_cache_misses_total", "DEKs that were not in the cache.", "");
    c->held = sck_metric_gauge("scopekey_dek_cache_entries", "DEKs held now.", "");
    c->evictions[BY_TTL] = sck_metric_counter("scopekey_dek_cache_evictions_total", help, "reason=\"ttl\"");
    c->evictions[BY_USES] = sck_metric_counter("scopekey_dek_cache_evictions_total", help, "reason=\"uses\"");
    c->evictions[BY_ROOM] = sck_metric_counter("scopekey_dek_cache_evictions_total", help, "reason=\"room\"");
    c->evictions[BY_ERASURE] = sck_metric_counter("scopekey_dek_cache_evictions_total", help, "reason=\"erasure\"");
}

static void
init_conds(struct sck_dek_cache *c)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->wake_sweeper, &monotonic);
    (void)pthread_cond_init(&c->flights.moved, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

struct sck_dek_cache *
sck_dek_cache_new(struct sck_engine *engine)
{
    const struct sck_conf *conf = engine->conf;
    struct sck_dek_cache *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->engine = engine;
    c->on = conf->dek_cache;
    size_t by_bytes = (size_t)conf->dek_cache_bytes / (sizeof(struct entry) + sizeof(struct sck_secret) + SCK_DEK_LEN);
    c->most = (size_t)conf->dek_cache_entries < by_bytes ? (size_t)conf->dek_cache_entries : by_bytes;
    (void)pthread_mutex_init(&c->lock, NULL);
    init_conds(c);
    find_metrics(c);
    return c;
}

static struct entry **
bucket_of(struct sck_dek_cache *c, const struct sck_dek_id *id)
{
    return &c->buckets[sck_be32_get(id->hash) % BUCKETS];
}

static struct entry *
find(struct sck_dek_cache *c, const struct sck_dek_id *id)
{
    struct entry *e = *bucket_of(c, id);
    while (e != NULL && memcmp(e->id.hash, id->hash, sizeof id->hash) != 0)
        e = e->chain;
    return e;
}

static void
push(struct sck_dek_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void
take_out(struct sck_dek_cache *c, struct entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
}

/* With the lock held. */
static void
evict(struct sck_dek_cache *c, struct entry *e, enum reason why)
{
    struct entry **at = bucket_of(c, &e->id);
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    take_out(c, e);
    c->count--;
    sck_secret_free(&e->dek);
    free(e);
    sck_metric_add(c->evictions[why], 1);
    sck_metric_set(c->held, (int64_t)c->count);
}

static void
evict_all(struct sck_dek_cache *c)
{
    while (c->newest != NULL)
        evict(c, c->newest, BY_ROOM);
}

void
sck_dek_cache_free(struct sck_dek_cache **cache)
{
    struct sck_dek_cache *c = *cache;
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    bool join = c->sweeping;
    pthread_cond_signal(&c->wake_sweeper);
    pthread_mutex_unlock(&c->lock);
    if (join)
        (void)pthread_join(c->sweeper, NULL);
    evict_all(c);
    (void)pthread_cond_destroy(&c->wake_sweeper);
    (void)pthread_cond_destroy(&c->flights.moved);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    *cache = NULL;
}

void
sck_dek_cache_lock(struct sck_dek_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
}

void
sck_dek_cache_unlock(struct sck_dek_cache *cache)
{
    pthread_mutex_unlock(&cache->lock);
}

/* The threads that led, waited and swept are the parent's. */
void
sck_dek_cache_unlock_in_child(struct sck_dek_cache *cache)
{
    evict_all(cache);
    cache->sweeping = false;
    cache->flights.first = NULL;
    init_conds(cache);
    pthread_mutex_unlock(&cache->lock);
}

struct sck_dek_flights *
sck_dek_cache_flights(struct sck_dek_cache *cache)
{
    return &cache->flights;
}

pthread_mutex_t *
sck_dek_cache_mutex(struct sck_dek_cache *cache)
{
    return &cache->lock;
}

enum sck_code
sck_dek_owner_check(struct sck_engine *engine, struct sck_dek_owner *owner, struct sck_err *err)
{
    struct sck_owner_rec row = {0};
    struct sck_kek_rec kek = {0};
    uint64_t now = 0;
    bool mapped = sck_epoch_read(engine, &now);
    if (mapped && owner->mapped && now == owner->epoch)
        return SCK_OK;
    enum sck_code rc = sck_owner_get_by_id(engine, owner->id, &row, &kek, err);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    if (rc == SCK_OK && row.generation != owner->generation)
        rc = sck_fail(err, SCK_E_ERASED, "the owner of this key was erased");
    if (rc == SCK_OK) {
        owner->epoch = now;
        owner->mapped = mapped;
    }
    return rc;
}

/* ---- the sweeper: wipes what nobody asks for any more ---- */

/* The first entry from the oldest on whose owner is to be asked again. */
static bool
find_stale(struct sck_dek_cache *c, struct sck_dek_owner *out)
{
    uint64_t now = 0;
    bool mapped = sck_epoch_read(c->engine, &now);
    for (struct entry *e = c->oldest; e != NULL; e = e->newer) {
        if (!mapped || !e->owner.mapped || e->owner.epoch != now) {
            *out = e->owner;
            return true;
        }
    }
    return false;
}

/* What is known about an owner now holds for all its DEKs. */
static void
settle(struct sck_dek_cache *c, const struct sck_dek_owner *owner, bool alive)
{
    struct entry *next = NULL;
    for (struct entry *e = c->oldest; e != NULL; e = next) {
        next = e->newer;
        if (e->owner.id != owner->id || e->owner.generation != owner->generation)
            continue;
        if (alive)
            e->owner = *owner;
        else
            evict(c, e, BY_ERASURE);
    }
}

static void
sweep(struct sck_dek_cache *c)
{
    struct sck_dek_owner owner;
    int64_t now = sck_monotonic_us(c->engine->clock);
    struct entry *next = NULL;
    for (struct entry *e = c->oldest; e != NULL; e = next) {
        next = e->newer;
        if (now >= e->until_us)
            evict(c, e, BY_TTL);
    }
    while (!c->closing && find_stale(c, &owner)) {
        struct sck_err err = SCK_ERR_INIT;
        pthread_mutex_unlock(&c->lock);
        enum sck_code rc = sck_dek_owner_check(c->engine, &owner, &err);
        pthread_mutex_lock(&c->lock);
        /* An owner that cannot be asked about counts as erased: its DEKs are fetched again. */
        settle(c, &owner, rc == SCK_OK && owner.mapped);
    }
}

static void *
sweeper(void *arg)
{
    struct sck_dek_cache *c = arg;
    sck_exit_enter();
    pthread_mutex_lock(&c->lock);
    while (!c->closing) {
        if (c->count == 0) {
            (void)sck_exit_cond_wait(&c->wake_sweeper, &c->lock, NULL);
            continue;
        }
        struct timespec until = sck_deadline_after_ms(SWEEP_MS);
        (void)sck_exit_cond_wait(&c->wake_sweeper, &c->lock, &until);
        sweep(c);
    }
    pthread_mutex_unlock(&c->lock);
    sck_exit_leave();
    return NULL;
}

/* ---- use ---- */

/* With the lock held: the DEK's bytes into `dek`, whose owner is still to be looked at. */
static bool
copy_out(struct sck_dek_cache *c, const struct sck_dek_id *id, struct sck_secret *dek, struct sck_dek_owner *owner)
{
    struct entry *e = find(c, id);
    if (e != NULL && sck_monotonic_us(c->engine->clock) >= e->until_us) {
        evict(c, e, BY_TTL);
        e = NULL;
    }
    if (e == NULL) {
        sck_metric_add(c->misses, 1);
        return false;
    }
    memcpy(dek->data, e->dek->data, SCK_DEK_LEN);
    *owner = e->owner;
    take_out(c, e);
    push(c, e);
    if (--e->uses_left == 0)
        evict(c, e, BY_USES);
    return true;
}

enum sck_code
sck_dek_cache_get(struct sck_dek_cache *cache, const struct sck_dek_id *id, struct sck_secret **dek,
                  struct sck_err *err)
{
    struct sck_secret *copy = NULL;
    struct sck_dek_owner owner = {0};
    *dek = NULL;
    if (!cache->on)
        return SCK_OK;
    enum sck_code rc = sck_secret_new(SCK_DEK_LEN, &copy, err);
    if (rc != SCK_OK)
        return rc;
    pthread_mutex_lock(&cache->lock);
    bool found = copy_out(cache, id, copy, &owner);
    pthread_mutex_unlock(&cache->lock);
    const struct sck_dek_owner before = owner;
    if (found)
        rc = sck_dek_owner_check(cache->engine, &owner, err);
    if (found && (rc == SCK_E_ERASED || owner.epoch != before.epoch)) {
        pthread_mutex_lock(&cache->lock);
        settle(cache, &owner, rc == SCK_OK);
        pthread_mutex_unlock(&cache->lock);
    }
    if (found && rc == SCK_OK) {
        sck_metric_add(cache->hits, 1);
        *dek = copy;
        copy = NULL;
    }
    sck_secret_free(&copy);
    return rc;
}

/* With the lock held: there is room and a sweeper, or nothing is kept. */
static bool
make_ready(struct sck_dek_cache *c)
{
    struct sck_err ignored = SCK_ERR_INIT;
    if (!c->sweeping && !c->closing)
        c->sweeping = sck_thread_start(&c->sweeper, sweeper, c, &ignored) == SCK_OK;
    while (c->count > 0 && c->count >= c->most)
        evict(c, c->oldest, BY_ROOM);
    return c->sweeping && c->most > 0;
}

void
sck_dek_cache_put(struct sck_dek_cache *cache, const struct sck_dek_id *id, const struct sck_dek_owner *owner,
                  const struct sck_secret *dek)
{
    const struct sck_conf *conf = cache->engine->conf;
    struct sck_err ignored = SCK_ERR_INIT;
    if (!cache->on)
        return;
    struct entry *e = calloc(1, sizeof *e);
    if (e == NULL || sck_secret_dup(dek, &e->dek, &ignored) != SCK_OK) {
        free(e);
        return;
    }
    e->id = *id;
    e->owner = *owner;
    e->until_us = sck_monotonic_us(cache->engine->clock) + conf->dek_cache_ttl_s * 1000000;
    e->uses_left = conf->dek_cache_uses;
    pthread_mutex_lock(&cache->lock);
    if (find(cache, id) == NULL && make_ready(cache)) {
        struct entry **bucket = bucket_of(cache, id);
        e->chain = *bucket;
        *bucket = e;
        push(cache, e);
        cache->count++;
        sck_metric_set(cache->held, (int64_t)cache->count);
        pthread_cond_signal(&cache->wake_sweeper);
        e = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    if (e != NULL)
        sck_secret_free(&e->dek);
    free(e);
}
