/* SPDX-License-Identifier: MIT */
#include "lib/catalog/sqlite.h"

#include <errno.h>

/* What the operating system said last; SQLite does not keep it for every failure. */
static int
system_error(sqlite3 *handle, int rc)
{
    if ((rc & 0xFF) == SQLITE_FULL)
        return ENOSPC;
    return handle != NULL ? sqlite3_system_errno(handle) : 0;
}

/* sqlite.org/rescode.html */
static enum sck_code
code_of(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return SCK_E_EXISTS;
    case SQLITE_IOERR_NOMEM:
        return SCK_E_MEMORY;
    case SQLITE_CANTOPEN_SYMLINK:
        return SCK_E_CONFIG;
    default:
        break;
    }
    switch (rc & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return SCK_E_BUSY;
    case SQLITE_NOMEM:
        return SCK_E_MEMORY;
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_NOLFS:
        return SCK_E_IO;
    /* A statement of ours that does not fit the tables means that somebody changed the tables. */
    case SQLITE_ERROR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        return SCK_E_INTEGRITY;
    default:
        return SCK_E_INTERNAL;
    }
}

enum sck_code
sck_sqlite_fail(sqlite3 *handle, int rc, const char *path, const char *doing, struct sck_err *err)
{
    int extended = handle != NULL && sqlite3_errcode(handle) == rc ? sqlite3_extended_errcode(handle) : rc;
    const char *text = handle != NULL ? sqlite3_errmsg(handle) : sqlite3_errstr(rc);
    enum sck_code code = code_of(extended);
    int sys = system_error(handle, extended);
    if (code == SCK_E_BUSY)
        return sck_fail(err, code, "catalog %s: another process is writing: try again", path);
    if (code == SCK_E_EXISTS)
        return sck_fail(err, code, "catalog %s: already there (%s)", path, text);
    if (code == SCK_E_MEMORY)
        return sck_fail(err, code, "out of memory");
    if (code == SCK_E_INTEGRITY)
        return sck_fail(err, code, "catalog %s: %s found it damaged (%s): restore it from a backup", path, doing,
                        text);
    if (code != SCK_E_IO)
        return sck_fail(err, code, "catalog %s: %s failed in SQLite (%s, %d)", path, doing, text, extended);
    if ((extended & 0xFF) == SQLITE_FULL || sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
        return sck_fail_errno(err, code, sys,
                              "catalog %s: %s found no space, nothing was changed; free some and repeat", path,
                              doing);
    if ((extended & 0xFF) == SQLITE_READONLY || sys == EROFS || sys == EACCES || sys == EPERM)
        return sck_fail_errno(err, code, sys,
                              "catalog %s: %s was not permitted, nothing was changed; make the file and its "
                              "directory readable and writable for this user", path, doing);
    if (sys != 0)
        return sck_fail_errno(err, code, sys, "catalog %s: %s failed; check the disk and the file's permissions",
                              path, doing);
    return sck_fail(err, code, "catalog %s: %s failed (%s, %d); check the disk and the file's permissions", path,
                    doing, text, extended);
}
