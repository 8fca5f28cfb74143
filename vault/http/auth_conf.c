/* SPDX-License-Identifier: MIT */
#include "vault/http/auth.h"

#include "lib/base/file.h"
#include "lib/base/metric.h"
#include "vault/http/transit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where Kubernetes mounts a pod's service account (Configure Service Accounts for Pods). */
#define POD_JWT "/var/run/secrets/kubernetes.io/serviceaccount/token"

static bool
is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* A copy that lives as long as the credential; NULL for "not set", and with *rc when there is no memory. */
static const char *
keep(struct sck_auth *a, const char *text, enum sck_code *rc, struct sck_err *err)
{
    if (*rc != SCK_OK || !is_set(text))
        return NULL;
    char *copy = strdup(text);
    if (copy == NULL)
        *rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    else
        a->owned[a->owned_count++] = copy;
    return copy;
}

static const char *
or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static enum sck_code
take_method(struct sck_auth *a, const struct sck_auth_setup *s, struct sck_err *err)
{
    const struct sck_keeper_vault_auth *c = s->conf;
    enum sck_code rc = SCK_OK;
    if (!sck_auth_method_parse(is_set(c->method) ? c->method : "token", &a->method))
        return sck_fail(err, SCK_E_CONFIG,
                        "keeper vault: %sauth must be token, agent, approle, kubernetes, jwt or cert", s->prefix);
    const char *space = is_set(c->name_space) ? c->name_space : s->name_space;
    a->mount = keep(a, is_set(c->mount) ? c->mount : sck_auth_method_name(a->method), &rc, err);
    a->role = or_empty(keep(a, c->role, &rc, err));
    a->name_space = or_empty(keep(a, strcmp(space, "root") == 0 ? "" : space, &rc, err));
    if (rc == SCK_OK && !sck_vault_mount_is_legal(a->mount))
        rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: %sauth_mount must be segments of A-Z, a-z, 0-9, _ and - with "
                      "single slashes between them", s->prefix);
    if (rc == SCK_OK && !sck_vault_namespace_is_legal(a->name_space))
        rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: %sauth_namespace must be segments of A-Z, a-z, 0-9, _ and - "
                      "with single slashes between them, or root", s->prefix);
    if (rc == SCK_OK && c->secret_id_wrapped && !is_set(c->role))
        rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: %ssecret_id_wrapped needs %sauth_role, to check whose secret "
                      "id it is", s->prefix, s->prefix);
    return rc;
}

/* "admin_token_file" and so on, for messages. */
static const char *
setting(struct sck_auth *a, const char *prefix, const char *name, enum sck_code *rc, struct sck_err *err)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%s", prefix, name);
    return keep(a, text, rc, err);
}

static enum sck_code
take_sources(struct sck_auth *a, const struct sck_auth_setup *s, struct sck_err *err)
{
    const struct sck_keeper_vault_auth *c = s->conf;
    enum sck_code rc = SCK_OK;
    bool jwt = a->method == SCK_AUTH_KUBERNETES || a->method == SCK_AUTH_JWT;
    a->token = (struct sck_auth_source){
        .what = s->what,
        .setting = setting(a, s->prefix, "token_file", &rc, err),
        .env = keep(a, c->token_env, &rc, err),
        .fd = c->token_fd,
        .credential = keep(a, c->token_credential, &rc, err),
        .path = keep(a, s->token_file, &rc, err),
    };
    a->role_id = (struct sck_auth_source){
        .what = "the role id",
        .setting = setting(a, s->prefix, "role_id_file", &rc, err),
        .text = keep(a, c->role_id, &rc, err),
        .path = keep(a, c->role_id_file, &rc, err),
        .shared = true,
    };
    if (a->method == SCK_AUTH_APPROLE)
        a->proof = (struct sck_auth_source){.what = "the secret id",
                                            .setting = setting(a, s->prefix, "secret_id_file", &rc, err),
                                            .path = keep(a, c->secret_id_file, &rc, err)};
    if (jwt)
        a->proof = (struct sck_auth_source){.what = "the JWT",
                                            .setting = setting(a, s->prefix, "jwt_file", &rc, err),
                                            .path = keep(a, c->jwt_file, &rc, err),
                                            .shared = true};
    if (a->method == SCK_AUTH_KUBERNETES && a->proof.path == NULL)
        a->proof.path = POD_JWT;
    a->wrapped = a->method == SCK_AUTH_APPROLE && c->secret_id_wrapped;
    return rc;
}

static enum sck_code
take_identity(struct sck_auth *a, const struct sck_auth_setup *s, struct sck_err *err)
{
    const struct sck_keeper_vault_auth *c = s->conf;
    enum sck_code rc = SCK_OK;
    if (s->fallback != NULL && !is_set(c->client_cert_file) && !is_set(c->client_key_file))
        c = s->fallback;
    a->identity.cert_file = keep(a, c->client_cert_file, &rc, err);
    a->identity.key_file = keep(a, c->client_key_file, &rc, err);
    if (rc != SCK_OK)
        return rc;
    if ((a->identity.cert_file == NULL) != (a->identity.key_file == NULL))
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: a client certificate needs both client_cert_file and "
                        "client_key_file");
    if (a->identity.cert_file == NULL)
        return a->method != SCK_AUTH_CERT ? SCK_OK
                   : sck_fail(err, SCK_E_CONFIG,
                              "keeper vault: %sauth = cert needs client_cert_file and client_key_file", s->prefix);
    struct sck_err why = SCK_ERR_INIT;
    rc = sck_file_check_private(a->identity.key_file, "the client key", &why);
    return rc == SCK_OK ? SCK_OK
                        : sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc, "keeper vault: %s", why.message);
}

static void
make_metrics(struct sck_auth *a)
{
    static const char *const outcomes[] = {"login_ok", "login_failed", "renewal_ok", "renewal_failed"};
    char labels[128];
    (void)snprintf(labels, sizeof labels, "keeper=\"vault\",role=\"%s\"", a->role_word);
    a->ttl = sck_metric_gauge("scopekey_keeper_token_ttl_seconds",
                              "What was left of a login token's life when it was last looked at.", labels);
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        (void)snprintf(labels, sizeof labels, "keeper=\"vault\",role=\"%s\",outcome=\"%s\"", a->role_word, outcomes[i]);
        a->logins[i] = sck_metric_counter("scopekey_keeper_logins_total", "Logins and renewals.", labels);
    }
}

enum sck_code
sck_auth_init(struct sck_credential *c, const struct sck_auth_setup *s, struct sck_err *err)
{
    struct sck_auth *a = calloc(1, sizeof *a);
    if (a == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    c->ops = &sck_auth_ops;
    c->own = a;
    a->what = s->what;
    a->role_word = s->role_word;
    a->remote = s->remote;
    a->threaded = s->threaded;
    a->lease.end_us = SCK_LEASE_NEVER;
    a->pid = getpid();
    sck_forklock_init(&a->lock);
    (void)pthread_cond_init(&a->changed, NULL);
    make_metrics(a);
    enum sck_code rc = take_method(a, s, err);
    if (rc == SCK_OK)
        rc = take_sources(a, s, err);
    if (rc == SCK_OK)
        rc = take_identity(a, s, err);
    c->usable = sck_auth_method_logs_in(a->method) || sck_auth_source_is_set(&a->token);
    c->identity = a->identity.cert_file != NULL ? &a->identity : NULL;
    return rc;
}
