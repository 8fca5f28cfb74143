/* SPDX-License-Identifier: MIT */
#include "vault/http/retry.h"

enum { BUDGET_TENTHS = 100, RETRY_TENTHS = 10, BACKOFF_MAX_MS = 1000000 };

int64_t
sck_retry_spread_ms(int64_t ms, uint32_t random)
{
    return ms * 3 / 4 + (ms / 2 * (int64_t)(random >> 1) >> 31);
}

int64_t
sck_retry_delay_ms(int64_t backoff_ms, unsigned retry, uint32_t random, bool full, int64_t retry_after_ms)
{
    int64_t wait = backoff_ms;
    for (unsigned i = 1; i < retry && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    wait = full ? wait * (int64_t)(random >> 1) >> 31 : sck_retry_spread_ms(wait, random);
    if (wait > SCK_RETRY_CAP_MS)
        wait = SCK_RETRY_CAP_MS;
    return wait > retry_after_ms ? wait : retry_after_ms;
}

int64_t
sck_retry_delay_short_ms(int64_t backoff_ms, unsigned retry, uint32_t random)
{
    int64_t wait = sck_retry_delay_ms(backoff_ms, retry, random, false, 0);
    return wait < 50 ? 50 : wait > 500 ? 500 : wait;
}

void
sck_retry_budget_init(struct sck_retry_budget *budget)
{
    atomic_init(&budget->tenths, BUDGET_TENTHS);
}

static void
add(struct sck_retry_budget *budget, int tenths)
{
    int now = atomic_load(&budget->tenths), then;
    do {
        then = now + tenths < BUDGET_TENTHS ? now + tenths : BUDGET_TENTHS;
    } while (then != now && !atomic_compare_exchange_weak(&budget->tenths, &now, then));
}

void
sck_retry_budget_earn(struct sck_retry_budget *budget)
{
    add(budget, 1);
}

void
sck_retry_budget_refund(struct sck_retry_budget *budget)
{
    add(budget, RETRY_TENTHS);
}

bool
sck_retry_budget_spend(struct sck_retry_budget *budget)
{
    int now = atomic_load(&budget->tenths);
    while (now >= RETRY_TENTHS) {
        if (atomic_compare_exchange_weak(&budget->tenths, &now, now - RETRY_TENTHS))
            return true;
    }
    return false;
}
