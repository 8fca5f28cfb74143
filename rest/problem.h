/* SPDX-License-Identifier: MIT */
/* One table from error codes to HTTP, and one from status to title (man/scopekeyd.8).  Pure. */
#ifndef SCK_REST_PROBLEM_H
#define SCK_REST_PROBLEM_H

#include "lib/base/err.h"

/* How a failure is answered.  Texts are fixed: what a lower room says goes to the log alone. */
struct sck_problem {
    unsigned status;
    const char *code;       /* stable word for programs */
    const char *detail;     /* sentence for people */
    int retry_after_s;      /* Retry-After, seconds; 0: none */
};

/* Never called with SCK_OK (which gives the 500 of a broken invariant). */
struct sck_problem sck_problem_of(enum sck_code code);
/* "Validation Error" for 400, and so on; "Error" for a status that Scopekey does not use. */
const char *sck_problem_title(unsigned status);

#endif
