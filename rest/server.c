/* SPDX-License-Identifier: MIT */
#include "rest/server.h"

#include "lib/base/log.h"
#include "rest/server_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POOL_BYTES (40 * 1024)          /* per connection: the head, and a piece of the body */
#define CONNECTIONS_MAX 4096
#define CONNECTIONS_PER_ADDRESS 1024
#define SILENCE_S 30                    /* without a byte in either direction */
#define WAITING_US 60000000             /* a client's time for one whole request, and for taking its reply */
#define QUEUE_MAX 1024                  /* requests that wait for a worker */
#define IO_THREADS_MAX 4
#define QUIET_US 200000                 /* without a request, before idle connections are closed at the end */

static void
on_connection(void *cls, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode what)
{
    struct sck_server *server = cls;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        sck_conn_remove(server->conns, *state);
        *state = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL)
        *state = sck_conn_add(server->conns, info->connect_fd, sck_monotonic_us(server->app->clock));
}

static void SCK_PRINTF(2, 0)
on_library_log(void *cls, const char *fmt, va_list args)
{
    char text[512];
    (void)cls;
    if (sck_log_level() > SCK_LOG_DEBUG)
        return;
    (void)vsnprintf(text, sizeof text, fmt, args);
    sck_log(SCK_LOG_DEBUG, "rest.server", "libmicrohttpd: %s", text);
}

static unsigned
io_threads(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > IO_THREADS_MAX ? IO_THREADS_MAX : (unsigned)n;
}

static struct MHD_Daemon *
start_library(struct sck_server *server, int fd)
{
    unsigned threads = io_threads();
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_log, NULL},
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_PER_ADDRESS, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)sck_exchange_start, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)sck_exchange_end, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        /* A pool of one thread is refused. */
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
                                MHD_USE_ERROR_LOG,
                            0, NULL, NULL, sck_exchange_step, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

enum sck_code
sck_server_start(struct sck_app *app, const struct sck_server_conf *conf, struct sck_server **out,
                 struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    struct sck_server *server = calloc(1, sizeof *server);
    if (server != NULL)
        server->conns = sck_conns_new();
    if (server == NULL || server->conns == NULL) {
        rc = sck_fail(err, SCK_E_MEMORY, "no memory for the server");
        goto out;
    }
    server->app = app;
    server->max_body = conf->max_body < SCK_SECRET_MAX ? conf->max_body : SCK_SECRET_MAX;
    rc = sck_work_new(conf->workers, QUEUE_MAX, sck_exchange_work, &server->work, err);
    if (rc != SCK_OK)
        goto out;
    server->mhd = start_library(server, conf->listen_fd);
    if (server->mhd == NULL)
        rc = sck_fail(err, SCK_E_IO, "libmicrohttpd cannot start: see LOG_LEVEL=debug");
out:
    if (rc != SCK_OK && server != NULL) {
        sck_work_free(&server->work);
        sck_conns_free(&server->conns);
        free(server);
        server = NULL;
    }
    if (rc != SCK_OK)
        (void)close(conf->listen_fd);
    *out = server;
    return rc;
}

void
sck_server_sweep(struct sck_server *server)
{
    size_t count = sck_conns_sweep(server->conns, sck_monotonic_us(server->app->clock), WAITING_US);
    if (count > 0)
        sck_log(SCK_LOG_WARNING, "rest.server", "ended %zu connections whose clients were too slow", count);
}

void
sck_server_stop(struct sck_server **server, int64_t limit_ms)
{
    struct sck_server *s = *server;
    if (s == NULL)
        return;
    const struct sck_clock *clock = s->app->clock;
    int64_t until_us = sck_monotonic_us(clock) + limit_ms * 1000;
    MHD_socket fd = MHD_quiesce_daemon(s->mhd);
    if (fd != MHD_INVALID_SOCKET)
        (void)close(fd);
    /*
     * A client with an idle connection may be sending its next request right now: the connection ends with the reply
     * to that, or when nobody has asked for anything for a moment.
     */
    int64_t quiet_us = sck_monotonic_us(clock);
    for (int64_t now_us = quiet_us; now_us < until_us && now_us - quiet_us < QUIET_US;
         now_us = sck_monotonic_us(clock)) {
        if (atomic_load(&s->app->in_flight) > 0)
            quiet_us = now_us;
        sck_server_sweep(s);
        clock->sleep_ms(clock->arg, 5);
    }
    /* libmicrohttpd must not be stopped with suspended requests: the workers finish theirs first. */
    sck_work_free(&s->work);
    MHD_stop_daemon(s->mhd);
    sck_conns_free(&s->conns);
    free(s);
    *server = NULL;
}
