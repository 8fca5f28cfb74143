/* SPDX-License-Identifier: MIT */
/* Keeper `token`: KEKs live in the HSM, their records (layer 4) in the catalog. */
#include "vault/forklock.h"
#include "vault/keeper.h"

#include "lib/core/kekname.h"

#include <stdlib.h>
#include <string.h>

enum { CACHED_DEFAULT = 256, RECORD_MAX = 4096, BLOB_LEN = SCK_GCM_NONCE_LEN + SCK_PAYLOAD_LEN + SCK_GCM_TAG_LEN };

/* A loaded version of a KEK.  It may be forgotten while others still use it: the last one to let go releases the handle. */
struct loaded {
    struct loaded *newer, *older;   /* order of last use */
    struct loaded *chain;           /* same hash bucket */
    size_t bucket;
    unsigned refs;                  /* users, and one for the cache */
    uint32_t generation, version;
    void *key;
    char name[SCK_KEK_NAME_MAX + 1];
};

struct token_keeper {
    struct sck_keeper base;
    struct sck_keeper_token_fns fns;
    struct sck_forklock lock;       /* everything below */
    struct loaded *newest, *oldest;
    struct loaded **buckets;
    size_t bucket_mask;
    size_t count, max;
    uint64_t forgets;               /* a load that began before a forget is not kept */
};

static struct token_keeper *
of(struct sck_keeper *keeper)
{
    return (struct token_keeper *)(void *)keeper;
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/: names are our own keyed encodings, nobody chooses them freely. */
static size_t
bucket_of(const struct token_keeper *k, const char *name, uint32_t generation, uint32_t version)
{
    uint64_t h = 14695981039346656037U ^ generation ^ (uint64_t)version << 32;
    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211U;
    return (size_t)(h ^ h >> 32) & k->bucket_mask;
}

static void
unlink_order(struct token_keeper *k, struct loaded *l)
{
    *(l->newer != NULL ? &l->newer->older : &k->newest) = l->older;
    *(l->older != NULL ? &l->older->newer : &k->oldest) = l->newer;
}

static void
link_newest(struct token_keeper *k, struct loaded *l)
{
    l->newer = NULL;
    l->older = k->newest;
    *(k->newest != NULL ? &k->newest->newer : &k->oldest) = l;
    k->newest = l;
}

static struct loaded *
find_locked(struct token_keeper *k, const char *name, uint32_t generation, uint32_t version)
{
    struct loaded *l = k->buckets[bucket_of(k, name, generation, version)];
    while (l != NULL && (l->version != version || l->generation != generation || strcmp(l->name, name) != 0))
        l = l->chain;
    return l;
}

/* Take it out of the cache; whoever gets true releases the handle after the lock is given back. */
static bool
drop_locked(struct token_keeper *k, struct loaded *l)
{
    struct loaded **at = &k->buckets[l->bucket];
    while (*at != l)
        at = &(*at)->chain;
    *at = l->chain;
    unlink_order(k, l);
    k->count--;
    return --l->refs == 0;
}

static void
destroy(struct token_keeper *k, struct loaded *l)
{
    k->fns.release(l->key);
    free(l);
}

static void
let_go(struct token_keeper *k, struct loaded *l)
{
    sck_forklock_take(&k->lock);
    bool last = --l->refs == 0;
    sck_forklock_give(&k->lock);
    if (last)
        destroy(k, l);
}

/* Put a loaded KEK into the cache, or find that another thread was quicker.  Returns the one to use. */
static struct loaded *
keep(struct token_keeper *k, struct loaded *mine, uint64_t forgets)
{
    struct loaded *use = mine, *evicted = NULL;
    sck_forklock_take(&k->lock);
    struct loaded *theirs = find_locked(k, mine->name, mine->generation, mine->version);
    if (theirs != NULL) {
        theirs->refs++;
        use = theirs;
    } else if (k->forgets == forgets) {
        mine->bucket = bucket_of(k, mine->name, mine->generation, mine->version);
        mine->chain = k->buckets[mine->bucket];
        k->buckets[mine->bucket] = mine;
        link_newest(k, mine);
        mine->refs++;
        if (++k->count > k->max) {
            struct loaded *victim = k->oldest;
            if (drop_locked(k, victim))
                evicted = victim;
        }
    }
    sck_forklock_give(&k->lock);
    if (evicted != NULL)
        destroy(k, evicted);
    if (use != mine)
        destroy(k, mine);
    return use;
}

static enum sck_code
check_name(const char *name, struct sck_err *err)
{
    if (sck_kek_name_is_legal(name))
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "keeper token: a KEK name must be 1 to %d of a-z, 0-9 and inner hyphens",
                    SCK_KEK_NAME_MAX);
}

/* A reference to the loaded KEK; give it back with let_go().  No lock is held while the token works. */
static enum sck_code
get(struct token_keeper *k, const struct sck_kek *kek, struct loaded **out, struct sck_err *err)
{
    struct sck_buf aad;
    enum sck_code rc = check_name(kek->name, err);
    if (rc != SCK_OK)
        return rc;
    sck_forklock_take(&k->lock);
    uint64_t forgets = k->forgets;
    struct loaded *l = find_locked(k, kek->name, kek->generation, kek->version);
    if (l != NULL) {
        l->refs++;
        unlink_order(k, l);
        link_newest(k, l);
    }
    sck_forklock_give(&k->lock);
    *out = l;
    if (l != NULL)
        return SCK_OK;

    sck_buf_init(&aad, 256);
    sck_kek_record_aad(kek->name, kek->generation, &aad);
    l = calloc(1, sizeof *l);
    if (l == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    else
        rc = sck_buf_check(&aad, "the KEK's name", err);
    if (rc == SCK_OK)
        rc = k->fns.load(k->fns.arg, aad.data, aad.len, kek->record.data, kek->record.len, &l->key, err);
    sck_buf_clear(&aad);
    if (rc != SCK_OK) {
        free(l);
        return rc;
    }
    l->refs = 1;
    l->generation = kek->generation;
    l->version = kek->version;
    memcpy(l->name, kek->name, strlen(kek->name) + 1);
    *out = keep(k, l, forgets);
    return SCK_OK;
}

static enum sck_code
token_create(struct sck_keeper *keeper, const char *name, uint32_t generation, struct sck_kek_made *made,
             struct sck_err *err)
{
    struct token_keeper *k = of(keeper);
    struct sck_buf aad;
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, RECORD_MAX);
    enum sck_code rc = check_name(name, err);
    if (rc != SCK_OK)
        return rc;
    sck_buf_init(&aad, 256);
    sck_kek_record_aad(name, generation, &aad);
    rc = sck_buf_check(&aad, "the KEK's name", err);
    if (rc == SCK_OK)
        rc = k->fns.make(k->fns.arg, aad.data, aad.len, &made->record, err);
    if (rc == SCK_OK)
        rc = sck_buf_check(&made->record, "the KEK's record", err);
    if (rc == SCK_OK)
        made->version = 1;
    else
        sck_buf_clear(&made->record);
    sck_buf_clear(&aad);
    return rc;
}

static enum sck_code
token_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload,
           struct sck_buf *blob, uint32_t *version, struct sck_err *err)
{
    struct token_keeper *k = of(keeper);
    struct loaded *l = NULL;
    uint8_t sealed[BLOB_LEN];
    uint8_t aad[SCK_WDEK_AAD_MAX];
    *version = 0;
    if (payload->len != SCK_PAYLOAD_LEN)
        return sck_fail(err, SCK_E_USAGE, "keeper token: a payload has %d bytes, not %zu", SCK_PAYLOAD_LEN,
                        payload->len);
    enum sck_code rc = get(k, kek, &l, err);
    if (rc != SCK_OK)
        return rc;
    size_t aad_len = sck_wdek_aad(kek->name, kek->version, aad);
    rc = sck_random(sealed, SCK_GCM_NONCE_LEN, err);
    if (rc == SCK_OK)
        rc = k->fns.seal(l->key, sealed, aad, aad_len, payload->data, payload->len, sealed + SCK_GCM_NONCE_LEN,
                         err);
    if (rc == SCK_OK) {
        sck_buf_put(blob, sealed, sizeof sealed);
        rc = sck_buf_check(blob, "the wrapped DEK", err);
    }
    if (rc == SCK_OK)
        *version = kek->version;
    let_go(k, l);
    return rc;
}

static enum sck_code
token_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *blob,
             size_t blob_len, struct sck_secret **payload, struct sck_err *err)
{
    struct token_keeper *k = of(keeper);
    struct loaded *l = NULL;
    uint8_t aad[SCK_WDEK_AAD_MAX];
    *payload = NULL;
    if (blob_len != BLOB_LEN)
        return sck_fail(err, SCK_E_AUTHENTIC, "keeper token: a wrapped DEK has %d bytes, not %zu", (int)BLOB_LEN,
                        blob_len);
    enum sck_code rc = get(k, kek, &l, err);
    if (rc != SCK_OK)
        return rc;
    size_t aad_len = sck_wdek_aad(kek->name, version, aad);
    struct sck_secret *plain = NULL;
    rc = sck_secret_new(SCK_PAYLOAD_LEN, &plain, err);
    if (rc == SCK_OK)
        rc = k->fns.open(l->key, blob, aad, aad_len, blob + SCK_GCM_NONCE_LEN, blob_len - SCK_GCM_NONCE_LEN,
                         plain->data, err);
    if (rc == SCK_OK)
        *payload = plain;
    else
        sck_secret_free(&plain);
    let_go(k, l);
    return rc;
}

/* Forget the versions of a KEK (of all: NULL) below `oldest`. */
static void
forget_below(struct token_keeper *k, const char *name, uint32_t oldest)
{
    struct loaded *gone = NULL;
    sck_forklock_take(&k->lock);
    k->forgets++;
    for (struct loaded *l = k->newest, *older; l != NULL; l = older) {
        older = l->older;
        if ((name == NULL || strcmp(l->name, name) == 0) && l->version < oldest && drop_locked(k, l)) {
            l->chain = gone;
            gone = l;
        }
    }
    sck_forklock_give(&k->lock);
    while (gone != NULL) {
        struct loaded *next = gone->chain;
        destroy(k, gone);
        gone = next;
    }
}

static void
token_forget(struct sck_keeper *keeper, const char *name)
{
    forget_below(of(keeper), name, UINT32_MAX);
}

/* A new KEK with a record of its own; the one before it stays what it is. */
static enum sck_code
token_rotate(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made, struct sck_err *err)
{
    if (kek->version >= UINT32_MAX - 1) {
        memset(made, 0, sizeof *made);
        return sck_fail(err, SCK_E_STATE, "keeper token: KEK %s has had 2^32 versions", kek->name);
    }
    enum sck_code rc = token_create(keeper, kek->name, kek->generation, made, err);
    if (rc == SCK_OK)
        made->version = kek->version + 1;
    return rc;
}

static enum sck_code
token_newest(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version, struct sck_err *err)
{
    (void)keeper;
    (void)err;
    *version = kek->version;
    return SCK_OK;
}

/* The caller destroys the older records. */
static enum sck_code
token_retire(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest, struct sck_err *err)
{
    (void)err;
    forget_below(of(keeper), kek->name, oldest);
    return SCK_OK;
}

static enum sck_code
token_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *canary,
            size_t canary_len, struct sck_erase_proof *proof, struct sck_err *err)
{
    /* The record is the caller's row: as long as a copy of it and its epoch key exist, the canary would open. */
    (void)version;
    (void)canary;
    (void)canary_len;
    memset(proof, 0, sizeof *proof);
    enum sck_code rc = check_name(kek->name, err);
    if (rc != SCK_OK)
        return rc;
    token_forget(keeper, kek->name);
    proof->how = SCK_ERASURE_SCHEDULED;
    return SCK_OK;
}

static enum sck_code
token_probe(struct sck_keeper *keeper, void (*report)(void *arg, const char *what, const char *cure), void *arg,
            struct sck_err *err)
{
    static const char name[] = "scopekey-probe";
    struct sck_kek_made made;
    struct sck_secret *payload = NULL, *opened = NULL;
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, BLOB_LEN);
    enum sck_code rc = token_create(keeper, name, 1, &made, err);
    struct sck_kek kek = {.name = name, .generation = 1, .version = 1, .mount = "", .name_space = "",
                          .record = sck_buf_bytes(&made.record)};
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, &payload, err);
    if (rc == SCK_OK)
        rc = token_wrap(keeper, &kek, payload, &blob, &version, err);
    if (rc == SCK_OK)
        rc = token_unwrap(keeper, &kek, version, blob.data, blob.len, &opened, err);
    if (rc == SCK_OK && !sck_ct_equal(opened->data, payload->data, SCK_PAYLOAD_LEN))
        rc = sck_fail(err, SCK_E_TOKEN, "keeper token: a probe came back changed: the token does not compute right");
    token_forget(keeper, name);
    if (rc == SCK_OK)
        report(arg, "keeper token: a KEK was made, used and dropped", NULL);
    sck_secret_free(&payload);
    sck_secret_free(&opened);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    return rc;
}

static void
token_close(struct sck_keeper *keeper)
{
    struct token_keeper *k = of(keeper);
    token_forget(keeper, NULL);
    sck_forklock_clear(&k->lock);
    free(k->buckets);
    free(k);
}

static const struct sck_keeper_ops token_ops = {
    .kind = SCK_KEEPER_TOKEN,
    .name = "token",
    .erasure = SCK_ERASURE_SCHEDULED,
    .rewraps_blind = false,
    .versions_are_records = true,
    .create = token_create,
    .wrap = token_wrap,
    .unwrap = token_unwrap,
    .run = sck_keeper_run_each,
    .rotate = token_rotate,
    .newest = token_newest,
    .retire = token_retire,
    .erase = token_erase,
    .probe = token_probe,
    .forget = token_forget,
    .close = token_close,
};

enum sck_code
sck_keeper_token_open(const struct sck_keeper_token_fns *fns, size_t cached, struct sck_keeper **out,
                      struct sck_err *err)
{
    *out = NULL;
    struct token_keeper *k = calloc(1, sizeof *k);
    if (k == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    k->base.ops = &token_ops;
    k->fns = *fns;
    k->max = cached == 0 ? CACHED_DEFAULT : cached;
    size_t buckets = 16;
    while (buckets < k->max)
        buckets *= 2;
    k->bucket_mask = buckets - 1;
    k->buckets = calloc(buckets, sizeof(struct loaded *));
    if (k->buckets == NULL) {
        free(k);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    sck_forklock_init(&k->lock);
    *out = &k->base;
    return SCK_OK;
}
