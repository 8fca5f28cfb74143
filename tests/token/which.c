/* SPDX-License-Identifier: MIT */
/* Which module, which token: what is found, what is refused, and what settings must be. */
#include "tests/token/room.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <string.h>

static struct softhsm hsm;
static CK_FUNCTION_LIST *foreign; /* SoftHSM as another user in this process sees it */

static int
set_up(void **state)
{
    union {
        void *object;
        CK_C_GetFunctionList fn;
    } get;
    (void)state;
    softhsm_start(&hsm);
    struct sck_token *token = softhsm_provisioned(&hsm);
    sck_token_free(&token);
    get.object = dlsym(dlopen(softhsm_module(), RTLD_NOW | RTLD_LOCAL), "C_GetFunctionList");
    if (get.object == NULL || get.fn(&foreign) != CKR_OK)
        return -1;
    softhsm_spy(&hsm);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    softhsm_end(&hsm);
    return 0;
}

static struct sck_token *
new_token(const char *faults)
{
    struct sck_token *token = NULL;
    softhsm_fault(&hsm, faults);
    assert_ok(sck_token_new(&hsm.conf, &token, &err));
    return token;
}

static void
which_token(void **state)
{
    (void)state;
    struct sck_token *token = NULL;
    struct sck_token_caps caps;
    char serial[17], want[300];
    token = new_token("");
    assert_ok(sck_token_caps_get(token, &caps, &err));
    (void)snprintf(serial, sizeof serial, "%s", caps.serial);
    sck_token_free(&token);

    struct sck_token_conf conf = hsm.conf;
    conf.label = "another";
    assert_ok(sck_token_new(&conf, &token, &err));
    (void)snprintf(want, sizeof want,
                   "no token \"another\": connect it or correct the label; there are: \"scopekey test\""
                   " (serial %s)",
                   serial);
    assert_fails(sck_token_login(token, &err), SCK_E_TOKEN, want);
    sck_token_free(&token);

    conf = hsm.conf;
    conf.serial = "0123456789abcdef";
    assert_ok(sck_token_new(&conf, &token, &err));
    (void)snprintf(want, sizeof want,
                   "no token \"scopekey test\" with serial number 0123456789abcdef: connect it or "
                   "correct the label; there are: \"scopekey test\" (serial %s)",
                   serial);
    assert_fails(sck_token_login(token, &err), SCK_E_TOKEN, want);
    sck_token_free(&token);

    conf.serial = serial;
    assert_ok(sck_token_new(&conf, &token, &err));
    assert_ok(sck_token_login(token, &err));
    sck_token_free(&token);

    token = new_token("twins\n");
    (void)snprintf(want, sizeof want,
                   "2 tokens have the label \"scopekey test\": set the serial number too; there are: "
                   "\"scopekey test\" (serial %s), \"scopekey test\" (serial %s)",
                   serial, serial);
    assert_fails(sck_token_login(token, &err), SCK_E_TOKEN, want);
    sck_token_free(&token);

    struct sck_secret *pin = NULL;
    softhsm_fault(&hsm, "");
    assert_ok(sck_secret_from(SOFTHSM_PIN, strlen(SOFTHSM_PIN), &pin, &err));
    assert_fails(sck_token_make(&hsm.conf, pin, pin, &err), SCK_E_EXISTS,
                 "a token \"scopekey test\" is there already: choose another label");
    sck_secret_free(&pin);
}

/* ---- which module ---- */

static void
refuses(const char *path, const char *message)
{
    struct sck_token *token = NULL;
    struct sck_token_conf conf = hsm.conf;
    conf.module_path = path;
    assert_ok(sck_token_new(&conf, &token, &err));
    assert_fails(sck_token_login(token, &err), SCK_E_CONFIG, message);
    sck_token_free(&token);
}

static void
which_module(void **state)
{
    (void)state;
    char want[400], link[128];
    Dl_info libc;
    softhsm_fault(&hsm, "");
    (void)snprintf(want, sizeof want,
                   "PKCS#11 module %s is Scopekey's own: name the module of the token that holds the "
                   "keys",
                   TESTS_MARKED_MODULE);
    refuses(TESTS_MARKED_MODULE, want);
    refuses("/nowhere/module.so",
            "PKCS#11 module /nowhere/module.so cannot be loaded: /nowhere/module.so: cannot open "
            "shared object file: No such file or directory: correct the path");
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "_cmocka_run_group_tests"), &libc), 0);
    (void)snprintf(want, sizeof want, "%s is no PKCS#11 module (no C_GetFunctionList): correct the path",
                   libc.dli_fname);
    refuses(libc.dli_fname, want);
    refuses("/usr/lib/p11-kit-proxy.so",
            "PKCS#11 module /usr/lib/p11-kit-proxy.so is p11-kit's proxy, which loads every "
            "registered module: name the token's own module");
    /* The proxy is the library itself, whatever it is called here. */
    void *kit = dlopen("libp11-kit.so.0", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(kit);
    assert_int_not_equal(dladdr(dlsym(kit, "p11_kit_strerror"), &libc), 0);
    (void)snprintf(link, sizeof link, "%s/innocent.so", hsm.folder);
    assert_int_equal(symlink(libc.dli_fname, link), 0);
    (void)snprintf(want, sizeof want,
                   "PKCS#11 module %s is p11-kit's proxy, which loads every registered module: name the "
                   "token's own module",
                   link);
    refuses(link, want);

    (void)snprintf(want, sizeof want,
                   "PKCS#11 module %s is Scopekey's own: name the module of the token that holds the "
                   "keys",
                   hsm.module_path);
    /* Sessions were closed under us in tests before, so it may still be initialised. */
    (void)foreign->C_Finalize(NULL);
    softhsm_fault(&hsm, "manufacturer Scopekey\n");
    refuses(hsm.module_path, want);
    (void)snprintf(want, sizeof want,
                   "PKCS#11 module %s is p11-kit's proxy, which loads every registered module: name the "
                   "token's own module",
                   hsm.module_path);
    softhsm_fault(&hsm, "description PKCS#11 Kit Proxy Module\n");
    refuses(hsm.module_path, want);
    softhsm_fault(&hsm, "C_Initialize 0x5 always\n");
    struct sck_token *token = NULL;
    assert_ok(sck_token_new(&hsm.conf, &token, &err));
    (void)snprintf(want, sizeof want,
                   "initialising PKCS#11 module %s: CKR_GENERAL_ERROR (0x5): see the token's own log",
                   hsm.module_path);
    assert_fails(sck_token_login(token, &err), SCK_E_TOKEN, want);
    softhsm_fault(&hsm, "");
    assert_ok(sck_token_login(token, &err));
    sck_token_free(&token);
}

static void
bad_settings(void **state)
{
    (void)state;
    struct sck_token *token = NULL;
    struct sck_token_conf conf = hsm.conf;
    conf.module_path = "module.so";
    assert_fails(sck_token_new(&conf, &token, &err), SCK_E_CONFIG, "the PKCS#11 module must be an absolute path");
    conf = hsm.conf;
    conf.label = "a label that has thirty-three byte";
    assert_fails(sck_token_new(&conf, &token, &err), SCK_E_CONFIG, "the token label must have 1 to 32 bytes");
    conf = hsm.conf;
    conf.lock_path = NULL;
    assert_fails(sck_token_new(&conf, &token, &err), SCK_E_CONFIG, "a token needs a lock file: set its path");
    conf = hsm.conf;
    conf.module_env = "SOFTHSM2_CONF";
    assert_fails(sck_token_new(&conf, &token, &err), SCK_E_CONFIG,
                 "the environment of the PKCS#11 module must read NAME=value");
    conf = hsm.conf;
    conf.max_sessions = 1;
    assert_fails(sck_token_new(&conf, &token, &err), SCK_E_CONFIG, "max_sessions must be 2 to 64");
    assert_null(token);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_token),
        cmocka_unit_test(which_module),
        cmocka_unit_test(bad_settings),
    };
    return cmocka_run_group_tests_name("token/which", tests, set_up, tear_down);
}
