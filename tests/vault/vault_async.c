/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous work and batches of keeper `vault` against a real server, for async.test.sh; its keeper is live.h's.
 *   vault_async PLUGIN flight NAME COUNT      COUNT pieces of work at once, every second one cancelled while it flies
 *   vault_async PLUGIN batch NAME COUNT       wrap, unwrap, alter every second blob, unwrap, rewrap: one piece of work each
 *   vault_async PLUGIN fork NAME              children made while work flies have their own, and the parent's ends well
 *   vault_async PLUGIN close NAME COUNT       close the keeper over COUNT pieces of work
 *   vault_async PLUGIN grow NAME COUNT        COUNT operations: descriptors and memory before and after
 *   vault_async PLUGIN storm NAME MS          64 in flight for so long, through whatever happens to the server
 *   vault_async PLUGIN late NAME COUNT MS     COUNT pieces of work that have MS milliseconds
 */
#include "lib/base/clock.h"
#include "tests/vault/live.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IN_FLIGHT = 64 };

/* Sanitizers keep what is freed, and ThreadSanitizer takes the threads of a forked child for those of its parent. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KIB_MORE = 1024 * 1024 };
#else
enum { KIB_MORE = 1024 };
#endif
#ifdef __SANITIZE_THREAD__
enum { CHILD_FLIES = 0 };
#else
enum { CHILD_FLIES = 1 };
#endif

static struct sck_keeper *keeper;
static struct sck_err err = SCK_ERR_INIT;
static struct sck_secret *payload;
static struct sck_kek kek;
static struct sck_buf blob;
static uint32_t version;

struct piece {
    struct sck_keeper_work work;
    struct sck_keeper_item item;
    atomic_int done;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t news;
    size_t left;
    int64_t until_us;
    size_t ok, cancelled, connectivity, other, wrong;
} tally = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

static bool
is_right(const struct piece *p)
{
    if (p->work.what == SCK_KEEPER_WRAP)
        return p->item.out.len == blob.len && p->item.version == version;
    return p->item.opened != NULL && p->item.opened->len == payload->len &&
           sck_ct_equal(p->item.opened->data, payload->data, payload->len);
}

static void
count_locked(struct piece *p)
{
    enum sck_code rc = p->work.code;
    tally.ok += rc == SCK_OK;
    tally.cancelled += rc == SCK_E_CANCELLED;
    tally.connectivity += rc == SCK_E_CONNECT;
    tally.wrong += (rc == SCK_OK && !is_right(p)) || (rc != SCK_OK && p->item.opened != NULL) || rc != p->item.code;
    if (rc != SCK_OK && rc != SCK_E_CANCELLED && rc != SCK_E_CONNECT) {
        tally.other++;
        fprintf(stderr, "%s\n", p->work.err.message);
    }
}

static void
piece_init(struct piece *p, bool wraps, void (*done)(struct sck_keeper_work *work))
{
    memset(p, 0, sizeof *p);
    sck_buf_init(&p->item.out, SCK_KEEPER_BLOB_MAX);
    p->item.payload = payload;
    p->item.blob = sck_buf_bytes(&blob);
    p->item.version = version;
    p->work = (struct sck_keeper_work){.what = wraps ? SCK_KEEPER_WRAP : SCK_KEEPER_UNWRAP, .kek = &kek,
                                       .items = &p->item, .count = 1, .done = done, .arg = p};
}

static void
piece_clear(struct piece *p)
{
    sck_buf_clear(&p->item.out);
    sck_secret_free(&p->item.opened);
}

static void
done_once(struct sck_keeper_work *work)
{
    struct piece *p = work->arg;
    pthread_mutex_lock(&tally.lock);
    atomic_fetch_add(&p->done, 1);
    count_locked(p);
    tally.left--;
    pthread_cond_signal(&tally.news);
    pthread_mutex_unlock(&tally.lock);
}

static void
wait_for_all(void)
{
    pthread_mutex_lock(&tally.lock);
    while (tally.left > 0)
        pthread_cond_wait(&tally.news, &tally.lock);
    pthread_mutex_unlock(&tally.lock);
}

static void
submit(struct piece *p)
{
    if (keeper->ops->submit(keeper, &p->work) != SCK_OK) {
        fprintf(stderr, "submit: %s\n", p->work.err.message);
        exit(2);
    }
}

static size_t
fly(struct piece *pieces, size_t count, bool cancel)
{
    size_t twice = 0;
    tally.left = count;
    for (size_t i = 0; i < count; i++) {
        piece_init(&pieces[i], i % 3 == 0, done_once);
        submit(&pieces[i]);
    }
    for (size_t i = 0; cancel && i < count; i += 2)
        keeper->ops->cancel(keeper, &pieces[i].work);
    wait_for_all();
    for (size_t i = 0; i < count; i++) {
        twice += atomic_load(&pieces[i].done) != 1;
        piece_clear(&pieces[i]);
    }
    return twice;
}

static void
do_flight(size_t count)
{
    struct piece *pieces = calloc(count, sizeof *pieces);
    size_t twice = fly(pieces, count, true);
    printf("%zu done, %zu not once, %s, %zu other, %zu wrong\n", tally.ok + tally.cancelled, twice,
           tally.ok >= count / 2 && tally.cancelled > 0 ? "half or less cancelled" : "ODD", tally.other + tally.connectivity,
           tally.wrong);
    free(pieces);
}

static void
do_close(size_t count)
{
    struct piece *pieces = calloc(count, sizeof *pieces);
    size_t twice = 0;
    tally.left = count;
    for (size_t i = 0; i < count; i++) {
        piece_init(&pieces[i], i % 2 == 0, done_once);
        submit(&pieces[i]);
    }
    keeper->ops->close(keeper);
    keeper = NULL;
    for (size_t i = 0; i < count; i++) {
        twice += atomic_load(&pieces[i].done) != 1;
        piece_clear(&pieces[i]);
    }
    printf("%zu left, %zu not once, %zu done, %zu wrong\n", tally.left, twice, tally.ok + tally.cancelled, tally.wrong);
    free(pieces);
}

static void
do_fork(void)
{
    enum { COUNT = 300, CHILDREN = 6 };
    static struct piece mine[COUNT];
    size_t twice = 0, bad = 0;
    tally.left = COUNT;
    for (size_t i = 0; i < COUNT; i++) {
        piece_init(&mine[i], i % 2 == 0, done_once);
        submit(&mine[i]);
        if (i % (COUNT / CHILDREN) != 1)
            continue;
        pid_t child = fork();
        if (child == 0) {
            static struct piece own[40];
            memset(&tally, 0, sizeof tally);
            (void)pthread_mutex_init(&tally.lock, NULL);
            (void)pthread_cond_init(&tally.news, NULL);
            if (!CHILD_FLIES)
                sck_buf_reset(&blob);
            if (CHILD_FLIES)
                twice = fly(own, 40, i % 100 == 1);
            else
                tally.ok = keeper->ops->wrap(keeper, &kek, payload, &blob, &version, &err) == SCK_OK ? 40 : 0;
            keeper->ops->close(keeper);
            _exit(twice == 0 && tally.wrong == 0 && tally.other == 0 && tally.ok + tally.cancelled == 40 ? 0 : 1);
        }
        int status = 0;
        if (i % 2 == 0 || waitpid(child, &status, 0) != child || status != 0)
            bad++;
    }
    wait_for_all();
    for (size_t i = 0; i < COUNT; i++) {
        twice += atomic_load(&mine[i].done) != 1;
        piece_clear(&mine[i]);
    }
    printf("failed children: %zu; %zu ok, %zu not once, %zu wrong\n", bad, tally.ok, twice, tally.wrong);
}

/* ---- pieces that begin anew as soon as they are done ---- */

static void
done_again(struct sck_keeper_work *work)
{
    struct piece *p = work->arg;
    bool wraps = work->what == SCK_KEEPER_UNWRAP, again;
    pthread_mutex_lock(&tally.lock);
    count_locked(p);
    tally.left -= tally.left > 0;
    again = tally.until_us != 0 ? sck_monotonic_us(sck_clock_system()) < tally.until_us : tally.left >= IN_FLIGHT;
    pthread_mutex_unlock(&tally.lock);
    piece_clear(p);
    if (again) {
        piece_init(p, wraps, done_again);
        submit(p);
        return;
    }
    pthread_mutex_lock(&tally.lock);
    atomic_store(&p->done, 1);
    pthread_cond_signal(&tally.news);
    pthread_mutex_unlock(&tally.lock);
}

static void
keep_flying(void)
{
    static struct piece pieces[IN_FLIGHT];
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        piece_init(&pieces[i], i % 2 == 0, done_again);
        submit(&pieces[i]);
    }
    pthread_mutex_lock(&tally.lock);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        while (atomic_load(&pieces[i].done) == 0)
            pthread_cond_wait(&tally.news, &tally.lock);
    }
    pthread_mutex_unlock(&tally.lock);
}

static size_t
descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

static long
resident_kib(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%ld %ld", &size, &pages) != 2)
        abort();
    (void)fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
do_grow(size_t count)
{
    tally.left = count / 4;
    keep_flying();
    size_t fds = descriptors();
    long kib = resident_kib();
    tally.left = count;
    keep_flying();
    long more = resident_kib() - kib;
    printf("descriptors +%zd, memory %s, %zu other, %zu wrong\n", (ssize_t)(descriptors() - fds),
           more <= KIB_MORE ? "+0" : "GROWS", tally.other + tally.connectivity + tally.cancelled, tally.wrong);
    fprintf(stderr, "# %ld KiB more after %zu operations\n", more, count);
}

static void
do_storm(int64_t ms)
{
    tally.until_us = sck_monotonic_us(sck_clock_system()) + ms * 1000;
    keep_flying();
    printf("ok %s, connectivity %s, %zu other, %zu wrong\n", tally.ok > 0 ? "some" : "none",
           tally.connectivity > 0 ? "some" : "none", tally.other + tally.cancelled, tally.wrong);
    fprintf(stderr, "# %zu ok, %zu connectivity\n", tally.ok, tally.connectivity);
}

static void
do_late(size_t count, int64_t ms)
{
    struct piece *pieces = calloc(count, sizeof *pieces);
    int64_t begun = sck_monotonic_us(sck_clock_system());
    tally.left = count;
    for (size_t i = 0; i < count; i++) {
        piece_init(&pieces[i], true, done_once);
        pieces[i].work.deadline_us = begun + ms * 1000;
        submit(&pieces[i]);
    }
    wait_for_all();
    printf("ok %s, connectivity %s, %zu other; %s\n", tally.ok > 0 ? "some" : "none",
           tally.connectivity > 0 ? "some" : "none", tally.other + tally.wrong,
           sck_monotonic_us(sck_clock_system()) - begun < ms * 1000 + 5000000 ? "in time" : "LATE");
    printf("%s\n", pieces[count - 1].work.err.message);
    for (size_t i = 0; i < count; i++)
        piece_clear(&pieces[i]);
    free(pieces);
}

/* ---- batches ---- */

static void
report(const char *what, const struct sck_keeper_work *work)
{
    size_t good = 0, opened = 0;
    for (size_t i = 0; i < work->count; i++) {
        const struct sck_keeper_item *item = &work->items[i];
        good += item->code == SCK_OK;
        opened += item->opened != NULL && sck_ct_equal(item->opened->data, payload->data, payload->len);
    }
    printf("%s: %zu good, %zu opened, %s %s\n", what, good, opened, sck_code_name(work->code), work->err.message);
}

static void
do_batch(size_t count)
{
    struct sck_keeper_item *items = calloc(count, sizeof *items);
    struct sck_buf *blobs = calloc(count, sizeof *blobs);
    struct sck_keeper_work work = {.what = SCK_KEEPER_WRAP, .kek = &kek, .items = items, .count = count};
    for (size_t i = 0; i < count; i++) {
        items[i].payload = payload;
        sck_buf_init(&items[i].out, SCK_KEEPER_BLOB_MAX);
    }
    (void)keeper->ops->run(keeper, &work);
    report("wrap", &work);
    for (size_t i = 0; i < count; i++) {
        blobs[i] = items[i].out;
        items[i].blob = sck_buf_bytes(&blobs[i]);
        sck_buf_init(&items[i].out, SCK_KEEPER_BLOB_MAX);
    }
    work.what = SCK_KEEPER_UNWRAP;
    (void)keeper->ops->run(keeper, &work);
    report("unwrap", &work);
    for (size_t i = 0; i < count; i++)
        sck_secret_free(&items[i].opened);
    /* Another nonce, as each blob has its own. */
    for (size_t i = 1; i < count; i += 2)
        memcpy(blobs[i].data + 9, blobs[i - 1].data + 9, 12);
    (void)keeper->ops->run(keeper, &work);
    report("half of them altered", &work);
    for (size_t i = 0; i < count; i++)
        sck_secret_free(&items[i].opened);
    work.what = SCK_KEEPER_REWRAP;
    (void)keeper->ops->run(keeper, &work);
    report("rewrap of these", &work);
    for (size_t i = 0; i < count; i++) {
        if (items[i].code == SCK_OK && (items[i].out.len != blobs[i].len || items[i].version < version))
            puts("WRONG");
        sck_buf_clear(&items[i].out);
        sck_buf_clear(&blobs[i]);
    }
    free(items);
    free(blobs);
}

static void
usage(void)
{
    fprintf(stderr, "usage: vault_async PLUGIN flight|batch|fork|close|grow|storm|late NAME [COUNT|MS [MS]]\n");
    exit(2);
}

int
main(int argc, char **argv)
{
    if (argc < 4)
        usage();
    const char *what = argv[2];
    size_t number = argc > 4 ? (size_t)atoll(argv[4]) : 0;
    payload = live_payload();
    kek = live_kek(argv[3]);
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    if (live_open(live_plugin(argv[1]), &keeper, &err) != SCK_OK ||
        keeper->ops->wrap(keeper, &kek, payload, &blob, &version, &err) != SCK_OK) {
        printf("%s\n", err.message);
        if (keeper != NULL)
            keeper->ops->close(keeper);
        sck_secret_free(&payload);
        return 0;
    }
    if (strcmp(what, "flight") == 0)
        do_flight(number);
    else if (strcmp(what, "batch") == 0)
        do_batch(number);
    else if (strcmp(what, "fork") == 0)
        do_fork();
    else if (strcmp(what, "close") == 0)
        do_close(number);
    else if (strcmp(what, "grow") == 0)
        do_grow(number);
    else if (strcmp(what, "storm") == 0)
        do_storm((int64_t)number);
    else if (strcmp(what, "late") == 0 && argc > 5)
        do_late(number, atoll(argv[5]));
    else
        usage();
    if (keeper != NULL)
        keeper->ops->close(keeper);
    sck_buf_clear(&blob);
    sck_secret_free(&payload);
    return 0;
}
