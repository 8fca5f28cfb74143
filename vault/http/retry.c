/* SPDX-License-Identifier: MIT */
#include "vault/http/retry.h"

enum { BUDGET_TENTHS = 100, RETRY_TENTHS = 10, BACKOFF_MAX_MS = 1000000 };

int64_t
sck_retry_delay_ms(int64_t backoff_ms, unsigned retry, uint32_t random, int64_t retry_after_ms)
{
    int64_t wait = backoff_ms;
    for (unsigned i = 1; i < retry && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    wait = wait * 3 / 4 + (wait / 2 * (int64_t)(random >> 1) >> 31);
    if (wait > SCK_RETRY_CAP_MS)
        wait = SCK_RETRY_CAP_MS;
    return wait > retry_after_ms ? wait : retry_after_ms;
}

int64_t
sck_retry_delay_short_ms(int64_t backoff_ms, unsigned retry, uint32_t random)
{
    int64_t wait = sck_retry_delay_ms(backoff_ms, retry, random, 0);
    return wait < 50 ? 50 : wait > 500 ? 500 : wait;
}

void
sck_retry_budget_init(struct sck_retry_budget *budget)
{
    atomic_init(&budget->tenths, BUDGET_TENTHS);
}

void
sck_retry_budget_earn(struct sck_retry_budget *budget)
{
    int now = atomic_load(&budget->tenths);
    while (now < BUDGET_TENTHS && !atomic_compare_exchange_weak(&budget->tenths, &now, now + 1)) {
    }
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
