/* SPDX-License-Identifier: MIT */
#include "rest/request.h"

#include "lib/base/crypto.h"
#include "lib/base/log.h"
#include "lib/base/metric.h"
#include "lib/base/text.h"
#include "lib/core/uuid.h"

#include <stdio.h>
#include <string.h>

#define BODY_FIRST 4096 /* bytes; most bodies are small */

enum sck_code
sck_request_id_make(const struct sck_clock *clock, char id[SCK_REQUEST_ID_MAX + 1], struct sck_err *err)
{
    uint8_t random[SCK_UUID_RANDOM];
    uint8_t uuid[16];
    id[0] = '\0';
    enum sck_code rc = sck_random(random, sizeof random, err);
    if (rc != SCK_OK)
        return rc;
    sck_uuid7(sck_now_ms(clock), random, uuid);
    sck_uuid_format(uuid, id);
    return SCK_OK;
}

enum sck_code
sck_request_append(struct sck_request *req, const void *data, size_t len, size_t max_len, struct sck_err *err)
{
    size_t used = req->body != NULL ? req->body->len : 0;
    if (len > max_len || used > max_len - len)
        return sck_fail(err, SCK_E_USAGE, "The body is longer than %zu bytes", max_len);
    if (req->body == NULL || used + len > req->body->cap) {
        struct sck_secret *larger = NULL;
        size_t cap = req->body != NULL ? 2 * req->body->cap : BODY_FIRST;
        while (cap < used + len)
            cap *= 2;
        enum sck_code rc = sck_secret_new(cap < max_len ? cap : max_len, &larger, err);
        if (rc != SCK_OK)
            return rc;
        if (used > 0)
            memcpy(larger->data, req->body->data, used);
        sck_secret_free(&req->body);
        req->body = larger;
    }
    memcpy(req->body->data + used, data, len);
    req->body->len = used + len;
    return SCK_OK;
}

void
sck_request_clear(struct sck_request *req)
{
    sck_secret_free(&req->body);
    sck_reply_clear(&req->reply);
}

void
sck_request_scrub(char *text)
{
    static const char *const kinds[] = {"subject/", "client/"};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (char *at = strstr(text, kinds[k]); at != NULL; at = strstr(at, kinds[k])) {
            at += strlen(kinds[k]);
            /* Ids are percent-encoded: none of these bytes is part of one. */
            size_t id = strcspn(at, "/ \t,:;?'\"()");
            if (id > 0) {
                at[0] = '*';
                memmove(at + 1, at + id, strlen(at + id) + 1);
            }
        }
    }
}

static enum sck_log_level
level_of(unsigned status)
{
    if (status >= 500)
        return SCK_LOG_ERROR;
    return status == 401 || status == 403 ? SCK_LOG_WARNING : SCK_LOG_INFO;
}

static const char *
message_of(unsigned status)
{
    if (status == 0)
        return "connection lost";
    if (status < 400)
        return "request served";
    return status < 500 ? "request refused" : "request failed";
}

/* Route, status and our own error codes alone: nothing that a client chose. */
static void
count_request(const struct sck_request *req, unsigned status, int64_t duration_us)
{
    char labels[96];
    const char *operation = req->route != NULL ? req->route->operation : "none";
    (void)snprintf(labels, sizeof labels, "route=\"%s\",code=\"%u\"", operation, status);
    sck_metric_add(sck_metric_counter("scopekey_http_requests_total", "Requests answered; code 0: the connection was lost.",
                                      labels), 1);
    (void)snprintf(labels, sizeof labels, "route=\"%s\"", operation);
    sck_metric_observe(sck_metric_histogram("scopekey_http_request_seconds", "From the head of a request to its reply.",
                                            labels), duration_us);
    if (req->reply.code == NULL)
        return;
    (void)snprintf(labels, sizeof labels, "door=\"rest\",code=\"%s\"", req->reply.code);
    sck_metric_add(sck_metric_counter("scopekey_errors_total", "Errors that a door reported.", labels), 1);
}

void
sck_request_log(const struct sck_request *req, unsigned status)
{
    int64_t duration_us = sck_monotonic_us(req->app->clock) - req->started_us;
    count_request(req, status, duration_us);
    struct sck_log_field fields[9];
    size_t n = 0;
    char logger[64];
    (void)snprintf(logger, sizeof logger, "rest.%s", req->route != NULL ? req->route->operation : "http");
    fields[n++] = (struct sck_log_field){"request_id", req->id, 0};
    if (req->key_id[0] != '\0')
        fields[n++] = (struct sck_log_field){"key_id", req->key_id, 0};
    if (req->algorithm != NULL)
        fields[n++] = (struct sck_log_field){"algorithm", req->algorithm, 0};
    if (req->data_length >= 0)
        fields[n++] = (struct sck_log_field){"data_length", NULL, req->data_length};
    fields[n++] = (struct sck_log_field){"status", NULL, (int64_t)status};
    fields[n++] = (struct sck_log_field){"duration_us", NULL, duration_us};
    if (req->client != NULL)
        fields[n++] = (struct sck_log_field){"client", req->client->id, 0};
    if (req->reply.code != NULL)
        fields[n++] = (struct sck_log_field){"code", req->reply.code, 0};
    if (req->cause[0] != '\0')
        fields[n++] = (struct sck_log_field){"cause", req->cause, 0};
    sck_log_fields(level_of(status), logger, message_of(status), fields, n);
}
