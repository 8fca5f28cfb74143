/* SPDX-License-Identifier: MIT */
/* What a PIN holder would try against a master, tried on a throw-away one; docs/tokens.md explains each. */
#ifndef SCK_TOKEN_ATTACK_H
#define SCK_TOKEN_ATTACK_H

#include "lib/token/own.h"

/*
 * Run all attacks.  *worked is the name of the first that did, NULL when none; every one is told to `report`.
 * CKR_OK unless the token was lost meanwhile.
 */
CK_RV sck_attack_all(struct sck_use *use, CK_MECHANISM_TYPE mechanism, sck_token_report_fn report, void *arg,
                     const char **worked);

#endif
