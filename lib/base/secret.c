/* SPDX-License-Identifier: MIT */
#include "lib/base/secret.h"

#include "lib/base/fork.h"
#include "lib/base/log.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Small secrets (DEKs, KEK handles' blobs) come and go tens of thousands of times a second, and requests and answers of
 * keepers thousands of times, so they are cut from locked pages by power-of-two size classes, which are kept: mapping,
 * locking and first touching 64 KiB costs more than a batch of wrapped DEKs.  Larger ones get pages of their own.
 */
enum { CLASS_MIN_SHIFT = 5, CLASS_MAX_SHIFT = 17, CLASS_COUNT = CLASS_MAX_SHIFT - CLASS_MIN_SHIFT + 1 };
enum { SLAB_BYTES = 64 * 1024 };

struct slot {
    struct slot *next;
};

/* Locked pages, one slot or more. */
struct slab {
    struct slab *next;
    uint8_t *at;
    size_t bytes;
};

static struct {
    pthread_mutex_t lock;
    struct slot *free_slots[CLASS_COUNT];
    struct slab *slabs;
    atomic_bool require_lock;
    atomic_bool warned;
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *
map_locked(size_t bytes, struct sck_err *err)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        (void)sck_fail(err, SCK_E_MEMORY, "out of memory for secrets");
        return NULL;
    }
    (void)madvise(at, bytes, MADV_DONTDUMP);
    if (mlock(at, bytes) != 0) {
        if (atomic_load(&arena.require_lock)) {
            (void)munmap(at, bytes);
            (void)sck_fail(err, SCK_E_CONFIG,
                           "memory for secrets cannot be locked: raise the memlock limit (ulimit -l, "
                           "LimitMEMLOCK=) or set require_mlock = false");
            return NULL;
        }
        if (!atomic_exchange(&arena.warned, true))
            sck_log(SCK_LOG_WARNING, "base.secret",
                    "memory for secrets cannot be locked and may reach swap: raise the memlock limit");
    }
    return at;
}

static size_t
class_of(size_t len)
{
    size_t c = 0;
    while ((size_t)1 << (CLASS_MIN_SHIFT + c) < len)
        c++;
    return c;
}

static void
slab_add_locked(size_t c, struct sck_err *err)
{
    size_t size = (size_t)1 << (CLASS_MIN_SHIFT + c);
    struct slab *slab = malloc(sizeof *slab);
    if (slab == NULL) {
        (void)sck_fail(err, SCK_E_MEMORY, "out of memory for secrets");
        return;
    }
    slab->bytes = size > SLAB_BYTES ? size : SLAB_BYTES;
    slab->at = map_locked(slab->bytes, err);
    if (slab->at == NULL) {
        free(slab);
        return;
    }
    slab->next = arena.slabs;
    arena.slabs = slab;
    for (size_t off = 0; off < slab->bytes; off += size) {
        struct slot *s = (struct slot *)(void *)(slab->at + off);
        s->next = arena.free_slots[c];
        arena.free_slots[c] = s;
    }
}

static void *
slot_take(size_t c, struct sck_err *err)
{
    pthread_mutex_lock(&arena.lock);
    if (arena.free_slots[c] == NULL)
        slab_add_locked(c, err);
    struct slot *s = arena.free_slots[c];
    if (s != NULL)
        arena.free_slots[c] = s->next;
    pthread_mutex_unlock(&arena.lock);
    /* The rest was wiped when it came back. */
    if (s != NULL)
        memset(s, 0, sizeof *s);
    return s;
}

static void
slot_give(size_t c, void *at)
{
    struct slot *s = at;
    pthread_mutex_lock(&arena.lock);
    s->next = arena.free_slots[c];
    arena.free_slots[c] = s;
    pthread_mutex_unlock(&arena.lock);
}

/* A child of fork() may be made while another thread holds the lock. */
static void arena_prepare(void) { pthread_mutex_lock(&arena.lock); }
static void arena_release(void) { pthread_mutex_unlock(&arena.lock); }

/* A child inherits the bytes and not the lock on their memory (mlock(2)). */
static void
arena_child(void)
{
    for (struct slab *s = arena.slabs; s != NULL; s = s->next)
        (void)mlock(s->at, s->bytes);
    arena_release();
}

static void
arena_once(void)
{
    (void)sck_fork_register(SCK_FORK_SECRET, arena_prepare, arena_release, arena_child);
}

enum sck_code
sck_secret_new(size_t len, struct sck_secret **out, struct sck_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, arena_once);
    *out = NULL;
    if (len == 0 || len > SCK_SECRET_MAX)
        return sck_fail(err, SCK_E_INTERNAL, "a secret of %zu bytes was asked for", len);
    struct sck_secret *s = malloc(sizeof *s);
    if (s == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (len <= (size_t)1 << CLASS_MAX_SHIFT) {
        size_t c = class_of(len);
        s->cap = (size_t)1 << (CLASS_MIN_SHIFT + c);
        s->data = slot_take(c, err);
    } else {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        s->cap = (len + page - 1) / page * page;
        s->data = map_locked(s->cap, err);
    }
    if (s->data == NULL) {
        free(s);
        return err != NULL && err->code != SCK_OK ? err->code : SCK_E_MEMORY;
    }
    s->len = len;
    *out = s;
    return SCK_OK;
}

enum sck_code
sck_secret_from(const void *data, size_t len, struct sck_secret **out, struct sck_err *err)
{
    enum sck_code rc = sck_secret_new(len, out, err);
    if (rc == SCK_OK)
        memcpy((*out)->data, data, len);
    return rc;
}

enum sck_code
sck_secret_dup(const struct sck_secret *from, struct sck_secret **out, struct sck_err *err)
{
    return sck_secret_from(from->data, from->len, out, err);
}

void
sck_secret_free(struct sck_secret **secret)
{
    if (secret == NULL || *secret == NULL)
        return;
    struct sck_secret *s = *secret;
    OPENSSL_cleanse(s->data, s->cap);
    if (s->cap <= (size_t)1 << CLASS_MAX_SHIFT)
        slot_give(class_of(s->cap), s->data);
    else
        (void)munmap(s->data, s->cap);
    free(s);
    *secret = NULL;
}

void
sck_secret_require_lock(bool require)
{
    atomic_store(&arena.require_lock, require);
}

bool
sck_ct_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void
sck_wipe(void *data, size_t len)
{
    OPENSSL_cleanse(data, len);
}
