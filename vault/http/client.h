/* SPDX-License-Identifier: MIT */
/*
 * One HTTP exchange over libcurl: kept-alive connections, TLS, time limits, bounded answers, nothing followed and
 * nothing taken from the environment.  What an answer means is not decided here.
 */
#ifndef SCK_VAULT_HTTP_CLIENT_H
#define SCK_VAULT_HTTP_CLIENT_H

#include "lib/base/secret.h"
#include "vault/http/status.h"

#include <stdint.h>

#define SCK_REPLY_MAX SCK_SECRET_MAX    /* bytes of an answer's body */

struct sck_http_conf {
    const char *ca_file;            /* the only CAs trusted, or NULL for the system's */
    bool insecure_skip_verify;
    int64_t connect_timeout_ms;
};

struct sck_http_request {
    const char *method;             /* "GET", "POST", "DELETE" */
    const char *url;                /* whole and already escaped */
    const char *name_space;         /* X-Vault-Namespace, or "" */
    const struct sck_secret *token; /* X-Vault-Token, or NULL */
    const struct sck_secret *body;  /* JSON, or NULL */
    const char *call_id;            /* X-Correlation-Id */
    int64_t timeout_ms;             /* whole exchange */
};

struct sck_http_reply {
    enum sck_net net;
    long status;
    struct sck_secret *body;        /* owned; NULL when empty */
    size_t body_len;
    int64_t retry_after_ms;         /* 0: the server did not say */
    bool headed;                    /* the headers came to their end */
    char detail[256];               /* why there was no answer, or "" */
};

struct sck_http;

/* Strings are copied; no request is made.  SCK_E_MEMORY, SCK_E_CONFIG when libcurl cannot do TLS. */
SCK_MUST_CHECK enum sck_code sck_http_new(const struct sck_http_conf *conf, struct sck_http **out,
                                          struct sck_err *err);
/* Close the connections.  No exchange may be under way. */
void sck_http_free(struct sck_http **http);

/*
 * One exchange.  Any thread; blocks for at most timeout_ms.  A failure of the exchange is told in reply->net;
 * reply is always filled and released by sck_http_reply_clear().  A connection that the server closed while it was
 * idle is replaced within the exchange (libcurl).  A child of fork() never uses or disturbs a connection of its parent.
 */
void sck_http_exchange(struct sck_http *http, const struct sck_http_request *request, struct sck_http_reply *reply);
/* Wipes the body. */
void sck_http_reply_clear(struct sck_http_reply *reply);

#endif
