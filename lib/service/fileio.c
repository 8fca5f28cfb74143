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

enum sck_code
sck_input_open(const char *path, struct sck_input *in, struct sck_err *err)
{
    bool standard = strcmp(path, "-") == 0;
    *in = (struct sck_input){.fd = -1, .name = standard ? "standard input" : path};
    if (standard)
        in->fd = STDIN_FILENO;
    else
        in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (in->fd < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot open %s", path);
    if (fstat(in->fd, &in->st) != 0) {
        enum sck_code rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", in->name);
        sck_input_close(in);
        return rc;
    }
    in->is_regular = S_ISREG(in->st.st_mode);
    if (!standard && !in->is_regular && !S_ISFIFO(in->st.st_mode)) {
        bool dir = S_ISDIR(in->st.st_mode);
        sck_input_close(in);
        return sck_fail(err, SCK_E_USAGE, "%s is %s", path,
                        dir ? "a directory: name a file" : "neither a file nor a pipe: name a file");
    }
    return SCK_OK;
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

static enum sck_code
check_target(const struct sck_file_io *io, const struct sck_input *in, bool is_ciphertext, struct sck_err *err)
{
    struct stat st;
    if (strcmp(io->out, "-") == 0) {
        if (is_ciphertext && isatty(STDOUT_FILENO))
            return sck_fail(err, SCK_E_USAGE, "ciphertext is not written to a terminal: use -o FILE or a pipe");
        return SCK_OK;
    }
    if (stat(io->out, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? SCK_OK
                   : sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", io->out);
    if (st.st_dev == in->st.st_dev && st.st_ino == in->st.st_ino)
        return sck_fail(err, SCK_E_USAGE, "%s is input and output at once: give another name with -o", io->out);
    if (S_ISDIR(st.st_mode))
        return sck_fail(err, SCK_E_USAGE, "%s is a directory: give a file name with -o", io->out);
    if (!io->force)
        return sck_fail(err, SCK_E_EXISTS, "%s exists: choose another name or use --force", io->out);
    if (!S_ISREG(st.st_mode))
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

enum sck_code
sck_output_open(const struct sck_file_io *io, const struct sck_input *in, mode_t mode, bool is_ciphertext,
                struct sck_output *out, struct sck_err *err)
{
    *out = (struct sck_output){.fd = -1, .path = io->out, .force = io->force, .sync = io->sync};
    enum sck_code rc = check_target(io, in, is_ciphertext, err);
    if (rc != SCK_OK)
        return rc;
    if (strcmp(io->out, "-") == 0) {
        out->fd = STDOUT_FILENO;
        return SCK_OK;
    }
    out->dir = parent_of(io->out);
    if (out->dir == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    out->fd = open(out->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
    /* Some file systems have no nameless files. */
    if (out->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        out->temp = temp_name(out, err);
        if (out->temp == NULL)
            return SCK_E_MEMORY;
        out->fd = open(out->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    }
    if (out->fd < 0) {
        free(out->temp);
        out->temp = NULL;
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot write into directory %s", out->dir);
    }
    return SCK_OK;
}

/* Give the nameless file a name; EEXIST comes back as errno. */
static int
name_it(const struct sck_output *out, const char *name)
{
    char self[64];
    if (out->temp != NULL)
        return link(out->temp, name);
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
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
        rc = sck_fail_errno(err, errno == EEXIST ? SCK_E_EXISTS : SCK_E_IO, errno, "cannot write %s", out->path);
    if (rc == SCK_OK && out->temp != NULL) {
        (void)unlink(out->temp);
        free(out->temp);
        out->temp = NULL;
    }
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
