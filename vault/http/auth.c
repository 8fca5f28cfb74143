/* SPDX-License-Identifier: MIT */
#include "vault/http/auth.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of a given token: a process that lives shorter never asks for it. */
enum { FIRST_RENEWAL_MS = 1000 };

/* Read a given token again when its file changed, or when `refused` is what it held. */
static enum sck_code
take_given(struct sck_auth *a, const struct sck_secret *refused, struct sck_secret *copy, struct sck_err *err)
{
    struct sck_secret *read = NULL;
    struct sck_auth_stamp stamp = sck_auth_source_stamp(&a->token);
    bool live = sck_auth_source_is_live(&a->token);
    sck_auth_lock(a);
    bool bad = refused != NULL && sck_auth_is_same(a->value, refused);
    bool fresh = a->value != NULL && !bad && (!live || sck_auth_stamp_is_same(&stamp, &a->token_stamp));
    bool spent = a->value != NULL && bad && !live;
    if (fresh) {
        sck_auth_copy_locked(a, copy);
        sck_auth_thread_locked(a);
    }
    sck_auth_unlock(a);
    if (fresh)
        return SCK_OK;
    /* There is no other: the server's own words say it best. */
    if (spent)
        return SCK_E_CREDENTIAL;
    enum sck_code rc = sck_auth_source_read(&a->token, &read, err);
    if (rc != SCK_OK)
        return rc;
    sck_auth_lock(a);
    bool other = !sck_auth_is_same(a->value, read);
    struct sck_secret *old = a->value;
    a->value = read;
    a->token_stamp = stamp;
    if (other) {
        bool batch = read->len > 4 && (memcmp(read->data, "b.", 2) == 0 || memcmp(read->data, "hvb.", 4) == 0);
        sck_lease_begin_unknown(&a->lease, sck_auth_now_us(a), FIRST_RENEWAL_MS, false);
        if (a->method == SCK_AUTH_AGENT || batch)
            sck_lease_not_renewable(&a->lease, sck_auth_now_us(a), 0);
        sck_auth_thread_locked(a);
    }
    bool refused_again = refused != NULL && sck_auth_is_same(a->value, refused);
    sck_auth_copy_locked(a, copy);
    sck_auth_unlock(a);
    sck_secret_free(&old);
    return refused_again ? SCK_E_CREDENTIAL : SCK_OK;
}

enum sck_have { HAVE_TOKEN, HAVE_NONE_YET, HAVE_REFUSAL };

/* Is there a token to use?  Takes note of one that was refused. */
static enum sck_have
look_locked(struct sck_auth *a, const struct sck_secret *refused, const struct sck_auth_stamp *proof)
{
    int64_t now = sck_auth_now_us(a);
    if (refused != NULL && now < a->lease.end_us && sck_auth_is_same(a->value, refused)) {
        a->useless = atomic_load(&a->proved) ? 0 : a->useless + 1;
        a->lease.end_us = now;
        a->lease.next = SCK_LEASE_NOTHING;
        if (a->useless > 1) {
            sck_auth_refusal_locked(a);
            a->refused_stamp = *proof;
            a->why = (struct sck_err)SCK_ERR_INIT;
            (void)sck_fail(&a->why, SCK_E_CREDENTIAL, "keeper vault: the server refuses tokens that it just gave: %s",
                           "look at its log, and at the role's token_bound_cidrs and token_num_uses");
        }
    }
    if (a->value != NULL && now < a->lease.end_us)
        return HAVE_TOKEN;
    /* A corrected secret id need not wait. */
    if (now < a->again_us && sck_auth_stamp_is_same(proof, &a->refused_stamp))
        return HAVE_REFUSAL;
    return HAVE_NONE_YET;
}

/* What the last login failed for, and when the next one may be. */
static enum sck_code
tell_refusal(const struct sck_auth *a, const struct sck_err *why, int64_t again_us, struct sck_err *err)
{
    long long wait_s = (again_us - sck_auth_now_us(a) + 999999) / 1000000;
    return sck_fail(err, SCK_E_CREDENTIAL, "%s; no other login before %lld s have passed", why->message,
                    wait_s > 0 ? wait_s : 0);
}

/* Wait for one login to end; false when the deadline came first. */
static bool
await_login_locked(struct sck_auth *a, int64_t deadline_us)
{
    uint64_t round = a->round;
    a->wanted = a->wanted || !a->logging_in;
    sck_auth_wake_locked(a);
    while (a->round == round && !a->stop) {
        if (sck_auth_now_us(a) >= deadline_us)
            return false;
        if (!a->working && !a->has_thread)
            sck_auth_login_locked(a);
        else
            sck_auth_wait_locked(a, deadline_us);
    }
    return true;
}

static enum sck_code
take_login(struct sck_auth *a, const struct sck_secret *refused, int64_t deadline_us, struct sck_secret *copy,
           struct sck_err *err)
{
    struct sck_auth_stamp proof = sck_auth_source_stamp(&a->proof);
    bool in_time = true;
    sck_auth_lock(a);
    enum sck_have have = look_locked(a, refused, &proof);
    if (have == HAVE_NONE_YET) {
        in_time = await_login_locked(a, deadline_us);
        have = a->value != NULL && sck_auth_now_us(a) < a->lease.end_us ? HAVE_TOKEN : HAVE_NONE_YET;
    }
    if (have == HAVE_TOKEN) {
        sck_auth_copy_locked(a, copy);
        sck_auth_thread_locked(a);
    }
    struct sck_err why = a->why;
    int64_t again_us = a->again_us;
    sck_auth_unlock(a);
    if (have == HAVE_TOKEN)
        return SCK_OK;
    if (have == HAVE_REFUSAL)
        return tell_refusal(a, &why, again_us, err);
    if (!in_time || why.code == SCK_OK)
        return sck_fail(err, SCK_E_CONNECT, "keeper vault: the login for %s takes too long: try again later", a->what);
    return sck_fail(err, why.code, "%s", why.message);
}

static enum sck_code
auth_get(struct sck_credential *c, const struct sck_secret *refused, int64_t deadline_us, struct sck_secret **value,
         struct sck_err *err)
{
    struct sck_auth *a = sck_auth_of(c);
    enum sck_code rc = sck_secret_new(SCK_AUTH_TOKEN_MAX, value, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_auth_method_logs_in(a->method) ? take_login(a, refused, deadline_us, *value, err)
                                            : take_given(a, refused, *value, err);
    if (rc != SCK_OK)
        sck_secret_free(value);
    return rc;
}

/* Wait for a login, unless there is a token, or none to be had, by now. */
static bool
enqueue(struct sck_auth *a, const struct sck_secret *refused, struct sck_credential_waiter *w)
{
    struct sck_auth_stamp proof = sck_auth_source_stamp(&a->proof);
    sck_auth_lock(a);
    bool wait = look_locked(a, refused, &proof) == HAVE_NONE_YET;
    if (wait) {
        a->wanted = a->wanted || !a->logging_in;
        sck_auth_wake_locked(a);
        wait = a->has_thread;
    }
    if (wait) {
        w->prev = NULL;
        w->next = a->waiting;
        if (w->next != NULL)
            w->next->prev = w;
        a->waiting = w;
    }
    sck_auth_unlock(a);
    return wait;
}

static void
auth_want(struct sck_credential *c, const struct sck_secret *refused, struct sck_credential_waiter *waiter)
{
    struct sck_auth *a = sck_auth_of(c);
    struct sck_secret *value = NULL;
    struct sck_err err = SCK_ERR_INIT;
    if (sck_auth_method_logs_in(a->method) && enqueue(a, refused, waiter))
        return;
    enum sck_code rc = auth_get(c, refused, waiter->deadline_us, &value, &err);
    waiter->got(waiter, rc, value, &err);
}

static bool
auth_unwant(struct sck_credential *c, struct sck_credential_waiter *waiter)
{
    struct sck_auth *a = sck_auth_of(c);
    sck_auth_lock(a);
    struct sck_credential_waiter *w = a->waiting;
    while (w != NULL && w != waiter)
        w = w->next;
    if (w != NULL) {
        *(w->prev != NULL ? &w->prev->next : &a->waiting) = w->next;
        if (w->next != NULL)
            w->next->prev = w->prev;
    }
    sck_auth_unlock(a);
    return w != NULL;
}

int64_t
sck_auth_left_s(struct sck_auth *a)
{
    sck_auth_lock(a);
    int64_t left_s = a->value != NULL ? sck_lease_left_s(&a->lease, sck_auth_now_us(a)) : 0;
    sck_auth_unlock(a);
    return left_s;
}

/* Let the thread end.  A request of its own that is under way is waited for. */
static void
stop_thread(struct sck_auth *a)
{
    sck_auth_lock(a);
    bool mine = a->has_thread;
    a->stop = true;
    (void)pthread_cond_broadcast(&a->changed);
    sck_auth_unlock(a);
    if (mine)
        (void)pthread_join(a->thread, NULL);
}

static void
auth_proved(struct sck_credential *c, const struct sck_secret *value)
{
    struct sck_auth *a = sck_auth_of(c);
    if (atomic_load(&a->proved))
        return;
    sck_auth_lock(a);
    if (sck_auth_is_same(a->value, value))
        atomic_store(&a->proved, true);
    sck_auth_unlock(a);
}

static void
auth_clear(struct sck_credential *c)
{
    struct sck_auth *a = sck_auth_of(c);
    stop_thread(a);
    if (a->value != NULL && a->revocable && a->value_pid == getpid() && sck_auth_now_us(a) < a->lease.end_us)
        sck_auth_revoke(a, a->value);
    sck_secret_free(&a->value);
    sck_secret_free(&a->secret_id);
    (void)pthread_cond_destroy(&a->changed);
    sck_forklock_clear(&a->lock);
    for (size_t i = 0; i < a->owned_count; i++)
        free(a->owned[i]);
    free(a);
    c->own = NULL;
}

const struct sck_credential_ops sck_auth_ops = {auth_get, auth_want, auth_unwant, auth_proved, auth_clear};
