/* SPDX-License-Identifier: MIT */
#include "vault/http/keeper_vault.h"

#include "vault/http/auth.h"
#include "vault/http/transit.h"
#include "vault/http/url.h"

#include <stdlib.h>
#include <string.h>

enum { RETRIES_MAX = 10, BATCH_MOST = 128, CONNECTIONS = 32 };

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

/* Nothing is cached here: each call asks the server. */
static void
vault_forget(struct sck_keeper *keeper, const char *name)
{
    (void)keeper;
    (void)name;
}

static void
vault_close(struct sck_keeper *keeper)
{
    struct sck_vault *v = sck_vault_of(keeper);
    sck_loop_close(&v->loop);
    /* Logins are revoked: that takes the client. */
    sck_credential_clear(&v->data);
    sck_credential_clear(&v->admin);
    sck_http_free(&v->http);
    sck_remote_clear(&v->remote);
    free(v);
}

static const struct sck_keeper_ops vault_ops = {
    .kind = SCK_KEEPER_VAULT,
    .name = "vault",
    .erasure = SCK_ERASURE_IMMEDIATE,
    .rewraps_blind = true,
    .create = sck_transit_create,
    .wrap = sck_transit_wrap,
    .unwrap = sck_transit_unwrap,
    .run = sck_transit_run,
    .submit = sck_transit_submit,
    .cancel = sck_transit_cancel,
    .rotate = sck_transit_rotate,
    .newest = sck_transit_newest,
    .retire = sck_transit_retire,
    .erase = sck_transit_erase,
    .probe = sck_transit_probe,
    .status = sck_transit_status,
    .forget = vault_forget,
    .close = vault_close,
};

static const char *
or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static int64_t
or_default(int64_t value, int64_t fallback)
{
    return value == 0 ? fallback : value;
}

/* The first node is `url`, the others follow in the order that they are tried. */
static enum sck_code
take_nodes(struct sck_vault *v, const struct sck_keeper_vault_conf *conf, struct sck_err *err)
{
    struct sck_remote *r = &v->remote;
    enum sck_code rc = sck_vault_url_parse(conf->url, conf->insecure_http, r->nodes[0], err);
    r->node_count = 1;
    for (const char *p = conf->nodes != NULL ? conf->nodes : ""; rc == SCK_OK && *p != '\0';) {
        char one[SCK_URL_MAX];
        size_t len = strcspn(p, " ");
        if (len >= sizeof one || (len > 0 && r->node_count == SCK_NODES_MAX))
            return sck_fail(err, SCK_E_CONFIG, "keeper vault: nodes must be at most %d URLs of less than %d bytes",
                            SCK_NODES_MAX - 1, SCK_URL_MAX);
        if (len > 0) {
            memcpy(one, p, len);
            one[len] = '\0';
            rc = sck_vault_url_parse(one, conf->insecure_http, r->nodes[r->node_count++], err);
        }
        p += len + (p[len] == ' ');
    }
    return rc;
}

static enum sck_code
take_settings(struct sck_vault *v, const struct sck_keeper_vault_conf *conf, struct sck_err *err)
{
    enum sck_code rc = take_nodes(v, conf, err);
    if (rc != SCK_OK)
        return rc;
    if (!sck_vault_mount_is_legal(conf->mount))
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: mount must be segments of A-Z, a-z, 0-9, _ and - with single "
                        "slashes between them");
    if (!sck_vault_namespace_is_legal(conf->name_space))
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: namespace must be segments of A-Z, a-z, 0-9, _ and - with "
                        "single slashes between them");
    if (conf->max_retries > RETRIES_MAX)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: max_retries must be at most %d", RETRIES_MAX);
    if (conf->max_connections > SCK_LOOP_CONNECTIONS_MAX)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: max_connections must be at most %d",
                        SCK_LOOP_CONNECTIONS_MAX);
    if (conf->connect_timeout_ms < 0 || conf->request_timeout_ms < 0 || conf->deadline_ms < 0 ||
        conf->retry_backoff_ms < 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: times must not be negative");
    memcpy(v->mount, conf->mount, strlen(conf->mount) + 1);
    memcpy(v->name_space, conf->name_space, strlen(conf->name_space) + 1);
    v->insecure_http = conf->insecure_http;
    v->remote.request_timeout_ms = or_default(conf->request_timeout_ms, 5000);
    v->remote.deadline_ms = or_default(conf->deadline_ms, 30000);
    v->remote.retry_backoff_ms = or_default(conf->retry_backoff_ms, 100);
    v->remote.max_retries = conf->max_retries;
    v->remote.full_jitter = conf->full_jitter;
    return SCK_OK;
}

/* The two tokens.  A transport of a test's own has no threads of ours beside it. */
static enum sck_code
take_tokens(struct sck_vault *v, const struct sck_keeper_vault_conf *conf, bool threaded, struct sck_err *err)
{
    struct sck_auth_setup data = {
        .what = "the data token",
        .role_word = "data",
        .prefix = "",
        .token_file = conf->token_file,
        .conf = &conf->auth,
        .name_space = v->name_space,
        .remote = &v->remote,
        .threaded = threaded,
    };
    struct sck_auth_setup admin = data;
    admin.what = "the admin token";
    admin.role_word = "admin";
    admin.prefix = "admin_";
    admin.token_file = conf->admin_token_file;
    admin.conf = &conf->admin_auth;
    admin.fallback = &conf->auth;
    enum sck_code rc = sck_auth_init(&v->data, &data, err);
    return rc == SCK_OK ? sck_auth_init(&v->admin, &admin, err) : rc;
}

enum sck_code
sck_keeper_vault_new(const struct sck_keeper_vault_conf *conf, const struct sck_env *env,
                     struct sck_keeper **out, struct sck_err *err)
{
    const struct sck_http_conf http = {
        .keeper = "vault",
        .ca_file = conf->ca_file,
        .client_cert = or_null(conf->auth.client_cert_file),
        .client_key = or_null(conf->auth.client_key_file),
        .insecure_skip_verify = conf->insecure_skip_verify,
        .connect_timeout_ms = or_default(conf->connect_timeout_ms, 2000),
        .http2 = conf->http2,
        .request_timeout_ms = or_default(conf->request_timeout_ms, 5000),
    };
    *out = NULL;
    struct sck_vault *v = calloc(1, sizeof *v);
    if (v == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    v->base.ops = &vault_ops;
    v->remote.dialect = &sck_vault_dialect;
    v->remote.env = env != NULL ? *env : (struct sck_env){sck_clock_system(), system_random, NULL, NULL, NULL};
    atomic_init(&v->batch_most, BATCH_MOST);
    v->url = v->remote.nodes[0];
    sck_remote_init(&v->remote);
    sck_loop_init(&v->loop, v->remote.env.clock, conf->max_connections != 0 ? conf->max_connections : CONNECTIONS);
    enum sck_code rc = take_settings(v, conf, err);
    if (rc != SCK_OK) {
        vault_close(&v->base);
        return rc;
    }
    rc = take_tokens(v, conf, env == NULL, err);
    if (rc == SCK_OK && v->remote.env.exchange == NULL) {
        rc = sck_http_new(&http, &v->http, err);
        v->loop.http = v->http;
        v->remote.env.exchange = http_exchange;
        v->remote.env.exchange_arg = v->http;
    }
    if (rc != SCK_OK) {
        vault_close(&v->base);
        return rc;
    }
    *out = &v->base;
    return SCK_OK;
}
