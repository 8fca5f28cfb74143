/* SPDX-License-Identifier: MIT */
/* A copy of the database by SQLite's backup interface (sqlite.org/backup.html): one step, so one state of it. */
#include "lib/catalog/sqlite.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sck_code
copy_into(struct sck_db *from, sqlite3 *to, const char *path, struct sck_err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from->handle, "main");
    if (b == NULL)
        return sck_sqlite_fail(to, sqlite3_errcode(to), path, "copying", err);
    int step = sqlite3_backup_step(b, -1);
    int end = sqlite3_backup_finish(b);
    if (step != SQLITE_DONE)
        return sck_sqlite_fail(NULL, step == SQLITE_LOCKED ? SQLITE_BUSY : step, path, "copying", err);
    return end == SQLITE_OK ? SCK_OK : sck_sqlite_fail(to, end, path, "copying", err);
}

/* The copied header says that there is a write-ahead log: the copy is to be whole without one. */
static enum sck_code
finish_copy(const char *path, struct sck_err *err)
{
    sqlite3 *db = NULL;
    enum sck_code rc = SCK_OK;
    int done = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (done == SQLITE_OK)
        done = sqlite3_exec(db, "PRAGMA trusted_schema = OFF; PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (done != SQLITE_OK)
        rc = sck_sqlite_fail(db, done, path, "copying", err);
    (void)sqlite3_close_v2(db);
    if (rc != SCK_OK)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fsync(fd) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot sync %s", path);
    if (fd >= 0)
        (void)close(fd);
    return rc == SCK_OK ? sck_file_sync_parent(path, err) : rc;
}

enum sck_code
sck_sqlite_copy(struct sck_db *db, const char *path, struct sck_err *err)
{
    sqlite3 *to = NULL;
    enum sck_code rc = SCK_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return sck_fail_errno(err, errno == EEXIST ? SCK_E_EXISTS : SCK_E_IO, errno, "cannot create %s", path);
    (void)close(fd);
    int opened = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                                 NULL);
    if (opened != SQLITE_OK)
        rc = sck_sqlite_fail(to, opened, path, "copying", err);
    if (rc == SCK_OK)
        rc = copy_into(db, to, path, err);
    (void)sqlite3_close_v2(to);
    if (rc == SCK_OK)
        rc = finish_copy(path, err);
    if (rc != SCK_OK)
        (void)unlink(path);
    return rc;
}

/* Bytes that SQLite locks (sqlite.org/fileformat2.html, the lock-byte page): a connection in WAL mode holds some. */
#define LOCKS_START 0x40000000
#define LOCKS_LEN 512

/* An exclusive lock on the whole of SQLite's lock bytes: nobody has the database open. */
static enum sck_code
keep_others_out(const char *path, int *fd, struct sck_err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_START, .l_len = LOCKS_LEN};
    *fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open catalog %s", path);
    if (fcntl(*fd, F_OFD_SETLK, &lock) == 0)
        return SCK_OK;
    int why = errno;
    (void)close(*fd);
    *fd = -1;
    if (why == EAGAIN || why == EACCES)
        return sck_fail(err, SCK_E_BUSY, "catalog %s is in use: stop every process that uses it, and repeat", path);
    return sck_fail_errno(err, SCK_E_IO, why, "cannot lock catalog %s", path);
}

/* Bring the log into the file, as far as the old catalog can still be read: it then is whole without it. */
static void
fold_log(const char *path)
{
    struct sck_db *db = NULL;
    struct sck_err ignored = SCK_ERR_INIT;
    if (sck_sqlite_open(path, &db, &ignored) == SCK_OK)
        (void)!sck_sqlite_scrub(db, &ignored);
    sck_sqlite_close(&db);
}

/* What belongs to the old database goes with it; the new one must not find it. */
static enum sck_code
move_companion(const char *path, const char *aside, const char *suffix, struct sck_err *err)
{
    char from[4200], to[4200];
    (void)snprintf(from, sizeof from, "%s%s", path, suffix);
    (void)snprintf(to, sizeof to, "%s%s", aside, suffix);
    if (rename(from, to) != 0 && errno != ENOENT)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot move %s away", from);
    return SCK_OK;
}

enum sck_code
sck_sqlite_place(const char *path, const char *fresh, const char *aside, bool *kept, struct sck_err *err)
{
    struct stat st;
    int fd = -1;
    enum sck_code rc = SCK_OK;
    *kept = lstat(path, &st) == 0;
    if (lstat(aside, &st) == 0)
        return sck_fail(err, SCK_E_EXISTS, "%s is there already: move it away", aside);
    if (*kept) {
        rc = keep_others_out(path, &fd, err);
        if (rc != SCK_OK)
            return rc;
        /* SQLite takes these locks itself. */
        (void)close(fd);
        fold_log(path);
        rc = keep_others_out(path, &fd, err);
    }
    if (rc == SCK_OK && *kept && link(path, aside) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot keep the old catalog as %s", aside);
    sck_fault_point("restore.aside");
    if (rc == SCK_OK)
        rc = move_companion(path, aside, "-wal", err);
    if (rc == SCK_OK)
        rc = move_companion(path, aside, "-shm", err);
    if (rc == SCK_OK && rename(fresh, path) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot put %s in place", path);
    if (rc == SCK_OK)
        rc = sck_file_sync_parent(path, err);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}
