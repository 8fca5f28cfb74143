/* SPDX-License-Identifier: MIT */
/*
 * leave HOW WAIT_MS, for leave.sh: begins requests, waits, and ends the process without having closed anything: by
 * `exit`, `return` from main, exit() in a `callback`, exit() in a forked `child`, or exit() with a `close` in a handler
 * that runs after the library's.  Status 7, and one line that the exit has to flush.
 */
#include "include/scopekey.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUESTS = 16, STATUS = 7 };

static struct scopekey *sk;
static const char *how;
static atomic_bool leaving;

static void
done(void *arg, struct scopekey_request *request)
{
    (void)arg;
    scopekey_request_free(&request);
    if (strcmp(how, "callback") != 0 || atomic_exchange(&leaving, true))
        return;
    printf("left by %s\n", how);
    exit(STATUS);
}

static void
close_late(void)
{
    scopekey_close(&sk);
}

static int
leave_child(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        printf("left by %s\n", how);
        exit(STATUS);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
main(int argc, char **argv)
{
    struct scopekey_error *error = scopekey_error_new();
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    if (argc != 3)
        return 2;
    how = argv[1];
    if (strcmp(how, "close") == 0 && atexit(close_late) != 0)
        return 1;
    if (scopekey_open(NULL, &sk, error) != SCOPEKEY_OK) {
        printf("%s\n", scopekey_error_message(error));
        return 1;
    }
    /* So that there is a callback even when no server answers. */
    call.deadline_ms = strcmp(how, "callback") == 0 ? 300 : 0;
    for (int i = 0; i < REQUESTS; i++) {
        struct scopekey_request *request = NULL;
        if (scopekey_encryption_keys_for_async(sk, "alice", &call, done, NULL, &request, error) != SCOPEKEY_OK) {
            printf("%s\n", scopekey_error_message(error));
            return 1;
        }
    }
    scopekey_error_free(&error);
    (void)usleep((useconds_t)atoi(argv[2]) * 1000);
    while (strcmp(how, "callback") == 0)
        (void)pause();
    if (strcmp(how, "child") == 0)
        return leave_child();
    printf("left by %s\n", how);
    if (strcmp(how, "return") != 0)
        exit(STATUS);
    return STATUS;
}
