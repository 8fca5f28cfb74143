/* SPDX-License-Identifier: MIT */
/* One request: what came, what is answered, and what its log line says.  Used by one thread at a time. */
#ifndef SCK_REST_REQUEST_H
#define SCK_REST_REQUEST_H

#include "lib/base/secret.h"
#include "rest/app.h"
#include "rest/reply.h"
#include "rest/route.h"
#include "rest/work.h"

#define SCK_REQUEST_ID_MAX 64

struct sck_request {
    struct sck_work_item item;              /* place in the workers' queue */
    struct sck_app *app;
    char id[SCK_REQUEST_ID_MAX + 1];        /* X-Request-ID, the caller's or ours */
    char method[16];                        /* as sent, "" when longer */
    const struct sck_route *route;          /* NULL before routing and for 404 and 405 */
    const struct sck_client *client;        /* NULL: anonymous */
    struct sck_secret *body;                /* NULL when empty */
    struct sck_reply reply;

    /* For the log line. */
    int64_t started_us;                     /* monotonic */
    char key_id[SCK_KEY_ID_MAX + 1];        /* "" when none was given (or it was malformed) */
    const char *algorithm;                  /* NULL: none */
    int64_t data_length;                    /* plaintext bytes; -1: none */
    char cause[SCK_ERR_MESSAGE_MAX];        /* what a lower room said about a 5xx */
};

/* A request id of our own; `id` is "" when there is no randomness (and the request is then refused). */
SCK_MUST_CHECK enum sck_code sck_request_id_make(const struct sck_clock *clock, char id[SCK_REQUEST_ID_MAX + 1],
                                                 struct sck_err *err);
/* Append to the body, which then may be at most `max_len` bytes.  SCK_E_USAGE: it would be longer; SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_request_append(struct sck_request *req, const void *data, size_t len,
                                                size_t max_len, struct sck_err *err);
/* Wipe and free what it holds. */
void sck_request_clear(struct sck_request *req);
/* Write the request's line; `status` is what the client got, 0 when the connection was lost before the reply. */
void sck_request_log(const struct sck_request *req, unsigned status);
/* Replace ids behind "subject/" and "client/" by a star, in place: messages of lower rooms name key URIs. */
void sck_request_scrub(char *text);

#endif
