/* SPDX-License-Identifier: MIT */
/* What the tests of scopekey.h share: exact outcomes, and a keeper that waits, counts and fails when it is told to. */
#ifndef TESTS_API_API_TEST_H
#define TESTS_API_API_TEST_H

#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "include/scopekey.h"
#include "lib/api/api.h"
#include "lib/service/engine.h"

/* Both use a `struct scopekey_error *error`. */
#define OK(call)                                                                                                    \
    do {                                                                                                            \
        enum scopekey_code code_ = (call);                                                                          \
        if (code_ != SCOPEKEY_OK)                                                                                   \
            print_error("%s: %s\n", scopekey_code_name(code_), scopekey_error_message(error));                      \
        assert_int_equal(code_, SCOPEKEY_OK);                                                                       \
        assert_int_equal(scopekey_error_code(error), SCOPEKEY_OK);                                                  \
        assert_string_equal(scopekey_error_message(error), "");                                                     \
    } while (0)

#define FAILS(call, want_code, want_message)                                                                        \
    do {                                                                                                            \
        enum scopekey_code code_ = (call);                                                                          \
        assert_string_equal(scopekey_error_message(error), (want_message));                                         \
        assert_int_equal(code_, (want_code));                                                                       \
        assert_int_equal(scopekey_error_code(error), (want_code));                                                  \
    } while (0)

/* Opens a set-up and makes alice and bob.  `more` is added to its configuration. */
struct scopekey *api_open(struct home *home, const char *more, int dispatch);

/* A material and its parts. */
struct parts {
    struct scopekey_material *m;
    const uint8_t *wrapped;
    size_t wrapped_len;
    const uint8_t *context;
    size_t context_len;
};
struct parts api_make(struct scopekey *sk, const char *subject);

/* Stands before the set-up's keeper token.  Its blobs are payloads in clear behind "fake" when `fast`. */
struct fake {
    struct sck_keeper base;
    struct sck_keeper_ops ops;
    struct sck_keeper *real;
    struct sck_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    pthread_t thread;
    struct fake_job *jobs;      /* submitted */
    bool fast;
    bool held;                  /* calls wait */
    bool ending;
    enum sck_code fail_with;    /* SCK_OK: do not */
    int inside;                 /* blocking calls that wait */
    int wraps, unwraps, cancels, most;
};
/* `async`: it has an asynchronous side of its own. */
struct fake *fake_install(struct scopekey *sk, bool async);
void fake_remove(struct fake **fake);
void fake_hold(struct fake *fake, bool held);
/* Wait until so many calls are inside or submitted. */
void fake_wait(struct fake *fake, int calls);

/* The number in the line of /metrics text that begins with `series` and a space; 0 when there is none. */
int64_t metric(const char *series);

#endif
