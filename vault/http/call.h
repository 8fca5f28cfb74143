/* SPDX-License-Identifier: MIT */
/*
 * One call to the server: attempts, waits, tokens, log lines and the verdict.  Time, randomness and the transport come
 * in as functions, so that tests bring their own.
 */
#ifndef SCK_VAULT_HTTP_CALL_H
#define SCK_VAULT_HTTP_CALL_H

#include "lib/base/clock.h"
#include "vault/http/client.h"
#include "vault/http/credential.h"
#include "vault/http/json.h"
#include "vault/http/retry.h"
#include "vault/keeper.h"

#define SCK_VAULT_URL_MAX 256       /* of the server, NUL included */
#define SCK_VAULT_PATH_MAX 512      /* behind /v1/ */
#define SCK_VAULT_TEXT_MAX 256      /* of the server's error text */

struct sck_vault_env {
    const struct sck_clock *clock;
    uint32_t (*random)(void *arg);
    void *random_arg;
    void (*exchange)(void *arg, const struct sck_http_request *request, struct sck_http_reply *reply);
    void *exchange_arg;
};

/* The keeper as its parts see it. */
struct sck_vault {
    struct sck_keeper base;
    struct sck_vault_env env;
    struct sck_http *http;              /* NULL when the exchange is a test's */
    char url[SCK_VAULT_URL_MAX];        /* scheme, host and port; no slash at the end */
    char mount[128];
    char name_space[256];
    bool insecure_http;
    int64_t request_timeout_ms, deadline_ms, retry_backoff_ms;
    unsigned max_retries;
    struct sck_retry_budget budget;
    struct sck_credential data, admin;
};

struct sck_vault_call {
    enum sck_vault_op op;
    const char *method;
    const char *path;                   /* behind /v1/; legal by construction */
    const char *kek;                    /* for messages and logs, or NULL */
    const char *name_space;             /* or "" */
    const char *url;                    /* another node, or NULL */
    struct sck_credential *token;       /* or NULL */
    const struct sck_secret *body;      /* or NULL */
    bool once;                          /* no retries: the caller has its own */
};

struct sck_vault_result {
    const struct sck_triage *row;       /* what the answer means */
    struct sck_http_reply reply;
    struct sck_json json;               /* its body, kind NONE when empty or malformed */
    unsigned attempts;
    const char *gave_up;                /* why there were no more attempts, or "" */
    char text[SCK_VAULT_TEXT_MAX];      /* the server's error text, unescaped */
};

/*
 * Make the call.  SCK_OK: there is a verdict in result->row, good or bad.  Otherwise it could not be asked: no token
 * (errors of sck_credential_get()), SCK_E_MEMORY.  Always release the result with sck_vault_result_clear().
 */
SCK_MUST_CHECK enum sck_code sck_vault_ask(struct sck_vault *v, const struct sck_vault_call *call,
                                           struct sck_vault_result *result, struct sck_err *err);
void sck_vault_result_clear(struct sck_vault_result *result);
/* Record a bad verdict and return its code; never SCK_OK. */
enum sck_code sck_vault_refused(const struct sck_vault *v, const struct sck_vault_call *call,
                                const struct sck_vault_result *result, struct sck_err *err);
/* Record that a good answer does not hold `what`.  SCK_E_CONFIG. */
enum sck_code sck_vault_strange(const struct sck_vault_call *call, const char *what, struct sck_err *err);

#endif
