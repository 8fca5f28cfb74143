/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/core/container.h"
#include "lib/core/pairs.h"

static uint8_t file_id[16];
static uint8_t dek_id[16];

static void
random_meta(struct prop *p, struct sck_buf *meta)
{
    uint8_t bytes[300];
    char name[256];
    prop_bytes(p, bytes, sizeof bytes);
    if (prop_below(p, 2) == 0)
        sck_meta_put(meta, SCK_META_MODE, bytes, 4);
    if (prop_below(p, 2) == 0)
        sck_meta_put(meta, SCK_META_MTIME, bytes, 8);
    if (prop_below(p, 2) == 0) {
        size_t len = prop_word(p, "abc", "abc.", name, 255);
        sck_meta_put(meta, SCK_META_NAME, name, len);
    }
    if (prop_below(p, 3) == 0)
        sck_meta_put(meta, SCK_META_AAD, "\0\1\0\1k\0\1v", 8);
    for (uint32_t i = prop_below(p, 3); i > 0; i--)
        sck_meta_put(meta, SCK_META_XATTR, "user.a\0value", prop_below(p, 6) + 7);
    if (prop_below(p, 4) == 0)
        sck_meta_put(meta, 0x7FFF, bytes, prop_below(p, 300));
    assert_false(meta->failed);
}

static void
make(struct prop *p, struct sck_container *c)
{
    struct sck_buf meta;
    sck_buf_init(&meta, SCK_CONTAINER_META_MAX);
    random_meta(p, &meta);
    prop_bytes(p, file_id, 16);
    prop_bytes(p, dek_id, 16);
    sck_container_init(c, file_id, dek_id, meta.data, meta.len);
    sck_buf_clear(&meta);
    if (prop_below(p, 3) == 0) {
        c->flags |= SCK_CONTAINER_SLOTS;
        c->slot_count = (uint16_t)(2 + prop_below(p, 7));
        c->slot_size = prop_below(p, 2) == 0 ? 512 : 1024;
        c->body_off = c->slot_off + (uint32_t)c->slot_count * c->slot_size;
    }
}

static enum sck_code
decode(const uint8_t *data, size_t len, struct sck_container *c, struct sck_err *err)
{
    if (len < SCK_CONTAINER_FIXED_LEN)
        return SCK_E_AUTHENTIC;
    enum sck_code rc = sck_container_decode_fixed(data, c, err);
    return rc == SCK_OK ? sck_container_decode_rest(data + 64, len - 64, c, err) : rc;
}

static void
encode_and_decode_are_inverse(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "container encode/decode");
    for (int i = 0; i < 3000; i++) {
        struct sck_container c;
        struct sck_container back;
        struct sck_buf head;
        make(&p, &c);
        sck_buf_init(&head, SCK_CONTAINER_HEAD_MAX);
        EXPECT_OK(sck_container_encode(&c, &head, &err));
        assert_int_equal(head.len, c.body_off);
        assert_int_equal(head.len % 8, 0);
        EXPECT_OK(decode(head.data, head.len, &back, &err));
        assert_memory_equal(&c, &back, sizeof c);
        sck_buf_clear(&head);
    }
}

/* A changed byte is refused, or the head means something else, is that thing's own spelling, and has another aad. */
static void
every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct prop p;
    prop_init(&p, "container changes");
    for (int i = 0; i < 12; i++) {
        struct sck_container c;
        struct sck_buf head;
        struct sck_buf aad;
        make(&p, &c);
        sck_buf_init(&head, SCK_CONTAINER_HEAD_MAX);
        sck_buf_init(&aad, 2 * SCK_CONTAINER_META_MAX);
        EXPECT_OK(sck_container_encode(&c, &head, &err));
        sck_container_aad(&c, &aad);
        for (size_t at = 0; at < c.slot_off; at++) {
            struct sck_container other;
            struct sck_buf again;
            struct sck_buf other_aad;
            uint8_t flip = (uint8_t)(1 + prop_below(&p, 255));
            head.data[at] ^= flip;
            if (decode(head.data, head.len, &other, NULL) == SCK_OK) {
                sck_buf_init(&again, SCK_CONTAINER_HEAD_MAX);
                sck_buf_init(&other_aad, 2 * SCK_CONTAINER_META_MAX);
                EXPECT_OK(sck_container_encode(&other, &again, &err));
                assert_true(sck_bytes_equal(again.data, again.len, head.data, head.len));
                sck_container_aad(&other, &other_aad);
                assert_false(sck_bytes_equal(aad.data, aad.len, other_aad.data, other_aad.len));
                sck_buf_clear(&again);
                sck_buf_clear(&other_aad);
            }
            head.data[at] ^= flip;
        }
        sck_buf_clear(&head);
        sck_buf_clear(&aad);
    }
}

static void
altered_heads_are_refused(void **state)
{
    (void)state;
    struct sck_container c;
    struct sck_container out;
    struct sck_buf head;
    uint8_t id[16] = {1};
    sck_buf_init(&head, SCK_CONTAINER_HEAD_MAX);
    sck_container_init(&c, id, id, (const uint8_t *)"\0\1\0\4\0\0\1\244", 8);
    EXPECT_OK(sck_container_encode(&c, &head, &err));
    assert_int_equal(head.len, 72);
    uint8_t bad[72];
#define REFUSED(at, value, message)                                                                                  \
    do {                                                                                                             \
        memcpy(bad, head.data, sizeof bad);                                                                          \
        bad[at] = (value);                                                                                           \
        EXPECT_FAIL(decode(bad, sizeof bad, &out, &err), SCK_E_AUTHENTIC, "file header: " message);                  \
    } while (0)
    REFUSED(0, 0, "not a Scopekey file");
    REFUSED(7, 0x0D, "not a Scopekey file");
    REFUSED(8, 2, "unknown version, from a newer Scopekey or altered");
    REFUSED(9, 2, "unknown suite");
    REFUSED(11, 6, "unknown flags");
    REFUSED(10, 0x80, "unknown flags");
    REFUSED(11, 0, "the metadata's length is wrong");
    REFUSED(11, 3, "the number of key slots is wrong");
    REFUSED(15, 80, "the body is not behind the key slots");
    REFUSED(51, 80, "the key slots are not behind the metadata");
    REFUSED(53, 1, "the size of key slots is wrong");
    REFUSED(55, 2, "the number of key slots is wrong");
    REFUSED(55, 1, "the number of key slots is wrong");
    REFUSED(58, 0xFF, "the metadata's length is wrong");
    REFUSED(59, 0, "the metadata's length is wrong");
    REFUSED(63, 1, "reserved bytes are not zero");
    REFUSED(64, 0x80, "it needs a newer version of Scopekey");
    REFUSED(67, 3, "a metadata value is malformed");
    REFUSED(67, 5, "the metadata is cut short");
    REFUSED(65, 2, "a metadata value is malformed");
#undef REFUSED
    EXPECT_FAIL(sck_container_decode_rest(head.data + 64, 7, &c, &err), SCK_E_AUTHENTIC, "file header: cut short");
    EXPECT_FAIL(sck_container_decode_rest(head.data + 64, 0, &c, &err), SCK_E_AUTHENTIC, "file header: cut short");
    sck_buf_reset(&head);
    sck_container_init(&c, id, id, (const uint8_t *)"\x00\x04\x00\x01n", 5);
    EXPECT_OK(sck_container_encode(&c, &head, &err));
    head.data[71] = 1;
    EXPECT_FAIL(decode(head.data, head.len, &out, &err), SCK_E_AUTHENTIC, "file header: padding is not zero");
    sck_buf_clear(&head);
}

static enum sck_code
encode_meta(const void *meta, size_t len, struct sck_err *err)
{
    struct sck_container c;
    struct sck_buf head;
    uint8_t id[16] = {1};
    sck_buf_init(&head, SCK_CONTAINER_HEAD_MAX);
    sck_container_init(&c, id, id, meta, len);
    enum sck_code rc = sck_container_encode(&c, &head, err);
    sck_buf_clear(&head);
    return rc;
}

static void
metadata_values_are_checked(void **state)
{
    (void)state;
#define FAILS(meta, message)                                                                                         \
    EXPECT_FAIL(encode_meta(meta, sizeof(meta) - 1, &err), SCK_E_USAGE, "file header: " message)
#define BAD "a metadata value is malformed"
    FAILS("\0\1\0\3abc", BAD);
    FAILS("\0\2\0\4abcd", BAD);
    FAILS("\0\3\0\1a", BAD);
    FAILS("\0\4\0\0", BAD);
    FAILS("\0\4\0\1/", BAD);
    FAILS("\0\4\0\2a\0", BAD);
    FAILS("\0\4\0\2..", BAD);
    FAILS("\0\4\0\1.", BAD);
    FAILS("\0\5\0\3abc", BAD);
    FAILS("\0\5\0\2\0a", BAD);
    FAILS("\200\1\0\0", "it needs a newer version of Scopekey");
    FAILS("\0\4\0\1a\0\4\0\1b", "a metadata value is there twice");
    FAILS("\0\4\0\2a", "the metadata is cut short");
    FAILS("\0\4\0", "the metadata is cut short");
#undef BAD
#undef FAILS
    EXPECT_OK(encode_meta("\0\5\0\2a\0\0\5\0\3a\0b\177\377\0\0\0\6\0\0", 21, &err));
    uint8_t *big = calloc(1, SCK_CONTAINER_META_MAX + 1);
    assert_non_null(big);
    big[1] = 0x77;
    big[2] = (SCK_CONTAINER_META_MAX - 4) >> 8;
    big[3] = (SCK_CONTAINER_META_MAX - 4) & 255;
    EXPECT_OK(encode_meta(big, SCK_CONTAINER_META_MAX, &err));
    EXPECT_FAIL(encode_meta(big, SCK_CONTAINER_META_MAX + 1, &err), SCK_E_USAGE,
                "file header: the metadata's length is wrong");
    free(big);
    struct sck_buf out;
    sck_buf_init(&out, 1024);
    sck_meta_put(&out, SCK_META_NAME, "x", 65536);
    assert_true(out.failed);
    sck_buf_clear(&out);
}

static void
values_are_found(void **state)
{
    (void)state;
    struct sck_container c;
    struct sck_bytes value;
    uint8_t id[16] = {0};
    static const uint8_t meta[] = "\x7F\x00\x00\x00\x00\x04\x00\x05hello\x00\x05\x00\x03"
                                  "a\x00"
                                  "1\x00\x05\x00\x03"
                                  "b\x00"
                                  "2";
    sck_container_init(&c, id, id, meta, sizeof meta - 1);
    assert_true(sck_meta_find(&c, SCK_META_NAME, &value));
    assert_true(sck_bytes_equal(value.data, value.len, "hello", 5));
    assert_true(sck_meta_find(&c, SCK_META_XATTR, &value));
    assert_true(sck_bytes_equal(value.data, value.len, "a\0001", 3));
    assert_true(sck_meta_find(&c, 0x7F00, &value));
    assert_int_equal(value.len, 0);
    assert_false(sck_meta_find(&c, SCK_META_MODE, &value));
    assert_null(value.data);
    sck_container_init(&c, id, id, NULL, 0);
    assert_int_equal(c.body_off, 64);
    assert_false(sck_meta_find(&c, SCK_META_NAME, &value));
}

static void
slots_are_outside_the_aad(void **state)
{
    (void)state;
    struct sck_container c;
    struct sck_buf one;
    struct sck_buf two;
    uint8_t id[16] = {3};
    sck_buf_init(&one, 256);
    sck_buf_init(&two, 256);
    sck_container_init(&c, id, id, NULL, 0);
    sck_container_aad(&c, &one);
    assert_int_equal(one.len, 17 + 10 + 2 + 16 + 16 + 4);
    c.flags |= SCK_CONTAINER_SLOTS;
    c.slot_count = 4;
    c.slot_size = 512;
    c.body_off += 4 * 512;
    sck_container_aad(&c, &two);
    assert_true(sck_bytes_equal(one.data, one.len, two.data, two.len));
    sck_buf_clear(&one);
    sck_buf_clear(&two);
}

static void
slots_come_in_twos_to_eights(void **state)
{
    (void)state;
    struct sck_container c;
    struct sck_buf head;
    uint8_t id[16] = {3};
    for (uint16_t n = 0; n <= 10; n++) {
        for (uint16_t size = 0; size <= 1536; size = (uint16_t)(size + 512)) {
            bool good = n == 0 ? size == 0 : n >= 2 && n <= 8 && (size == 512 || size == 1024);
            sck_container_init(&c, id, id, NULL, 0);
            c.flags = n > 0 ? SCK_CONTAINER_SLOTS : 0;
            c.slot_count = n;
            c.slot_size = size;
            c.body_off = c.slot_off + (uint32_t)n * size;
            sck_buf_init(&head, SCK_CONTAINER_HEAD_MAX);
            assert_int_equal(sck_container_encode(&c, &head, NULL), good ? SCK_OK : SCK_E_USAGE);
            sck_buf_clear(&head);
        }
    }
}

static void
key_reference_has_its_documented_form(void **state)
{
    (void)state;
    uint8_t a[16];
    uint8_t b[16];
    char text[SCK_KEY_REFERENCE_LEN + 1];
    memset(a, 0xAB, sizeof a);
    memset(b, 0x01, sizeof b);
    sck_key_reference_format(a, b, text);
    assert_string_equal(text, "file-abababab-abab-abab-abab-abababababab/01010101-0101-0101-0101-010101010101");
    assert_int_equal(strlen(text), SCK_KEY_REFERENCE_LEN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode_and_decode_are_inverse),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(altered_heads_are_refused),
        cmocka_unit_test(metadata_values_are_checked),
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(slots_are_outside_the_aad),
        cmocka_unit_test(slots_come_in_twos_to_eights),
        cmocka_unit_test(key_reference_has_its_documented_form),
    };
    return cmocka_run_group_tests_name("core/container", tests, NULL, NULL);
}
