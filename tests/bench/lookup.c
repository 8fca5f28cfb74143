/* SPDX-License-Identifier: MIT */
/* lookup and start: what the number of keys costs. */
#include "tests/bench/bench.h"

#include "lib/service/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FINDS 2000
#define ROUNDS 5

static const uint64_t sizes[] = {10, 10000, 1000000};
enum { SIZES = 3 };

static struct sck_key_info
find(struct sck_service *service, const char *uri_text)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info info;
    struct sck_uri uri = bench_uri(uri_text);
    bench_ok(sck_key_find(service, &uri, &info, &err), uri_text, &err);
    return info;
}

static void
filler_uri(uint64_t count, char uri[96])
{
    uint64_t rows = count > BENCH_WHOLE_KEYS ? count - BENCH_WHOLE_KEYS : 0;
    uint64_t i = (uint64_t)random();
    if (rows == 0)
        (void)snprintf(uri, 96, "scopekey:subject/whole-%" PRIu64 "/data", i % count);
    else
        (void)snprintf(uri, 96, "scopekey:subject/person-%" PRIu64 "/key-%" PRIu64, i % rows / 4, i % rows % 4);
}

/* out[0]: find and open of keys that were not open; out[1]: find alone, of any key. */
static void
look_up(void *arg, double *out)
{
    const uint64_t *count = arg;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_ukey *key = NULL;
    char uri[96];
    uint64_t whole = *count < BENCH_WHOLE_KEYS ? *count : BENCH_WHOLE_KEYS;
    double each[BENCH_WHOLE_KEYS];
    struct sck_service *service = bench_home_open(bench_keys_dir(*count));
    bench_ok(sck_service_start(service, &err), "start", &err);
    /* The KEKs are fetched first: what is measured is the catalog and the key. */
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < BENCH_WHOLE_KEYS; i++) {
            (void)snprintf(uri, sizeof uri, "scopekey:subject/whole-%" PRIu64 "/data", i % whole);
            sck_ukey_cache_drop(service->engine, 0);
            double start = bench_now_us();
            struct sck_key_info info = find(service, uri);
            bench_ok(sck_ukey_open(service, &info, &key, &err), uri, &err);
            each[i] = bench_now_us() - start;
            sck_ukey_unref(&key);
        }
    }
    out[0] = bench_median(each, BENCH_WHOLE_KEYS);
    for (int pass = 0; pass < 2; pass++) {
        double start = bench_now_us();
        for (int i = 0; i < FINDS; i++) {
            filler_uri(*count, uri);
            (void)find(service, uri);
        }
        out[1] = (bench_now_us() - start) / FINDS;
    }
}

void
bench_lookup(void)
{
    double loads[SIZES][ROUNDS];
    double finds[SIZES][ROUNDS];
    double load[SIZES];
    double alone[SIZES];
    for (size_t s = 0; s < SIZES; s++)
        (void)bench_keys(sizes[s]);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t s = 0; s < SIZES; s++) {
            uint64_t count = sizes[s];
            double out[2];
            bench_in_child(look_up, &count, out, 2);
            loads[s][round] = out[0];
            finds[s][round] = out[1];
        }
    }
    for (size_t s = 0; s < SIZES; s++) {
        load[s] = bench_median(loads[s], ROUNDS);
        alone[s] = bench_median(finds[s], ROUNDS);
        char name[32];
        bool good = load[s] <= 2000 && load[s] <= 1.5 * load[0];
        (void)snprintf(name, sizeof name, "lookup/%" PRIu64, sizes[s]);
        bench_print(name, load[s], load[0], "us", load[s] / load[0], "<= 2 ms and <= 1.5 x 10 keys", good);
    }
    bench_note("find alone, any key: %.1f, %.1f, %.1f us", alone[0], alone[1], alone[2]);
}

int
bench_first_find(const char *dir, const char *uri)
{
    struct sck_service *service = bench_home_open(dir);
    struct sck_key_info info = find(service, uri);
    (void)printf("%s\n", info.key_id);
    return 0;
}

void
bench_start(void)
{
    double times[ROUNDS * 3];
    long peak = 0;
    char self[64];
    char uri[96];
    (void)snprintf(self, sizeof self, "/proc/%ld/exe", (long)getpid());
    for (size_t s = 1; s < SIZES; s++) {
        const char *dir = bench_keys(sizes[s]);
        char name[32];
        long most = 0;
        for (size_t i = 0; i < ROUNDS * 3; i++) {
            filler_uri(sizes[s], uri);
            const char *const argv[] = {self, "--first-find", dir, uri, NULL};
            times[i] = bench_run(argv, &peak);
            most = peak > most ? peak : most;
        }
        double median = bench_median(times, ROUNDS * 3);
        (void)snprintf(name, sizeof name, "start/%" PRIu64, sizes[s]);
        bench_print(name, median, -1, "us", -1, "<= 50 ms and <= 40 MiB", median <= 50000 && most <= 40 * 1024);
        bench_note("peak resident memory %.1f MiB; SoftHSM with 50 k objects is not measured: making them takes "
                   "seven minutes (3 s and 470 MiB when it was)", (double)most / 1024);
    }
}
