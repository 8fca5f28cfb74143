/* SPDX-License-Identifier: MIT */
#include "lib/base/file.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_MAX 4096
#define SHARED_SECRET_MAX 16384

static ssize_t
read_retry(int fd, void *data, size_t len)
{
    ssize_t n;
    do {
        n = read(fd, data, len);
    } while (n < 0 && errno == EINTR);
    return n;
}

enum sck_code
sck_file_read(const char *path, size_t max_len, struct sck_buf *out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return sck_fail_errno(err, errno == ENOENT ? SCK_E_NOT_FOUND : SCK_E_IO, errno, "cannot open %s", path);
    sck_buf_init(out, max_len);
    uint8_t chunk[4096];
    for (;;) {
        ssize_t n = read_retry(fd, chunk, sizeof chunk);
        if (n < 0)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", path);
        if (n <= 0)
            break;
        sck_buf_put(out, chunk, (size_t)n);
    }
    if (rc == SCK_OK)
        rc = sck_buf_check(out, path, err);
    if (rc != SCK_OK)
        sck_buf_clear(out);
    (void)close(fd);
    return rc;
}

static enum sck_code
read_secret(int fd, size_t most, const char *what, struct sck_secret **out, struct sck_err *err)
{
    struct sck_secret *s = NULL;
    enum sck_code rc = sck_secret_new(most + 2, &s, err);
    if (rc != SCK_OK)
        return rc;
    size_t used = 0;
    while (used < s->len) {
        ssize_t n = read_retry(fd, s->data + used, s->len - used);
        if (n < 0) {
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", what);
            goto out;
        }
        if (n == 0)
            break;
        used += (size_t)n;
    }
    if (used > 0 && s->data[used - 1] == '\n')
        used--;
    if (used > 0 && s->data[used - 1] == '\r')
        used--;
    if (used == 0)
        rc = sck_fail(err, SCK_E_CONFIG, "%s is empty: put the secret on its first line", what);
    else if (used > most)
        rc = sck_fail(err, SCK_E_CONFIG, "%s is longer than %zu bytes", what, most);
    else
        rc = sck_secret_from(s->data, used, out, err);
out:
    sck_secret_free(&s);
    return rc;
}

enum sck_code
sck_fd_read_secret(int fd, const char *what, struct sck_secret **out, struct sck_err *err)
{
    return read_secret(fd, SECRET_FILE_MAX, what, out, err);
}

/* Open a regular file for reading; `priv` refuses one that is not the user's own and his alone. */
static enum sck_code
open_secret(const char *path, bool priv, const char *name, int *fd, struct sck_err *err)
{
    struct stat st;
    enum sck_code rc = SCK_OK;
    /* O_NONBLOCK: a pipe put in the file's place must not hang the caller. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0)
        return sck_fail_errno(err, errno == ENOENT ? SCK_E_NOT_FOUND : SCK_E_IO, errno, "cannot open %s", name);
    if (fstat(*fd, &st) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", name);
    else if (!S_ISREG(st.st_mode))
        rc = sck_fail(err, SCK_E_CONFIG, "%s is not a regular file", name);
    else if (priv && st.st_uid != geteuid() && st.st_uid != 0)
        rc = sck_fail(err, SCK_E_CONFIG, "%s belongs to another user: make it your own (chown)", name);
    else if (priv && (st.st_mode & 077) != 0)
        rc = sck_fail(err, SCK_E_CONFIG, "%s can be read by others (mode %04o): run chmod 600 on it", name,
                      (unsigned)(st.st_mode & 07777));
    if (rc != SCK_OK)
        (void)close(*fd);
    return rc;
}

/* Open and read; `most` 0 only checks. */
static enum sck_code
open_and_read(const char *path, bool priv, size_t most, const char *what, struct sck_secret **out,
              struct sck_err *err)
{
    char name[512];
    int fd = -1;
    (void)snprintf(name, sizeof name, "%s %s", what, path);
    enum sck_code rc = open_secret(path, priv, name, &fd, err);
    if (rc != SCK_OK)
        return rc;
    if (most > 0)
        rc = read_secret(fd, most, name, out, err);
    (void)close(fd);
    return rc;
}

enum sck_code
sck_file_read_secret(const char *path, const char *what, struct sck_secret **out, struct sck_err *err)
{
    return open_and_read(path, true, SECRET_FILE_MAX, what, out, err);
}

enum sck_code
sck_file_read_shared_secret(const char *path, const char *what, struct sck_secret **out, struct sck_err *err)
{
    return open_and_read(path, false, SHARED_SECRET_MAX, what, out, err);
}

enum sck_code
sck_file_check_private(const char *path, const char *what, struct sck_err *err)
{
    return open_and_read(path, true, 0, what, NULL, err);
}

char *
sck_systemd_credential_path(const char *name)
{
    const char *folder = getauxval(AT_SECURE) != 0 ? NULL : getenv("CREDENTIALS_DIRECTORY");
    return folder != NULL && strchr(name, '/') == NULL ? sck_path_join(folder, name) : NULL;
}

enum sck_code
sck_fd_write_all(int fd, const void *data, size_t len, const char *what, struct sck_err *err)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", what);
        p += n;
        len -= (size_t)n;
    }
    return SCK_OK;
}

static enum sck_code
sync_dir(const char *dir, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot sync directory %s", dir);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

enum sck_code
sck_file_sync_parent(const char *path, struct sck_err *err)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    enum sck_code rc = sync_dir(dirname(copy), err);
    free(copy);
    return rc;
}

/* Write a synced temporary beside `path`; *temp is its name, owned by the caller. */
static enum sck_code
write_temp(const char *path, const void *data, size_t len, mode_t mode, char **temp, struct sck_err *err)
{
    enum sck_code rc;
    size_t size = strlen(path) + sizeof ".XXXXXX";
    *temp = malloc(size);
    if (*temp == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    (void)snprintf(*temp, size, "%s.XXXXXX", path);
    int fd = mkostemp(*temp, O_CLOEXEC);
    if (fd < 0) {
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot create a file beside %s", path);
        free(*temp);
        *temp = NULL;
        return rc;
    }
    rc = sck_fd_write_all(fd, data, len, path, err);
    if (rc == SCK_OK && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", path);
    if (close(fd) != 0 && rc == SCK_OK)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", path);
    if (rc != SCK_OK) {
        (void)unlink(*temp);
        free(*temp);
        *temp = NULL;
    }
    return rc;
}

enum sck_code
sck_file_replace(const char *path, const void *data, size_t len, mode_t mode, struct sck_err *err)
{
    char *temp = NULL;
    enum sck_code rc = write_temp(path, data, len, mode, &temp, err);
    if (rc != SCK_OK)
        return rc;
    if (rename(temp, path) != 0) {
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot put %s in its place", path);
        (void)unlink(temp);
    } else {
        rc = sck_file_sync_parent(path, err);
    }
    free(temp);
    return rc;
}

enum sck_code
sck_file_create(const char *path, const void *data, size_t len, mode_t mode, struct sck_err *err)
{
    char *temp = NULL;
    enum sck_code rc = write_temp(path, data, len, mode, &temp, err);
    if (rc != SCK_OK)
        return rc;
    if (link(temp, path) != 0)
        rc = sck_fail_errno(err, errno == EEXIST ? SCK_E_EXISTS : SCK_E_IO, errno, "cannot create %s", path);
    (void)unlink(temp);
    if (rc == SCK_OK)
        rc = sck_file_sync_parent(path, err);
    free(temp);
    return rc;
}

enum sck_code
sck_file_append(const char *path, const void *data, size_t len, mode_t mode, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open %s", path);
    if (fstat(fd, &st) != 0) {
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", path);
        goto out;
    }
    rc = sck_fd_write_all(fd, data, len, path, err);
    if (rc != SCK_OK) {
        /* A full disk must not leave half a line for the next reader. */
        if (ftruncate(fd, st.st_size) != 0)
            sck_err_prefix(err, "%s now ends in a partial line", path);
        goto out;
    }
    if (fsync(fd) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot sync %s", path);
    else if (st.st_size == 0)
        rc = sck_file_sync_parent(path, err);
out:
    (void)close(fd);
    return rc;
}

enum sck_code
sck_dir_make(const char *path, mode_t mode, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    char *copy = strdup(path);
    if (copy == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    for (char *p = copy + 1; rc == SCK_OK; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        struct stat st;
        if (mkdir(copy, mode) != 0 && (errno != EEXIST || stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)))
            rc = sck_fail_errno(err, SCK_E_IO, errno == EEXIST ? ENOTDIR : errno, "cannot make directory %s", copy);
        *p = c;
        if (c == '\0')
            break;
    }
    free(copy);
    return rc;
}

char *
sck_path_join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + 1 + strlen(name) + 1;
    char *path = malloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

enum sck_code
sck_lock_acquire(const char *path, int64_t timeout_ms, int *fd, struct sck_err *err)
{
    const struct sck_clock *clock = sck_clock_system();
    int64_t until = sck_monotonic_us(clock) + timeout_ms * 1000;
    int64_t wait_ms = 1;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open lock file %s", path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    while (fcntl(*fd, F_OFD_SETLK, &lock) != 0) {
        int saved = errno;
        if (saved == EINTR)
            continue;
        bool over = sck_monotonic_us(clock) >= until;
        if ((saved != EAGAIN && saved != EACCES) || over) {
            sck_lock_release(fd);
            if (over)
                return sck_fail(err, SCK_E_BUSY, "another process holds %s: try again when it is done", path);
            return sck_fail_errno(err, SCK_E_IO, saved, "cannot lock %s", path);
        }
        clock->sleep_ms(clock->arg, wait_ms);
        if (wait_ms < 20)
            wait_ms *= 2;
    }
    return SCK_OK;
}

void
sck_lock_release(int *fd)
{
    /* A child that was forked meanwhile shares the lock, and closing our descriptor alone would leave it to the child. */
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    if (*fd >= 0) {
        (void)fcntl(*fd, F_OFD_SETLK, &unlock);
        (void)close(*fd);
    }
    *fd = -1;
}
