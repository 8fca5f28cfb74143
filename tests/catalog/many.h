/* SPDX-License-Identifier: MIT */
/* What tests with many threads and processes share: owners by number, and threads that work on them. */
#ifndef SCK_TESTS_CATALOG_MANY_H
#define SCK_TESTS_CATALOG_MANY_H

#include "tests/catalog/common.h"

#include <pthread.h>

struct sck_owner_rec owner_named(const char *prefix, unsigned i);
enum sck_code insert_owner(struct place *p, const char *prefix, unsigned i, struct sck_err *err);
bool has_owner(struct place *p, const char *prefix, unsigned i);
int64_t owners(struct place *p);
/* Every row and the file's structure are good. */
void expect_sound(struct place *p);
/* The child ends by itself, with this status. */
void expect_exit(pid_t child, int want);

/* A thread; each round inserts, updates, finds and walks, and every fourth is rolled back. */
struct worker {
    struct place *p;
    unsigned number;
    unsigned rounds;
    bool failed;
    pthread_t thread;
};

/* fork() while workers work (tests/lib/forkgate.h says what sanitizers make of that). */
pid_t fork_beside_workers(void);
void start(struct worker *workers, unsigned count, unsigned rounds, struct place *p);
/* All ended well. */
void finish(struct worker *workers, unsigned count);

#endif
