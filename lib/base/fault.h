/* SPDX-License-Identifier: MIT */
/*
 * Named points at which a test can stop the process, to prove that a crash there loses nothing.
 * Only builds configured with --enable-fault-points contain them; elsewhere they compile to nothing.
 */
#ifndef SCK_BASE_FAULT_H
#define SCK_BASE_FAULT_H

#ifdef SCK_FAULT_POINTS
/* SIGKILL ourselves when the environment variable SCOPEKEY_FAULT_POINT equals `name`. */
void sck_fault_point(const char *name);
#else
static inline void
sck_fault_point(const char *name)
{
    (void)name;
}
#endif

#endif
