/* SPDX-License-Identifier: MIT */
/* What the tests of this room share. */
#ifndef TESTS_TOKEN_ROOM_H
#define TESTS_TOKEN_ROOM_H

#include "tests/lib/softhsm.h"
#include "tests/lib/spy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#define assert_ok(call) \
    do { \
        struct sck_err err_ = SCK_ERR_INIT; \
        err = err_; \
        if ((call) != SCK_OK) \
            fail_msg("%s: %s", #call, err.message); \
    } while (0)

/* The call must fail with this code and message. */
#define assert_fails(call, want_code, want_message) \
    do { \
        struct sck_err err_ = SCK_ERR_INIT; \
        err = err_; \
        enum sck_code got_ = (call); \
        assert_string_equal(err.message, want_message); \
        assert_int_equal(got_, want_code); \
        assert_int_equal(err.code, want_code); \
    } while (0)

static struct sck_err err;

static inline struct sck_tkey *
room_key(struct sck_token *token, enum sck_alg alg, enum sck_usage usage)
{
    struct sck_buf blob, spki;
    struct sck_tkey *key = NULL;
    sck_buf_init(&blob, 8192);
    sck_buf_init(&spki, 2048);
    assert_ok(sck_token_generate(token, alg, usage, &blob, &spki, &err));
    assert_ok(sck_tkey_load(token, alg, usage, SCK_ORIGIN_GENERATED, blob.data, blob.len, &key, &err));
    sck_buf_clear(&blob);
    sck_buf_clear(&spki);
    return key;
}

static inline enum sck_code
room_sign(struct sck_tkey *key, struct sck_err *e)
{
    static const uint8_t digest[32] = "a digest of thirty-two bytes....";
    uint8_t sig[160];
    size_t len = 0;
    return sck_tkey_sign(key, SCK_SIGN_ECDSA, NULL, digest, sizeof digest, sig, sizeof sig, &len, e);
}

#endif
