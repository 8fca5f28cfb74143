/* SPDX-License-Identifier: MIT */
/*
 * How long a row takes, by the number of rows: insertion in group commits of 1000, and warm lookups by name.
 * Microseconds by the clock, and (in brackets) of the processor, which matter when the machine is shared.
 * Usage: catalog_bench DIRECTORY [ROWS...]   (default 10, 10000, 1000000)
 */
#include "lib/base/clock.h"
#include "lib/catalog/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GROUP = 1000, LOOKUPS = 50000 };

static enum sck_code
give_row_key(void *arg, struct sck_secret **row_key, struct sck_err *err)
{
    static const uint8_t key[32] = {1};
    (void)arg;
    return sck_secret_from(key, sizeof key, row_key, err);
}

static void
fill(struct sck_key_rec *k, uint64_t i)
{
    memset(k, 0, sizeof *k);
    sck_be64(k->id, i);
    k->scope_kind = 1;
    (void)snprintf(k->scope_id, sizeof k->scope_id, "subject-%" PRIu64, i / 4);
    (void)snprintf(k->name, sizeof k->name, "key-%" PRIu64, i % 4);
    (void)snprintf(k->key_id, sizeof k->key_id, "key-%026" PRIu64, i);
    k->owner_id = (int64_t)(i / 4);
    k->created_s = 1700000000;
}

static enum sck_code
insert_rows(struct sck_catalog *c, uint64_t rows, struct sck_err *err)
{
    struct sck_key_rec k;
    uint8_t signature[71] = {0x30};
    enum sck_code rc = SCK_OK;
    for (uint64_t i = 0; rc == SCK_OK && i < rows; i++) {
        if (i % GROUP == 0)
            rc = sck_catalog_begin(c, err);
        fill(&k, i);
        sck_buf_init(&k.signature, SCK_REC_BLOB_MAX);
        sck_buf_put(&k.signature, signature, sizeof signature);
        if (rc == SCK_OK)
            rc = sck_catalog_insert(c, SCK_TABLE_KEYS, &k, err);
        sck_record_clear(SCK_TABLE_KEYS, &k);
        if (rc == SCK_OK && (i % GROUP == GROUP - 1 || i + 1 == rows))
            rc = sck_catalog_commit(c, err);
    }
    return rc;
}

static enum sck_code
look_up(struct sck_catalog *c, uint64_t rows, bool checked, struct sck_err *err)
{
    struct sck_key_rec k;
    uint64_t at = 12345;
    enum sck_code rc = SCK_OK;
    for (unsigned i = 0; rc == SCK_OK && i < LOOKUPS; i++) {
        at = at * UINT64_C(6364136223846793005) + 1442695040888963407U;
        fill(&k, (at >> 20) % rows);
        rc = checked ? sck_catalog_get(c, SCK_BY_KEY_NAME, &k, err)
                     : sck_catalog_get_unchecked(c, SCK_BY_KEY_NAME, &k, err);
        sck_record_clear(SCK_TABLE_KEYS, &k);
    }
    return rc;
}

struct times {
    int64_t clock_us;
    int64_t cpu_us;
};

static struct times
now(void)
{
    struct timespec cpu;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (struct times){sck_monotonic_us(sck_clock_system()), (int64_t)cpu.tv_sec * 1000000 + cpu.tv_nsec / 1000};
}

static void
print_since(const char *what, struct times start, uint64_t count)
{
    struct times end = now();
    (void)printf("  %s %6.1f (%5.1f)", what, (double)(end.clock_us - start.clock_us) / (double)count,
                 (double)(end.cpu_us - start.cpu_us) / (double)count);
}

static enum sck_code
measure(const char *dir, uint64_t rows, struct sck_err *err)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-queue"};
    char path[512], name[520];
    struct sck_catalog *c = NULL;
    struct sck_setup_rec setup = {.id = 1};
    const struct sck_catalog_conf conf = {.path = path, .row_key = give_row_key};
    (void)snprintf(path, sizeof path, "%s/bench-%" PRIu64 ".db", dir, rows);
    enum sck_code rc = sck_catalog_create(&conf, &setup, err);
    if (rc == SCK_OK)
        rc = sck_catalog_open(&conf, &c, err);
    (void)printf("%8" PRIu64 " rows:", rows);
    struct times start = now();
    if (rc == SCK_OK)
        rc = insert_rows(c, rows, err);
    print_since("insert", start, rows);
    if (rc == SCK_OK)
        rc = look_up(c, rows, true, err);
    start = now();
    if (rc == SCK_OK)
        rc = look_up(c, rows, true, err);
    print_since("get", start, LOOKUPS);
    start = now();
    if (rc == SCK_OK)
        rc = look_up(c, rows, false, err);
    print_since("get unchecked", start, LOOKUPS);
    (void)printf("\n");
    sck_catalog_close(&c);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
    return rc;
}

int
main(int argc, char **argv)
{
    static const uint64_t sizes[] = {10, 10000, 1000000};
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = SCK_OK;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: catalog_bench DIRECTORY [ROWS...]\n");
        return 1;
    }
    for (int i = 2; rc == SCK_OK && i < argc; i++)
        rc = measure(argv[1], strtoull(argv[i], NULL, 10), &err);
    for (size_t i = 0; rc == SCK_OK && argc == 2 && i < 3; i++)
        rc = measure(argv[1], sizes[i], &err);
    if (rc != SCK_OK)
        (void)fprintf(stderr, "catalog_bench: %s\n", err.message);
    return rc == SCK_OK ? 0 : 1;
}
