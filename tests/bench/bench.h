/* SPDX-License-Identifier: MIT */
/*
 * What the rows of `make bench` share.  Each row runs in a process of its own; ours and the reference alternate
 * (A B A B ...), and medians over the rounds are compared.  Everything here stops the program when it fails.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "lib/service/setup.h"

#include <p11-kit/pkcs11.h>

#define BENCH_ROUNDS_MAX 64
#define BENCH_SIDES_MAX 4

/* Where the rows work; the set-ups in it are shared by rows, and the large ones kept for the next run. */
struct bench_dirs {
    char work[512];             /* emptied at the start */
    char cache[512];            /* kept */
    char modules[512];          /* the provider */
    char spy[512];              /* the spy module */
};
extern struct bench_dirs bench_dirs;

_Noreturn void bench_die(const char *what, const char *why);
/* Stop unless SCK_OK. */
void bench_ok(enum sck_code code, const char *what, const struct sck_err *err);
double bench_now_us(void);
/* Time of the processor that this process had: what matters when others use the machine. */
double bench_cpu_us(void);

/* One round of one side: any figure (microseconds per operation unless a row says otherwise). */
typedef double (*bench_fn)(void *arg);
struct bench_side {
    bench_fn fn;
    void *arg;
    double rounds[BENCH_ROUNDS_MAX];
    double median;
};
/* Run all sides in turn, `rounds` times (after one round that does not count). */
void bench_alternate(struct bench_side *sides, size_t count, size_t rounds);
double bench_median(double *values, size_t count);

enum bench_verdict { BENCH_SHORT, BENCH_OK, BENCH_NOT_MEASURED };
/* Print one line: name, ours, reference (below 0: none), ratio (below 0: none), target, verdict. */
void bench_print(const char *name, double ours, double reference, const char *unit, double ratio, const char *target,
                 enum bench_verdict verdict);
/* A line of remarks below a row. */
void bench_note(const char *fmt, ...) SCK_PRINTF(1, 2);

/* Make a set-up in `dir`/d unless it is there; NULL module: SoftHSM. */
void bench_home_make(const char *dir, const char *module);
struct sck_service *bench_home_open(const char *dir);
/* Make a key unless it is there. */
struct sck_key_info bench_key(struct sck_service *service, const char *uri, enum sck_alg alg, enum sck_usage usage);
struct sck_uri bench_uri(const char *text);

/* Run a program, standard output discarded; microseconds.  `peak_kib` may be NULL. */
double bench_run(const char *const argv[], long *peak_kib);
/* The peer is not installed: say so. */
bool bench_has(const char *program);

/* The token module of this process, already initialised and logged in by Scopekey, seen raw. */
struct bench_raw {
    CK_FUNCTION_LIST *fns;
    CK_SESSION_HANDLE session;
};
void bench_raw_open(struct bench_raw *raw, const char *module);

void bench_sign(void);
void bench_calls(void);
void bench_lookup(void);
void bench_start(void);
void bench_create(void);
void bench_cold(void);
void bench_coalesce(void);
void bench_file(void);
void bench_vault(void);
void bench_outage(void);
void bench_rewrap(void);
/* What `bench --first-find DIR URI` does. */
int bench_first_find(const char *dir, const char *uri);
/* Run `fn` in a child, for what one process can do once; it fills `out`. */
void bench_in_child(void (*fn)(void *arg, double *out), void *arg, double *out, size_t count);
/* Where a set-up with `count` keys is (one of four static buffers). */
const char *bench_keys_dir(uint64_t count);
/* Have a set-up with `count` keys in the cache; gives its directory (the same buffers).  64 are whole keys. */
const char *bench_keys(uint64_t count);
#define BENCH_WHOLE_KEYS 64

#endif
