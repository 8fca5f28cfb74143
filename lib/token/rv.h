/* SPDX-License-Identifier: MIT */
/* CK_RV (PKCS#11 v2.40 section 6.1) in our terms.  Pure. */
#ifndef SCK_TOKEN_RV_H
#define SCK_TOKEN_RV_H

#include "lib/token/p11.h"

/* How much of what we hold a return value says is gone; each level includes those before. */
enum sck_lost {
    SCK_LOST_NOTHING,
    SCK_LOST_LOGIN,     /* logged out or our objects gone: log in and load the keys again */
    SCK_LOST_SESSIONS,  /* sessions gone or token away: find the token and open them again */
    SCK_LOST_MODULE     /* finalised by others, or forked: initialise again */
};
enum sck_lost sck_rv_lost(CK_RV rv);

/* "CKR_PIN_INCORRECT"; NULL when unknown. */
const char *sck_rv_name(CK_RV rv);
enum sck_code sck_rv_code(CK_RV rv);
/* Record a failed token call: code by sck_rv_code(), err->rv, "what: CKR_NAME (0x..): what to do next". */
enum sck_code sck_fail_rv(struct sck_err *err, CK_RV rv, const char *fmt, ...) SCK_PRINTF(3, 4);
/* The same with a code of the caller's choice. */
enum sck_code sck_fail_rv_as(struct sck_err *err, enum sck_code code, CK_RV rv, const char *fmt, ...)
    SCK_PRINTF(4, 5);

#endif
