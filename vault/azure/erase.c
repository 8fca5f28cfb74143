/* SPDX-License-Identifier: MIT */
/*
 * Erasure at the vault and its proof.  Deleting is reversible, so it is no erasure before the key is purged: by us
 * where that is allowed, otherwise by the vault when the retention ends, and then the proof says when.
 */
#include "vault/azure/azure.h"

#include "lib/base/log.h"

#include <stdio.h>
#include <string.h>

/* GONE_MS: a deletion that an earlier run began may show nothing, neither key nor deleted key, for so long. */
enum { POLL_FIRST_MS = 100, POLL_LAST_MS = 2000, GONE_MS = 3000 };

/* What is known of a deleted key. */
struct deleted {
    bool there;
    bool purgeable;
    int64_t purge_date_s; /* 0: not told */
};

struct wait {
    struct sck_azure *a;
    int64_t until_us, ms;
};

static struct wait
wait_begin(struct sck_azure *a, int64_t ms)
{
    return (struct wait){a, sck_monotonic_us(a->vault.env.clock) + ms * 1000, POLL_FIRST_MS};
}

/* Sleep a little longer than the time before; false when the time is over. */
static bool
wait_more(struct wait *w)
{
    const struct sck_clock *clock = w->a->vault.env.clock;
    if (sck_monotonic_us(clock) + w->ms * 1000 > w->until_us)
        return false;
    clock->sleep_ms(clock->arg, w->ms);
    w->ms = w->ms * 2 < POLL_LAST_MS ? w->ms * 2 : POLL_LAST_MS;
    return true;
}

static enum sck_code
still_busy(const struct sck_azure *a, const char *name, const char *what, struct sck_err *err)
{
    return sck_fail(err, SCK_E_BUSY,
                    "keeper azure, erase of KEK %s at %s: the vault is still %s it: run the same command "
                    "again",
                    name, sck_azure_url(a), what);
}

static enum sck_code
delete_key(struct sck_azure *a, const char *name, enum sck_verdict *verdict, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_call call;
    (void)snprintf(path, sizeof path, "/keys/%s?" SCK_AZURE_API, name);
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_DELETE, .method = "DELETE", .path = path, .kek = name, .login = a->admin};
    enum sck_code rc = sck_azure_send(a, &ask, &call, err);
    if (rc == SCK_OK) {
        /* "Missing" is what a repeated deletion hears whose first answer was lost, and "busy" one that goes on. */
        *verdict = call.answer.row->verdict;
        if (*verdict != SCK_SAYS_OK && *verdict != SCK_SAYS_MISSING && *verdict != SCK_SAYS_BUSY)
            rc = sck_call_refused(&call, err);
    }
    sck_call_clear(&call);
    return rc;
}

static enum sck_code
read_deleted(struct sck_azure *a, const char *name, struct deleted *out, struct sck_err *err)
{
    char path[SCK_PATH_MAX], level[64];
    uint64_t date = 0;
    struct sck_call call;
    (void)snprintf(path, sizeof path, "/deletedkeys/%s?" SCK_AZURE_API, name);
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_DELETED, .method = "GET", .path = path, .kek = name, .login = a->admin};
    *out = (struct deleted){.there = false};
    enum sck_code rc = sck_azure_expect(a, &ask, SCK_SAYS_MISSING, &call, err);
    if (rc == SCK_OK && call.answer.row->verdict == SCK_SAYS_OK) {
        struct sck_json attributes = sck_json_get(call.answer.json, "attributes");
        out->there = true;
        (void)sck_json_text(sck_json_get(attributes, "recoveryLevel"), level, sizeof level);
        out->purgeable = strstr(level, "Purgeable") != NULL;
        if (sck_json_u64(sck_json_get(call.answer.json, "scheduledPurgeDate"), INT64_MAX, &date))
            out->purge_date_s = (int64_t)date;
    }
    sck_call_clear(&call);
    return rc;
}

static enum sck_code
read_key(struct sck_azure *a, const char *name, bool *there, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_call call;
    (void)snprintf(path, sizeof path, "/keys/%s?" SCK_AZURE_API, name);
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_READ, .method = "GET", .path = path, .kek = name, .login = a->admin};
    enum sck_code rc = sck_azure_expect(a, &ask, SCK_SAYS_MISSING, &call, err);
    *there = rc == SCK_OK && call.answer.row->verdict == SCK_SAYS_OK;
    sck_call_clear(&call);
    return rc;
}

/* Delete, and wait until the vault says that it is done: until then purging is refused. */
static enum sck_code
delete_and_wait(struct sck_azure *a, const char *name, struct deleted *deleted, struct sck_err *err)
{
    enum sck_verdict verdict = SCK_SAYS_NOTHING;
    enum sck_code rc = delete_key(a, name, &verdict, err);
    struct wait w = wait_begin(a, verdict == SCK_SAYS_MISSING ? GONE_MS : a->delete_wait_ms);
    while (rc == SCK_OK) {
        rc = read_deleted(a, name, deleted, err);
        if (rc != SCK_OK || deleted->there)
            return rc;
        if (!wait_more(&w))
            return verdict == SCK_SAYS_MISSING ? SCK_OK : still_busy(a, name, "deleting", err);
    }
    return rc;
}

/* Purge; *done false when the vault does not let us, which is no failure. */
static enum sck_code
purge_and_wait(struct sck_azure *a, const char *name, bool *done, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct wait w = wait_begin(a, a->delete_wait_ms);
    (void)snprintf(path, sizeof path, "/deletedkeys/%s?" SCK_AZURE_API, name);
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_PURGE, .method = "DELETE", .path = path, .kek = name, .login = a->admin};
    *done = false;
    for (;;) {
        struct sck_call call;
        enum sck_code rc = sck_azure_send(a, &ask, &call, err);
        enum sck_verdict verdict = rc == SCK_OK ? call.answer.row->verdict : SCK_SAYS_NOTHING;
        bool refused = verdict == SCK_SAYS_POLICY || verdict == SCK_SAYS_UNDELETABLE;
        if (refused)
            sck_log(SCK_LOG_WARNING, "vault.azure", "KEK %s is deleted but not purged: %s", name, call.answer.text);
        else if (rc == SCK_OK && verdict != SCK_SAYS_OK && verdict != SCK_SAYS_MISSING && verdict != SCK_SAYS_BUSY)
            rc = sck_call_refused(&call, err);
        sck_call_clear(&call);
        if (rc != SCK_OK || refused)
            return rc;
        *done = true;
        if (verdict == SCK_SAYS_MISSING)
            return SCK_OK;
        if (!wait_more(&w))
            return still_busy(a, name, "purging", err);
    }
}

/* The vault says that the key is gone: by reading it, and by not opening what was wrapped under it. */
static enum sck_code
verify(struct sck_azure *a, const char *name, const uint8_t *canary, size_t canary_len, struct sck_erase_proof *proof,
       struct sck_err *err)
{
    enum sck_verdict verdict = SCK_SAYS_NOTHING;
    bool there = false;
    enum sck_code rc = read_key(a, name, &there, err);
    if (rc == SCK_OK && there)
        rc = sck_fail(err, SCK_E_STATE,
                      "keeper azure, erase of KEK %s at %s: it is there again after its deletion: find "
                      "who makes or recovers it, take that right away, and erase again",
                      name, sck_azure_url(a));
    if (rc != SCK_OK)
        return rc;
    proof->read_says_gone = true;
    rc = sck_azure_try(a, name, canary, canary_len, &verdict, err);
    if (rc == SCK_OK && verdict != SCK_SAYS_MISSING && verdict != SCK_SAYS_BUSY)
        rc = sck_fail(err, SCK_E_STATE,
                      "keeper azure, erase of KEK %s at %s: a wrapped DEK is still answered for: find "
                      "who makes or recovers the key, take that right away, and erase again",
                      name, sck_azure_url(a));
    proof->canary_refused = rc == SCK_OK;
    (void)snprintf(proof->node, sizeof proof->node, "%s", sck_azure_url(a));
    return rc;
}

enum sck_code
sck_azure_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *canary,
                size_t canary_len, struct sck_erase_proof *proof, struct sck_err *err)
{
    struct sck_azure *a = sck_azure_of(keeper);
    struct deleted deleted = {.there = false}, after = {.there = false};
    bool purged = false;
    (void)version;
    memset(proof, 0, sizeof *proof);
    proof->how = SCK_ERASURE_SCHEDULED;
    enum sck_code rc = sck_azure_check_name(kek->name, err);
    sck_azure_key_forget(a, kek->name);
    if (rc == SCK_OK)
        rc = delete_and_wait(a, kek->name, &deleted, err);
    if (rc == SCK_OK && deleted.there && deleted.purgeable && a->purge)
        rc = purge_and_wait(a, kek->name, &purged, err);
    if (rc == SCK_OK)
        rc = verify(a, kek->name, canary, canary_len, proof, err);
    if (rc == SCK_OK)
        rc = read_deleted(a, kek->name, &after, err);
    if (rc == SCK_OK && purged && after.there)
        rc = still_busy(a, kek->name, "purging", err);
    if (rc == SCK_OK && !after.there)
        proof->how = SCK_ERASURE_IMMEDIATE;
    proof->effective_s = after.there ? after.purge_date_s : 0;
    return rc;
}
