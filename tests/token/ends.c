/* SPDX-License-Identifier: MIT */
/*
 * Processes that end while threads sign: none may crash, whichever way they end.  With an argument this program is
 * such a process; without, it runs it.
 */
#include "tests/token/room.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUNS = 20, THREADS = 6 };

static struct softhsm hsm;
static const char *program;

/* ---- the process ---- */

static struct sck_token *token;
static struct sck_tkey *key;

static void *
sign_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        struct sck_err e = SCK_ERR_INIT;
        (void)room_sign(key, &e);
    }
    return NULL;
}

/* A handler of the application's, registered before the token was loaded, so it runs after ours. */
static void
late_handler(void)
{
    struct sck_err e = SCK_ERR_INIT;
    enum sck_code rc = room_sign(key, &e);
    if (rc != SCK_E_TOKEN || strcmp(e.message, "signing: process exiting: no token call is made any more") != 0) {
        fprintf(stderr, "after exit began: %s\n", e.message);
        _exit(7);
    }
    sck_tkey_unref(&key);
    sck_token_free(&token);
}

static int
helper(const char *how, const char *folder)
{
    pthread_t thread;
    alarm(300);
    if (strcmp(how, "late") == 0 && atexit(late_handler) != 0)
        return 8;
    softhsm_attach(&hsm, folder);
    token = softhsm_open(&hsm);
    key = room_key(token, SCK_ALG_EC_P256, SCK_USAGE_SIGN);
    for (int i = 0; strcmp(how, "late") != 0 && i < THREADS; i++) {
        if (pthread_create(&thread, NULL, sign_for_ever, NULL) != 0)
            return 9;
    }
    usleep(10000);
    if (strcmp(how, "foreign") == 0) {
        /* The application has the module, too, and finalises it on its way out. */
        void *module = dlopen(hsm.module_path, RTLD_NOW | RTLD_LOCAL);
        if (module == NULL)
            return 10;
    }
    exit(0);
}

/* ---- the test ---- */

static int
set_up(void **state)
{
    (void)state;
    softhsm_start(&hsm);
    struct sck_token *t = softhsm_provisioned(&hsm);
    sck_token_free(&t);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    softhsm_end(&hsm);
    return 0;
}

static void
runs(const char *how)
{
    for (int i = 0; i < RUNS; i++) {
        int status = 0;
        pid_t pid = fork();
        assert_int_not_equal(pid, -1);
        if (pid == 0) {
            execl(program, program, how, hsm.folder, (char *)NULL);
            _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("run %d of %s ended with status 0x%x", i, how, (unsigned)status);
    }
}

static void
exit_with_threads(void **state)
{
    (void)state;
    runs("threads");
}

static void
exit_beside_the_application(void **state)
{
    (void)state;
    runs("foreign");
}

static void
calls_after_exit_began(void **state)
{
    (void)state;
    runs("late");
}

int
main(int argc, char **argv)
{
    if (argc == 3)
        return helper(argv[1], argv[2]);
    program = "/proc/self/exe";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_with_threads),
        cmocka_unit_test(exit_beside_the_application),
        cmocka_unit_test(calls_after_exit_began),
    };
    return cmocka_run_group_tests_name("token/ends", tests, set_up, tear_down);
}
