/* SPDX-License-Identifier: MIT */
/*
 * Keeper `vault` through its plug-in, as the environment says: URL, MOUNT, NAMESPACE, TOKEN_FILE, ADMIN_TOKEN_FILE,
 * CA_FILE, INSECURE_HTTP, INSECURE_SKIP_VERIFY, MAX_RETRIES, DEADLINE_MS, REQUEST_TIMEOUT_MS, RETRY_BACKOFF_MS,
 * NODES, MAX_CONNECTIONS, HTTP2; LOG=1 logs to standard error.  Ways to a token: AUTH, AUTH_MOUNT, AUTH_ROLE, AUTH_NAMESPACE, TOKEN_ENV, TOKEN_FD,
 * TOKEN_CREDENTIAL, ROLE_ID, ROLE_ID_FILE, SECRET_ID_FILE, SECRET_ID_WRAPPED, JWT_FILE, CLIENT_CERT, CLIENT_KEY, and the
 * same with ADMIN_ before them.
 */
#ifndef SCK_TESTS_VAULT_LIVE_H
#define SCK_TESTS_VAULT_LIVE_H

#include "vault/keeper.h"

/* An environment variable, or `fallback`. */
const char *live_setting(const char *name, const char *fallback);
/* Load the plug-in at `path`; exits with a message when it cannot be. */
const struct sck_keeper_plugin *live_plugin(const char *path);
/* Open the keeper. */
enum sck_code live_open(const struct sck_keeper_plugin *plugin, struct sck_keeper **keeper, struct sck_err *err);
/* A payload of known bytes: 255, 254, ... */
struct sck_secret *live_payload(void);
/* A KEK at the configured mount, or at KEK_MOUNT. */
struct sck_kek live_kek(const char *name);

#endif
