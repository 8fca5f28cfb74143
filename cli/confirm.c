/* SPDX-License-Identifier: MIT */
#include "cli/confirm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum sck_code
sck_confirm(const char *what, const char *name, struct sck_err *err)
{
    if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)
        return sck_fail(err, SCK_E_USAGE, "%s %s: cannot be undone: confirm on a terminal, or give --yes", what, name);
    char answer[1024];
    (void)fprintf(stderr, "%s %s: this cannot be undone.\nType %s to go on: ", what, name, name);
    (void)fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    if (strcmp(answer, name) != 0)
        return sck_fail(err, SCK_E_USAGE, "%s %s: not confirmed, nothing was changed", what, name);
    return SCK_OK;
}
