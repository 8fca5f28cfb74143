/* SPDX-License-Identifier: MIT */
#include "lib/base/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void
sck_process_harden(void)
{
    static const struct rlimit none = {0, 0};
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
}
