/* SPDX-License-Identifier: MIT */
/* The listening socket and systemd's readiness protocol. */
#ifndef SCK_REST_LISTEN_H
#define SCK_REST_LISTEN_H

#include "lib/base/err.h"

#define SCK_LISTEN_TEXT 80

/*
 * Listen on TCP `host`:`port` (0: a free port).  `where` gets "127.0.0.1:8000" or "[::1]:8000".  SCK_E_CONFIG: the
 * name does not resolve, or the address is not a loopback one and `insecure_plaintext` is false; SCK_E_IO: port
 * taken, address not ours.  Close *fd.
 */
SCK_MUST_CHECK enum sck_code sck_listen_open(const char *host, int port, bool insecure_plaintext, int *fd,
                                             char where[SCK_LISTEN_TEXT], struct sck_err *err);

/* Tell the service manager `state` ("READY=1") when $NOTIFY_SOCKET is set; failures are ignored, as by sd_notify(3). */
void sck_notify(const char *state);

#endif
