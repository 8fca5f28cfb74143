/* SPDX-License-Identifier: MIT */
/* What a failure below is called in PKCS#11: one table. */
#ifndef SCK_PKCS11_RV_H
#define SCK_PKCS11_RV_H

#include "lib/base/err.h"
#include "pkcs11/pkcs11_v3.h"

/* What the failing call was about: the standard has a name of its own for some of them. */
enum sck_p11_about {
    SCK_P11_LOGIN,
    SCK_P11_OBJECT, /* looking at an object */
    SCK_P11_KEY, /* opening a key for an operation */
    SCK_P11_SIGN,
    SCK_P11_ENCRYPT,
    SCK_P11_DECRYPT,
    SCK_P11_OTHER
};

/* The CK_RV for `code`; for a login also by what the token itself said (`err`). */
CK_RV sck_p11_rv(enum sck_code code, enum sck_p11_about about, const struct sck_err *err);

/* Tell the log why (by level: what an application provokes at will is debug), once the call has failed. */
void sck_p11_log(const struct sck_err *err);

#endif
