/* SPDX-License-Identifier: MIT */
/*
 * Moments to come, soonest first: a pairing heap (Fredman et al., 1986) whose nodes are the caller's, so that setting a
 * timer never fails.  Not locked.
 */
#ifndef SCK_VAULT_HTTP_TIMERS_H
#define SCK_VAULT_HTTP_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

/* Zero-fill.  Must not move while it is set. */
struct sck_timer {
    int64_t at_us;                              /* monotonic */
    bool set;
    struct sck_timer *child, *next, *prev;      /* prev: the left sibling, or the parent of a first child */
};

struct sck_timers {
    struct sck_timer *first;                    /* the soonest, or NULL */
};

/* Set it, or move it when it is set. */
void sck_timer_set(struct sck_timers *timers, struct sck_timer *timer, int64_t at_us);
/* Nothing happens when it is not set. */
void sck_timer_unset(struct sck_timers *timers, struct sck_timer *timer);
/* Take the soonest one off when it is due; else NULL. */
struct sck_timer *sck_timer_due(struct sck_timers *timers, int64_t now_us);

#endif
