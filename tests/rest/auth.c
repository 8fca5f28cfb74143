/* SPDX-License-Identifier: MIT */
#include "tests/lib/expect.h"

#include "rest/auth.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_1 "0123456789abcdef0123456789abcdef"
#define KEY_2 "fedcba9876543210fedcba9876543210"

static char path[] = "/tmp/scopekey-rest-auth-XXXXXX";

static void
write_keys(const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static bool
knows(struct sck_auth *auth, const char *key)
{
    const struct sck_client *client = sck_auth_check(auth, key, strlen(key));
    if (client != NULL)
        assert_string_equal(client->id, "default");
    return client != NULL;
}

static void
two_keys_work_and_are_read_again(void **state)
{
    const struct sck_auth_source source = {path, -1, NULL, ""};
    struct sck_auth *auth = NULL;
    (void)state;
    write_keys(KEY_1 "\n");
    EXPECT_OK(sck_auth_new(&source, "", &auth, &err));
    assert_true(knows(auth, KEY_1));
    assert_false(knows(auth, KEY_2));
    assert_false(knows(auth, ""));
    assert_false(knows(auth, KEY_1 "0"));
    write_keys(KEY_1 "\n" KEY_2 "\n");
    EXPECT_OK(sck_auth_reload(auth, &err));
    assert_true(knows(auth, KEY_1));
    assert_true(knows(auth, KEY_2));
    /* What cannot be used changes nothing. */
    write_keys(KEY_1 "\n" KEY_2 "\n" KEY_1 "\n");
    EXPECT_FAIL(sck_auth_reload(auth, &err), SCK_E_CONFIG, "the API key in the file holds more than 2 keys");
    assert_true(knows(auth, KEY_2));
    write_keys(KEY_2 "\n");
    EXPECT_OK(sck_auth_reload(auth, &err));
    assert_false(knows(auth, KEY_1));
    assert_true(knows(auth, KEY_2));
    sck_auth_free(&auth);
}

static void
refuses_to_be_without_a_client(void **state)
{
    const struct sck_auth_source none = {NULL, -1, NULL, ""};
    struct sck_auth *auth = NULL;
    (void)state;
    EXPECT_FAIL(sck_auth_new(&none, "", &auth, &err), SCK_E_CONFIG,
                "no API client is configured, so nobody could call this daemon: make a key by "
                "`(umask 077; openssl rand -hex 32 > api.key)` and start with --api-key-file api.key, "
                "or set api_key_file in [rest] of scopekey.conf");
    assert_null(auth);
}

static void
refuses_bad_keys(void **state)
{
    const struct sck_auth_source source = {path, -1, NULL, ""};
    const char *const bad[] = {"\x01" KEY_1 "\n", KEY_1 "\xC3\xA4\n", " " KEY_1 "\n", KEY_1 "\n\n"};
    char message[200];
    struct sck_auth *auth = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_keys(bad[i]);
        EXPECT_FAIL(sck_auth_new(&source, "", &auth, &err), SCK_E_CONFIG,
                    "the API key in the file is empty or has characters that are not printable ASCII: "
                    "make one by `openssl rand -hex 32`");
    }
    write_keys(KEY_1 "\n");
    assert_int_equal(chmod(path, 0640), 0);
    (void)snprintf(message, sizeof message,
                   "API key file %s can be read by others (mode 0640): run chmod 600 on it", path);
    EXPECT_FAIL(sck_auth_new(&source, "", &auth, &err), SCK_E_CONFIG, message);
    assert_int_equal(chmod(path, 0600), 0);
    EXPECT_FAIL(sck_auth_new(&source, "person/*", &auth, &err), SCK_E_CONFIG,
                "scopekey.conf, [client default] scopes: scope pattern 1 is neither KIND/* nor a scope: scope: it does "
                "not begin with \"subject/\", \"file/\", \"client/\" or \"system/\"");
}

static void
the_environment_forgets_the_key(void **state)
{
    struct sck_secret *key = NULL;
    (void)state;
    assert_int_equal(setenv("API_KEY", KEY_1, 1), 0);
    const char *bytes = getenv("API_KEY");
    EXPECT_OK(sck_auth_take_env(&key, &err));
    assert_int_equal(key->len, 32);
    assert_memory_equal(key->data, KEY_1, 32);
    assert_null(getenv("API_KEY"));
    assert_int_equal(bytes[0], '\0');
    assert_int_equal(bytes[31], '\0');
    const struct sck_auth_source source = {NULL, -1, key, ""};
    struct sck_auth *auth = NULL;
    EXPECT_OK(sck_auth_new(&source, "", &auth, &err));
    assert_true(knows(auth, KEY_1));
    EXPECT_OK(sck_auth_reload(auth, &err));
    assert_true(knows(auth, KEY_1));
    sck_auth_free(&auth);
    sck_secret_free(&key);
    EXPECT_OK(sck_auth_take_env(&key, &err));
    assert_null(key);
    assert_int_equal(setenv("API_KEY", "", 1), 0);
    EXPECT_FAIL(sck_auth_take_env(&key, &err), SCK_E_CONFIG,
                "API_KEY in the environment is empty: unset it or give it a value");
}

static void
scopes_are_a_wall(void **state)
{
    const struct sck_auth_source source = {path, -1, NULL, ""};
    struct sck_auth *auth = NULL;
    struct sck_scope own;
    struct sck_scope other;
    struct sck_scope alice;
    struct sck_scope bob;
    (void)state;
    EXPECT_OK(sck_scope_parse("client/default", 14, &own, &err));
    EXPECT_OK(sck_scope_parse("client/other", 12, &other, &err));
    EXPECT_OK(sck_scope_parse("subject/alice", 13, &alice, &err));
    EXPECT_OK(sck_scope_parse("subject/bob", 11, &bob, &err));
    write_keys(KEY_1 "\n");
    EXPECT_OK(sck_auth_new(&source, "", &auth, &err));
    const struct sck_client *client = sck_auth_check(auth, KEY_1, 32);
    assert_true(sck_client_may_use(client, &own));
    assert_false(sck_client_may_use(client, &other));
    assert_false(sck_client_may_use(client, &alice));
    sck_auth_free(&auth);
    EXPECT_OK(sck_auth_new(&source, "subject/alice", &auth, &err));
    client = sck_auth_check(auth, KEY_1, 32);
    assert_true(sck_client_may_use(client, &own));
    assert_true(sck_client_may_use(client, &alice));
    assert_false(sck_client_may_use(client, &bob));
    sck_auth_free(&auth);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_keys_work_and_are_read_again), cmocka_unit_test(refuses_to_be_without_a_client),
        cmocka_unit_test(refuses_bad_keys),                 cmocka_unit_test(the_environment_forgets_the_key),
        cmocka_unit_test(scopes_are_a_wall),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    (void)close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    return failed;
}
