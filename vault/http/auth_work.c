/* SPDX-License-Identifier: MIT */
#include "vault/http/auth.h"

#include "lib/base/exit.h"
#include "lib/base/log.h"
#include "lib/base/metric.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STACK_BYTES = 1024 * 1024 };

/* Series of logins[]. */
enum { LOGIN_OK, LOGIN_FAILED, RENEWAL_OK, RENEWAL_FAILED };

int64_t
sck_auth_now_us(const struct sck_auth *a)
{
    return sck_monotonic_us(a->remote->env.clock);
}

static uint32_t
any_32_bits(const struct sck_auth *a)
{
    return a->remote->env.random(a->remote->env.random_arg);
}

bool
sck_auth_is_same(const struct sck_secret *a, const struct sck_secret *b)
{
    return a != NULL && b != NULL && a->len == b->len && sck_ct_equal(a->data, b->data, a->len);
}

static void
show_ttl(const struct sck_auth *a)
{
    int64_t left = a->value != NULL ? sck_lease_left_s(&a->lease, sck_auth_now_us(a)) : 0;
    if (left >= 0)
        sck_metric_set(a->ttl, left);
}

void
sck_auth_lock(struct sck_auth *a)
{
    sck_forklock_take(&a->lock);
    if (a->pid == getpid())
        return;
    a->pid = getpid();
    (void)pthread_cond_init(&a->changed, NULL);
    a->has_thread = a->working = a->logging_in = a->wanted = false;
    a->waiting = NULL;
}

void
sck_auth_unlock(struct sck_auth *a)
{
    sck_forklock_give(&a->lock);
}

void
sck_auth_copy_locked(const struct sck_auth *a, struct sck_secret *copy)
{
    copy->len = a->value->len;
    memcpy(copy->data, a->value->data, copy->len);
    show_ttl(a);
}

/* ---- the thread ---- */

void
sck_auth_wait_locked(struct sck_auth *a, int64_t until_us)
{
    int64_t left_us = until_us == SCK_LEASE_NEVER ? 0 : until_us - sck_auth_now_us(a);
    if (until_us == SCK_LEASE_NEVER) {
        (void)sck_exit_cond_wait(&a->changed, &a->lock.mutex, NULL);
    } else if (left_us > 0) {
        struct timespec at = sck_deadline_after_ms((left_us + 999) / 1000);
        (void)sck_exit_cond_wait(&a->changed, &a->lock.mutex, &at);
    }
}

/* When there is something to do; in the past when it is now. */
static int64_t
due_locked(const struct sck_auth *a)
{
    if (a->working)
        return SCK_LEASE_NEVER;
    if (a->wanted)
        return 0;
    if (a->value == NULL || a->lease.next == SCK_LEASE_NOTHING)
        return SCK_LEASE_NEVER;
    return a->lease.next == SCK_LEASE_LOGIN && a->again_us > a->lease.act_us ? a->again_us : a->lease.act_us;
}

static void *
serve(void *arg)
{
    struct sck_auth *a = arg;
    bool stop = false;
    sck_exit_enter();
    while (!stop) {
        (void)sck_auth_step(a);
        sck_forklock_take(&a->lock);
        if (!a->stop && due_locked(a) > sck_auth_now_us(a))
            sck_auth_wait_locked(a, due_locked(a));
        stop = a->stop;
        sck_forklock_give(&a->lock);
    }
    sck_exit_leave();
    return NULL;
}

/* Signals are for the threads of the program around us. */
static bool
start_thread(struct sck_auth *a)
{
    sigset_t all, before;
    pthread_attr_t attr;
    if (!sck_exit_watch() || pthread_attr_init(&attr) != 0)
        return false;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&a->thread, &attr, serve, a) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return ok;
}

void
sck_auth_wake_locked(struct sck_auth *a)
{
    if (a->threaded && !a->stop && !a->has_thread)
        a->has_thread = start_thread(a);
    else
        (void)pthread_cond_broadcast(&a->changed);
}

void
sck_auth_thread_locked(struct sck_auth *a)
{
    if (!a->has_thread && a->lease.next != SCK_LEASE_NOTHING)
        sck_auth_wake_locked(a);
}

/* ---- logins ---- */

void
sck_auth_refusal_locked(struct sck_auth *a)
{
    a->refusals++;
    a->again_us = sck_auth_now_us(a) + sck_lease_backoff_ms(a->refusals, any_32_bits(a)) * 1000;
}

static void
store_locked(struct sck_auth *a, struct sck_auth_grant *grant, int64_t asked_us)
{
    struct sck_secret *old = a->value;
    a->value = grant->token;
    grant->token = old;
    a->value_pid = getpid();
    a->revocable = !grant->batch;
    atomic_store(&a->proved, false);
    sck_lease_begin(&a->lease, asked_us, grant->lease_s, grant->renewable, true, any_32_bits(a));
    a->again_us = 0;
    if (a->useless == 0)
        a->refusals = 0;
}

/* Tell the waiters, whom nobody else knows any more. */
static void
serve_waiters(struct sck_auth *a, struct sck_credential_waiter *first, enum sck_code code, const struct sck_err *why)
{
    for (struct sck_credential_waiter *w = first, *next; w != NULL; w = next) {
        struct sck_secret *copy = NULL;
        struct sck_err err = *why;
        enum sck_code rc = code;
        next = w->next;
        if (rc == SCK_OK)
            rc = sck_secret_new(SCK_AUTH_TOKEN_MAX, &copy, &err);
        if (rc == SCK_OK) {
            sck_auth_lock(a);
            if (a->value != NULL)
                sck_auth_copy_locked(a, copy);
            else
                rc = sck_fail(&err, SCK_E_CONNECT, "keeper vault: %s ended at once", a->what);
            sck_auth_unlock(a);
        }
        if (rc != SCK_OK)
            sck_secret_free(&copy);
        w->got(w, rc, copy, &err);
    }
}

void
sck_auth_login_locked(struct sck_auth *a)
{
    struct sck_auth_grant grant;
    struct sck_err err = SCK_ERR_INIT;
    int64_t asked_us = sck_auth_now_us(a);
    a->working = a->logging_in = true;
    a->wanted = a->asked = false;
    sck_auth_unlock(a);
    struct sck_auth_stamp proof = sck_auth_source_stamp(&a->proof);
    enum sck_code rc = sck_auth_login(a, &grant, &err);
    sck_metric_add(a->logins[rc == SCK_OK ? LOGIN_OK : LOGIN_FAILED], 1);
    /* While the breaker is open this would be said for each call. */
    if (rc != SCK_OK && (a->asked || rc != SCK_E_CONNECT))
        sck_log(SCK_LOG_ERROR, "vault.auth", "no login for %s: %s", a->what, err.message);
    sck_auth_lock(a);
    if (rc == SCK_OK)
        store_locked(a, &grant, asked_us);
    else if (a->value != NULL)
        sck_lease_failed(&a->lease, sck_auth_now_us(a), any_32_bits(a));
    if (rc != SCK_OK && a->asked && (rc == SCK_E_CREDENTIAL || rc == SCK_E_CONFIG))
        sck_auth_refusal_locked(a);
    a->refused_stamp = proof;
    a->why = err;
    a->working = a->logging_in = false;
    a->round++;
    show_ttl(a);
    struct sck_credential_waiter *first = a->waiting;
    a->waiting = NULL;
    (void)pthread_cond_broadcast(&a->changed);
    sck_auth_unlock(a);
    sck_auth_grant_clear(&grant);
    serve_waiters(a, first, rc, &err);
    sck_auth_lock(a);
}

/* ---- renewals ---- */

/* A token that cannot go on: whoever watches the log has until its end. */
static void
warn_of_end(struct sck_auth *a, int64_t left_s)
{
    if (left_s >= 0)
        sck_log(SCK_LOG_WARNING, "vault.auth", "%s cannot be renewed and ends in %lld s: put a new one in its place",
                a->what, (long long)left_s);
}

static void
note_renewal_locked(struct sck_auth *a, enum sck_auth_renewal how, const struct sck_auth_grant *grant, int64_t asked_us)
{
    uint32_t random = any_32_bits(a);
    switch (how) {
    case SCK_RENEWAL_DONE:
        sck_lease_renewed(&a->lease, asked_us, grant->lease_s, grant->renewable, random);
        break;
    case SCK_RENEWAL_NEVER:
        sck_lease_not_renewable(&a->lease, sck_auth_now_us(a), random);
        break;
    case SCK_RENEWAL_BAD_TOKEN:
        /* With a login there is a new one before anybody is refused; without, its next use says so. */
        a->lease.end_us = sck_auth_now_us(a);
        sck_lease_not_renewable(&a->lease, sck_auth_now_us(a), random);
        break;
    case SCK_RENEWAL_LATER:
        sck_lease_failed(&a->lease, sck_auth_now_us(a), random);
        break;
    }
}

/* Renew the token.  Locked before and after, not meanwhile. */
static void
renew_locked(struct sck_auth *a)
{
    struct sck_auth_grant grant;
    struct sck_secret *token = NULL;
    struct sck_err err = SCK_ERR_INIT;
    int64_t asked_us = sck_auth_now_us(a), left_s = -1;
    a->working = true;
    sck_auth_unlock(a);
    enum sck_auth_renewal how = SCK_RENEWAL_LATER;
    grant = (struct sck_auth_grant){.token = NULL};
    if (sck_secret_new(SCK_AUTH_TOKEN_MAX, &token, NULL) == SCK_OK) {
        sck_auth_lock(a);
        sck_auth_copy_locked(a, token);
        sck_auth_unlock(a);
        how = sck_auth_renew(a, token, &grant, &err);
    }
    sck_metric_add(a->logins[how == SCK_RENEWAL_DONE ? RENEWAL_OK : RENEWAL_FAILED], 1);
    bool login = sck_auth_method_logs_in(a->method);
    if (how == SCK_RENEWAL_NEVER && !login)
        left_s = sck_auth_ask_ttl(a, token);
    if (how != SCK_RENEWAL_DONE && err.code != SCK_OK)
        sck_log(SCK_LOG_INFO, "vault.auth", "%s was not renewed: %s", a->what, err.message);
    sck_auth_lock(a);
    if (sck_auth_is_same(a->value, token)) {
        note_renewal_locked(a, how, &grant, asked_us);
        if (left_s >= 0)
            a->lease.end_us = asked_us + left_s * 1000000;
        if (how == SCK_RENEWAL_DONE && a->lease.next == SCK_LEASE_NOTHING)
            left_s = sck_lease_left_s(&a->lease, sck_auth_now_us(a));
        show_ttl(a);
    }
    a->working = false;
    (void)pthread_cond_broadcast(&a->changed);
    sck_auth_unlock(a);
    sck_secret_free(&token);
    warn_of_end(a, left_s);
    sck_auth_lock(a);
}

int64_t
sck_auth_step(struct sck_auth *a)
{
    sck_auth_lock(a);
    while (!a->stop && due_locked(a) <= sck_auth_now_us(a)) {
        if (a->wanted || a->lease.next == SCK_LEASE_LOGIN)
            sck_auth_login_locked(a);
        else
            renew_locked(a);
    }
    int64_t due_us = due_locked(a);
    sck_auth_unlock(a);
    return due_us;
}

