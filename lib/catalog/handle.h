/* SPDX-License-Identifier: MIT */
/* What an open catalog is.  Only the files of this folder look inside. */
#ifndef SCK_CATALOG_HANDLE_H
#define SCK_CATALOG_HANDLE_H

#include "lib/catalog/backend.h"
#include "lib/catalog/catalog.h"

#include <pthread.h>
#include <stdatomic.h>

/* Connections of one process to one catalog; a thread that finds none free waits for its turn. */
enum { SCK_CONNECTIONS_MAX = 8 };

struct sck_waiter;

/* Permits that are given in the order in which they were asked for. */
struct sck_turn {
    unsigned free;
    struct sck_waiter *first;
};

struct sck_conn {
    struct sck_db *db;
    struct sck_conn *next;
    bool in_transaction;
    bool failed;                /* a part of the transaction is missing: it must not be committed */
};

struct sck_catalog {
    /* Constant once it is open. */
    const struct sck_backend *backend;
    char *path;
    char *turn_path;            /* file whose lock is the place at the head of the queue of writing processes */
    uint8_t id[16];
    int64_t busy_ms;
    sck_row_key_fn row_key_fn;
    void *row_key_arg;

    /* Set once. */
    _Atomic(struct sck_secret *) row_key;
    struct sck_turn asking;     /* one thread asks for the row key */

    /* Under the lock of pool.c. */
    struct sck_turn connections;
    struct sck_turn writer;     /* one thread of this process writes, as the database allows one writer only */
    struct sck_conn *idle;
    struct sck_conn *writing;   /* the open transaction's */
    pthread_t writing_thread;
    struct sck_catalog *next;

    int turn_fd;                /* of the thread whose turn `writer` is; -1: not open */
};

/* The row key, asked for the first time; no lock is held then.  What the callback fails with. */
SCK_MUST_CHECK enum sck_code sck_catalog_row_key(struct sck_catalog *catalog, const struct sck_secret **key,
                                                 struct sck_err *err);

#endif
