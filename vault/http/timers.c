/* SPDX-License-Identifier: MIT */
#include "vault/http/timers.h"

#include <stddef.h>

/* Two heaps in one; either may be NULL. */
static struct sck_timer *
meld(struct sck_timer *a, struct sck_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (b->at_us < a->at_us) {
        struct sck_timer *other = a;
        a = b;
        b = other;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    a->prev = a->next = NULL;
    return a;
}

/* One heap of a node's children: in pairs from the left, then all of these from the right. */
static struct sck_timer *
meld_children(struct sck_timer *child)
{
    struct sck_timer *pairs = NULL, *all = NULL;
    while (child != NULL) {
        struct sck_timer *a = child, *b = child->next;
        child = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL)
            b->next = b->prev = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct sck_timer *next = pairs->next;
        pairs->next = NULL;
        all = meld(all, pairs);
        pairs = next;
    }
    return all;
}

void
sck_timer_unset(struct sck_timers *timers, struct sck_timer *t)
{
    if (!t->set)
        return;
    struct sck_timer *below = meld_children(t->child);
    if (t == timers->first) {
        timers->first = below;
    } else {
        *(t->prev->child == t ? &t->prev->child : &t->prev->next) = t->next;
        if (t->next != NULL)
            t->next->prev = t->prev;
        timers->first = meld(timers->first, below);
    }
    t->set = false;
    t->child = t->next = t->prev = NULL;
}

void
sck_timer_set(struct sck_timers *timers, struct sck_timer *t, int64_t at_us)
{
    sck_timer_unset(timers, t);
    t->at_us = at_us;
    t->set = true;
    t->child = t->next = t->prev = NULL;
    timers->first = meld(timers->first, t);
}

struct sck_timer *
sck_timer_due(struct sck_timers *timers, int64_t now_us)
{
    struct sck_timer *t = timers->first;
    if (t == NULL || t->at_us > now_us)
        return NULL;
    sck_timer_unset(timers, t);
    return t;
}
