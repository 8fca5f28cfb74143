/* SPDX-License-Identifier: MIT */
#include "vault/http/call.h"

#include <stdio.h>
#include <string.h>

/* "errors" of the answer: NULL without, "" for an empty list, else its strings, one a line. */
static const char *
error_text(struct sck_json body, char *out, size_t cap)
{
    struct sck_json errors = sck_json_get(body, "errors"), item;
    size_t used = 0;
    out[0] = '\0';
    if (errors.kind != SCK_JSON_ARRAY)
        return NULL;
    for (size_t i = 0; (item = sck_json_item(errors, i)).kind != SCK_JSON_NONE && used + 2 < cap; i++) {
        if (i > 0)
            out[used++] = '\n';
        (void)sck_json_text(item, out + used, cap - used);
        used += strlen(out + used);
    }
    return out;
}

const struct sck_dialect sck_vault_dialect = {
    .keeper = "vault",
    .op_name = sck_vault_op_name,
    .triage = sck_vault_triage,
    .error_text = error_text,
    .doubt = "is url a Vault or OpenBao, and mount a transit engine?",
    .token_header = "X-Vault-Token: ",
    .id_member = "request_id",
    .node_header = "X-Vault-Raft-Node-ID",
    .lookup_path = "/v1/auth/token/lookup-self",
    .lookup_op = SCK_OP_LOOKUP,
};

void
sck_vault_ask_init(struct sck_vault_ask *ask, struct sck_vault *v, const struct sck_vault_call *call)
{
    memset(ask, 0, sizeof *ask);
    (void)snprintf(ask->path, sizeof ask->path, "/v1/%s", call->path);
    /* Proxies that ask for this header keep requests out that a browser was tricked into. */
    ask->headers[0] = (struct sck_header){"X-Vault-Request", "true"};
    ask->headers[1] = (struct sck_header){"X-Vault-Namespace", call->name_space};
    ask->call.remote = &v->remote;
    ask->call.op = call->op;
    ask->call.method = call->method;
    ask->call.path = ask->path;
    ask->call.kek = call->kek;
    ask->call.url = call->url;
    ask->call.headers = ask->headers;
    ask->call.header_count = call->name_space[0] != '\0' ? 2 : 1;
    ask->call.body = call->body;
    ask->call.reply_hint = call->reply_hint;
    ask->call.credential = call->token;
    ask->call.deadline_us = call->deadline_us;
    ask->call.once = call->once;
}

enum sck_code
sck_vault_ask(struct sck_vault *v, const struct sck_vault_call *call, struct sck_answer *answer, struct sck_err *err)
{
    struct sck_vault_ask ask;
    sck_vault_ask_init(&ask, v, call);
    sck_call_run(&ask.call);
    *answer = ask.call.answer;
    return ask.call.code == SCK_OK ? SCK_OK : sck_fail(err, ask.call.code, "%s", ask.call.err.message);
}

enum sck_code
sck_vault_refused(const struct sck_vault *v, const struct sck_vault_call *call, const struct sck_answer *answer,
                  struct sck_err *err)
{
    return sck_answer_refused(&v->remote, call->op, call->kek, answer, err);
}

enum sck_code
sck_vault_strange(const struct sck_vault_call *call, const char *what, struct sck_err *err)
{
    return sck_answer_strange(&sck_vault_dialect, call->op, call->kek, what, err);
}
