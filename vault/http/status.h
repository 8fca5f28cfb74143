/* SPDX-License-Identifier: MIT */
/* What OpenBao 2.7 and Vault really send, and what it means (docs/keepers.md): their table for sck_triage_find().  Pure. */
#ifndef SCK_VAULT_HTTP_STATUS_H
#define SCK_VAULT_HTTP_STATUS_H

#include "vault/http/triage.h"

/* Requests, as bits so that a row of the table can be about some of them. */
enum sck_vault_op {
    SCK_OP_READ = 1U << 0,          /* GET keys/:n */
    SCK_OP_CREATE = 1U << 1,        /* POST keys/:n */
    SCK_OP_CONFIG = 1U << 2,        /* POST keys/:n/config */
    SCK_OP_DELETE = 1U << 3,        /* DELETE keys/:n */
    SCK_OP_ENCRYPT = 1U << 4,
    SCK_OP_DECRYPT = 1U << 5,
    SCK_OP_MOUNT = 1U << 6,         /* GET sys/internal/ui/mounts/:mount */
    SCK_OP_UPSERT = 1U << 7,        /* GET, POST config/keys */
    SCK_OP_HEALTH = 1U << 8,        /* GET sys/health */
    SCK_OP_LEADER = 1U << 9,        /* GET sys/leader */
    SCK_OP_LOOKUP = 1U << 10,       /* GET auth/token/lookup-self */
    SCK_OP_CAPABILITIES = 1U << 11, /* POST sys/capabilities-self */
    SCK_OP_REWRAP = 1U << 12,
    SCK_OP_ROTATE = 1U << 13,       /* POST keys/:n/rotate */
    SCK_OP_TRIM = 1U << 14,         /* POST keys/:n/trim */
    SCK_OP_LOGIN = 1U << 16,        /* POST auth/:mount/login */
    SCK_OP_RENEW = 1U << 17,        /* POST auth/token/renew-self */
    SCK_OP_REVOKE = 1U << 18,       /* POST auth/token/revoke-self */
    SCK_OP_WRAPPING = 1U << 19      /* POST sys/wrapping/lookup, unwrap */
};
/* A word for logs and messages. */
const char *sck_vault_op_name(unsigned op);

/* The row that fits an answer to a request of Vault's (enum sck_vault_op).  Never NULL: the last row fits anything. */
const struct sck_triage *sck_vault_triage(enum sck_net net, long status, unsigned op, const char *text);
/* The table itself, for tests. */
const struct sck_triage *sck_vault_triage_rows(size_t *count);

#endif
