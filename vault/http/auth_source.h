/* SPDX-License-Identifier: MIT */
/* Where a token, a role id, a secret id or a JWT is kept, and whether it changed there. */
#ifndef SCK_VAULT_HTTP_AUTH_SOURCE_H
#define SCK_VAULT_HTTP_AUTH_SOURCE_H

#include "lib/base/secret.h"

#include <sys/types.h>
#include <time.h>

/* What a file looked like when it was read. */
struct sck_auth_stamp {
    bool there;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

/* The first of these that is set is asked; all strings are borrowed.  All NULL and 0: there is none. */
struct sck_auth_source {
    const char *what;           /* "the data token", for messages */
    const char *setting;        /* "token_file", for messages */
    const char *text;           /* itself; no secret */
    const char *env;            /* an environment variable: told with a warning, ignored under AT_SECURE */
    int fd;                     /* a descriptor that is read to its end, once; 0: none */
    const char *credential;     /* of systemd */
    const char *path;           /* of a file */
    bool shared;                /* others may read that file */
};

bool sck_auth_source_is_set(const struct sck_auth_source *source);
/* Whether reading it a second time can give something else. */
bool sck_auth_source_is_live(const struct sck_auth_source *source);
/* The file as it is now; `there` false without one.  Costs one system call. */
struct sck_auth_stamp sck_auth_source_stamp(const struct sck_auth_source *source);
bool sck_auth_stamp_is_same(const struct sck_auth_stamp *a, const struct sck_auth_stamp *b);
/*
 * Read it: one line of printable ASCII.  SCK_E_CONFIG when there is none, it is absent, empty, readable by others or
 * holds anything else; SCK_E_IO.
 */
SCK_MUST_CHECK enum sck_code sck_auth_source_read(const struct sck_auth_source *source, struct sck_secret **out,
                                                  struct sck_err *err);

#endif
