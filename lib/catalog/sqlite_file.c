/* SPDX-License-Identifier: MIT */
#include "lib/catalog/sqlite.h"

#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROW_MAX_BYTES (1024 * 1024)
#define CACHE_KIB 4096

/*
 * Set before the first byte of the file is interpreted.  A file that somebody else wrote may hold triggers, views,
 * and functions in its schema: none of them runs.
 */
static int
set_limits(sqlite3 *handle)
{
    static const struct {
        int option;
        int on;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0},    {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    int rc = sqlite3_extended_result_codes(handle, 0);
    for (size_t i = 0; i < sizeof options / sizeof options[0] && rc == SQLITE_OK; i++)
        rc = sqlite3_db_config(handle, options[i].option, options[i].on, NULL);
    (void)sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, ROW_MAX_BYTES);
    (void)sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
    return rc;
}

enum sck_code
sck_sqlite_script(struct sck_db *db, const char *sql, struct sck_err *err)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return sck_sqlite_fail(db->handle, rc, db->path, "setting up", err);
    return SCK_OK;
}

static enum sck_code
set_wal(struct sck_db *db, struct sck_err *err)
{
    sqlite3_stmt *stmt = NULL;
    enum sck_code rc = SCK_OK;
    int step = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode = WAL", -1, &stmt, NULL);
    if (step == SQLITE_OK)
        step = sqlite3_step(stmt);
    const char *mode = step == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (mode == NULL)
        rc = sck_sqlite_fail(db->handle, step, db->path, "opening", err);
    else if (strcmp(mode, "wal") != 0)
        rc = sck_fail(err, SCK_E_IO,
                      "catalog %s: its file system cannot share memory between processes (no write-ahead log): move "
                      "it to a local disk", db->path);
    (void)sqlite3_finalize(stmt);
    return rc;
}

static enum sck_code
set_up(struct sck_db *db, struct sck_err *err)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON;"
                   "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d; PRAGMA foreign_keys = OFF;", CACHE_KIB);
    enum sck_code rc = sck_sqlite_script(db, sql, err);
    if (rc == SCK_OK)
        rc = set_wal(db, err);
    if (rc == SCK_OK)
        rc = sck_sqlite_script(db, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000;", err);
    return rc;
}

/* `name` stands for `path` in messages. */
static enum sck_code
open_handle(const char *path, const char *name, struct sck_db **out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    char *full = NULL;
    int opened;
    struct sck_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    /* A name with a directory in it is never taken for ":memory:" or a "file:" URI. */
    full = path[0] == '/' ? strdup(path) : sck_path_join(".", path);
    db->path = strdup(name);
    if (db->path == NULL || full == NULL) {
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
        goto out;
    }
    opened = sqlite3_open_v2(full, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (opened == SQLITE_OK)
        opened = set_limits(db->handle);
    if (opened != SQLITE_OK)
        rc = sck_sqlite_fail(db->handle, opened, name, "opening", err);
    else if (sqlite3_db_readonly(db->handle, "main") == 1)
        rc = sck_fail_errno(err, SCK_E_IO, access(path, W_OK) != 0 ? errno : EROFS,
                            "catalog %s is read-only: make it writable for this user", name);
out:
    free(full);
    if (rc != SCK_OK)
        sck_sqlite_drop(&db);
    *out = db;
    return rc;
}

static enum sck_code
check_file(const char *path, struct sck_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT)
            return sck_fail(err, SCK_E_CONFIG, "there is no catalog at %s: run scopekey init, or correct its path",
                            path);
        return sck_fail_errno(err, SCK_E_IO, errno, "catalog %s cannot be reached; correct its path", path);
    }
    if (!S_ISREG(st.st_mode))
        return sck_fail(err, SCK_E_CONFIG, "catalog %s is not a regular file: correct its path", path);
    return SCK_OK;
}

enum sck_code
sck_sqlite_open(const char *where, struct sck_db **out, struct sck_err *err)
{
    struct sck_db *db = NULL;
    int64_t id = 0;
    *out = NULL;
    enum sck_code rc = check_file(where, err);
    if (rc == SCK_OK)
        rc = open_handle(where, where, &db, err);
    /* Before anything is written: another program's database stays as it is. */
    if (rc == SCK_OK)
        rc = sck_sqlite_pragma_get(db, "PRAGMA application_id", &id, err);
    if (rc == SCK_OK && id != SCK_SQLITE_APPLICATION_ID)
        rc = sck_fail(err, SCK_E_CONFIG, "%s is not a Scopekey catalog: correct its path", where);
    if (rc == SCK_OK)
        rc = set_up(db, err);
    if (rc != SCK_OK)
        sck_sqlite_drop(&db);
    *out = db;
    return rc;
}

void
sck_sqlite_close(struct sck_db **db)
{
    if (*db == NULL)
        return;
    for (size_t i = 0; i < SCK_SQLITE_SLOTS; i++)
        (void)sqlite3_finalize((*db)->prepared[i]);
    (void)sqlite3_close_v2((*db)->handle);
    free((*db)->path);
    free(*db);
    *db = NULL;
}

void
sck_sqlite_drop(struct sck_db **db)
{
    if (*db == NULL)
        return;
    if ((*db)->handle != NULL)
        (void)sqlite3_db_config((*db)->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sck_sqlite_close(db);
}

enum sck_code
sck_sqlite_scrub(struct sck_db *db, struct sck_err *err)
{
    int rc = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc != SQLITE_OK)
        return sck_sqlite_fail(db->handle, rc, db->path, "emptying the write-ahead log", err);
    return SCK_OK;
}

/* What SQLite keeps beside a database; with a new database in the old one's place it would be applied to that. */
static const char *const companions[] = {"-wal", "-shm", "-journal"};

static enum sck_code
check_nothing_there(const char *where, struct sck_err *err)
{
    char name[4096];
    struct stat st;
    if (lstat(where, &st) == 0)
        return sck_fail(err, SCK_E_EXISTS, "there is a catalog at %s already: nothing was changed", where);
    if (errno != ENOENT)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot create catalog %s; correct its path", where);
    for (size_t i = 0; i < sizeof companions / sizeof companions[0]; i++) {
        int n = snprintf(name, sizeof name, "%s%s", where, companions[i]);
        if (n < 0 || (size_t)n >= sizeof name)
            return sck_fail(err, SCK_E_USAGE, "the path of the catalog is longer than 4000 bytes");
        if (lstat(name, &st) == 0)
            return sck_fail(err, SCK_E_EXISTS, "%s is left over from another catalog: move it away", name);
    }
    return SCK_OK;
}

static void
remove_all(const char *path)
{
    char name[4200];
    (void)unlink(path);
    for (size_t i = 0; i < sizeof companions / sizeof companions[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, companions[i]);
        (void)unlink(name);
    }
}

static enum sck_code
write_new(const char *path, const char *name, sck_db_fill_fn fill, void *arg, struct sck_err *err)
{
    char sql[64];
    struct sck_db *db = NULL;
    (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d", SCK_SQLITE_APPLICATION_ID);
    enum sck_code rc = open_handle(path, name, &db, err);
    if (rc == SCK_OK)
        rc = set_up(db, err);
    if (rc == SCK_OK)
        rc = sck_sqlite_script(db, sql, err);
    if (rc == SCK_OK)
        rc = fill(db, arg, err);
    /* Everything is in the one file from here on, and synced. */
    if (rc == SCK_OK)
        rc = sck_sqlite_scrub(db, err);
    if (rc == SCK_OK)
        sck_sqlite_close(&db);
    else
        sck_sqlite_drop(&db);
    return rc;
}

enum sck_code
sck_sqlite_create(const char *where, sck_db_fill_fn fill, void *arg, struct sck_err *err)
{
    char temp[4200];
    enum sck_code rc = check_nothing_there(where, err);
    if (rc != SCK_OK)
        return rc;
    (void)snprintf(temp, sizeof temp, "%s.new-XXXXXX", where);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot create catalog %s; check its directory", where);
    int mode = fchmod(fd, 0600);
    (void)close(fd);
    if (mode != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot create catalog %s; check its directory", where);
    if (rc == SCK_OK)
        rc = write_new(temp, where, fill, arg, err);
    /* link() never replaces: of two who create at once, one is refused. */
    if (rc == SCK_OK && link(temp, where) != 0)
        rc = errno == EEXIST
                 ? sck_fail(err, SCK_E_EXISTS, "there is a catalog at %s already: nothing was changed", where)
                 : sck_fail_errno(err, SCK_E_IO, errno, "cannot create catalog %s; check its directory", where);
    remove_all(temp);
    if (rc == SCK_OK)
        rc = sck_file_sync_parent(where, err);
    return rc;
}
