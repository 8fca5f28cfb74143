/* SPDX-License-Identifier: MIT */
/* scopekey.h on a real SoftHSM token with keeper token: what each call gives and refuses. */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "include/scopekey.h"
#include "lib/api/api.h"
#include "lib/service/engine.h"

#include <unistd.h>

static struct home home;
static struct scopekey *sk;
static struct scopekey_error *error;

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

static int
set_up(void **state)
{
    (void)state;
    home_make(&home);
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    options.configuration = home.conf;
    error = scopekey_error_new();
    return scopekey_open(&options, &sk, error) == SCOPEKEY_OK && scopekey_subject_ensure(sk, "alice", NULL, error) == SCOPEKEY_OK &&
                   scopekey_subject_ensure(sk, "bob", NULL, error) == SCOPEKEY_OK
               ? 0 : 1;
}

static int
tear_down(void **state)
{
    (void)state;
    scopekey_close(&sk);
    scopekey_error_free(&error);
    home_remove(&home);
    return 0;
}

/* A material of alice, and its parts. */
struct parts {
    struct scopekey_material *m;
    const uint8_t *wrapped;
    size_t wrapped_len;
    const uint8_t *context;
    size_t context_len;
};

static struct parts
make(const char *subject)
{
    struct parts p = {0};
    OK(scopekey_encryption_keys_for(sk, subject, NULL, &p.m, error));
    p.wrapped = scopekey_material_wrapped(p.m, &p.wrapped_len);
    p.context = scopekey_material_context(p.m, &p.context_len);
    return p;
}

static enum scopekey_code
open_as(const char *subject, const struct parts *p, struct scopekey_aead **out)
{
    return scopekey_decryption_keys_for(sk, subject, p->wrapped, p->wrapped_len, p->context, p->context_len, NULL, out, error);
}

static void
what_is_made_opens(void **state)
{
    (void)state;
    struct scopekey_aead *aead = NULL;
    struct scopekey_secret *plain = NULL;
    uint8_t sealed[5 + SCOPEKEY_SEAL_OVERHEAD];
    struct parts p = make("alice");
    const struct scopekey_secret *key = scopekey_aead_key(scopekey_material_aead(p.m));
    assert_int_equal(scopekey_secret_length(key), SCOPEKEY_KEY_LENGTH);
    assert_int_equal(p.wrapped_len, 12 + 12 + 72 + 16);
    OK(open_as("alice", &p, &aead));
    assert_memory_equal(scopekey_secret_data(scopekey_aead_key(aead)), scopekey_secret_data(key), SCOPEKEY_KEY_LENGTH);
    OK(scopekey_aead_seal(scopekey_material_aead(p.m), "hello", 5, "with", 4, sealed, sizeof sealed, error));
    OK(scopekey_aead_open(aead, sealed, sizeof sealed, "with", 4, &plain, error));
    assert_int_equal(scopekey_secret_length(plain), 5);
    assert_memory_equal(scopekey_secret_data(plain), "hello", 5);
    scopekey_secret_free(&plain);
    assert_null(plain);
    FAILS(scopekey_aead_open(aead, sealed, sizeof sealed, "wit", 3, &plain, error), SCOPEKEY_E_INTEGRITY,
          "short seal: it was made with another key or context, or altered");
    assert_null(plain);
    scopekey_aead_free(&aead);
    scopekey_material_free(&p.m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_opens),
    };
    return cmocka_run_group_tests_name("materials", tests, set_up, tear_down);
}
