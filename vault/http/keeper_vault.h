/* SPDX-License-Identifier: MIT */
/* Keeper `vault` with time, randomness and transport from outside; the plug-in uses the machine's. */
#ifndef SCK_VAULT_HTTP_KEEPER_VAULT_H
#define SCK_VAULT_HTTP_KEEPER_VAULT_H

#include "vault/http/call.h"

/* As sck_keeper_vault_open_fn.  `env` is copied; NULL is the machine's, and a NULL `exchange` in it is libcurl's. */
SCK_MUST_CHECK enum sck_code sck_keeper_vault_new(const struct sck_keeper_vault_conf *conf,
                                                  const struct sck_env *env, struct sck_keeper **out,
                                                  struct sck_err *err);

#endif
