/* SPDX-License-Identifier: MIT */
/*
 * Keeps a server that is out from being asked: opens after SCK_BREAKER_FAILURES failures in a row, or at once when the
 * server says that it is sealed; lets one request through when a while has passed, and closes when that one succeeds.
 */
#ifndef SCK_VAULT_HTTP_BREAKER_H
#define SCK_VAULT_HTTP_BREAKER_H

#include "vault/forklock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCK_BREAKER_FAILURES 5
/* How long it stays open: doubled each time the one request fails, to the second; spread by ±25 %. */
#define SCK_BREAKER_FIRST_MS 500
#define SCK_BREAKER_LAST_MS 5000

enum sck_breaker_state { SCK_BREAKER_CLOSED, SCK_BREAKER_OPEN, SCK_BREAKER_HALF_OPEN };

/* What a request gets that asks to be sent. */
enum sck_breaker_says {
    SCK_BREAKER_GO,
    SCK_BREAKER_PROBE,      /* go, and every other one waits for the outcome: tell it by one of the three functions */
    SCK_BREAKER_BUSY,       /* another one is the probe just now */
    SCK_BREAKER_NO
};

struct sck_breaker {
    struct sck_forklock lock;       /* everything below */
    enum sck_breaker_state state;
    bool probing;
    unsigned failures;              /* in a row */
    int64_t open_ms;
    int64_t until_us;               /* monotonic: when a probe may go */
    int64_t since_s;                /* wall clock: first of the failures in a row */
    char why[160];
};

/* Caller's storage; closed. */
void sck_breaker_init(struct sck_breaker *b);
void sck_breaker_clear(struct sck_breaker *b);
/* May a request go at `now_us` (monotonic)?  When not, why[] says since when and why: "since 2026-01-31T23:59:59Z: ...". */
enum sck_breaker_says sck_breaker_ask(struct sck_breaker *b, int64_t now_us, char *why, size_t cap);
/* The server answered.  True when this closed it. */
bool sck_breaker_good(struct sck_breaker *b);
/* It failed; `at_once` when it says itself that it is out.  `random`: any 32 bits.  True when this opened it. */
bool sck_breaker_bad(struct sck_breaker *b, int64_t now_us, int64_t now_s, bool at_once, uint32_t random,
                     const char *why);
/* The probe was not made after all. */
void sck_breaker_release(struct sck_breaker *b);
enum sck_breaker_state sck_breaker_state(struct sck_breaker *b);

#endif
