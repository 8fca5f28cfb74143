/* SPDX-License-Identifier: MIT */
/* What a PIN holder would try against a master, tried on a throw-away one; docs/tokens.md explains each. */
#ifndef SCK_TOKEN_ATTACK_H
#define SCK_TOKEN_ATTACK_H

#include "lib/token/own.h"

/*
 * Run all attacks on session objects; `rsa` asks for those that need an RSA pair (slow to make), too.  *worked is the
 * name of the first that worked, NULL when none; every one is told to `report`, which may be NULL.
 * CKR_OK unless the token was lost meanwhile or the throw-away keys could not be made as the design wants them
 * (*worked is then "make-master").
 */
CK_RV sck_attack_all(struct sck_use *use, CK_MECHANISM_TYPE mechanism, bool rsa, sck_token_report_fn report,
                     void *arg, const char **worked);

#endif
