/* SPDX-License-Identifier: MIT */
#include "vault/http/machine.h"

#include "lib/base/crypto.h"
#include "lib/base/log.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

enum { BUSY_WAIT_MS = 50 };

static const struct sck_triage breaker_row = {
    .action = SCK_ACT_STOP, .verdict = SCK_SAYS_NOTHING, .code = SCK_E_CONNECT, .outcome = "breaker_open",
    .message = "not asked, as the server is out", .quotes = true,
};

/* In a cluster whose nodes we know a redirection is a standby's, and the active one is among those that come next. */
static const struct sck_triage moved_row = {
    .action = SCK_ACT_ELSEWHERE, .verdict = SCK_SAYS_NOTHING, .code = SCK_E_CONNECT, .outcome = "redirect",
    .message = "every node redirects elsewhere, which is never followed: try again later, or add the active node to nodes",
};

void
sck_remote_init(struct sck_remote *remote)
{
    sck_retry_budget_init(&remote->budget);
    sck_breaker_init(&remote->breaker);
    sck_meter_init(&remote->meter, remote->dialect->keeper);
    atomic_init(&remote->node, 0);
}

void
sck_remote_clear(struct sck_remote *remote)
{
    sck_breaker_clear(&remote->breaker);
}

static int64_t
now_us(const struct sck_call *c)
{
    return sck_monotonic_us(c->remote->env.clock);
}

static int64_t
left_ms(const struct sck_call *c)
{
    return (c->until_us - now_us(c)) / 1000;
}

static uint32_t
any_32_bits(const struct sck_call *c)
{
    return c->remote->env.random(c->remote->env.random_arg);
}

static const char *
base_url(const struct sck_call *c)
{
    return c->url != NULL ? c->url : c->remote->nodes[c->node];
}

/* ---- ends ---- */

static enum sck_next
over(struct sck_call *c)
{
    const struct sck_triage *row = c->answer.row;
    if (c->probing)
        sck_breaker_release(&c->remote->breaker);
    c->probing = false;
    sck_secret_free(&c->token);
    if (row == NULL)
        return SCK_NEXT_OVER;
    (void)snprintf(c->answer.url, sizeof c->answer.url, "%s", base_url(c));
    if (row->verdict == SCK_SAYS_OK && c->url == NULL)
        atomic_store(&c->remote->node, c->node);
    /* When all attempts failed the first failure is the cause; the later ones are often its echo. */
    if (row->verdict == SCK_SAYS_NOTHING && row->action != SCK_ACT_STOP && c->first != NULL) {
        c->answer.row = c->first;
        memcpy(c->answer.text, c->first_text, sizeof c->answer.text);
        memcpy(c->answer.reply.detail, c->first_detail, sizeof c->answer.reply.detail);
    }
    return SCK_NEXT_OVER;
}

static enum sck_next
fails(struct sck_call *c, enum sck_code code)
{
    c->code = code;
    c->answer.row = NULL;
    return over(c);
}

void
sck_call_cancelled(struct sck_call *call)
{
    call->err = (struct sck_err)SCK_ERR_INIT;
    (void)fails(call, sck_fail(&call->err, SCK_E_CANCELLED, "keeper %s, %s: cancelled",
                               call->remote->dialect->keeper, call->remote->dialect->op_name(call->op)));
}

enum sck_next
sck_call_expired(struct sck_call *call)
{
    const struct sck_dialect *dialect = call->remote->dialect;
    sck_http_reply_clear(&call->answer.reply);
    call->answer.reply = (struct sck_http_reply){.net = SCK_NET_TIMEOUT};
    call->answer.row = dialect->triage(SCK_NET_TIMEOUT, 0, call->op, NULL);
    call->answer.text[0] = '\0';
    return over(call);
}

void
sck_call_clear(struct sck_call *call)
{
    sck_secret_free(&call->token);
    sck_answer_clear(&call->answer);
}

/* ---- attempts ---- */

/* Whether a wait and another attempt come now, after a failure. */
static enum sck_next
retry(struct sck_call *c)
{
    const struct sck_remote *r = c->remote;
    enum sck_action action = c->answer.row->action;
    unsigned most = action == SCK_ACT_RETRY_ONCE && r->max_retries > 0 ? 1 : r->max_retries;
    uint32_t random = any_32_bits(c);
    int64_t wait_ms = action == SCK_ACT_RETRY_SHORT
                          ? sck_retry_delay_short_ms(r->retry_backoff_ms, c->retries + 1, random)
                          : sck_retry_delay_ms(r->retry_backoff_ms, c->retries + 1, random, r->full_jitter,
                                               c->answer.reply.retry_after_ms);
    c->answer.gave_up = "";
    if (c->once || c->retries >= most)
        return over(c);
    if (wait_ms >= left_ms(c)) {
        c->answer.gave_up = ", the deadline is near";
        return over(c);
    }
    if (!sck_retry_budget_spend(&c->remote->budget)) {
        c->answer.gave_up = ", too many calls fail to repeat them";
        return over(c);
    }
    c->retries++;
    c->wait_until_us = now_us(c) + wait_ms * 1000;
    return SCK_NEXT_WAIT;
}

/* Ask the breaker before the first attempt and after each wait. */
static enum sck_next
permit(struct sck_call *c)
{
    char why[sizeof c->remote->breaker.why + 64];
    if (c->url != NULL)
        return SCK_NEXT_EXCHANGE;
    enum sck_breaker_says says = sck_breaker_ask(&c->remote->breaker, now_us(c), why, sizeof why);
    c->probing = says == SCK_BREAKER_PROBE;
    if (c->probing)
        sck_meter_breaker(&c->remote->meter, SCK_BREAKER_HALF_OPEN);
    if (says == SCK_BREAKER_GO || says == SCK_BREAKER_PROBE)
        return SCK_NEXT_EXCHANGE;
    if (!c->sent) {
        c->answer.row = &breaker_row;
        (void)snprintf(c->answer.text, sizeof c->answer.text, "%s", why);
        return over(c);
    }
    if (says == SCK_BREAKER_BUSY && left_ms(c) > BUSY_WAIT_MS * 2) {
        c->wait_until_us = now_us(c) + sck_retry_spread_ms(BUSY_WAIT_MS, any_32_bits(c)) * 1000;
        return SCK_NEXT_WAIT;
    }
    /* As good as an attempt that failed, but that nothing was sent. */
    sck_retry_budget_refund(&c->remote->budget);
    return retry(c);
}

enum sck_next
sck_call_begin(struct sck_call *c)
{
    uint8_t id[8];
    c->answer.gave_up = "";
    c->err = (struct sck_err)SCK_ERR_INIT;
    enum sck_code rc = sck_random(id, sizeof id, &c->err);
    if (rc != SCK_OK)
        return fails(c, rc);
    sck_hex_format(id, sizeof id, c->id);
    c->until_us = c->deadline_us != 0 ? c->deadline_us : now_us(c) + c->remote->deadline_ms * 1000;
    c->node = atomic_load(&c->remote->node) % c->remote->node_count;
    sck_retry_budget_earn(&c->remote->budget);
    return c->credential != NULL ? SCK_NEXT_CREDENTIAL : permit(c);
}

enum sck_next
sck_call_credential(struct sck_call *c, enum sck_code code, struct sck_secret *value, const struct sck_err *err)
{
    /* There is no other one than that which was refused: then that verdict stands. */
    if (code == SCK_E_CREDENTIAL && c->sent && err->code == SCK_OK)
        return over(c);
    if (code != SCK_OK) {
        c->err = *err;
        return fails(c, code);
    }
    sck_secret_free(&c->token);
    c->token = value;
    return c->sent ? SCK_NEXT_EXCHANGE : permit(c);
}

enum sck_next
sck_call_waited(struct sck_call *c)
{
    c->nodes_tried = 0;
    return permit(c);
}

const struct sck_http_request *
sck_call_request(struct sck_call *c)
{
    const struct sck_dialect *d = c->remote->dialect;
    bool lookup = c->held != NULL;
    int64_t left = left_ms(c);
    (void)snprintf(c->request_url, sizeof c->request_url, "%s%s", base_url(c), lookup ? d->lookup_path : c->path);
    c->request = (struct sck_http_request){
        .method = lookup ? "GET" : c->method,
        .url = c->request_url,
        .headers = c->headers,
        .header_count = c->header_count,
        .token_header = d->token_header,
        .token = c->token,
        .content_type = c->content_type != NULL ? c->content_type : "application/json",
        .body = lookup ? NULL : c->body,
        .call_id = c->id,
        .reply_hint = c->reply_hint,
        .timeout_ms = left < c->remote->request_timeout_ms ? (left > 0 ? left : 1) : c->remote->request_timeout_ms,
        .identity = c->identity != NULL ? c->identity : c->credential != NULL ? c->credential->identity : NULL,
        .fresh = c->fresh || c->once,
        .id_header = d->id_header,
        .node_header = d->node_header,
    };
    sck_http_reply_clear(&c->answer.reply);
    c->sent = true;
    c->begun_us = now_us(c);
    return &c->request;
}

/* ---- verdicts ---- */

/* `free_try`: it is asked again at once, at no cost. */
static void
tell_breaker(struct sck_call *c, bool free_try)
{
    const struct sck_remote *r = c->remote;
    const struct sck_triage *row = c->answer.row;
    struct sck_breaker *b = &c->remote->breaker;
    bool failure = row->action == SCK_ACT_RETRY || row->action == SCK_ACT_SEALED;
    if (c->url != NULL || (failure && free_try))
        return;
    if (failure) {
        if (sck_breaker_bad(b, now_us(c), sck_now_s(r->env.clock), row->action == SCK_ACT_SEALED, any_32_bits(c),
                            row->message)) {
            struct sck_log_field fields[] = {{"keeper", r->dialect->keeper, 0}, {"outcome", row->outcome, 0}};
            sck_log_fields(SCK_LOG_WARNING, "vault.client", "keeper is out: calls fail at once for a while", fields, 2);
            sck_meter_breaker(&c->remote->meter, SCK_BREAKER_OPEN);
        }
    } else if (c->answer.reply.net == SCK_NET_ANSWER) {
        if (sck_breaker_good(b))
            sck_meter_breaker(&c->remote->meter, SCK_BREAKER_CLOSED);
    } else if (c->probing) {
        sck_breaker_release(b);
    }
    c->probing = false;
}

/* A pooled connection that the server had given up breaks under the request, which then deserves a new one. */
static bool
was_stale(const struct sck_call *c)
{
    return c->answer.reply.net == SCK_NET_BROKEN && c->answer.reply.reused && !c->fresh_tried && !c->once;
}

/* Whether another node is worth asking now; what may have been done already is asked once. */
static bool
has_next_node(const struct sck_call *c)
{
    enum sck_action action = c->answer.row->action;
    bool undone = c->answer.reply.net == SCK_NET_CONNECT || action == SCK_ACT_ELSEWHERE || action == SCK_ACT_SEALED;
    return c->url == NULL && c->nodes_tried + 1 < c->remote->node_count && (undone || !c->once) &&
           (action == SCK_ACT_RETRY || action == SCK_ACT_ELSEWHERE || action == SCK_ACT_SEALED);
}

static enum sck_next
ask_next_node(struct sck_call *c)
{
    c->nodes_tried++;
    c->node = (c->node + 1) % c->remote->node_count;
    return SCK_NEXT_EXCHANGE;
}

static void
note_first(struct sck_call *c)
{
    if (c->first != NULL)
        return;
    c->first = c->answer.row;
    memcpy(c->first_text, c->answer.text, sizeof c->first_text);
    memcpy(c->first_detail, c->answer.reply.detail, sizeof c->first_detail);
}

/* A denial whose text is neither a bad credential's nor a policy's. */
static enum sck_next
look_up(struct sck_call *c)
{
    if (c->remote->dialect->lookup_path == NULL || c->credential == NULL || c->looked_up)
        return over(c);
    c->looked_up = true;
    c->held = c->answer.row;
    c->held_status = c->answer.reply.status;
    memcpy(c->held_text, c->answer.text, sizeof c->held_text);
    return SCK_NEXT_EXCHANGE;
}

static enum sck_next
replace_token(struct sck_call *c)
{
    if (c->token_replaced || c->credential == NULL)
        return over(c);
    c->token_replaced = true;
    return SCK_NEXT_CREDENTIAL;
}

static enum sck_next
after_lookup(struct sck_call *c)
{
    const struct sck_triage *about = c->answer.row;
    c->answer.row = about->verdict == SCK_SAYS_BAD_TOKEN ? about : c->held;
    c->answer.reply.status = c->held_status;
    c->answer.reply.detail[0] = '\0';
    memcpy(c->answer.text, c->held_text, sizeof c->answer.text);
    c->held = NULL;
    return c->answer.row == about ? replace_token(c) : over(c);
}

static enum sck_next
judge(struct sck_call *c, bool stale, bool more_nodes)
{
    c->fresh = false;
    switch (c->answer.row->action) {
    case SCK_ACT_DONE:
    case SCK_ACT_STOP:
        return over(c);
    case SCK_ACT_TOKEN:
        return replace_token(c);
    case SCK_ACT_LOOKUP:
        return look_up(c);
    case SCK_ACT_SEALED:
        return more_nodes ? ask_next_node(c) : over(c);
    case SCK_ACT_RETRY:
    case SCK_ACT_RETRY_ONCE:
    case SCK_ACT_RETRY_SHORT:
    case SCK_ACT_EASE:
    case SCK_ACT_ELSEWHERE:
        break;
    }
    note_first(c);
    if (stale) {
        c->fresh = c->fresh_tried = true;
        return SCK_NEXT_EXCHANGE;
    }
    return more_nodes ? ask_next_node(c) : retry(c);
}

enum sck_next
sck_call_answered(struct sck_call *c)
{
    const struct sck_dialect *d = c->remote->dialect;
    struct sck_answer *a = &c->answer;
    bool lookup = c->held != NULL;
    unsigned op = lookup ? d->lookup_op : c->op;
    a->json = a->reply.body_len > 0 ? sck_json_parse((const char *)a->reply.body->data, a->reply.body_len)
                                    : (struct sck_json){SCK_JSON_NONE, NULL, 0};
    a->text[0] = '\0';
    a->row = d->triage(a->reply.net, a->reply.status, op, d->error_text(a->json, a->text, sizeof a->text));
    if (a->row->action == SCK_ACT_STOP && a->reply.net == SCK_NET_ANSWER && a->reply.status >= 300 &&
        a->reply.status <= 399 && c->remote->node_count > 1)
        a->row = &moved_row;
    a->attempts += lookup ? 0 : 1;
    const struct sck_triage *row = a->row;
    if (row->verdict == SCK_SAYS_OK && c->credential != NULL && c->credential->ops->proved != NULL)
        c->credential->ops->proved(c->credential, c->token);
    bool stale = was_stale(c), more_nodes = has_next_node(c);
    tell_breaker(c, stale || more_nodes);
    enum sck_next next = lookup ? after_lookup(c) : judge(c, stale, more_nodes);
    int64_t took_us = now_us(c) - c->begun_us;
    bool again = next != SCK_NEXT_OVER && c->held == NULL && !lookup;
    sck_meter_attempt(&c->remote->meter, op, d->op_name(op), row->outcome, took_us);
    if (again)
        sck_meter_retry(&c->remote->meter, row->outcome);
    sck_call_log(c, row, op, took_us, again);
    return next;
}

/* ---- driven by this thread ---- */

void
sck_call_run(struct sck_call *c)
{
    const struct sck_env *env = &c->remote->env;
    enum sck_next next = sck_call_begin(c);
    while (next != SCK_NEXT_OVER) {
        if (next == SCK_NEXT_CREDENTIAL) {
            struct sck_secret *value = NULL;
            struct sck_err err = SCK_ERR_INIT;
            enum sck_code rc = c->credential->ops->get(c->credential, c->token, c->until_us, &value, &err);
            next = sck_call_credential(c, rc, value, &err);
        } else if (next == SCK_NEXT_EXCHANGE) {
            env->exchange(env->exchange_arg, sck_call_request(c), &c->answer.reply);
            next = sck_call_answered(c);
        } else {
            int64_t wait_ms = (c->wait_until_us - now_us(c) + 999) / 1000;
            if (wait_ms > 0)
                env->clock->sleep_ms(env->clock->arg, wait_ms);
            next = sck_call_waited(c);
        }
    }
}
