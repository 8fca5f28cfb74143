/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/core/pairs.h"

static struct sck_pair
pair(const char *key, const char *value)
{
    return (struct sck_pair){{(const uint8_t *)key, strlen(key)}, {(const uint8_t *)value, strlen(value)}};
}

/* Whatever order pairs come in, the bytes are the same, and decoding gives them back sorted. */
static void
encode_and_decode_are_inverse(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "canonical pairs");
    for (int i = 0; i < 5000; i++) {
        char keys[6][SCK_PAIR_KEY_MAX + 1];
        char values[6][33];
        struct sck_pair pairs[6];
        struct sck_pair back[SCK_PAIRS_MAX];
        struct sck_buf one;
        struct sck_buf two;
        size_t count = prop_below(&p, 7);
        size_t decoded = 0;
        for (size_t k = 0; k < count; k++) {
            /* The first letter keeps them apart. */
            (void)prop_word(&p, "x", "abz09_", keys[k], SCK_PAIR_KEY_MAX);
            keys[k][0] = (char)('a' + (int)k);
            (void)prop_utf8(&p, values[k], 32);
            pairs[k] = pair(keys[k], values[k]);
        }
        sck_buf_init(&one, SCK_PAIRS_BYTES_MAX);
        sck_buf_init(&two, SCK_PAIRS_BYTES_MAX);
        EXPECT_OK(sck_pairs_encode(pairs, count, &one, &err));
        for (size_t k = count; k > 1; k--) {
            size_t other = prop_below(&p, (uint32_t)k);
            struct sck_pair moved = pairs[k - 1];
            pairs[k - 1] = pairs[other];
            pairs[other] = moved;
        }
        EXPECT_OK(sck_pairs_encode(pairs, count, &two, &err));
        assert_true(sck_bytes_equal(one.data, one.len, two.data, two.len));
        EXPECT_OK(sck_pairs_decode(one.data, one.len, back, &decoded, &err));
        assert_int_equal(decoded, count);
        for (size_t k = 0; k < count; k++) {
            assert_true(sck_bytes_equal(back[k].key.data, back[k].key.len, keys[k], strlen(keys[k])));
            assert_true(sck_bytes_equal(back[k].value.data, back[k].value.len, values[k], strlen(values[k])));
        }
        sck_buf_clear(&one);
        sck_buf_clear(&two);
    }
}

static void
malformed_pairs_are_refused(void **state)
{
    (void)state;
    struct sck_buf buf;
    struct sck_pair pairs[33];
    struct sck_pair out[SCK_PAIRS_MAX];
    size_t count;
    sck_buf_init(&buf, 3 * SCK_PAIRS_BYTES_MAX);
#define ENCODE_FAILS(n, message) EXPECT_FAIL(sck_pairs_encode(pairs, n, &buf, &err), SCK_E_CONTEXT, message)
    static const char bad_name[] = "encryption context: a name is 1 to 32 of a-z 0-9 _ and starts with a letter";
    static const char *const names[] = {"",    "A",   "1a",       "_a",
                                        "a-b", "a.b", "\xC3\xBC", "a23456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pairs[0] = pair(names[i], "");
        ENCODE_FAILS(1, bad_name);
    }
    pairs[0] = pair("a2345678901234567890123456789012", "");
    EXPECT_OK(sck_pairs_encode(pairs, 1, &buf, &err));
    pairs[0] = pair("b", "1");
    pairs[1] = pair("a", "2");
    pairs[2] = pair("b", "3");
    ENCODE_FAILS(3, "encryption context: b is given twice");
    pairs[0] = pair("a", "line\n");
    ENCODE_FAILS(1, "encryption context: the value of a is not UTF-8 without control characters, or too long");
    ENCODE_FAILS(33, "encryption context: more than 32 pairs");
    static char big[SCK_PAIRS_BYTES_MAX + 2];
    memset(big, 'v', SCK_PAIRS_BYTES_MAX - 7);
    pairs[0] = pair("a", big);
    EXPECT_OK(sck_pairs_encode(pairs, 1, &buf, &err));
    big[SCK_PAIRS_BYTES_MAX - 7] = 'v';
    pairs[0] = pair("a", big);
    ENCODE_FAILS(1, "encryption context: it has 8193 bytes, and may have 8192");
#undef ENCODE_FAILS
#define DECODE_FAILS(bytes, message)                                                                                 \
    EXPECT_FAIL(sck_pairs_decode((const uint8_t *)bytes, sizeof(bytes) - 1, out, &count, &err), SCK_E_CONTEXT,       \
                message)
    EXPECT_OK(sck_pairs_decode((const uint8_t *)"\0\0", 2, out, &count, &err));
    assert_int_equal(count, 0);
    DECODE_FAILS("\0\0\0", "encryption context: it is cut short, or something follows it");
    DECODE_FAILS("\0\1\0\1a\0\2v", "encryption context: it is cut short, or something follows it");
    DECODE_FAILS("\0\2\0\1b\0\0\0\1a\0\0", "encryption context: a is out of order");
    DECODE_FAILS("\0\2\0\1a\0\0\0\1a\0\0", "encryption context: a is given twice");
    DECODE_FAILS("\0\41", "encryption context: more than 32 pairs");
    DECODE_FAILS("\0\1\0\0\0\0", bad_name);
#undef DECODE_FAILS
    sck_buf_clear(&buf);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_and_decode_are_inverse),
        cmocka_unit_test(malformed_pairs_are_refused),
    };
    return cmocka_run_group_tests_name("core/pairs", tests, NULL, NULL);
}
