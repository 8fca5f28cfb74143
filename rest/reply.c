/* SPDX-License-Identifier: MIT */
#include "rest/reply.h"

#include "lib/base/text.h"
#include "rest/problem.h"
#include "rest/request.h"

#include <stdio.h>
#include <string.h>

static int
put_chunk(const char *data, size_t len, void *arg)
{
    struct sck_buf *out = arg;
    sck_buf_put(out, data, len);
    return out->failed ? -1 : 0;
}

/* The last resort needs no memory but the buffer's, and says nothing that changes. */
static void
put_body(struct sck_reply *reply, const json_t *object)
{
    sck_buf_init(&reply->body, SCK_REPLY_MAX);
    if (object != NULL)
        (void)json_dump_callback(object, put_chunk, &reply->body, JSON_COMPACT);
    sck_buf_put_str(&reply->body, "\n");
    if (object != NULL && !reply->body.failed)
        return;
    sck_buf_reset(&reply->body);
    sck_buf_put_str(&reply->body, "{\"error\":\"Internal Error\",\"status_code\":500,\"code\":\"out_of_memory\"}\n");
    reply->status = 500;
    reply->code = "out_of_memory";
}

bool
sck_reply_put_time(const struct sck_request *req, json_t *object)
{
    char now[SCK_TIME_TEXT];
    sck_time_format(sck_now_s(req->app->clock), now);
    return json_object_set_new(object, "timestamp", json_string(now)) == 0;
}

void
sck_reply_json(struct sck_request *req, unsigned status, json_t *object)
{
    if (req->reply.status == 0) {
        req->reply.status = status;
        put_body(&req->reply, object);
    }
    json_decref(object);
}

void
sck_reply_text(struct sck_request *req, const char *type, struct sck_buf *body)
{
    if (body->failed) {
        sck_buf_clear(body);
        sck_reply_json(req, 500, NULL);
    } else if (req->reply.status == 0) {
        req->reply.status = 200;
        req->reply.type = type;
        req->reply.body = *body;
        *body = (struct sck_buf){0};
    }
}

void
sck_reply_error(struct sck_request *req, unsigned status, const char *code, const char *detail)
{
    char now[SCK_TIME_TEXT];
    if (req->reply.status != 0)
        return;
    sck_time_format(sck_now_s(req->app->clock), now);
    req->reply.code = code;
    sck_reply_json(req, status,
                   json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "error", sck_problem_title(status), "detail", detail,
                             "timestamp", now, "request_id", req->id, "status_code", (int)status, "code", code));
}

void
sck_reply_invalid(struct sck_request *req, const char *detail)
{
    sck_reply_error(req, 400, "validation_error", detail);
}

void
sck_reply_failed(struct sck_request *req, const struct sck_err *err)
{
    struct sck_problem problem = sck_problem_of(err->code);
    if (problem.status >= 500) {
        (void)snprintf(req->cause, sizeof req->cause, "%s", err->message);
        sck_request_scrub(req->cause);
    }
    req->reply.retry_after_s = problem.retry_after_s;
    sck_reply_error(req, problem.status, problem.code, problem.detail);
}

void
sck_reply_clear(struct sck_reply *reply)
{
    sck_buf_clear(&reply->body);
    *reply = (struct sck_reply){0};
}
