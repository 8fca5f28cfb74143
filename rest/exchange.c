/* SPDX-License-Identifier: MIT */
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "rest/server_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHALLENGE "ApiKey realm=\"scopekey\", header=\"X-API-Key\""
#define DISCARD_MAX (8 * 1024 * 1024)   /* bytes of an over-long body that are read for the sake of a polite 413 */
#define DISCARD_EARLY (64 * 1024)       /* announced bytes that are read before a refusal that needs no body */

enum phase {
    PHASE_HEAD,         /* the target was read */
    PHASE_BODY,         /* the head was good; bytes are collected */
    PHASE_DISCARD,      /* the reply is known; bytes are read and forgotten */
    PHASE_WORK,         /* a worker has it; the connection is suspended */
    PHASE_DONE          /* the reply is queued */
};

struct exchange {
    struct sck_request req;     /* first: workers get its address */
    struct sck_server *server;
    struct MHD_Connection *connection;
    struct sck_conn *conn;
    enum phase phase;
    bool counted;               /* in app->in_flight */
    size_t discarded;           /* bytes */
    char *target;               /* as sent, until routed */
};

void *
sck_exchange_start(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct sck_server *server = cls;
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->target = strdup(target);
    if (x->target == NULL) {
        free(x);
        return NULL;
    }
    x->server = server;
    x->connection = connection;
    x->req.app = server->app;
    x->req.data_length = -1;
    x->req.started_us = sck_monotonic_us(server->app->clock);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    x->conn = info != NULL ? info->socket_context : NULL;
    return x;
}

/* ---- the reply ---- */

static void
free_body(void *arg)
{
    struct sck_buf *body = arg;
    sck_buf_clear(body);
    free(body);
}

static struct MHD_Response *
response_of(struct sck_reply *reply)
{
    struct sck_buf *body = malloc(sizeof *body);
    if (body == NULL)
        return NULL;
    *body = reply->body;
    reply->body = (struct sck_buf){0};
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->data, free_body, body);
    if (response == NULL)
        free_body(body);
    return response;
}

static bool
add_headers(struct MHD_Response *response, const struct sck_request *req)
{
    const struct sck_reply *reply = &req->reply;
    char number[16];
    bool done = MHD_add_response_header(response, "Content-Type", reply->type != NULL ? reply->type : "application/json") ==
                    MHD_YES &&
                MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
                MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
                MHD_add_response_header(response, "X-Request-ID", req->id) == MHD_YES;
    if (done && reply->allow[0] != '\0')
        done = MHD_add_response_header(response, "Allow", reply->allow) == MHD_YES;
    if (done && reply->challenge)
        done = MHD_add_response_header(response, "WWW-Authenticate", CHALLENGE) == MHD_YES;
    if (done && reply->retry_after_s > 0) {
        (void)snprintf(number, sizeof number, "%d", reply->retry_after_s);
        done = MHD_add_response_header(response, "Retry-After", number) == MHD_YES;
    }
    if (done && (reply->close || atomic_load(&req->app->draining)))
        done = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return done;
}

static enum MHD_Result
answer(struct exchange *x)
{
    struct sck_request *req = &x->req;
    x->phase = PHASE_DONE;
    /* A handler that forgot to answer is a defect, and must not look like success. */
    if (req->reply.status == 0)
        sck_reply_error(req, 500, "internal", "The daemon made a mistake");
    sck_conn_set_busy(x->server->conns, x->conn, false, sck_monotonic_us(req->app->clock));
    struct MHD_Response *response = response_of(&req->reply);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result done = MHD_NO;
    if (add_headers(response, req))
        done = MHD_queue_response(x->connection, req->reply.status, response);
    MHD_destroy_response(response);
    return done;
}

/* Refuse without reading what follows on this connection. */
static enum MHD_Result
refuse(struct exchange *x, unsigned status, const char *code, const char *detail)
{
    x->req.reply.close = true;
    sck_reply_error(&x->req, status, code, detail);
    return answer(x);
}

/* ---- the head ---- */

struct head {
    struct sck_strict strict;
    const char *api_key;
    size_t api_key_len;
    const char *content_type;
    const char *request_id;
};

static enum MHD_Result
on_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value, size_t value_len)
{
    struct head *head = cls;
    (void)kind;
    sck_strict_header(&head->strict, name, name_len, value, value_len);
    if (strcasecmp(name, "X-API-Key") == 0) {
        head->api_key = value;
        head->api_key_len = value_len;
    } else if (strcasecmp(name, "Content-Type") == 0) {
        head->content_type = value;
    } else if (strcasecmp(name, "X-Request-ID") == 0) {
        head->request_id = value;
    }
    return MHD_YES;
}

static size_t
head_size(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info != NULL ? info->header_size : 0;
}

/* Find route and client.  Answers and returns false when there is nothing more to do with this request. */
static bool
admit(struct exchange *x, const struct head *head)
{
    struct sck_request *req = &x->req;
    size_t count;
    const struct sck_route *routes = sck_routes(&count);
    const struct sck_route *route = sck_route_find(routes, count, req->method, x->target, req->reply.allow);
    if (head->api_key != NULL)
        req->client = sck_auth_check(req->app->auth, head->api_key, head->api_key_len);
    bool anonymous_route = route != NULL && (route->flags & SCK_ROUTE_ANONYMOUS) != 0;
    bool known_path = route != NULL || req->reply.allow[0] != '\0';
    req->route = route;
    if (!known_path && sck_route_hides_slash(x->target)) {
        sck_reply_invalid(req, "The path has a percent-encoded slash");
    } else if (!known_path) {
        sck_reply_error(req, 404, "not_found", "There is no such path");
    } else if (route == NULL) {
        sck_reply_error(req, 405, "method_not_allowed", "The path does not take this method");
    } else if (req->client == NULL && (!anonymous_route || head->api_key != NULL)) {
        req->reply.challenge = true;
        sck_reply_error(req, 401, "unauthorized",
                        head->api_key == NULL ? "The header X-API-Key is missing" : "The API key is not valid");
    } else if (sck_strict_has_body(&head->strict) && strcmp(route->method, "POST") != 0) {
        sck_reply_invalid(req, "This request takes no body");
    } else if (sck_strict_has_body(&head->strict) &&
               (head->content_type == NULL || !sck_strict_is_json(head->content_type))) {
        sck_reply_error(req, 415, "unsupported_media_type", "Content-Type must be application/json");
    } else if (head->strict.length > x->server->max_body) {
        sck_reply_error(req, 413, "payload_too_large", "The body is too long");
    }
    return req->reply.status == 0;
}

static enum MHD_Result
read_head(struct exchange *x, const char *method, const char *version)
{
    struct sck_request *req = &x->req;
    struct head head = {0};
    x->counted = true;
    (void)atomic_fetch_add(&req->app->in_flight, 1);
    (void)MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, on_header, &head);
    if (strlen(method) < sizeof req->method)
        memcpy(req->method, method, strlen(method) + 1);
    if (head.request_id != NULL && sck_strict_is_request_id(head.request_id))
        memcpy(req->id, head.request_id, strlen(head.request_id) + 1);
    else if (sck_request_id_make(req->app->clock, req->id, NULL) != SCK_OK)
        return MHD_NO;
    const char *wrong = sck_strict_head(&head.strict, version);
    if (wrong == NULL)
        wrong = sck_strict_target(x->target);
    if (wrong != NULL)
        return refuse(x, 400, "bad_request", wrong);
    if (head_size(x->connection) > SCK_HEAD_MAX)
        return refuse(x, 431, "headers_too_large", "The request's headers are too long");
    if (admit(x, &head)) {
        x->phase = PHASE_BODY;
        return MHD_YES;
    }
    /* A short body is read first, so that the reply is not lost with a reset connection. */
    if (head.strict.length > DISCARD_EARLY || head.strict.encodings > 0) {
        req->reply.close = true;
        return answer(x);
    }
    x->phase = PHASE_DISCARD;
    return MHD_YES;
}

/* ---- the body and the work ---- */

static enum MHD_Result
read_body(struct exchange *x, const char *upload, size_t *upload_len)
{
    struct sck_err err = SCK_ERR_INIT;
    size_t len = *upload_len;
    *upload_len = 0;
    if (x->phase == PHASE_BODY) {
        enum sck_code rc = sck_request_append(&x->req, upload, len, x->server->max_body, &err);
        if (rc == SCK_OK)
            return MHD_YES;
        sck_secret_free(&x->req.body);
        x->phase = PHASE_DISCARD;
        if (rc == SCK_E_USAGE)
            sck_reply_error(&x->req, 413, "payload_too_large", "The body is too long");
        else
            sck_reply_failed(&x->req, &err);
        x->req.reply.close = true;
    }
    x->discarded += len;
    return x->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
}

void
sck_exchange_work(struct sck_work_item *item)
{
    struct exchange *x = (struct exchange *)(void *)item;
    x->req.route->handler(&x->req);
    sck_secret_free(&x->req.body);
    MHD_resume_connection(x->connection);
}

static enum MHD_Result
dispatch(struct exchange *x)
{
    struct sck_request *req = &x->req;
    if ((req->route->flags & SCK_ROUTE_INLINE) != 0) {
        req->route->handler(req);
        return answer(x);
    }
    x->phase = PHASE_WORK;
    sck_conn_set_busy(x->server->conns, x->conn, true, sck_monotonic_us(req->app->clock));
    MHD_suspend_connection(x->connection);
    if (!sck_work_push(x->server->work, &req->item)) {
        req->reply.retry_after_s = 1;
        sck_reply_error(req, 503, "overloaded", "Too many requests are waiting");
        MHD_resume_connection(x->connection);
    }
    return MHD_YES;
}

enum MHD_Result
sck_exchange_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                  const char *version, const char *upload, size_t *upload_len, void **state)
{
    struct exchange *x = *state;
    (void)cls;
    (void)connection;
    (void)url;
    if (x == NULL)
        return MHD_NO;
    switch (x->phase) {
    case PHASE_HEAD:
        return read_head(x, method, version);
    case PHASE_BODY:
        return *upload_len > 0 ? read_body(x, upload, upload_len) : dispatch(x);
    case PHASE_DISCARD:
        return *upload_len > 0 ? read_body(x, upload, upload_len) : answer(x);
    case PHASE_WORK:
        return answer(x);
    case PHASE_DONE:
        break;
    }
    return MHD_YES;
}

/* What libmicrohttpd answered without asking; 0: nothing. */
static unsigned
own_status(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info != NULL ? info->http_status : 0;
}

void
sck_exchange_end(void *cls, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *state;
    (void)cls;
    if (x == NULL)
        return;
    *state = NULL;
    bool sent = x->phase == PHASE_DONE && how == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (x->phase != PHASE_HEAD)
        sck_request_log(&x->req, sent ? x->req.reply.status : 0);
    else if (sck_request_id_make(x->req.app->clock, x->req.id, NULL) == SCK_OK)
        /* Never shown to us: the library refused the head by itself, or its end never came. */
        sck_request_log(&x->req, own_status(connection));
    sck_conn_set_busy(x->server->conns, x->conn, false, sck_monotonic_us(x->req.app->clock));
    if (x->counted)
        (void)atomic_fetch_sub(&x->req.app->in_flight, 1);
    sck_request_clear(&x->req);
    free(x->target);
    free(x);
}
