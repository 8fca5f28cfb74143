/* SPDX-License-Identifier: MIT */
#include "lib/base/metric.h"
#include "rest/handlers.h"
#include "rest/request.h"

/* The registry's own limit is 1024 series of some hundred bytes a line. */
enum { METRICS_MAX = 8 * 1024 * 1024 };

void
sck_handle_metrics(struct sck_request *req)
{
    struct sck_buf text;
    if (!req->app->conf->metrics_enabled) {
        sck_reply_error(req, 404, "not_found", "There is no such path");
        return;
    }
    sck_metric_set(sck_metric_gauge("scopekey_build_info", "Which Scopekey this is; always 1.",
                                    "version=\"" PACKAGE_VERSION "\""), 1);
    sck_metric_set(sck_metric_gauge("scopekey_uptime_seconds", "Since the daemon was started.", ""),
                   (sck_monotonic_us(req->app->clock) - req->app->started_us) / 1000000);
    sck_metric_set(sck_metric_gauge("scopekey_http_requests_in_flight", "Requests that are being answered.", ""),
                   atomic_load(&req->app->in_flight));
    sck_buf_init(&text, METRICS_MAX);
    sck_metrics_format(&text);
    sck_reply_text(req, "text/plain; version=0.0.4; charset=utf-8", &text);
}
