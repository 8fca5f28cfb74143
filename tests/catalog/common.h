/* SPDX-License-Identifier: MIT */
/* What the tests of the catalog share: a place of its own for each, random records, a count of row keys asked for. */
#ifndef SCK_TESTS_CATALOG_COMMON_H
#define SCK_TESTS_CATALOG_COMMON_H

#include "lib/catalog/catalog.h"
#include "lib/catalog/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

/* A directory with a catalog in it. */
struct place {
    char dir[64];
    char path[96];
    struct sck_catalog_conf conf;
    struct sck_catalog *catalog;    /* open */
    int keys_asked;                 /* calls of the row key function */
    enum sck_code key_fails;        /* what it shall answer */
};

#define assert_ok(call, err)                                                                                     \
    do {                                                                                                         \
        sck_err_clear(err);                                                                                      \
        enum sck_code ok_rc = (call);                                                                            \
        if (ok_rc != SCK_OK)                                                                                     \
            fail_msg("%s: %s: %s", #call, sck_code_name(ok_rc), (err)->message);                                 \
    } while (0)

#define assert_code(call, code, err)                                                                             \
    do {                                                                                                         \
        sck_err_clear(err);                                                                                      \
        assert_string_equal(sck_code_name(call), sck_code_name(code));                                           \
    } while (0)

/* A new directory below `parent` (NULL: TMPDIR or /tmp). */
void place_make(struct place *p, const char *parent);
/* A directory with a new, open catalog: cmocka set-up and tear-down; *state is the struct place. */
int place_set_up(void **state);
int place_tear_down(void **state);
/* The same without a catalog. */
int place_set_up_empty(void **state);
/* The setup row of a new catalog. */
struct sck_setup_rec setup_of(const struct place *p);
void place_create(struct place *p);
void place_open(struct place *p);
void place_remove(struct place *p);

/* Seeded by the first call with the environment's SCOPEKEY_TEST_SEED, or a new one that is printed. */
uint64_t test_random(void);
/* Fill a zeroed record with random contents, as long as they may be; `unique` makes its unique columns so. */
void random_record(enum sck_table table, uint64_t unique, void *record);
/* True when both records have the same contents. */
bool records_equal(enum sck_table table, const void *a, const void *b);

size_t count_files(const struct place *p);
/* The message is `fmt` with `path` in the place of @. */
void expect_message(const struct sck_err *err, const char *fmt, const char *path);

/* Execute SQL on the file, by hand, with every protection of SQLite's off. */
void raw_sql(const char *path, const char *fmt, ...) SCK_PRINTF(2, 3);
/* The first column of the first row. */
int64_t raw_number(const char *path, const char *sql);

#endif
