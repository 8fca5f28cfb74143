/* SPDX-License-Identifier: MIT */
/* What a keeper's calls leave in the metrics (docs/metrics.md); each series is found once. */
#ifndef SCK_VAULT_HTTP_METER_H
#define SCK_VAULT_HTTP_METER_H

#include "lib/base/metric.h"
#include "vault/http/breaker.h"

#include <stdatomic.h>

#define SCK_METER_OPS 32

/* Zero-fill, then sck_meter_init(). */
struct sck_meter {
    const char *keeper;
    _Atomic(struct sck_metric *) good[SCK_METER_OPS];       /* by number of the op's bit: requests that went well, */
    _Atomic(struct sck_metric *) seconds[SCK_METER_OPS];    /* and how long requests took */
    struct sck_metric *breaker;
};

/* `keeper` is borrowed. */
void sck_meter_init(struct sck_meter *m, const char *keeper);
/* An attempt came to its end; `op` is one bit and `name` its word, `outcome` a triage row's. */
void sck_meter_attempt(struct sck_meter *m, unsigned op, const char *name, const char *outcome, int64_t us);
/* It is made again. */
void sck_meter_retry(struct sck_meter *m, const char *reason);
void sck_meter_breaker(struct sck_meter *m, enum sck_breaker_state state);
/* The gauge of connections in this state, "active" or "idle". */
struct sck_metric *sck_meter_connections(const char *keeper, const char *state);

#endif
