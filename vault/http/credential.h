/* SPDX-License-Identifier: MIT */
/*
 * What a call shows to be let in: a table of functions, so that calls do not know whether it is a token in a file, a
 * login that is renewed, or a bearer of Azure's.
 */
#ifndef SCK_VAULT_HTTP_CREDENTIAL_H
#define SCK_VAULT_HTTP_CREDENTIAL_H

#include "lib/base/secret.h"

#include <stdbool.h>
#include <stdint.h>

struct sck_credential;
struct sck_http_identity;

/* One call that waits for the credential.  The caller's storage; must not move until `got` was called or it was let go. */
struct sck_credential_waiter {
    /*
     * Called once, on any thread, without a lock held: SCK_OK and a copy that the waiter takes, or the failure and why.
     * It must not block, and may be called before `want` returns.
     */
    void (*got)(struct sck_credential_waiter *waiter, enum sck_code code, struct sck_secret *value,
                const struct sck_err *err);
    int64_t deadline_us;                /* monotonic; the credential may give up then */
    struct sck_credential_waiter *prev, *next;  /* the credential's, while it waits */
};

struct sck_credential_ops {
    /*
     * A copy of the current value, or, when `refused` is not NULL, of another one than that, which the server refused.
     * Blocks until deadline_us (monotonic) at most.  SCK_E_CREDENTIAL without a message: refused, and there is no other.
     * SCK_E_CREDENTIAL with one, SCK_E_CONFIG, SCK_E_CONNECT and others: it cannot be had at all.
     */
    enum sck_code (*get)(struct sck_credential *c, const struct sck_secret *refused, int64_t deadline_us,
                         struct sck_secret **value, struct sck_err *err);
    /* The same without blocking; `refused` is borrowed until this returns. */
    void (*want)(struct sck_credential *c, const struct sck_secret *refused, struct sck_credential_waiter *waiter);
    /* Let a waiter go.  False when its `got` has been called or is being called. */
    bool (*unwant)(struct sck_credential *c, struct sck_credential_waiter *waiter);
    /* The server took `value`.  Called often; NULL: nobody cares. */
    void (*proved)(struct sck_credential *c, const struct sck_secret *value);
    /* Wipe and free `own`.  Nobody waits. */
    void (*clear)(struct sck_credential *c);
};

struct sck_credential {
    const struct sck_credential_ops *ops;
    void *own;                          /* the implementation's */
    bool usable;                        /* there is a setting that says where it comes from */
    const struct sck_http_identity *identity;   /* the client certificate that goes with it, or NULL */
};

/* Zero-filled ones are cleared too. */
static inline void
sck_credential_clear(struct sck_credential *c)
{
    if (c->ops != NULL)
        c->ops->clear(c);
    c->ops = NULL;
}

#endif
