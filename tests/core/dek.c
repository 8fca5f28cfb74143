/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/core/dek.h"
#include "lib/core/seal.h"

static const char not_a_payload[] = "unwrapped DEK: what the keeper returned is no DEK of Scopekey";

static void
payload_round_trip_and_changes(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "payload");
    for (int i = 0; i < 200; i++) {
        uint8_t dek[SCK_DEK_LEN];
        uint8_t hash[SCK_SHA256_LEN];
        uint8_t payload[SCK_PAYLOAD_LEN];
        struct sck_secret *out = NULL;
        prop_bytes(&p, dek, sizeof dek);
        prop_bytes(&p, hash, sizeof hash);
        sck_payload_encode(dek, hash, payload);
        EXPECT_OK(sck_payload_decode(payload, sizeof payload, hash, &out, &err));
        assert_int_equal(out->len, SCK_DEK_LEN);
        assert_memory_equal(out->data, dek, SCK_DEK_LEN);
        sck_secret_free(&out);
        for (size_t at = 0; at < sizeof payload; at++) {
            payload[at] ^= (uint8_t)(1U << prop_below(&p, 8));
            if (at < 8) {
                EXPECT_FAIL(sck_payload_decode(payload, sizeof payload, hash, &out, &err), SCK_E_AUTHENTIC,
                            not_a_payload);
                assert_null(out);
            } else if (at < 40) {
                /* The DEK itself is under the keeper's authentication; what comes out is the changed one. */
                EXPECT_OK(sck_payload_decode(payload, sizeof payload, hash, &out, &err));
                assert_memory_equal(out->data, payload + 8, SCK_DEK_LEN);
                sck_secret_free(&out);
            } else {
                EXPECT_FAIL(sck_payload_decode(payload, sizeof payload, hash, &out, &err), SCK_E_CONTEXT,
                            "unwrapped DEK: it belongs to another encryption context");
                assert_null(out);
            }
            sck_payload_encode(dek, hash, payload);
        }
    }
}

static void
payload_of_any_other_length_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[SCK_PAYLOAD_LEN + 8] = {0};
    uint8_t dek[SCK_DEK_LEN] = {0};
    uint8_t hash[SCK_SHA256_LEN] = {0};
    struct sck_secret *out = NULL;
    sck_payload_encode(dek, hash, bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        if (len == SCK_PAYLOAD_LEN)
            continue;
        EXPECT_FAIL(sck_payload_decode(bytes, len, hash, &out, &err), SCK_E_AUTHENTIC, not_a_payload);
        assert_null(out);
    }
}

static void
random_wrapped(struct prop *p, struct sck_wrapped *w)
{
    memset(w, 0, sizeof *w);
    w->keeper = (enum sck_keeper_kind)(1 + prop_below(p, 4));
    w->generation = 1 + prop_below(p, UINT32_MAX);
    w->kek_version = 1 + prop_below(p, UINT32_MAX);
    uint32_t least = w->keeper == SCK_KEEPER_AZURE ? SCK_SHA256_LEN + 1 : 1;
    w->blob_len = least + prop_below(p, prop_below(p, 20) == 0 ? SCK_KEEPER_BLOB_MAX + 1 - least : 120);
    prop_bytes(p, w->blob, w->blob_len);
}

static void
wrapped_round_trip_and_changes(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "wrapped DEK");
    for (int i = 0; i < 2000; i++) {
        struct sck_wrapped w;
        struct sck_wrapped back;
        struct sck_buf buf;
        struct sck_buf again;
        random_wrapped(&p, &w);
        sck_buf_init(&buf, SCK_WRAPPED_MAX);
        sck_buf_init(&again, SCK_WRAPPED_MAX);
        EXPECT_OK(sck_wrapped_encode(&w, &buf, &err));
        EXPECT_OK(sck_wrapped_decode(buf.data, buf.len, &back, &err));
        assert_memory_equal(&w, &back, sizeof w);
        for (size_t at = 0; i < 100 && at < buf.len; at++) {
            uint8_t flip = (uint8_t)(1 + prop_below(&p, 255));
            buf.data[at] ^= flip;
            sck_buf_reset(&again);
            if (sck_wrapped_decode(buf.data, buf.len, &back, NULL) == SCK_OK) {
                EXPECT_OK(sck_wrapped_encode(&back, &again, &err));
                assert_true(sck_bytes_equal(again.data, again.len, buf.data, buf.len));
                assert_memory_not_equal(&w, &back, sizeof w);
            }
            buf.data[at] ^= flip;
        }
        sck_buf_clear(&buf);
        sck_buf_clear(&again);
    }
}

static void
malformed_wrapped_deks_are_refused(void **state)
{
    (void)state;
    struct sck_wrapped w;
    const uint8_t good[] = {1, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 'v'};
    uint8_t bad[sizeof good + 1] = {0};
    static const char cut[] = "wrapped DEK: it is cut short, or something follows it";
    EXPECT_OK(sck_wrapped_decode(good, sizeof good, &w, &err));
    EXPECT_FAIL(sck_wrapped_decode(good, 0, &w, &err), SCK_E_AUTHENTIC, "wrapped DEK: unknown format version");
    for (size_t len = 1; len < sizeof good; len++)
        EXPECT_FAIL(sck_wrapped_decode(good, len, &w, &err), SCK_E_AUTHENTIC, cut);
    memcpy(bad, good, sizeof good);
    EXPECT_FAIL(sck_wrapped_decode(bad, sizeof bad, &w, &err), SCK_E_AUTHENTIC, cut);
#define REFUSED(at, value, message)                                                                                  \
    do {                                                                                                             \
        memcpy(bad, good, sizeof good);                                                                              \
        bad[at] = value;                                                                                             \
        EXPECT_FAIL(sck_wrapped_decode(bad, sizeof good, &w, &err), SCK_E_AUTHENTIC, "wrapped DEK: " message);       \
    } while (0)
    REFUSED(0, 2, "unknown format version");
    REFUSED(1, 0, "unknown keeper");
    REFUSED(1, 5, "unknown keeper");
    REFUSED(1, 3, "it is cut short, or something follows it");
    REFUSED(5, 0, "generations and KEK versions start at 1");
    REFUSED(9, 0, "generations and KEK versions start at 1");
    REFUSED(11, 0, "it is cut short, or something follows it");
    REFUSED(11, 2, "it is cut short, or something follows it");
#undef REFUSED
    const uint8_t empty[] = {1, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0};
    EXPECT_FAIL(sck_wrapped_decode(empty, sizeof empty, &w, &err), SCK_E_AUTHENTIC,
                "wrapped DEK: the keeper's blob is empty or too long");
    uint8_t mac_alone[sizeof empty + SCK_SHA256_LEN] = {1, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0};
    EXPECT_FAIL(sck_wrapped_decode(mac_alone, sizeof mac_alone, &w, &err), SCK_E_AUTHENTIC,
                "wrapped DEK: the keeper's blob is empty or too long");
    struct sck_buf buf;
    sck_buf_init(&buf, SCK_WRAPPED_MAX);
    EXPECT_OK(sck_wrapped_decode(good, sizeof good, &w, &err));
    w.blob_len = 0;
    EXPECT_FAIL(sck_wrapped_encode(&w, &buf, &err), SCK_E_USAGE,
                "wrapped DEK: the keeper's blob is empty or too long");
    w.blob_len = SCK_KEEPER_BLOB_MAX + 1;
    EXPECT_FAIL(sck_wrapped_encode(&w, &buf, &err), SCK_E_USAGE,
                "wrapped DEK: the keeper's blob is empty or too long");
    w.blob_len = 1;
    w.keeper = (enum sck_keeper_kind)9;
    EXPECT_FAIL(sck_wrapped_encode(&w, &buf, &err), SCK_E_USAGE, "wrapped DEK: unknown keeper");
    w.keeper = SCK_KEEPER_LOCAL;
    w.kek_version = 0;
    EXPECT_FAIL(sck_wrapped_encode(&w, &buf, &err), SCK_E_USAGE,
                "wrapped DEK: generations and KEK versions start at 1");
    assert_int_equal(buf.len, 0);
    sck_buf_clear(&buf);
}

static void
keepers_have_names(void **state)
{
    (void)state;
    for (int i = SCK_KEEPER_TOKEN; i <= SCK_KEEPER_LOCAL; i++)
        assert_int_equal(sck_keeper_kind_by_name(sck_keeper_kind_name((enum sck_keeper_kind)i)), i);
    assert_int_equal(sck_keeper_kind_by_name("unknown"), 0);
    assert_string_equal(sck_keeper_kind_name((enum sck_keeper_kind)0), "unknown");
}

struct seal_case {
    struct sck_secret *dek;
    uint8_t aad[40];
    uint8_t plain[64];
    size_t plain_len;
    struct sck_buf sealed;
};

static void
make_seal(struct prop *p, struct seal_case *c)
{
    uint8_t bytes[SCK_DEK_LEN];
    uint8_t salt[SCK_SEAL_SALT_LEN];
    prop_bytes(p, bytes, sizeof bytes);
    prop_bytes(p, salt, sizeof salt);
    prop_bytes(p, c->aad, sizeof c->aad);
    prop_bytes(p, c->plain, sizeof c->plain);
    c->plain_len = 1 + prop_below(p, sizeof c->plain);
    EXPECT_OK(sck_secret_from(bytes, sizeof bytes, &c->dek, &err));
    sck_buf_init(&c->sealed, 256);
    EXPECT_OK(sck_seal(c->dek, salt, c->aad, sizeof c->aad, c->plain, c->plain_len, &c->sealed, &err));
    assert_int_equal(c->sealed.len, c->plain_len + SCK_SEAL_OVERHEAD);
}

static void
seal_round_trip_and_changes(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "short seal");
    for (int i = 0; i < 20; i++) {
        struct seal_case c;
        struct sck_secret *out = NULL;
        make_seal(&p, &c);
        EXPECT_OK(sck_seal_open(c.dek, c.aad, sizeof c.aad, c.sealed.data, c.sealed.len, &out, &err));
        assert_true(sck_bytes_equal(out->data, out->len, c.plain, c.plain_len));
        sck_secret_free(&out);
        for (size_t at = 0; at < c.sealed.len; at++) {
            const char *want = at < 2    ? "short seal: unknown version or suite"
                               : at < 66 ? "short seal: it was made with another key or context, or altered"
                                         : "short seal: the data was altered";
            c.sealed.data[at] ^= (uint8_t)(1 + prop_below(&p, 255));
            uint8_t changed = c.sealed.data[at];
            EXPECT_FAIL(sck_seal_open(c.dek, c.aad, sizeof c.aad, c.sealed.data, c.sealed.len, &out, &err),
                        SCK_E_AUTHENTIC, want);
            assert_null(out);
            assert_int_equal(c.sealed.data[at], changed);
            sck_buf_clear(&c.sealed);
            sck_secret_free(&c.dek);
            make_seal(&p, &c);
        }
        for (size_t len = 0; len < c.sealed.len; len++)
            assert_int_equal(sck_seal_open(c.dek, c.aad, sizeof c.aad, c.sealed.data, len, &out, NULL),
                             SCK_E_AUTHENTIC);
        c.aad[prop_below(&p, sizeof c.aad)] ^= 1;
        EXPECT_FAIL(sck_seal_open(c.dek, c.aad, sizeof c.aad, c.sealed.data, c.sealed.len, &out, &err),
                    SCK_E_AUTHENTIC, "short seal: it was made with another key or context, or altered");
        sck_buf_clear(&c.sealed);
        sck_secret_free(&c.dek);
    }
}

static void
seal_limits(void **state)
{
    (void)state;
    struct sck_secret *dek = NULL;
    struct sck_secret *shorter = NULL;
    struct sck_secret *out = NULL;
    uint8_t salt[SCK_SEAL_SALT_LEN] = {0};
    struct sck_buf buf;
    uint8_t *big = calloc(1, SCK_SEAL_MAX + 1);
    assert_non_null(big);
    sck_buf_init(&buf, 2 * SCK_SEAL_MAX);
    EXPECT_OK(sck_secret_new(SCK_DEK_LEN, &dek, &err));
    EXPECT_OK(sck_secret_new(SCK_DEK_LEN - 1, &shorter, &err));
    EXPECT_FAIL(sck_seal(dek, salt, NULL, 0, big, 0, &buf, &err), SCK_E_USAGE,
                "short seal: the data has 0 bytes, and may have 1 to 1048576");
    EXPECT_FAIL(sck_seal(dek, salt, NULL, 0, big, SCK_SEAL_MAX + 1, &buf, &err), SCK_E_USAGE,
                "short seal: the data has 1048577 bytes, and may have 1 to 1048576");
    EXPECT_FAIL(sck_seal(shorter, salt, NULL, 0, big, 1, &buf, &err), SCK_E_USAGE, "short seal: a DEK has 32 bytes");
    assert_int_equal(buf.len, 0);
    EXPECT_OK(sck_seal(dek, salt, NULL, 0, big, SCK_SEAL_MAX, &buf, &err));
    EXPECT_OK(sck_seal_open(dek, NULL, 0, buf.data, buf.len, &out, &err));
    assert_int_equal(out->len, SCK_SEAL_MAX);
    sck_secret_free(&out);
    EXPECT_FAIL(sck_seal_open(dek, NULL, 0, buf.data, SCK_SEAL_OVERHEAD, &out, &err), SCK_E_AUTHENTIC,
                "short seal: 82 bytes cannot be one");
    sck_buf_clear(&buf);
    sck_secret_free(&dek);
    sck_secret_free(&shorter);
    free(big);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payload_round_trip_and_changes),
        cmocka_unit_test(payload_of_any_other_length_is_refused),
        cmocka_unit_test(wrapped_round_trip_and_changes),
        cmocka_unit_test(malformed_wrapped_deks_are_refused),
        cmocka_unit_test(keepers_have_names),
        cmocka_unit_test(seal_round_trip_and_changes),
        cmocka_unit_test(seal_limits),
    };
    return cmocka_run_group_tests_name("core/dek", tests, NULL, NULL);
}
