/* SPDX-License-Identifier: MIT */
#include "vault/local_store.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_name[] = "secrets.json";
static const char temp_name[] = "secrets.json.tmp";
static const char backup_start[] = "secrets.json.bak.";

enum { NAME_MAX_LEN = 48, LOCK_TIMEOUT_MS = 30000 };

enum sck_code
sck_local_store_init(struct sck_local_store *store, const char *dir, unsigned backups, struct sck_err *err)
{
    store->backups = backups;
    if (strlen(dir) >= sizeof store->dir)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: [keeper local] path is too long");
    memcpy(store->dir, dir, strlen(dir) + 1);
    (void)snprintf(store->path, sizeof store->path, "%s/%s", dir, file_name);
    return SCK_OK;
}

static enum sck_code
check_owner(const struct stat *st, const char *path, const char *mode, struct sck_err *err)
{
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s belongs to another user: make it your own (chown)", path);
    if ((st->st_mode & 077) != 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s is open to others (mode %04o): run chmod %s on it", path,
                        (unsigned)(st->st_mode & 07777), mode);
    return SCK_OK;
}

static enum sck_code
open_folder(const struct sck_local_store *store, int *fd, struct sck_err *err)
{
    struct stat st;
    *fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 && errno == ENOENT)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: folder %s is not there: mount or restore it, or correct "
                        "[keeper local] path", store->dir);
    if (*fd < 0)
        return sck_fail_errno(err, SCK_E_CONFIG, errno, "keeper local: %s is no folder that can be opened (symbolic links "
                              "are refused)", store->dir);
    enum sck_code rc = fstat(*fd, &st) == 0
                           ? check_owner(&st, store->dir, "0700", err)
                           : sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot examine %s", store->dir);
    if (rc != SCK_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return rc;
}

/* An open file of the folder, checked; `path` is for messages. */
static enum sck_code
open_file(int dir_fd, const char *name, const char *path, int *fd, struct stat *st, struct sck_err *err)
{
    /* O_NONBLOCK: a pipe put in the file's place must not hang us. */
    *fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0 && errno == ENOENT)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s is not there: restore it from its newest backup", path);
    if (*fd < 0 && errno == ELOOP)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: %s is a symbolic link: put the file itself there", path);
    if (*fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot open %s", path);
    enum sck_code rc = SCK_OK;
    if (fstat(*fd, st) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot examine %s", path);
    else if (!S_ISREG(st->st_mode))
        rc = sck_fail(err, SCK_E_CONFIG, "keeper local: %s is not a regular file", path);
    else
        rc = check_owner(st, path, "0600", err);
    if (rc != SCK_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return rc;
}

static enum sck_code
read_all(int fd, const char *path, struct sck_buf *out, struct sck_err *err)
{
    uint8_t chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot read %s", path);
        sck_buf_put(out, chunk, (size_t)n);
    }
    return sck_buf_check(out, path, err);
}

static struct sck_local_stamp
stamp_of(const struct stat *st)
{
    return (struct sck_local_stamp){st->st_dev, st->st_ino, st->st_size,
                                    (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                                    (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec};
}

static bool
same_stamp(const struct sck_local_stamp *a, const struct sck_local_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

/* Read one file of the folder.  `stamp` may be NULL. */
static enum sck_code
read_doc(int dir_fd, const char *name, const char *path, struct sck_local_stamp *stamp, json_t **doc,
         struct sck_err *err)
{
    struct stat st;
    struct sck_buf text;
    int fd = -1;
    *doc = NULL;
    enum sck_code rc = open_file(dir_fd, name, path, &fd, &st, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_local_stamp now = stamp_of(&st);
    sck_buf_init(&text, SCK_LOCAL_FILE_MAX);
    if (stamp == NULL || !same_stamp(stamp, &now)) {
        rc = read_all(fd, path, &text, err);
        if (rc == SCK_OK)
            rc = sck_local_doc_parse(path, text.data, text.len, doc, err);
        if (rc == SCK_OK && stamp != NULL)
            *stamp = now;
    }
    sck_buf_clear(&text);
    (void)close(fd);
    return rc;
}

enum sck_code
sck_local_store_read(const struct sck_local_store *store, struct sck_local_stamp *stamp, json_t **doc,
                     struct sck_err *err)
{
    int dir_fd = -1;
    *doc = NULL;
    enum sck_code rc = open_folder(store, &dir_fd, err);
    if (rc == SCK_OK)
        rc = read_doc(dir_fd, file_name, store->path, stamp, doc, err);
    if (dir_fd >= 0)
        (void)close(dir_fd);
    return rc;
}

static enum sck_code
lock_folder(const struct sck_local_store *store, int *lock_fd, struct sck_err *err)
{
    char path[sizeof store->dir + 16];
    (void)snprintf(path, sizeof path, "%s/secrets.lock", store->dir);
    return sck_lock_acquire(path, LOCK_TIMEOUT_MS, lock_fd, err);
}

/* Write `doc` to the temporary, synced.  One name for all: whoever holds the lock is alone. */
static enum sck_code
write_temp(int dir_fd, const struct sck_local_store *store, const json_t *doc, struct sck_err *err)
{
    struct sck_buf text;
    sck_buf_init(&text, SCK_LOCAL_FILE_MAX);
    enum sck_code rc = sck_local_doc_format(doc, &text, err);
    int fd = rc == SCK_OK ? openat(dir_fd, temp_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (rc == SCK_OK && fd < 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot write in %s", store->dir);
    if (rc == SCK_OK)
        rc = sck_fd_write_all(fd, text.data, text.len, store->path, err);
    if (rc == SCK_OK && (fchmod(fd, 0600) != 0 || fsync(fd) != 0))
        rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot write %s", store->path);
    if (fd >= 0 && close(fd) != 0 && rc == SCK_OK)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot write %s", store->path);
    if (fd >= 0 && rc != SCK_OK)
        (void)unlinkat(dir_fd, temp_name, 0);
    sck_buf_clear(&text);
    return rc;
}

/* Put the temporary into `name`'s place, for good. */
static enum sck_code
put_in_place(int dir_fd, const struct sck_local_store *store, const char *name, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (renameat(dir_fd, temp_name, dir_fd, name) != 0) {
        rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot put %s/%s in its place", store->dir, name);
        (void)unlinkat(dir_fd, temp_name, 0);
    } else {
        sck_fault_point("local.renamed");
        if (fsync(dir_fd) != 0)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot sync %s", store->dir);
    }
    return rc;
}

static enum sck_code
replace(int dir_fd, const struct sck_local_store *store, const char *name, const json_t *doc, struct sck_err *err)
{
    enum sck_code rc = write_temp(dir_fd, store, doc, err);
    if (rc == SCK_OK)
        rc = put_in_place(dir_fd, store, name, err);
    return rc;
}

bool
sck_local_store_is_absent(const struct sck_local_store *store)
{
    struct stat st;
    char backup[sizeof store->path + 8];
    (void)snprintf(backup, sizeof backup, "%s.bak.1", store->path);
    return lstat(store->path, &st) != 0 && errno == ENOENT && lstat(backup, &st) != 0 && errno == ENOENT;
}

enum sck_code
sck_local_store_create(const struct sck_local_store *store, const json_t *doc, struct sck_err *err)
{
    struct stat st;
    int dir_fd = -1, lock_fd = -1;
    enum sck_code rc = sck_dir_make(store->dir, 0700, err);
    if (rc == SCK_OK)
        rc = open_folder(store, &dir_fd, err);
    if (rc == SCK_OK)
        rc = lock_folder(store, &lock_fd, err);
    if (rc != SCK_OK)
        goto out;
    (void)unlinkat(dir_fd, temp_name, 0);
    if (fstatat(dir_fd, file_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        rc = sck_fail(err, SCK_E_EXISTS, "keeper local: %s is there already", store->path);
    else
        rc = replace(dir_fd, store, file_name, doc, err);
    if (rc == SCK_OK)
        rc = sck_file_sync_parent(store->dir, err);
out:
    sck_lock_release(&lock_fd);
    if (dir_fd >= 0)
        (void)close(dir_fd);
    return rc;
}

/* ---- changes ---- */

enum sck_code
sck_local_edit_begin(const struct sck_local_store *store, struct sck_local_edit *edit, struct sck_err *err)
{
    *edit = (struct sck_local_edit){store, -1, -1, NULL};
    enum sck_code rc = open_folder(store, &edit->dir_fd, err);
    if (rc == SCK_OK)
        rc = lock_folder(store, &edit->lock_fd, err);
    if (rc == SCK_OK) {
        /* Of somebody who was killed while writing; it may hold a key that is to be erased now. */
        (void)unlinkat(edit->dir_fd, temp_name, 0);
        rc = read_doc(edit->dir_fd, file_name, store->path, NULL, &edit->doc, err);
    }
    return rc;
}

void
sck_local_edit_end(struct sck_local_edit *edit)
{
    json_decref(edit->doc);
    edit->doc = NULL;
    sck_lock_release(&edit->lock_fd);
    if (edit->dir_fd >= 0)
        (void)close(edit->dir_fd);
    edit->dir_fd = -1;
}

/* The number of a backup's name, 0 when it is none. */
static unsigned
backup_number(const char *name)
{
    uint64_t number = 0;
    size_t len = sizeof backup_start - 1;
    if (strncmp(name, backup_start, len) != 0 ||
        !sck_u64_parse(name + len, strlen(name + len), 1000000, &number))
        return 0;
    return (unsigned)number;
}

static void
backup_name(unsigned number, char out[NAME_MAX_LEN])
{
    (void)snprintf(out, NAME_MAX_LEN, "%s%u", backup_start, number);
}

/* The numbers of all backups there are, allocated. */
static enum sck_code
list_backups(const struct sck_local_edit *edit, unsigned **numbers, size_t *count, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    const struct dirent *item = NULL;
    DIR *dir = opendir(edit->store->dir);
    *numbers = NULL;
    *count = 0;
    if (dir == NULL)
        return sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot list %s", edit->store->dir);
    while (rc == SCK_OK && (item = readdir(dir)) != NULL) {
        unsigned number = backup_number(item->d_name);
        if (number == 0)
            continue;
        unsigned *more = realloc(*numbers, (*count + 1) * sizeof *more);
        if (more == NULL) {
            rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
        } else {
            *numbers = more;
            more[(*count)++] = number;
        }
    }
    (void)closedir(dir);
    return rc;
}

/* .bak.1 becomes .bak.2 and so on, the last one goes; the file itself becomes .bak.1 as well. */
static enum sck_code
shift_backups(const struct sck_local_edit *edit, struct sck_err *err)
{
    char from[NAME_MAX_LEN], to[NAME_MAX_LEN];
    unsigned keep = edit->store->backups, *numbers = NULL;
    size_t count = 0;
    enum sck_code rc = list_backups(edit, &numbers, &count, err);
    for (size_t i = 0; rc == SCK_OK && i < count; i++) {
        backup_name(numbers[i], from);
        if (numbers[i] >= keep && unlinkat(edit->dir_fd, from, 0) != 0)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot remove %s/%s", edit->store->dir, from);
    }
    for (unsigned n = keep; rc == SCK_OK && n > 1; n--) {
        backup_name(n - 1, from);
        backup_name(n, to);
        if (renameat(edit->dir_fd, from, edit->dir_fd, to) != 0 && errno != ENOENT)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot rename %s/%s", edit->store->dir, from);
    }
    backup_name(1, to);
    if (rc == SCK_OK && keep > 0 && linkat(edit->dir_fd, file_name, edit->dir_fd, to, 0) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "keeper local: cannot make %s/%s", edit->store->dir, to);
    free(numbers);
    return rc;
}

enum sck_code
sck_local_edit_commit(struct sck_local_edit *edit, struct sck_err *err)
{
    enum sck_code rc = write_temp(edit->dir_fd, edit->store, edit->doc, err);
    if (rc != SCK_OK)
        return rc;
    sck_fault_point("local.written");
    rc = shift_backups(edit, err);
    sck_fault_point("local.backup");
    if (rc == SCK_OK)
        return put_in_place(edit->dir_fd, edit->store, file_name, err);
    (void)unlinkat(edit->dir_fd, temp_name, 0);
    return rc;
}

/* One backup: read, strip, write. With `verify`, it must hold nothing any more. */
static enum sck_code
purge_backup(const struct sck_local_edit *edit, unsigned number, sck_local_strip_fn strip, const void *arg, bool verify,
             struct sck_err *err)
{
    char name[NAME_MAX_LEN], path[sizeof edit->store->dir + NAME_MAX_LEN];
    struct sck_err why = SCK_ERR_INIT;
    json_t *doc = NULL;
    backup_name(number, name);
    (void)snprintf(path, sizeof path, "%s/%s", edit->store->dir, name);
    enum sck_code rc = read_doc(edit->dir_fd, name, path, NULL, &doc, &why);
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_CONFIG ? SCK_E_INTEGRITY : rc, "a backup may still hold the KEK, and cannot be "
                        "read (remove it, and try again): %s", why.message);
    bool held = strip(doc, arg);
    if (held && verify)
        rc = sck_fail(err, SCK_E_INTEGRITY, "keeper local: %s holds what was taken out of it", path);
    else if (held)
        rc = replace(edit->dir_fd, edit->store, name, doc, err);
    json_decref(doc);
    return rc;
}

static enum sck_code
purge_backups(const struct sck_local_edit *edit, sck_local_strip_fn strip, const void *arg, bool verify,
              struct sck_err *err)
{
    unsigned *numbers = NULL;
    size_t count = 0;
    enum sck_code rc = list_backups(edit, &numbers, &count, err);
    for (size_t i = 0; rc == SCK_OK && i < count; i++)
        rc = purge_backup(edit, numbers[i], strip, arg, verify, err);
    free(numbers);
    return rc;
}

enum sck_code
sck_local_edit_purge(struct sck_local_edit *edit, sck_local_strip_fn strip, const void *arg, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    json_t *again = NULL;
    if (strip(edit->doc, arg))
        rc = replace(edit->dir_fd, edit->store, file_name, edit->doc, err);
    sck_fault_point("local.purged");
    if (rc == SCK_OK)
        rc = purge_backups(edit, strip, arg, false, err);
    if (rc == SCK_OK)
        rc = purge_backups(edit, strip, arg, true, err);
    if (rc == SCK_OK)
        rc = read_doc(edit->dir_fd, file_name, edit->store->path, NULL, &again, err);
    if (rc == SCK_OK && strip(again, arg))
        rc = sck_fail(err, SCK_E_INTEGRITY, "keeper local: %s holds what was taken out of it", edit->store->path);
    json_decref(again);
    return rc;
}
