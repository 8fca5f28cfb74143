/* SPDX-License-Identifier: MIT */
#include "vault/http/sockets.h"

#include "lib/base/metric.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct sck_sockets *sockets = arg;
    (void)purpose;
    if (sockets->count == sockets->cap)
        return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    /* A server that vanished without a word would otherwise be waited for, for many minutes. */
    if (sockets->unacked_ms > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &sockets->unacked_ms, sizeof sockets->unacked_ms);
    sockets->fds[sockets->count++] = fd;
    if (sockets->idle != NULL)
        sck_metric_add(sockets->idle, 1);
    return fd;
}

static int
close_socket(void *arg, curl_socket_t fd)
{
    struct sck_sockets *sockets = arg;
    for (size_t i = 0; i < sockets->count; i++) {
        if (sockets->fds[i] == fd) {
            sockets->fds[i] = sockets->fds[--sockets->count];
            if (sockets->idle != NULL)
                sck_metric_add(sockets->idle, -1);
            break;
        }
    }
    return close(fd);
}

void
sck_sockets_watch(struct sck_sockets *sockets, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, sockets);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, sockets);
}

void
sck_sockets_silence(struct sck_sockets *sockets)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < sockets->count; i++) {
        if (null < 0 || dup3(null, sockets->fds[i], O_CLOEXEC) < 0)
            (void)close(sockets->fds[i]);
    }
    if (null >= 0)
        (void)close(null);
    /* The child counts its own. */
    sockets->idle = NULL;
}
