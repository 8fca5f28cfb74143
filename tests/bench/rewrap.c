/* SPDX-License-Identifier: MIT */
/* rewrap: all file keys of an owner to a new version of its KEK, durable, against the keeper's part of it alone. */
#include "tests/bench/bench.h"

#include "lib/service/kek.h"
#include "lib/service/rewrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3
#define BATCH 128
#define SIZES 3
static const int sizes[SIZES] = {500, 4000, 32000};

static struct sck_scope
owner_scope(int size)
{
    char text[64];
    struct sck_err err = SCK_ERR_INIT;
    struct sck_scope scope;
    (void)snprintf(text, sizeof text, "rewrap-%d", size);
    bench_ok(sck_scope_make(SCK_SCOPE_SUBJECT, text, strlen(text), &scope, &err), text, &err);
    return scope;
}

/* Rows as encryption leaves them; the files themselves are never looked at. */
static void
fill(struct sck_service *service, int size)
{
    struct sck_scope scope = owner_scope(size);
    struct sck_err err = SCK_ERR_INIT;
    struct sck_catalog *catalog = NULL;
    bench_ok(sck_engine_catalog(service->engine, &catalog, &err), "catalog", &err);
    for (int i = 0; i < size; i++) {
        struct sck_file_rec row = {.state = SCK_FILE_ACTIVE, .size = 4096, .created_s = 1700000000};
        struct sck_owner_rec owner = {0};
        struct sck_context ctx;
        struct sck_secret *dek = NULL;
        sck_context_init(&ctx);
        ctx.scope = scope;
        ctx.purpose = SCK_PURPOSE_FILE;
        ctx.created_s = row.created_s;
        bench_ok(sck_new_uuid(service->engine, row.file_id, &err), "uuid", &err);
        memcpy(row.dek_id, row.file_id, sizeof row.dek_id);
        memcpy(ctx.id, row.dek_id, sizeof ctx.id);
        (void)snprintf(row.key_reference, sizeof row.key_reference, "file-%d-%d", size, i);
        sck_buf_init(&row.wrapped_dek, SCK_WRAPPED_MAX);
        bench_ok(sck_dek_fresh(service, &scope, &ctx, &dek, &row.wrapped_dek, &owner, &err), "wrap", &err);
        row.owner_id = owner.id;
        if (i % 1000 == 0)
            bench_ok(sck_catalog_begin(catalog, &err), "begin", &err);
        bench_ok(sck_catalog_insert(catalog, SCK_TABLE_FILES, &row, &err), "insert", &err);
        if (i % 1000 == 999 || i == size - 1)
            bench_ok(sck_catalog_commit(catalog, &err), "commit", &err);
        sck_secret_free(&dek);
        sck_context_clear(&ctx);
        sck_record_clear(SCK_TABLE_FILES, &row);
    }
}

struct side {
    struct sck_service *service;
    int size;
};

static double
ours(void *arg)
{
    const struct side *s = arg;
    struct sck_scope scope = owner_scope(s->size);
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_info info;
    struct sck_rewrap_report report;
    const struct sck_rewrap how = {.scope = &scope};
    bench_ok(sck_kek_rotate(s->service, &scope, &info, &err), "rotate", &err);
    double start = bench_now_us();
    bench_ok(sck_rewrap_run(s->service, &how, &report, &err), "rewrap", &err);
    double us = bench_now_us() - start;
    if (report.moved != s->size || report.failed != 0)
        bench_die("rewrap", "did not move all");
    return us / s->size;
}

/* What the keeper has to do for as many DEKs, in batches, and nothing else. */
static double
keeper_alone(void *arg)
{
    const struct side *s = arg;
    struct sck_scope scope = owner_scope(s->size);
    struct sck_err err = SCK_ERR_INIT;
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_keeper *keeper = NULL;
    struct sck_secret *payload = NULL;
    struct sck_keeper_item items[BATCH];
    bench_ok(sck_owner_get(s->service->engine, &scope, false, &owner, &kek, &err), "owner", &err);
    bench_ok(sck_engine_keeper(s->service->engine, (enum sck_keeper_kind)kek.keeper, &keeper, &err), "keeper", &err);
    bench_ok(sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err), "payload", &err);
    const struct sck_kek ref = sck_kek_from_rec(&kek);
    struct sck_buf blobs[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        uint32_t version = 0;
        sck_buf_init(&blobs[i], SCK_KEEPER_BLOB_MAX);
        bench_ok(keeper->ops->wrap(keeper, &ref, payload, &blobs[i], &version, &err), "wrap", &err);
    }
    double start = bench_now_us();
    for (int done = 0; done < s->size; done += BATCH) {
        struct sck_keeper_work work = {.what = SCK_KEEPER_UNWRAP, .kek = &ref, .items = items, .count = BATCH};
        for (size_t i = 0; i < BATCH; i++)
            items[i] = (struct sck_keeper_item){.blob = sck_buf_bytes(&blobs[i]), .version = kek.version};
        bench_ok(keeper->ops->run(keeper, &work), "unwrap", &work.err);
        work.what = SCK_KEEPER_WRAP;
        for (size_t i = 0; i < BATCH; i++) {
            items[i].payload = items[i].opened;
            sck_buf_init(&items[i].out, SCK_KEEPER_BLOB_MAX);
        }
        bench_ok(keeper->ops->run(keeper, &work), "wrap", &work.err);
        for (size_t i = 0; i < BATCH; i++) {
            sck_secret_free(&items[i].opened);
            sck_buf_clear(&items[i].out);
        }
    }
    double us = bench_now_us() - start;
    for (size_t i = 0; i < BATCH; i++)
        sck_buf_clear(&blobs[i]);
    sck_secret_free(&payload);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    return us / ((s->size + BATCH - 1) / BATCH * BATCH);
}

void
bench_rewrap(void)
{
    char dir[600];
    double each[SIZES];
    (void)snprintf(dir, sizeof dir, "%s/rewrap", bench_dirs.work);
    bench_home_make(dir, NULL);
    struct sck_service *service = bench_home_open(dir);
    for (int n = 0; n < SIZES; n++) {
        struct side s = {service, sizes[n]};
        struct bench_side sides[] = {{.fn = ours, .arg = &s}, {.fn = keeper_alone, .arg = &s}};
        fill(service, sizes[n]);
        bench_alternate(sides, 2, ROUNDS);
        each[n] = sides[0].median;
        if (n == SIZES - 1) {
            double ratio = sides[1].median / sides[0].median;
            bench_print("rewrap", sides[0].median, sides[1].median, "us/key", ratio, ">= 0.8 of its rate",
                        ratio >= 0.8 ? BENCH_OK : BENCH_SHORT);
        }
    }
    bench_note("keeper token, rows moved, MACed, compared, synced; growth: %d rows %.1f us, %d rows %.1f us, %d rows %.1f us",
               sizes[0], each[0], sizes[1], each[1], sizes[2], each[2]);
    sck_service_close(&service);
}
