/* SPDX-License-Identifier: MIT */
/* Files that are whole or not there: strict reading, atomic writing, locks between processes. */
#ifndef SCK_BASE_FILE_H
#define SCK_BASE_FILE_H

#include "lib/base/bytes.h"
#include "lib/base/secret.h"

#include <sys/types.h>

/* Read a whole file of at most `max_len` bytes.  SCK_E_NOT_FOUND when absent, SCK_E_IO, SCK_E_USAGE when larger. */
SCK_MUST_CHECK enum sck_code sck_file_read(const char *path, size_t max_len, struct sck_buf *out,
                                           struct sck_err *err);

/*
 * Read one secret (PIN, token, API key) from a file: at most 4096 bytes, one trailing line end dropped.
 * Refused as SCK_E_CONFIG unless it is a regular file owned by this user or root and not accessible to
 * group or others (mode & 077 == 0), or empty.  SCK_E_NOT_FOUND when absent.  `what` names it in messages.
 */
SCK_MUST_CHECK enum sck_code sck_file_read_secret(const char *path, const char *what, struct sck_secret **out,
                                                  struct sck_err *err);
/* The same from an open descriptor (systemd credential, pipe), read to its end and left open; no mode check. */
SCK_MUST_CHECK enum sck_code sck_fd_read_secret(int fd, const char *what, struct sck_secret **out,
                                                struct sck_err *err);
/* The same from a file that others may read too (a workload's JWT), at most 16384 bytes; no owner or mode check. */
SCK_MUST_CHECK enum sck_code sck_file_read_shared_secret(const char *path, const char *what, struct sck_secret **out,
                                                         struct sck_err *err);
/* Owner and mode as sck_file_read_secret() wants them, for a file that somebody else reads.  SCK_E_NOT_FOUND when absent. */
SCK_MUST_CHECK enum sck_code sck_file_check_private(const char *path, const char *what, struct sck_err *err);
/* Path of a systemd credential (systemd.exec(5)), allocated; NULL under AT_SECURE, without any, or for a name with a slash. */
char *sck_systemd_credential_path(const char *name);

/*
 * Replace `path` atomically: temporary in the same directory, mode `mode`, fsync, rename, fsync of the
 * directory.  After a failure the old file is as it was and no temporary is left.  SCK_E_IO.
 */
SCK_MUST_CHECK enum sck_code sck_file_replace(const char *path, const void *data, size_t len, mode_t mode,
                                              struct sck_err *err);
/* As sck_file_replace() but SCK_E_EXISTS when `path` is there. */
SCK_MUST_CHECK enum sck_code sck_file_create(const char *path, const void *data, size_t len, mode_t mode,
                                             struct sck_err *err);
/* Append `len` bytes with one write and fsync; creates the file with `mode`.  A short write is undone.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_file_append(const char *path, const void *data, size_t len, mode_t mode,
                                             struct sck_err *err);
/* fsync the directory that holds `path`.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_file_sync_parent(const char *path, struct sck_err *err);
/* Write all `len` bytes to `fd` (EINTR and short writes handled).  SCK_E_IO names `what`. */
SCK_MUST_CHECK enum sck_code sck_fd_write_all(int fd, const void *data, size_t len, const char *what,
                                              struct sck_err *err);

/* Make a directory and its parents; one that exists is left as it is.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_dir_make(const char *path, mode_t mode, struct sck_err *err);

/* "dir/name", allocated; NULL when out of memory.  Free with free(). */
char *sck_path_join(const char *dir, const char *name);

/*
 * Take an exclusive advisory lock (open file description lock) on `path`, made 0600 if absent, waiting at
 * most `timeout_ms`.  *fd is then held until sck_lock_release().  SCK_E_BUSY when the time is over.
 * Dies with the process, is not inherited by children's own opens.
 */
SCK_MUST_CHECK enum sck_code sck_lock_acquire(const char *path, int64_t timeout_ms, int *fd, struct sck_err *err);
/* Release and close; *fd becomes -1.  Safe on -1. */
void sck_lock_release(int *fd);

#endif
