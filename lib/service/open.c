/* SPDX-License-Identifier: MIT */
/* The one place where the outside things (token, keeper) are chosen and tied together. */
#include "lib/service/engine.h"

#include "lib/base/file.h"
#include "lib/base/log.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *
or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

enum sck_code
sck_open_token(const struct sck_conf *conf, const char *lock_path, sck_pin_fn pin, void *arg,
               struct sck_token **out, struct sck_err *err)
{
    struct sck_token_conf t = {
        .module_path = conf->module,
        .module_env = or_null(conf->module_env),
        .label = or_null(conf->label),
        .serial = or_null(conf->serial),
        .lock_path = lock_path,
        .store_dir = or_null(conf->store_dir),
        .max_sessions = (unsigned)conf->max_sessions,
        .session_wait_ms = conf->session_wait_ms,
        .insecure_master = conf->insecure_master,
        .pin = pin,
        .pin_arg = arg,
    };
    memcpy(t.setup_id, conf->catalog_id, sizeof t.setup_id);
    return sck_token_new(&t, out, err);
}

/* Keeper token sees the token only through these. */
static enum sck_code
kek_make(void *arg, const void *aad, size_t aad_len, struct sck_buf *record, struct sck_err *err)
{
    return sck_token_kek_make(arg, aad, aad_len, record, err);
}

static enum sck_code
kek_load(void *arg, const void *aad, size_t aad_len, const uint8_t *record, size_t record_len, void **key,
         struct sck_err *err)
{
    struct sck_tkey *loaded = NULL;
    enum sck_code rc = sck_token_kek_load(arg, aad, aad_len, record, record_len, &loaded, err);
    *key = loaded;
    return rc;
}

static enum sck_code
kek_seal(void *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
         uint8_t *out, struct sck_err *err)
{
    return sck_tkey_gcm_seal(key, nonce, aad, aad_len, plain, len, out, err);
}

static enum sck_code
kek_open(void *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *sealed, size_t len,
         uint8_t *out, struct sck_err *err)
{
    return sck_tkey_gcm_open(key, nonce, aad, aad_len, sealed, len, out, err);
}

static void
kek_release(void *key)
{
    struct sck_tkey *k = key;
    sck_tkey_unref(&k);
}

/* The plug-in brings libcurl and some 25 libraries, so it is loaded only when the configuration asks for it. */
static enum sck_code
load_plugin(enum sck_keeper_kind kind, const struct sck_keeper_plugin **out, struct sck_err *err)
{
    static const char *const name = "keeper-http.so";
    const char *dir = secure_getenv("SCOPEKEY_PLUGINS");
    char *path = sck_path_join(dir != NULL ? dir : SCK_PLUGINSDIR, name);
    if (path == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct sck_keeper_plugin *p = handle != NULL ? dlsym(handle, "scopekey_keeper_plugin") : NULL;
    enum sck_code rc = SCK_OK;
    if (p == NULL)
        rc = sck_fail(err, SCK_E_CONFIG, "keeper %s: cannot load %s: install it with the rest of Scopekey",
                      sck_keeper_kind_name(kind), path);
    else if (p->version != SCK_KEEPER_PLUGIN_VERSION)
        rc = sck_fail(err, SCK_E_CONFIG, "keeper %s: %s is of another version of Scopekey", sck_keeper_kind_name(kind),
                      path);
    free(path);
    *out = p;
    return rc;
}

static struct sck_keeper_vault_auth
vault_auth(const struct sck_conf_vault_auth *a)
{
    return (struct sck_keeper_vault_auth){
        .method = a->auth,
        .mount = a->auth_mount,
        .role = a->auth_role,
        .name_space = a->auth_namespace,
        .token_fd = (int)a->token_fd,
        .token_credential = a->token_credential,
        .role_id = a->role_id,
        .role_id_file = a->role_id_file,
        .secret_id_file = a->secret_id_file,
        .secret_id_wrapped = a->secret_id_wrapped,
        .jwt_file = a->jwt_file,
        .client_cert_file = a->client_cert_file,
        .client_key_file = a->client_key_file,
    };
}

static enum sck_code
open_vault(const struct sck_conf *conf, struct sck_keeper **out, struct sck_err *err)
{
    const struct sck_keeper_plugin *plugin = NULL;
    const char *token_env = sck_conf_vault_token_env(conf);
    enum sck_code rc = sck_conf_check_vault(conf, err);
    if (rc == SCK_OK)
        rc = load_plugin(SCK_KEEPER_VAULT, &plugin, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_keeper_vault_conf v = {
        .url = conf->vault_url,
        .mount = conf->vault_mount,
        .name_space = conf->vault_namespace,
        .token_file = or_null(conf->vault_data.token_file),
        .admin_token_file = or_null(conf->vault_admin.token_file),
        .auth = vault_auth(&conf->vault_data),
        .admin_auth = vault_auth(&conf->vault_admin),
        .ca_file = or_null(conf->vault_ca_file),
        .insecure_http = conf->vault_insecure_http,
        .insecure_skip_verify = conf->vault_insecure_skip_verify,
        .connect_timeout_ms = conf->vault_connect_timeout_ms,
        .request_timeout_ms = conf->vault_request_timeout_ms,
        .deadline_ms = conf->vault_deadline_ms,
        .max_retries = (unsigned)conf->vault_max_retries,
        .retry_backoff_ms = conf->vault_retry_backoff_ms,
        .full_jitter = strcmp(conf->vault_retry_jitter, "full") == 0,
        .nodes = or_null(conf->vault_nodes),
        .http2 = strcmp(conf->vault_http2, "on") == 0,
        .max_connections = (size_t)conf->vault_max_connections,
    };
    if (token_env != NULL) {
        v.auth.method = "token";
        v.auth.token_env = token_env;
    }
    return plugin->vault_open(&v, out, err);
}

/* Keeper azure tells its own wrapped DEKs from others by this. */
static enum sck_code
azure_mac(void *arg, const void *data, size_t len, uint8_t out[SCK_SHA256_LEN], struct sck_err *err)
{
    return sck_token_hmac(arg, SCK_SYS_MAC, data, len, out, err);
}

/* A secret of the environment, where that counts; *secret stays NULL without one. */
static enum sck_code
secret_from_env(const struct sck_conf *conf, const char *name, struct sck_secret **secret, struct sck_err *err)
{
    const char *value = conf->from_env ? secure_getenv(name) : NULL;
    return value != NULL && value[0] != '\0' ? sck_secret_from(value, strlen(value), secret, err) : SCK_OK;
}

static enum sck_azure_credential
azure_credential(const char *word)
{
    static const char *const words[] = {[SCK_AZURE_AUTO] = "auto", [SCK_AZURE_SECRET] = "secret",
                                        [SCK_AZURE_CERTIFICATE] = "certificate", [SCK_AZURE_FEDERATED] = "federated",
                                        [SCK_AZURE_MANAGED] = "managed"};
    size_t kind = SCK_AZURE_MANAGED;
    while (kind > SCK_AZURE_AUTO && strcasecmp(words[kind], word) != 0)
        kind--;
    return (enum sck_azure_credential)kind;
}

static const char *
azure_key_type(const char *word)
{
    if (strcasecmp(word, "oct-hsm") == 0)
        return "oct-HSM";
    return strcasecmp(word, "rsa-hsm") == 0 ? "RSA-HSM" : "RSA";
}

static void
azure_fill(const struct sck_conf *conf, struct sck_token *token, struct sck_keeper_azure_conf *out)
{
    *out = (struct sck_keeper_azure_conf){
        .url = conf->azure_url,
        .tenant_id = or_null(conf->azure_tenant_id),
        .authority = conf->azure_authority,
        .identity_endpoint = or_null(conf->azure_identity_endpoint),
        .metadata = conf->azure_metadata,
        .data = {.credential = azure_credential(conf->azure_credential),
                 .client_id = or_null(conf->azure_client_id),
                 .secret_file = or_null(conf->azure_client_secret_file),
                 .certificate_file = or_null(conf->azure_certificate_file),
                 .certificate_key_file = or_null(conf->azure_certificate_key_file),
                 .federated_token_file = or_null(conf->azure_federated_token_file)},
        .admin = {.credential = azure_credential(conf->azure_credential),
                  .client_id = or_null(conf->azure_admin_client_id),
                  .secret_file = or_null(conf->azure_admin_client_secret_file),
                  .certificate_file = or_null(conf->azure_admin_certificate_file),
                  .certificate_key_file = or_null(conf->azure_admin_certificate_key_file),
                  .federated_token_file = or_null(conf->azure_federated_token_file)},
        .ca_file = or_null(conf->azure_ca_file),
        .insecure_http = conf->azure_insecure_http,
        .key_type = azure_key_type(conf->azure_key_type),
        .key_bits = conf->azure_key_bits,
        .purge = conf->azure_purge,
        .connect_timeout_ms = conf->azure_connect_timeout_ms,
        .request_timeout_ms = conf->azure_request_timeout_ms,
        .deadline_ms = conf->azure_deadline_ms,
        .delete_wait_ms = conf->azure_delete_wait_ms,
        .max_retries = (unsigned)conf->azure_max_retries,
        .retry_backoff_ms = conf->azure_retry_backoff_ms,
        .mac = azure_mac,
        .mac_arg = token,
    };
}

static enum sck_code
open_azure(const struct sck_conf *conf, struct sck_token *token, struct sck_keeper **out, struct sck_err *err)
{
    const struct sck_keeper_plugin *plugin = NULL;
    struct sck_keeper_azure_conf a;
    struct sck_secret *secret = NULL, *header = NULL;
    enum sck_code rc = sck_conf_check_azure(conf, err);
    if (rc == SCK_OK)
        rc = load_plugin(SCK_KEEPER_AZURE, &plugin, err);
    if (rc == SCK_OK)
        rc = secret_from_env(conf, "KEY_VAULT_CLIENT_SECRET", &secret, err);
    if (rc == SCK_OK)
        rc = secret_from_env(conf, "IDENTITY_HEADER", &header, err);
    if (rc == SCK_OK) {
        azure_fill(conf, token, &a);
        if (secret != NULL && a.data.secret_file == NULL) {
            sck_log(SCK_LOG_WARNING, "service.open", "the client secret is in the environment (KEY_VAULT_CLIENT_SECRET), "
                    "where other programs of this user can read it: put it into client_secret_file");
            a.data.secret = secret;
        }
        a.identity_header = header;
        rc = plugin->azure_open(&a, out, err);
    }
    sck_secret_free(&secret);
    sck_secret_free(&header);
    return rc;
}

static enum sck_code
open_token_keeper(struct sck_token *token, struct sck_keeper **out, struct sck_err *err)
{
    const struct sck_keeper_token_fns fns = {token, kek_make, kek_load, kek_seal, kek_open, kek_release};
    return sck_keeper_token_open(&fns, 0, out, err);
}

/* Keeper local, too, sees the token only through this; the label it begins with is its own (docs/formats.md). */
static enum sck_code
local_hmac(void *arg, const void *data, size_t len, uint8_t out[32], struct sck_err *err)
{
    return sck_token_hmac(arg, SCK_SYS_MAC, data, len, out, err);
}

static enum sck_code
ask_passphrase(const char *text, struct sck_secret **out, struct sck_err *err)
{
    struct sck_pin_sources terminal = {.fd = -1, .prompt = true, .prompt_text = text};
    enum sck_code rc = sck_pin_from_sources(&terminal, false, out, err);
    if (rc != SCK_OK)
        sck_err_prefix(err, "passphrase of keeper local");
    return rc;
}

static enum sck_code
local_passphrase(const void *arg, bool confirm, struct sck_secret **out, struct sck_err *err)
{
    const struct sck_conf *conf = arg;
    struct sck_secret *again = NULL;
    if (conf->local_passphrase_file[0] != '\0')
        return sck_file_read_secret(conf->local_passphrase_file, "passphrase file", out, err);
    if (conf->local_passphrase_fd > 0)
        return sck_fd_read_secret((int)conf->local_passphrase_fd, "the passphrase's file descriptor", out, err);
    if (!conf->local_passphrase_prompt)
        return sck_fail(err, SCK_E_CREDENTIAL, "keeper local: no source of the passphrase: set passphrase_file, "
                        "passphrase_fd or passphrase_prompt in [keeper local]");
    enum sck_code rc = ask_passphrase("Passphrase of keeper local", out, err);
    if (rc == SCK_OK && confirm)
        rc = ask_passphrase("The same passphrase again", &again, err);
    if (rc == SCK_OK && confirm && ((*out)->len != again->len || !sck_ct_equal((*out)->data, again->data, again->len)))
        rc = sck_fail(err, SCK_E_USAGE, "the two passphrases are not the same");
    if (rc != SCK_OK)
        sck_secret_free(out);
    sck_secret_free(&again);
    return rc;
}

static enum sck_code
open_local(const struct sck_conf *conf, struct sck_token *token, struct sck_keeper **out, struct sck_err *err)
{
    const struct sck_keeper_local_conf l = {
        .path = conf->local_path,
        .environment = conf->environment,
        .root = strcmp(conf->local_root, "token") == 0 ? SCK_LOCAL_BY_TOKEN : SCK_LOCAL_BY_PASSPHRASE,
        .backups = (unsigned)conf->local_backups,
        .hmac = local_hmac,
        .hmac_arg = token,
        .passphrase = local_passphrase,
        .passphrase_arg = conf,
    };
    return sck_keeper_local_open(&l, out, err);
}

enum sck_code
sck_open_keeper(const struct sck_conf *conf, enum sck_keeper_kind kind, struct sck_token *token,
                struct sck_keeper **out, struct sck_err *err)
{
    *out = NULL;
    switch (kind) {
    case SCK_KEEPER_TOKEN: return open_token_keeper(token, out, err);
    case SCK_KEEPER_VAULT: return open_vault(conf, out, err);
    case SCK_KEEPER_AZURE: return open_azure(conf, token, out, err);
    case SCK_KEEPER_LOCAL: return open_local(conf, token, out, err);
    }
    return sck_fail(err, SCK_E_CONFIG, "keeper %s is not part of this build", sck_keeper_kind_name(kind));
}

enum sck_code
sck_prepare_keeper(struct sck_keeper *keeper, struct sck_err *err)
{
    const struct sck_keeper_plugin *plugin = NULL;
    if (keeper->ops->kind == SCK_KEEPER_LOCAL)
        return sck_keeper_local_prepare(keeper, err);
    if (keeper->ops->kind != SCK_KEEPER_VAULT)
        return SCK_OK;
    enum sck_code rc = load_plugin(SCK_KEEPER_VAULT, &plugin, err);
    return rc == SCK_OK ? plugin->vault_prepare(keeper, err) : rc;
}
