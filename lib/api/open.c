/* SPDX-License-Identifier: MIT */
/* Opening and closing a set-up, and what becomes of it in a child of fork(). */
#include "lib/api/api.h"

#include "lib/base/exit.h"
#include "lib/base/fork.h"

#include <stdlib.h>
#include <string.h>

/* All that are open, so that forks find their locks free. */
static struct {
    pthread_mutex_t lock;
    struct scopekey *first;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
fork_prepare(void)
{
    pthread_mutex_lock(&all.lock);
    for (struct scopekey *s = all.first; s != NULL; s = s->next)
        sck_pool_lock(&s->pool);
}

static void
fork_parent(void)
{
    for (struct scopekey *s = all.first; s != NULL; s = s->next)
        sck_pool_unlock(&s->pool);
    pthread_mutex_unlock(&all.lock);
}

static void
fork_child(void)
{
    for (struct scopekey *s = all.first; s != NULL; s = s->next)
        sck_pool_unlock_in_child(&s->pool);
    pthread_mutex_unlock(&all.lock);
}

static void
enlist(struct scopekey *s)
{
    (void)sck_fork_register(SCK_FORK_API, fork_prepare, fork_parent, fork_child);
    pthread_mutex_lock(&all.lock);
    s->next = all.first;
    all.first = s;
    pthread_mutex_unlock(&all.lock);
}

static void
strike_off(const struct scopekey *s)
{
    pthread_mutex_lock(&all.lock);
    struct scopekey **at = &all.first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&all.lock);
}

struct scopekey *
sck_scopekey_ref(struct scopekey *scopekey)
{
    atomic_fetch_add(&scopekey->refs, 1);
    return scopekey;
}

void
sck_scopekey_unref(struct scopekey *scopekey)
{
    if (atomic_fetch_sub(&scopekey->refs, 1) != 1)
        return;
    strike_off(scopekey);
    sck_pool_clear(&scopekey->pool);
    free(scopekey);
}

/* The set-up may be shared and outlive whoever gave the callback: what it is called with is never freed. */
struct asker {
    struct asker *next;
    scopekey_pin_fn pin;
    void *arg;
};

static enum sck_code
ask(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    enum { PIN_MAX = 256 };
    const struct asker *asker = arg;
    enum sck_code rc = sck_secret_new(PIN_MAX, pin, err);
    if (rc != SCK_OK)
        return rc;
    (*pin)->len = asker->pin(asker->arg, again, (char *)(*pin)->data, PIN_MAX);
    if ((*pin)->len > 0 && (*pin)->len <= PIN_MAX)
        return SCK_OK;
    sck_secret_free(pin);
    return sck_fail(err, SCK_E_CREDENTIAL, "no PIN was given");
}

static struct asker *
asker_of(const struct scopekey_options *o)
{
    static struct asker *first;
    pthread_mutex_lock(&all.lock);
    struct asker *a = first;
    while (a != NULL && (a->pin != o->pin || a->arg != o->pin_arg))
        a = a->next;
    if (a == NULL && (a = calloc(1, sizeof *a)) != NULL) {
        *a = (struct asker){first, o->pin, o->pin_arg};
        first = a;
    }
    pthread_mutex_unlock(&all.lock);
    return a;
}

/* Options of a caller that was compiled with another version: fields that are unknown here must be zero. */
static enum sck_code
read_options(const struct scopekey_options *given, struct scopekey_options *out, struct sck_err *err)
{
    *out = (struct scopekey_options)SCOPEKEY_OPTIONS_INIT;
    if (given == NULL)
        return SCK_OK;
    if (given->size < sizeof *out)
        return sck_fail(err, SCK_E_USAGE, "scopekey_open: the options' size is %zu: start from SCOPEKEY_OPTIONS_INIT",
                        given->size);
    for (size_t i = sizeof *out; i < given->size; i++) {
        if (((const uint8_t *)given)[i] != 0)
            return sck_fail(err, SCK_E_UNSUPPORTED, "scopekey_open: an option is newer than this library");
    }
    memcpy(out, given, sizeof *out);
    return SCK_OK;
}

enum scopekey_code
scopekey_open(const struct scopekey_options *options, struct scopekey **out, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct scopekey_options o;
    struct scopekey *s = NULL;
    sck_api_begin(error);
    if (out == NULL)
        return sck_api_null(error, "scopekey_open");
    *out = NULL;
    enum sck_code rc = read_options(options, &o, &err);
    if (rc != SCK_OK)
        return sck_api_fail(error, rc, &err);
    struct sck_open how = {.conf_path = o.configuration, .scopes = o.scopes, .auto_provision = o.auto_provision != 0};
    if (o.pin != NULL) {
        how.ask_pin = ask;
        how.ask_pin_arg = asker_of(&o);
    }
    s = calloc(1, sizeof *s);
    if (s == NULL || (o.pin != NULL && how.ask_pin_arg == NULL))
        rc = sck_fail(&err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_service_open(&how, &s->service, &err);
    if (rc == SCK_OK)
        rc = sck_pool_init(&s->pool, (size_t)sck_service_conf(s->service)->threads, o.dispatch != 0, &err);
    if (rc != SCK_OK) {
        if (s != NULL)
            sck_service_close(&s->service);
        free(s);
        return sck_api_fail(error, rc, &err);
    }
    atomic_init(&s->refs, 1);
    enlist(s);
    *out = s;
    return SCOPEKEY_OK;
}

void
scopekey_close(struct scopekey **scopekey)
{
    if (scopekey == NULL || *scopekey == NULL)
        return;
    struct scopekey *s = *scopekey;
    *scopekey = NULL;
    /* From an exit handler after ours: our threads sleep, with all that they use. */
    if (sck_exit_is_under_way())
        return;
    sck_pool_close(&s->pool);
    sck_service_close(&s->service);
    sck_scopekey_unref(s);
}

int
scopekey_descriptor(const struct scopekey *scopekey)
{
    return scopekey == NULL ? -1 : scopekey->pool.event_fd;
}

size_t
scopekey_dispatch(struct scopekey *scopekey, size_t most)
{
    return scopekey == NULL ? 0 : sck_pool_dispatch(&scopekey->pool, most);
}
