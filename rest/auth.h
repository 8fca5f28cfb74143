/* SPDX-License-Identifier: MIT */
/* Who calls: API keys, of which only the SHA-256 is kept. */
#ifndef SCK_REST_AUTH_H
#define SCK_REST_AUTH_H

#include "lib/base/secret.h"
#include "lib/core/scope.h"

#define SCK_API_KEYS_MAX 2      /* active at once per client, so that a key can be changed without a gap */
#define SCK_API_KEY_LEN_MAX 512 /* bytes */
#define SCK_API_KEY_SHORT 32    /* bytes; shorter ones work with a warning */

/* An API client.  Constant while the daemon runs. */
struct sck_client {
    char id[64];                /* "default" */
    struct sck_scope scope;     /* its own keys: client/<id> */
    const char *scopes;         /* patterns of what else it may use (lib/core/scope.h), "" nothing; borrowed */
};

/* Whether a key of `scope` may be used by the client (and whether it may make one there). */
bool sck_client_may_use(const struct sck_client *client, const struct sck_scope *scope);

/* Where the key of client `default` is: the first that is set.  Strings are borrowed for the life of the table. */
struct sck_auth_source {
    const char *file;           /* read again by sck_auth_reload() */
    int fd;                     /* -1: none; read once */
    struct sck_secret *env;     /* borrowed; NULL: none */
    const char *conf_file;      /* [rest] api_key_file; "" none; read again */
};

/* Take API_KEY out of the environment, its bytes included.  *out is NULL when it is not set (or AT_SECURE holds). */
SCK_MUST_CHECK enum sck_code sck_auth_take_env(struct sck_secret **out, struct sck_err *err);

struct sck_auth;
/*
 * SCK_E_CONFIG: no source is set (says how to make a key), the key is malformed, the file is not there or open to
 * others.  `scopes` as in struct sck_client.
 */
SCK_MUST_CHECK enum sck_code sck_auth_new(const struct sck_auth_source *source, const char *scopes,
                                          struct sck_auth **out, struct sck_err *err);
void sck_auth_free(struct sck_auth **auth);
/* Read the file again.  After a failure the old keys stay.  SCK_OK and nothing done when the source is no file. */
SCK_MUST_CHECK enum sck_code sck_auth_reload(struct sck_auth *auth, struct sck_err *err);
/* The client of an API key, or NULL.  Takes a time that does not depend on the stored keys. */
const struct sck_client *sck_auth_check(struct sck_auth *auth, const char *key, size_t len);

#endif
