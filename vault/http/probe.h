/* SPDX-License-Identifier: MIT */
/* What `doctor` asks about the two tokens of keeper vault. */
#ifndef SCK_VAULT_HTTP_PROBE_H
#define SCK_VAULT_HTTP_PROBE_H

#include "vault/http/call.h"

/* Who is told: `cure` NULL when all is well.  Both texts are borrowed for the call. */
struct sck_probe_report {
    void (*fn)(void *arg, const char *what, const char *cure);
    void *arg;
};

/*
 * Rights (sys/capabilities-self) and life (auth/token/lookup-self) of a token, one report for each finding.
 * SCK_E_CREDENTIAL, SCK_E_CONNECT and others: it could not be asked.
 */
SCK_MUST_CHECK enum sck_code sck_probe_data_token(struct sck_vault *v, const struct sck_probe_report *report,
                                                  struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_probe_admin_token(struct sck_vault *v, const struct sck_probe_report *report,
                                                   struct sck_err *err);

#endif
