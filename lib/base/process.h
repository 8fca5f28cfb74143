/* SPDX-License-Identifier: MIT */
/* What a program of ours asks of the kernel about itself.  For programs alone: never in somebody else's process. */
#ifndef SCK_BASE_PROCESS_H
#define SCK_BASE_PROCESS_H

/*
 * No core file and no debugger of the same user: secrets that pass through memory that is not ours (TLS, HTTP) must not
 * reach the disk by a crash.  PR_SET_DUMPABLE is what a core handler behind a pipe obeys, RLIMIT_CORE what children
 * inherit (prctl(2), core(5)).  Cannot fail in a way that would be worth refusing to run.
 */
void sck_process_harden(void);

#endif
