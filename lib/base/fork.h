/* SPDX-License-Identifier: MIT */
/*
 * What happens around fork(), in one place and one order.  Before a fork the rooms take their locks from the doors down
 * to the base, which is the order in which locks may nest (ARCHITECTURE.md); afterwards they give them back, base first.
 */
#ifndef SCK_BASE_FORK_H
#define SCK_BASE_FORK_H

#include <stdbool.h>

/* Outermost first: a thread that holds a lock of one rank may take locks of later ranks only. */
enum sck_fork_rank {
    SCK_FORK_PKCS11,
    SCK_FORK_DOOR,
    SCK_FORK_API,
    SCK_FORK_SERVICE,
    SCK_FORK_KEEPER,
    SCK_FORK_CATALOG,
    SCK_FORK_TOKEN,
    SCK_FORK_SECRET,
    SCK_FORK_RANDOM,
    SCK_FORK_METRIC,
    SCK_FORK_EXIT,
    SCK_FORK_RANKS
};

/*
 * Have `prepare` called before each fork of this process, `parent` and `child` after it, in the thread that forks.
 * One set of handlers per rank; a second call for a rank changes nothing, so that it may be made at every use.
 * False when the C library has no memory for it.
 */
bool sck_fork_register(enum sck_fork_rank rank, void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
