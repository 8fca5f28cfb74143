/* SPDX-License-Identifier: MIT */
/* cmocka with assertions about sck_code and the exact message. */
#ifndef TESTS_LIB_EXPECT_H
#define TESTS_LIB_EXPECT_H

#include "lib/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* `call` uses a `struct sck_err err` that is made here, succeeds, and records nothing. */
#define EXPECT_OK(call)                                                                                             \
    do {                                                                                                            \
        struct sck_err err = SCK_ERR_INIT;                                                                          \
        enum sck_code code_ = (call);                                                                               \
        if (code_ != SCK_OK)                                                                                        \
            print_error("%s: %s\n", sck_code_name(code_), err.message);                                             \
        assert_int_equal(code_, SCK_OK);                                                                            \
        assert_int_equal(err.code, SCK_OK);                                                                         \
    } while (0)

/* `call` fails with exactly this code and message. */
#define EXPECT_FAIL(call, want_code, want_message)                                                                  \
    do {                                                                                                            \
        struct sck_err err = SCK_ERR_INIT;                                                                          \
        enum sck_code code_ = (call);                                                                               \
        assert_string_equal(err.message, (want_message));                                                           \
        assert_int_equal(code_, (want_code));                                                                       \
        assert_int_equal(err.code, (want_code));                                                                    \
    } while (0)

#endif
