/* SPDX-License-Identifier: MIT */
/*
 * What an answer means and what to do about it: one table, from what OpenBao 2.7 and Vault really send
 * (docs/keepers.md).  Pure.
 */
#ifndef SCK_VAULT_HTTP_STATUS_H
#define SCK_VAULT_HTTP_STATUS_H

#include "lib/base/err.h"

#include <stddef.h>

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
    SCK_OP_ROTATE = 1U << 13,       /* POST keys/:n/rotate */
    SCK_OP_TRIM = 1U << 14          /* POST keys/:n/trim */
};
/* A word for logs and messages. */
const char *sck_vault_op_name(enum sck_vault_op op);

/* How the exchange itself went. */
enum sck_net {
    SCK_NET_ANSWER,         /* a whole answer came */
    SCK_NET_CONNECT,        /* no connection */
    SCK_NET_TIMEOUT,
    SCK_NET_BROKEN,         /* reset, or closed in the middle */
    SCK_NET_CERTIFICATE,    /* the server's certificate was refused */
    SCK_NET_OVERSIZE,       /* the answer is over 1 MiB */
    SCK_NET_SETUP           /* our side could not make the request */
};

enum sck_action {
    SCK_ACT_DONE,           /* an answer to use */
    SCK_ACT_STOP,           /* asking again would not help */
    SCK_ACT_RETRY,          /* with growing waits, within the deadline */
    SCK_ACT_RETRY_ONCE,
    SCK_ACT_RETRY_SHORT,    /* 50 to 500 ms */
    SCK_ACT_TOKEN,          /* the token is bad: read its file again, replay once if it changed */
    SCK_ACT_LOOKUP          /* ask lookup-self whether the token is bad */
};

/* What callers tell apart. */
enum sck_verdict {
    SCK_SAYS_OK,
    SCK_SAYS_NOTHING,       /* no answer at all, or one that says nothing of the key */
    SCK_SAYS_MISSING,       /* the mount is there and knows no such key */
    SCK_SAYS_ALTERED,
    SCK_SAYS_TOO_OLD,       /* the version is disallowed by the key's policy */
    SCK_SAYS_SOFT_DELETED,
    SCK_SAYS_UNDELETABLE,   /* deletion_allowed is false */
    SCK_SAYS_MALFORMED,     /* 400 that is none of the above */
    SCK_SAYS_BAD_TOKEN,
    SCK_SAYS_POLICY,        /* the token is good and may not do this */
    SCK_SAYS_NO_MOUNT,
    SCK_SAYS_SEALED
};

/* How the server's error text must look; texts come as OpenBao writes them or wrapped in "1 error occurred: ...". */
enum sck_match {
    SCK_MATCH_ANY,
    SCK_MATCH_HAS,          /* holds `text` */
    SCK_MATCH_IS,           /* is `text` */
    SCK_MATCH_EMPTY,        /* {"errors":[]} */
    SCK_MATCH_NO_ERRORS     /* a body without "errors" */
};

struct sck_triage {
    enum sck_net net;
    long from, to;          /* HTTP status */
    unsigned ops;           /* enum sck_vault_op bits; 0: all */
    enum sck_match match;
    const char *text;
    enum sck_action action;
    enum sck_verdict verdict;
    enum sck_code code;
    const char *outcome;    /* a word for logs */
    const char *message;    /* what it means: what to do */
    bool quotes;            /* the server's text says more */
};

/*
 * The first row that fits.  `text` is the server's error text: NULL without "errors", "" for an empty list.
 * Never NULL: the last rows fit anything.
 */
const struct sck_triage *sck_triage(enum sck_net net, long status, enum sck_vault_op op, const char *text);
/* The table itself, for tests. */
const struct sck_triage *sck_triage_rows(size_t *count);

#endif
