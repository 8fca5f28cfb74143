/* SPDX-License-Identifier: MIT */
/*
 * A program that signs with a token key and ends in one of several ways: agent WAY.  It must say "signed" and end with
 * status 0 whatever the way (7 for the ways that end by _exit(7)).
 */
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Most ways to end leave everything allocated, and threads behind: that is what they are about. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *
__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}

const char *
__asan_default_options(void)
{
    return "detect_leaks=0";
}

static EVP_PKEY *key;

static EVP_PKEY *
load(OSSL_LIB_CTX *ctx)
{
    EVP_PKEY *found = NULL;
    OSSL_STORE_CTX *store =
        OSSL_STORE_open_ex("scopekey:subject/alice/tls", ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
    if (info != NULL)
        found = OSSL_STORE_INFO_get1_PKEY(info);
    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return found;
}

static int
sign(void)
{
    unsigned char sig[128];
    size_t len = sizeof sig;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
             EVP_DigestSign(ctx, sig, &len, (const unsigned char *)"x", 1) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* May fail, must not crash. */
static void
sign_at_exit(void)
{
    (void)sign();
}

static void *
sign_until_it_fails(void *arg)
{
    while (sign())
        continue;
    return arg;
}

/*
 * Runs after our own exit handler and before OPENSSL_cleanup, which must not meet a thread that is inside libcrypto
 * (a program whose threads use software keys crashes there just the same).
 */
static void
let_threads_end(void)
{
    (void)usleep(50000);
}

static int
is(const char *way, const char *name)
{
    return strcmp(way, name) == 0;
}

static void
start_threads(void)
{
    pthread_t t;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&t, NULL, sign_until_it_fails, NULL) != 0)
            abort();
    (void)usleep(20000);
}

int
main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "return";
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    if (is(way, "atexit-before"))
        (void)atexit(sign_at_exit);
    (void)atexit(let_threads_end);
    if (is(way, "module-too") && dlopen(argc > 2 ? argv[2] : "", RTLD_NOW) == NULL)
        return 3;
    OSSL_PROVIDER *standard = OSSL_PROVIDER_load(NULL, "default");
    OSSL_PROVIDER *ours = OSSL_PROVIDER_load(NULL, "scopekey");
    if (standard == NULL || ours == NULL)
        return 4;
    if (is(way, "unused"))
        return printf("signed") > 0 ? 0 : 1;
    key = load(NULL);
    if (key == NULL || !sign())
        return 5;
    /* Left in stdio's buffer: a crash at exit would lose it. */
    (void)printf("signed");
    if (is(way, "atexit-after"))
        (void)atexit(sign_at_exit);
    if (is(way, "threads") || is(way, "threads-_exit"))
        start_threads();
    if (is(way, "free") || is(way, "unload"))
        EVP_PKEY_free(key);
    if (is(way, "unload") || is(way, "unload-with-key")) {
        (void)OSSL_PROVIDER_unload(ours);
        (void)OSSL_PROVIDER_unload(standard);
    }
    if (is(way, "cleanup"))
        OPENSSL_cleanup();
    if (is(way, "_exit") || is(way, "threads-_exit")) {
        (void)fflush(stdout);
        _exit(7);
    }
    if (is(way, "exit"))
        exit(0);
    return 0;
}
