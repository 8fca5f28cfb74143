/* SPDX-License-Identifier: MIT */
/* One exchange as a libcurl easy handle, whoever drives it. */
#ifndef SCK_VAULT_HTTP_EXCHANGE_H
#define SCK_VAULT_HTTP_EXCHANGE_H

#include "vault/http/client.h"

struct sck_exchange {
    CURL *easy;                             /* NULL: not begun */
    struct curl_slist *headers;
    const struct sck_http_request *request; /* borrowed until its end */
    struct sck_http_reply *reply;
    char why[CURL_ERROR_SIZE];
    void *owner;                            /* the driver's */
    const struct sck_http *http;
    bool counted;                           /* its connection is counted as active */
};

/*
 * Make the easy handle, to be put into a multi handle whose sockets are `sockets`.  False, with reply->net SETUP, when
 * out of memory: then there is nothing to end.  `request` and everything in it is borrowed until the end.
 */
bool sck_exchange_begin(struct sck_exchange *x, const struct sck_http *http, struct sck_sockets *sockets,
                        const struct sck_http_request *request, struct sck_http_reply *reply);
/* Fill the reply and wipe the rest.  The easy handle has left its multi handle; `rc` is how it went. */
void sck_exchange_end(struct sck_exchange *x, CURLcode rc);
/* What a multi handle's sockets get. */
unsigned sck_http_unacked_ms(const struct sck_http *http);

#endif
