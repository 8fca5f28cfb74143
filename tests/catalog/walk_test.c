/* SPDX-License-Identifier: MIT */
/* Walks over many rows: order, limits, pages, and rows that change meanwhile. */
#include "tests/catalog/common.h"

#include "lib/catalog/statement.h"

#include <stdio.h>
#include <string.h>

struct seen {
    char order[512];
    size_t count;
    enum sck_code stop_after;   /* at the third row */
};

static enum sck_code
note_owner(void *arg, void *record, struct sck_err *err)
{
    struct seen *s = arg;
    const struct sck_owner_rec *o = record;
    (void)err;
    (void)snprintf(s->order + strlen(s->order), sizeof s->order - strlen(s->order), "%s ", o->ident);
    return ++s->count == 3 ? s->stop_after : SCK_OK;
}

static enum sck_code
note_key(void *arg, void *record, struct sck_err *err)
{
    struct seen *s = arg;
    const struct sck_key_rec *k = record;
    (void)err;
    (void)snprintf(s->order + strlen(s->order), sizeof s->order - strlen(s->order), "%s ", k->name);
    s->count++;
    return SCK_OK;
}

static void
walks_in_order(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    static const char *const names[] = {"m", "b", "Z", "z", "a", "b-2"};
    for (size_t i = 0; i < 6; i++) {
        struct sck_owner_rec o = {.kind = 1, .state = 1 + i % 2};
        struct sck_key_rec k = {.id = {(uint8_t)(6 - i)}, .scope_kind = 1, .scope_id = "alice", .owner_id = 1};
        (void)snprintf(o.ident, sizeof o.ident, "%s", names[i]);
        (void)snprintf(k.name, sizeof k.name, "%s", names[i]);
        (void)snprintf(k.key_id, sizeof k.key_id, "%s", names[i]);
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_OWNERS, &o, &err), &err);
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEYS, &k, &err), &err);
    }
    struct seen s = {.count = 0};
    union sck_any_record r = {.owner = {.id = 2}};
    assert_ok(sck_catalog_each(p->catalog, SCK_OWNERS_ALL, &r, true, 0, note_owner, &s, &err), &err);
    assert_string_equal(s.order, "Z z a b-2 ");

    s = (struct seen){.count = 0};
    r = (union sck_any_record){.owner = {.state = 2}};
    assert_ok(sck_catalog_each(p->catalog, SCK_OWNERS_BY_STATE, &r, true, 2, note_owner, &s, &err), &err);
    assert_string_equal(s.order, "b z ");

    s = (struct seen){.stop_after = SCK_E_STATE};
    r = (union sck_any_record){.owner = {.id = 0}};
    assert_code(sck_catalog_each(p->catalog, SCK_OWNERS_ALL, &r, true, 0, note_owner, &s, &err), SCK_E_STATE, &err);
    assert_string_equal(s.order, "m b Z ");

    s = (struct seen){.count = 0};
    r = (union sck_any_record){.key = {.scope_kind = 1, .scope_id = "alice", .name = "a"}};
    assert_ok(sck_catalog_each(p->catalog, SCK_KEYS_OF_SCOPE, &r, true, 0, note_key, &s, &err), &err);
    assert_string_equal(s.order, "b b-2 m z ");

    s = (struct seen){.count = 0};
    r = (union sck_any_record){.key = {.owner_id = 1, .id = {1}}};
    assert_ok(sck_catalog_each(p->catalog, SCK_KEYS_OF_OWNER, &r, false, 0, note_key, &s, &err), &err);
    assert_string_equal(s.order, "a z Z b m ");

    s = (struct seen){.count = 0};
    r = (union sck_any_record){.key = {.scope_kind = 1, .scope_id = "bob"}};
    assert_ok(sck_catalog_each(p->catalog, SCK_KEYS_OF_SCOPE, &r, true, 0, note_key, &s, &err), &err);
    assert_string_equal(s.order, "");
}

static void
newest_first(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    for (uint32_t v = 1; v <= 200; v++) {
        struct sck_version_rec version = {.key = {5}, .version = v};
        struct sck_kek_rec kek = {.owner_id = 5, .serial = v};
        struct sck_tomb_rec tomb = {.hash = {(uint8_t)v, 1}, .seq = v, .state = v % 2 + 1};
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &version, &err), &err);
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_KEKS, &kek, &err), &err);
        assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_TOMBS, &tomb, &err), &err);
    }
    struct sck_version_rec newest = {.key = {5}};
    assert_ok(sck_catalog_get(p->catalog, SCK_VERSIONS_OF_KEY, &newest, &err), &err);
    assert_int_equal(newest.version, 200);
    struct sck_kek_rec kek = {.owner_id = 5};
    assert_ok(sck_catalog_get(p->catalog, SCK_KEKS_OF_OWNER, &kek, &err), &err);
    assert_int_equal(kek.serial, 200);
    struct sck_tomb_rec tomb = {.seq = 0};
    assert_ok(sck_catalog_get(p->catalog, SCK_TOMB_LAST, &tomb, &err), &err);
    assert_int_equal(tomb.seq, 200);
    tomb = (struct sck_tomb_rec){.seq = 100};
    assert_ok(sck_catalog_get(p->catalog, SCK_TOMBS_AFTER, &tomb, &err), &err);
    assert_int_equal(tomb.seq, 101);
    tomb = (struct sck_tomb_rec){.seq = 100};
    assert_ok(sck_catalog_get(p->catalog, SCK_TOMBS_PENDING, &tomb, &err), &err);
    assert_int_equal(tomb.seq, 2);
}

struct downwards {
    int64_t last;
    size_t count;
};

static enum sck_code
note_version(void *arg, void *record, struct sck_err *err)
{
    struct downwards *d = arg;
    const struct sck_version_rec *v = record;
    (void)err;
    assert_int_equal(v->version, d->last - 1);
    d->last = v->version;
    d->count++;
    return SCK_OK;
}

static void
pages_backwards(void **state)
{
    struct place *p = *state;
    struct sck_err err = SCK_ERR_INIT;
    const size_t sizes[] = {0, 1, SCK_PAGE_ROWS - 1, SCK_PAGE_ROWS, SCK_PAGE_ROWS + 1, 3 * SCK_PAGE_ROWS};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t v = 1; v <= sizes[i]; v++) {
            struct sck_version_rec version = {.key = {(uint8_t)i}, .version = v};
            assert_ok(sck_catalog_insert(p->catalog, SCK_TABLE_VERSIONS, &version, &err), &err);
        }
        struct downwards d = {.last = (int64_t)sizes[i] + 1};
        struct sck_version_rec r = {.key = {(uint8_t)i}};
        assert_ok(sck_catalog_each(p->catalog, SCK_VERSIONS_OF_KEY, &r, true, 0, note_version, &d, &err), &err);
        assert_int_equal(d.count, sizes[i]);
    }
}

struct churn {
    struct place *p;
    uint8_t last[16];
    size_t seen;
    size_t old_seen;
};

/* For each row read, one before it, one behind it is added, and it is deleted itself. */
static enum sck_code
change_under_walk(void *arg, void *record, struct sck_err *err)
{
    struct churn *c = arg;
    struct sck_key_rec *k = record;
    assert_true(memcmp(k->id, c->last, sizeof k->id) > 0);
    memcpy(c->last, k->id, sizeof k->id);
    c->seen++;
    if (k->scope_kind != 1)
        return SCK_OK;
    c->old_seen++;
    struct sck_key_rec before = {.scope_kind = 2}, behind = {.scope_kind = 3};
    memcpy(before.id, k->id, sizeof k->id);
    memcpy(behind.id, k->id, sizeof k->id);
    before.id[2]--;
    behind.id[2]++;
    (void)snprintf(before.key_id, sizeof before.key_id, "before-%zu", c->seen);
    (void)snprintf(behind.key_id, sizeof behind.key_id, "behind-%zu", c->seen);
    (void)snprintf(before.name, sizeof before.name, "%zu", c->seen);
    (void)snprintf(behind.name, sizeof behind.name, "%zu", c->seen);
    assert_ok(sck_catalog_insert(c->p->catalog, SCK_TABLE_KEYS, &before, err), err);
    assert_ok(sck_catalog_insert(c->p->catalog, SCK_TABLE_KEYS, &behind, err), err);
    assert_ok(sck_catalog_delete(c->p->catalog, SCK_TABLE_KEYS, k, err), err);
    return SCK_OK;
}

static void
pages_while_rows_change(void **state)
{
    struct churn c = {.p = *state};
    struct sck_err err = SCK_ERR_INIT;
    for (unsigned i = 0; i < 300; i++) {
        struct sck_key_rec k = {.id = {(uint8_t)(i >> 8), (uint8_t)i, 100}, .scope_kind = 1};
        (void)snprintf(k.name, sizeof k.name, "%u", i);
        (void)snprintf(k.key_id, sizeof k.key_id, "k%u", i);
        assert_ok(sck_catalog_insert(c.p->catalog, SCK_TABLE_KEYS, &k, &err), &err);
    }
    struct sck_key_rec from = {.scope_kind = 0};
    assert_ok(sck_catalog_each(c.p->catalog, SCK_KEYS_ALL, &from, true, 0, change_under_walk, &c, &err), &err);
    assert_int_equal(c.old_seen, 300);
    int64_t count = 0;
    assert_ok(sck_catalog_count(c.p->catalog, SCK_TABLE_KEYS, &count, &err), &err);
    assert_int_equal(count, 600);
}

struct good {
    struct place *p;
    size_t good;
    size_t bad;
    char last[SCK_ERR_MESSAGE_MAX];
};

static enum sck_code
note_good(void *arg, void *record, struct sck_err *err)
{
    struct good *g = arg;
    const struct sck_file_rec *file = record;
    (void)err;
    assert_int_equal(file->state, SCK_FILE_ACTIVE);
    g->good++;
    return SCK_OK;
}

static void
note_bad(void *arg, const char *problem)
{
    struct good *g = arg;
    g->bad++;
    (void)snprintf(g->last, sizeof g->last, "%s", problem);
}

/* Bad rows at the edges of pages, a whole page of them, and one whose type is wrong. */
static void
passes_over_bad_rows(void **state)
{
    struct good g = {.p = *state};
    struct sck_err err = SCK_ERR_INIT;
    char want[256];
    for (unsigned i = 1; i <= 4 * SCK_PAGE_ROWS; i++) {
        struct sck_file_rec f = {.file_id = {(uint8_t)(i >> 8), (uint8_t)i}, .dek_id = {1}, .owner_id = 3,
                                 .state = SCK_FILE_ACTIVE, .created_s = 1};
        (void)snprintf(f.key_reference, sizeof f.key_reference, "file-%u", i);
        assert_ok(sck_catalog_insert(g.p->catalog, SCK_TABLE_FILES, &f, &err), &err);
    }
    raw_sql(g.p->path, "UPDATE file_keys SET size = 5 WHERE id IN (1, 63, 64, 65, 256) OR id BETWEEN 129 AND 192");
    raw_sql(g.p->path, "UPDATE file_keys SET header_tag = x'00' WHERE id = 70");
    struct sck_file_rec from = {.owner_id = 3};
    assert_code(sck_catalog_each(g.p->catalog, SCK_FILES_OF_OWNER, &from, true, 0, note_good, &g, &err),
                SCK_E_INTEGRITY, &err);
    assert_int_equal(g.good, 0);
    from = (struct sck_file_rec){.owner_id = 3};
    assert_ok(sck_catalog_each_good(g.p->catalog, SCK_FILES_OF_OWNER, &from, note_good, note_bad, &g, &err), &err);
    assert_int_equal(g.bad, 5 + SCK_PAGE_ROWS + 1);
    assert_int_equal(g.good, 4 * SCK_PAGE_ROWS - g.bad);
    (void)snprintf(want, sizeof want,
                   "catalog %s: the row of file_keys with id = 256 was changed by someone else: restore the catalog "
                   "from a backup", g.p->path);
    assert_string_equal(g.last, want);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(walks_in_order),
        TEST(newest_first),
        TEST(pages_backwards),
        TEST(pages_while_rows_change),
        TEST(passes_over_bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
