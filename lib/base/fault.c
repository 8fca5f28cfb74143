/* SPDX-License-Identifier: MIT */
#include "lib/base/fault.h"

#ifdef SCK_FAULT_POINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

void
sck_fault_point(const char *name)
{
    const char *want = getenv("SCOPEKEY_FAULT_POINT");
    if (want != NULL && strcmp(want, name) == 0)
        (void)raise(SIGKILL);
}
#else
/* ISO C wants at least one declaration in a translation unit. */
extern const char sck_fault_points_are_off;
#endif
