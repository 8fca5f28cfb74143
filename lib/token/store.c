/* SPDX-License-Identifier: MIT */
#include "lib/token/store.h"

#include "lib/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 4 };

enum sck_code
sck_write_begin(const struct sck_token_conf *conf, struct sck_write *w, struct sck_err *err)
{
    w->conf = conf;
    w->lock = -1;
    w->since_s = (int64_t)time(NULL) - 2;
    return sck_lock_acquire(conf->lock_path, conf->session_wait_ms, &w->lock, err);
}

void
sck_write_end(struct sck_write *w)
{
    sck_lock_release(&w->lock);
}

void
sck_login_lock(const struct sck_token_conf *conf, int *fd)
{
    char path[PATH_MAX];
    *fd = -1;
    if (conf->store_dir == NULL || conf->lock_path == NULL)
        return;
    struct sck_err ignored = SCK_ERR_INIT;
    int n = snprintf(path, sizeof path, "%s.login", conf->lock_path);
    if (n < 0 || (size_t)n >= sizeof path || sck_lock_acquire(path, conf->session_wait_ms, fd, &ignored) != SCK_OK)
        *fd = -1;
}

static enum sck_code sync_folder(int fd, const char *path, int64_t since_s, int depth, struct sck_err *err);

static enum sck_code
sync_entry(int dir, const char *name, const char *path, int64_t since_s, int depth, struct sck_err *err)
{
    struct stat st;
    enum sck_code rc = SCK_OK;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? SCK_OK : sck_fail_errno(err, SCK_E_IO, errno, "cannot look at %s/%s", path, name);
    bool folder = S_ISDIR(st.st_mode) && depth < DEPTH_MAX;
    if (!folder && (!S_ISREG(st.st_mode) || (int64_t)st.st_mtime < since_s))
        return SCK_OK;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (folder ? O_DIRECTORY : O_NONBLOCK));
    if (fd < 0)
        return errno == ENOENT ? SCK_OK : sck_fail_errno(err, SCK_E_IO, errno, "cannot open %s/%s", path, name);
    if (folder)
        return sync_folder(fd, path, since_s, depth + 1, err);
    if (fsync(fd) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot sync %s/%s", path, name);
    (void)close(fd);
    return rc;
}

/* Takes `fd`. */
static enum sck_code
sync_folder(int fd, const char *path, int64_t since_s, int depth, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    DIR *d = fdopendir(fd);
    if (d == NULL) {
        (void)close(fd);
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot read the folder %s", path);
    }
    struct dirent *e;
    while (rc == SCK_OK && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = sync_entry(dirfd(d), e->d_name, path, since_s, depth, err);
    }
    if (rc == SCK_OK && fsync(dirfd(d)) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot sync the folder %s", path);
    (void)closedir(d);
    return rc;
}

enum sck_code
sck_write_sync(const struct sck_write *w, struct sck_err *err)
{
    if (w->conf->store_dir == NULL)
        return SCK_OK;
    int fd = open(w->conf->store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open the token store %s", w->conf->store_dir);
    return sync_folder(fd, w->conf->store_dir, w->since_s, 0, err);
}
