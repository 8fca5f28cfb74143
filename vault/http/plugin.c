/* SPDX-License-Identifier: MIT */
/* The plug-in keeper-http.so: its one exported symbol. */
#include "vault/azure/keeper_azure.h"
#include "vault/http/keeper_vault.h"
#include "vault/http/transit.h"

static enum sck_code
plugin_open(const struct sck_keeper_vault_conf *conf, struct sck_keeper **out, struct sck_err *err)
{
    return sck_keeper_vault_new(conf, NULL, out, err);
}

static enum sck_code
plugin_open_azure(const struct sck_keeper_azure_conf *conf, struct sck_keeper **out, struct sck_err *err)
{
    return sck_keeper_azure_new(conf, NULL, out, err);
}

extern const struct sck_keeper_plugin scopekey_keeper_plugin;
const struct sck_keeper_plugin scopekey_keeper_plugin = {
    .version = SCK_KEEPER_PLUGIN_VERSION,
    .vault_open = plugin_open,
    .vault_prepare = sck_transit_prepare,
    .azure_open = plugin_open_azure,
};
