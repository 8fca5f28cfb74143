/* SPDX-License-Identifier: MIT */
/* Where the user PIN comes from.  A sck_pin_fn for struct sck_token_conf. */
#ifndef SCK_TOKEN_PIN_H
#define SCK_TOKEN_PIN_H

#include "lib/base/secret.h"

/* The first source that is set is asked; the strings are borrowed for the life of the token. */
struct sck_pin_sources {
    const char *file;           /* path; 0600 or stricter */
    int fd;                     /* descriptor to read to its end, or -1 */
    const char *credential;     /* name in $CREDENTIALS_DIRECTORY (systemd.exec(5)), or NULL */
    const char *env;            /* environment variable, read once with a warning (ignored under AT_SECURE), or NULL */
    bool prompt;                /* ask on /dev/tty, echo off */
    const char *prompt_text;    /* "PIN for token ..." */
};

/* sck_pin_fn; `arg` is a struct sck_pin_sources.  SCK_E_CREDENTIAL when no source gives a PIN: says which to set. */
SCK_MUST_CHECK enum sck_code sck_pin_from_sources(void *arg, bool again, struct sck_secret **pin,
                                                  struct sck_err *err);

#endif
