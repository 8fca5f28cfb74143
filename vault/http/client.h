/* SPDX-License-Identifier: MIT */
/*
 * HTTP exchanges over libcurl: kept-alive connections, TLS, time limits, bounded answers, nothing followed and nothing
 * taken from the environment.  What an answer means is not decided here.
 */
#ifndef SCK_VAULT_HTTP_CLIENT_H
#define SCK_VAULT_HTTP_CLIENT_H

#include "lib/base/secret.h"
#include "vault/http/slots.h"
#include "vault/http/triage.h"

#include <stdint.h>

#define SCK_REPLY_MAX SCK_SECRET_MAX    /* bytes of an answer's body */

struct sck_http_conf {
    const char *keeper;             /* for metrics; borrowed for ever */
    const char *ca_file;            /* the only CAs trusted, or NULL for the system's */
    const char *client_cert;        /* PEM file, or NULL */
    const char *client_key;         /* PEM file, or NULL */
    bool insecure_skip_verify;
    bool http2;                     /* over TLS, when the server offers it */
    int64_t connect_timeout_ms;
    int64_t request_timeout_ms;     /* also how long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT) */
};

/* A TLS client certificate. */
struct sck_http_identity {
    const char *cert_file;          /* PEM, with its chain */
    const char *key_file;           /* PEM, without a pass phrase */
};

/* A header without secrets: "name: value". */
struct sck_header {
    const char *name, *value;
};

struct sck_http_request {
    const char *method;             /* "GET", "POST", "DELETE" */
    const char *url;                /* whole and already escaped */
    const struct sck_header *headers;
    size_t header_count;
    const char *token_header;       /* "X-Vault-Token: " or "Authorization: Bearer " */
    const struct sck_secret *token; /* behind it, or NULL */
    const char *content_type;       /* of the body */
    const struct sck_secret *body;  /* or NULL */
    const char *call_id;            /* X-Correlation-Id */
    size_t reply_hint;              /* bytes that its answer may have: room for them at once; or 0 */
    int64_t timeout_ms;             /* whole exchange */
    const struct sck_http_identity *identity;   /* instead of the client's own; or NULL */
    bool fresh;                     /* on a connection of its own, so that it is sent once at most */
    const char *id_header;          /* of the answer: into reply->id; or NULL */
    const char *node_header;        /* of the answer: into reply->node; or NULL */
};

struct sck_http_reply {
    enum sck_net net;
    long status;
    struct sck_secret *body;        /* owned; NULL when empty */
    size_t body_len;
    int64_t retry_after_ms;         /* 0: the server did not say */
    bool headed;                    /* the headers came to their end */
    bool reused;                    /* it went over a connection that was there before */
    char id[80];                    /* id_header and node_header, or "" */
    char node[80];
    char challenge[512];            /* WWW-Authenticate, or "" */
    char detail[256];               /* why there was no answer, or "" */
};

struct sck_http {
    struct sck_slots slots;
    char *ca_file, *client_cert, *client_key;
    bool insecure_skip_verify, http2;
    int64_t connect_timeout_ms, request_timeout_ms;
    struct sck_metric *active, *idle;       /* gauges of connections */
};

/* Strings are copied; no request is made.  SCK_E_MEMORY, SCK_E_CONFIG when libcurl cannot do TLS. */
SCK_MUST_CHECK enum sck_code sck_http_new(const struct sck_http_conf *conf, struct sck_http **out,
                                          struct sck_err *err);
/* Close the connections.  No exchange may be under way. */
void sck_http_free(struct sck_http **http);

/*
 * One exchange.  Any thread; blocks for at most timeout_ms.  A failure of the exchange is told in reply->net;
 * reply is always filled and released by sck_http_reply_clear().  A connection that the server closed while it was
 * idle is replaced within the exchange (libcurl), unless it is `fresh`.  A child of fork() never uses or disturbs a
 * connection of its parent.
 */
void sck_http_exchange(struct sck_http *http, const struct sck_http_request *request, struct sck_http_reply *reply);
/* Wipes the body. */
void sck_http_reply_clear(struct sck_http_reply *reply);

#endif
