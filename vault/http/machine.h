/* SPDX-License-Identifier: MIT */
/*
 * One call to a server as a machine: attempt, verdict, wait, attempt, with a deadline, a retry budget, a breaker, other
 * nodes, a credential that is renewed, and a log line for each attempt.  It knows no server (struct sck_dialect does), no
 * clock, no randomness and no transport (struct sck_env), and it never blocks: somebody drives it.  sck_call_run() does
 * in the caller's thread, loop.h with one thread for any number of calls.
 */
#ifndef SCK_VAULT_HTTP_MACHINE_H
#define SCK_VAULT_HTTP_MACHINE_H

#include "lib/base/clock.h"
#include "vault/http/breaker.h"
#include "vault/http/client.h"
#include "vault/http/credential.h"
#include "vault/http/json.h"
#include "vault/http/meter.h"
#include "vault/http/retry.h"

#define SCK_URL_MAX 256             /* scheme, host and port; NUL included */
#define SCK_PATH_MAX 512            /* behind it, NUL included */
#define SCK_TEXT_MAX 256            /* of a server's error text */
#define SCK_NODES_MAX 8

struct sck_env {
    const struct sck_clock *clock;
    uint32_t (*random)(void *arg);
    void *random_arg;
    /* For sck_call_run() alone. */
    void (*exchange)(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply);
    void *exchange_arg;
};

/* How a kind of server speaks. */
struct sck_dialect {
    const char *keeper;             /* "vault": for messages, logs and metrics */
    const char *(*op_name)(unsigned op);
    const struct sck_triage *(*triage)(enum sck_net net, long status, unsigned op, const char *text);
    /* The error text of an answer, which may be written into `out`: NULL when it tells none, "" for an empty one. */
    const char *(*error_text)(struct sck_json body, char *out, size_t cap);
    const char *doubt;              /* what to look at when a good answer lacks something */
    const char *token_header;       /* "X-Vault-Token: " or "Authorization: Bearer " */
    const char *id_member;          /* of the answer's body: the server's id of the request; or NULL */
    const char *id_header;          /* of the answer: the same; or NULL */
    const char *node_header;        /* of the answer: which node; or NULL */
    /* GET, asked with the credential in doubt when an answer's action is SCK_ACT_LOOKUP; or NULL. */
    const char *lookup_path;
    unsigned lookup_op;
};

/* A server, or a cluster of them, with what is known of it.  Zero-fill, fill in the upper half, sck_remote_init(). */
struct sck_remote {
    const struct sck_dialect *dialect;
    struct sck_env env;
    char nodes[SCK_NODES_MAX][SCK_URL_MAX]; /* base URLs without a slash at the end; the first one is in messages */
    size_t node_count;                      /* 1 to SCK_NODES_MAX */
    int64_t request_timeout_ms, deadline_ms, retry_backoff_ms;
    unsigned max_retries;
    bool full_jitter;

    struct sck_retry_budget budget;
    struct sck_breaker breaker;
    struct sck_meter meter;
    atomic_size_t node;                     /* the one that served last */
};

void sck_remote_init(struct sck_remote *remote);
void sck_remote_clear(struct sck_remote *remote);

struct sck_answer {
    const struct sck_triage *row;       /* what the answer means */
    struct sck_http_reply reply;
    struct sck_json json;               /* its body, kind NONE when empty or malformed */
    unsigned attempts;
    const char *gave_up;                /* why there were no more attempts, or "" */
    char text[SCK_TEXT_MAX];            /* the server's error text, unescaped */
    char url[SCK_URL_MAX];              /* the node that answered last */
};

void sck_answer_clear(struct sck_answer *answer);

enum sck_next {
    SCK_NEXT_CREDENTIAL,    /* get call->credential (call->token, when not NULL, was refused), then sck_call_credential() */
    SCK_NEXT_EXCHANGE,      /* make sck_call_request() into call->answer.reply, then sck_call_answered() */
    SCK_NEXT_WAIT,          /* until call->wait_until_us (monotonic), then sck_call_waited() */
    SCK_NEXT_OVER
};

/*
 * One call.  Zero-fill and fill in the upper part, which is borrowed until it is over; clear it afterwards.
 * Over with code SCK_OK: there is a verdict in answer.row, good or bad.  Otherwise it could not be asked: no credential,
 * SCK_E_MEMORY, SCK_E_CANCELLED.
 */
struct sck_call {
    struct sck_remote *remote;
    unsigned op;                        /* one bit */
    const char *method;
    const char *path;                   /* behind the base URL, begins with '/'; legal by construction */
    const char *kek;                    /* for messages and logs: a keyed name, or NULL */
    const char *url;                    /* this base URL and no other node; or NULL */
    const struct sck_header *headers;
    size_t header_count;
    const char *content_type;           /* of the body; NULL: application/json */
    const struct sck_secret *body;      /* or NULL */
    size_t reply_hint;                  /* see struct sck_http_request */
    struct sck_credential *credential;  /* or NULL */
    const struct sck_http_identity *identity;   /* instead of the credential's; or NULL */
    int64_t deadline_us;                /* monotonic; 0: the remote's own */
    bool once;                          /* sent once at most, on a connection of its own: the caller has its own way on */

    enum sck_code code;
    struct sck_err err;
    struct sck_answer answer;

    int64_t wait_until_us;
    struct sck_secret *token;           /* what is shown, or was refused */
    /* The machine's own. */
    const struct sck_triage *first;     /* the first failure that was worth another attempt, */
    char first_text[SCK_TEXT_MAX];      /* and what was said */
    char first_detail[SCK_TEXT_MAX];
    const struct sck_triage *held;      /* the denial that a lookup is about, */
    char held_text[SCK_TEXT_MAX];
    long held_status;
    struct sck_http_request request;
    char request_url[SCK_URL_MAX + SCK_PATH_MAX];
    int64_t until_us, begun_us;
    size_t node, nodes_tried;
    unsigned retries;
    bool sent, looked_up, token_replaced, fresh, fresh_tried, probing;
    char id[17];
};

/* ---- the machine; by one thread at a time ---- */
enum sck_next sck_call_begin(struct sck_call *call);
/* Takes `value`; `err` says why there is none. */
enum sck_next sck_call_credential(struct sck_call *call, enum sck_code code, struct sck_secret *value,
                                  const struct sck_err *err);
/* The request to make now; borrowed until sck_call_answered(). */
const struct sck_http_request *sck_call_request(struct sck_call *call);
enum sck_next sck_call_answered(struct sck_call *call);
enum sck_next sck_call_waited(struct sck_call *call);
/* Its time is over before the request could be made. */
enum sck_next sck_call_expired(struct sck_call *call);
/* It ends here, with code SCK_E_CANCELLED, whatever it waits for. */
void sck_call_cancelled(struct sck_call *call);
void sck_call_clear(struct sck_call *call);

/* ---- driven by this thread ---- */
void sck_call_run(struct sck_call *call);

/* ---- what became of it (answer.c) ---- */
/* The line of one attempt that took `took_us`; `again`: it is made again. */
void sck_call_log(const struct sck_call *call, const struct sck_triage *row, unsigned op, int64_t took_us, bool again);
/* Record a bad verdict and return its code; never SCK_OK.  `kek` as in struct sck_call. */
enum sck_code sck_answer_refused(const struct sck_remote *remote, unsigned op, const char *kek,
                                 const struct sck_answer *answer, struct sck_err *err);
/* Record that a good answer does not hold `what`.  SCK_E_CONFIG. */
enum sck_code sck_answer_strange(const struct sck_dialect *dialect, unsigned op, const char *kek, const char *what,
                                 struct sck_err *err);

#endif
