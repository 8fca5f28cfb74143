/* SPDX-License-Identifier: MIT */
#include "rest/probe.h"

#include "lib/base/log.h"
#include "rest/request.h"

#include <pthread.h>
#include <stdlib.h>

#define FRESH_US 1000000        /* a younger result is good enough */
#define SLOW_US 1000000
#define DEAD_US 10000000
#define REST_MS 10000

struct sck_probe {
    struct sck_service *service;
    const struct sck_clock *clock;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, wanted;
    bool good;                  /* of the last finished measurement */
    int64_t latency_us;
    int64_t finished_us;        /* monotonic; 0: none yet */
    int64_t started_us;         /* of the one under way; 0: none */
};

const char *
sck_health_name(enum sck_health health)
{
    switch (health) {
    case SCK_HEALTHY:   return "healthy";
    case SCK_DEGRADED:  return "degraded";
    case SCK_UNHEALTHY: return "unhealthy";
    }
    return "unhealthy";
}

/* Says what is wrong once, when it begins, and when it is over. */
static void
tell(bool was_good, enum sck_code rc, struct sck_err *err)
{
    if (rc != SCK_OK && was_good) {
        sck_request_scrub(err->message);
        sck_log(SCK_LOG_ERROR, "rest.health", "not healthy (%s): %s", sck_code_name(rc), err->message);
    } else if (rc == SCK_OK && !was_good) {
        sck_log(SCK_LOG_INFO, "rest.health", "healthy again");
    }
}

static void
measure(struct sck_probe *probe)
{
    struct sck_err err = SCK_ERR_INIT;
    int64_t latency = 0;
    probe->wanted = false;
    probe->started_us = sck_monotonic_us(probe->clock);
    bool was_good = probe->finished_us == 0 || probe->good;
    (void)pthread_mutex_unlock(&probe->lock);
    enum sck_code rc = sck_service_ping(probe->service, &latency, &err);
    tell(was_good, rc, &err);
    (void)pthread_mutex_lock(&probe->lock);
    probe->good = rc == SCK_OK;
    probe->finished_us = sck_monotonic_us(probe->clock);
    probe->latency_us = rc == SCK_OK ? latency : probe->finished_us - probe->started_us;
    probe->started_us = 0;
}

static void *
run(void *arg)
{
    struct sck_probe *probe = arg;
    (void)pthread_mutex_lock(&probe->lock);
    while (!probe->stopping) {
        measure(probe);
        struct timespec until = sck_deadline_after_ms(REST_MS);
        int waited = 0;
        while (!probe->stopping && !probe->wanted && waited == 0)
            waited = pthread_cond_clockwait(&probe->wake, &probe->lock, CLOCK_MONOTONIC, &until);
    }
    (void)pthread_mutex_unlock(&probe->lock);
    return NULL;
}

enum sck_code
sck_probe_new(struct sck_service *service, const struct sck_clock *clock, struct sck_probe **out,
              struct sck_err *err)
{
    struct sck_probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return sck_fail(err, SCK_E_MEMORY, "no memory for the health probe");
    probe->service = service;
    probe->clock = clock;
    probe->good = true;
    (void)pthread_mutex_init(&probe->lock, NULL);
    (void)pthread_cond_init(&probe->wake, NULL);
    int e = pthread_create(&probe->thread, NULL, run, probe);
    if (e != 0) {
        (void)pthread_cond_destroy(&probe->wake);
        (void)pthread_mutex_destroy(&probe->lock);
        free(probe);
        return sck_fail_errno(err, SCK_E_MEMORY, e, "cannot start the health probe");
    }
    *out = probe;
    return SCK_OK;
}

void
sck_probe_free(struct sck_probe **probe)
{
    struct sck_probe *p = *probe;
    if (p == NULL)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->stopping = true;
    (void)pthread_cond_signal(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    *probe = NULL;
}

enum sck_health
sck_probe_get(struct sck_probe *probe, int64_t *latency_us)
{
    (void)pthread_mutex_lock(&probe->lock);
    int64_t now = sck_monotonic_us(probe->clock);
    int64_t waiting = probe->started_us != 0 ? now - probe->started_us : 0;
    if (probe->started_us == 0 && now - probe->finished_us > FRESH_US) {
        probe->wanted = true;
        (void)pthread_cond_signal(&probe->wake);
    }
    *latency_us = waiting > probe->latency_us ? waiting : probe->latency_us;
    bool good = probe->good;
    (void)pthread_mutex_unlock(&probe->lock);
    if (!good || waiting > DEAD_US)
        return SCK_UNHEALTHY;
    return *latency_us > SLOW_US ? SCK_DEGRADED : SCK_HEALTHY;
}
