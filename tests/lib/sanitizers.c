/* SPDX-License-Identifier: MIT */
/* What the sanitizers are told in every test program; other builds do not call these. */

#define SEEN __attribute__((visibility("default")))
SEEN const char *__asan_default_options(void);
SEEN const char *__lsan_default_options(void);
SEEN const char *__lsan_default_suppressions(void);
SEEN const char *__tsan_default_options(void);

/* Whole stacks, through libraries without frame pointers: the leak below is known by its frames alone. */
const char *
__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}

const char *
__lsan_default_options(void)
{
    return "print_suppressions=0";
}

/* SoftHSM 2.6.1 loses the curve's name at each C_SignInit with an Ed25519 key. */
const char *
__lsan_default_suppressions(void)
{
    return "leak:libsofthsm2.so\n";
}

/*
 * ThreadSanitizer stops a child of a process with threads, and calls the threads that a child has not inherited leaked.
 * Both are what fork(2) means, and what many tests are about.
 */
const char *
__tsan_default_options(void)
{
    return "die_after_fork=0:report_thread_leaks=0";
}
