/* SPDX-License-Identifier: MIT */
/*
 * What Key Vault, Managed HSM, Entra ID's token endpoint and managed identities answer, and what it means: their table
 * for sck_triage_find().  Pure.
 */
#ifndef SCK_VAULT_AZURE_STATUS_H
#define SCK_VAULT_AZURE_STATUS_H

#include "vault/http/json.h"
#include "vault/http/triage.h"

/* Requests, as bits so that a row of the table can be about some of them. */
enum sck_azure_op {
    SCK_AZ_CHALLENGE = 1U << 0,     /* GET keys without a token */
    SCK_AZ_READ = 1U << 1,          /* GET keys/:n[/:v] */
    SCK_AZ_VERSIONS = 1U << 2,      /* GET keys/:n/versions */
    SCK_AZ_LIST = 1U << 3,          /* GET keys */
    SCK_AZ_CREATE = 1U << 4,        /* POST keys/:n/create */
    SCK_AZ_ROTATE = 1U << 5,        /* POST keys/:n/rotate */
    SCK_AZ_UPDATE = 1U << 6,        /* PATCH keys/:n/:v */
    SCK_AZ_WRAP = 1U << 7,          /* POST keys/:n/:v/wrapkey */
    SCK_AZ_UNWRAP = 1U << 8,        /* POST keys/:n/:v/unwrapkey */
    SCK_AZ_DELETE = 1U << 9,        /* DELETE keys/:n */
    SCK_AZ_DELETED = 1U << 10,      /* GET deletedkeys/:n */
    SCK_AZ_PURGE = 1U << 11,        /* DELETE deletedkeys/:n */
    SCK_AZ_LOGIN = 1U << 12,        /* POST :tenant/oauth2/v2.0/token */
    SCK_AZ_IDENTITY = 1U << 13      /* GET of a managed identity's endpoint */
};
/* A word for logs and messages. */
const char *sck_azure_op_name(unsigned op);

/*
 * The error text that the table is about: "CODE[/INNER...]: message" of {"error":{"code","message","innererror"}}, or
 * "CODE: description" of {"error":"...","error_description":"..."}.  NULL when the body tells no error.
 */
const char *sck_azure_error_text(struct sck_json body, char *out, size_t cap);

/* The row that fits an answer.  Never NULL: the last row fits anything. */
const struct sck_triage *sck_azure_triage(enum sck_net net, long status, unsigned op, const char *text);
/* The table itself, for tests. */
const struct sck_triage *sck_azure_triage_rows(size_t *count);

#endif
