/* SPDX-License-Identifier: MIT */
/* PINs that a token refused, as salted hashes, for the life of the process and of its children. */
#include "lib/token/module.h"

#include "lib/base/crypto.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct refused_pin {
    struct refused_pin *next;
    uint8_t hash[SCK_SHA256_LEN];
};

/* Only ever grows and is read without a lock: a fork finds nothing half done. */
static struct {
    pthread_once_t once;
    _Atomic(struct refused_pin *) list;
    uint8_t salt[16];
    bool salted;
} refused = {.once = PTHREAD_ONCE_INIT};

static void
make_salt(void)
{
    refused.salted = sck_random(refused.salt, sizeof refused.salt, NULL) == SCK_OK;
}

static bool
pin_hash(const char *id, const uint8_t *pin, size_t len, uint8_t out[SCK_SHA256_LEN])
{
    struct sck_bytes parts[] = {
        {refused.salt, sizeof refused.salt}, {(const uint8_t *)id, strlen(id) + 1}, {pin, len}};
    pthread_once(&refused.once, make_salt);
    return refused.salted && sck_sha256_parts(parts, sizeof parts / sizeof parts[0], out, NULL) == SCK_OK;
}

bool
sck_pin_is_refused(const char *id, const uint8_t *pin, size_t len)
{
    uint8_t hash[SCK_SHA256_LEN];
    bool found = false;
    if (!pin_hash(id, pin, len, hash))
        return false;
    for (const struct refused_pin *at = atomic_load(&refused.list); at != NULL && !found; at = at->next)
        found = sck_ct_equal(at->hash, hash, sizeof hash);
    return found;
}

void
sck_pin_remember_refused(const char *id, const uint8_t *pin, size_t len)
{
    struct refused_pin *one = malloc(sizeof *one);
    if (one == NULL || !pin_hash(id, pin, len, one->hash)) {
        free(one);
        return;
    }
    one->next = atomic_load(&refused.list);
    while (!atomic_compare_exchange_weak(&refused.list, &one->next, one))
        continue;
}
