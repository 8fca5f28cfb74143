/* SPDX-License-Identifier: MIT */
#include "rest/handlers.h"
#include "rest/request.h"

static json_t *
full_health(const struct sck_request *req, enum sck_health health, int64_t latency_us)
{
    int64_t uptime_s = (sck_monotonic_us(req->app->clock) - req->app->started_us) / 1000000;
    json_t *object = json_pack("{s:s}", "status", sck_health_name(health));
    if (object == NULL || !sck_reply_put_time(req, object) ||
        json_object_set_new(object, "version", json_string(PACKAGE_VERSION)) != 0 ||
        json_object_set_new(object, "uptime", json_integer(uptime_s)) != 0 ||
        json_object_set_new(object, "backend_status", json_string(sck_health_name(health))) != 0 ||
        json_object_set_new(object, "backend_latency", json_real((double)latency_us / 1000.0)) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

void
sck_handle_health(struct sck_request *req)
{
    int64_t latency_us;
    enum sck_health health = sck_probe_get(req->app->probe, &latency_us);
    unsigned status = health == SCK_UNHEALTHY ? 503 : 200;
    /* Details map the deployment: for clients alone. */
    if (req->client == NULL)
        sck_reply_json(req, status, json_pack("{s:s}", "status", sck_health_name(health)));
    else
        sck_reply_json(req, status, full_health(req, health, latency_us));
}

void
sck_handle_live(struct sck_request *req)
{
    sck_reply_json(req, 200, json_pack("{s:s}", "status", "live"));
}

void
sck_handle_ready(struct sck_request *req)
{
    int64_t latency_us;
    bool ready = !atomic_load(&req->app->draining) && sck_probe_get(req->app->probe, &latency_us) != SCK_UNHEALTHY;
    sck_reply_json(req, ready ? 200 : 503, json_pack("{s:s}", "status", ready ? "ready" : "not ready"));
}
