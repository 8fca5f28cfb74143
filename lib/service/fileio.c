/* SPDX-License-Identifier: MIT */
#include "lib/service/fileio.h"

#include "lib/base/file.h"
#include "lib/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A process that closed its standard descriptors gets them back from open(): nobody may print into a file of ours. */
static int
above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return higher;
}

static enum sck_code
check_kind(const char *path, mode_t mode, struct sck_err *err)
{
    if (S_ISREG(mode) || S_ISFIFO(mode))
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "%s is %s", path,
                    S_ISDIR(mode) ? "a directory: name a file" : "neither a file nor a pipe: name a file");
}

enum sck_code
sck_input_open(const char *path, struct sck_input *in, struct sck_err *err)
{
    bool standard = strcmp(path, "-") == 0;
    *in = (struct sck_input){.fd = -1, .name = standard ? "standard input" : path};
    /* Before it is opened: that alone does things to some devices, and fails on sockets. */
    if (!standard && stat(path, &in->st) == 0) {
        enum sck_code rc = check_kind(path, in->st.st_mode, err);
        if (rc != SCK_OK)
            return rc;
    }
    in->fd = standard ? STDIN_FILENO : above_standard(open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (in->fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open %s", path);
    enum sck_code rc = SCK_OK;
    if (fstat(in->fd, &in->st) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", in->name);
    else if (!standard)
        rc = check_kind(path, in->st.st_mode, err);
    in->is_regular = S_ISREG(in->st.st_mode);
    if (rc != SCK_OK)
        sck_input_close(in);
    return rc;
}

void
sck_input_close(struct sck_input *in)
{
    if (in->fd > STDIN_FILENO)
        (void)close(in->fd);
    in->fd = -1;
}

enum sck_code
sck_input_read(const struct sck_input *in, uint8_t *data, size_t len, size_t *got, struct sck_err *err)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = read(in->fd, data + *got, len - *got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", in->name);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return SCK_OK;
}

enum sck_code
sck_input_check_unchanged(const struct sck_input *in, struct sck_err *err)
{
    struct stat now;
    if (!in->is_regular)
        return SCK_OK;
    if (fstat(in->fd, &now) != 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", in->name);
    bool same = now.st_size == in->st.st_size && now.st_mtim.tv_sec == in->st.st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == in->st.st_mtim.tv_nsec;
    return same ? SCK_OK : sck_fail(err, SCK_E_IO, "%s was changed while it was read: try again", in->name);
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static enum sck_code
check_stdout(const struct sck_input *in, bool is_ciphertext, struct sck_err *err)
{
    struct stat st;
    if (is_ciphertext && isatty(STDOUT_FILENO) == 1)
        return sck_fail(err, SCK_E_USAGE, "ciphertext is not written to a terminal: use -o FILE or a pipe");
    if (fstat(STDOUT_FILENO, &st) != 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot write standard output");
    /* Appending to what is being read would never end. */
    if (S_ISREG(st.st_mode) && is_same(&st, &in->st))
        return sck_fail(err, SCK_E_USAGE, "standard output is the input itself: write to another file");
    return SCK_OK;
}

static enum sck_code
check_target(const struct sck_file_io *io, const struct sck_input *in, struct sck_err *err)
{
    struct stat st;
    struct stat target;
    size_t len = strlen(io->out);
    if (len == 0)
        return sck_fail(err, SCK_E_USAGE, "the output has an empty name: give a file name with -o");
    bool taken = lstat(io->out, &st) == 0;
    if (!taken && errno != ENOENT && errno != ENOTDIR)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", io->out);
    if (taken && S_ISLNK(st.st_mode) && stat(io->out, &target) == 0)
        st = target;
    if (taken && is_same(&st, &in->st))
        return sck_fail(err, SCK_E_USAGE, "%s is input and output at once: give another name with -o", io->out);
    if (io->out[len - 1] == '/' || (taken && S_ISDIR(st.st_mode)))
        return sck_fail(err, SCK_E_USAGE, "%s is a directory: give a file name with -o", io->out);
    if (taken && !io->force)
        return sck_fail(err, SCK_E_EXISTS, "%s exists: choose another name or use --force", io->out);
    if (taken && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
        return sck_fail(err, SCK_E_USAGE, "%s is no regular file and is not replaced", io->out);
    return SCK_OK;
}

static char *
parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* A name beside the target that nobody else has. */
static char *
temp_name(const struct sck_output *out, struct sck_err *err)
{
    uint8_t random[10];
    char text[24];
    if (sck_random(random, sizeof random, err) != SCK_OK)
        return NULL;
    sck_base32hex_format(random, sizeof random, text);
    size_t size = strlen(out->dir) + sizeof "/.scopekey-.tmp" + strlen(text);
    char *name = malloc(size);
    if (name != NULL)
        (void)snprintf(name, size, "%s/.scopekey-%s.tmp", out->dir, text);
    else
        (void)sck_fail(err, SCK_E_MEMORY, "out of memory");
    return name;
}

/* A nameless file beside the target; where there are none, or none can get a name, a temporary. */
static enum sck_code
open_temp(struct sck_output *out, mode_t mode, struct sck_err *err)
{
    if (access("/proc/self/fd", X_OK) == 0)
        out->fd = above_standard(open(out->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
    else
        errno = EOPNOTSUPP;
    if (out->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        out->temp = temp_name(out, err);
        if (out->temp == NULL)
            return SCK_E_MEMORY;
        out->fd = above_standard(open(out->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    }
    if (out->fd >= 0)
        return SCK_OK;
    enum sck_code rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot write into directory %s", out->dir);
    free(out->temp);
    out->temp = NULL;
    return rc;
}

enum sck_code
sck_output_open(const struct sck_file_io *io, const struct sck_input *in, mode_t mode, bool is_ciphertext,
                struct sck_output *out, struct sck_err *err)
{
    bool standard = strcmp(io->out, "-") == 0;
    *out = (struct sck_output){.fd = -1, .path = io->out, .name = standard ? "standard output" : io->out,
                               .force = io->force, .sync = io->sync};
    enum sck_code rc = standard ? check_stdout(in, is_ciphertext, err) : check_target(io, in, err);
    if (rc != SCK_OK)
        return rc;
    if (standard) {
        out->fd = STDOUT_FILENO;
        return SCK_OK;
    }
    out->dir = parent_of(io->out);
    return out->dir != NULL ? open_temp(out, mode, err) : sck_fail(err, SCK_E_MEMORY, "out of memory");
}

/* Give the file a name that nobody has; EEXIST comes back as errno. */
static int
name_it(struct sck_output *out, const char *name)
{
    char self[64];
    if (out->temp == NULL) {
        (void)snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
        return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
    }
    /* Not every file system can do this one, nor every one the other. */
    if (renameat2(AT_FDCWD, out->temp, AT_FDCWD, name, RENAME_NOREPLACE) == 0) {
        free(out->temp);
        out->temp = NULL;
        return 0;
    }
    return errno == EINVAL || errno == ENOSYS ? link(out->temp, name) : -1;
}

static enum sck_code
replace(struct sck_output *out, struct sck_err *err)
{
    if (out->temp == NULL) {
        char *name = temp_name(out, err);
        if (name == NULL)
            return SCK_E_MEMORY;
        if (name_it(out, name) != 0) {
            enum sck_code rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", out->path);
            free(name);
            return rc;
        }
        out->temp = name;
    }
    if (rename(out->temp, out->path) != 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot replace %s", out->path);
    free(out->temp);
    out->temp = NULL;
    return SCK_OK;
}

enum sck_code
sck_output_commit(struct sck_output *out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (out->dir == NULL)
        return SCK_OK;
    if (out->sync && fsync(out->fd) != 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", out->path);
    if (out->force)
        rc = replace(out, err);
    else if (name_it(out, out->path) != 0)
        rc = errno == EEXIST
                 ? sck_fail(err, SCK_E_EXISTS, "%s exists: choose another name or use --force", out->path)
                 : sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", out->path);
    out->is_named = rc == SCK_OK;
    if (rc == SCK_OK && out->sync)
        rc = sck_file_sync_parent(out->path, err);
    return rc;
}

void
sck_output_close(struct sck_output *out)
{
    if (out->temp != NULL)
        (void)unlink(out->temp);
    if (out->fd > STDERR_FILENO)
        (void)close(out->fd);
    free(out->temp);
    free(out->dir);
    *out = (struct sck_output){.fd = -1};
}
