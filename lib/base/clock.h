/* SPDX-License-Identifier: MIT */
/* Time as a table of functions, so that tests can bring their own. */
#ifndef SCK_BASE_CLOCK_H
#define SCK_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

struct sck_clock {
    int64_t (*now_s)(void *arg);            /* wall clock, seconds since 1970-01-01 UTC */
    int64_t (*now_ms)(void *arg);           /* wall clock, milliseconds since 1970-01-01 UTC */
    int64_t (*monotonic_us)(void *arg);     /* microseconds that never go back */
    void (*sleep_ms)(void *arg, int64_t ms);
    void *arg;
};

/* The machine's clock.  Never NULL. */
const struct sck_clock *sck_clock_system(void);

static inline int64_t
sck_now_s(const struct sck_clock *clock)
{
    return clock->now_s(clock->arg);
}

static inline int64_t
sck_now_ms(const struct sck_clock *clock)
{
    return clock->now_ms(clock->arg);
}

static inline int64_t
sck_monotonic_us(const struct sck_clock *clock)
{
    return clock->monotonic_us(clock->arg);
}

/* `ms` from now as an absolute CLOCK_MONOTONIC time, for pthread_cond_clockwait(). */
struct timespec sck_deadline_after_ms(int64_t ms);

#endif
