/* SPDX-License-Identifier: MIT */
/* What all requests of a running daemon share. */
#ifndef SCK_REST_APP_H
#define SCK_REST_APP_H

#include "lib/base/clock.h"
#include "lib/service/service.h"
#include "rest/auth.h"
#include "rest/crypt.h"
#include "rest/probe.h"

#include <stdatomic.h>

/* Set up before the first request and torn down after the last; only the atomics change in between. */
struct sck_app {
    const struct sck_conf *conf;        /* borrowed from `service` */
    struct sck_service *service;
    struct sck_crypt *crypt;
    struct sck_auth *auth;
    struct sck_probe *probe;
    const struct sck_clock *clock;
    int64_t started_us;                 /* monotonic */
    atomic_bool draining;               /* SIGTERM came: not ready, every reply closes its connection */
    atomic_int in_flight;               /* requests whose head was accepted and whose reply is not sent yet */
};

#endif
