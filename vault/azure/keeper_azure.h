/* SPDX-License-Identifier: MIT */
/* Keeper `azure` with time, randomness and transport from outside; the plug-in uses the machine's. */
#ifndef SCK_VAULT_AZURE_KEEPER_AZURE_H
#define SCK_VAULT_AZURE_KEEPER_AZURE_H

#include "vault/http/machine.h"
#include "vault/keeper.h"

/*
 * As sck_keeper_azure_open_fn; conf->key_type is borrowed for as long as the keeper lives.  `env` is copied; NULL is the
 * machine's.
 */
SCK_MUST_CHECK enum sck_code sck_keeper_azure_new(const struct sck_keeper_azure_conf *conf, const struct sck_env *env,
                                                  struct sck_keeper **out, struct sck_err *err);

#endif
