/* SPDX-License-Identifier: MIT */
/* Answers: JSON objects of the documented shapes.  A request is answered once; a second answer is ignored. */
#ifndef SCK_REST_REPLY_H
#define SCK_REST_REPLY_H

#include "lib/base/bytes.h"
#include "rest/route.h"

#include <jansson.h>

#define SCK_REPLY_MAX (16U * 1024U * 1024U) /* bytes; JSON escapes make at most six bytes of one */

struct sck_reply {
    unsigned status;                /* HTTP; 0: not answered yet */
    const char *code;               /* static; NULL for a success */
    const char *type;               /* Content-Type, static; NULL: JSON */
    struct sck_buf body;            /* JSON and a line end, or what `type` says */
    int retry_after_s;              /* Retry-After; 0: none */
    bool challenge;                 /* WWW-Authenticate */
    bool close;                     /* the connection ends with this reply */
    char allow[SCK_ALLOW_MAX];      /* Allow; "" none */
};

struct sck_request;

/* A success (or a 503 of /health) with these members; takes `object`, which may be NULL after out-of-memory. */
void sck_reply_json(struct sck_request *req, unsigned status, json_t *object);
/* A success that is no JSON: takes `body`, whose failure becomes a 500.  `type` is static. */
void sck_reply_text(struct sck_request *req, const char *type, struct sck_buf *body);
/* An error of the documented shape (K-27); `code` is static, `detail` holds nothing secret. */
void sck_reply_error(struct sck_request *req, unsigned status, const char *code, const char *detail);
/* 400 `validation_error`. */
void sck_reply_invalid(struct sck_request *req, const char *detail);
/* What a call into lib/service or rest/crypt.c failed with; its own words go to the log only. */
void sck_reply_failed(struct sck_request *req, const struct sck_err *err);
void sck_reply_clear(struct sck_reply *reply);

/* Add `timestamp` (K-26); false when out of memory. */
bool sck_reply_put_time(const struct sck_request *req, json_t *object);

#endif
