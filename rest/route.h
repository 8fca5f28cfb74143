/* SPDX-License-Identifier: MIT */
/* Which handler answers which method and path: one table. */
#ifndef SCK_REST_ROUTE_H
#define SCK_REST_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

struct sck_request;

/* Answer `req` by sck_reply_*(); called in a worker thread unless the route is INLINE. */
typedef void (*sck_handler_fn)(struct sck_request *req);

enum sck_route_flag {
    SCK_ROUTE_ANONYMOUS = 1,    /* answers without an API key (a wrong one is still 401) */
    SCK_ROUTE_INLINE = 2        /* never waits for token, keeper, database or lock: runs in the I/O thread */
};

struct sck_route {
    const char *method;         /* "GET" also answers HEAD */
    const char *path;           /* "{id}" stands for one non-empty segment, percent-encoded slashes allowed in it */
    const char *operation;      /* for log lines and rights, "encrypt" */
    sck_handler_fn handler;
    unsigned flags;             /* enum sck_route_flag */
};

#define SCK_ALLOW_MAX 64

/*
 * Find the route of a path as sent (percent-encoded, no query; checked by sck_strict_target()).  NULL: `allow` then
 * holds the methods of that path for a 405, or "" for a 404.
 */
const struct sck_route *sck_route_find(const struct sck_route *routes, size_t count, const char *method,
                                       const char *path, char allow[SCK_ALLOW_MAX]);
/* True when a slash or backslash is percent-encoded: refused unless a route's {id} takes it. */
bool sck_route_hides_slash(const char *path);

/* The daemon's own table. */
const struct sck_route *sck_routes(size_t *count);

#endif
