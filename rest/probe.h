/* SPDX-License-Identifier: MIT */
/* Health of what is behind the daemon, measured by a thread of its own so that nobody who asks ever waits. */
#ifndef SCK_REST_PROBE_H
#define SCK_REST_PROBE_H

#include "lib/base/clock.h"
#include "lib/service/service.h"

enum sck_health {
    SCK_HEALTHY,
    SCK_DEGRADED,       /* answers, but slowly: the last round trip, or the one under way, took over a second */
    SCK_UNHEALTHY       /* token, keeper or database failed, or have not answered for ten seconds */
};
const char *sck_health_name(enum sck_health health);    /* "healthy" ... */

struct sck_probe;
/* Start the thread; the first measurement begins at once. */
SCK_MUST_CHECK enum sck_code sck_probe_new(struct sck_service *service, const struct sck_clock *clock,
                                           struct sck_probe **out, struct sck_err *err);
/* Ends the thread after the measurement under way.  NULL-safe. */
void sck_probe_free(struct sck_probe **probe);
/*
 * The newest result, and its round trip in microseconds.  Never blocks; a result older than a second makes the thread
 * measure again, and without anybody asking it does so every ten seconds.
 */
enum sck_health sck_probe_get(struct sck_probe *probe, int64_t *latency_us);

#endif
