/* SPDX-License-Identifier: MIT */
/* The sockets of a libcurl multi handle, known so that a child of fork() can let go of them without a word to the server. */
#ifndef SCK_VAULT_HTTP_SOCKETS_H
#define SCK_VAULT_HTTP_SOCKETS_H

#include <curl/curl.h>
#include <stddef.h>

struct sck_metric;

struct sck_sockets {
    curl_socket_t *fds;         /* the owner's array of `cap` */
    size_t count, cap;
    unsigned unacked_ms;        /* TCP_USER_TIMEOUT of new ones, 0: the system's */
    struct sck_metric *idle;    /* the gauge in which each of them is counted; or NULL */
};

/* Let `easy` open and close its sockets through `sockets`, which must outlive the multi handle. */
void sck_sockets_watch(struct sck_sockets *sockets, CURL *easy);
/*
 * In a child: put /dev/null in the place of inherited sockets; closing a TLS connection would say goodbye in the
 * parent's name.
 */
void sck_sockets_silence(struct sck_sockets *sockets);

#endif
