/* SPDX-License-Identifier: MIT */
/* Shared by server.c (life of the server) and exchange.c (life of a request). */
#ifndef SCK_REST_SERVER_PRIV_H
#define SCK_REST_SERVER_PRIV_H

#include "rest/conn.h"
#include "rest/server.h"
#include "rest/strict.h"

#include <microhttpd.h>

#define SCK_HEAD_MAX (32 * 1024)        /* bytes of a request's head */

struct sck_server {
    struct sck_app *app;
    struct MHD_Daemon *mhd;
    struct sck_work *work;
    struct sck_conns *conns;
    size_t max_body;
};

/* libmicrohttpd's callbacks; the closure is the server. */
void *sck_exchange_start(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result sck_exchange_step(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_len, void **state);
void sck_exchange_end(void *cls, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode how);
/* The workers' function. */
void sck_exchange_work(struct sck_work_item *item);

#endif
