/* SPDX-License-Identifier: MIT */
/* Keeper `vault` as its parts see it, and a blocking call to its server in Vault's manner (machine.h does the work). */
#ifndef SCK_VAULT_HTTP_CALL_H
#define SCK_VAULT_HTTP_CALL_H

#include "vault/http/loop.h"
#include "vault/http/status.h"
#include "vault/keeper.h"

#define SCK_VAULT_URL_MAX SCK_URL_MAX
#define SCK_VAULT_PATH_MAX (SCK_PATH_MAX - 8)   /* behind /v1/ */

struct sck_vault {
    struct sck_keeper base;
    struct sck_remote remote;
    struct sck_loop loop;
    atomic_size_t batch_most;           /* items in one request; lowered when the server refuses that many */
    struct sck_http *http;              /* NULL when the exchange is a test's */
    char mount[128];
    char name_space[256];
    bool insecure_http;
    const char *url;                    /* the first node's, for messages */
    struct sck_credential data, admin;
};

/* How Vault and OpenBao speak. */
extern const struct sck_dialect sck_vault_dialect;

struct sck_vault_call {
    enum sck_vault_op op;
    const char *method;
    const char *path;                   /* behind /v1/; legal by construction */
    const char *kek;                    /* for messages and logs, or NULL */
    const char *name_space;             /* or "" */
    const char *url;                    /* another node, or NULL */
    struct sck_credential *token;       /* or NULL */
    const struct sck_secret *body;      /* or NULL */
    size_t reply_hint;                  /* see struct sck_http_request */
    int64_t deadline_us;                /* monotonic; 0: the keeper's own */
    bool once;                          /* no retries: the caller has its own */
};

/* One call as the machine takes it; what it points to is in here or in the vault_call. */
struct sck_vault_ask {
    struct sck_call call;
    struct sck_header headers[2];
    char path[SCK_PATH_MAX];
};
/* Zero-fills `ask` and fills it in; it must not move afterwards. */
void sck_vault_ask_init(struct sck_vault_ask *ask, struct sck_vault *v, const struct sck_vault_call *call);

/*
 * Make the call.  SCK_OK: there is a verdict in answer->row, good or bad.  Otherwise it could not be asked: no token
 * (errors of the credential), SCK_E_MEMORY.  Always release the answer with sck_answer_clear().
 */
SCK_MUST_CHECK enum sck_code sck_vault_ask(struct sck_vault *v, const struct sck_vault_call *call,
                                           struct sck_answer *answer, struct sck_err *err);
/* Record a bad verdict and return its code; never SCK_OK. */
enum sck_code sck_vault_refused(const struct sck_vault *v, const struct sck_vault_call *call,
                                const struct sck_answer *answer, struct sck_err *err);
/* Record that a good answer does not hold `what`.  SCK_E_CONFIG. */
enum sck_code sck_vault_strange(const struct sck_vault_call *call, const char *what, struct sck_err *err);

#endif
