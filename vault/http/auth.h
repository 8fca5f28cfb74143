/* SPDX-License-Identifier: MIT */
/*
 * One of keeper vault's two tokens, however it is had: given and renewed, written by an agent, or had by a login that
 * is renewed, repeated before it ends, and revoked at the close.
 *
 * All that needs the server happens on one thread of the credential's own, made at the first use: so there is one login
 * for any number of calls that wait for it, and a call never waits beyond its deadline.  The rules:
 * - a token is renewed, or logged in for again, when its lease says so (lease.h);
 * - a call whose token was refused gets another one if there is one by now, else it waits for the login;
 * - a login that the server refuses is not tried again for 10 s, doubling to 5 min; until then calls fail at once with
 *   its reason.  A login that got no answer is tried again by the next call;
 * - of tokens that never worked only the first is replaced at once; after that it is as if the login had been refused;
 * - a child of fork() goes on with the token it inherited, and never revokes it.
 */
#ifndef SCK_VAULT_HTTP_AUTH_H
#define SCK_VAULT_HTTP_AUTH_H

#include "vault/http/auth_method.h"
#include "vault/http/auth_source.h"
#include "vault/http/lease.h"
#include "vault/http/machine.h"
#include "vault/forklock.h"
#include "vault/keeper.h"

struct sck_metric;

struct sck_auth {
    /* From the configuration; never changes. */
    const char *what;                   /* "the data token" */
    const char *role_word;              /* "data", for metrics and logs */
    struct sck_remote *remote;
    bool threaded;                      /* false: whoever needs a login makes it, and sck_auth_step() the rest */
    enum sck_auth_method method;
    const char *mount, *role, *name_space;
    struct sck_auth_source token, role_id, proof;   /* proof: secret id or JWT */
    char *owned[16];                    /* all these strings, and the client certificate's paths */
    size_t owned_count;
    struct sck_http_identity identity;
    bool wrapped;                       /* proof is a wrapping token */
    struct sck_metric *ttl, *logins[4];

    atomic_bool proved;                 /* the token has worked; set under the lock */

    /* Under the lock. */
    struct sck_forklock lock;
    pthread_cond_t changed;
    pid_t pid;
    struct sck_secret *value;           /* the token now, or NULL */
    pid_t value_pid;                    /* who logged in for it; 0: given */
    bool revocable;
    struct sck_lease lease;
    struct sck_auth_stamp token_stamp, refused_stamp;
    bool wanted, working, logging_in, stop, has_thread;
    uint64_t round;                     /* logins that have ended, well or not */
    struct sck_err why;                 /* how the last one did */
    unsigned refusals, useless;         /* logins refused, and tokens that never worked, one after the other */
    int64_t again_us;                   /* no login before; 0: at any time */
    struct sck_credential_waiter *waiting;
    pthread_t thread;

    /* Whoever is `working` alone. */
    struct sck_secret *secret_id;       /* unwrapped */
    struct sck_auth_stamp secret_id_stamp;
    bool asked;                         /* the server was asked in this login */
};

struct sck_auth_setup {
    const char *what;                   /* borrowed for ever, as are the next two */
    const char *role_word;
    const char *prefix;                 /* of settings: "" or "admin_" */
    const char *token_file;             /* or NULL */
    const struct sck_keeper_vault_auth *conf, *fallback;    /* fallback: of the client certificate, or NULL */
    const char *name_space;             /* the keeper's, or "" */
    struct sck_remote *remote;
    bool threaded;
};

/*
 * Caller's storage, zero-filled; to be cleared by sck_credential_clear() whatever this returned.  No request is made.
 * SCK_E_CONFIG: malformed, or a client key that others can read.  SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_auth_init(struct sck_credential *c, const struct sck_auth_setup *setup,
                                           struct sck_err *err);
extern const struct sck_credential_ops sck_auth_ops;    /* whose `own` is a struct sck_auth */

static inline struct sck_auth *
sck_auth_of(const struct sck_credential *c)
{
    return c->own;
}
/* Do what is due now.  When the next thing is due (microseconds, monotonic), SCK_LEASE_NEVER: nothing is planned. */
int64_t sck_auth_step(struct sck_auth *a);
/* Seconds until the token ends: -1 never or not known, 0 over or none. */
int64_t sck_auth_left_s(struct sck_auth *a);

/* ---- auth_work.c: the thread, and whoever logs in without one ---- */
#define SCK_AUTH_TOKEN_MAX 4096
/* In a child of fork() this forgets the thread, whoever waited and whoever worked: they are the parent's. */
void sck_auth_lock(struct sck_auth *a);
void sck_auth_unlock(struct sck_auth *a);
int64_t sck_auth_now_us(const struct sck_auth *a);
bool sck_auth_is_same(const struct sck_secret *a, const struct sck_secret *b);
/* The token, which is there, into `copy` of SCK_AUTH_TOKEN_MAX bytes (made before: memory for secrets has a lock). */
void sck_auth_copy_locked(const struct sck_auth *a, struct sck_secret *copy);
/* Wait for a change, until `until_us` (monotonic) at most. */
void sck_auth_wait_locked(struct sck_auth *a, int64_t until_us);
/* Have the thread look at what is wanted and planned now. */
void sck_auth_wake_locked(struct sck_auth *a);
/* A plan needs somebody to carry it out, in a child of fork() too. */
void sck_auth_thread_locked(struct sck_auth *a);
/* Log in and tell everybody who waits.  Locked before and after, not meanwhile. */
void sck_auth_login_locked(struct sck_auth *a);
/* A login that the server refused: nothing is asked until a wait is over. */
void sck_auth_refusal_locked(struct sck_auth *a);

/* ---- auth_ask.c: what is asked of the server; by whoever is `working` ---- */
SCK_MUST_CHECK enum sck_code sck_auth_login(struct sck_auth *a, struct sck_auth_grant *grant, struct sck_err *err);
enum sck_auth_renewal {
    SCK_RENEWAL_DONE,
    SCK_RENEWAL_NEVER,      /* this token cannot be renewed, or may not renew itself */
    SCK_RENEWAL_BAD_TOKEN,
    SCK_RENEWAL_LATER
};
/* Renew `token`.  *err says why not. */
enum sck_auth_renewal sck_auth_renew(struct sck_auth *a, const struct sck_secret *token, struct sck_auth_grant *grant,
                                     struct sck_err *err);
/* Seconds that `token` has left by the server's own record; -1: it does not end, or may not look. */
int64_t sck_auth_ask_ttl(struct sck_auth *a, const struct sck_secret *token);
/* Revoke `token`, once, within two seconds; a failure is only logged. */
void sck_auth_revoke(struct sck_auth *a, const struct sck_secret *token);

#endif
