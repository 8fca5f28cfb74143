/* SPDX-License-Identifier: MIT */
/*
 * Keeper `vault` in one long-lived process, for outage.test.sh and leaks.test.sh; its keeper is live.h's.
 *   vault_load PLUGIN load NAME THREADS   wrap and unwrap all the time; for each line on standard input print what
 *                                         happened since the one before, as "ok N connectivity N other N wrong N late N"
 *   vault_load PLUGIN batch NAME COUNT    wrap COUNT payloads in one piece of work, unwrap them after one was altered and
 *                                         one taken away, and print how it went
 *   vault_load PLUGIN pause NAME FILE     wrap and unwrap the 72 bytes of FILE, free them, print "freed", wait for a
 *                                         line, close the keeper, print "closed" and wait for another
 * Late is what took more than 5 s above the deadline (a loaded machine is no failure, a call that hangs is one).
 */
#include "lib/base/clock.h"
#include "tests/vault/live.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum outcome { OK, CONNECTIVITY, OTHER, WRONG, LATE, OUTCOMES };
enum { THREADS_MAX = 64, GRACE_US = 5000000 };

static struct sck_keeper *keeper;
static struct sck_err err = SCK_ERR_INIT;

static struct {
    const char *name;
    struct sck_secret *payload;
    int64_t limit_us;
    struct sck_buf blob;
    uint32_t version;
    atomic_int outcomes[OUTCOMES];
    atomic_bool stop;
} load;

static enum sck_code
wrap(const char *name, const struct sck_secret *payload, struct sck_buf *blob, uint32_t *version, struct sck_err *e)
{
    struct sck_kek kek = live_kek(name);
    sck_buf_init(blob, SCK_KEEPER_BLOB_MAX);
    return keeper->ops->wrap(keeper, &kek, payload, blob, version, e);
}

/* *same tells whether the payload came out. */
static enum sck_code
unwrap(const char *name, const struct sck_buf *blob, uint32_t version, const struct sck_secret *want, bool *same,
       struct sck_err *e)
{
    struct sck_kek kek = live_kek(name);
    struct sck_secret *got = NULL;
    enum sck_code rc = keeper->ops->unwrap(keeper, &kek, version, blob->data, blob->len, &got, e);
    *same = rc == SCK_OK && got->len == want->len && sck_ct_equal(got->data, want->data, want->len);
    sck_secret_free(&got);
    return rc;
}

/* One wrap whose result must open, or one unwrap of what was wrapped first. */
static enum sck_code
step(bool wraps, bool *same, struct sck_err *e)
{
    struct sck_buf blob;
    uint32_t version = 0;
    *same = true;
    if (!wraps)
        return unwrap(load.name, &load.blob, load.version, load.payload, same, e);
    enum sck_code rc = wrap(load.name, load.payload, &blob, &version, e);
    *same = rc != SCK_OK || (version == load.version && blob.len == load.blob.len);
    sck_buf_clear(&blob);
    return rc;
}

static void *
load_thread(void *arg)
{
    const struct sck_clock *clock = sck_clock_system();
    bool wraps = arg != NULL;
    while (!atomic_load(&load.stop)) {
        struct sck_err e = SCK_ERR_INIT;
        bool same = false;
        int64_t begun = sck_monotonic_us(clock);
        enum sck_code rc = step(wraps, &same, &e);
        enum outcome outcome = rc == SCK_OK ? (same ? OK : WRONG) : rc == SCK_E_CONNECT ? CONNECTIVITY : OTHER;
        atomic_fetch_add(&load.outcomes[outcome], 1);
        if (sck_monotonic_us(clock) - begun > load.limit_us)
            atomic_fetch_add(&load.outcomes[LATE], 1);
        if (outcome == OTHER)
            fprintf(stderr, "%s: %s\n", sck_code_name(rc), e.message);
        /* What fails at once would only keep the machine busy. */
        if (rc != SCK_OK)
            clock->sleep_ms(clock->arg, 2);
        wraps = !wraps;
    }
    return NULL;
}

static void
load_report(void)
{
    static const char *const names[OUTCOMES] = {"ok", "connectivity", "other", "wrong", "late"};
    for (size_t i = 0; i < OUTCOMES; i++)
        printf("%s%s %d", i == 0 ? "" : " ", names[i], atomic_exchange(&load.outcomes[i], 0));
    putchar('\n');
    fflush(stdout);
}

static enum sck_code
do_load(const char *name, const char *threads)
{
    pthread_t ids[THREADS_MAX];
    char line[16];
    size_t count = (size_t)atoi(threads);
    count = count < THREADS_MAX ? count : THREADS_MAX;
    load.name = name;
    load.payload = live_payload();
    load.limit_us = (int64_t)atoi(live_setting("DEADLINE_MS", "30000")) * 1000 + GRACE_US;
    enum sck_code rc = wrap(name, load.payload, &load.blob, &load.version, &err);
    if (rc != SCK_OK)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&ids[i], NULL, load_thread, i % 2 == 0 ? NULL : &load) != 0)
            abort();
    }
    while (fgets(line, sizeof line, stdin) != NULL)
        load_report();
    atomic_store(&load.stop, true);
    for (size_t i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    sck_secret_free(&load.payload);
    sck_buf_clear(&load.blob);
    return SCK_OK;
}

enum { ALTERED = 3, EMPTY = 5 };

/* The n-th payload, or whether a payload is the n-th. */
static struct sck_secret *
payload_of(size_t n)
{
    struct sck_secret *payload = live_payload();
    memcpy(payload->data, &n, sizeof n);
    return payload;
}

static bool
is_payload_of(const struct sck_secret *opened, size_t n)
{
    struct sck_secret *want = payload_of(n);
    bool same = opened != NULL && opened->len == want->len && sck_ct_equal(opened->data, want->data, want->len);
    sck_secret_free(&want);
    return same;
}

static void
say_work(const char *what, const struct sck_keeper_work *work, size_t same)
{
    size_t codes[SCK_E_INTERNAL + 1] = {0};
    for (size_t i = 0; i < work->count; i++)
        codes[work->items[i].code]++;
    printf("%s: %s", what, sck_code_name(work->code));
    for (size_t c = 0; c <= SCK_E_INTERNAL; c++) {
        if (codes[c] > 0)
            printf(", %zu %s", codes[c], sck_code_name((enum sck_code)c));
    }
    printf(", %zu the same%s%s\n", same, work->code != SCK_OK ? "; " : "", work->code != SCK_OK ? work->err.message : "");
}

/* Wrap all; true when each has a ciphertext of its own. */
static bool
batch_wrap(struct sck_keeper_work *work)
{
    struct sck_secret **payloads = calloc(work->count, sizeof(struct sck_secret *));
    bool own = true;
    if (payloads == NULL)
        abort();
    for (size_t i = 0; i < work->count; i++) {
        work->items[i].payload = payloads[i] = payload_of(i);
        sck_buf_init(&work->items[i].out, SCK_KEEPER_BLOB_MAX);
    }
    (void)keeper->ops->run(keeper, work);
    for (size_t i = 0; i < work->count; i++) {
        sck_secret_free(&payloads[i]);
        own = own && work->items[i].out.len > 0;
    }
    free(payloads);
    say_work("wrap", work, own ? work->count : 0);
    return own;
}

static enum sck_code
do_batch(const char *name, const char *count)
{
    struct sck_kek kek = live_kek(name);
    size_t n = (size_t)atoi(count), same = 0;
    struct sck_keeper_item *wrapped = calloc(n, sizeof *wrapped), *opened = calloc(n, sizeof *opened);
    if (wrapped == NULL || opened == NULL)
        abort();
    struct sck_keeper_work work = {.what = SCK_KEEPER_WRAP, .kek = &kek, .items = wrapped, .count = n};
    if (batch_wrap(&work)) {
        work = (struct sck_keeper_work){.what = SCK_KEEPER_UNWRAP, .kek = &kek, .items = opened, .count = n};
        for (size_t i = 0; i < n; i++) {
            opened[i].blob = (struct sck_bytes){wrapped[i].out.data, i == EMPTY ? 0 : wrapped[i].out.len};
            opened[i].version = wrapped[i].version;
        }
        uint8_t *altered = wrapped[n > ALTERED ? ALTERED : 0].out.data + sizeof "vault:v1:" + 20;
        *altered = *altered == 'A' ? 'B' : 'A';
        (void)keeper->ops->run(keeper, &work);
        for (size_t i = 0; i < n; i++) {
            same += is_payload_of(opened[i].opened, i);
            sck_secret_free(&opened[i].opened);
        }
        say_work("unwrap", &work, same);
    }
    for (size_t i = 0; i < n; i++)
        sck_buf_clear(&wrapped[i].out);
    free(wrapped);
    free(opened);
    return SCK_OK;
}

static void
pause_here(const char *where)
{
    char line[16];
    puts(where);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(2);
}

static enum sck_code
do_pause(const char *name, const char *path)
{
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    uint32_t version = 0;
    bool same = false;
    enum sck_code rc = sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (rc == SCK_OK && read(fd, payload->data, payload->len) != SCK_PAYLOAD_LEN)
        rc = sck_fail(&err, SCK_E_IO, "%s does not hold %d bytes", path, SCK_PAYLOAD_LEN);
    (void)close(fd);
    for (int i = 0; rc == SCK_OK && i < 20; i++) {
        rc = wrap(name, payload, &blob, &version, &err);
        if (rc == SCK_OK)
            rc = unwrap(name, &blob, version, payload, &same, &err);
        sck_buf_clear(&blob);
    }
    sck_secret_free(&payload);
    if (rc == SCK_OK && !same)
        rc = sck_fail(&err, SCK_E_INTEGRITY, "another payload came out");
    if (rc == SCK_OK)
        pause_here("freed");
    keeper->ops->close(keeper);
    keeper = NULL;
    if (rc == SCK_OK)
        pause_here("closed");
    return rc;
}

int
main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    enum sck_code rc = live_open(live_plugin(argv[1]), &keeper, &err);
    if (rc == SCK_OK && strcmp(argv[2], "load") == 0)
        rc = do_load(argv[3], argv[4]);
    else if (rc == SCK_OK && strcmp(argv[2], "batch") == 0)
        rc = do_batch(argv[3], argv[4]);
    else if (rc == SCK_OK)
        rc = do_pause(argv[3], argv[4]);
    if (keeper != NULL)
        keeper->ops->close(keeper);
    if (rc != SCK_OK)
        printf("%s: %s\n", sck_code_name(rc), err.message);
    return rc == SCK_OK ? 0 : 1;
}
