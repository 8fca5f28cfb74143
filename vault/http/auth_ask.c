/* SPDX-License-Identifier: MIT */
#include "vault/http/auth.h"

#include "lib/base/log.h"
#include "vault/http/status.h"

#include <stdio.h>
#include <string.h>

enum { REVOKE_MS = 2000 };

/* A request to an auth method, with its parts. */
struct ask {
    struct sck_call call;
    struct sck_header headers[2];
    char path[SCK_PATH_MAX];
};

static bool
must_stop(struct sck_auth *a)
{
    sck_forklock_take(&a->lock);
    bool stop = a->stop;
    sck_forklock_give(&a->lock);
    return stop;
}

/* Wait in slices, so that a close does not wait for the end of a back-off. */
static void
wait_until(struct sck_auth *a, int64_t until_us)
{
    const struct sck_clock *clock = a->remote->env.clock;
    int64_t left_ms = (until_us - sck_monotonic_us(clock) + 999) / 1000;
    while (left_ms > 0 && !must_stop(a)) {
        int64_t slice = a->threaded && left_ms > 100 ? 100 : left_ms;
        clock->sleep_ms(clock->arg, slice);
        left_ms -= slice;
    }
}

static void
drive(struct sck_auth *a, struct sck_call *c)
{
    const struct sck_env *env = &a->remote->env;
    enum sck_next next = sck_call_begin(c);
    while (next != SCK_NEXT_OVER) {
        if (next == SCK_NEXT_EXCHANGE) {
            env->exchange(env->exchange_arg, sck_call_request(c), &c->answer.reply);
            next = sck_call_answered(c);
            continue;
        }
        wait_until(a, c->wait_until_us);
        if (must_stop(a)) {
            sck_call_cancelled(c);
            return;
        }
        next = sck_call_waited(c);
    }
}

/* Make a request with `token` (or none) and `body` (or none).  SCK_OK: there is a verdict. */
static enum sck_code
ask(struct sck_auth *a, struct ask *q, enum sck_vault_op op, const struct sck_secret *token,
    const struct sck_secret *body, struct sck_err *err)
{
    q->headers[0] = (struct sck_header){"X-Vault-Request", "true"};
    q->headers[1] = (struct sck_header){"X-Vault-Namespace", a->name_space};
    q->call.remote = a->remote;
    q->call.op = op;
    q->call.method = op == SCK_OP_LOOKUP ? "GET" : "POST";
    q->call.path = q->path;
    q->call.headers = q->headers;
    q->call.header_count = a->name_space[0] != '\0' ? 2 : 1;
    q->call.identity = a->identity.cert_file != NULL ? &a->identity : NULL;
    q->call.body = body;
    if (token != NULL) {
        enum sck_code rc = sck_secret_dup(token, &q->call.token, err);
        if (rc != SCK_OK)
            return rc;
    }
    drive(a, &q->call);
    a->asked = a->asked || q->call.answer.attempts > 0;
    return q->call.code == SCK_OK ? SCK_OK : sck_fail(err, q->call.code, "%s", q->call.err.message);
}

static enum sck_code
refused(const struct ask *q, struct sck_err *err)
{
    return sck_answer_refused(q->call.remote, q->call.op, NULL, &q->call.answer, err);
}

static bool
is_good(const struct ask *q)
{
    return q->call.answer.row->verdict == SCK_SAYS_OK;
}

/* ---- AppRole's wrapped secret id ---- */

/* Somebody else may have the secret id: this is said where people look, too. */
static enum sck_code
alarm_about(const struct sck_auth *a, const char *why, struct sck_err *err)
{
    sck_log(SCK_LOG_CRITICAL, "vault.auth", "%s: the wrapped secret id %s", a->what, why);
    return sck_fail(err, SCK_E_CREDENTIAL,
                    "keeper vault: the wrapped secret id of %s %s: somebody else may have opened it, so destroy that "
                    "secret id at the server and deliver a new one", a->what, why);
}

/* Whether the wrapping token was made by asking for a secret id of our role. */
static enum sck_code
check_creation_path(struct sck_auth *a, const struct sck_secret *wrapping, struct sck_err *err)
{
    char made[SCK_PATH_MAX], want[SCK_PATH_MAX];
    struct ask q = {.path = "/v1/sys/wrapping/lookup"};
    enum sck_code rc = ask(a, &q, SCK_OP_WRAPPING, wrapping, NULL, err);
    if (rc == SCK_OK && q.call.answer.row->verdict == SCK_SAYS_MISSING)
        rc = alarm_about(a, "was opened before, has expired or is none", err);
    else if (rc == SCK_OK && !is_good(&q))
        rc = refused(&q, err);
    if (rc != SCK_OK)
        goto out;
    (void)snprintf(want, sizeof want, "auth/%s/role/%s/secret-id", a->mount, a->role);
    if (!sck_json_text(sck_json_get(sck_json_get(q.call.answer.json, "data"), "creation_path"), made, sizeof made))
        rc = sck_answer_strange(a->remote->dialect, SCK_OP_WRAPPING, NULL, "data.creation_path", err);
    else if (strcmp(made, want) != 0)
        rc = alarm_about(a, "was not made by the role's secret-id endpoint", err);
out:
    sck_call_clear(&q.call);
    return rc;
}

static enum sck_code
unwrap(struct sck_auth *a, const struct sck_secret *wrapping, struct sck_secret **secret_id, struct sck_err *err)
{
    struct ask q = {.path = "/v1/sys/wrapping/unwrap", .call = {.once = true}};
    enum sck_code rc = check_creation_path(a, wrapping, err);
    if (rc != SCK_OK)
        return rc;
    rc = ask(a, &q, SCK_OP_WRAPPING, wrapping, NULL, err);
    if (rc == SCK_OK && q.call.answer.row->verdict == SCK_SAYS_MISSING)
        rc = alarm_about(a, "was opened before, has expired or is none", err);
    else if (rc == SCK_OK && !is_good(&q))
        rc = refused(&q, err);
    if (rc == SCK_OK)
        rc = sck_auth_json_secret(sck_json_get(sck_json_get(q.call.answer.json, "data"), "secret_id"), "data.secret_id",
                                  secret_id, err);
    sck_call_clear(&q.call);
    return rc;
}

/* The secret id or JWT, a new secret; NULL when there is none to show. */
static enum sck_code
load_proof(struct sck_auth *a, struct sck_secret **proof, struct sck_err *err)
{
    *proof = NULL;
    if (!sck_auth_source_is_set(&a->proof))
        return SCK_OK;
    struct sck_auth_stamp now = sck_auth_source_stamp(&a->proof);
    if (a->wrapped && a->secret_id != NULL && (!now.there || sck_auth_stamp_is_same(&now, &a->secret_id_stamp)))
        return sck_secret_dup(a->secret_id, proof, err);
    enum sck_code rc = sck_auth_source_read(&a->proof, proof, err);
    if (rc != SCK_OK || !a->wrapped)
        return rc;
    struct sck_secret *opened = NULL;
    rc = unwrap(a, *proof, &opened, err);
    sck_secret_free(proof);
    if (rc == SCK_OK)
        rc = sck_secret_dup(opened, proof, err);
    if (opened != NULL) {
        sck_secret_free(&a->secret_id);
        a->secret_id = opened;
        a->secret_id_stamp = now;
    }
    return rc;
}

/* ---- logins and what follows ---- */

enum sck_code
sck_auth_login(struct sck_auth *a, struct sck_auth_grant *grant, struct sck_err *err)
{
    struct sck_secret *role_id = NULL, *proof = NULL, *body = NULL;
    struct ask q = {.call = {.fresh = a->method == SCK_AUTH_CERT}};
    enum sck_code rc = SCK_OK;
    *grant = (struct sck_auth_grant){.token = NULL};
    if (a->method == SCK_AUTH_APPROLE)
        rc = sck_auth_source_read(&a->role_id, &role_id, err);
    if (rc == SCK_OK)
        rc = load_proof(a, &proof, err);
    if (rc == SCK_OK)
        rc = sck_auth_login_body(a->method, a->role, role_id, proof, &body, err);
    if (rc != SCK_OK)
        goto out;
    (void)snprintf(q.path, sizeof q.path, "/v1/auth/%s/login", a->mount);
    rc = ask(a, &q, SCK_OP_LOGIN, NULL, body, err);
    if (rc == SCK_OK && !is_good(&q))
        rc = refused(&q, err);
    if (rc == SCK_OK)
        rc = sck_auth_grant_parse(q.call.answer.json, true, grant, err);
out:
    sck_call_clear(&q.call);
    sck_secret_free(&role_id);
    sck_secret_free(&proof);
    sck_secret_free(&body);
    return rc;
}

static enum sck_auth_renewal
renewal_of(enum sck_verdict verdict)
{
    if (verdict == SCK_SAYS_OK)
        return SCK_RENEWAL_DONE;
    if (verdict == SCK_SAYS_BAD_TOKEN)
        return SCK_RENEWAL_BAD_TOKEN;
    return verdict == SCK_SAYS_MALFORMED || verdict == SCK_SAYS_POLICY ? SCK_RENEWAL_NEVER : SCK_RENEWAL_LATER;
}

enum sck_auth_renewal
sck_auth_renew(struct sck_auth *a, const struct sck_secret *token, struct sck_auth_grant *grant, struct sck_err *err)
{
    struct ask q = {.path = "/v1/auth/token/renew-self"};
    enum sck_auth_renewal how = SCK_RENEWAL_LATER;
    *grant = (struct sck_auth_grant){.token = NULL};
    if (ask(a, &q, SCK_OP_RENEW, token, NULL, err) == SCK_OK) {
        how = renewal_of(q.call.answer.row->verdict);
        if (how != SCK_RENEWAL_DONE)
            (void)refused(&q, err);
        else if (sck_auth_grant_parse(q.call.answer.json, false, grant, err) != SCK_OK)
            how = SCK_RENEWAL_LATER;
    }
    sck_call_clear(&q.call);
    return how;
}

int64_t
sck_auth_ask_ttl(struct sck_auth *a, const struct sck_secret *token)
{
    struct ask q = {.path = "/v1/auth/token/lookup-self", .call = {.once = true}};
    uint64_t ttl = 0;
    bool said = ask(a, &q, SCK_OP_LOOKUP, token, NULL, NULL) == SCK_OK && is_good(&q) &&
                sck_json_u64(sck_json_get(sck_json_get(q.call.answer.json, "data"), "ttl"), UINT32_MAX, &ttl);
    sck_call_clear(&q.call);
    return said && ttl > 0 ? (int64_t)ttl : -1;
}

void
sck_auth_revoke(struct sck_auth *a, const struct sck_secret *token)
{
    struct sck_err err = SCK_ERR_INIT;
    struct ask q = {.path = "/v1/auth/token/revoke-self", .call = {.once = true}};
    q.call.deadline_us = sck_monotonic_us(a->remote->env.clock) + REVOKE_MS * 1000;
    enum sck_code rc = ask(a, &q, SCK_OP_REVOKE, token, NULL, &err);
    if (rc == SCK_OK && !is_good(&q))
        rc = refused(&q, &err);
    if (rc != SCK_OK)
        sck_log(SCK_LOG_WARNING, "vault.auth", "%s could not be revoked and lives on to its end: %s", a->what,
                err.message);
    sck_call_clear(&q.call);
}
