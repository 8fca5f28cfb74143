/* SPDX-License-Identifier: MIT */
/* Where the server is. */
#ifndef SCK_VAULT_HTTP_URL_H
#define SCK_VAULT_HTTP_URL_H

#include "lib/base/err.h"
#include "vault/http/call.h"

/*
 * Check a server's URL and write it as scheme://host[:port] into `out`.  SCK_E_CONFIG: malformed; user, password, path,
 * query or fragment in it; a scheme other than https, or http that is not allowed or not to this machine.
 */
SCK_MUST_CHECK enum sck_code sck_vault_url_parse(const char *url, bool insecure_http, char out[SCK_VAULT_URL_MAX],
                                                 struct sck_err *err);

#endif
