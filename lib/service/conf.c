/* SPDX-License-Identifier: MIT */
#include "lib/service/conf.h"

#include "lib/base/text.h"
#include "lib/core/kekname.h"
#include "lib/core/scope.h"

#include <errno.h>
#include <stdio.h>
#include <openssl/conf.h>
#include <openssl/conftypes.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>

#define OFF(field) offsetof(struct sck_conf, field)

static const struct sck_conf_key table[] = {
    {"scopekey", "catalog_id", SCK_CONF_UUID, NULL, "", 0, 0, NULL, 0, OFF(catalog_id)},
    {"scopekey", "environment", SCK_CONF_WORD, NULL, "development", 0, 0, "development|staging|production", 0,
     OFF(environment)},
    {"scopekey", "state_dir", SCK_CONF_PATH, NULL, ".", 0, 0, NULL, 0, OFF(state_dir)},
    {"scopekey", "catalog", SCK_CONF_PATH, NULL, "catalog.db", 0, 0, NULL, 0, OFF(catalog)},
    {"scopekey", "keeper", SCK_CONF_WORD, "KEY_VAULT_MODE", "token", 0, 0, "token|vault|azure|local", 0, OFF(keeper)},
    {"scopekey", "key_prefix", SCK_CONF_TEXT, NULL, "scopekey", 0, 0, NULL, 0, OFF(key_prefix)},
    {"scopekey", "keyed_names", SCK_CONF_BOOL, NULL, "true", 0, 0, NULL, 0, OFF(keyed_names)},
    {"scopekey", "scopes", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(scopes)},
    {"scopekey", "auto_provision", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(auto_provision)},
    {"scopekey", "require_mlock", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(require_mlock)},
    {"scopekey", "envelope_ttl_s", SCK_CONF_INT, NULL, "60", 1, 3600, NULL, 0, OFF(envelope_ttl_s)},
    {"scopekey", "key_cache", SCK_CONF_INT, NULL, "1024", 1, 1000000, NULL, 0, OFF(key_cache)},
    {"scopekey", "retire_epoch_days", SCK_CONF_INT, NULL, "30", 0, 3650, NULL, 0, OFF(retire_epoch_days)},
    {"token", "module", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(module)},
    {"token", "module_env", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(module_env)},
    {"token", "label", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(label)},
    {"token", "serial", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(serial)},
    {"token", "pin_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(pin_file)},
    {"token", "pin_credential", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(pin_credential)},
    {"token", "pin_fd", SCK_CONF_INT, NULL, "0", 0, 1048576, NULL, 0, OFF(pin_fd)},
    {"token", "pin_prompt", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(pin_prompt)},
    {"token", "store_dir", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(store_dir)},
    {"token", "max_sessions", SCK_CONF_INT, NULL, "4", 2, 1024, NULL, 0, OFF(max_sessions)},
    {"token", "session_wait_ms", SCK_CONF_INT, NULL, "30000", 1, 3600000, NULL, 0, OFF(session_wait_ms)},
    {"token", "insecure_master", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(insecure_master)},
    {"keeper vault", "url", SCK_CONF_TEXT, "VAULT_ADDR", "", 0, 0, NULL, 0, OFF(vault_url)},
    {"keeper vault", "mount", SCK_CONF_TEXT, NULL, "transit", 0, 0, NULL, 0, OFF(vault_mount)},
    {"keeper vault", "namespace", SCK_CONF_TEXT, "VAULT_NAMESPACE", "", 0, 0, NULL, 0, OFF(vault_namespace)},
    {"keeper vault", "auth", SCK_CONF_WORD, NULL, "token", 0, 0, "token|agent|approle|kubernetes|jwt|cert", 0,
     OFF(vault_data.auth)},
    {"keeper vault", "auth_mount", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_data.auth_mount)},
    {"keeper vault", "auth_role", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_data.auth_role)},
    {"keeper vault", "auth_namespace", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_data.auth_namespace)},
    {"keeper vault", "token_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_data.token_file)},
    {"keeper vault", "token_fd", SCK_CONF_INT, NULL, "0", 0, 1048576, NULL, 0, OFF(vault_data.token_fd)},
    {"keeper vault", "token_credential", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_data.token_credential)},
    {"keeper vault", "role_id", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_data.role_id)},
    {"keeper vault", "role_id_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_data.role_id_file)},
    {"keeper vault", "secret_id_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_data.secret_id_file)},
    {"keeper vault", "secret_id_wrapped", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0,
     OFF(vault_data.secret_id_wrapped)},
    {"keeper vault", "jwt_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_data.jwt_file)},
    {"keeper vault", "client_cert_file", SCK_CONF_PATH, "VAULT_CLIENT_CERT", "", 0, 0, NULL, 0,
     OFF(vault_data.client_cert_file)},
    {"keeper vault", "client_key_file", SCK_CONF_PATH, "VAULT_CLIENT_KEY", "", 0, 0, NULL, 0,
     OFF(vault_data.client_key_file)},
    {"keeper vault", "admin_auth", SCK_CONF_WORD, NULL, "token", 0, 0, "token|agent|approle|kubernetes|jwt|cert", 0,
     OFF(vault_admin.auth)},
    {"keeper vault", "admin_auth_mount", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.auth_mount)},
    {"keeper vault", "admin_auth_role", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.auth_role)},
    {"keeper vault", "admin_auth_namespace", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.auth_namespace)},
    {"keeper vault", "admin_token_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.token_file)},
    {"keeper vault", "admin_token_fd", SCK_CONF_INT, NULL, "0", 0, 1048576, NULL, 0, OFF(vault_admin.token_fd)},
    {"keeper vault", "admin_token_credential", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0,
     OFF(vault_admin.token_credential)},
    {"keeper vault", "admin_role_id", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.role_id)},
    {"keeper vault", "admin_role_id_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.role_id_file)},
    {"keeper vault", "admin_secret_id_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.secret_id_file)},
    {"keeper vault", "admin_secret_id_wrapped", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0,
     OFF(vault_admin.secret_id_wrapped)},
    {"keeper vault", "admin_jwt_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(vault_admin.jwt_file)},
    {"keeper vault", "admin_client_cert_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0,
     OFF(vault_admin.client_cert_file)},
    {"keeper vault", "admin_client_key_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0,
     OFF(vault_admin.client_key_file)},
    {"keeper vault", "ca_file", SCK_CONF_PATH, "VAULT_CACERT", "", 0, 0, NULL, 0, OFF(vault_ca_file)},
    {"keeper vault", "insecure_http", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(vault_insecure_http)},
    {"keeper vault", "insecure_skip_verify", SCK_CONF_BOOL, "VAULT_SKIP_VERIFY", "false", 0, 0, NULL, 0,
     OFF(vault_insecure_skip_verify)},
    {"keeper vault", "connect_timeout_ms", SCK_CONF_INT, NULL, "2000", 1, 600000, NULL, 0,
     OFF(vault_connect_timeout_ms)},
    {"keeper vault", "request_timeout_ms", SCK_CONF_INT, NULL, "5000", 1, 600000, NULL, 0,
     OFF(vault_request_timeout_ms)},
    {"keeper vault", "deadline_ms", SCK_CONF_INT, NULL, "30000", 1, 3600000, NULL, 0, OFF(vault_deadline_ms)},
    {"keeper vault", "max_retries", SCK_CONF_INT, NULL, "3", 0, 10, NULL, 0, OFF(vault_max_retries)},
    {"keeper vault", "retry_backoff_ms", SCK_CONF_INT, NULL, "100", 1, 5000, NULL, 0, OFF(vault_retry_backoff_ms)},
    {"keeper vault", "retry_jitter", SCK_CONF_WORD, NULL, "0.25", 0, 0, "0.25|full", 0, OFF(vault_retry_jitter)},
    {"keeper vault", "nodes", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(vault_nodes)},
    {"keeper vault", "http2", SCK_CONF_WORD, NULL, "off", 0, 0, "off|on", 0, OFF(vault_http2)},
    {"keeper vault", "max_connections", SCK_CONF_INT, NULL, "32", 1, 1024, NULL, 0, OFF(vault_max_connections)},
    {"keeper azure", "url", SCK_CONF_TEXT, "KEY_VAULT_URL", "", 0, 0, NULL, 0, OFF(azure_url)},
    {"keeper azure", "credential", SCK_CONF_WORD, NULL, "auto", 0, 0, "auto|secret|certificate|federated|managed", 0,
     OFF(azure_credential)},
    {"keeper azure", "tenant_id", SCK_CONF_TEXT, "KEY_VAULT_TENANT_ID", "", 0, 0, NULL, 0, OFF(azure_tenant_id)},
    {"keeper azure", "client_id", SCK_CONF_TEXT, "KEY_VAULT_CLIENT_ID", "", 0, 0, NULL, 0, OFF(azure_client_id)},
    {"keeper azure", "client_secret_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(azure_client_secret_file)},
    {"keeper azure", "certificate_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(azure_certificate_file)},
    {"keeper azure", "certificate_key_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(azure_certificate_key_file)},
    {"keeper azure", "federated_token_file", SCK_CONF_PATH, "AZURE_FEDERATED_TOKEN_FILE", "", 0, 0, NULL, 0,
     OFF(azure_federated_token_file)},
    {"keeper azure", "admin_client_id", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(azure_admin_client_id)},
    {"keeper azure", "admin_client_secret_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0,
     OFF(azure_admin_client_secret_file)},
    {"keeper azure", "admin_certificate_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0,
     OFF(azure_admin_certificate_file)},
    {"keeper azure", "admin_certificate_key_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0,
     OFF(azure_admin_certificate_key_file)},
    {"keeper azure", "authority", SCK_CONF_TEXT, "AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com", 0, 0, NULL,
     0, OFF(azure_authority)},
    {"keeper azure", "identity_endpoint", SCK_CONF_TEXT, "IDENTITY_ENDPOINT", "", 0, 0, NULL, 0,
     OFF(azure_identity_endpoint)},
    {"keeper azure", "metadata", SCK_CONF_TEXT, "AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://169.254.169.254", 0, 0, NULL,
     0, OFF(azure_metadata)},
    {"keeper azure", "ca_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(azure_ca_file)},
    {"keeper azure", "insecure_http", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(azure_insecure_http)},
    {"keeper azure", "key_type", SCK_CONF_WORD, NULL, "rsa", 0, 0, "rsa|rsa-hsm|oct-hsm", 0, OFF(azure_key_type)},
    {"keeper azure", "key_bits", SCK_CONF_INT, NULL, "3072", 2048, 4096, NULL, 0, OFF(azure_key_bits)},
    {"keeper azure", "purge", SCK_CONF_BOOL, NULL, "true", 0, 0, NULL, 0, OFF(azure_purge)},
    {"keeper azure", "connect_timeout_ms", SCK_CONF_INT, NULL, "2000", 1, 600000, NULL, 0,
     OFF(azure_connect_timeout_ms)},
    {"keeper azure", "request_timeout_ms", SCK_CONF_INT, NULL, "10000", 1, 600000, NULL, 0,
     OFF(azure_request_timeout_ms)},
    {"keeper azure", "deadline_ms", SCK_CONF_INT, NULL, "30000", 1, 3600000, NULL, 0, OFF(azure_deadline_ms)},
    {"keeper azure", "delete_wait_ms", SCK_CONF_INT, NULL, "60000", 0, 3600000, NULL, 0, OFF(azure_delete_wait_ms)},
    {"keeper azure", "max_retries", SCK_CONF_INT, NULL, "3", 0, 10, NULL, 0, OFF(azure_max_retries)},
    {"keeper azure", "retry_backoff_ms", SCK_CONF_INT, NULL, "500", 1, 5000, NULL, 0, OFF(azure_retry_backoff_ms)},
    {"keeper local", "path", SCK_CONF_PATH, "KEY_VAULT_LOCAL_PATH", "secrets", 0, 0, NULL, 0, OFF(local_path)},
    {"keeper local", "root", SCK_CONF_WORD, NULL, "token", 0, 0, "token|passphrase", 0, OFF(local_root)},
    {"keeper local", "passphrase_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(local_passphrase_file)},
    {"keeper local", "passphrase_fd", SCK_CONF_INT, NULL, "0", 0, 1048576, NULL, 0, OFF(local_passphrase_fd)},
    {"keeper local", "passphrase_prompt", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(local_passphrase_prompt)},
    {"keeper local", "backups", SCK_CONF_INT, NULL, "5", 0, 100, NULL, 0, OFF(local_backups)},
    {"files", "enabled", SCK_CONF_BOOL, "ENCRYPTION_ENABLED", "true", 0, 0, NULL, 0, OFF(files_enabled)},
    {"files", "rotation_days", SCK_CONF_INT, "ENCRYPTION_KEY_ROTATION_DAYS", "30", 1, 3650, NULL, 0,
     OFF(files_rotation_days)},
    {"files", "chunk_bytes", SCK_CONF_INT, "ENCRYPTION_CHUNK_SIZE_MB", "262144", 4096, 67108864, NULL, 1048576,
     OFF(files_chunk_bytes)},
    {"materials", "dek_cache", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(dek_cache)},
    {"materials", "dek_cache_ttl_s", SCK_CONF_INT, NULL, "60", 1, 3600, NULL, 0, OFF(dek_cache_ttl_s)},
    {"materials", "dek_cache_uses", SCK_CONF_INT, NULL, "10000", 1, 1000000000, NULL, 0, OFF(dek_cache_uses)},
    {"materials", "dek_cache_entries", SCK_CONF_INT, NULL, "1024", 1, 1000000, NULL, 0, OFF(dek_cache_entries)},
    {"materials", "dek_cache_bytes", SCK_CONF_INT, NULL, "1048576", 4096, 1073741824, NULL, 0, OFF(dek_cache_bytes)},
    {"materials", "threads", SCK_CONF_INT, NULL, "4", 1, 64, NULL, 0, OFF(threads)},
    {"rest", "host", SCK_CONF_TEXT, "HOST", "127.0.0.1", 0, 0, NULL, 0, OFF(rest_host)},
    {"rest", "port", SCK_CONF_INT, "PORT", "8000", 0, 65535, NULL, 0, OFF(rest_port)},
    {"rest", "api_key_file", SCK_CONF_PATH, NULL, "", 0, 0, NULL, 0, OFF(rest_api_key_file)},
    {"rest", "threads", SCK_CONF_INT, NULL, "4", 1, 256, NULL, 0, OFF(rest_threads)},
    {"rest", "max_body", SCK_CONF_INT, NULL, "1048576", 1024, 67108864, NULL, 0, OFF(rest_max_body)},
    {"rest", "insecure_plaintext", SCK_CONF_BOOL, NULL, "false", 0, 0, NULL, 0, OFF(rest_insecure_plaintext)},
    {"metrics", "enabled", SCK_CONF_BOOL, NULL, "true", 0, 0, NULL, 0, OFF(metrics_enabled)},
    {"client default", "scopes", SCK_CONF_TEXT, NULL, "", 0, 0, NULL, 0, OFF(client_scopes)},
    {"log", "level", SCK_CONF_WORD, "LOG_LEVEL", "info", 0, 0, "debug|info|warning|error|critical", 0,
     OFF(log_level)},
    {"log", "format", SCK_CONF_WORD, "LOG_FORMAT", "json", 0, 0, "text|json", 0, OFF(log_format)},
};
enum { TABLE_LEN = sizeof table / sizeof table[0] };

const struct sck_conf_key *
sck_conf_key_at(size_t index)
{
    return index < TABLE_LEN ? &table[index] : NULL;
}

/* Where a value came from, for messages: "FILE, [section] key" or "environment variable NAME". */
static void
describe(const struct sck_conf *conf, const struct sck_conf_key *k, bool from_env, char *out, size_t size)
{
    if (from_env)
        (void)snprintf(out, size, "environment variable %s", k->env);
    else
        (void)snprintf(out, size, "%s, [%s] %s", conf->path, k->section, k->key);
}

/* Position of `text` in "a|b|c", compared without case, or -1. */
static int
word_index(const char *words, const char *text)
{
    size_t len = strlen(text);
    int index = 0;
    for (const char *w = words; len > 0; index++) {
        size_t n = strcspn(w, "|");
        if (n == len && strncasecmp(w, text, n) == 0)
            return index;
        if (w[n] == '\0')
            break;
        w += n + 1;
    }
    return -1;
}

/* Variables of other programs say 1 and 0 too. */
static bool
parse_bool(const char *text, bool from_env, bool *out)
{
    if (from_env && (strcmp(text, "1") == 0 || strcmp(text, "0") == 0)) {
        *out = text[0] == '1';
        return true;
    }
    if (strcasecmp(text, "true") != 0 && strcasecmp(text, "false") != 0)
        return false;
    *out = strcasecmp(text, "true") == 0;
    return true;
}

static char *
absolute(const struct sck_conf *conf, const char *path)
{
    if (path[0] == '\0' || path[0] == '/')
        return strdup(path);
    if (strcmp(path, ".") == 0)
        return strdup(conf->home);
    size_t size = strlen(conf->home) + strlen(path) + 2;
    char *full = malloc(size);
    if (full != NULL)
        (void)snprintf(full, size, "%s/%s", conf->home, path);
    return full;
}

static enum sck_code
set_string(struct sck_conf *conf, const struct sck_conf_key *k, const char *text, struct sck_err *err)
{
    char **field = (char **)(void *)((char *)conf + k->offset);
    char *copy = k->type == SCK_CONF_PATH ? absolute(conf, text) : strdup(text);
    if (copy == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    free(*field);
    *field = copy;
    return SCK_OK;
}

/* Level and format are words that are kept as numbers. */
static enum sck_code
set_word(struct sck_conf *conf, const struct sck_conf_key *k, const char *text, const char *where,
         struct sck_err *err)
{
    int index = word_index(k->words, text);
    if (index < 0)
        return sck_fail(err, SCK_E_CONFIG, "%s: \"%s\" is none of %s", where, text, k->words);
    if (k->offset == OFF(log_level)) {
        conf->log_level = (enum sck_log_level)index;
        return SCK_OK;
    }
    if (k->offset == OFF(log_format)) {
        conf->log_format = (enum sck_log_format)index;
        return SCK_OK;
    }
    /* Kept as the table spells it, whatever the case: others compare it. */
    char word[32];
    const char *from = k->words;
    for (int i = 0; i < index; i++)
        from += strcspn(from, "|") + 1;
    (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(from, "|"), from);
    return set_string(conf, k, word, err);
}

static enum sck_code
set_value(struct sck_conf *conf, const struct sck_conf_key *k, const char *text, bool from_env, struct sck_err *err)
{
    char where[512];
    void *field = (char *)conf + k->offset;
    uint64_t number = 0;
    describe(conf, k, from_env, where, sizeof where);
    switch (k->type) {
    case SCK_CONF_TEXT:
    case SCK_CONF_PATH: return set_string(conf, k, text, err);
    case SCK_CONF_WORD: return set_word(conf, k, text, where, err);
    case SCK_CONF_BOOL:
        if (!parse_bool(text, from_env, field))
            return sck_fail(err, SCK_E_CONFIG, "%s: \"%s\" is neither true nor false", where, text);
        return SCK_OK;
    case SCK_CONF_INT: {
        int64_t scale = from_env && k->env_scale != 0 ? k->env_scale : 1;
        bool ok = sck_u64_parse(text, strlen(text), (uint64_t)(k->max / scale), &number) &&
                  (int64_t)number * scale >= k->min;
        if (!ok)
            return sck_fail(err, SCK_E_CONFIG, "%s: \"%s\" is not a whole number from %lld to %lld", where, text,
                            (long long)((k->min + scale - 1) / scale), (long long)(k->max / scale));
        *(int64_t *)field = (int64_t)number * scale;
        return SCK_OK;
    }
    case SCK_CONF_UUID:
        if (!sck_uuid_parse(text, strlen(text), field))
            return sck_fail(err, SCK_E_CONFIG, "%s: \"%s\" is no UUID; take the one that `scopekey init` wrote", where,
                            text);
        return SCK_OK;
    }
    return sck_fail(err, SCK_E_INTERNAL, "%s has no type", where);
}

static enum sck_code
set_defaults(struct sck_conf *conf, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; rc == SCK_OK && i < TABLE_LEN; i++) {
        if (table[i].type != SCK_CONF_UUID)
            rc = set_value(conf, &table[i], table[i].fallback, false, err);
    }
    return rc;
}

/*
 * A variable's value.  OpenBao's name of one of Vault's wins, as in its own client; what Azure's workload identity sets
 * counts where our own names are not set.
 */
static const char *
env_value(const char *name)
{
    char other[64] = "";
    const char *value = NULL;
    if (strncmp(name, "VAULT_", 6) == 0) {
        (void)snprintf(other, sizeof other, "BAO_%s", name + 6);
        value = secure_getenv(other);
    }
    if (value == NULL || value[0] == '\0')
        value = secure_getenv(name);
    bool empty = value == NULL || value[0] == '\0';
    if (empty && (strcmp(name, "KEY_VAULT_TENANT_ID") == 0 || strcmp(name, "KEY_VAULT_CLIENT_ID") == 0)) {
        (void)snprintf(other, sizeof other, "AZURE_%s", name + 10);
        value = secure_getenv(other);
    }
    return value;
}

/* KEY_VAULT_ENABLED = false: no vault outside, so KEKs live in the token. */
static enum sck_code
set_keeper_from_env(struct sck_conf *conf, struct sck_err *err)
{
    const char *value = secure_getenv("KEY_VAULT_ENABLED");
    bool enabled = true;
    if (value == NULL || value[0] == '\0')
        return SCK_OK;
    if (!parse_bool(value, true, &enabled))
        return sck_fail(err, SCK_E_CONFIG, "environment variable KEY_VAULT_ENABLED: \"%s\" is neither true nor false",
                        value);
    if (enabled)
        return SCK_OK;
    char *token = strdup("token");
    if (token == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    free(conf->keeper);
    conf->keeper = token;
    return SCK_OK;
}

static enum sck_code
set_from_env(struct sck_conf *conf, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; rc == SCK_OK && i < TABLE_LEN; i++) {
        const char *value = table[i].env != NULL ? env_value(table[i].env) : NULL;
        if (value != NULL && value[0] != '\0')
            rc = set_value(conf, &table[i], value, true, err);
    }
    return rc == SCK_OK ? set_keeper_from_env(conf, err) : rc;
}

struct walk {
    struct sck_conf *conf;
    struct sck_err *err;
    enum sck_code rc;
};

static bool
section_is_known(const char *section)
{
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (strcmp(table[i].section, section) == 0)
            return true;
    }
    return false;
}

static void
walk_value(void *item, void *arg)
{
    const CONF_VALUE *v = item;
    struct walk *w = arg;
    if (w->rc != SCK_OK)
        return;
    bool known = section_is_known(v->section) || strcmp(v->section, "default") == 0;
    if (!known)
        w->rc = sck_fail(w->err, SCK_E_CONFIG, "%s: unknown section [%s]: see scopekey.conf(5)", w->conf->path,
                         v->section);
    if (!known || v->name == NULL)
        return;
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (strcmp(table[i].section, v->section) == 0 && strcmp(table[i].key, v->name) == 0) {
            w->rc = set_value(w->conf, &table[i], v->value, false, w->err);
            return;
        }
    }
    w->rc = sck_fail(w->err, SCK_E_CONFIG, "%s: unknown key \"%s\" in section [%s]: see scopekey.conf(5)",
                     w->conf->path, v->name, v->section);
}

static enum sck_code
read_file(struct sck_conf *conf, struct sck_err *err)
{
    struct walk w = {conf, err, SCK_OK};
    long line = 0;
    ERR_set_mark();
    CONF *file = NCONF_new(NULL);
    if (file == NULL) {
        w.rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    } else if (NCONF_load(file, conf->path, &line) != 1) {
        if (line > 0)
            w.rc = sck_fail(err, SCK_E_CONFIG, "%s, line %ld: this is no \"key = value\" and no \"[section]\"",
                            conf->path, line);
        else
            w.rc = sck_fail_errno(err, SCK_E_CONFIG, errno, "cannot read %s", conf->path);
    } else {
        OPENSSL_LH_doall_arg((OPENSSL_LHASH *)(void *)file->data, walk_value, &w);
    }
    NCONF_free(file);
    ERR_pop_to_mark();
    return w.rc;
}

/* What the table cannot say. */
static enum sck_code
check_whole(const struct sck_conf *conf, struct sck_err *err)
{
    static const uint8_t none[16];
    enum sck_code rc = SCK_OK;
    if (memcmp(conf->catalog_id, none, sizeof none) == 0)
        return sck_fail(err, SCK_E_CONFIG, "%s: [scopekey] catalog_id is missing: run `scopekey init`", conf->path);
    if (conf->module[0] == '\0')
        return sck_fail(err, SCK_E_CONFIG, "%s: [token] module is missing: name the PKCS#11 module", conf->path);
    if (conf->label[0] == '\0' && conf->serial[0] == '\0')
        return sck_fail(err, SCK_E_CONFIG, "%s: [token] needs label or serial", conf->path);
    if (!sck_kek_prefix_is_valid(conf->key_prefix))
        return sck_fail(err, SCK_E_CONFIG,
                        "%s: [scopekey] key_prefix \"%s\": use a-z, then up to 23 of a-z and 0-9", conf->path,
                        conf->key_prefix);
    if (conf->scopes[0] != '\0')
        rc = sck_scope_patterns_check(conf->scopes, err);
    if (rc == SCK_OK && conf->client_scopes[0] != '\0')
        rc = sck_scope_patterns_check(conf->client_scopes, err);
    if (rc != SCK_OK) {
        sck_err_prefix(err, "%s: scopes", conf->path);
        return rc;
    }
    if (strcmp(conf->keeper, "azure") == 0)
        return sck_conf_check_azure(conf, err);
    if (strcmp(conf->keeper, "local") == 0 && strcmp(conf->environment, "production") == 0)
        return sck_fail(err, SCK_E_CONFIG, "%s: keeper = local is for development, and environment is production: choose "
                        "keeper token, vault or azure", conf->path);
    return strcmp(conf->keeper, "vault") == 0 ? sck_conf_check_vault(conf, err) : SCK_OK;
}

static char *
directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

enum sck_code
sck_conf_load(const char *path, bool use_env, struct sck_conf **out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    struct sck_conf *conf = calloc(1, sizeof *conf);
    *out = NULL;
    if (conf == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    conf->path = realpath(path, NULL);
    if (conf->path == NULL) {
        rc = sck_fail_errno(err, SCK_E_CONFIG, errno, "cannot read configuration %s", path);
        goto out;
    }
    conf->home = directory_of(conf->path);
    if (conf->home == NULL) {
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
        goto out;
    }
    conf->from_env = use_env;
    rc = set_defaults(conf, err);
    if (rc == SCK_OK)
        rc = read_file(conf, err);
    if (rc == SCK_OK && use_env)
        rc = set_from_env(conf, err);
    if (rc == SCK_OK)
        rc = check_whole(conf, err);
out:
    if (rc == SCK_OK)
        *out = conf;
    else
        sck_conf_free(&conf);
    return rc;
}

void
sck_conf_free(struct sck_conf **conf)
{
    struct sck_conf *c = *conf;
    if (c == NULL)
        return;
    for (size_t i = 0; i < TABLE_LEN; i++) {
        bool number = table[i].offset == OFF(log_level) || table[i].offset == OFF(log_format);
        bool text = table[i].type == SCK_CONF_TEXT || table[i].type == SCK_CONF_PATH ||
                    (table[i].type == SCK_CONF_WORD && !number);
        if (text)
            free(*(char **)(void *)((char *)c + table[i].offset));
    }
    free(c->path);
    free(c->home);
    free(c);
    *conf = NULL;
}
