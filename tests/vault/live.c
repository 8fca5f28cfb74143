/* SPDX-License-Identifier: MIT */
#include "tests/vault/live.h"

#include "lib/base/log.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

const char *
live_setting(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value != NULL ? value : fallback;
}

const struct sck_keeper_plugin *
live_plugin(const char *path)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct sck_keeper_plugin *plugin = module != NULL ? dlsym(module, "scopekey_keeper_plugin") : NULL;
    if (plugin != NULL && plugin->version == SCK_KEEPER_PLUGIN_VERSION)
        return plugin;
    fprintf(stderr, "cannot load %s: %s\n", path, dlerror());
    exit(2);
}

/* The variable of one of the two tokens. */
static const char *
auth_setting(const char *prefix, const char *name)
{
    char full[64];
    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    return getenv(full);
}

static struct sck_keeper_vault_auth
auth_of(const char *prefix)
{
    const char *fd = auth_setting(prefix, "TOKEN_FD");
    return (struct sck_keeper_vault_auth){
        .method = auth_setting(prefix, "AUTH"),
        .mount = auth_setting(prefix, "AUTH_MOUNT"),
        .role = auth_setting(prefix, "AUTH_ROLE"),
        .name_space = auth_setting(prefix, "AUTH_NAMESPACE"),
        .token_env = auth_setting(prefix, "TOKEN_ENV"),
        .token_fd = fd != NULL ? atoi(fd) : 0,
        .token_credential = auth_setting(prefix, "TOKEN_CREDENTIAL"),
        .role_id = auth_setting(prefix, "ROLE_ID"),
        .role_id_file = auth_setting(prefix, "ROLE_ID_FILE"),
        .secret_id_file = auth_setting(prefix, "SECRET_ID_FILE"),
        .secret_id_wrapped = auth_setting(prefix, "SECRET_ID_WRAPPED") != NULL,
        .jwt_file = auth_setting(prefix, "JWT_FILE"),
        .client_cert_file = auth_setting(prefix, "CLIENT_CERT"),
        .client_key_file = auth_setting(prefix, "CLIENT_KEY"),
    };
}

enum sck_code
live_open(const struct sck_keeper_plugin *plugin, struct sck_keeper **keeper, struct sck_err *err)
{
    const struct sck_keeper_vault_conf conf = {
        .url = live_setting("URL", "http://127.0.0.1:8200"),
        .mount = live_setting("MOUNT", "transit"),
        .name_space = live_setting("NAMESPACE", ""),
        .token_file = getenv("TOKEN_FILE"),
        .nodes = getenv("NODES"),
        .max_connections = (size_t)atoi(live_setting("MAX_CONNECTIONS", "0")),
        .http2 = getenv("HTTP2") != NULL,
        .admin_token_file = getenv("ADMIN_TOKEN_FILE"),
        .auth = auth_of(""),
        .admin_auth = auth_of("ADMIN_"),
        .ca_file = getenv("CA_FILE"),
        .insecure_http = getenv("INSECURE_HTTP") != NULL,
        .insecure_skip_verify = getenv("INSECURE_SKIP_VERIFY") != NULL,
        .max_retries = (unsigned)atoi(live_setting("MAX_RETRIES", "3")),
        .deadline_ms = atoi(live_setting("DEADLINE_MS", "0")),
        .request_timeout_ms = atoi(live_setting("REQUEST_TIMEOUT_MS", "0")),
        .retry_backoff_ms = atoi(live_setting("RETRY_BACKOFF_MS", "0")),
    };
    if (getenv("LOG") != NULL)
        sck_log_setup(2, SCK_LOG_DEBUG, SCK_LOG_TEXT);
    return plugin->vault_open(&conf, keeper, err);
}

struct sck_secret *
live_payload(void)
{
    struct sck_secret *s = NULL;
    if (sck_secret_new(SCK_PAYLOAD_LEN, &s, NULL) != SCK_OK)
        abort();
    for (size_t i = 0; i < s->len; i++)
        s->data[i] = (uint8_t)(255 - i);
    return s;
}

struct sck_kek
live_kek(const char *name)
{
    return (struct sck_kek){.name = name, .generation = 1, .version = 1, .mount = live_setting("KEK_MOUNT", ""),
                            .name_space = ""};
}
