/* SPDX-License-Identifier: MIT */
/* How the server and the two tokens do: struct sck_keeper_ops.status. */
#include "vault/http/transit.h"

#include <stdio.h>

/* Version and seal from sys/health, which answers in every state. */
static enum sck_code
look_at_server(struct sck_vault *v, struct sck_keeper_status *out, struct sck_err *err)
{
    struct sck_answer r;
    const struct sck_vault_call call = {
        .op = SCK_OP_HEALTH, .method = "GET", .path = "sys/health", .name_space = "", .once = true};
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(v, &call, &r, err);
    if (rc == SCK_OK) {
        struct sck_json sealed = sck_json_get(r.json, "sealed");
        (void)sck_json_text(sck_json_get(r.json, "version"), out->version, sizeof out->version);
        if (sealed.kind == SCK_JSON_TRUE || sealed.kind == SCK_JSON_FALSE)
            out->sealed = sealed.kind == SCK_JSON_TRUE;
    }
    sck_answer_clear(&r);
    return rc;
}

/* What is left of a token; root tokens and others without an end say 0. */
static enum sck_code
look_at_token(struct sck_vault *v, struct sck_credential *token, int64_t *ttl_s, struct sck_err *err)
{
    struct sck_answer r;
    uint64_t ttl = 0;
    const struct sck_vault_call call = {.op = SCK_OP_LOOKUP, .method = "GET", .path = "auth/token/lookup-self",
                                        .name_space = v->name_space, .token = token, .once = true};
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
    /* A token that may not look itself up is good all the same. */
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK && r.row->verdict != SCK_SAYS_POLICY)
        rc = sck_vault_refused(v, &call, &r, err);
    else if (rc == SCK_OK && sck_json_u64(sck_json_get(sck_json_get(r.json, "data"), "ttl"), INT64_MAX, &ttl) && ttl > 0)
        *ttl_s = (int64_t)ttl;
    sck_answer_clear(&r);
    return rc;
}

static enum sck_code
look_at_all(struct sck_vault *v, struct sck_keeper_status *out, struct sck_err *err)
{
    enum sck_code rc = look_at_server(v, out, err);
    if (rc == SCK_OK && out->sealed == 1)
        return sck_fail(err, SCK_E_CONNECT, "keeper vault at %s: the server is sealed: unseal it", v->url);
    if (rc == SCK_OK)
        rc = look_at_token(v, &v->data, &out->token_ttl_s, err);
    if (rc == SCK_OK && v->admin.usable)
        rc = look_at_token(v, &v->admin, &out->admin_ttl_s, err);
    return rc;
}

enum sck_code
sck_transit_status(struct sck_keeper *keeper, struct sck_keeper_status *out, struct sck_err *err)
{
    static const char *const states[] = {
        [SCK_BREAKER_CLOSED] = "closed", [SCK_BREAKER_OPEN] = "open", [SCK_BREAKER_HALF_OPEN] = "half-open"};
    struct sck_vault *v = sck_vault_of(keeper);
    (void)snprintf(out->where, sizeof out->where, "%s, mount %s%s%s", v->url, v->mount,
                   v->name_space[0] != '\0' ? ", namespace " : "", v->name_space);
    enum sck_code rc = look_at_all(v, out, err);
    (void)snprintf(out->breaker, sizeof out->breaker, "%s", states[sck_breaker_state(&v->remote.breaker)]);
    return rc;
}
