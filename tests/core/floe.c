/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"
#include "tests/lib/prop.h"

#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/core/floe.h"

#define BODY SCK_FLOE_HEADER_LEN

/* Bytes of a hex file of the vectors' folder. */
static void
read_vector(const char *name, const char *kind, struct sck_buf *out)
{
    char path[512];
    struct sck_buf text;
    (void)snprintf(path, sizeof path, TESTS_CORE_DIR "/vectors/floe/%s_%s.txt", name, kind);
    sck_buf_init(&text, 65536);
    sck_buf_init(out, 65536);
    EXPECT_OK(sck_file_read(path, 65536, &text, &err));
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
        text.len--;
    uint8_t *bytes = sck_buf_grow(out, text.len / 2);
    assert_true(sck_hex_parse((const char *)text.data, text.len, bytes, text.len / 2));
    sck_buf_clear(&text);
}

static struct sck_secret *
make_key(uint8_t fill)
{
    struct sck_secret *key = NULL;
    EXPECT_OK(sck_secret_new(32, &key, &err));
    memset(key->data, fill, 32);
    return key;
}

/* Decrypt a whole ciphertext the way a reader of files does: the length says which segment is the last. */
static enum sck_code
open_all(const struct sck_secret *key, const char *aad, const uint8_t *ct, size_t len, struct sck_buf *plain,
         struct sck_err *err)
{
    struct sck_floe *floe = NULL;
    if (len < BODY + SCK_FLOE_OVERHEAD)
        return sck_fail(err, SCK_E_AUTHENTIC, "too short");
    enum sck_code rc = sck_floe_decrypt_new(key, (const uint8_t *)aad, strlen(aad), ct, &floe, err);
    size_t at = BODY;
    bool is_final = false;
    for (uint64_t i = 0; rc == SCK_OK && !is_final; i++) {
        size_t n = sck_floe_segment_len(floe);
        is_final = len - at <= n;
        if (is_final)
            n = len - at;
        if (n < SCK_FLOE_OVERHEAD) {
            rc = sck_fail(err, SCK_E_AUTHENTIC, "too short");
            break;
        }
        uint8_t *out = sck_buf_grow(plain, n - SCK_FLOE_OVERHEAD);
        rc = sck_floe_open_segment(floe, i, is_final, ct + at, n, out, err);
        at += n;
    }
    sck_floe_free(&floe);
    return rc;
}

static void
seal_all(const struct sck_secret *key, const char *aad, uint32_t segment_len, const uint8_t *plain, size_t len,
         struct prop *p, struct sck_buf *out)
{
    struct sck_floe *floe = NULL;
    uint8_t iv[SCK_FLOE_IV_LEN];
    prop_bytes(p, iv, sizeof iv);
    sck_buf_init(out, 1U << 20);
    uint8_t *header = sck_buf_grow(out, BODY);
    EXPECT_OK(sck_floe_encrypt_new(key, (const uint8_t *)aad, strlen(aad), segment_len, iv, header, &floe, &err));
    size_t full = sck_floe_plain_len(floe);
    for (uint64_t i = 0;; i++) {
        uint8_t nonce[SCK_GCM_NONCE_LEN];
        bool is_final = len <= full;
        size_t n = is_final ? len : full;
        prop_bytes(p, nonce, sizeof nonce);
        uint8_t *segment = sck_buf_grow(out, n + SCK_FLOE_OVERHEAD);
        EXPECT_OK(sck_floe_seal_segment(floe, i, is_final, nonce, plain, n, segment, &err));
        plain += n;
        len -= n;
        if (is_final)
            break;
    }
    sck_floe_free(&floe);
}

/* Ciphertexts of other implementations decrypt, and sealing again with their IV and nonces gives the same bytes. */
static void
check_known_answer(const char *name, uint32_t segment_len)
{
    struct sck_buf want;
    struct sck_buf ct;
    struct sck_buf plain;
    struct sck_secret *key = make_key(0);
    uint8_t header[BODY];
    struct sck_floe *floe = NULL;
    read_vector(name, "pt", &want);
    read_vector(name, "ct", &ct);
    sck_buf_init(&plain, 65536);
    EXPECT_OK(open_all(key, "This is AAD", ct.data, ct.len, &plain, &err));
    assert_true(sck_bytes_equal(plain.data, plain.len, want.data, want.len));
    EXPECT_OK(sck_floe_encrypt_new(key, (const uint8_t *)"This is AAD", 11, segment_len, ct.data + 10, header, &floe,
                                   &err));
    assert_memory_equal(header, ct.data, BODY);
    assert_int_equal(sck_floe_segment_len(floe), segment_len);
    size_t done = 0;
    size_t at = BODY;
    uint8_t *segment = malloc(segment_len);
    assert_non_null(segment);
    for (uint64_t i = 0; at < ct.len; i++) {
        size_t n = ct.len - at < segment_len ? ct.len - at : segment_len;
        EXPECT_OK(sck_floe_seal_segment(floe, i, at + n == ct.len, ct.data + at + 4, want.data + done,
                                        n - SCK_FLOE_OVERHEAD, segment, &err));
        assert_memory_equal(segment, ct.data + at, n);
        at += n;
        done += n - SCK_FLOE_OVERHEAD;
    }
    assert_int_equal(done, want.len);
    free(segment);
    sck_floe_free(&floe);
    sck_secret_free(&key);
    sck_buf_clear(&want);
    sck_buf_clear(&ct);
    sck_buf_clear(&plain);
}

static void
known_answers(void **state)
{
    (void)state;
    check_known_answer("java_GCM256_IV256_64", 64);
    check_known_answer("java_lastSegAligned", 40);
    check_known_answer("java_lastSegEmpty", 40);
    check_known_answer("go_GCM256_IV256_4K", 4096);
    check_known_answer("rust_GCM256_IV256_4K", 4096);
    check_known_answer("pub_java_GCM256_IV256_4K", 4096);
}

static void
round_trips_of_every_length(void **state)
{
    (void)state;
    struct prop p;
    struct sck_secret *key = make_key(7);
    uint8_t plain[200];
    prop_init(&p, "FLOE round trips");
    prop_bytes(&p, plain, sizeof plain);
    for (uint32_t segment_len = 33; segment_len < 80; segment_len += 5) {
        for (size_t len = 0; len <= sizeof plain; len++) {
            struct sck_buf ct;
            struct sck_buf back;
            seal_all(key, "aad", segment_len, plain, len, &p, &ct);
            sck_buf_init(&back, sizeof plain);
            EXPECT_OK(open_all(key, "aad", ct.data, ct.len, &back, &err));
            assert_true(sck_bytes_equal(back.data, back.len, plain, len));
            sck_buf_clear(&ct);
            sck_buf_clear(&back);
        }
    }
    sck_secret_free(&key);
}

struct stream {
    struct sck_secret *key;
    struct sck_buf ct;
    uint8_t plain[100];
};

/* Segments of 48 bytes: six full ones and a final one of 4 bytes of plaintext. */
static void
make_stream(struct stream *s)
{
    struct prop p;
    prop_init(&p, "FLOE stream");
    s->key = make_key(9);
    prop_bytes(&p, s->plain, sizeof s->plain);
    seal_all(s->key, "aad", 48, s->plain, sizeof s->plain, &p, &s->ct);
    assert_int_equal(s->ct.len, BODY + 6 * 48 + 36);
}

static void
clear_stream(struct stream *s)
{
    sck_secret_free(&s->key);
    sck_buf_clear(&s->ct);
}

/* Refused, and nothing but plaintext of intact segments was released. */
static void
assert_refused(const struct stream *s, const char *aad, const uint8_t *ct, size_t len)
{
    struct sck_buf out;
    sck_buf_init(&out, 4096);
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(open_all(s->key, aad, ct, len, &out, &err), SCK_E_AUTHENTIC);
    assert_int_equal(err.code, SCK_E_AUTHENTIC);
    for (size_t i = 0; i < out.len; i++)
        assert_true(out.data[i] == 0 || (i < sizeof s->plain && out.data[i] == s->plain[i]));
    sck_buf_clear(&out);
}

static void
every_flip_is_refused(void **state)
{
    (void)state;
    struct stream s;
    make_stream(&s);
    for (size_t at = 0; at < s.ct.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            s.ct.data[at] ^= (uint8_t)(1U << bit);
            assert_refused(&s, "aad", s.ct.data, s.ct.len);
            s.ct.data[at] ^= (uint8_t)(1U << bit);
        }
    }
    assert_refused(&s, "aae", s.ct.data, s.ct.len);
    assert_refused(&s, "aad0", s.ct.data, s.ct.len);
    s.key->data[31] ^= 1;
    assert_refused(&s, "aad", s.ct.data, s.ct.len);
    clear_stream(&s);
}

static void
every_truncation_is_refused(void **state)
{
    (void)state;
    struct stream s;
    make_stream(&s);
    for (size_t len = 0; len < s.ct.len; len++) {
        /* A copy of exactly that length, so that reading past it is seen by a sanitizer. */
        uint8_t *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, s.ct.data, len);
        assert_refused(&s, "aad", cut, len);
        free(cut);
    }
    clear_stream(&s);
}

static void
moved_segments_are_refused(void **state)
{
    (void)state;
    struct stream s;
    make_stream(&s);
    uint8_t *copy = malloc(s.ct.len + 96);
    assert_non_null(copy);
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 6; j++) {
            if (i == j)
                continue;
            memcpy(copy, s.ct.data, s.ct.len);
            memcpy(copy + BODY + i * 48, s.ct.data + BODY + j * 48, 48);
            assert_refused(&s, "aad", copy, s.ct.len);
            memcpy(copy + BODY + j * 48, s.ct.data + BODY + i * 48, 48);
            assert_refused(&s, "aad", copy, s.ct.len);
        }
        memcpy(copy, s.ct.data, s.ct.len);
        memmove(copy + BODY + i * 48, copy + BODY + (i + 1) * 48, s.ct.len - BODY - (i + 1) * 48);
        assert_refused(&s, "aad", copy, s.ct.len - 48);
    }
    memcpy(copy, s.ct.data, s.ct.len);
    for (size_t more = 1; more <= 96; more++) {
        memset(copy + s.ct.len, 0, more);
        assert_refused(&s, "aad", copy, s.ct.len + more);
    }
    memcpy(copy + s.ct.len, s.ct.data + BODY + 6 * 48, 36);
    assert_refused(&s, "aad", copy, s.ct.len + 36);
    free(copy);
    clear_stream(&s);
}

static void
refusals_say_why(void **state)
{
    (void)state;
    struct stream s;
    struct sck_floe *floe = NULL;
    struct sck_floe *none = NULL;
    uint8_t out[64];
    uint8_t header[BODY];
    make_stream(&s);
    const uint8_t *body = s.ct.data + BODY;
    const uint8_t *aad = (const uint8_t *)"aad";
    EXPECT_OK(sck_floe_decrypt_new(s.key, aad, 3, s.ct.data, &floe, &err));
#define OPEN(index, final, from, len) sck_floe_open_segment(floe, index, final, from, len, out, &err)
    EXPECT_OK(OPEN(5, false, body + 5 * 48, 48));
    EXPECT_OK(OPEN(6, true, body + 6 * 48, 36));
    EXPECT_OK(OPEN(0, false, body, 48));
    assert_memory_equal(out, s.plain, 16);
    EXPECT_FAIL(OPEN(0, false, body, 47), SCK_E_AUTHENTIC, "encrypted file: segment 0 is cut short or too long");
    EXPECT_FAIL(OPEN(0, false, body, 49), SCK_E_AUTHENTIC, "encrypted file: segment 0 is cut short or too long");
    EXPECT_FAIL(OPEN(6, true, body + 6 * 48, 31), SCK_E_AUTHENTIC,
                "encrypted file: segment 6 is cut short or too long");
    EXPECT_FAIL(OPEN(0, true, body, 48), SCK_E_AUTHENTIC,
                "encrypted file: segment 0 is not where it belongs, or cut");
    EXPECT_FAIL(OPEN(6, true, body + 6 * 48, 35), SCK_E_AUTHENTIC,
                "encrypted file: segment 6 is not where it belongs, or cut");
    memset(out, 0x55, sizeof out);
    EXPECT_FAIL(OPEN(1, false, body, 48), SCK_E_AUTHENTIC, "encrypted file: segment 1 was altered");
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(out[i], 0);
    assert_int_equal(out[16], 0x55);
    EXPECT_OK(OPEN(1, false, body + 48, 48));
    EXPECT_FAIL(OPEN(UINT64_C(1) << 40, false, body, 48), SCK_E_USAGE,
                "encrypted file: segment 1099511627776 cannot be opened here");
#undef OPEN
    EXPECT_FAIL(sck_floe_seal_segment(floe, 0, false, out, s.plain, 16, out + 16, &err), SCK_E_USAGE,
                "encrypted file: segment 0 cannot have 16 bytes");
    EXPECT_FAIL(sck_floe_decrypt_new(s.key, aad, 2, s.ct.data, &none, &err), SCK_E_AUTHENTIC,
                "encrypted file: the header was altered, or the key is another file's");
    assert_null(none);
    memcpy(header, s.ct.data, BODY);
    header[0] = 1;
    EXPECT_FAIL(sck_floe_decrypt_new(s.key, aad, 3, header, &none, &err), SCK_E_AUTHENTIC,
                "encrypted file: unknown parameters");
    memcpy(header, s.ct.data, BODY);
    sck_be32(header + 2, 32);
    EXPECT_FAIL(sck_floe_decrypt_new(s.key, aad, 3, header, &none, &err), SCK_E_AUTHENTIC,
                "encrypted file: unknown parameters");
    sck_floe_free(&floe);
    clear_stream(&s);
}

static void
wrong_uses_are_refused(void **state)
{
    (void)state;
    struct sck_secret *key = make_key(1);
    struct sck_secret *shorter = NULL;
    struct sck_floe *floe = NULL;
    uint8_t iv[SCK_FLOE_IV_LEN] = {0};
    uint8_t header[BODY];
    uint8_t out[100];
    static uint8_t aad[SCK_FLOE_AAD_MAX + 1];
    EXPECT_OK(sck_secret_new(31, &shorter, &err));
#define NEW(k, aad_len, segment) sck_floe_encrypt_new(k, aad, aad_len, segment, iv, header, &floe, &err)
    EXPECT_FAIL(NEW(shorter, 0, 64), SCK_E_USAGE, "encrypted file: the key has 31 bytes, and must have 32");
    EXPECT_FAIL(NEW(key, 0, 32), SCK_E_USAGE, "encrypted file: segments of 32 bytes, and may have 33 to 67108896");
    EXPECT_FAIL(NEW(key, 0, 67108897), SCK_E_USAGE,
                "encrypted file: segments of 67108897 bytes, and may have 33 to 67108896");
    EXPECT_FAIL(NEW(key, sizeof aad, 64), SCK_E_USAGE,
                "encrypted file: 24577 bytes of additional data, and may be 24576");
    assert_null(floe);
    EXPECT_OK(NEW(key, SCK_FLOE_AAD_MAX, 64));
#undef NEW
#define SEAL(index, final, len) sck_floe_seal_segment(floe, index, final, iv, aad, len, out, &err)
    EXPECT_FAIL(SEAL(0, false, 31), SCK_E_USAGE, "encrypted file: segment 0 cannot have 31 bytes");
    EXPECT_FAIL(SEAL(0, false, 33), SCK_E_USAGE, "encrypted file: segment 0 cannot have 33 bytes");
    EXPECT_FAIL(SEAL(0, true, 33), SCK_E_USAGE, "encrypted file: segment 0 cannot have 33 bytes");
    EXPECT_FAIL(SEAL(UINT64_C(1) << 40, true, 1), SCK_E_USAGE,
                "encrypted file: segment 1099511627776 cannot have 1 bytes");
    EXPECT_OK(SEAL((UINT64_C(1) << 40) - 1, true, 0));
    EXPECT_FAIL(sck_floe_open_segment(floe, 0, true, out, 32, out + 40, &err), SCK_E_USAGE,
                "encrypted file: segment 0 cannot be opened here");
#undef SEAL
    sck_floe_free(&floe);
    sck_floe_free(&floe);
    sck_floe_free(NULL);
    sck_secret_free(&key);
    sck_secret_free(&shorter);
}

/* Segments on both sides of 2^20 have different keys, in whatever order they are used, in copies too. */
static void
keys_rotate_at_two_to_the_twenty(void **state)
{
    (void)state;
    static const uint64_t indexes[] = {0, (1U << 20) - 1, 1U << 20, 1, (1U << 20) + 1, (UINT64_C(5) << 20) + 3, 0};
    struct sck_secret *key = make_key(2);
    struct sck_floe *enc = NULL;
    struct sck_floe *dec = NULL;
    struct sck_floe *copy = NULL;
    uint8_t iv[SCK_FLOE_IV_LEN] = {0};
    uint8_t header[BODY];
    uint8_t plain[32] = "the same plaintext in all of it";
    uint8_t back[32];
    uint8_t segments[7][64];
    EXPECT_OK(sck_floe_encrypt_new(key, NULL, 0, 64, iv, header, &enc, &err));
    for (size_t i = 0; i < 7; i++)
        EXPECT_OK(sck_floe_seal_segment(enc, indexes[i], false, iv, plain, 32, segments[i], &err));
    assert_memory_equal(segments[0] + 16, segments[1] + 16, 32);
    assert_memory_not_equal(segments[0] + 16, segments[2] + 16, 32);
    assert_memory_equal(segments[2] + 16, segments[4] + 16, 32);
    assert_memory_equal(segments[0], segments[6], 64);
    EXPECT_OK(sck_floe_decrypt_new(key, NULL, 0, header, &dec, &err));
    EXPECT_OK(sck_floe_dup(dec, &copy, &err));
    for (size_t i = 7; i-- > 0;) {
        EXPECT_OK(sck_floe_open_segment(i % 2 == 0 ? dec : copy, indexes[i], false, segments[i], 64, back, &err));
        assert_memory_equal(back, plain, 32);
    }
    sck_floe_free(&copy);
    EXPECT_OK(sck_floe_dup(enc, &copy, &err));
    EXPECT_OK(sck_floe_seal_segment(copy, 1U << 20, false, iv, plain, 32, segments[0], &err));
    assert_memory_equal(segments[0], segments[2], 64);
    sck_floe_free(&copy);
    sck_floe_free(&enc);
    sck_floe_free(&dec);
    sck_secret_free(&key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(round_trips_of_every_length),
        cmocka_unit_test(every_flip_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(moved_segments_are_refused),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(wrong_uses_are_refused),
        cmocka_unit_test(keys_rotate_at_two_to_the_twenty),
    };
    return cmocka_run_group_tests_name("core/floe", tests, NULL, NULL);
}
