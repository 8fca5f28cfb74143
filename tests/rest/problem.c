/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"

#include "rest/problem.h"

static void
every_code_has_its_answer(void **state)
{
    static const struct {
        enum sck_code code;
        unsigned status;
        const char *word;
        int retry_after_s;
    } table[] = {
        {SCK_E_USAGE, 400, "validation_error", 0},
        {SCK_E_AUTHENTIC, 400, "decryption_failed", 0},
        {SCK_E_CONTEXT, 400, "context_mismatch", 0},
        {SCK_E_UNSUPPORTED, 400, "unsupported", 0},
        {SCK_E_DENIED, 403, "not_permitted", 0},
        {SCK_E_NOT_FOUND, 404, "key_not_found", 0},
        {SCK_E_EXISTS, 409, "already_exists", 0},
        {SCK_E_STATE, 409, "wrong_state", 0},
        {SCK_E_ERASED, 410, "subject_erased", 0},
        {SCK_E_CREDENTIAL, 502, "authentication", 30},
        {SCK_E_TOKEN, 503, "token", 5},
        {SCK_E_CONNECT, 503, "connectivity", 5},
        {SCK_E_IO, 503, "io", 5},
        {SCK_E_MEMORY, 503, "out_of_memory", 5},
        {SCK_E_BUSY, 504, "busy", 1},
        {SCK_E_CANCELLED, 503, "cancelled", 1},
        {SCK_E_CONFIG, 500, "configuration", 0},
        {SCK_E_INTEGRITY, 500, "integrity", 0},
        {SCK_E_INTERNAL, 500, "internal", 0},
        {SCK_OK, 500, "internal", 0},
    };
    (void)state;
    assert_int_equal(sizeof table / sizeof table[0], SCK_E_INTERNAL + 1);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct sck_problem p = sck_problem_of(table[i].code);
        assert_int_equal(p.status, table[i].status);
        assert_string_equal(p.code, table[i].word);
        assert_int_equal(p.retry_after_s, table[i].retry_after_s);
        assert_true(strlen(p.detail) > 0);
        assert_string_not_equal(sck_problem_title(p.status), "Error");
    }
}

static void
titles_are_the_documented_ones(void **state)
{
    (void)state;
    assert_string_equal(sck_problem_title(400), "Validation Error");
    assert_string_equal(sck_problem_title(401), "Authentication Error");
    assert_string_equal(sck_problem_title(410), "Gone");
    assert_string_equal(sck_problem_title(503), "Service Unavailable");
    assert_string_equal(sck_problem_title(418), "Error");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_answer),
        cmocka_unit_test(titles_are_the_documented_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
