/* SPDX-License-Identifier: MIT */
/* Set-ups with many keys: real rows with their MACs and signatures; only the last 64 can also be opened. */
#include "tests/bench/bench.h"

#include "lib/service/key.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_PER_COMMIT 5000

static void
whole_keys(struct sck_service *service, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        char uri[96];
        (void)snprintf(uri, sizeof uri, "scopekey:subject/whole-%" PRIu64 "/data", i);
        (void)bench_key(service, uri, SCK_ALG_AES_256, 0);
    }
}

/* A key like `model` under a name of its own; what it wraps is the model's. */
static void
insert_row(struct sck_service *service, struct sck_catalog *catalog, const struct sck_key_rec *model,
           const struct sck_version_rec *inside, uint64_t i)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_rec key = *model;
    struct sck_version_rec version = *inside;
    (void)snprintf(key.scope_id, sizeof key.scope_id, "person-%" PRIu64, i / 4);
    (void)snprintf(key.name, sizeof key.name, "key-%" PRIu64, i % 4);
    sck_buf_init(&key.signature, 256);
    sck_buf_init(&version.signature, 256);
    bench_ok(sck_new_uuid(service->engine, key.id, &err), "id", &err);
    bench_ok(sck_new_uuid(service->engine, version.record_id, &err), "id", &err);
    memcpy(version.key, key.id, sizeof version.key);
    sck_key_id_format(key.id, false, key.key_id);
    bench_ok(sck_sign_record(service->engine, SCK_TABLE_KEYS, &key, &key.signature, &err), "sign", &err);
    bench_ok(sck_sign_record(service->engine, SCK_TABLE_VERSIONS, &version, &version.signature, &err), "sign", &err);
    bench_ok(sck_catalog_insert(catalog, SCK_TABLE_KEYS, &key, &err), "insert", &err);
    bench_ok(sck_catalog_insert(catalog, SCK_TABLE_VERSIONS, &version, &err), "insert", &err);
    sck_buf_clear(&key.signature);
    sck_buf_clear(&version.signature);
}

static void
fill(const char *dir, uint64_t count)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_catalog *catalog = NULL;
    struct sck_version_rec inside = {.version = 1};
    struct sck_key_rec model = {0};
    uint64_t whole = count < BENCH_WHOLE_KEYS ? count : BENCH_WHOLE_KEYS;
    struct sck_service *service = bench_home_open(dir);
    whole_keys(service, whole);
    struct sck_key_info info = bench_key(service, "scopekey:subject/whole-0/data", SCK_ALG_AES_256, 0);
    memcpy(model.id, info.id, sizeof model.id);
    bench_ok(sck_engine_catalog(service->engine, &catalog, &err), "catalog", &err);
    bench_ok(sck_read_key(service->engine, SCK_BY_KEY_UUID, &model, &err), "key", &err);
    bench_ok(sck_read_version(service->engine, info.id, 1, &inside, &err), "version", &err);
    sck_buf_clear(&model.signature);
    sck_buf_clear(&inside.signature);
    for (uint64_t i = 0; i < count - whole; i++) {
        if (i % ROWS_PER_COMMIT == 0)
            bench_ok(sck_catalog_begin(catalog, &err), "begin", &err);
        insert_row(service, catalog, &model, &inside, i);
        if (i % ROWS_PER_COMMIT == ROWS_PER_COMMIT - 1 || i + 1 == count - whole)
            bench_ok(sck_catalog_commit(catalog, &err), "commit", &err);
    }
    sck_record_clear(SCK_TABLE_VERSIONS, &inside);
    sck_service_close(&service);
}

static void
make(void *arg, double *out)
{
    const uint64_t *count = arg;
    const char *dir = bench_keys_dir(*count);
    const char *const clean[] = {"rm", "-rf", dir, NULL};
    (void)out;
    (void)bench_run(clean, NULL);
    bench_home_make(dir, NULL);
    fill(dir, *count);
}

const char *
bench_keys_dir(uint64_t count)
{
    static char dir[4][600];
    static unsigned turn;
    char *at = dir[turn++ % 4];
    (void)snprintf(at, sizeof dir[0], "%s/keys-%" PRIu64, bench_dirs.cache, count);
    return at;
}

const char *
bench_keys(uint64_t count)
{
    char done[620];
    const char *dir = bench_keys_dir(count);
    (void)snprintf(done, sizeof done, "%s/complete", dir);
    if (access(done, F_OK) == 0)
        return dir;
    bench_note("making %" PRIu64 " keys in %s, kept for the next run", count, dir);
    bench_in_child(make, &count, NULL, 0);
    int fd = open(done, O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        bench_die(done, strerror(errno));
    (void)close(fd);
    return dir;
}
