/* SPDX-License-Identifier: MIT */
/* libmicrohttpd and the workers: from bytes on a socket to a struct sck_request and back. */
#ifndef SCK_REST_SERVER_H
#define SCK_REST_SERVER_H

#include "rest/request.h"

struct sck_server;

struct sck_server_conf {
    int listen_fd;              /* taken over */
    unsigned workers;           /* threads that may wait for token and keeper */
    size_t max_body;            /* bytes */
};

/* Start answering.  SCK_E_IO when libmicrohttpd cannot start. */
SCK_MUST_CHECK enum sck_code sck_server_start(struct sck_app *app, const struct sck_server_conf *conf,
                                              struct sck_server **out, struct sck_err *err);
/* End connections that keep us waiting too long; about once a second. */
void sck_server_sweep(struct sck_server *server);
/*
 * Accept nothing new, finish what is in flight (each reply closes its connection) for at most `limit_ms`, then close
 * what is left and free.  NULL-safe.
 */
void sck_server_stop(struct sck_server **server, int64_t limit_ms);

#endif
