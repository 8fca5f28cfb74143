/* SPDX-License-Identifier: MIT */
/* A token that lives in a file: read when first needed, and again when the server says that it is bad. */
#ifndef SCK_VAULT_HTTP_CREDENTIAL_H
#define SCK_VAULT_HTTP_CREDENTIAL_H

#include "lib/base/secret.h"
#include "vault/forklock.h"

struct sck_credential {
    const char *what;               /* "the data token" */
    const char *setting;            /* "token_file" */
    char *path;                     /* owned; NULL: there is none */
    struct sck_forklock lock;       /* the value */
    struct sck_secret *value;
};

/* Caller's storage; `path` is copied and may be NULL.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_credential_init(struct sck_credential *c, const char *what, const char *setting,
                                                 const char *path, struct sck_err *err);
void sck_credential_clear(struct sck_credential *c);
/*
 * A copy of the token.  SCK_E_CONFIG when no file is set, or it is readable by others or holds what is no token
 * (anything but 1 to 4096 printable ASCII characters); SCK_E_NOT_FOUND, SCK_E_IO.
 */
SCK_MUST_CHECK enum sck_code sck_credential_get(struct sck_credential *c, struct sck_secret **token,
                                                struct sck_err *err);
/* Read the file again after `refused` was refused; *changed tells whether another token is there now. */
SCK_MUST_CHECK enum sck_code sck_credential_refresh(struct sck_credential *c, const struct sck_secret *refused,
                                                    bool *changed, struct sck_err *err);

#endif
