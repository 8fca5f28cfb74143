/* SPDX-License-Identifier: MIT */
#include "tests/api/api_test.h"

#include <unistd.h>

struct scopekey *
api_open(struct home *home, const char *more, int dispatch)
{
    struct scopekey *sk = NULL;
    struct scopekey_error *error = scopekey_error_new();
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    home_make(home);
    FILE *conf = fopen(home->conf, "a");
    assert_non_null(conf);
    assert_true(fputs(more, conf) >= 0 && fclose(conf) == 0);
    options.configuration = home->conf;
    options.dispatch = dispatch;
    OK(scopekey_open(&options, &sk, error));
    OK(scopekey_subject_ensure(sk, "alice", NULL, error));
    OK(scopekey_subject_ensure(sk, "bob", NULL, error));
    scopekey_error_free(&error);
    return sk;
}

struct parts
api_make(struct scopekey *sk, const char *subject)
{
    struct parts p = {0};
    struct scopekey_error *error = scopekey_error_new();
    OK(scopekey_encryption_keys_for(sk, subject, NULL, &p.m, error));
    p.wrapped = scopekey_material_wrapped(p.m, &p.wrapped_len);
    p.context = scopekey_material_context(p.m, &p.context_len);
    scopekey_error_free(&error);
    return p;
}

/* ---- the keeper ---- */

struct fake_job {
    struct fake_job *next;
    struct sck_keeper_work *work;
    bool cancelled;
};

static struct fake *
of(struct sck_keeper *keeper)
{
    return (struct fake *)(void *)keeper;
}

static enum sck_code
fake_create(struct sck_keeper *keeper, const char *name, uint32_t generation, struct sck_kek_made *made, struct sck_err *err)
{
    return of(keeper)->real->ops->create(of(keeper)->real, name, generation, made, err);
}

static enum sck_code
fake_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload, struct sck_buf *blob,
          uint32_t *version, struct sck_err *err)
{
    struct fake *f = of(keeper);
    if (!f->fast)
        return f->real->ops->wrap(f->real, kek, payload, blob, version, err);
    sck_buf_put(blob, "fake", 4);
    sck_buf_put(blob, payload->data, payload->len);
    *version = kek->version;
    return SCK_OK;
}

static enum sck_code
fake_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *blob, size_t len,
            struct sck_secret **payload, struct sck_err *err)
{
    struct fake *f = of(keeper);
    if (!f->fast)
        return f->real->ops->unwrap(f->real, kek, version, blob, len, payload, err);
    return sck_secret_from(blob + 4, len - 4, payload, err);
}

static enum sck_code
fake_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *canary, size_t len,
           struct sck_erase_proof *proof, struct sck_err *err)
{
    return of(keeper)->real->ops->erase(of(keeper)->real, kek, version, canary, len, proof, err);
}

static void
fake_forget(struct sck_keeper *keeper, const char *name)
{
    of(keeper)->real->ops->forget(of(keeper)->real, name);
}

static enum sck_code
answer(struct fake *f, struct sck_keeper_work *work, bool cancelled, bool late)
{
    if (cancelled)
        work->code = sck_fail(&work->err, SCK_E_CANCELLED, "fake: cancelled");
    else if (late)
        work->code = sck_fail(&work->err, SCK_E_CONNECT, "fake: out of time");
    else if (f->fail_with != SCK_OK)
        work->code = sck_fail(&work->err, f->fail_with, "fake: told to fail");
    else
        return sck_keeper_run_each(&f->base, work);
    work->items[0].code = work->code;
    return work->code;
}

static void
note(struct fake *f, const struct sck_keeper_work *work)
{
    *(work->what == SCK_KEEPER_WRAP ? &f->wraps : &f->unwraps) += 1;
}

static bool
is_late(const struct sck_keeper_work *work)
{
    return work->deadline_us != 0 && sck_monotonic_us(sck_clock_system()) >= work->deadline_us;
}

static enum sck_code
fake_run(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct fake *f = of(keeper);
    pthread_mutex_lock(&f->lock);
    note(f, work);
    f->inside++;
    f->most = f->inside > f->most ? f->inside : f->most;
    pthread_cond_broadcast(&f->moved);
    while (f->held && !is_late(work)) {
        struct timespec until = sck_deadline_after_ms(5);
        (void)pthread_cond_clockwait(&f->moved, &f->lock, CLOCK_MONOTONIC, &until);
    }
    f->inside--;
    pthread_mutex_unlock(&f->lock);
    return answer(f, work, false, is_late(work));
}

static enum sck_code
fake_submit(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct fake *f = of(keeper);
    struct fake_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    job->work = work;
    pthread_mutex_lock(&f->lock);
    note(f, work);
    struct fake_job **at = &f->jobs;
    while (*at != NULL)
        at = &(*at)->next;
    *at = job;
    f->inside++;
    f->most = f->inside > f->most ? f->inside : f->most;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
    return SCK_OK;
}

static void
fake_cancel(struct sck_keeper *keeper, struct sck_keeper_work *work)
{
    struct fake *f = of(keeper);
    pthread_mutex_lock(&f->lock);
    for (struct fake_job *job = f->jobs; job != NULL; job = job->next)
        job->cancelled = job->cancelled || job->work == work;
    f->cancels++;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

/* The keeper's own thread. */
static void *
fake_thread(void *arg)
{
    struct fake *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->ending || f->jobs != NULL) {
        struct fake_job **at = &f->jobs;
        while (*at != NULL && f->held && !(*at)->cancelled && !is_late((*at)->work))
            at = &(*at)->next;
        struct fake_job *job = *at;
        if (job == NULL) {
            struct timespec until = sck_deadline_after_ms(5);
            (void)pthread_cond_clockwait(&f->moved, &f->lock, CLOCK_MONOTONIC, &until);
            continue;
        }
        *at = job->next;
        f->inside--;
        pthread_mutex_unlock(&f->lock);
        (void)answer(f, job->work, job->cancelled, is_late(job->work));
        job->work->done(job->work);
        free(job);
        pthread_mutex_lock(&f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

struct fake *
fake_install(struct scopekey *sk, bool async)
{
    struct fake *f = calloc(1, sizeof *f);
    struct sck_err err = SCK_ERR_INIT;
    assert_non_null(f);
    f->engine = sk->service->engine;
    assert_int_equal(sck_engine_keeper(f->engine, SCK_KEEPER_TOKEN, &f->real, &err), SCK_OK);
    f->ops = (struct sck_keeper_ops){.kind = SCK_KEEPER_TOKEN, .name = "token", .erasure = SCK_ERASURE_SCHEDULED,
                                     .create = fake_create, .wrap = fake_wrap, .unwrap = fake_unwrap,
                                     .run = fake_run, .erase = fake_erase, .forget = fake_forget};
    f->ops.versions_are_records = f->real->ops->versions_are_records;
    if (async) {
        f->ops.submit = fake_submit;
        f->ops.cancel = fake_cancel;
    }
    f->base.ops = &f->ops;
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->moved, NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_thread, f), 0);
    f->engine->keepers[SCK_KEEPER_TOKEN] = &f->base;
    return f;
}

void
fake_remove(struct fake **fake)
{
    struct fake *f = *fake;
    *fake = NULL;
    f->engine->keepers[SCK_KEEPER_TOKEN] = f->real;
    pthread_mutex_lock(&f->lock);
    f->ending = true;
    f->held = false;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    (void)pthread_cond_destroy(&f->moved);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

void
fake_hold(struct fake *fake, bool held)
{
    pthread_mutex_lock(&fake->lock);
    fake->held = held;
    pthread_cond_broadcast(&fake->moved);
    pthread_mutex_unlock(&fake->lock);
}

void
fake_wait(struct fake *fake, int calls)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->inside < calls)
        (void)pthread_cond_wait(&fake->moved, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
}

int64_t
metric(const char *series)
{
    char *text = NULL;
    size_t len = strlen(series);
    int64_t value = 0;
    assert_int_equal(scopekey_metrics_format(&text, NULL, NULL), SCOPEKEY_OK);
    for (const char *line = text; line != NULL; line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            value = strtoll(line + len, NULL, 10);
    }
    scopekey_free(text);
    return value;
}
