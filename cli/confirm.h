/* SPDX-License-Identifier: MIT */
/* The question before something is destroyed for good. */
#ifndef SCK_CLI_CONFIRM_H
#define SCK_CLI_CONFIRM_H

#include "lib/base/err.h"

/*
 * Ask on the terminal whether `what` shall happen to `name`; the answer is to be the name itself.  SCK_E_USAGE when
 * standard input or error is no terminal (says `--yes`) or the answer is another.
 */
SCK_MUST_CHECK enum sck_code sck_confirm(const char *what, const char *name, struct sck_err *err);

#endif
