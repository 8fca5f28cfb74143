/* SPDX-License-Identifier: MIT */
/*
 * What a server's answer means and what to do about it, as a table that each kind of server brings (status.h has
 * Vault's).  Pure.
 */
#ifndef SCK_VAULT_HTTP_TRIAGE_H
#define SCK_VAULT_HTTP_TRIAGE_H

#include "lib/base/err.h"

#include <stddef.h>

/* How the exchange itself went. */
enum sck_net {
    SCK_NET_ANSWER,         /* a whole answer came */
    SCK_NET_CONNECT,        /* no connection */
    SCK_NET_TIMEOUT,
    SCK_NET_BROKEN,         /* reset, or closed in the middle */
    SCK_NET_CERTIFICATE,    /* the server's certificate was refused */
    SCK_NET_TLS,            /* the two sides agree on no TLS */
    SCK_NET_OVERSIZE,       /* the answer is over 1 MiB */
    SCK_NET_SETUP           /* our side could not make the request */
};

enum sck_action {
    SCK_ACT_DONE,           /* an answer to use */
    SCK_ACT_STOP,           /* asking again would not help */
    SCK_ACT_RETRY,          /* at the next node, or with growing waits within the deadline; counts for the breaker */
    SCK_ACT_RETRY_ONCE,
    SCK_ACT_RETRY_SHORT,    /* 50 to 500 ms */
    SCK_ACT_EASE,           /* as RETRY, but the server is well: it asks for fewer requests */
    SCK_ACT_ELSEWHERE,      /* as RETRY, but the server is well: another node serves requests */
    SCK_ACT_SEALED,         /* at the next node, or not at all; opens the breaker at once */
    SCK_ACT_TOKEN,          /* the token is bad: get another one, replay once */
    SCK_ACT_LOOKUP          /* ask the dialect's lookup whether the token is bad */
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
    SCK_SAYS_TOO_LARGE,     /* the request is over the server's limits */
    SCK_SAYS_MALFORMED,     /* 400 that is none of the above */
    SCK_SAYS_BAD_TOKEN,
    SCK_SAYS_POLICY,        /* the token is good and may not do this */
    SCK_SAYS_NO_MOUNT,
    SCK_SAYS_SEALED,
    SCK_SAYS_BUSY           /* the server is still at something else with this key */
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
    unsigned ops;           /* bits of the requests it is about; 0: all */
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
 * The first of `count` rows that fits, else the last one, which should fit anything.  `op` is one bit.  `text` is the
 * server's error text: NULL when the answer tells no error, "" for an empty list of them.
 */
const struct sck_triage *sck_triage_find(const struct sck_triage *rows, size_t count, enum sck_net net, long status,
                                         unsigned op, const char *text);

#endif
