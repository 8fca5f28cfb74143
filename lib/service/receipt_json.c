/* SPDX-License-Identifier: MIT */
/* What was destroyed, and what a receipt says of it: no more than may be claimed (docs/erasure.md). */
#include "lib/service/receipt_json.h"

#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const not_covered[] = {
    "snapshots, exports and backups of the keeper", "copies of the token's storage", "machine images and swap",
    "plaintext that was taken out before", "backups of the catalog that were never registered"};

bool
sck_json_put_text(json_t *o, const char *name, const char *text)
{
    return json_object_set_new(o, name, json_string(text)) == 0;
}

bool
sck_json_put_time(json_t *o, const char *name, int64_t unix_s)
{
    char when[SCK_TIME_TEXT];
    sck_time_format(unix_s, when);
    return sck_json_put_text(o, name, when);
}

bool
sck_json_put_hex(json_t *o, const char *name, const uint8_t *data, size_t len)
{
    char hex[129];
    sck_hex_format(data, len, hex);
    return sck_json_put_text(o, name, hex);
}

static const char *
kind_name(uint32_t kind)
{
    if (kind == SCK_OWNER_SUBJECT)
        return "subject";
    return kind == SCK_OWNER_CLIENT ? "client" : "file";
}

static bool
put_bool(json_t *o, const char *name, bool value)
{
    return json_object_set_new(o, name, json_boolean(value)) == 0;
}

static bool
put_number(json_t *o, const char *name, int64_t value)
{
    return json_object_set_new(o, name, json_integer(value)) == 0;
}

void
sck_facts_add_up(const struct sck_erasure_facts *f, struct sck_pledge_rec *pledge)
{
    *pledge = (struct sck_pledge_rec){.created_s = f->tomb.created_s};
    memcpy(pledge->hash, f->tomb.hash, sizeof pledge->hash);
    for (size_t i = 0; i < f->kek_count; i++) {
        const struct sck_erased_kek *kek = &f->keks[i];
        if (kek->epoch > pledge->epoch)
            pledge->epoch = kek->epoch;
        if (kek->proof.how == SCK_ERASURE_SCHEDULED && kek->proof.effective_s > pledge->effective_s)
            pledge->effective_s = kek->proof.effective_s;
    }
}

bool
sck_facts_are_complete(const struct sck_erasure_facts *f)
{
    bool complete = f->kek_count > 0;
    for (size_t i = 0; i < f->kek_count; i++) {
        const struct sck_erase_proof *proof = &f->keks[i].proof;
        complete = complete && proof->how == SCK_ERASURE_IMMEDIATE && proof->read_says_gone && proof->canary_refused;
    }
    return complete;
}

static bool
put_status(json_t *o, const struct sck_erasure_facts *f, const struct sck_pledge_rec *pledge)
{
    if (sck_facts_are_complete(f))
        return sck_json_put_text(o, "status", "complete");
    bool ok = sck_json_put_text(o, "status", "scheduled");
    if (pledge->effective_s != 0)
        ok = ok && sck_json_put_time(o, "effective_at", pledge->effective_s);
    if (pledge->epoch != 0)
        ok = ok && put_number(o, "epoch", pledge->epoch);
    if (pledge->epoch != 0)
        return ok && sck_json_put_text(o, "effective_when",
                              "the epoch key that covered the KEK is destroyed (scopekey rotate --epoch)");
    if (f->tomb.kind == SCK_TOMB_FILE_ID)
        return ok && sck_json_put_text(o, "effective_when", "the KEK of the file's owner is rotated, rewrapped and trimmed");
    return ok;
}

static json_t *
node_json(const char *url, bool gone, bool refused)
{
    json_t *o = json_object();
    if (o != NULL && sck_json_put_text(o, "node", url) && put_bool(o, "key_is_gone", gone) && put_bool(o, "canary_refused", refused))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *
verified_json(const struct sck_erase_proof *proof)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < proof->node_count; i++)
        ok = json_array_append_new(list, node_json(proof->nodes[i].url, proof->nodes[i].read_says_gone,
                                                   proof->nodes[i].canary_refused)) == 0;
    if (ok && proof->node_count == 0)
        ok = json_array_append_new(list, node_json(proof->node, proof->read_says_gone, proof->canary_refused)) == 0;
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *
kek_json(const struct sck_erased_kek *kek)
{
    json_t *o = json_object();
    bool ok = o != NULL && sck_json_put_text(o, "keeper", kek->keeper) && sck_json_put_text(o, "name", kek->name) &&
              put_number(o, "first_version", kek->first_version) && put_number(o, "last_version", kek->last_version) &&
              sck_json_put_text(o, "erasure", kek->proof.how == SCK_ERASURE_IMMEDIATE ? "immediate" : "scheduled") &&
              json_object_set_new(o, "verified", verified_json(&kek->proof)) == 0;
    if (kek->mount[0] != '\0')
        ok = ok && sck_json_put_text(o, "mount", kek->mount);
    if (kek->name_space[0] != '\0')
        ok = ok && sck_json_put_text(o, "namespace", kek->name_space);
    if (kek->epoch != 0)
        ok = ok && put_number(o, "epoch", kek->epoch);
    if (kek->proof.effective_s != 0)
        ok = ok && sck_json_put_time(o, "effective_at", kek->proof.effective_s);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static bool
put_keks(json_t *o, const struct sck_erasure_facts *f)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < f->kek_count; i++)
        ok = json_array_append_new(list, kek_json(&f->keks[i])) == 0;
    ok = ok && json_object_set(o, "keks", list) == 0;
    json_decref(list);
    return ok;
}

static bool
put_not_covered(json_t *o)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < sizeof not_covered / sizeof not_covered[0]; i++)
        ok = json_array_append_new(list, json_string(not_covered[i])) == 0;
    ok = ok && json_object_set(o, "not_covered", list) == 0;
    json_decref(list);
    return ok;
}

json_t *
sck_receipt_build(const struct sck_erasure_facts *f, const struct sck_pledge_rec *pledge, const uint8_t id[16], int64_t now_s)
{
    char uuid[SCK_UUID_TEXT];
    json_t *o = json_object();
    sck_uuid_format(id, uuid);
    bool ok = o != NULL && sck_json_put_text(o, "type", "scopekey-erasure-receipt/v1") && sck_json_put_text(o, "id", uuid) &&
              sck_json_put_text(o, "kind", kind_name(f->tomb.kind)) && sck_json_put_hex(o, "erased", f->tomb.hash, 32) &&
              put_number(o, "generation", f->tomb.generation) && put_number(o, "keks_destroyed", f->kek_rows) &&
              put_keks(o, f) && put_number(o, "keys_removed", f->keys) &&
              put_number(o, "file_keys_removed", f->files) && sck_json_put_time(o, "tombstone_at", f->tomb.created_s) &&
              sck_json_put_time(o, "issued_at", now_s) && put_number(o, "tombstone", f->tomb.seq) &&
              sck_json_put_hex(o, "chain", f->tomb.chain, 32) && put_status(o, f, pledge) && put_not_covered(o);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static struct sck_erased_kek *
find(const struct sck_erasure_facts *facts, const struct sck_keeper *keeper, const struct sck_kek_rec *kek)
{
    for (size_t i = 0; i < facts->kek_count; i++) {
        struct sck_erased_kek *e = &facts->keks[i];
        if (strcmp(e->keeper, keeper->ops->name) == 0 && strcmp(e->name, kek->name) == 0 &&
            strcmp(e->mount, kek->mount) == 0 && strcmp(e->name_space, kek->name_space) == 0)
            return e;
    }
    return NULL;
}

const struct sck_erase_proof *
sck_facts_find(const struct sck_erasure_facts *facts, const struct sck_keeper *keeper, const struct sck_kek_rec *kek)
{
    const struct sck_erased_kek *e = find(facts, keeper, kek);
    return e != NULL ? &e->proof : NULL;
}

/* One entry for all versions of a KEK at one place, so that a receipt stays short. */
enum sck_code
sck_facts_add(struct sck_erasure_facts *facts, const struct sck_keeper *keeper, const struct sck_kek_rec *kek,
              const struct sck_erase_proof *proof, struct sck_err *err)
{
    struct sck_erased_kek *at = find(facts, keeper, kek);
    uint32_t first = keeper->ops->versions_are_records ? kek->version : 1;
    uint32_t epoch = kek->keeper == SCK_KEEPER_TOKEN ? sck_token_kek_epoch(kek->record.data, kek->record.len) : 0;
    facts->kek_rows++;
    if (at == NULL) {
        struct sck_erased_kek *more = realloc(facts->keks, (facts->kek_count + 1) * sizeof *more);
        if (more == NULL)
            return sck_fail(err, SCK_E_MEMORY, "out of memory");
        facts->keks = more;
        at = &more[facts->kek_count++];
        *at = (struct sck_erased_kek){.first_version = first, .last_version = kek->version};
        (void)snprintf(at->keeper, sizeof at->keeper, "%s", keeper->ops->name);
        memcpy(at->name, kek->name, sizeof at->name);
        memcpy(at->mount, kek->mount, sizeof at->mount);
        memcpy(at->name_space, kek->name_space, sizeof at->name_space);
    }
    at->first_version = first < at->first_version ? first : at->first_version;
    at->last_version = kek->version > at->last_version ? kek->version : at->last_version;
    at->epoch = epoch > at->epoch ? epoch : at->epoch;
    at->proof = *proof;
    return SCK_OK;
}

void
sck_facts_clear(struct sck_erasure_facts *facts)
{
    free(facts->keks);
    facts->keks = NULL;
    facts->kek_count = 0;
}
