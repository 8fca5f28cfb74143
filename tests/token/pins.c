/* SPDX-License-Identifier: MIT */
/* Where a PIN comes from. */
#include "tests/token/room.h"

#include "lib/token/pin.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/scopekey-pins-XXXXXX";

static int
set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
    char path[64];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/pin", folder);
    (void)unlink(path);
    return rmdir(folder);
}

static void
write_pin(char path[64], const char *text, mode_t mode)
{
    (void)snprintf(path, 64, "%s/pin", folder);
    (void)unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void
gives(struct sck_pin_sources *s, const char *want)
{
    struct sck_secret *pin = NULL;
    assert_ok(sck_pin_from_sources(s, false, &pin, &err));
    assert_int_equal(pin->len, strlen(want));
    assert_memory_equal(pin->data, want, pin->len);
    sck_secret_free(&pin);
}

static void
from_files(void **state)
{
    (void)state;
    char path[64], want[300];
    struct sck_secret *pin = NULL;
    write_pin(path, "123456\n", 0600);
    struct sck_pin_sources s = {.file = path, .fd = -1};
    gives(&s, "123456");
    write_pin(path, "12 34", 0400);
    gives(&s, "12 34");
    (void)snprintf(want, sizeof want, "the token refused the PIN of %s: correct it", path);
    assert_fails(sck_pin_from_sources(&s, true, &pin, &err), SCK_E_CREDENTIAL, want);
    write_pin(path, "123456\n", 0644);
    (void)snprintf(want, sizeof want, "PIN file %s can be read by others (mode 0644): run chmod 600 on it", path);
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CONFIG, want);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(want, sizeof want, "the PIN file %s is not there: make it (mode 0600) or correct pin_file", path);
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CREDENTIAL, want);
    assert_null(pin);
}

static void
from_descriptors(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "abc\n", 4), 4);
    assert_int_equal(close(ends[1]), 0);
    struct sck_pin_sources s = {.fd = ends[0]};
    gives(&s, "abc");
    assert_int_equal(close(ends[0]), 0);
}

static void
from_credentials(void **state)
{
    (void)state;
    char path[64];
    struct sck_secret *pin = NULL;
    write_pin(path, "systemd-pin", 0400);
    struct sck_pin_sources s = {.fd = -1, .credential = "pin"};
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CREDENTIAL,
                 "the PIN's systemd credential pin is not there: use LoadCredential=pin:/path in the unit");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    gives(&s, "systemd-pin");
    s.credential = "../pin";
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CREDENTIAL,
                 "the PIN's systemd credential ../pin is not there: use LoadCredential=../pin:/path in the unit");
    s.credential = "other";
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CREDENTIAL,
                 "cannot read the PIN's credential other: No such file or directory");
}

static void
from_the_environment(void **state)
{
    (void)state;
    struct sck_secret *pin = NULL;
    struct sck_pin_sources s = {.fd = -1, .env = "SCOPEKEY_TEST_PIN"};
    assert_int_equal(unsetenv("SCOPEKEY_TEST_PIN"), 0);
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CREDENTIAL,
                 "the environment variable SCOPEKEY_TEST_PIN with the PIN is not set");
    assert_int_equal(setenv("SCOPEKEY_TEST_PIN", "77", 1), 0);
    gives(&s, "77");
}

static void
from_nowhere(void **state)
{
    (void)state;
    struct sck_secret *pin = NULL;
    struct sck_pin_sources s = {.fd = -1};
    assert_fails(sck_pin_from_sources(&s, false, &pin, &err), SCK_E_CREDENTIAL,
                 "no source of the PIN: set a PIN file, file descriptor, systemd credential or prompt");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_files),           cmocka_unit_test(from_descriptors),
        cmocka_unit_test(from_credentials),     cmocka_unit_test(from_the_environment),
        cmocka_unit_test(from_nowhere),
    };
    return cmocka_run_group_tests_name("token/pins", tests, set_up, tear_down);
}
