/* SPDX-License-Identifier: MIT */
/* The two sides of row `vault-wrap`: keeper `vault` through its plug-in, and plain libcurl with the same requests. */
#ifndef TESTS_BENCH_VAULT_H
#define TESTS_BENCH_VAULT_H

#include <stddef.h>

#define BENCH_IN_FLIGHT 64
#define BENCH_BATCH 128

struct bench_vault {
    const char *url, *token_file;
    const char *plugin;
};

/* Microseconds per DEK: wraps and unwraps in turn, one after the other. */
double bench_keeper_single(void *vault);
/* The same with BENCH_IN_FLIGHT of them under way. */
double bench_keeper_many(void *vault);
/* Batches of BENCH_BATCH. */
double bench_keeper_batch(void *vault);

double bench_curl_single(void *vault);
double bench_curl_many(void *vault);
double bench_curl_batch(void *vault);

#endif
