/* SPDX-License-Identifier: MIT */
/* Login: once for the whole application, with the token's user PIN. */
#ifndef SCK_PKCS11_LOGIN_H
#define SCK_PKCS11_LOGIN_H

#include "lib/base/secret.h"

/* sck_ask_pin_fn: the PIN that the client is logging in with, or the one it logged in with before. */
enum sck_code sck_p11_ask_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err);

#endif
