/* SPDX-License-Identifier: MIT */
#include "vault/http/auth_source.h"

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "vault/http/auth_method.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool
sck_auth_source_is_set(const struct sck_auth_source *s)
{
    return s->text != NULL || s->env != NULL || s->fd > 0 || s->credential != NULL || s->path != NULL;
}

bool
sck_auth_source_is_live(const struct sck_auth_source *s)
{
    return s->text == NULL && s->env == NULL && s->fd <= 0 && (s->credential != NULL || s->path != NULL);
}

/* The file's path, allocated; NULL without one. */
static char *
path_of(const struct sck_auth_source *s)
{
    if (!sck_auth_source_is_live(s))
        return NULL;
    return s->credential != NULL ? sck_systemd_credential_path(s->credential) : strdup(s->path);
}

struct sck_auth_stamp
sck_auth_source_stamp(const struct sck_auth_source *s)
{
    struct stat st;
    struct sck_auth_stamp stamp = {.there = false};
    char *path = path_of(s);
    if (path != NULL && stat(path, &st) == 0)
        stamp = (struct sck_auth_stamp){true, st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim};
    free(path);
    return stamp;
}

bool
sck_auth_stamp_is_same(const struct sck_auth_stamp *a, const struct sck_auth_stamp *b)
{
    return a->there == b->there && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
           a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static enum sck_code
from_env(const struct sck_auth_source *s, struct sck_secret **out, struct sck_err *err)
{
    const char *value = secure_getenv(s->env);
    if (value == NULL || value[0] == '\0')
        return sck_fail(err, SCK_E_CONFIG, "the environment variable %s with %s is not set", s->env, s->what);
    sck_log(SCK_LOG_WARNING, "vault.auth", "%s comes from the environment variable %s, where others may read it: use a "
            "file", s->what, s->env);
    return sck_secret_from(value, strlen(value), out, err);
}

static enum sck_code
from_credential(const struct sck_auth_source *s, struct sck_secret **out, struct sck_err *err)
{
    char *path = sck_systemd_credential_path(s->credential);
    if (path == NULL)
        return sck_fail(err, SCK_E_CONFIG,
                        "the systemd credential %s with %s is not there: use LoadCredential=%s:/path in the unit",
                        s->credential, s->what, s->credential);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    enum sck_code rc = fd < 0 ? sck_fail_errno(err, SCK_E_CONFIG, errno,
                                               "cannot read %s from the systemd credential %s", s->what, s->credential)
                              : sck_fd_read_secret(fd, s->what, out, err);
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return rc;
}

static enum sck_code
from_anywhere(const struct sck_auth_source *s, struct sck_secret **out, struct sck_err *err)
{
    if (s->text != NULL)
        return sck_secret_from(s->text, strlen(s->text), out, err);
    if (s->env != NULL)
        return from_env(s, out, err);
    if (s->fd > 0)
        return sck_fd_read_secret(s->fd, s->what, out, err);
    if (s->credential != NULL)
        return from_credential(s, out, err);
    if (s->path == NULL)
        return sck_fail(err, SCK_E_CONFIG, "%s is needed for this: set %s", s->what, s->setting);
    return s->shared ? sck_file_read_shared_secret(s->path, s->what, out, err)
                     : sck_file_read_secret(s->path, s->what, out, err);
}

enum sck_code
sck_auth_source_read(const struct sck_auth_source *s, struct sck_secret **out, struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    *out = NULL;
    enum sck_code rc = from_anywhere(s, out, &why);
    /* A file that is not there is a set-up to correct, not a key that does not exist. */
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc, "keeper vault: %s", why.message);
    if (sck_auth_is_printable((*out)->data, (*out)->len) && (*out)->data[0] != '{')
        return SCK_OK;
    bool file = s->credential == NULL && sck_auth_source_is_live(s);
    rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: %s%s%s %s", s->what, file ? " " : "", file ? s->path : "",
                  (*out)->data[0] == '{' ? "is a JSON text: have it written plain, neither wrapped nor encrypted"
                                         : "holds more than a token: put the token alone on one line");
    sck_secret_free(out);
    return rc;
}
