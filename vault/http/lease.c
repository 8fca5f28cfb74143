/* SPDX-License-Identifier: MIT */
#include "vault/http/lease.h"

#include <stddef.h>

enum { SECOND_US = 1000000, SOONEST_US = 500000 };

/* `whole` spread over [from, from + width) hundredths by 32 random bits. */
static int64_t
percent(int64_t whole, int64_t from, int64_t width, uint32_t random)
{
    return whole / 100 * from + whole / 100 * width * (int64_t)(random >> 22) / 1024;
}

/* When to act on a lease of `duration_us` that begins now. */
static int64_t
two_thirds(int64_t duration_us, uint32_t random)
{
    return duration_us / 3 * 2 + percent(duration_us, 10, 10, random) / 3;
}

static int64_t
seconds(uint64_t duration_s)
{
    /* A century is for ever, and keeps the sums small. */
    const uint64_t most = 100ULL * 365 * 86400;
    return (int64_t)(duration_s < most ? duration_s : most) * SECOND_US;
}

static void
set(struct sck_lease *lease, enum sck_lease_next next, int64_t act_us)
{
    lease->next = next;
    lease->act_us = next == SCK_LEASE_NOTHING ? SCK_LEASE_NEVER : act_us;
    lease->failures = 0;
}

void
sck_lease_begin(struct sck_lease *lease, int64_t asked_us, uint64_t duration_s, bool renewable, bool can_login,
                uint32_t random)
{
    lease->can_login = can_login;
    lease->duration_us = seconds(duration_s);
    lease->end_us = duration_s == 0 ? SCK_LEASE_NEVER : asked_us + lease->duration_us;
    enum sck_lease_next next = renewable ? SCK_LEASE_RENEW : can_login ? SCK_LEASE_LOGIN : SCK_LEASE_NOTHING;
    set(lease, duration_s == 0 ? SCK_LEASE_NOTHING : next, asked_us + two_thirds(lease->duration_us, random));
}

void
sck_lease_begin_unknown(struct sck_lease *lease, int64_t now_us, int64_t after_ms, bool can_login)
{
    lease->can_login = can_login;
    lease->duration_us = 0;
    lease->end_us = SCK_LEASE_NEVER;
    set(lease, SCK_LEASE_RENEW, now_us + after_ms * 1000);
}

void
sck_lease_renewed(struct sck_lease *lease, int64_t asked_us, uint64_t duration_s, bool renewable, uint32_t random)
{
    int64_t duration_us = seconds(duration_s);
    bool first = lease->duration_us == 0;
    if (first || duration_s == 0) {
        sck_lease_begin(lease, asked_us, duration_s, renewable, lease->can_login, random);
        return;
    }
    bool moved = asked_us + duration_us > lease->end_us + SECOND_US || duration_us >= lease->duration_us;
    lease->end_us = asked_us + duration_us;
    if (moved && renewable)
        set(lease, SCK_LEASE_RENEW, asked_us + two_thirds(duration_us, random));
    else if (moved)
        sck_lease_not_renewable(lease, asked_us, random);
    else
        set(lease, lease->can_login ? SCK_LEASE_LOGIN : SCK_LEASE_NOTHING, asked_us);
}

void
sck_lease_not_renewable(struct sck_lease *lease, int64_t now_us, uint32_t random)
{
    int64_t left_us = lease->end_us == SCK_LEASE_NEVER || lease->end_us < now_us ? 0 : lease->end_us - now_us;
    bool ends = lease->end_us != SCK_LEASE_NEVER;
    set(lease, lease->can_login && ends ? SCK_LEASE_LOGIN : SCK_LEASE_NOTHING, now_us + two_thirds(left_us, random));
}

void
sck_lease_failed(struct sck_lease *lease, int64_t now_us, uint32_t random)
{
    unsigned failures = lease->failures + 1;
    int64_t wait_us = sck_lease_backoff_ms(failures, random) * 1000;
    bool over = now_us >= lease->end_us;
    if (!over && lease->end_us != SCK_LEASE_NEVER) {
        int64_t third = (lease->end_us - now_us) / 3;
        int64_t soon = third > SOONEST_US ? third : SOONEST_US;
        wait_us = soon < wait_us ? soon : wait_us;
    }
    enum sck_lease_next next = lease->next;
    if (next == SCK_LEASE_RENEW && over)
        next = lease->can_login ? SCK_LEASE_LOGIN : SCK_LEASE_NOTHING;
    set(lease, next, now_us + wait_us);
    lease->failures = failures;
}

int64_t
sck_lease_left_s(const struct sck_lease *lease, int64_t now_us)
{
    if (lease->end_us == SCK_LEASE_NEVER)
        return -1;
    return lease->end_us > now_us ? (lease->end_us - now_us) / SECOND_US : 0;
}

int64_t
sck_lease_backoff_ms(unsigned failures, uint32_t random)
{
    int64_t ms = SCK_LEASE_BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < failures && ms < SCK_LEASE_BACKOFF_MAX_MS; i++)
        ms *= 2;
    ms = ms < SCK_LEASE_BACKOFF_MAX_MS ? ms : SCK_LEASE_BACKOFF_MAX_MS;
    return ms - percent(ms, 0, 20, random);
}
