/* SPDX-License-Identifier: MIT */
#include "vault/http/breaker.h"

#include "vault/http/retry.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void
sck_breaker_init(struct sck_breaker *b)
{
    memset(b, 0, sizeof *b);
    sck_forklock_init(&b->lock);
}

void
sck_breaker_clear(struct sck_breaker *b)
{
    sck_forklock_clear(&b->lock);
}

static void
tell_why(int64_t since_s, const char *reason, char *why, size_t cap)
{
    char when[32] = "";
    struct tm tm;
    time_t since = (time_t)since_s;
    if (gmtime_r(&since, &tm) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    (void)snprintf(why, cap, "since %s: %s", when, reason);
}

enum sck_breaker_says
sck_breaker_ask(struct sck_breaker *b, int64_t now_us, char *why, size_t cap)
{
    enum sck_breaker_says says = SCK_BREAKER_GO;
    int64_t since_s = 0;
    char reason[sizeof b->why] = "";
    sck_forklock_take(&b->lock);
    if (b->state != SCK_BREAKER_CLOSED) {
        if (b->state == SCK_BREAKER_OPEN && now_us >= b->until_us)
            b->state = SCK_BREAKER_HALF_OPEN;
        says = b->state == SCK_BREAKER_OPEN ? SCK_BREAKER_NO : b->probing ? SCK_BREAKER_BUSY : SCK_BREAKER_PROBE;
        b->probing = b->probing || says == SCK_BREAKER_PROBE;
        since_s = b->since_s;
        memcpy(reason, b->why, sizeof reason);
    }
    sck_forklock_give(&b->lock);
    why[0] = '\0';
    if (says == SCK_BREAKER_NO || says == SCK_BREAKER_BUSY)
        tell_why(since_s, reason, why, cap);
    return says;
}

bool
sck_breaker_good(struct sck_breaker *b)
{
    sck_forklock_take(&b->lock);
    bool closed = b->state != SCK_BREAKER_CLOSED;
    b->state = SCK_BREAKER_CLOSED;
    b->probing = false;
    b->failures = 0;
    sck_forklock_give(&b->lock);
    return closed;
}

bool
sck_breaker_bad(struct sck_breaker *b, int64_t now_us, int64_t now_s, bool at_once, uint32_t random, const char *why)
{
    bool opened = false;
    sck_forklock_take(&b->lock);
    if (b->failures++ == 0)
        b->since_s = now_s;
    if (b->state == SCK_BREAKER_CLOSED && (at_once || b->failures >= SCK_BREAKER_FAILURES)) {
        b->open_ms = SCK_BREAKER_FIRST_MS;
        opened = true;
    } else if (b->state == SCK_BREAKER_HALF_OPEN) {
        b->open_ms = b->open_ms * 2 < SCK_BREAKER_LAST_MS ? b->open_ms * 2 : SCK_BREAKER_LAST_MS;
        opened = true;
    }
    if (opened) {
        b->state = SCK_BREAKER_OPEN;
        b->probing = false;
        b->until_us = now_us + sck_retry_spread_ms(b->open_ms, random) * 1000;
        (void)snprintf(b->why, sizeof b->why, "%s", why);
    }
    sck_forklock_give(&b->lock);
    return opened;
}

void
sck_breaker_release(struct sck_breaker *b)
{
    sck_forklock_take(&b->lock);
    b->probing = false;
    sck_forklock_give(&b->lock);
}

enum sck_breaker_state
sck_breaker_state(struct sck_breaker *b)
{
    sck_forklock_take(&b->lock);
    enum sck_breaker_state state = b->state;
    sck_forklock_give(&b->lock);
    return state;
}
