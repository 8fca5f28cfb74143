/* SPDX-License-Identifier: MIT */
/* A set-up of its own for a test program: a SoftHSM token, a catalog and a configuration in a temporary directory. */
#ifndef SCK_TESTS_HOME_H
#define SCK_TESTS_HOME_H

#include "lib/service/setup.h"

struct home {
    char dir[256];      /* temporary directory */
    char home[280];     /* dir/d: the set-up */
    char conf[320];
    char pin_file[280];
};

/* Make the directory and a PIN file (0600), nothing else. Fails the test when it cannot. */
void home_begin(struct home *h);
/* home_begin() and `init` with keeper token. */
void home_make(struct home *h);
/* Open the set-up; `scopes` as in struct sck_open; provisions on first use. */
struct sck_service *home_open(const struct home *h, const char *scopes);
/* Remove everything. */
void home_remove(struct home *h);
/* Write a file below h->dir with mode 0600 and give its path (static buffer, four in turn). */
const char *home_file(const struct home *h, const char *name, const void *data, size_t len);
/* Path of a name below h->dir (the same buffers). */
const char *home_path(const struct home *h, const char *name);

/* Parse a URI that must be well-formed. */
struct sck_uri uri_of(const char *text);
struct sck_scope scope_of(const char *text);

#endif
