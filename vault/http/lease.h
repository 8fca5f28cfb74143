/* SPDX-License-Identifier: MIT */
/*
 * How long a token lives and what is to be done about it, and when.  Pure: time and randomness come in.  The rules are
 * those of the official clients' LifetimeWatcher (api/lifetime_watcher.go): with a grace of 10 to 20 % of the lease the
 * token is renewed after two thirds of it and a third of the grace.
 *
 * Leases are counted from the replies to logins and renewals, never from a token's own record: a standby may show an
 * old one.
 */
#ifndef SCK_VAULT_HTTP_LEASE_H
#define SCK_VAULT_HTTP_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#define SCK_LEASE_NEVER INT64_MAX
#define SCK_LEASE_BACKOFF_FIRST_MS 10000
#define SCK_LEASE_BACKOFF_MAX_MS 300000

enum sck_lease_next {
    SCK_LEASE_NOTHING,  /* it is used until it ends, if it ever does */
    SCK_LEASE_RENEW,
    SCK_LEASE_LOGIN
};

/* Times are microseconds of the monotonic clock. */
struct sck_lease {
    int64_t duration_us;        /* as first granted; 0: the token does not end, or nobody knows when */
    int64_t end_us;             /* SCK_LEASE_NEVER likewise */
    int64_t act_us;             /* when `next` is due; SCK_LEASE_NEVER with SCK_LEASE_NOTHING */
    enum sck_lease_next next;
    bool can_login;             /* there is another way to a token than renewing this one */
    unsigned failures;          /* of `next`, one after the other */
};

/*
 * A new token, asked for at `asked_us`.  `duration_s` 0 means that it does not end.  `random` is any 32 bits.
 */
void sck_lease_begin(struct sck_lease *lease, int64_t asked_us, uint64_t duration_s, bool renewable, bool can_login,
                     uint32_t random);
/* A token whose lease is not known: it is renewed `after_ms` from now, which tells. */
void sck_lease_begin_unknown(struct sck_lease *lease, int64_t now_us, int64_t after_ms, bool can_login);
/*
 * It was renewed, asked at `asked_us`.  A renewal that moved the end by no more than a second, and did not grant the
 * whole first duration, met the token's maximum: the next step is a login at once, or nothing.
 */
void sck_lease_renewed(struct sck_lease *lease, int64_t asked_us, uint64_t duration_s, bool renewable,
                       uint32_t random);
/* The server will not renew it: a login after two thirds of what is left, or nothing. */
void sck_lease_not_renewable(struct sck_lease *lease, int64_t now_us, uint32_t random);
/*
 * `next` failed for a reason that may pass: again after sck_lease_backoff_ms(), sooner when the end is near (a third of
 * what is left, at least half a second).  A token that has ended is not renewed.
 */
void sck_lease_failed(struct sck_lease *lease, int64_t now_us, uint32_t random);
/* Seconds until the end, 0 when it is over, -1 when there is none. */
int64_t sck_lease_left_s(const struct sck_lease *lease, int64_t now_us);
/* Milliseconds after the n-th failure (from 1): 10 s doubled for each one before, at most 5 min, less up to a fifth. */
int64_t sck_lease_backoff_ms(unsigned failures, uint32_t random);

#endif
