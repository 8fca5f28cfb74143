/* SPDX-License-Identifier: MIT */
/* Our side of row `vault-wrap`. */
#include "tests/bench/bench.h"
#include "tests/bench/vault.h"
#include "vault/keeper.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SINGLES = 400, MANY = 2000, BATCHES = 20 };

static const struct sck_kek kek = {.name = "sk--bench", .generation = 1, .version = 1, .mount = "", .name_space = ""};

/* This process's keeper, with a payload and its blob. */
static struct {
    struct sck_keeper *keeper;
    struct sck_secret *payload;
    struct sck_buf blob;
    uint32_t version;
} our;

static void
our_open(const struct bench_vault *v)
{
    struct sck_err err = SCK_ERR_INIT;
    if (our.keeper != NULL)
        return;
    void *module = dlopen(v->plugin, RTLD_NOW | RTLD_LOCAL);
    const struct sck_keeper_plugin *plugin = module != NULL ? dlsym(module, "scopekey_keeper_plugin") : NULL;
    if (plugin == NULL)
        bench_die(v->plugin, "cannot be loaded");
    const struct sck_keeper_vault_conf conf = {.url = v->url, .mount = "scopekey", .name_space = "",
                                               .token_file = v->token_file, .insecure_http = true, .max_retries = 3};
    bench_ok(plugin->vault_open(&conf, &our.keeper, &err), "keeper vault", &err);
    bench_ok(sck_secret_new(SCK_PAYLOAD_LEN, &our.payload, &err), "payload", &err);
    memset(our.payload->data, 7, our.payload->len);
    sck_buf_init(&our.blob, SCK_KEEPER_BLOB_MAX);
    bench_ok(our.keeper->ops->wrap(our.keeper, &kek, our.payload, &our.blob, &our.version, &err), "wrap", &err);
}

double
bench_keeper_single(void *vault)
{
    struct sck_err err = SCK_ERR_INIT;
    our_open(vault);
    double begun = bench_now_us();
    for (int i = 0; i < SINGLES; i++) {
        struct sck_secret *opened = NULL;
        struct sck_buf blob;
        uint32_t version = 0;
        sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
        if (i % 2 == 0)
            bench_ok(our.keeper->ops->wrap(our.keeper, &kek, our.payload, &blob, &version, &err), "wrap", &err);
        else
            bench_ok(our.keeper->ops->unwrap(our.keeper, &kek, our.version, our.blob.data, our.blob.len, &opened, &err),
                     "unwrap", &err);
        sck_buf_clear(&blob);
        sck_secret_free(&opened);
    }
    return (bench_now_us() - begun) / SINGLES;
}

/* ---- many at once ---- */

struct flight {
    struct sck_keeper_work work;
    struct sck_keeper_item item;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t over;
    int to_begin, flying;
} sky = {.lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER};

static void
take_off(struct flight *f, bool wraps, void (*done)(struct sck_keeper_work *work))
{
    memset(f, 0, sizeof *f);
    sck_buf_init(&f->item.out, SCK_KEEPER_BLOB_MAX);
    f->item.payload = our.payload;
    f->item.blob = sck_buf_bytes(&our.blob);
    f->item.version = our.version;
    f->work = (struct sck_keeper_work){.what = wraps ? SCK_KEEPER_WRAP : SCK_KEEPER_UNWRAP, .kek = &kek,
                                       .items = &f->item, .count = 1, .done = done, .arg = f};
    bench_ok(our.keeper->ops->submit(our.keeper, &f->work), "submit", &f->work.err);
}

static void
landed(struct sck_keeper_work *work)
{
    struct flight *f = work->arg;
    bool wraps = work->what == SCK_KEEPER_UNWRAP, again;
    bench_ok(work->code, "flight", &work->err);
    sck_buf_clear(&f->item.out);
    sck_secret_free(&f->item.opened);
    pthread_mutex_lock(&sky.lock);
    again = sky.to_begin-- > 0;
    if (!again && --sky.flying == 0)
        pthread_cond_signal(&sky.over);
    pthread_mutex_unlock(&sky.lock);
    if (again)
        take_off(f, wraps, landed);
}

double
bench_keeper_many(void *vault)
{
    static struct flight flights[BENCH_IN_FLIGHT];
    our_open(vault);
    sky.flying = BENCH_IN_FLIGHT;
    sky.to_begin = MANY - BENCH_IN_FLIGHT;
    double begun = bench_now_us();
    for (int i = 0; i < BENCH_IN_FLIGHT; i++)
        take_off(&flights[i], i % 2 == 0, landed);
    pthread_mutex_lock(&sky.lock);
    while (sky.flying > 0)
        pthread_cond_wait(&sky.over, &sky.lock);
    pthread_mutex_unlock(&sky.lock);
    return (bench_now_us() - begun) / MANY;
}

double
bench_keeper_batch(void *vault)
{
    static struct sck_keeper_item items[BENCH_BATCH];
    our_open(vault);
    double begun = bench_now_us();
    for (int i = 0; i < BATCHES; i++) {
        struct sck_keeper_work work = {.what = i % 2 == 0 ? SCK_KEEPER_WRAP : SCK_KEEPER_UNWRAP, .kek = &kek,
                                       .items = items, .count = BENCH_BATCH};
        for (size_t n = 0; n < BENCH_BATCH; n++) {
            sck_buf_init(&items[n].out, SCK_KEEPER_BLOB_MAX);
            items[n].payload = our.payload;
            items[n].blob = sck_buf_bytes(&our.blob);
            items[n].version = our.version;
        }
        bench_ok(our.keeper->ops->run(our.keeper, &work), "batch", &work.err);
        for (size_t n = 0; n < BENCH_BATCH; n++) {
            sck_buf_clear(&items[n].out);
            sck_secret_free(&items[n].opened);
        }
    }
    return (bench_now_us() - begun) / (BATCHES * BENCH_BATCH);
}
