/* SPDX-License-Identifier: MIT */
/* Replaying the erasure log over a catalog that was set back. */
#include "lib/service/reconcile.h"

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX_BYTES (256U * 1024U * 1024U)

struct entry {
    uint8_t hash[32];
    uint32_t kind;
    uint32_t generation;
    bool missing;               /* the catalog has no such tombstone */
};

struct replay {
    struct sck_reconciling *r;
    struct entry *entries;      /* sorted by hash, each once */
    size_t count;
    bool files;                 /* some of the missing are files */
    int64_t erased;
};

static int
by_hash(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->hash, ((const struct entry *)b)->hash, 32);
}

static bool
parse_line(const char *line, size_t len, struct entry *out)
{
    json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *hash = json_string_value(json_object_get(o, "hash"));
    const char *kind = json_string_value(json_object_get(o, "kind"));
    json_int_t generation = json_integer_value(json_object_get(o, "generation"));
    bool ok = hash != NULL && kind != NULL && strlen(kind) == 1 && generation > 0 && generation <= UINT32_MAX &&
              sck_hex_parse(hash, strlen(hash), out->hash, sizeof out->hash);
    out->kind = ok ? (uint32_t)(unsigned char)kind[0] : 0;
    out->generation = (uint32_t)generation;
    json_decref(o);
    return ok;
}

static enum sck_code
add_entry(struct replay *p, size_t *room, const struct entry *e, struct sck_err *err)
{
    if (p->count == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        struct entry *grown = realloc(p->entries, more * sizeof *grown);
        if (grown == NULL)
            return sck_fail(err, SCK_E_MEMORY, "out of memory");
        p->entries = grown;
        *room = more;
    }
    p->entries[p->count++] = *e;
    return SCK_OK;
}

/* A line that was cut by a crash was written again by whoever finished that erasure. */
static enum sck_code
read_log(struct replay *p, struct sck_err *err)
{
    struct sck_buf log = {0};
    struct sck_err look = SCK_ERR_INIT;
    size_t room = 0, kept = 0;
    char *path = sck_engine_path(p->r->engine, "receipts/erasures.log");
    enum sck_code rc = path != NULL ? sck_file_read(path, LOG_MAX_BYTES, &log, &look)
                                    : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_E_NOT_FOUND)
        rc = SCK_OK;
    else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", look.message);
    for (size_t at = 0; rc == SCK_OK && at < log.len;) {
        const char *line = (const char *)log.data + at;
        const char *end = memchr(line, '\n', log.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : log.len - at;
        struct entry e = {0};
        if (parse_line(line, len, &e))
            rc = add_entry(p, &room, &e, err);
        else if (len > 0)
            sck_log(SCK_LOG_WARNING, "service.reconcile", "a line of %s is damaged and left out", path);
        at += len + 1;
    }
    if (rc == SCK_OK && p->count > 0)
        qsort(p->entries, p->count, sizeof p->entries[0], by_hash);
    for (size_t i = 0; i < p->count; i++) {
        if (kept == 0 || memcmp(p->entries[kept - 1].hash, p->entries[i].hash, 32) != 0)
            p->entries[kept++] = p->entries[i];
    }
    p->count = kept;
    sck_buf_clear(&log);
    free(path);
    return rc;
}

static enum sck_code
has_tomb(struct sck_catalog *catalog, const uint8_t hash[32], bool *found, struct sck_err *err)
{
    struct sck_tomb_rec tomb = {0};
    struct sck_err look = SCK_ERR_INIT;
    memcpy(tomb.hash, hash, sizeof tomb.hash);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_TOMB, &tomb, &look);
    *found = rc == SCK_OK;
    return rc == SCK_OK || rc == SCK_E_NOT_FOUND ? SCK_OK : sck_fail(err, rc, "%s", look.message);
}

static struct entry *
find_missing(const struct replay *p, const uint8_t hash[32])
{
    struct entry key = {0};
    memcpy(key.hash, hash, sizeof key.hash);
    struct entry *e = p->count > 0 ? bsearch(&key, p->entries, p->count, sizeof key, by_hash) : NULL;
    return e != NULL && e->missing ? e : NULL;
}

static enum sck_code
replay_file(void *arg, void *record, struct sck_err *err)
{
    struct replay *p = arg;
    const struct sck_file_rec *file = record;
    char uuid[SCK_UUID_TEXT];
    uint8_t hash[32];
    sck_uuid_format(file->file_id, uuid);
    enum sck_code rc = sck_tomb_hash(p->r->engine, SCK_TOMB_FILE_ID, 1, uuid, strlen(uuid), hash, err);
    if (rc != SCK_OK || find_missing(p, hash) == NULL)
        return rc;
    p->erased++;
    return sck_file_row_remove(p->r->engine, p->r->catalog, file, false, err);
}

static enum sck_code
replay_owner(void *arg, void *record, struct sck_err *err)
{
    struct replay *p = arg;
    const struct sck_owner_rec *owner = record;
    struct sck_file_rec from = {.owner_id = owner->id};
    struct sck_err why = SCK_ERR_INIT;
    uint8_t hash[32];
    enum sck_code rc = sck_tomb_hash(p->r->engine, (uint8_t)owner->kind, owner->generation, owner->ident,
                                     strlen(owner->ident), hash, err);
    if (rc != SCK_OK)
        return rc;
    if (find_missing(p, hash) == NULL)
        return p->files ? sck_catalog_each(p->r->catalog, SCK_FILES_OF_OWNER, &from, true, 0, replay_file, p, err)
                        : SCK_OK;
    rc = sck_erase_owner(p->r->engine, p->r->catalog, owner, NULL, NULL, &why);
    p->erased++;
    if (rc != SCK_OK && !sck_reconcile_defer(p->r, rc, &why))
        return sck_fail(err, rc, "%s", why.message);
    return SCK_OK;
}

/* Nothing of it is in this catalog, but every door shall go on saying that it was erased. */
static enum sck_code
set_tomb(struct replay *p, const struct entry *e, struct sck_err *err)
{
    bool found = false;
    enum sck_code rc = sck_catalog_begin(p->r->catalog, err);
    if (rc == SCK_OK)
        rc = has_tomb(p->r->catalog, e->hash, &found, err);
    if (rc == SCK_OK && !found)
        rc = sck_tomb_add(p->r->engine, p->r->catalog, e->kind, e->generation, e->hash, SCK_TOMB_DONE, 0, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(p->r->catalog, err);
    sck_catalog_rollback(p->r->catalog);
    return rc;
}

enum sck_code
sck_reconcile_log(struct sck_reconciling *r, int64_t *known, struct sck_err *err)
{
    struct replay p = {.r = r};
    struct sck_owner_rec from = {0};
    int64_t missing = 0;
    enum sck_code rc = read_log(&p, err);
    for (size_t i = 0; rc == SCK_OK && i < p.count; i++) {
        bool found = false;
        rc = has_tomb(r->catalog, p.entries[i].hash, &found, err);
        p.entries[i].missing = !found;
        missing += !found;
        p.files = p.files || (!found && p.entries[i].kind == SCK_TOMB_FILE_ID);
    }
    if (rc == SCK_OK && missing > 0)
        rc = sck_catalog_each(r->catalog, SCK_OWNERS_ALL, &from, true, 0, replay_owner, &p, err);
    for (size_t i = 0; rc == SCK_OK && i < p.count; i++) {
        if (p.entries[i].missing)
            rc = set_tomb(&p, &p.entries[i], err);
    }
    if (rc == SCK_OK)
        sck_reconcile_say(r, "%lld erasures replayed, %lld of them of something that was there again", (long long)missing,
                          (long long)p.erased);
    *known = (int64_t)p.count;
    free(p.entries);
    return rc;
}
