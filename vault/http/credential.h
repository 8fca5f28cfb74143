/* SPDX-License-Identifier: MIT */
/*
 * What a call shows to be let in: a table of functions, so that calls do not know whether it is a token in a file, a
 * login that is renewed, or a bearer of Azure's.
 */
#ifndef SCK_VAULT_HTTP_CREDENTIAL_H
#define SCK_VAULT_HTTP_CREDENTIAL_H

#include "lib/base/secret.h"
#include "vault/forklock.h"

struct sck_credential;

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
     * Blocks until deadline_us (monotonic) at most.  SCK_E_CREDENTIAL: refused, and there is no other.  SCK_E_CONFIG,
     * SCK_E_CONNECT and others: it cannot be had at all.
     */
    enum sck_code (*get)(struct sck_credential *c, const struct sck_secret *refused, int64_t deadline_us,
                         struct sck_secret **value, struct sck_err *err);
    /* The same without blocking; `refused` is borrowed until this returns. */
    void (*want)(struct sck_credential *c, const struct sck_secret *refused, struct sck_credential_waiter *waiter);
    /* Let a waiter go.  False when its `got` has been called or is being called. */
    bool (*unwant)(struct sck_credential *c, struct sck_credential_waiter *waiter);
    /* Wipe and free `own`.  Nobody waits. */
    void (*clear)(struct sck_credential *c);
};

struct sck_credential {
    const struct sck_credential_ops *ops;
    void *own;                          /* the implementation's */
    bool usable;                        /* there is a setting that says where it comes from */
};

/* Zero-filled ones are cleared too. */
static inline void
sck_credential_clear(struct sck_credential *c)
{
    if (c->ops != NULL)
        c->ops->clear(c);
    c->ops = NULL;
}

/*
 * A token that lives in a file: read when first needed, and again when the server says that it is bad.
 * Caller's storage; `what` and `setting` ("the data token", "token_file") are borrowed, `path` is copied and may be NULL.
 * SCK_E_MEMORY.  Its `get` fails with SCK_E_CONFIG when no file is set, or it is missing, readable by others or holds
 * what is no token (anything but 1 to 4096 printable ASCII characters); with SCK_E_IO.
 */
SCK_MUST_CHECK enum sck_code sck_credential_file_init(struct sck_credential *c, const char *what, const char *setting,
                                                      const char *path, struct sck_err *err);

#endif
