/* SPDX-License-Identifier: MIT */
/* Where the server is. */
#ifndef SCK_VAULT_HTTP_URL_H
#define SCK_VAULT_HTTP_URL_H

#include "vault/http/machine.h"

/* To whom http:// may be spoken. */
enum sck_url_http {
    SCK_URL_HTTP_NEVER,
    SCK_URL_HTTP_LOOPBACK,
    SCK_URL_HTTP_LINK       /* this machine, and services of the link (169.254.0.0/16) */
};
struct sck_url_rules {
    const char *keeper, *setting;   /* for messages */
    enum sck_url_http http;
};

/*
 * Check a server's URL and write it as scheme://host[:port] into `out`.  SCK_E_CONFIG: malformed; user, password, path,
 * query or fragment in it; a scheme other than https, or http that is not allowed or not to this machine.
 */
SCK_MUST_CHECK enum sck_code sck_url_parse(const char *url, const struct sck_url_rules *rules, char out[SCK_URL_MAX],
                                           struct sck_err *err);
/* The same for keeper vault's `url`. */
SCK_MUST_CHECK static inline enum sck_code
sck_vault_url_parse(const char *url, bool insecure_http, char out[SCK_URL_MAX], struct sck_err *err)
{
    const struct sck_url_rules rules = {"vault", "url", insecure_http ? SCK_URL_HTTP_LOOPBACK : SCK_URL_HTTP_NEVER};
    return sck_url_parse(url, &rules, out, err);
}

#endif
