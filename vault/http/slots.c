/* SPDX-License-Identifier: MIT */
#include "vault/http/slots.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static void
slot_free(struct sck_slot *slot)
{
    (void)curl_multi_cleanup(slot->multi);
    free(slot);
}

/* In a child: leave behind what the parent had.  Returns the idle slots for sweep(). */
static struct sck_slot *
disinherit_locked(struct sck_slots *slots)
{
    struct sck_slot *idle = slots->idle;
    for (struct sck_slot *s = idle; s != NULL; s = s->next_idle) {
        *(s->prev != NULL ? &s->prev->next : &slots->all) = s->next;
        if (s->next != NULL)
            s->next->prev = s->prev;
    }
    /* The rest was in use by a thread that is not here: its state is unknown, so it is only silenced. */
    for (struct sck_slot *s = slots->all, *next; s != NULL; s = next) {
        next = s->next;
        sck_sockets_silence(&s->sockets);
        s->next = slots->lost;
        slots->lost = s;
    }
    slots->all = NULL;
    slots->idle = NULL;
    slots->idle_count = 0;
    slots->pid = getpid();
    return idle;
}

static void
sweep(struct sck_slot *idle)
{
    while (idle != NULL) {
        struct sck_slot *next = idle->next_idle;
        sck_sockets_silence(&idle->sockets);
        slot_free(idle);
        idle = next;
    }
}

void
sck_slots_init(struct sck_slots *slots, const struct sck_sockets *like)
{
    slots->like = *like;
    sck_forklock_init(&slots->lock);
    slots->pid = getpid();
    slots->idle = slots->all = slots->lost = NULL;
    slots->idle_count = 0;
}

void
sck_slots_clear(struct sck_slots *slots)
{
    sck_forklock_take(&slots->lock);
    struct sck_slot *inherited = slots->pid != getpid() ? disinherit_locked(slots) : NULL;
    struct sck_slot *idle = slots->idle;
    slots->idle = NULL;
    sck_forklock_give(&slots->lock);
    sweep(inherited);
    while (idle != NULL) {
        struct sck_slot *next = idle->next_idle;
        slot_free(idle);
        idle = next;
    }
    while (slots->lost != NULL) {
        struct sck_slot *next = slots->lost->next;
        free(slots->lost);
        slots->lost = next;
    }
    sck_forklock_clear(&slots->lock);
}

static struct sck_slot *
slot_new(struct sck_slots *slots)
{
    struct sck_slot *slot = calloc(1, sizeof *slot);
    if (slot == NULL)
        return NULL;
    slot->multi = curl_multi_init();
    if (slot->multi == NULL) {
        free(slot);
        return NULL;
    }
    slot->sockets = slots->like;
    slot->sockets.fds = slot->fds;
    slot->sockets.cap = SCK_SLOT_SOCKETS;
    (void)curl_multi_setopt(slot->multi, CURLMOPT_MAXCONNECTS, 2L);
    sck_forklock_take(&slots->lock);
    slot->next = slots->all;
    if (slots->all != NULL)
        slots->all->prev = slot;
    slots->all = slot;
    sck_forklock_give(&slots->lock);
    return slot;
}

struct sck_slot *
sck_slot_take(struct sck_slots *slots)
{
    sck_forklock_take(&slots->lock);
    struct sck_slot *inherited = slots->pid != getpid() ? disinherit_locked(slots) : NULL;
    struct sck_slot *slot = slots->idle;
    if (slot != NULL) {
        slots->idle = slot->next_idle;
        slots->idle_count--;
    }
    sck_forklock_give(&slots->lock);
    sweep(inherited);
    return slot != NULL ? slot : slot_new(slots);
}

void
sck_slot_give(struct sck_slots *slots, struct sck_slot *slot)
{
    sck_forklock_take(&slots->lock);
    bool keep = slots->idle_count < SCK_SLOTS_IDLE_MAX;
    if (keep) {
        slot->next_idle = slots->idle;
        slots->idle = slot;
        slots->idle_count++;
    } else {
        *(slot->prev != NULL ? &slot->prev->next : &slots->all) = slot->next;
        if (slot->next != NULL)
            slot->next->prev = slot->prev;
    }
    sck_forklock_give(&slots->lock);
    if (!keep)
        slot_free(slot);
}
