/* SPDX-License-Identifier: MIT */
#include "vault/azure/login.h"

#include "lib/base/exit.h"
#include "lib/base/file.h"
#include "lib/base/text.h"
#include "vault/azure/assertion.h"
#include "vault/azure/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_MAX = 8192, RENEW_BEFORE_S = 300, LIFE_MAX_S = 86400 * 7 };

static struct sck_azure_login *
of(struct sck_credential *c)
{
    return (struct sck_azure_login *)(void *)c;
}

static int64_t
monotonic(const struct sck_azure_login *l)
{
    return sck_monotonic_us(l->issuer->authority->env.clock);
}

/* ---- asking for a token ---- */

/* A number, or its decimal text, as managed identities write it. */
static bool
take_seconds(struct sck_json value, uint64_t *out)
{
    if (value.kind == SCK_JSON_STRING)
        return sck_u64_parse(value.at, value.len, INT64_MAX, out);
    return sck_json_u64(value, INT64_MAX, out);
}

bool
sck_azure_token_parse(struct sck_json body, int64_t now_s, struct sck_json *token, int64_t *life_s)
{
    uint64_t seconds = 0;
    *token = sck_json_get(body, "access_token");
    *life_s = 0;
    if (token->kind != SCK_JSON_STRING || token->len == 0 || token->len > TOKEN_MAX)
        return false;
    /* Line ends, quotes and escapes would be something else than a token. */
    for (size_t i = 0; i < token->len; i++) {
        if ((uint8_t)token->at[i] <= 0x20 || (uint8_t)token->at[i] >= 0x7F || token->at[i] == '\\')
            return false;
    }
    if (take_seconds(sck_json_get(body, "expires_in"), &seconds))
        *life_s = (int64_t)(seconds < LIFE_MAX_S ? seconds : LIFE_MAX_S);
    else if (take_seconds(sck_json_get(body, "expires_on"), &seconds) && (int64_t)seconds > now_s)
        *life_s = (int64_t)seconds - now_s < LIFE_MAX_S ? (int64_t)seconds - now_s : LIFE_MAX_S;
    return *life_s > 0;
}

/* A form (application/x-www-form-urlencoded) that grows within a secret of its largest size. */
struct form {
    struct sck_secret *text;
    size_t len;
};

static void
form_add(struct form *f, const char *name, const void *value, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    uint8_t *at = f->text->data + f->len;
    const uint8_t *from = value;
    if (f->len > 0)
        *at++ = '&';
    memcpy(at, name, strlen(name));
    at += strlen(name);
    *at++ = '=';
    for (size_t i = 0; i < len; i++) {
        if (from[i] != '\0' && strchr(plain, from[i]) != NULL) {
            *at++ = from[i];
        } else {
            *at++ = '%';
            *at++ = (uint8_t)hex[from[i] >> 4];
            *at++ = (uint8_t)hex[from[i] & 15];
        }
    }
    f->len = (size_t)(at - f->text->data);
}

/* What this client shows: its secret, or an assertion. */
static enum sck_code
make_proof(struct sck_azure_login *l, struct sck_secret **proof, struct sck_err *err)
{
    const char *path = l->kind == SCK_AZURE_FEDERATED ? l->federated_token_file : l->secret_file;
    char audience[SCK_URL_MAX + SCK_PATH_MAX];
    struct sck_err why = SCK_ERR_INIT;
    if (l->kind == SCK_AZURE_CERTIFICATE) {
        (void)snprintf(audience, sizeof audience, "%s/%s/oauth2/v2.0/token", l->issuer->authority->nodes[0],
                       l->issuer->tenant_id);
        return sck_assertion_make(l->certificate_file, l->certificate_key_file, l->client_id, audience,
                                  sck_now_s(l->issuer->authority->env.clock), proof, err);
    }
    if (l->kind == SCK_AZURE_SECRET && path == NULL)
        return sck_secret_dup(l->secret, proof, err);
    if (l->kind == SCK_AZURE_FEDERATED) {
        /* Kubernetes makes the file readable by the pod's group, and replaces it within its life. */
        struct sck_buf text = {0};
        enum sck_code rc = sck_file_read(path, TOKEN_MAX, &text, &why);
        while (rc == SCK_OK && text.len > 0 && text.data[text.len - 1] <= 0x20)
            text.len--;
        if (rc == SCK_OK)
            rc = text.len > 0 ? sck_secret_from(text.data, text.len, proof, &why)
                              : sck_fail(&why, SCK_E_CONFIG, "%s is empty", path);
        sck_buf_clear(&text);
        return rc == SCK_OK ? rc
                            : sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc,
                                       "keeper azure: federated_token_file: %s", why.message);
    }
    enum sck_code rc = sck_file_read_secret(path, l->what, proof, &why);
    return rc == SCK_OK ? rc
                        : sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc, "keeper azure: %s", why.message);
}

static enum sck_code
make_form(struct sck_azure_login *l, const char *resource, struct sck_secret **body, struct sck_err *err)
{
    static const char assertion_type[] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    char scope[SCK_URL_MAX + 16];
    struct sck_secret *proof = NULL;
    struct form form = {NULL, 0};
    (void)snprintf(scope, sizeof scope, "%s/.default", resource);
    enum sck_code rc = make_proof(l, &proof, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(512 + (strlen(scope) + strlen(l->client_id) + sizeof assertion_type + proof->len) * 3,
                            &form.text, err);
    if (rc == SCK_OK) {
        form_add(&form, "grant_type", "client_credentials", 18);
        form_add(&form, "client_id", l->client_id, strlen(l->client_id));
        form_add(&form, "scope", scope, strlen(scope));
        if (l->kind != SCK_AZURE_SECRET)
            form_add(&form, "client_assertion_type", assertion_type, sizeof assertion_type - 1);
        form_add(&form, l->kind == SCK_AZURE_SECRET ? "client_secret" : "client_assertion", proof->data, proof->len);
        form.text->len = form.len;
    }
    sck_secret_free(&proof);
    *body = form.text;
    return rc;
}

/* A credential that is one unchanging secret: what App Service's endpoint wants to see. */
struct fixed {
    struct sck_credential base;
    const struct sck_secret *value;
};

static enum sck_code
fixed_get(struct sck_credential *c, const struct sck_secret *refused, int64_t deadline_us, struct sck_secret **value,
          struct sck_err *err)
{
    const struct fixed *f = (const struct fixed *)(void *)c;
    (void)deadline_us;
    *value = NULL;
    if (refused != NULL)
        return sck_fail(err, SCK_E_CREDENTIAL, "keeper azure: IDENTITY_HEADER is refused");
    return sck_secret_dup(f->value, value, err);
}

static const struct sck_credential_ops fixed_ops = {.get = fixed_get};

static void
escape_into(char *path, const char *name, const char *value)
{
    struct sck_buf escaped;
    sck_buf_init(&escaped, SCK_URL_MAX * 3);
    sck_percent_format((const uint8_t *)value, strlen(value), &escaped);
    size_t used = strlen(path);
    (void)snprintf(path + used, SCK_PATH_MAX - used, "&%s=%s", name, sck_buf_str(&escaped));
    sck_buf_clear(&escaped);
}

/* Make the call that answers with a token. */
static void
ask_identity(struct sck_azure_login *l, const char *resource, struct sck_call *call)
{
    static const struct sck_header metadata = {"Metadata", "true"};
    struct sck_azure_issuer *issuer = l->issuer;
    struct fixed header = {{.ops = &fixed_ops, .usable = true}, issuer->identity_header};
    char path[SCK_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s?api-version=%s", issuer->identities_path,
                   issuer->app_service ? "2019-08-01" : "2018-02-01");
    escape_into(path, "resource", resource);
    if (l->client_id != NULL)
        escape_into(path, "client_id", l->client_id);
    call->remote = issuer->identities;
    call->op = SCK_AZ_IDENTITY;
    call->method = "GET";
    call->path = path;
    if (issuer->app_service) {
        call->credential = &header.base;
    } else {
        call->headers = &metadata;
        call->header_count = 1;
    }
    sck_call_run(call);
    call->path = "";
    call->credential = NULL;
}

static enum sck_code
ask_authority(struct sck_azure_login *l, const char *resource, struct sck_call *call, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_secret *body = NULL;
    enum sck_code rc = make_form(l, resource, &body, err);
    if (rc == SCK_OK) {
        (void)snprintf(path, sizeof path, "/%s/oauth2/v2.0/token", l->issuer->tenant_id);
        call->remote = l->issuer->authority;
        call->op = SCK_AZ_LOGIN;
        call->method = "POST";
        call->path = path;
        call->content_type = "application/x-www-form-urlencoded";
        call->body = body;
        sck_call_run(call);
        call->path = "";
        call->body = NULL;
    }
    sck_secret_free(&body);
    return rc;
}

static enum sck_code
fetch(struct sck_azure_login *l, int64_t deadline_us, struct sck_secret **token, int64_t *life_s, struct sck_err *err)
{
    char resource[SCK_URL_MAX];
    struct sck_call call = {.deadline_us = deadline_us};
    struct sck_json text;
    enum sck_code rc = l->issuer->resource(l->issuer->resource_arg, deadline_us, resource, err);
    if (rc != SCK_OK)
        return rc;
    if (l->kind == SCK_AZURE_MANAGED)
        ask_identity(l, resource, &call);
    else
        rc = ask_authority(l, resource, &call, err);
    if (rc == SCK_OK && call.code != SCK_OK)
        rc = sck_fail(err, call.code, "%s", call.err.message);
    if (rc == SCK_OK && call.answer.row->verdict != SCK_SAYS_OK) {
        rc = sck_call_refused(&call, err);
        sck_err_prefix(err, "%s", l->what);
    } else if (rc == SCK_OK &&
               !sck_azure_token_parse(call.answer.json, sck_now_s(call.remote->env.clock), &text, life_s)) {
        rc = sck_call_strange(&call, "a token and its life", err);
    } else if (rc == SCK_OK) {
        rc = sck_secret_from(text.at, text.len, token, err);
    }
    sck_call_clear(&call);
    return rc;
}

/* ---- one flight for all ---- */

/* A flight that was a thread's of the parent never lands here, and nobody of it waits. */
static void
disinherit_locked(struct sck_azure_login *l)
{
    if (l->pid == getpid())
        return;
    l->pid = getpid();
    l->flying = false;
    (void)pthread_cond_init(&l->landed, NULL);
}

static bool
same(const struct sck_secret *a, const struct sck_secret *b)
{
    return a != NULL && b != NULL && a->len == b->len && sck_ct_equal(a->data, b->data, a->len);
}

/* Copy the token if it is good and not the refused one; `old`: even when it is time for a new one. */
static bool
copy_locked(const struct sck_azure_login *l, const struct sck_secret *refused, int64_t now_us, bool old,
            struct sck_secret *out)
{
    if (l->token == NULL || now_us >= (old ? l->good_until_us : l->renew_us) || same(l->token, refused))
        return false;
    memcpy(out->data, l->token->data, l->token->len);
    out->len = l->token->len;
    return true;
}

static void
land_locked(struct sck_azure_login *l, struct sck_secret **token, int64_t life_s, const struct sck_err *why)
{
    int64_t now_us = monotonic(l);
    struct sck_secret *old = l->token;
    l->flying = false;
    l->flight++;
    l->failure = *why;
    if (*token != NULL) {
        int64_t early_s = life_s > RENEW_BEFORE_S * 2 ? RENEW_BEFORE_S : life_s / 2;
        l->token = *token;
        l->renew_us = now_us + (life_s - early_s) * 1000000;
        l->good_until_us = now_us + life_s * 1000000;
        *token = old;
    }
    (void)pthread_cond_broadcast(&l->landed);
}

/* Wait until the flight lands; false at the deadline. */
static bool
wait_locked(struct sck_azure_login *l, int64_t deadline_us)
{
    int64_t left_us = deadline_us - monotonic(l);
    const struct timespec until = sck_deadline_after_ms(left_us > 0 ? left_us / 1000 : 0);
    unsigned flight = l->flight;
    int rc = 0;
    while (rc == 0 && l->flight == flight && l->flying)
        rc = sck_exit_cond_wait(&l->landed, &l->lock.mutex, &until);
    return rc == 0;
}

static enum sck_code
login_get(struct sck_credential *c, const struct sck_secret *refused, int64_t deadline_us, struct sck_secret **value,
          struct sck_err *err)
{
    struct sck_azure_login *l = of(c);
    struct sck_secret *copy = NULL, *fresh = NULL;
    struct sck_err why = SCK_ERR_INIT;
    bool mine = false, waited = false;
    int64_t life_s = 0;
    *value = NULL;
    /* Made before the lock is taken: memory for secrets has a lock of its own, and a fork takes both. */
    enum sck_code rc = sck_secret_new(TOKEN_MAX, &copy, err);
    if (rc != SCK_OK)
        return rc;
    sck_forklock_take(&l->lock);
    disinherit_locked(l);
    while (!copy_locked(l, refused, monotonic(l), l->flying, copy)) {
        if (waited) {
            rc = why.code != SCK_OK ? why.code : SCK_E_CREDENTIAL;
            break;
        }
        if (!l->flying) {
            mine = l->flying = true;
            break;
        }
        waited = true;
        if (!wait_locked(l, deadline_us)) {
            rc = sck_fail(&why, SCK_E_CONNECT, "keeper azure: no token in time: try again later");
            break;
        }
        why = l->failure;
    }
    sck_forklock_give(&l->lock);
    if (mine) {
        rc = fetch(l, deadline_us, &fresh, &life_s, &why);
        if (rc == SCK_OK && refused != NULL && same(fresh, refused))
            rc = sck_fail(&why, SCK_E_CREDENTIAL, "keeper azure: the token that the vault refuses is given again");
        if (rc == SCK_OK) {
            memcpy(copy->data, fresh->data, fresh->len);
            copy->len = fresh->len;
        }
        sck_forklock_take(&l->lock);
        land_locked(l, &fresh, life_s, &why);
        sck_forklock_give(&l->lock);
        sck_secret_free(&fresh);
    }
    if (rc != SCK_OK) {
        sck_secret_free(&copy);
        return sck_fail(err, rc, "%s", why.message[0] != '\0' ? why.message : "keeper azure: there is no good token");
    }
    *value = copy;
    return SCK_OK;
}

int64_t
sck_azure_login_left_s(struct sck_azure_login *l)
{
    sck_forklock_take(&l->lock);
    int64_t left_us = l->token != NULL ? l->good_until_us - monotonic(l) : -1;
    sck_forklock_give(&l->lock);
    return left_us > 0 ? left_us / 1000000 : -1;
}

static void
login_clear(struct sck_credential *c)
{
    struct sck_azure_login *l = of(c);
    free(l->client_id);
    free(l->secret_file);
    free(l->certificate_file);
    free(l->certificate_key_file);
    free(l->federated_token_file);
    sck_secret_free(&l->secret);
    sck_secret_free(&l->token);
    sck_forklock_clear(&l->lock);
    if (l->pid == getpid())
        (void)pthread_cond_destroy(&l->landed);
}

/* Nothing waits for it without a thread of its own: keeper azure makes blocking calls alone. */
static const struct sck_credential_ops login_ops = {.get = login_get, .clear = login_clear};

/* ---- settings ---- */

static bool
is_there(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static enum sck_azure_credential
choose(const struct sck_azure_identity *identity)
{
    if (identity->credential != SCK_AZURE_AUTO)
        return identity->credential;
    if (is_there(identity->secret_file) || identity->secret != NULL)
        return SCK_AZURE_SECRET;
    if (is_there(identity->certificate_file))
        return SCK_AZURE_CERTIFICATE;
    return is_there(identity->federated_token_file) ? SCK_AZURE_FEDERATED : SCK_AZURE_MANAGED;
}

/* The first setting that is missing, or NULL. */
static const char *
missing(const struct sck_azure_identity *identity, enum sck_azure_credential kind, const char *tenant_id)
{
    if (kind == SCK_AZURE_MANAGED)
        return NULL;
    if (!is_there(tenant_id))
        return "tenant_id (or KEY_VAULT_TENANT_ID)";
    if (!is_there(identity->client_id))
        return "client_id (or KEY_VAULT_CLIENT_ID)";
    if (kind == SCK_AZURE_SECRET && !is_there(identity->secret_file) && identity->secret == NULL)
        return "client_secret_file (or KEY_VAULT_CLIENT_SECRET)";
    if (kind == SCK_AZURE_CERTIFICATE && !is_there(identity->certificate_file))
        return "certificate_file";
    if (kind == SCK_AZURE_CERTIFICATE && !is_there(identity->certificate_key_file))
        return "certificate_key_file";
    if (kind == SCK_AZURE_FEDERATED && !is_there(identity->federated_token_file))
        return "federated_token_file (or AZURE_FEDERATED_TOKEN_FILE)";
    return NULL;
}

static bool
copy_text(const char *from, char **to)
{
    *to = is_there(from) ? strdup(from) : NULL;
    return !is_there(from) || *to != NULL;
}

enum sck_code
sck_azure_login_init(struct sck_azure_login *l, const char *what, const char *prefix,
                     const struct sck_azure_identity *identity, struct sck_azure_issuer *issuer, struct sck_err *err)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    memset(l, 0, sizeof *l);
    l->base.ops = &login_ops;
    l->base.usable = true;
    l->what = what;
    l->issuer = issuer;
    l->kind = choose(identity);
    l->pid = getpid();
    sck_forklock_init(&l->lock);
    (void)pthread_cond_init(&l->landed, NULL);
    const char *lacks = missing(identity, l->kind, issuer->tenant_id);
    if (lacks != NULL) {
        /* Both identities share the tenant and the federated token; the variables are the data client's. */
        bool own = strncmp(lacks, "tenant", 6) != 0 && strncmp(lacks, "federated", 9) != 0 && prefix[0] != '\0';
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: set %s%.*s in [keeper azure]", own ? prefix : "",
                        (int)(own ? strcspn(lacks, " ") : strlen(lacks)), lacks);
    }
    if (is_there(identity->client_id) &&
        (strlen(identity->client_id) > 128 || strspn(identity->client_id, legal) != strlen(identity->client_id)))
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: %sclient_id is no application id", prefix);
    if (!copy_text(identity->client_id, &l->client_id) || !copy_text(identity->secret_file, &l->secret_file) ||
        !copy_text(identity->certificate_file, &l->certificate_file) ||
        !copy_text(identity->certificate_key_file, &l->certificate_key_file) ||
        !copy_text(identity->federated_token_file, &l->federated_token_file))
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    return identity->secret != NULL ? sck_secret_dup(identity->secret, &l->secret, err) : SCK_OK;
}
