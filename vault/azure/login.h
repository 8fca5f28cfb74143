/* SPDX-License-Identifier: MIT */
/*
 * A bearer token of Entra ID's or of a managed identity, got when first needed and kept until five minutes before its
 * end.  One login for any number of threads that need one; a failed one is the answer for all who waited for it.
 */
#ifndef SCK_VAULT_AZURE_LOGIN_H
#define SCK_VAULT_AZURE_LOGIN_H

#include "vault/http/machine.h"
#include "vault/keeper.h"

#include <sys/types.h>

/* A bad verdict, or a good answer that lacks `what`, as an error; never SCK_OK. */
static inline enum sck_code
sck_call_refused(const struct sck_call *call, struct sck_err *err)
{
    return sck_answer_refused(call->remote, call->op, call->kek, &call->answer, err);
}

static inline enum sck_code
sck_call_strange(const struct sck_call *call, const char *what, struct sck_err *err)
{
    return sck_answer_strange(call->remote->dialect, call->op, call->kek, what, err);
}

/* Where tokens come from; shared by the identities of a keeper. */
struct sck_azure_issuer {
    struct sck_remote *authority;       /* Entra ID */
    struct sck_remote *identities;      /* managed identities, App Service's or the machine's */
    bool app_service;
    char identities_path[128];          /* behind the base URL */
    char *tenant_id;                    /* owned */
    struct sck_secret *identity_header; /* owned, or NULL */
    /* The resource a token shall be for, checked against the vault's own word.  Blocks; its own errors. */
    enum sck_code (*resource)(void *arg, int64_t deadline_us, char out[SCK_URL_MAX], struct sck_err *err);
    void *resource_arg;
};

struct sck_azure_login {
    struct sck_credential base;
    const char *what;                   /* "the data client" */
    struct sck_azure_issuer *issuer;
    enum sck_azure_credential kind;     /* never AUTO */
    char *client_id, *secret_file, *certificate_file, *certificate_key_file, *federated_token_file;
    struct sck_secret *secret;          /* owned, or NULL */

    struct sck_forklock lock;           /* everything below */
    pthread_cond_t landed;
    pid_t pid;                          /* whose flight it is */
    bool flying;
    unsigned flight;
    struct sck_err failure;             /* of the last flight, code SCK_OK when it got a token */
    struct sck_secret *token;
    int64_t renew_us, good_until_us;    /* monotonic */
};

/*
 * Caller's storage; what `identity` points to is copied.  `prefix` is "" or "admin_", for messages that name settings.
 * SCK_E_CONFIG names the setting that is missing or malformed.  Clear it through base.ops in any case.
 */
SCK_MUST_CHECK enum sck_code sck_azure_login_init(struct sck_azure_login *login, const char *what, const char *prefix,
                                                  const struct sck_azure_identity *identity,
                                                  struct sck_azure_issuer *issuer, struct sck_err *err);
/* Seconds that the current token is still good for, or -1 when there is none. */
int64_t sck_azure_login_left_s(struct sck_azure_login *login);

/* A token's answer: the token and how long it is good, in seconds from `now_s`.  False unless both are there.  Pure. */
bool sck_azure_token_parse(struct sck_json body, int64_t now_s, struct sck_json *token, int64_t *life_s);

#endif
