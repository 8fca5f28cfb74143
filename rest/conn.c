/* SPDX-License-Identifier: MIT */
#include "rest/conn.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

struct sck_conn {
    struct sck_conn *next;
    struct sck_conn **link;     /* what points here */
    int fd;
    bool busy;
    int64_t since_us;
};

struct sck_conns {
    pthread_mutex_t lock;
    struct sck_conn *first;
};

struct sck_conns *
sck_conns_new(void)
{
    struct sck_conns *conns = calloc(1, sizeof *conns);
    if (conns != NULL)
        (void)pthread_mutex_init(&conns->lock, NULL);
    return conns;
}

void
sck_conns_free(struct sck_conns **conns)
{
    if (*conns == NULL)
        return;
    (void)pthread_mutex_destroy(&(*conns)->lock);
    free(*conns);
    *conns = NULL;
}

struct sck_conn *
sck_conn_add(struct sck_conns *conns, int fd, int64_t now_us)
{
    struct sck_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->fd = fd;
    conn->since_us = now_us;
    (void)pthread_mutex_lock(&conns->lock);
    conn->next = conns->first;
    conn->link = &conns->first;
    if (conn->next != NULL)
        conn->next->link = &conn->next;
    conns->first = conn;
    (void)pthread_mutex_unlock(&conns->lock);
    return conn;
}

void
sck_conn_remove(struct sck_conns *conns, struct sck_conn *conn)
{
    if (conn == NULL)
        return;
    (void)pthread_mutex_lock(&conns->lock);
    *conn->link = conn->next;
    if (conn->next != NULL)
        conn->next->link = conn->link;
    (void)pthread_mutex_unlock(&conns->lock);
    free(conn);
}

void
sck_conn_set_busy(struct sck_conns *conns, struct sck_conn *conn, bool busy, int64_t now_us)
{
    if (conn == NULL)
        return;
    (void)pthread_mutex_lock(&conns->lock);
    conn->busy = busy;
    conn->since_us = now_us;
    (void)pthread_mutex_unlock(&conns->lock);
}

size_t
sck_conns_sweep(struct sck_conns *conns, int64_t now_us, int64_t limit_us)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&conns->lock);
    for (struct sck_conn *conn = conns->first; conn != NULL; conn = conn->next) {
        if (conn->busy || now_us - conn->since_us <= limit_us)
            continue;
        /* The I/O thread sees the end of the stream and closes; the number stays taken until then. */
        (void)shutdown(conn->fd, SHUT_RDWR);
        count++;
    }
    (void)pthread_mutex_unlock(&conns->lock);
    return count;
}
