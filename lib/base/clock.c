/* SPDX-License-Identifier: MIT */
#include "lib/base/clock.h"

#include "lib/base/exit.h"

#include <errno.h>
#include <stddef.h>

static int64_t
read_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t
system_now_s(void *arg)
{
    (void)arg;
    return read_us(CLOCK_REALTIME) / 1000000;
}

static int64_t
system_now_ms(void *arg)
{
    (void)arg;
    return read_us(CLOCK_REALTIME) / 1000;
}

static int64_t
system_monotonic_us(void *arg)
{
    (void)arg;
    return read_us(CLOCK_MONOTONIC);
}

static void
system_sleep_ms(void *arg, int64_t ms)
{
    (void)arg;
    struct timespec until = sck_deadline_after_ms(ms);
    sck_exit_rest();
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
    sck_exit_resume();
}

const struct sck_clock *
sck_clock_system(void)
{
    static const struct sck_clock clock = {system_now_s, system_now_ms, system_monotonic_us, system_sleep_ms, NULL};
    return &clock;
}

struct timespec
sck_deadline_after_ms(int64_t ms)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += (time_t)(ms / 1000);
    ts.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (ts.tv_nsec >= 1000000000L) {
        ts.tv_nsec -= 1000000000L;
        ts.tv_sec++;
    }
    return ts;
}
