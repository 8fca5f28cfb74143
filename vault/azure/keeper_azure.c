/* SPDX-License-Identifier: MIT */
#include "vault/azure/keeper_azure.h"

#include "vault/azure/azure.h"
#include "vault/azure/pool.h"
#include "vault/http/url.h"

#include <stdlib.h>
#include <string.h>

enum { RETRIES_MAX = 10 };

static const struct sck_dialect azure_dialect = {
    .keeper = "azure",
    .op_name = sck_azure_op_name,
    .triage = sck_azure_triage,
    .error_text = sck_azure_error_text,
    .doubt = "is url a Key Vault?",
    .token_header = "Authorization: Bearer ",
    .id_header = "x-ms-request-id",
};

/* The token endpoint and the machine's own; App Service's wants a secret, but not as a bearer. */
static const struct sck_dialect issuer_dialect = {
    .keeper = "azure",
    .op_name = sck_azure_op_name,
    .triage = sck_azure_triage,
    .error_text = sck_azure_error_text,
    .doubt = "do authority, identity_endpoint and metadata give tokens?",
    .token_header = "X-IDENTITY-HEADER: ",
    .id_header = "x-ms-request-id",
};

static uint32_t
system_random(void *arg)
{
    uint32_t value = 0;
    (void)arg;
    /* Only the spread of waits depends on it. */
    return sck_random(&value, sizeof value, NULL) == SCK_OK ? value : 0;
}

static void
http_exchange(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    sck_http_exchange(arg, request, reply);
}

static void
azure_forget(struct sck_keeper *keeper, const char *name)
{
    sck_azure_key_forget(sck_azure_of(keeper), name);
}

static void
azure_close(struct sck_keeper *keeper)
{
    struct sck_azure *a = sck_azure_of(keeper);
    sck_azure_pool_free(&a->pool);
    sck_http_free(&a->http);
    if (a->admin == &a->admin_login)
        a->admin_login.base.ops->clear(&a->admin_login.base);
    if (a->data.base.ops != NULL)
        a->data.base.ops->clear(&a->data.base);
    sck_azure_key_forget(a, NULL);
    sck_remote_clear(&a->vault);
    sck_remote_clear(&a->authority);
    sck_remote_clear(&a->identities);
    sck_secret_free(&a->issuer.identity_header);
    free(a->issuer.tenant_id);
    sck_forklock_clear(&a->lock);
    free(a);
}

static const struct sck_keeper_ops azure_ops = {
    .kind = SCK_KEEPER_AZURE,
    .name = "azure",
    .erasure = SCK_ERASURE_SCHEDULED,
    .rewraps_blind = false,
    .create = sck_azure_create,
    .wrap = sck_azure_wrap,
    .unwrap = sck_azure_unwrap,
    .run = sck_azure_run,
    .submit = sck_azure_submit,
    .cancel = sck_azure_cancel,
    .rotate = sck_azure_rotate,
    .newest = sck_azure_newest,
    .retire = sck_azure_retire,
    .erase = sck_azure_erase,
    .probe = sck_azure_probe,
    .status = sck_azure_status,
    .forget = azure_forget,
    .close = azure_close,
};

static int64_t
or_default(int64_t value, int64_t fallback)
{
    return value == 0 ? fallback : value;
}

/* A tenant is an id or a domain (Entra ID), so that nothing else gets into the token endpoint's path. */
static enum sck_code
take_tenant(struct sck_azure *a, const char *tenant, struct sck_err *err)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
    if (tenant == NULL || tenant[0] == '\0')
        return SCK_OK;
    if (strlen(tenant) > 253 || strspn(tenant, legal) != strlen(tenant) || tenant[0] == '.')
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: tenant_id is neither a tenant's id nor its domain");
    a->issuer.tenant_id = strdup(tenant);
    return a->issuer.tenant_id != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
}

static enum sck_code
take_url(const char *url, const char *setting, enum sck_url_http http, struct sck_remote *remote, struct sck_err *err)
{
    const struct sck_url_rules rules = {"azure", setting, http};
    return sck_url_parse(url, &rules, remote->nodes[0], err);
}

/* App Service's endpoint has a path of its own, which goes behind the base URL. */
static enum sck_code
take_identities(struct sck_azure *a, const struct sck_keeper_azure_conf *conf, struct sck_err *err)
{
    static const char metadata_path[] = "/metadata/identity/oauth2/token";
    char base[SCK_URL_MAX];
    const char *url = conf->identity_endpoint;
    a->issuer.app_service = url != NULL && url[0] != '\0' && conf->identity_header != NULL;
    if (!a->issuer.app_service) {
        memcpy(a->issuer.identities_path, metadata_path, sizeof metadata_path);
        return take_url(conf->metadata, "metadata", SCK_URL_HTTP_LINK, &a->identities, err);
    }
    const char *host = strstr(url, "://");
    const char *path = host != NULL ? strchr(host + 3, '/') : NULL;
    size_t base_len = path != NULL ? (size_t)(path - url) : strlen(url);
    if (base_len >= sizeof base || strlen(url) - base_len >= 128 ||
        (path != NULL && strpbrk(path, "?#\\ \"%") != NULL))
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: identity_endpoint is malformed");
    memcpy(base, url, base_len);
    base[base_len] = '\0';
    (void)strcpy(a->issuer.identities_path, path != NULL ? path : "/");
    enum sck_code rc = take_url(base, "identity_endpoint", SCK_URL_HTTP_LINK, &a->identities, err);
    return rc == SCK_OK ? sck_secret_dup(conf->identity_header, &a->issuer.identity_header, err) : rc;
}

static enum sck_code
check_key_type(const struct sck_keeper_azure_conf *conf, struct sck_err *err)
{
    bool rsa = strcmp(conf->key_type, "RSA") == 0 || strcmp(conf->key_type, "RSA-HSM") == 0;
    if (!rsa && strcmp(conf->key_type, "oct-HSM") != 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: key_type must be rsa, rsa-hsm or oct-hsm");
    if (rsa && conf->key_bits != 2048 && conf->key_bits != 3072 && conf->key_bits != 4096)
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: key_bits must be 2048, 3072 or 4096");
    if (conf->max_retries > RETRIES_MAX)
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: max_retries must be at most %d", RETRIES_MAX);
    if (conf->connect_timeout_ms < 0 || conf->request_timeout_ms < 0 || conf->deadline_ms < 0 ||
        conf->retry_backoff_ms < 0 || conf->delete_wait_ms < 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: times must not be negative");
    return SCK_OK;
}

static void
remote_init(struct sck_remote *remote, const struct sck_keeper_azure_conf *conf, const struct sck_dialect *dialect,
            const struct sck_env *env)
{
    remote->dialect = dialect;
    remote->env = *env;
    remote->node_count = 1;
    remote->request_timeout_ms = or_default(conf->request_timeout_ms, 10000);
    remote->deadline_ms = or_default(conf->deadline_ms, 30000);
    remote->retry_backoff_ms = or_default(conf->retry_backoff_ms, 500);
    remote->max_retries = conf->max_retries;
    sck_remote_init(remote);
}

static enum sck_code
take_settings(struct sck_azure *a, const struct sck_keeper_azure_conf *conf, struct sck_err *err)
{
    enum sck_url_http http = conf->insecure_http ? SCK_URL_HTTP_LOOPBACK : SCK_URL_HTTP_NEVER;
    enum sck_code rc = check_key_type(conf, err);
    if (rc == SCK_OK)
        rc = take_url(conf->url, "url", http, &a->vault, err);
    if (rc == SCK_OK)
        rc = take_url(conf->authority, "authority", http, &a->authority, err);
    if (rc == SCK_OK)
        rc = take_identities(a, conf, err);
    if (rc == SCK_OK)
        rc = take_tenant(a, conf->tenant_id, err);
    if (rc == SCK_OK)
        rc = sck_azure_login_init(&a->data, "the data client", "", &conf->data, &a->issuer, err);
    if (rc == SCK_OK && conf->admin.client_id != NULL) {
        a->admin = &a->admin_login;
        rc = sck_azure_login_init(a->admin, "the admin client", "admin_", &conf->admin, &a->issuer, err);
    }
    return rc;
}

enum sck_code
sck_keeper_azure_new(const struct sck_keeper_azure_conf *conf, const struct sck_env *env, struct sck_keeper **out,
                     struct sck_err *err)
{
    const struct sck_http_conf http = {
        .keeper = "azure",
        .ca_file = conf->ca_file,
        .connect_timeout_ms = or_default(conf->connect_timeout_ms, 2000),
        .request_timeout_ms = or_default(conf->request_timeout_ms, 10000),
    };
    struct sck_env own = {sck_clock_system(), system_random, NULL, http_exchange, NULL};
    enum sck_code rc = SCK_OK;
    *out = NULL;
    struct sck_azure *a = calloc(1, sizeof *a);
    if (a == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (env == NULL)
        rc = sck_http_new(&http, &a->http, err);
    own.exchange_arg = a->http;
    a->base.ops = &azure_ops;
    a->admin = &a->data;
    a->key_type = conf->key_type;
    a->key_bits = conf->key_bits;
    a->purge = conf->purge;
    a->delete_wait_ms = conf->delete_wait_ms;
    a->mac = conf->mac;
    a->mac_arg = conf->mac_arg;
    a->issuer.authority = &a->authority;
    a->issuer.identities = &a->identities;
    a->issuer.resource = sck_azure_resource;
    a->issuer.resource_arg = a;
    sck_forklock_init(&a->lock);
    remote_init(&a->vault, conf, &azure_dialect, env != NULL ? env : &own);
    remote_init(&a->authority, conf, &issuer_dialect, env != NULL ? env : &own);
    remote_init(&a->identities, conf, &issuer_dialect, env != NULL ? env : &own);
    if (rc == SCK_OK)
        rc = take_settings(a, conf, err);
    if (rc == SCK_OK)
        rc = sck_azure_pool_new(&a->pool, err);
    if (rc != SCK_OK) {
        azure_close(&a->base);
        return rc;
    }
    *out = &a->base;
    return SCK_OK;
}
