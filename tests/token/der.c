/* SPDX-License-Identifier: MIT */
/* DER from raw values, read back by OpenSSL; and points as tokens write them. */
#include "tests/token/room.h"

#include "lib/token/der.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

static void
signature_is(const uint8_t *raw, size_t len)
{
    uint8_t der[300], r[66], s[66];
    size_t der_len = sck_der_ecdsa(raw, len, der, sizeof der);
    assert_int_not_equal(der_len, 0);
    const unsigned char *p = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    assert_non_null(sig);
    assert_ptr_equal(p, der + der_len);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), r, (int)(len / 2)), (int)(len / 2));
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), s, (int)(len / 2)), (int)(len / 2));
    assert_memory_equal(r, raw, len / 2);
    assert_memory_equal(s, raw + len / 2, len / 2);
    unsigned char *again = NULL;
    assert_int_equal(i2d_ECDSA_SIG(sig, &again), (int)der_len);
    assert_memory_equal(again, der, der_len);
    OPENSSL_free(again);
    ECDSA_SIG_free(sig);
    /* One byte less room is too little. */
    assert_int_equal(sck_der_ecdsa(raw, len, der, der_len - 1), 0);
}

static void
signatures(void **state)
{
    static const size_t lens[] = {64, 96, 132};
    uint8_t raw[132];
    uint32_t seed = 12345;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t len = lens[round % 3];
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525U + 1013904223U;
            raw[i] = (uint8_t)(seed >> 24);
        }
        /* Zeros in front and the sign bit are where it goes wrong. */
        for (int i = 0; i < round % 5; i++)
            raw[i] = 0;
        for (int i = 0; i < round % 7; i++)
            raw[len / 2 + (size_t)i] = 0;
        raw[round % 5] |= round % 2 ? 0x80 : 0x01;
        signature_is(raw, len);
    }
    memset(raw, 0, sizeof raw);
    signature_is(raw, 64);
    uint8_t out[200];
    assert_int_equal(sck_der_ecdsa(raw, 0, out, sizeof out), 0);
    assert_int_equal(sck_der_ecdsa(raw, 63, out, sizeof out), 0);
    assert_int_equal(sck_der_ecdsa(raw, 1000, out, sizeof out), 0);
}

static void
rsa_keys(void **state)
{
    static const size_t lens[] = {64, 127, 128, 256, 384, 512, 513};
    uint8_t n[514];
    static const uint8_t e[] = {0x00, 0x01, 0x00, 0x01};
    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        struct sck_buf spki;
        sck_buf_init(&spki, 1024);
        memset(n, 0xC5, sizeof n);
        n[0] = i % 2 ? 0x00 : 0xC5;
        sck_der_spki_rsa(&spki, n, lens[i], e, sizeof e);
        const unsigned char *p = spki.data;
        EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)spki.len);
        assert_non_null(pkey);
        assert_ptr_equal(p, spki.data + spki.len);
        assert_int_equal(EVP_PKEY_get_bits(pkey), (int)(lens[i] - i % 2) * 8);
        EVP_PKEY_free(pkey);
        sck_buf_clear(&spki);
    }
}

static void
points(void **state)
{
    uint8_t in[140] = {0};
    const uint8_t *point = NULL;
    (void)state;
    in[0] = 0x04;
    in[1] = 65;
    assert_true(sck_der_ec_point(in, 67, 65, &point));
    assert_ptr_equal(point, in + 2);
    assert_true(sck_der_ec_point(in, 65, 65, &point));
    assert_ptr_equal(point, in);
    assert_false(sck_der_ec_point(in, 66, 65, &point));
    assert_false(sck_der_ec_point(in, 0, 65, &point));
    in[1] = 64;
    assert_false(sck_der_ec_point(in, 67, 65, &point));
    in[1] = 0x81;
    in[2] = 133;
    assert_true(sck_der_ec_point(in, 136, 133, &point));
    assert_ptr_equal(point, in + 3);
    in[1] = 0x82;
    assert_false(sck_der_ec_point(in, 136, 133, &point));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures),
        cmocka_unit_test(rsa_keys),
        cmocka_unit_test(points),
    };
    return cmocka_run_group_tests_name("token/der", tests, NULL, NULL);
}
