/* SPDX-License-Identifier: MIT */
/* coalesce: 1000 unwraps of one cold DEK at once; the keeper answers when all of them wait. */
#include "tests/bench/bench.h"

#include "include/scopekey.h"
#include "lib/api/api.h"
#include "lib/base/metric.h"
#include "lib/service/engine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define REQUESTS 1000
#define ROUNDS 5

/* The keeper of the set-up, counted, and as slow as it takes for all to come. */
struct slow {
    struct sck_keeper base;
    struct sck_keeper_ops ops;
    struct sck_keeper *real;
    int64_t shared;             /* the answer comes when so many share the call */
    atomic_int calls;
};

static struct sck_metric *
sharing(void)
{
    return sck_metric_counter("scopekey_dek_cache_shared_total", "", "");
}

static enum sck_code
slow_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *blob, size_t len,
            struct sck_secret **payload, struct sck_err *err)
{
    struct slow *s = (struct slow *)(void *)keeper;
    atomic_fetch_add(&s->calls, 1);
    while (sck_metric_get(sharing()) < s->shared)
        (void)usleep(100);
    return s->real->ops->unwrap(s->real, kek, version, blob, len, payload, err);
}

static void
done(void *arg, struct scopekey_request *request)
{
    atomic_int *good = arg;
    if (scopekey_request_result(request, NULL) == SCOPEKEY_OK)
        atomic_fetch_add(good, 1);
}

static void
ask_all(struct scopekey *sk, const struct scopekey_material *m)
{
    static struct scopekey_request *r[REQUESTS];
    atomic_int good = 0;
    size_t wrapped_len = 0;
    size_t context_len = 0;
    const uint8_t *wrapped = scopekey_material_wrapped(m, &wrapped_len);
    const uint8_t *context = scopekey_material_context(m, &context_len);
    for (size_t i = 0; i < REQUESTS; i++) {
        if (scopekey_decryption_keys_for_async(sk, "bench", wrapped, wrapped_len, context, context_len, NULL, done, &good,
                                               &r[i], NULL) != SCOPEKEY_OK)
            bench_die("coalesce", "a request cannot be made");
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        while (!scopekey_request_is_over(r[i]))
            (void)usleep(100);
        scopekey_request_free(&r[i]);
    }
    if (atomic_load(&good) != REQUESTS)
        bench_die("coalesce", "a request failed");
}

static void
measure(void *arg, double *out)
{
    char conf[620];
    struct scopekey *sk = NULL;
    struct scopekey_material *m = NULL;
    struct sck_err err = SCK_ERR_INIT;
    struct slow slow = {.shared = 0};
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    double rounds[ROUNDS];
    (void)snprintf(conf, sizeof conf, "%s/d/scopekey.conf", (const char *)arg);
    options.configuration = conf;
    options.auto_provision = 1;
    if (scopekey_open(&options, &sk, NULL) != SCOPEKEY_OK ||
        scopekey_encryption_keys_for(sk, "bench", NULL, &m, NULL) != SCOPEKEY_OK)
        bench_die("coalesce", "the set-up cannot be opened");
    struct sck_engine *engine = sk->service->engine;
    bench_ok(sck_engine_keeper(engine, SCK_KEEPER_TOKEN, &slow.real, &err), "keeper", &err);
    slow.ops = *slow.real->ops;
    slow.ops.unwrap = slow_unwrap;
    slow.ops.run = sck_keeper_run_each;
    slow.base.ops = &slow.ops;
    engine->keepers[SCK_KEEPER_TOKEN] = &slow.base;
    for (size_t i = 0; i < ROUNDS; i++) {
        slow.shared = sck_metric_get(sharing()) + REQUESTS - 1;
        double start = bench_now_us();
        ask_all(sk, m);
        rounds[i] = (bench_now_us() - start) / REQUESTS;
    }
    engine->keepers[SCK_KEEPER_TOKEN] = slow.real;
    out[0] = (double)atomic_load(&slow.calls) / ROUNDS;
    out[1] = bench_median(rounds, ROUNDS);
    scopekey_material_free(&m);
    scopekey_close(&sk);
}

void
bench_coalesce(void)
{
    char dir[600];
    double out[2] = {0, 0};
    (void)snprintf(dir, sizeof dir, "%s/coalesce", bench_dirs.work);
    bench_home_make(dir, NULL);
    bench_in_child(measure, dir, out, 2);
    bench_print("coalesce", out[0], -1, "keeper calls", -1, "1 for 1000 unwraps", out[0] <= 1 ? BENCH_OK : BENCH_SHORT);
    bench_note("%.1f us a request, from asking to its end", out[1]);
}
