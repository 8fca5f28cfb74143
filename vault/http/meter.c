/* SPDX-License-Identifier: MIT */
#include "vault/http/meter.h"

#include <stdio.h>
#include <string.h>

enum { LABELS_MAX = 200 };

void
sck_meter_init(struct sck_meter *m, const char *keeper)
{
    char labels[LABELS_MAX];
    m->keeper = keeper;
    (void)snprintf(labels, sizeof labels, "keeper=\"%s\"", keeper);
    m->breaker = sck_metric_gauge("scopekey_keeper_breaker", "Breaker of a keeper: 0 closed, 1 half open, 2 open.",
                                  labels);
    sck_metric_set(m->breaker, 0);
}

static struct sck_metric *
requests(const struct sck_meter *m, const char *op, const char *outcome)
{
    char labels[LABELS_MAX];
    (void)snprintf(labels, sizeof labels, "keeper=\"%s\",op=\"%s\",outcome=\"%s\"", m->keeper, op, outcome);
    return sck_metric_counter("scopekey_keeper_requests_total", "Attempts made at a keeper.", labels);
}

static struct sck_metric *
seconds(const struct sck_meter *m, const char *op)
{
    char labels[LABELS_MAX];
    (void)snprintf(labels, sizeof labels, "keeper=\"%s\",op=\"%s\"", m->keeper, op);
    return sck_metric_histogram("scopekey_keeper_request_seconds", "How long an attempt at a keeper took.", labels);
}

void
sck_meter_attempt(struct sck_meter *m, unsigned op, const char *name, const char *outcome, int64_t us)
{
    unsigned bit = op != 0 ? (unsigned)__builtin_ctz(op) : 0;
    bool good = strcmp(outcome, "ok") == 0;
    struct sck_metric *count = good ? atomic_load(&m->good[bit]) : requests(m, name, outcome);
    struct sck_metric *took = atomic_load(&m->seconds[bit]);
    if (count == NULL) {
        count = requests(m, name, outcome);
        atomic_store(&m->good[bit], count);
    }
    if (took == NULL) {
        took = seconds(m, name);
        atomic_store(&m->seconds[bit], took);
    }
    sck_metric_add(count, 1);
    sck_metric_observe(took, us);
}

void
sck_meter_retry(struct sck_meter *m, const char *reason)
{
    char labels[LABELS_MAX];
    (void)snprintf(labels, sizeof labels, "keeper=\"%s\",reason=\"%s\"", m->keeper, reason);
    sck_metric_add(sck_metric_counter("scopekey_keeper_retries_total", "Attempts at a keeper that were made again.",
                                      labels), 1);
}

void
sck_meter_breaker(struct sck_meter *m, enum sck_breaker_state state)
{
    sck_metric_set(m->breaker, state == SCK_BREAKER_CLOSED ? 0 : state == SCK_BREAKER_HALF_OPEN ? 1 : 2);
}

struct sck_metric *
sck_meter_connections(const char *keeper, const char *state)
{
    char labels[LABELS_MAX];
    (void)snprintf(labels, sizeof labels, "keeper=\"%s\",state=\"%s\"", keeper, state);
    return sck_metric_gauge("scopekey_keeper_connections", "Connections to a keeper.", labels);
}
