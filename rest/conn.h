/* SPDX-License-Identifier: MIT */
/*
 * The open connections and how long each has kept us waiting.  libmicrohttpd ends silent connections; this ends those
 * that send (or take) a byte now and then for ever.
 */
#ifndef SCK_REST_CONN_H
#define SCK_REST_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sck_conns;
struct sck_conn;

/* NULL when out of memory. */
struct sck_conns *sck_conns_new(void);
/* All connections were removed before.  NULL-safe. */
void sck_conns_free(struct sck_conns **conns);

/* A connection was accepted on `fd`.  NULL when out of memory. */
struct sck_conn *sck_conn_add(struct sck_conns *conns, int fd, int64_t now_us);
/* It is about to be closed; before `fd` can be used again.  NULL-safe. */
void sck_conn_remove(struct sck_conns *conns, struct sck_conn *conn);
/* From now on we keep the client waiting (busy) or it keeps us waiting.  NULL-safe. */
void sck_conn_set_busy(struct sck_conns *conns, struct sck_conn *conn, bool busy, int64_t now_us);

/* Shut down every connection that has kept us waiting for more than `limit_us`.  Returns how many. */
size_t sck_conns_sweep(struct sck_conns *conns, int64_t now_us, int64_t limit_us);

#endif
