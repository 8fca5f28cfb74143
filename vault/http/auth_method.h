/* SPDX-License-Identifier: MIT */
/*
 * Ways to a token of Vault's or OpenBao's: what a login sends and what it gets back.  Pure.
 * Sources: the API pages auth/approle, auth/kubernetes, auth/jwt, auth/cert, auth/token and sys/wrapping.
 */
#ifndef SCK_VAULT_HTTP_AUTH_METHOD_H
#define SCK_VAULT_HTTP_AUTH_METHOD_H

#include "lib/base/secret.h"
#include "vault/http/json.h"

enum sck_auth_method {
    SCK_AUTH_TOKEN,         /* given to us; we renew it */
    SCK_AUTH_AGENT,         /* an agent's sink file; the agent renews it */
    SCK_AUTH_APPROLE,
    SCK_AUTH_KUBERNETES,
    SCK_AUTH_JWT,
    SCK_AUTH_CERT
};

/* By its word in the configuration; false when there is no such method. */
bool sck_auth_method_parse(const char *word, enum sck_auth_method *method);
/* That word, which is also where the method is mounted unless the configuration says otherwise.  Never NULL. */
const char *sck_auth_method_name(enum sck_auth_method method);
/* Whether we log in by ourselves. */
bool sck_auth_method_logs_in(enum sck_auth_method method);

/*
 * The body of a login.  `role` (the role's or the certificate's name; "" leaves it to the server), `role_id` (AppRole
 * alone) and `proof` (secret id or JWT; NULL: none) are borrowed.  SCK_E_MEMORY; SCK_E_CONFIG when over 1 MiB.
 */
SCK_MUST_CHECK enum sck_code sck_auth_login_body(enum sck_auth_method method, const char *role,
                                                 const struct sck_secret *role_id, const struct sck_secret *proof,
                                                 struct sck_secret **body, struct sck_err *err);

/* What a login or a renewal granted. */
struct sck_auth_grant {
    struct sck_secret *token;   /* owned; NULL for a renewal */
    uint64_t lease_s;           /* 0: it does not end */
    bool renewable;
    bool batch;                 /* cannot be revoked */
    bool counted;               /* good for a number of uses only */
};
void sck_auth_grant_clear(struct sck_auth_grant *grant);
/*
 * From the whole answer to a login (`token` wanted) or to auth/token/renew-self (not).  SCK_E_CREDENTIAL when the login
 * asks for a second factor; SCK_E_CONFIG when it is no such answer.
 */
SCK_MUST_CHECK enum sck_code sck_auth_grant_parse(struct sck_json answer, bool token, struct sck_auth_grant *grant,
                                                  struct sck_err *err);
/* A string of printable ASCII without escapes, as a new secret.  SCK_E_CONFIG when it is none; `what` names it. */
SCK_MUST_CHECK enum sck_code sck_auth_json_secret(struct sck_json value, const char *what, struct sck_secret **out,
                                                  struct sck_err *err);
/* Printable ASCII without spaces, at least one character: what may stand in a header. */
bool sck_auth_is_printable(const void *data, size_t len);

#endif
