/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"

#include "lib/base/text.h"
#include "rest/aad.h"

#define TEXT(s) {(const uint8_t *)(s), sizeof(s) - 1}

static void
expect_hex(const struct sck_buf *buf, const char *want)
{
    char hex[512];
    assert_true(buf->len * 2 < sizeof hex);
    sck_hex_format(buf->data, buf->len, hex);
    assert_string_equal(hex, want);
}

/* Known answers: whoever changes them loses every ciphertext that exists. */
static void
binds_key_version_and_context(void **state)
{
    static const struct sck_pair pairs[] = {{TEXT("tenant"), TEXT("a")}, {TEXT("purpose"), TEXT("")}};
    struct sck_buf aad;
    (void)state;
    sck_buf_init(&aad, 1000);
    EXPECT_OK(sck_rest_aad("key-1", 1, NULL, 0, &aad, &err));
    expect_hex(&aad, "73636f70656b65792d726573742f7631" "0005" "6b65792d31" "00000001" "0000");
    sck_buf_reset(&aad);
    EXPECT_OK(sck_rest_aad("key-1", 0x01020304, pairs, 2, &aad, &err));
    expect_hex(&aad, "73636f70656b65792d726573742f7631" "0005" "6b65792d31" "01020304" "0002"
                     "0007" "707572706f7365" "0000" "0006" "74656e616e74" "0001" "61");
    sck_buf_clear(&aad);
}

/* docs/formats.md, "REST ciphertext" */
static void
agrees_with_the_written_format(void **state)
{
    static const struct sck_pair pair = {TEXT("tenant"), TEXT("blue")};
    struct sck_buf aad;
    (void)state;
    sck_buf_init(&aad, 1000);
    EXPECT_OK(sck_rest_aad("key-0681cfc6ihppnbl5ipm2du5di4", 2, &pair, 1, &aad, &err));
    expect_hex(&aad, "73636f70656b65792d726573742f7631001e6b65792d3036383163666336696870706e626c3569706d32647535646934"
                     "000000020001000674656e616e740004626c7565");
    sck_buf_clear(&aad);
}

static void
refuses_bad_contexts(void **state)
{
    static const struct sck_pair name[] = {{TEXT("Tenant"), TEXT("a")}};
    static const struct sck_pair twice[] = {{TEXT("a"), TEXT("1")}, {TEXT("a"), TEXT("2")}};
    struct sck_buf aad;
    (void)state;
    sck_buf_init(&aad, 1000);
    EXPECT_FAIL(sck_rest_aad("key-1", 1, name, 1, &aad, &err), SCK_E_USAGE,
                "encryption context: a name is 1 to 32 of a-z 0-9 _ and starts with a letter");
    EXPECT_FAIL(sck_rest_aad("key-1", 1, twice, 2, &aad, &err), SCK_E_USAGE,
                "encryption context: a is given twice");
    sck_buf_clear(&aad);
}

static void
blobs_come_apart_as_they_were_put_together(void **state)
{
    static const uint8_t nonce[12] = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB};
    struct sck_buf blob;
    uint32_t version = 0;
    struct sck_bytes n;
    struct sck_bytes sealed;
    (void)state;
    sck_buf_init(&blob, 1000);
    sck_rest_blob_encode(7, nonce, (const uint8_t *)"sealed", 6, &blob);
    expect_hex(&blob, "01" "00000007" "a0a1a2a3a4a5a6a7a8a9aaab" "7365616c6564");
    assert_true(sck_rest_blob_decode(blob.data, blob.len, &version, &n, &sealed));
    assert_int_equal(version, 7);
    assert_int_equal(n.len, 12);
    assert_memory_equal(n.data, nonce, 12);
    assert_int_equal(sealed.len, 6);
    assert_memory_equal(sealed.data, "sealed", 6);
    for (size_t len = 0; len < 17; len++)
        assert_false(sck_rest_blob_decode(blob.data, len, &version, &n, &sealed));
    assert_true(sck_rest_blob_decode(blob.data, 17, &version, &n, &sealed));
    assert_int_equal(sealed.len, 0);
    blob.data[0] = 2;
    assert_false(sck_rest_blob_decode(blob.data, blob.len, &version, &n, &sealed));
    sck_buf_clear(&blob);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_key_version_and_context),
        cmocka_unit_test(agrees_with_the_written_format),
        cmocka_unit_test(refuses_bad_contexts),
        cmocka_unit_test(blobs_come_apart_as_they_were_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
