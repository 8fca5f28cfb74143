/* SPDX-License-Identifier: MIT */
#include "lib/token/pin.h"

#include "lib/base/file.h"
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <termios.h>
#include <unistd.h>

enum { PIN_MAX = 255 };

static enum sck_code
from_credential(const char *name, struct sck_secret **pin, struct sck_err *err)
{
    char *path = sck_systemd_credential_path(name);
    if (path == NULL)
        return sck_fail(err, SCK_E_CREDENTIAL,
                        "the PIN's systemd credential %s is not there: use LoadCredential=%s:/path in the unit", name,
                        name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum sck_code rc = fd < 0 ? sck_fail_errno(err, SCK_E_CREDENTIAL, errno, "cannot read the PIN's credential %s",
                                               name)
                              : sck_fd_read_secret(fd, "the PIN's credential", pin, err);
    if (fd >= 0)
        (void)close(fd);
    free(path);
    return rc;
}

static enum sck_code
from_env(const char *name, struct sck_secret **pin, struct sck_err *err)
{
    const char *value = getauxval(AT_SECURE) != 0 ? NULL : getenv(name);
    if (value == NULL || value[0] == 0)
        return sck_fail(err, SCK_E_CREDENTIAL, "the environment variable %s with the PIN is not set", name);
    sck_log(SCK_LOG_WARNING, "token.pin", "the PIN comes from the environment, where others may read it: use a file");
    return sck_secret_from(value, strlen(value), pin, err);
}

/* One line off the terminal, echo off; the line goes straight into locked memory. */
static enum sck_code
read_line(int tty, struct sck_secret **pin, struct sck_err *err)
{
    struct sck_secret *line = NULL;
    enum sck_code rc = sck_secret_new(PIN_MAX + 1, &line, err);
    size_t len = 0;
    while (rc == SCK_OK) {
        ssize_t got = read(tty, line->data + len, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || line->data[len] == '\n')
            break;
        if (++len > PIN_MAX)
            rc = sck_fail(err, SCK_E_CREDENTIAL, "a PIN has at most %d bytes", PIN_MAX);
    }
    if (rc == SCK_OK && len == 0)
        rc = sck_fail(err, SCK_E_CREDENTIAL, "no PIN was typed");
    if (rc == SCK_OK)
        rc = sck_secret_from(line->data, len, pin, err);
    sck_secret_free(&line);
    return rc;
}

static enum sck_code
from_prompt(const char *text, bool again, struct sck_secret **pin, struct sck_err *err)
{
    struct termios was, quiet;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || tcgetattr(tty, &was) != 0) {
        int why = errno;
        if (tty >= 0)
            (void)close(tty);
        return sck_fail_errno(err, SCK_E_CREDENTIAL, why, "no terminal to ask for the PIN: set a PIN file");
    }
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ECHONL;
    const char *parts[] = {again ? "Wrong PIN. " : "", text == NULL ? "PIN of the token" : text, ": "};
    (void)tcsetattr(tty, TCSAFLUSH, &quiet);
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && rc == SCK_OK; i++)
        rc = sck_fd_write_all(tty, parts[i], strlen(parts[i]), "the terminal", err);
    if (rc == SCK_OK)
        rc = read_line(tty, pin, err);
    (void)tcsetattr(tty, TCSAFLUSH, &was);
    (void)close(tty);
    return rc;
}

static enum sck_code
from_file(const char *path, struct sck_secret **pin, struct sck_err *err)
{
    struct sck_err local = SCK_ERR_INIT;
    enum sck_code rc = sck_file_read_secret(path, "PIN file", pin, &local);
    if (rc == SCK_E_NOT_FOUND)
        return sck_fail(err, SCK_E_CREDENTIAL, "the PIN file %s is not there: make it (mode 0600) or correct pin_file",
                        path);
    if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = local;
    return rc;
}

enum sck_code
sck_pin_from_sources(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    const struct sck_pin_sources *s = arg;
    bool fixed = s->file != NULL || s->fd >= 0 || s->credential != NULL || s->env != NULL;
    *pin = NULL;
    if (fixed && again)
        return sck_fail(err, SCK_E_CREDENTIAL, "the token refused the PIN of %s: correct it",
                        s->file != NULL ? s->file
                            : s->fd >= 0 ? "the file descriptor"
                            : s->credential != NULL ? s->credential
                                                    : s->env);
    if (s->file != NULL)
        return from_file(s->file, pin, err);
    if (s->fd >= 0)
        return sck_fd_read_secret(s->fd, "the PIN's file descriptor", pin, err);
    if (s->credential != NULL)
        return from_credential(s->credential, pin, err);
    if (s->env != NULL)
        return from_env(s->env, pin, err);
    if (s->prompt)
        return from_prompt(s->prompt_text, again, pin, err);
    return sck_fail(err, SCK_E_CREDENTIAL,
                    "no source of the PIN: set a PIN file, file descriptor, systemd credential or prompt");
}
