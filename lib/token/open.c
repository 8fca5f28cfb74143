/* SPDX-License-Identifier: MIT */
/* Opening a token, and opening it again after a restart, a foreign C_Finalize or C_Logout, or a fork. */
#include "lib/token/own.h"
#include "lib/token/session.h"

#include "lib/base/clock.h"
#include "lib/base/file.h"
#include "lib/token/gate.h"
#include "lib/token/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the opener has found so far; published under the lock when it is done. */
struct opening {
    struct sck_token *t;
    enum sck_need need;
    enum sck_lost lost;         /* what must be made anew; grows when a step finds more gone */
    unsigned forks;
    struct sck_conn conn;
    CK_SLOT_ID slot;
    CK_TOKEN_INFO info;
    CK_SESSION_HANDLE internal;
    bool opened_internal;
    bool claimed;               /* the internal session of before is ours */
    bool logged_in;
    bool keys;
    struct sck_own *own;        /* owned */
};

void
sck_token_note_lost(struct sck_token *t, const struct sck_use *use, CK_RV rv)
{
    enum sck_lost lost = sck_rv_lost(rv);
    if (lost == SCK_LOST_NOTHING)
        return;
    if (lost == SCK_LOST_MODULE)
        sck_module_lost(use->conn.module, use->conn.generation);
    else if (rv == CKR_SESSION_HANDLE_INVALID)
        sck_module_shared(use->conn.module, use->conn.generation);
    pthread_mutex_lock(&t->lock);
    if (t->state == SCK_TOKEN_OPEN && use->incarnation == t->incarnation) {
        t->state = SCK_TOKEN_COLD;
        t->lost = lost;
        sck_session_wake_all(t);
    }
    pthread_mutex_unlock(&t->lock);
}

void
sck_token_forked(struct sck_token *t)
{
    t->changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    t->forks++;
    if (t->state != SCK_TOKEN_CLOSED)
        t->state = SCK_TOKEN_COLD;
    t->lost = SCK_LOST_MODULE;
    t->incarnation++;
    t->sessions_age++;
    t->internal = CK_INVALID_HANDLE;
    t->internal_busy = false;
    t->internal_queue = t->worker_queue = (struct sck_queue){NULL, NULL};
    t->idle_count = t->worker_count = t->parked_count = 0;
    t->object_count = 0;
    t->logged_in = false;
    /* Taken before the fork by the thread that made it, which is the one that goes on here. */
    pthread_mutex_unlock(&t->lock);
}

static enum sck_code
open_module(struct opening *o, struct sck_err *err)
{
    struct sck_token *t = o->t;
    enum sck_code rc = SCK_OK;
    unsigned long generation = 0;
    if (o->conn.module == NULL) {
        struct sck_module *m = NULL;
        rc = sck_module_load(t->conf.module_path, &m, err);
        if (rc != SCK_OK)
            return rc;
        sck_module_use(m);
        o->conn = sck_conn_of(m, 0);
        pthread_mutex_lock(&t->lock);
        t->conn = o->conn;
        pthread_mutex_unlock(&t->lock);
    }
    rc = sck_module_ensure(o->conn.module, t->conf.module_env, &generation, err);
    if (rc == SCK_OK && generation != o->conn.generation) {
        o->conn = sck_conn_of(o->conn.module, generation);
        o->lost = SCK_LOST_MODULE;
    }
    return rc;
}

static enum sck_code
open_slot(struct opening *o, struct sck_err *err)
{
    bool absent = false;
    struct sck_err first = SCK_ERR_INIT;
    enum sck_code rc = sck_slot_find(&o->t->conf, &o->conn, &o->slot, &o->info, &absent, &first);
    /* Some modules see a token that came back only after they are initialised anew. */
    if (rc != SCK_OK && absent && o->t->was_open && sck_module_restart(o->conn.module)) {
        sck_err_clear(&first);
        rc = open_module(o, &first);
        if (rc == SCK_OK)
            rc = sck_slot_find(&o->t->conf, &o->conn, &o->slot, &o->info, &absent, &first);
    }
    if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = first;
    return rc;
}

static enum sck_code
open_internal(struct opening *o, struct sck_err *err)
{
    CK_RV rv = sck_session_open_raw(o->t, &o->conn, o->slot, &o->internal);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "opening a session on token %s", o->t->conf.label);
    o->opened_internal = true;
    return SCK_OK;
}

/* Forget the sessions of before: those that may be open still are parked.  With t->lock held. */
static void
drop_sessions(struct sck_token *t, enum sck_lost lost)
{
    if (lost == SCK_LOST_MODULE)
        t->parked_count = 0;
    for (unsigned i = 0; lost != SCK_LOST_MODULE && i < t->idle_count; i++) {
        if (t->parked_count < SCK_PARKED_MAX)
            t->parked[t->parked_count++] = t->idle[i];
    }
    if (lost != SCK_LOST_MODULE && t->internal != CK_INVALID_HANDLE && t->parked_count < SCK_PARKED_MAX)
        t->parked[t->parked_count++] = t->internal;
    t->internal = CK_INVALID_HANDLE;
    t->internal_busy = false;
    t->idle_count = t->worker_count = 0;
    t->sessions_age++;
    sck_session_wake_all(t);
}

/* The internal session may still be in use by a thread that has not noticed yet; it never waits for us. */
static enum sck_code
claim_internal(struct opening *o, struct sck_err *err)
{
    struct sck_token *t = o->t;
    struct timespec until = sck_deadline_after_ms(t->conf.session_wait_ms);
    enum sck_code rc = SCK_OK;
    pthread_mutex_lock(&t->lock);
    while (rc == SCK_OK && t->internal_busy) {
        if (pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT && t->internal_busy)
            rc = sck_fail(err, SCK_E_BUSY, "a call on token %s does not return: check the token", t->conf.label);
    }
    if (rc == SCK_OK)
        o->claimed = t->internal_busy = true;
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/* Everything that reads what the store says of the token itself, up to the PIN. */
static enum sck_code
open_before_login(struct opening *o, struct sck_err *err)
{
    struct sck_token *t = o->t;
    enum sck_code rc = open_module(o, err);
    if (rc != SCK_OK)
        return rc;
    if (o->lost >= SCK_LOST_SESSIONS) {
        pthread_mutex_lock(&t->lock);
        drop_sessions(t, o->lost);
        pthread_mutex_unlock(&t->lock);
        rc = open_slot(o, err);
        if (rc == SCK_OK)
            rc = open_internal(o, err);
    }
    return rc;
}

static enum sck_code
open_steps(struct opening *o, struct sck_err *err)
{
    struct sck_token *t = o->t;
    int lock = -1;
    sck_login_lock(&t->conf, &lock);
    enum sck_code rc = open_before_login(o, err);
    sck_lock_release(&lock);
    if (rc == SCK_OK && o->lost < SCK_LOST_SESSIONS && !o->claimed)
        rc = claim_internal(o, err);
    if (rc == SCK_OK && o->lost >= SCK_LOST_LOGIN && t->conf.pin != NULL)
        rc = sck_login(t, &o->conn, o->slot, o->internal, &o->logged_in, err);
    if (rc == SCK_OK && o->need == SCK_NEED_KEYS) {
        rc = sck_own_find(t, &o->conn, o->internal, o->own, err);
        if (rc == SCK_OK)
            rc = sck_own_verify(t, &o->conn, o->internal, o->own, NULL, NULL, err);
        o->keys = rc == SCK_OK;
    }
    return rc;
}

/* With t->lock held. */
static void
publish(struct opening *o, enum sck_code rc)
{
    struct sck_token *t = o->t;
    bool usable = o->internal != CK_INVALID_HANDLE && (o->logged_in || t->conf.pin == NULL);
    t->conn = o->conn;
    if (!usable) {
        t->state = SCK_TOKEN_COLD;
        t->lost = SCK_LOST_SESSIONS > o->lost ? SCK_LOST_SESSIONS : o->lost;
        return;
    }
    t->slot = o->slot;
    t->info = o->info;
    t->internal = o->internal;
    t->internal_busy = false;
    t->logged_in = o->logged_in;
    if (o->lost != SCK_LOST_NOTHING)
        t->incarnation++;
    if (o->lost >= SCK_LOST_SESSIONS)
        t->worker_limit = t->conf.max_sessions - 1;
    t->bare = !o->keys;
    if (o->keys) {
        memcpy(t->objects, o->own->objects, sizeof t->objects);
        t->object_count = o->own->count;
        t->complete = o->own->complete;
    }
    t->was_open = true;
    t->lost = SCK_LOST_NOTHING;
    t->state = SCK_TOKEN_OPEN;
    (void)rc;
}

/* One attempt after another until nothing more is found lost; t->state is OPENING and ours. */
static enum sck_code
open_as_opener(struct opening *o, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    struct sck_err local = SCK_ERR_INIT;
    for (int attempt = 0; attempt < 3; attempt++) {
        sck_err_clear(&local);
        rc = open_steps(o, &local);
        enum sck_lost more = rc == SCK_OK ? SCK_LOST_NOTHING : sck_rv_lost(local.rv);
        if (more == SCK_LOST_NOTHING)
            break;
        if (more == SCK_LOST_MODULE)
            sck_module_lost(o->conn.module, o->conn.generation);
        o->lost = more > o->lost ? more : o->lost;
        if (o->opened_internal)
            (void)SCK_P11(&o->conn, C_CloseSession, o->internal);
        if (o->lost >= SCK_LOST_SESSIONS)
            o->internal = CK_INVALID_HANDLE;
        o->opened_internal = o->logged_in = false;
    }
    if (rc != SCK_OK && o->opened_internal && !o->logged_in && o->t->conf.pin != NULL) {
        (void)SCK_P11(&o->conn, C_CloseSession, o->internal);
        o->internal = CK_INVALID_HANDLE;
    }
    if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = local;
    return rc;
}

static enum sck_code
wait_for_opener(struct sck_token *t, const struct timespec *until, struct sck_err *err)
{
    if (pthread_equal(t->opener, pthread_self()))
        return sck_fail(err, SCK_E_STATE, "token %s was used from within its own PIN callback: get the PIN elsewhere",
                        t->conf.label);
    if (pthread_cond_clockwait(&t->changed, &t->lock, CLOCK_MONOTONIC, until) == ETIMEDOUT)
        return sck_fail(err, SCK_E_BUSY, "token %s is being opened by another thread (does it wait for a PIN?)",
                        t->conf.label);
    return SCK_OK;
}

/* Become the opener (SCK_OK, *mine), find it open (SCK_OK), or fail.  With t->lock held. */
static enum sck_code
become_opener(struct sck_token *t, enum sck_need need, bool *mine, struct sck_err *err)
{
    struct timespec until = sck_deadline_after_ms(t->conf.session_wait_ms);
    enum sck_code rc = SCK_OK;
    *mine = false;
    while (rc == SCK_OK && t->state == SCK_TOKEN_OPENING)
        rc = wait_for_opener(t, &until, err);
    if (rc != SCK_OK)
        return rc;
    if (t->state == SCK_TOKEN_CLOSED)
        return sck_fail(err, SCK_E_STATE, "token %s was closed", t->conf.label);
    if (t->state == SCK_TOKEN_OPEN && !(need == SCK_NEED_KEYS && t->bare))
        return SCK_OK;
    t->state = SCK_TOKEN_OPENING;
    t->opener = pthread_self();
    *mine = true;
    return SCK_OK;
}

enum sck_code
sck_token_open(struct sck_token *t, enum sck_need need, struct sck_err *err)
{
    struct sck_own *own = calloc(1, sizeof *own);
    bool mine = true, forked = true;
    enum sck_code rc = own == NULL ? sck_fail(err, SCK_E_MEMORY, "out of memory") : SCK_OK;
    while (rc == SCK_OK && mine && forked) {
        struct sck_err local = SCK_ERR_INIT;
        pthread_mutex_lock(&t->lock);
        rc = become_opener(t, need, &mine, err);
        struct opening o = {.t = t, .need = need, .lost = t->lost, .forks = t->forks, .conn = t->conn, .slot = t->slot,
                            .info = t->info, .internal = t->internal, .logged_in = t->logged_in, .own = own};
        pthread_mutex_unlock(&t->lock);
        if (rc != SCK_OK || !mine)
            break;
        rc = open_as_opener(&o, &local);
        pthread_mutex_lock(&t->lock);
        /* A child that was born in the PIN callback has nothing of what we did: begin again. */
        forked = t->forks != o.forks;
        if (!forked) {
            publish(&o, rc);
            pthread_cond_broadcast(&t->changed);
            sck_session_wake_all(t);
        }
        pthread_mutex_unlock(&t->lock);
        if (forked)
            rc = SCK_OK;
        else if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
            *err = local;
    }
    free(own);
    return rc;
}
