/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/base/text.h"
#include "lib/core/alg.h"
#include "lib/core/kekname.h"
#include "lib/core/row.h"
#include "lib/core/uuid.h"

#include <ctype.h>
#include <strings.h>

static void
plain_name(const char *id, char out[SCK_KEK_NAME_MAX + 1])
{
    EXPECT_OK(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 1, id, strlen(id), out, &err));
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of many different ids: all legal, all different, also where the keeper ignores case. */
static void
kek_names_do_not_collide(void **state)
{
    (void)state;
    enum { N = 20000 };
    static const char *const alike[] = {"user.1",   "user@1",   "user_1", "USER.1", "user-1", "user 1",
                                        "user-2e1", "user/1",   "h--x",   "k--x",   "-",      "--",
                                        "rotate",   "x/rotate", ".",      ".."};
    struct prop p;
    prop_init(&p, "KEK names");
    char **names = calloc(4 * N, sizeof *names);
    char **ids = calloc(N, sizeof *ids);
    assert_non_null(names);
    assert_non_null(ids);
    size_t distinct = 0;
    for (size_t i = 0; i < N; i++) {
        char id[256];
        if (i < sizeof alike / sizeof alike[0])
            (void)snprintf(id, sizeof id, "%s", alike[i]);
        else
            (void)prop_utf8(&p, id, 255);
        ids[i] = strdup(id);
        assert_non_null(ids[i]);
    }
    qsort(ids, N, sizeof *ids, compare_names);
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        if (i > 0 && strcmp(ids[i - 1], ids[i]) == 0)
            continue;
        distinct++;
        for (unsigned form = 0; form < 4; form++) {
            char name[SCK_KEK_NAME_MAX + 1];
            EXPECT_OK(sck_kek_name_plain(form == 3 ? "skh" : "sk", form == 1 ? SCK_OWNER_CLIENT : SCK_OWNER_SUBJECT,
                                         form == 2 ? 2 : 1, ids[i], strlen(ids[i]), name, &err));
            assert_true(sck_kek_name_is_legal(name));
            for (const char *c = name; *c != '\0'; c++)
                assert_false(isupper((unsigned char)*c));
            names[n++] = strdup(name);
        }
    }
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n; i++)
        assert_string_not_equal(names[i - 1], names[i]);
    assert_true(distinct > N / 2);
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    for (size_t i = 0; i < N; i++)
        free(ids[i]);
    free(names);
    free(ids);
}

static void
kek_name_forms(void **state)
{
    (void)state;
    char name[SCK_KEK_NAME_MAX + 1];
    char id[256];
    plain_name("user-12345", name);
    assert_string_equal(name, "sk--user-2d12345");
    plain_name("Alice@example.com", name);
    assert_string_equal(name, "sk---41lice-40example-2ecom");
    memset(id, 'a', sizeof id);
    EXPECT_OK(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 1, id, 116, name, &err));
    assert_int_equal(strlen(name), 120);
    assert_memory_equal(name, "sk--aaaa", 8);
    EXPECT_OK(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 1, id, 117, name, &err));
    assert_memory_equal(name, "sk--h--", 7);
    assert_int_equal(strlen(name), 7 + 52);
    EXPECT_OK(sck_kek_name_plain("sk", SCK_OWNER_FILES, 1, "", 0, name, &err));
    assert_memory_equal(name, "sk--h--", 7);
    uint8_t mac[SCK_SHA256_LEN];
    memset(mac, 0xFF, sizeof mac);
    EXPECT_OK(sck_kek_name_keyed("a2345678901234567890123x", mac, name, &err));
    assert_string_equal(name, "a2345678901234567890123x--k--vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvg");
    assert_true(sck_kek_name_is_legal(name));
}

static void
bad_kek_names_are_refused(void **state)
{
    (void)state;
    static const char prefix[] = "KEK name: the prefix is 1 to 24 of a-z 0-9 and starts with a letter";
    static const char *const bad[] = {"", "1a", "A", "a-b", "a_b", "a/b", "a23456789012345678901234x"};
    static const char bad_id[] = "KEK name: an id has 1 to 255 bytes, and the KEK of files has none";
    char name[SCK_KEK_NAME_MAX + 1];
    char id[256] = {0};
    uint8_t mac[SCK_SHA256_LEN] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sck_kek_prefix_is_valid(bad[i]));
        EXPECT_FAIL(sck_kek_name_keyed(bad[i], mac, name, &err), SCK_E_USAGE, prefix);
        EXPECT_FAIL(sck_kek_name_plain(bad[i], SCK_OWNER_SUBJECT, 1, "a", 1, name, &err), SCK_E_USAGE, prefix);
    }
    EXPECT_FAIL(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 1, "", 0, name, &err), SCK_E_USAGE, bad_id);
    EXPECT_FAIL(sck_kek_name_plain("sk", SCK_OWNER_CLIENT, 1, "", 0, name, &err), SCK_E_USAGE, bad_id);
    EXPECT_FAIL(sck_kek_name_plain("sk", SCK_OWNER_FILES, 1, "a", 1, name, &err), SCK_E_USAGE, bad_id);
    EXPECT_FAIL(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 1, id, 256, name, &err), SCK_E_USAGE, bad_id);
    EXPECT_FAIL(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 0, "a", 1, name, &err), SCK_E_USAGE,
                "KEK name: generations start at 1");
    static const char *const illegal[] = {"", "-a", "a-", "A", "a.b", "a_b", "a/b", "a%2Fb", "../a"};
    for (size_t i = 0; i < sizeof illegal / sizeof illegal[0]; i++)
        assert_false(sck_kek_name_is_legal(illegal[i]));
    char too_long[122];
    memset(too_long, 'a', 121);
    too_long[121] = '\0';
    assert_false(sck_kek_name_is_legal(too_long));
    too_long[120] = '\0';
    assert_true(sck_kek_name_is_legal(too_long));
}

/* What is MACed for names and tombstones tells label, kind, generation and id apart. */
static void
mac_inputs_do_not_collide(void **state)
{
    (void)state;
    struct sck_buf a;
    struct sck_buf b;
    sck_buf_init(&a, 512);
    sck_buf_init(&b, 512);
    sck_kek_name_input(SCK_OWNER_SUBJECT, 1, "files", 5, &a);
    assert_memory_equal(a.data, "kek-name/v1S\0\0\0\1files", 21);
    assert_int_equal(a.len, 21);
    sck_kek_name_input(SCK_OWNER_CLIENT, 1, "files", 5, &b);
    assert_memory_not_equal(a.data, b.data, 21);
    sck_buf_reset(&a);
    sck_tomb_input(SCK_TOMB_KEY_ID, 0x01020304, "key-1", 5, &a);
    assert_int_equal(a.len, 17);
    assert_memory_equal(a.data, "tomb/v1K\1\2\3\4key-1", 17);
    sck_buf_clear(&a);
    sck_buf_clear(&b);
}

static void
uuids_and_key_ids(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "UUIDv7");
    uint8_t before[16] = {0};
    for (int i = 0; i < 2000; i++) {
        uint8_t random[SCK_UUID_RANDOM];
        uint8_t uuid[16];
        uint8_t back[16];
        char text[SCK_UUID_TEXT];
        char id[SCK_KEY_ID_MAX + 1];
        int64_t ms = INT64_C(1700000000000) + i * 977;
        prop_bytes(&p, random, sizeof random);
        sck_uuid7(ms, random, uuid);
        assert_int_equal(sck_be64_get(uuid) >> 16, ms);
        assert_int_equal(uuid[6] >> 4, 7);
        assert_int_equal(uuid[8] >> 6, 2);
        assert_int_equal(uuid[6] & 15, random[0] & 15);
        assert_int_equal(uuid[8] & 63, random[2] & 63);
        assert_memory_equal(uuid + 9, random + 3, 7);
        assert_true(memcmp(before, uuid, 16) < 0);
        memcpy(before, uuid, 16);
        sck_uuid_format(uuid, text);
        assert_true(sck_uuid_parse(text, strlen(text), back));
        assert_memory_equal(uuid, back, 16);
        sck_key_id_format(uuid, false, id);
        assert_int_equal(strlen(id), 4 + 26);
        assert_memory_equal(id, "key-", 4);
        assert_true(sck_key_id_is_valid(id, strlen(id)));
        sck_key_id_format(uuid, true, id);
        assert_int_equal(strlen(id), 8 + 26);
        assert_memory_equal(id, "keypair-", 8);
    }
    char long_id[130];
    memset(long_id, 'a', sizeof long_id);
    assert_true(sck_key_id_is_valid(long_id, 128));
    assert_false(sck_key_id_is_valid(long_id, 129));
    assert_false(sck_key_id_is_valid("", 0));
    assert_true(sck_key_id_is_valid("A.b_c:d-9", 9));
    assert_false(sck_key_id_is_valid("-a", 2));
    assert_false(sck_key_id_is_valid("a/b", 3));
    assert_false(sck_key_id_is_valid("a\0b", 3));
}

#define COLUMNS 5

struct row {
    const char *table;
    uint8_t catalog[16];
    const char *names[COLUMNS];
    struct sck_value values[COLUMNS];
    size_t count;
};

static const uint8_t blob[] = {0, 1, 2, 3};

static struct row
example_row(void)
{
    struct row r = {
        "keys", {7}, {"id", "name", "version", "expires", "pub"}, {{SCK_VALUE_NULL, 0, NULL, 0}}, COLUMNS};
    r.values[0] = (struct sck_value){SCK_VALUE_BLOB, 0, blob, sizeof blob};
    r.values[1] = (struct sck_value){SCK_VALUE_TEXT, 0, (const uint8_t *)"tls", 3};
    r.values[2] = (struct sck_value){SCK_VALUE_INT, 2, NULL, 0};
    r.values[3] = (struct sck_value){SCK_VALUE_NULL, 0, NULL, 0};
    r.values[4] = (struct sck_value){SCK_VALUE_BLOB, 0, NULL, 0};
    return r;
}

static void
mac_row(const struct row *r, uint8_t out[SCK_SHA256_LEN])
{
    struct sck_secret *key = NULL;
    EXPECT_OK(sck_secret_from("0123456789abcdef0123456789abcdef", 32, &key, &err));
    EXPECT_OK(sck_row_mac(key, r->table, r->catalog, r->names, r->values, r->count, out, &err));
    sck_secret_free(&key);
}

static void
every_change_of_a_row_changes_its_mac(void **state)
{
    (void)state;
    static const uint8_t other_blob[] = {0, 1, 2, 4};
    uint8_t macs[16][SCK_SHA256_LEN];
    size_t n = 0;
    struct row r = example_row();
    mac_row(&r, macs[n++]);
#define CHANGED(change)                                                                                              \
    do {                                                                                                             \
        r = example_row();                                                                                           \
        change;                                                                                                      \
        mac_row(&r, macs[n++]);                                                                                      \
    } while (0)
    CHANGED(r.table = "key");
    CHANGED(r.catalog[15] = 1);
    CHANGED(r.names[1] = "nam");
    CHANGED(r.values[0].data = other_blob);
    CHANGED(r.values[0].len = 3);
    CHANGED(r.values[0].type = SCK_VALUE_TEXT);
    CHANGED(r.values[2].number = 3);
    CHANGED(r.values[2].number = -2);
    CHANGED(r.values[3].type = SCK_VALUE_INT);
    CHANGED(r.values[3].type = SCK_VALUE_BLOB);
    CHANGED(r.values[4].type = SCK_VALUE_NULL);
    CHANGED(r.count = 4);
    CHANGED(r.values[0] = r.values[1]; r.values[1] = example_row().values[0]);
#undef CHANGED
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(macs[i], macs[j], SCK_SHA256_LEN);
    }
}

/* Field boundaries cannot be moved: rows of random short texts encode alike only when they are alike. */
static void
row_encoding_is_injective(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "row encoding");
    for (int i = 0; i < 20000; i++) {
        struct sck_buf enc[2];
        struct row r[2];
        char texts[2][3][4];
        for (size_t k = 0; k < 2; k++) {
            r[k] = example_row();
            r[k].count = 1 + prop_below(&p, 2);
            for (size_t c = 0; c < 2; c++) {
                (void)prop_word(&p, "ab", "ab", texts[k][c], 2);
                r[k].values[c] =
                    (struct sck_value){SCK_VALUE_TEXT, 0, (const uint8_t *)texts[k][c], strlen(texts[k][c])};
            }
            (void)prop_word(&p, "ab", "ab", texts[k][2], 2);
            r[k].table = texts[k][2];
            sck_buf_init(&enc[k], 512);
            sck_row_encode(r[k].table, r[k].catalog, r[k].names, r[k].values, r[k].count, &enc[k]);
            assert_false(enc[k].failed);
        }
        bool same = r[0].count == r[1].count && strcmp(texts[0][2], texts[1][2]) == 0;
        for (size_t c = 0; same && c < r[0].count; c++)
            same = strcmp(texts[0][c], texts[1][c]) == 0;
        assert_int_equal(sck_bytes_equal(enc[0].data, enc[0].len, enc[1].data, enc[1].len), same);
        sck_buf_clear(&enc[0]);
        sck_buf_clear(&enc[1]);
    }
}

/* The MAC is over every byte of the encoding: no change of one goes unseen. */
static void
every_changed_byte_of_a_row_changes_its_mac(void **state)
{
    (void)state;
    struct row r = example_row();
    struct sck_buf enc;
    uint8_t mac[SCK_SHA256_LEN];
    uint8_t again[SCK_SHA256_LEN];
    static const uint8_t key[] = "0123456789abcdef0123456789abcdef";
    sck_buf_init(&enc, 512);
    sck_row_encode(r.table, r.catalog, r.names, r.values, r.count, &enc);
    mac_row(&r, mac);
    EXPECT_OK(sck_hmac_sha256(key, 32, enc.data, enc.len, again, &err));
    assert_memory_equal(mac, again, sizeof mac);
    for (size_t i = 0; i < enc.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            enc.data[i] ^= (uint8_t)(1U << bit);
            EXPECT_OK(sck_hmac_sha256(key, 32, enc.data, enc.len, again, &err));
            assert_memory_not_equal(mac, again, sizeof mac);
            enc.data[i] ^= (uint8_t)(1U << bit);
        }
    }
    sck_buf_clear(&enc);
}

static void
rows_that_cannot_be_encoded_are_refused(void **state)
{
    (void)state;
    struct sck_secret *key = NULL;
    struct row r = example_row();
    uint8_t mac[SCK_SHA256_LEN];
    EXPECT_OK(sck_secret_new(32, &key, &err));
    uint8_t *big = calloc(1, 5U * 1024 * 1024);
    assert_non_null(big);
    r.values[4].data = big;
    r.values[4].len = 5U * 1024 * 1024;
    assert_int_not_equal(sck_row_mac(key, r.table, r.catalog, r.names, r.values, r.count, mac, NULL), SCK_OK);
    r = example_row();
    r.values[0].type = (enum sck_value_type)9;
    assert_int_not_equal(sck_row_mac(key, r.table, r.catalog, r.names, r.values, r.count, mac, NULL), SCK_OK);
    free(big);
    sck_secret_free(&key);
}

static void
algorithms_and_usages(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct sck_alg_info *a; (a = sck_alg_at(n)) != NULL; n++) {
        assert_ptr_equal(sck_alg_info(a->alg), a);
        assert_ptr_equal(sck_alg_by_name(a->name), a);
        assert_true(sck_usage_fits(a->alg, a->default_usage));
        assert_false(sck_usage_fits(a->alg, SCK_USAGE_KEK));
        assert_string_not_equal(sck_family_name(a->family), "unknown");
    }
    assert_int_equal(n, 9);
    assert_null(sck_alg_info((enum sck_alg)0));
    assert_null(sck_alg_by_name("aes-128"));
    for (int u = SCK_USAGE_GCM; u <= SCK_USAGE_AGREE; u++)
        assert_int_equal(sck_usage_by_name(sck_usage_name((enum sck_usage)u)), u);
    assert_string_equal(sck_usage_name(SCK_USAGE_KEK), "kek");
    assert_int_equal(sck_usage_by_name("kek"), 0);
    assert_int_equal(sck_usage_by_name("unknown"), 0);
    assert_string_equal(sck_usage_name((enum sck_usage)0), "unknown");
    assert_string_equal(sck_usage_name((enum sck_usage)99), "unknown");
    assert_true(sck_usage_fits(SCK_ALG_RSA_3072, SCK_USAGE_ANY));
    assert_false(sck_usage_fits(SCK_ALG_EC_P256, SCK_USAGE_ANY));
    assert_true(sck_usage_fits(SCK_ALG_EC_P256, SCK_USAGE_AGREE));
    assert_false(sck_usage_fits(SCK_ALG_ED25519, SCK_USAGE_AGREE));
    assert_false(sck_usage_fits(SCK_ALG_HMAC_SHA256, SCK_USAGE_GCM));
    assert_false(sck_usage_fits(SCK_ALG_AES_256, SCK_USAGE_HMAC));
    assert_false(sck_usage_fits((enum sck_alg)77, SCK_USAGE_GCM));
    assert_string_equal(sck_family_name((enum sck_family)0), "unknown");
}

enum { MANY = 200000, SHORT_ID = 15, NAME_ROOM = SCK_KEK_NAME_MAX + 1 };

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, SHORT_ID + 1);
}

static int
compare_without_case(const void *a, const void *b)
{
    return strcasecmp(a, b);
}

/* Vault's and OpenBao's rule, \w(([\w-.]+)?\w)?, and Azure's, [0-9a-zA-Z-]{1,127}, both at once. */
static bool
is_legal_at_both(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= 127 && strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == len &&
           name[0] != '-' && name[len - 1] != '-';
}

/* Short ids of bytes that naive namings mix up; keyed and plain names, compared as a keeper does that ignores case. */
static void
two_hundred_thousand_ids_have_names_of_their_own(void **state)
{
    (void)state;
    static const char nasty[] = "aAbB01.@_-%/ ;=:+?#\\~\xc3\xbc\xa9\x7f\n";
    static const uint8_t key[32] = {3};
    struct prop p;
    prop_init(&p, "many KEK names");
    uint8_t(*ids)[SHORT_ID + 1] = calloc(MANY, sizeof *ids);
    char(*names)[NAME_ROOM] = calloc(2 * (size_t)MANY, sizeof *names);
    assert_non_null(ids);
    assert_non_null(names);
    size_t made = 0;
    while (made < MANY) {
        for (; made < MANY; made++) {
            ids[made][0] = (uint8_t)(1 + prop_below(&p, SHORT_ID));
            for (size_t i = 1; i <= SHORT_ID; i++)
                ids[made][i] = i <= ids[made][0] ? (uint8_t)nasty[prop_below(&p, sizeof nasty)] : 0;
        }
        qsort(ids, MANY, sizeof *ids, compare_ids);
        /* The same ones once more are made anew. */
        made = 1;
        for (size_t i = 1; i < MANY; i++) {
            if (compare_ids(ids[made - 1], ids[i]) != 0)
                memmove(ids[made++], ids[i], sizeof *ids);
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        uint8_t mac[32];
        struct sck_buf input;
        sck_buf_init(&input, 512);
        sck_kek_name_input(SCK_OWNER_SUBJECT, 1, ids[i] + 1, ids[i][0], &input);
        EXPECT_OK(sck_hmac_sha256(key, sizeof key, input.data, input.len, mac, &err));
        EXPECT_OK(sck_kek_name_keyed("sk", mac, names[2 * i], &err));
        EXPECT_OK(sck_kek_name_plain("sk", SCK_OWNER_SUBJECT, 1, ids[i] + 1, ids[i][0], names[2 * i + 1], &err));
        assert_true(is_legal_at_both(names[2 * i]));
        assert_true(is_legal_at_both(names[2 * i + 1]));
        sck_buf_clear(&input);
    }
    qsort(names, 2 * (size_t)MANY, sizeof *names, compare_without_case);
    for (size_t i = 1; i < 2 * (size_t)MANY; i++)
        assert_int_not_equal(strcasecmp(names[i - 1], names[i]), 0);
    free(ids);
    free(names);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kek_names_do_not_collide),
        cmocka_unit_test(two_hundred_thousand_ids_have_names_of_their_own),
        cmocka_unit_test(kek_name_forms),
        cmocka_unit_test(bad_kek_names_are_refused),
        cmocka_unit_test(mac_inputs_do_not_collide),
        cmocka_unit_test(uuids_and_key_ids),
        cmocka_unit_test(every_change_of_a_row_changes_its_mac),
        cmocka_unit_test(row_encoding_is_injective),
        cmocka_unit_test(every_changed_byte_of_a_row_changes_its_mac),
        cmocka_unit_test(rows_that_cannot_be_encoded_are_refused),
        cmocka_unit_test(algorithms_and_usages),
    };
    return cmocka_run_group_tests_name("core/names", tests, NULL, NULL);
}
