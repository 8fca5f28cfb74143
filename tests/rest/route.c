/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"

#include "rest/route.h"

static const struct sck_route table[] = {
    {"POST", "/a/b", "ab", NULL, 0},
    {"GET", "/a/{id}", "get", NULL, 0},
    {"DELETE", "/a/{id}", "delete", NULL, 0},
    {"POST", "/a/{id}/x", "x", NULL, 0},
    {"GET", "/", "root", NULL, 0},
};

static void
expect(const char *method, const char *path, const char *operation, const char *want_allow)
{
    char allow[SCK_ALLOW_MAX];
    const struct sck_route *route = sck_route_find(table, sizeof table / sizeof table[0], method, path, allow);
    if (operation == NULL) {
        assert_null(route);
        assert_string_equal(allow, want_allow);
    } else {
        assert_non_null(route);
        assert_string_equal(route->operation, operation);
    }
}

static void
finds_by_method_and_path(void **state)
{
    (void)state;
    expect("POST", "/a/b", "ab", NULL);
    expect("GET", "/a/b", "get", NULL);
    expect("GET", "/a/x%2Fy", "get", NULL);
    expect("HEAD", "/a/b", "get", NULL);
    expect("DELETE", "/a/c", "delete", NULL);
    expect("POST", "/a/c/x", "x", NULL);
    expect("GET", "/", "root", NULL);
}

static void
says_what_a_path_allows(void **state)
{
    (void)state;
    expect("PUT", "/a/b", NULL, "POST, GET, HEAD, DELETE");
    expect("POST", "/a/c", NULL, "GET, HEAD, DELETE");
    expect("get", "/a/c", NULL, "GET, HEAD, DELETE");
    expect("", "/a/c/x", NULL, "POST");
    expect("GET", "/a", NULL, "");
    expect("GET", "/a/", NULL, "");
    expect("GET", "//", NULL, "");
    expect("GET", "/a/c/", NULL, "");
    expect("POST", "/a//x", NULL, "");
    expect("POST", "/A/b", NULL, "");
    expect("POST", "/a/b/", NULL, "");
    expect("POST", "/%61/b", NULL, "");
}

static void
sees_hidden_slashes(void **state)
{
    (void)state;
    assert_true(sck_route_hides_slash("/api%2Fkms/encrypt"));
    assert_true(sck_route_hides_slash("/api%2fkms"));
    assert_true(sck_route_hides_slash("/api/%41%5Ckms"));
    assert_false(sck_route_hides_slash("/api/%41"));
    assert_false(sck_route_hides_slash("/api"));
}

static void
the_daemons_table_is_whole(void **state)
{
    size_t count;
    const struct sck_route *routes = sck_routes(&count);
    (void)state;
    assert_int_equal(count, 7);
    for (size_t i = 0; i < count; i++) {
        char allow[SCK_ALLOW_MAX];
        assert_non_null(routes[i].handler);
        assert_ptr_equal(sck_route_find(routes, count, routes[i].method, routes[i].path, allow), &routes[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_method_and_path),
        cmocka_unit_test(says_what_a_path_allows),
        cmocka_unit_test(sees_hidden_slashes),
        cmocka_unit_test(the_daemons_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
