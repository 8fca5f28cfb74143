/* SPDX-License-Identifier: MIT */
#include "rest/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static bool
is_loopback(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, addr, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static void
format_address(const struct sockaddr *addr, char where[SCK_LISTEN_TEXT])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, ip, sizeof ip);
        (void)snprintf(where, SCK_LISTEN_TEXT, "%s:%u", ip, ntohs(in.sin_port));
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, addr, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof ip);
        (void)snprintf(where, SCK_LISTEN_TEXT, "[%s]:%u", ip, ntohs(in6.sin6_port));
    }
}

static enum sck_code
bind_and_listen(const struct addrinfo *at, const char *host, int port, int *fd, char where[SCK_LISTEN_TEXT],
                struct sck_err *err)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    const int on = 1;
    int s = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot make a socket for %s", host);
    /* A restart must not wait for the old connections' TIME_WAIT; a living listener still refuses us. */
    if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind(s, at->ai_addr, at->ai_addrlen) != 0 ||
        listen(s, BACKLOG) != 0 || getsockname(s, (struct sockaddr *)&bound, &len) != 0) {
        enum sck_code rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot listen on %s port %d", host, port);
        (void)close(s);
        return rc;
    }
    format_address((const struct sockaddr *)&bound, where);
    *fd = s;
    return SCK_OK;
}

enum sck_code
sck_listen_open(const char *host, int port, bool insecure_plaintext, int *fd, char where[SCK_LISTEN_TEXT],
                struct sck_err *err)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char service[12];
    (void)snprintf(service, sizeof service, "%d", port);
    int e = getaddrinfo(host, service, &hints, &found);
    if (e != 0)
        return sck_fail(err, SCK_E_CONFIG, "cannot listen on host %s: %s", host, gai_strerror(e));
    enum sck_code rc;
    if (!insecure_plaintext && !is_loopback(found->ai_addr))
        rc = sck_fail(err, SCK_E_CONFIG,
                      "refusing to listen on %s without TLS, which this version does not have: API keys and "
                      "plaintext would cross the network readable. Listen on 127.0.0.1 behind a TLS proxy, or set "
                      "insecure_plaintext = true in [rest] of scopekey.conf", host);
    else
        rc = bind_and_listen(found, host, port, fd, where, err);
    freeaddrinfo(found);
    return rc;
}

void
sck_notify(const char *state)
{
    const char *path = secure_getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)sendto(s, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, len);
    (void)close(s);
}
