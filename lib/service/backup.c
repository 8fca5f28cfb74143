/* SPDX-License-Identifier: MIT */
/*
 * Registered copies of the catalog.  A copy is registered before it is made, so that none exists that is not known; it
 * is confirmed when it was read back from where it lies.
 */
#include "lib/service/backup.h"
#include "lib/service/erase.h"
#include "lib/service/kekepoch.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = PATH_MAX + 64 };

static enum sck_code
lock_backups(struct sck_engine *engine, int *lock, struct sck_err *err)
{
    char *path = sck_engine_path(engine, "run/backup.lock");
    enum sck_code rc = path != NULL ? sck_lock_acquire(path, 0, lock, err) : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_E_BUSY)
        sck_err_prefix(err, "another process is making a backup");
    free(path);
    return rc;
}

/* An absolute name for the copy that is not taken: a directory gets one with the time in it. */
static enum sck_code
choose_name(struct sck_engine *engine, const char *given, const uint8_t id[16], char out[PATH_ROOM], struct sck_err *err)
{
    struct stat st;
    char dir[PATH_MAX], name[PATH_ROOM], when[SCK_TIME_TEXT], hex[9];
    size_t n = 0;
    const char *slash = strrchr(given, '/');
    if (strlen(given) >= sizeof dir - 1)
        return sck_fail(err, SCK_E_USAGE, "the path of a backup has at most %d bytes", PATH_MAX - 2);
    if (stat(given, &st) == 0 && S_ISDIR(st.st_mode)) {
        sck_time_format(sck_now_s(engine->clock), when);
        for (const char *p = when; *p != '\0'; p++) {
            if (*p != '-' && *p != ':')
                when[n++] = *p;
        }
        when[n] = '\0';
        /* The end of a UUIDv7 is random, its beginning is the time. */
        sck_hex_format(id + 12, 4, hex);
        (void)snprintf(dir, sizeof dir, "%s", given);
        (void)snprintf(name, sizeof name, "scopekey-%s-%s.db", when, hex);
    } else {
        (void)snprintf(dir, sizeof dir, "%.*s", slash == NULL ? 1 : slash == given ? 1 : (int)(slash - given),
                       slash == NULL ? "." : given);
        (void)snprintf(name, sizeof name, "%s", slash == NULL ? given : slash + 1);
    }
    char *whole = realpath(dir, NULL);
    if (whole == NULL || name[0] == '\0') {
        free(whole);
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot write a backup to %s", given);
    }
    int len = snprintf(out, PATH_ROOM, "%s/%s", strcmp(whole, "/") == 0 ? "" : whole, name);
    free(whole);
    if (len >= PATH_MAX)
        return sck_fail(err, SCK_E_USAGE, "the path of a backup has at most %d bytes", PATH_MAX - 2);
    static const char *const suffixes[] = {"", ".json", ".part"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", out, suffixes[i]);
        if (lstat(name, &st) == 0)
            return sck_fail(err, SCK_E_EXISTS, "%s is there already: choose another name", name);
    }
    return SCK_OK;
}

static enum sck_code
put_row(struct sck_catalog *catalog, struct sck_backup_rec *b, bool fresh, struct sck_err *err)
{
    return fresh ? sck_catalog_insert(catalog, SCK_TABLE_BACKUPS, b, err)
                 : sck_catalog_update(catalog, SCK_TABLE_BACKUPS, b, err);
}

/* What is ours beside a copy: never the copy's own name, which may be somebody else's. */
static void
remove_pieces(const char *path, bool manifest)
{
    static const char *const suffixes[] = {".part", ".part-journal", ".json"};
    char name[PATH_ROOM + 32];
    for (size_t i = 0; i < (manifest ? 3 : 2); i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

/* What the copy will need is taken down before it is made: it can only come to need less. */
static enum sck_code
describe(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_backup_rec *b, struct sck_err *err)
{
    struct sck_epochs epochs;
    struct sck_setup_rec setup = {.id = 1};
    enum sck_code rc = sck_epochs_load(catalog, &epochs, err);
    if (rc == SCK_OK)
        rc = sck_catalog_get(catalog, SCK_BY_SETUP, &setup, err);
    b->epoch = epochs.needed;
    b->generation = setup.generation;
    b->tombstones = setup.tombstones;
    b->created_s = sck_now_s(engine->clock);
    b->expires_s = b->created_s + engine->conf->retire_epoch_days * 86400;
    return rc;
}

/* Catalog and anchor go one generation on, so that this copy, in the catalog's place, is known for an older one. */
static enum sck_code
finish(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_backup_rec *b, struct sck_err *err)
{
    enum sck_code rc = sck_catalog_begin(catalog, err);
    if (rc != SCK_OK)
        return rc;
    b->state = SCK_BACKUP_MADE;
    rc = put_row(catalog, b, false, err);
    if (rc == SCK_OK)
        rc = sck_setup_count(catalog, 0, err);
    if (rc == SCK_OK)
        rc = sck_catalog_commit(catalog, err);
    sck_catalog_rollback(catalog);
    sck_fault_point("backup.made");
    return rc == SCK_OK ? sck_anchor_write(engine, catalog, err) : rc;
}

static enum sck_code
write_copy(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_backup_rec *b, const char *path,
           struct sck_err *err)
{
    char part[PATH_ROOM + 8];
    (void)snprintf(part, sizeof part, "%s.part", path);
    enum sck_code rc = sck_catalog_copy(catalog, part, err);
    if (rc != SCK_OK)
        return rc;
    sck_fault_point("backup.copied");
    rc = sck_file_sum(part, b->sha256, &b->size, err);
    if (rc == SCK_OK)
        rc = sck_manifest_write(engine, b, path, err);
    if (rc != SCK_OK) {
        remove_pieces(path, false);
        return rc;
    }
    sck_fault_point("backup.manifest");
    /* link() never replaces. */
    if (link(part, path) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", path);
    remove_pieces(path, rc != SCK_OK);
    if (rc == SCK_OK)
        rc = sck_file_sync_parent(path, err);
    sck_fault_point("backup.placed");
    return rc;
}

static void
fill_info(const struct sck_backup_rec *b, struct sck_backup_info *out)
{
    static const char *const states[] = {"", "making", "made", "confirmed"};
    *out = (struct sck_backup_info){.state = b->state < 4 ? states[b->state] : "",
                                    .epoch = b->epoch,
                                    .generation = b->generation,
                                    .tombstones = b->tombstones,
                                    .created_s = b->created_s,
                                    .expires_s = b->expires_s,
                                    .confirmed_s = b->confirmed_s,
                                    .size = b->size};
    memcpy(out->id, b->id, sizeof out->id);
    (void)snprintf(out->path, sizeof out->path, "%.*s", (int)b->path.len, (const char *)b->path.data);
}

static enum sck_code
begin(struct sck_service *service, struct sck_catalog **catalog, int *lock, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    enum sck_code rc = sck_engine_started(engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(engine, catalog, err);
    if (rc == SCK_OK)
        rc = lock_backups(engine, lock, err);
    if (rc == SCK_OK)
        rc = sck_backups_settle(engine, *catalog, false, err);
    return rc;
}

enum sck_code
sck_backup_make(struct sck_service *service, const char *where, struct sck_backup_info *out, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_backup_rec b = {.state = SCK_BACKUP_MAKING};
    char path[PATH_ROOM];
    int lock = -1;
    sck_buf_init(&b.path, PATH_ROOM);
    enum sck_code rc = begin(service, &catalog, &lock, err);
    if (rc == SCK_OK)
        rc = sck_new_uuid(engine, b.id, err);
    if (rc == SCK_OK)
        rc = choose_name(engine, where, b.id, path, err);
    if (rc == SCK_OK)
        rc = describe(engine, catalog, &b, err);
    if (rc == SCK_OK) {
        sck_buf_put_str(&b.path, path);
        rc = put_row(catalog, &b, true, err);
    }
    sck_fault_point("backup.registered");
    if (rc == SCK_OK) {
        rc = write_copy(engine, catalog, &b, path, err);
        struct sck_err ignored = SCK_ERR_INIT;
        if (rc != SCK_OK)
            (void)!sck_catalog_delete(catalog, SCK_TABLE_BACKUPS, &b, &ignored);
    }
    if (rc == SCK_OK)
        rc = finish(engine, catalog, &b, err);
    if (rc == SCK_OK)
        fill_info(&b, out);
    sck_lock_release(&lock);
    sck_record_clear(SCK_TABLE_BACKUPS, &b);
    return rc;
}

/* ---- what a crash left ---- */

static enum sck_code
settle_one(struct sck_engine *engine, struct sck_catalog *catalog, struct sck_backup_rec *b, bool restored,
           struct sck_err *err)
{
    char path[PATH_ROOM];
    struct sck_backup_rec manifest;
    struct sck_err why = SCK_ERR_INIT;
    (void)snprintf(path, sizeof path, "%.*s", (int)b->path.len, (const char *)b->path.data);
    bool ours = sck_manifest_read(engine, path, &manifest, &why) == SCK_OK &&
                memcmp(manifest.id, b->id, sizeof b->id) == 0;
    bool whole = ours && sck_manifest_match(&manifest, path, &why) == SCK_OK;
    remove_pieces(path, ours && !whole);
    if (whole) {
        b->size = manifest.size;
        memcpy(b->sha256, manifest.sha256, sizeof b->sha256);
        return finish(engine, catalog, b, err);
    }
    if (restored) {
        b->state = SCK_BACKUP_MADE;
        return put_row(catalog, b, false, err);
    }
    sck_log(SCK_LOG_WARNING, "service.backup", "a backup that was cut is forgotten: %s", path);
    return sck_catalog_delete(catalog, SCK_TABLE_BACKUPS, b, err);
}

struct settling {
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    bool restored;
};

static enum sck_code
settle_row(void *arg, void *record, struct sck_err *err)
{
    const struct settling *s = arg;
    struct sck_backup_rec *b = record;
    return b->state == SCK_BACKUP_MAKING ? settle_one(s->engine, s->catalog, b, s->restored, err) : SCK_OK;
}

enum sck_code
sck_backups_settle(struct sck_engine *engine, struct sck_catalog *catalog, bool restored, struct sck_err *err)
{
    struct settling s = {engine, catalog, restored};
    struct sck_backup_rec from = {0};
    return sck_catalog_each(catalog, SCK_BACKUPS_ALL, &from, true, 0, settle_row, &s, err);
}

/* ---- what is registered ---- */

static enum sck_code
read_row(struct sck_catalog *catalog, const uint8_t id[16], struct sck_backup_rec *out, struct sck_err *err)
{
    char text[SCK_UUID_TEXT];
    struct sck_err look = SCK_ERR_INIT;
    *out = (struct sck_backup_rec){0};
    memcpy(out->id, id, sizeof out->id);
    enum sck_code rc = sck_catalog_get(catalog, SCK_BY_BACKUP, out, &look);
    sck_uuid_format(id, text);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "there is no backup %s: see `scopekey backup list`", text);
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", look.message);
}

enum sck_code
sck_backup_confirm(struct sck_service *service, const uint8_t id[16], const char *file, struct sck_backup_info *out,
                   struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_backup_rec b = {0}, manifest;
    char path[PATH_ROOM];
    int lock = -1;
    enum sck_code rc = begin(service, &catalog, &lock, err);
    if (rc == SCK_OK)
        rc = read_row(catalog, id, &b, err);
    if (rc == SCK_OK) {
        if (file != NULL)
            (void)snprintf(path, sizeof path, "%s", file);
        else
            (void)snprintf(path, sizeof path, "%.*s", (int)b.path.len, (const char *)b.path.data);
        rc = sck_manifest_read(engine, path, &manifest, err);
    }
    if (rc == SCK_OK && memcmp(manifest.id, id, sizeof manifest.id) != 0)
        rc = sck_fail(err, SCK_E_USAGE, "%s is another backup", path);
    if (rc == SCK_OK)
        rc = sck_manifest_match(&manifest, path, err);
    if (rc == SCK_OK && b.state != SCK_BACKUP_CONFIRMED) {
        b.state = SCK_BACKUP_CONFIRMED;
        b.confirmed_s = sck_now_s(engine->clock);
        rc = put_row(catalog, &b, false, err);
    }
    if (rc == SCK_OK)
        fill_info(&b, out);
    sck_lock_release(&lock);
    sck_record_clear(SCK_TABLE_BACKUPS, &b);
    return rc;
}

enum sck_code
sck_backup_forget(struct sck_service *service, const uint8_t id[16], struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_backup_rec b = {0};
    int lock = -1;
    enum sck_code rc = begin(service, &catalog, &lock, err);
    if (rc == SCK_OK)
        rc = read_row(catalog, id, &b, err);
    if (rc == SCK_OK)
        rc = sck_catalog_delete(catalog, SCK_TABLE_BACKUPS, &b, err);
    sck_lock_release(&lock);
    sck_record_clear(SCK_TABLE_BACKUPS, &b);
    return rc;
}

struct listing {
    sck_backup_fn fn;
    void *arg;
};

static enum sck_code
list_row(void *arg, void *record, struct sck_err *err)
{
    const struct listing *l = arg;
    struct sck_backup_info info;
    fill_info(record, &info);
    return l->fn(l->arg, &info, err);
}

enum sck_code
sck_backup_each(struct sck_service *service, sck_backup_fn fn, void *arg, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct listing l = {fn, arg};
    struct sck_backup_rec from = {0};
    enum sck_code rc = sck_engine_login(service->engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(service->engine, &catalog, err);
    return rc == SCK_OK ? sck_catalog_each(catalog, SCK_BACKUPS_ALL, &from, true, 0, list_row, &l, err) : rc;
}
