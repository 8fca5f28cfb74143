/* SPDX-License-Identifier: MIT */
/* What became of a call: log line, message, and the end of its answer. */
#include "vault/http/machine.h"

#include "lib/base/log.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

void
sck_answer_clear(struct sck_answer *answer)
{
    sck_http_reply_clear(&answer->reply);
}

void
sck_call_log(const struct sck_call *c, const struct sck_triage *row, unsigned op, int64_t took_us, bool again)
{
    const struct sck_dialect *d = c->remote->dialect;
    const struct sck_http_reply *reply = &c->answer.reply;
    enum sck_log_level level = again ? SCK_LOG_WARNING : SCK_LOG_INFO;
    char request_id[80];
    if (level < sck_log_level())
        return;
    if (d->id_member == NULL || !sck_json_text(sck_json_get(c->answer.json, d->id_member), request_id, sizeof request_id))
        memcpy(request_id, reply->id, sizeof request_id);
    struct sck_log_field fields[] = {
        {"keeper", d->keeper, 0},
        {"op", d->op_name(op), 0},
        {"outcome", row->outcome, 0},
        {"attempt", NULL, c->answer.attempts},
        {"duration_us", NULL, took_us},
        {"kek", c->kek != NULL ? c->kek : "", 0},
        {"status", NULL, reply->status},
        {"call_id", c->id, 0},
        {"keeper_request_id", request_id, 0},
        {"node", reply->node[0] != '\0' ? reply->node : c->url != NULL ? c->url : c->remote->nodes[c->node], 0},
    };
    sck_log_fields(level, "vault.client", again ? "keeper call, to be repeated" : "keeper call", fields,
                   sizeof fields / sizeof fields[0]);
}

/* "keeper vault, <op>[ of KEK <name>]" */
static void
describe(const struct sck_dialect *d, unsigned op, const char *kek, char *out, size_t cap)
{
    (void)snprintf(out, cap, "keeper %s, %s%s%s", d->keeper, d->op_name(op), kek != NULL ? " of KEK " : "",
                   kek != NULL ? kek : "");
}

enum sck_code
sck_answer_refused(const struct sck_remote *remote, unsigned op, const char *kek, const struct sck_answer *a,
                   struct sck_err *err)
{
    char what[192], attempts[80] = "";
    const char *said = a->reply.detail[0] != '\0' ? a->reply.detail : a->text;
    struct sck_buf quoted;
    sck_buf_init(&quoted, 1024);
    describe(remote->dialect, op, kek, what, sizeof what);
    if (a->row->quotes && said[0] != '\0') {
        sck_buf_put_str(&quoted, " (");
        sck_text_escape(said, strlen(said), &quoted);
        sck_buf_put_str(&quoted, ")");
    }
    if (a->attempts > 1)
        (void)snprintf(attempts, sizeof attempts, "; %u attempts%s", a->attempts, a->gave_up);
    enum sck_code rc = sck_fail(err, a->row->code, "%s at %s: %s%s%s", what, a->url, a->row->message,
                                sck_buf_str(&quoted), attempts);
    sck_buf_clear(&quoted);
    return rc;
}

enum sck_code
sck_answer_strange(const struct sck_dialect *dialect, unsigned op, const char *kek, const char *what,
                   struct sck_err *err)
{
    char text[192];
    describe(dialect, op, kek, text, sizeof text);
    return sck_fail(err, SCK_E_CONFIG, "%s: the answer lacks %s: %s", text, what, dialect->doubt);
}
