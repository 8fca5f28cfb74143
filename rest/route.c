/* SPDX-License-Identifier: MIT */
#include "rest/route.h"

#include "rest/handlers.h"

#include <string.h>
#include <strings.h>

static const struct sck_route table[] = {
    {"POST", "/api/kms/generate_key", "generate_key", sck_handle_generate_key, 0},
    {"POST", "/api/kms/encrypt", "encrypt", sck_handle_encrypt, 0},
    {"POST", "/api/kms/decrypt", "decrypt", sck_handle_decrypt, 0},
    {"GET", "/health", "health", sck_handle_health, SCK_ROUTE_ANONYMOUS | SCK_ROUTE_INLINE},
    {"GET", "/health/live", "health", sck_handle_live, SCK_ROUTE_ANONYMOUS | SCK_ROUTE_INLINE},
    {"GET", "/health/ready", "health", sck_handle_ready, SCK_ROUTE_ANONYMOUS | SCK_ROUTE_INLINE},
    {"GET", "/metrics", "metrics", sck_handle_metrics, 0},
};

const struct sck_route *
sck_routes(size_t *count)
{
    *count = sizeof table / sizeof table[0];
    return table;
}

static bool
path_matches(const char *pattern, const char *path)
{
    while (pattern[0] == '/' && path[0] == '/') {
        pattern++;
        path++;
        size_t want = strcspn(pattern, "/");
        size_t have = strcspn(path, "/");
        bool is_id = want == 4 && memcmp(pattern, "{id}", 4) == 0;
        if (is_id ? have == 0 : want != have || memcmp(pattern, path, want) != 0)
            return false;
        pattern += want;
        path += have;
    }
    return pattern[0] == '\0' && path[0] == '\0';
}

static void
allow_add(char allow[SCK_ALLOW_MAX], const char *method)
{
    size_t used = strlen(allow);
    size_t more = strlen(method) + (used > 0 ? 2 : 0);
    if (used + more >= SCK_ALLOW_MAX)
        return;
    if (used > 0)
        memcpy(allow + used, ", ", 2);
    memcpy(allow + used + more - strlen(method), method, strlen(method) + 1);
}

const struct sck_route *
sck_route_find(const struct sck_route *routes, size_t count, const char *method, const char *path,
               char allow[SCK_ALLOW_MAX])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    allow[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!path_matches(routes[i].path, path))
            continue;
        if (strcmp(routes[i].method, wanted) == 0)
            return &routes[i];
        allow_add(allow, routes[i].method);
        if (strcmp(routes[i].method, "GET") == 0)
            allow_add(allow, "HEAD");
    }
    return NULL;
}

bool
sck_route_hides_slash(const char *path)
{
    for (const char *p = strchr(path, '%'); p != NULL; p = strchr(p + 1, '%')) {
        if (strncasecmp(p, "%2F", 3) == 0 || strncasecmp(p, "%5C", 3) == 0)
            return true;
    }
    return false;
}
