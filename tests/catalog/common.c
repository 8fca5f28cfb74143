/* SPDX-License-Identifier: MIT */
#include "tests/catalog/common.h"

#include "lib/base/text.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static enum sck_code
give_row_key(void *arg, struct sck_secret **row_key, struct sck_err *err)
{
    static const uint8_t key[32] = {1, 2, 3};
    struct place *p = arg;
    (void)__atomic_add_fetch(&p->keys_asked, 1, __ATOMIC_SEQ_CST);
    if (p->key_fails != SCK_OK)
        return sck_fail(err, p->key_fails, "no row key today");
    return sck_secret_from(key, sizeof key, row_key, err);
}

void
place_make(struct place *p, const char *parent)
{
    const char *tmp = getenv("TMPDIR");
    if (parent == NULL)
        parent = tmp != NULL ? tmp : "/tmp";
    *p = (struct place){.conf = {.row_key = give_row_key, .row_key_arg = p, .catalog_id = {7, 7, 7}}};
    (void)snprintf(p->dir, sizeof p->dir, "%s/sck-catalog-XXXXXX", parent);
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->path, sizeof p->path, "%s/catalog.db", p->dir);
    p->conf.path = p->path;
}

void
place_create(struct place *p)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_setup_rec setup = setup_of(p);
    assert_ok(sck_catalog_create(&p->conf, &setup, &err), &err);
}

void
place_open(struct place *p)
{
    struct sck_err err = SCK_ERR_INIT;
    assert_ok(sck_catalog_open(&p->conf, &p->catalog, &err), &err);
}

void
place_remove(struct place *p)
{
    char name[512];
    DIR *dir = opendir(p->dir);
    sck_catalog_close(&p->catalog);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        (void)snprintf(name, sizeof name, "%s/%s", p->dir, e->d_name);
        (void)unlink(name);
    }
    (void)closedir(dir);
    assert_int_equal(rmdir(p->dir), 0);
}

int
place_set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    place_make(p, NULL);
    place_create(p);
    place_open(p);
    p->keys_asked = 0;
    *state = p;
    return 0;
}

int
place_tear_down(void **state)
{
    place_remove(*state);
    free(*state);
    return 0;
}

int
place_set_up_empty(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    place_make(p, NULL);
    *state = p;
    return 0;
}

struct sck_setup_rec
setup_of(const struct place *p)
{
    struct sck_setup_rec setup = {.id = 1, .environment = "development", .created_s = 1, .generation = 1};
    memcpy(setup.catalog_id, p->conf.catalog_id, sizeof setup.catalog_id);
    return setup;
}

size_t
count_files(const struct place *p)
{
    size_t n = 0;
    DIR *dir = opendir(p->dir);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.' ? 1 : 0;
    (void)closedir(dir);
    return n;
}

void
expect_message(const struct sck_err *err, const char *fmt, const char *path)
{
    char want[SCK_ERR_MESSAGE_MAX];
    const char *at = strchr(fmt, '@');
    (void)snprintf(want, sizeof want, "%.*s%s%s", (int)(at - fmt), fmt, path, at + 1);
    assert_string_equal(err->message, want);
}

static uint64_t random_state;
static pthread_once_t random_once = PTHREAD_ONCE_INIT;

static void
random_seed(void)
{
    const char *seed = getenv("SCOPEKEY_TEST_SEED");
    uint64_t s = 0;
    if (seed != NULL)
        s = strtoull(seed, NULL, 10);
    else if (getrandom(&s, sizeof s, 0) != (ssize_t)sizeof s)
        abort();
    (void)fprintf(stderr, "SCOPEKEY_TEST_SEED=%llu\n", (unsigned long long)s);
    random_state = s;
}

/* splitmix64 (Steele, Lea, Flood 2014), whose steps may be taken by several threads. */
uint64_t
test_random(void)
{
    pthread_once(&random_once, random_seed);
    uint64_t z = __atomic_add_fetch(&random_state, UINT64_C(0x9E3779B97F4A7C15), __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static bool
must_be_unique(enum sck_table table, const char *column)
{
    static const char *const names[SCK_TABLE_COUNT][4] = {
        [SCK_TABLE_OWNERS] = {"ident"},
        [SCK_TABLE_KEKS] = {"owner_id", "serial"},
        [SCK_TABLE_KEYS] = {"id", "name", "key_id"},
        [SCK_TABLE_VERSIONS] = {"key_uuid", "version"},
        [SCK_TABLE_TOMBS] = {"hash", "seq"},
        [SCK_TABLE_RECEIPTS] = {"hash", "id"},
        [SCK_TABLE_FILES] = {"file_id", "key_reference", "dek_id"},
        [SCK_TABLE_EPOCHS] = {"number"},
        [SCK_TABLE_BACKUPS] = {"id"},
        [SCK_TABLE_PLEDGES] = {"hash"},
        [SCK_TABLE_SETUP] = {"id"},
    };
    for (size_t i = 0; i < 4 && names[table][i] != NULL; i++) {
        if (strcmp(names[table][i], column) == 0)
            return true;
    }
    return false;
}

static void
random_bytes(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)test_random();
}

static void
random_field(const struct sck_column *c, uint64_t unique, bool is_unique, void *record)
{
    uint8_t *at = (uint8_t *)record + c->offset;
    uint32_t u32 = is_unique ? (uint32_t)unique : (uint32_t)test_random();
    int64_t i64 = is_unique ? (int64_t)unique : (int64_t)test_random();
    struct sck_buf buf;
    switch (c->type) {
    case SCK_COLUMN_U32:
        memcpy(at, &u32, sizeof u32);
        return;
    case SCK_COLUMN_TIME:
    case SCK_COLUMN_TIME_OR_NULL:
        i64 = (int64_t)(test_random() % UINT64_C(253402300799));
        if (c->type == SCK_COLUMN_TIME_OR_NULL && test_random() % 2 == 0)
            i64 = 0;
        memcpy(at, &i64, sizeof i64);
        return;
    case SCK_COLUMN_I64:
        memcpy(at, &i64, sizeof i64);
        return;
    case SCK_COLUMN_BYTES:
        random_bytes(at, c->size);
        if (is_unique)
            sck_be64(at, unique);
        return;
    case SCK_COLUMN_TEXT:
        if (is_unique) {
            (void)snprintf((char *)at, c->size, "\303\251-%llu", (unsigned long long)unique);
            return;
        }
        for (size_t i = 0, n = test_random() % c->size; i < n; i++)
            at[i] = (uint8_t)(1 + test_random() % 127);
        return;
    case SCK_COLUMN_BUF:
        sck_buf_init(&buf, SCK_REC_BLOB_MAX);
        for (size_t i = 0, n = test_random() % 5 == 0 ? 0 : test_random() % 3000; i < n; i++)
            sck_buf_put_u8(&buf, (uint8_t)test_random());
        memcpy(at, &buf, sizeof buf);
        return;
    }
}

void
random_record(enum sck_table table, uint64_t unique, void *record)
{
    const struct sck_table_desc *t = sck_table_desc(table);
    memset(record, 0, t->record_size);
    for (size_t i = 0; i < t->count; i++)
        random_field(&t->columns[i], unique, must_be_unique(table, t->columns[i].name), record);
}

bool
records_equal(enum sck_table table, const void *a, const void *b)
{
    const struct sck_table_desc *t = sck_table_desc(table);
    for (size_t i = 0; i < t->count; i++) {
        const uint8_t *x = (const uint8_t *)a + t->columns[i].offset;
        const uint8_t *y = (const uint8_t *)b + t->columns[i].offset;
        if (t->columns[i].type == SCK_COLUMN_BUF) {
            struct sck_buf p, q;
            memcpy(&p, x, sizeof p);
            memcpy(&q, y, sizeof q);
            if (!sck_bytes_equal(p.data, p.len, q.data, q.len))
                return false;
        } else if (memcmp(x, y, t->columns[i].size) != 0) {
            return false;
        }
    }
    return true;
}

void
raw_sql(const char *path, const char *fmt, ...)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    va_list args;
    va_start(args, fmt);
    char *sql = sqlite3_vmprintf(fmt, args);
    va_end(args);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_free(sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t
raw_number(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}
