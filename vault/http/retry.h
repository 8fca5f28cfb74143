/* SPDX-License-Identifier: MIT */
/* When to ask again: waits with jitter, and a budget that keeps an outage from being made worse. */
#ifndef SCK_VAULT_HTTP_RETRY_H
#define SCK_VAULT_HTTP_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SCK_RETRY_CAP_MS 5000

/* `ms` spread by ±25 % by `random` (any 32 bits). */
int64_t sck_retry_spread_ms(int64_t ms, uint32_t random);
/*
 * Milliseconds to wait before the `retry`-th repetition (from 1): backoff_ms doubled for each one before, spread by
 * ±25 % by `random` (any 32 bits) or, when `full`, anything from 0 to that; then at most SCK_RETRY_CAP_MS.  The
 * server's Retry-After (ms, 0: none) lengthens a wait, beyond the cap if it says so, and never shortens it.
 */
int64_t sck_retry_delay_ms(int64_t backoff_ms, unsigned retry, uint32_t random, bool full,
                           int64_t retry_after_ms);
/* The same for a node that lags behind (HTTP 412): 50 to 500 ms. */
int64_t sck_retry_delay_short_ms(int64_t backoff_ms, unsigned retry, uint32_t random);

/* A bucket of 10 retries, refilled by 0.1 for each call.  Used by all threads of a keeper. */
struct sck_retry_budget {
    atomic_int tenths;
};
void sck_retry_budget_init(struct sck_retry_budget *budget);
/* A new call begins. */
void sck_retry_budget_earn(struct sck_retry_budget *budget);
/* Take one retry; false when none is left. */
bool sck_retry_budget_spend(struct sck_retry_budget *budget);
/* Give back a retry that was not made. */
void sck_retry_budget_refund(struct sck_retry_budget *budget);

#endif
