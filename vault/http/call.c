/* SPDX-License-Identifier: MIT */
#include "vault/http/call.h"

#include "lib/base/log.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

/* One call in progress. */
struct progress {
    struct sck_vault *v;
    const struct sck_vault_call *call;
    struct sck_secret *token;
    const struct sck_triage *first;     /* the first failure that was worth another attempt */
    char first_text[SCK_VAULT_TEXT_MAX];
    char first_detail[256];
    int64_t until_us;
    unsigned retries;
    bool token_replaced;
    char id[17];
};

void
sck_vault_result_clear(struct sck_vault_result *result)
{
    sck_http_reply_clear(&result->reply);
}

/* "errors" of the answer: NULL without, "" for an empty list, else its strings, one a line. */
static const char *
error_text(struct sck_vault_result *result)
{
    struct sck_json errors = sck_json_get(result->json, "errors"), item;
    size_t used = 0;
    result->text[0] = '\0';
    if (errors.kind != SCK_JSON_ARRAY)
        return NULL;
    for (size_t i = 0; (item = sck_json_item(errors, i)).kind != SCK_JSON_NONE && used + 2 < sizeof result->text; i++) {
        if (i > 0)
            result->text[used++] = '\n';
        (void)sck_json_text(item, result->text + used, sizeof result->text - used);
        used += strlen(result->text + used);
    }
    return result->text;
}

static void
log_attempt(const struct progress *p, const struct sck_vault_result *result, int64_t duration_us, bool again)
{
    char request_id[64];
    (void)sck_json_text(sck_json_get(result->json, "request_id"), request_id, sizeof request_id);
    struct sck_log_field fields[] = {
        {"op", sck_vault_op_name(p->call->op), 0},
        {"outcome", result->row->outcome, 0},
        {"attempt", NULL, result->attempts},
        {"duration_us", NULL, duration_us},
        {"kek", p->call->kek != NULL ? p->call->kek : "", 0},
        {"status", NULL, result->reply.status},
        {"call_id", p->id, 0},
        {"keeper_request_id", request_id, 0},
    };
    sck_log_fields(again ? SCK_LOG_WARNING : SCK_LOG_INFO, "vault.client",
                   again ? "keeper call, to be repeated" : "keeper call", fields, sizeof fields / sizeof fields[0]);
}

static int64_t
left_ms(const struct progress *p)
{
    return (p->until_us - sck_monotonic_us(p->v->env.clock)) / 1000;
}

/* One exchange and its verdict. */
static void
attempt(struct progress *p, struct sck_vault_result *result)
{
    const struct sck_vault_call *call = p->call;
    char url[SCK_VAULT_URL_MAX + SCK_VAULT_PATH_MAX + 8];
    int64_t left = left_ms(p);
    (void)snprintf(url, sizeof url, "%s/v1/%s", call->url != NULL ? call->url : p->v->url, call->path);
    const struct sck_http_request request = {
        .method = call->method,
        .url = url,
        .name_space = call->name_space,
        .token = p->token,
        .body = call->body,
        .call_id = p->id,
        .timeout_ms = left < p->v->request_timeout_ms ? (left > 0 ? left : 1) : p->v->request_timeout_ms,
    };
    sck_http_reply_clear(&result->reply);
    p->v->env.exchange(p->v->env.exchange_arg, &request, &result->reply);
    result->json = result->reply.body_len > 0
                       ? sck_json_parse((const char *)result->reply.body->data, result->reply.body_len)
                       : (struct sck_json){SCK_JSON_NONE, NULL, 0};
    result->row = sck_triage(result->reply.net, result->reply.status, call->op, error_text(result));
    result->attempts++;
}

/* A denial whose text is neither a bad token's nor a policy's: only lookup-self can tell. */
static void
ask_about_token(struct progress *p, struct sck_vault_result *result)
{
    const struct sck_vault_call lookup = {
        .op = SCK_OP_LOOKUP,
        .method = "GET",
        .path = "auth/token/lookup-self",
        .name_space = p->call->name_space,
        .url = p->call->url,
    };
    struct progress own = *p;
    struct sck_vault_result about = {.attempts = 0};
    own.call = &lookup;
    int64_t begun = sck_monotonic_us(p->v->env.clock);
    attempt(&own, &about);
    log_attempt(&own, &about, sck_monotonic_us(p->v->env.clock) - begun, false);
    if (about.row->verdict == SCK_SAYS_BAD_TOKEN)
        result->row = about.row;
    sck_vault_result_clear(&about);
}

/* The token is bad: true when its file holds another one by now. */
static bool
replace_token(struct progress *p)
{
    bool changed = false;
    if (p->token_replaced || p->call->token == NULL)
        return false;
    p->token_replaced = true;
    if (sck_credential_refresh(p->call->token, p->token, &changed, NULL) != SCK_OK || !changed)
        return false;
    sck_secret_free(&p->token);
    return sck_credential_get(p->call->token, &p->token, NULL) == SCK_OK;
}

/* Whether another attempt comes after this wait; otherwise why not. */
static bool
may_retry(struct progress *p, struct sck_vault_result *result, int64_t *wait_ms)
{
    enum sck_action action = result->row->action;
    unsigned most = action == SCK_ACT_RETRY_ONCE && p->v->max_retries > 0 ? 1 : p->v->max_retries;
    uint32_t random = p->v->env.random(p->v->env.random_arg);
    result->gave_up = "";
    *wait_ms = action == SCK_ACT_RETRY_SHORT
                   ? sck_retry_delay_short_ms(p->v->retry_backoff_ms, p->retries + 1, random)
                   : sck_retry_delay_ms(p->v->retry_backoff_ms, p->retries + 1, random, result->reply.retry_after_ms);
    if (p->call->once || p->retries >= most)
        return false;
    if (*wait_ms >= left_ms(p)) {
        result->gave_up = ", the deadline is near";
        return false;
    }
    if (!sck_retry_budget_spend(&p->v->budget)) {
        result->gave_up = ", too many calls fail to repeat them";
        return false;
    }
    p->retries++;
    return true;
}

/* Whether there is another attempt; *wait_ms before it. */
static bool
goes_on(struct progress *p, struct sck_vault_result *result, int64_t *wait_ms)
{
    *wait_ms = 0;
    if (result->row->action == SCK_ACT_LOOKUP)
        ask_about_token(p, result);
    switch (result->row->action) {
    case SCK_ACT_DONE:
    case SCK_ACT_STOP:
    case SCK_ACT_LOOKUP:
        return false;
    case SCK_ACT_TOKEN:
        return replace_token(p);
    case SCK_ACT_RETRY:
    case SCK_ACT_RETRY_ONCE:
    case SCK_ACT_RETRY_SHORT:
        if (p->first == NULL) {
            p->first = result->row;
            memcpy(p->first_text, result->text, sizeof p->first_text);
            memcpy(p->first_detail, result->reply.detail, sizeof p->first_detail);
        }
        return may_retry(p, result, wait_ms);
    }
    return false;
}

static void
run(struct progress *p, struct sck_vault_result *result)
{
    const struct sck_clock *clock = p->v->env.clock;
    for (bool again = true; again;) {
        int64_t wait_ms = 0, begun = sck_monotonic_us(clock);
        attempt(p, result);
        int64_t took_us = sck_monotonic_us(clock) - begun;
        const struct sck_triage *row = result->row;
        again = goes_on(p, result, &wait_ms);
        const struct sck_triage *now = result->row;
        result->row = row;
        log_attempt(p, result, took_us, again);
        result->row = now;
        if (again && wait_ms > 0)
            clock->sleep_ms(clock->arg, wait_ms);
    }
    /* When all attempts failed the first failure is the cause; the later ones are often its echo. */
    bool transient = result->row->verdict == SCK_SAYS_NOTHING && result->row->action != SCK_ACT_STOP;
    if (transient && p->first != NULL) {
        result->row = p->first;
        memcpy(result->text, p->first_text, sizeof result->text);
        memcpy(result->reply.detail, p->first_detail, sizeof result->reply.detail);
    }
}

enum sck_code
sck_vault_ask(struct sck_vault *v, const struct sck_vault_call *call, struct sck_vault_result *result,
              struct sck_err *err)
{
    uint8_t id[8];
    struct progress p = {.v = v, .call = call};
    *result = (struct sck_vault_result){.gave_up = ""};
    enum sck_code rc = sck_random(id, sizeof id, err);
    if (rc == SCK_OK && call->token != NULL)
        rc = sck_credential_get(call->token, &p.token, err);
    if (rc != SCK_OK)
        return rc;
    sck_hex_format(id, sizeof id, p.id);
    p.until_us = sck_monotonic_us(v->env.clock) + v->deadline_ms * 1000;
    sck_retry_budget_earn(&v->budget);
    run(&p, result);
    sck_secret_free(&p.token);
    return SCK_OK;
}

/* "keeper vault, <op>[ of KEK <name>]" */
static void
describe(const struct sck_vault_call *call, char *out, size_t cap)
{
    (void)snprintf(out, cap, "keeper vault, %s%s%s", sck_vault_op_name(call->op), call->kek != NULL ? " of KEK " : "",
                   call->kek != NULL ? call->kek : "");
}

enum sck_code
sck_vault_refused(const struct sck_vault *v, const struct sck_vault_call *call,
                  const struct sck_vault_result *result, struct sck_err *err)
{
    char what[192], attempts[80] = "";
    const char *url = call->url != NULL ? call->url : v->url;
    const char *said = result->reply.detail[0] != '\0' ? result->reply.detail : result->text;
    struct sck_buf quoted;
    sck_buf_init(&quoted, 1024);
    describe(call, what, sizeof what);
    if (result->row->quotes && said[0] != '\0') {
        sck_buf_put_str(&quoted, " (");
        sck_text_escape(said, strlen(said), &quoted);
        sck_buf_put_str(&quoted, ")");
    }
    if (result->attempts > 1)
        (void)snprintf(attempts, sizeof attempts, "; %u attempts%s", result->attempts, result->gave_up);
    enum sck_code rc = sck_fail(err, result->row->code, "%s at %s: %s%s%s", what, url, result->row->message,
                                sck_buf_str(&quoted), attempts);
    sck_buf_clear(&quoted);
    return rc;
}

enum sck_code
sck_vault_strange(const struct sck_vault_call *call, const char *what, struct sck_err *err)
{
    char text[192];
    describe(call, text, sizeof text);
    return sck_fail(err, SCK_E_CONFIG,
                    "%s: the answer lacks %s: is url a Vault or OpenBao, and mount a transit engine?", text, what);
}
