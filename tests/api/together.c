/* SPDX-License-Identifier: MIT */
/*
 * together SUBJECT COUNT PID, for together.sh: stops the server PID, asks COUNT times for one DEK, lets the server go on when
 * all wait, and prints how many got the key.  The second half of them blocks, in threads of its own.
 */
#include "include/scopekey.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 16 };

static struct scopekey *sk;
static struct scopekey_material *material;
static const char *subject;
static atomic_int good;
static atomic_int over;

static void
check(struct scopekey_aead *aead)
{
    const struct scopekey_secret *want = scopekey_aead_key(scopekey_material_aead(material));
    if (aead != NULL &&
        memcmp(scopekey_secret_data(scopekey_aead_key(aead)), scopekey_secret_data(want), SCOPEKEY_KEY_LENGTH) == 0)
        atomic_fetch_add(&good, 1);
    scopekey_aead_free(&aead);
    atomic_fetch_add(&over, 1);
}

static void
done(void *arg, struct scopekey_request *request)
{
    (void)arg;
    check(scopekey_request_take_aead(request));
    scopekey_request_free(&request);
}

static void *
block(void *arg)
{
    size_t wrapped_len = 0;
    size_t context_len = 0;
    struct scopekey_aead *aead = NULL;
    const uint8_t *wrapped = scopekey_material_wrapped(material, &wrapped_len);
    const uint8_t *context = scopekey_material_context(material, &context_len);
    (void)arg;
    if (scopekey_decryption_keys_for(sk, subject, wrapped, wrapped_len, context, context_len, NULL, &aead, NULL) ==
        SCOPEKEY_OK)
        check(aead);
    return NULL;
}

static long
shared(void)
{
    static const char name[] = "\nscopekey_dek_cache_shared_total ";
    char *text = NULL;
    long n = 0;
    if (scopekey_metrics_format(&text, NULL, NULL) == SCOPEKEY_OK && strstr(text, name) != NULL)
        n = strtol(strstr(text, name) + sizeof name - 1, NULL, 10);
    scopekey_free(text);
    return n;
}

int
main(int argc, char **argv)
{
    struct scopekey_error *error = scopekey_error_new();
    pthread_t thread[THREADS];
    size_t wrapped_len = 0;
    size_t context_len = 0;
    if (argc != 4)
        return 2;
    subject = argv[1];
    int count = atoi(argv[2]);
    pid_t server = (pid_t)atoi(argv[3]);
    if (scopekey_open(NULL, &sk, error) != SCOPEKEY_OK || scopekey_subject_ensure(sk, subject, NULL, error) != SCOPEKEY_OK ||
        scopekey_encryption_keys_for(sk, subject, NULL, &material, error) != SCOPEKEY_OK) {
        printf("%s\n", scopekey_error_message(error));
        return 1;
    }
    const uint8_t *wrapped = scopekey_material_wrapped(material, &wrapped_len);
    const uint8_t *context = scopekey_material_context(material, &context_len);
    if (kill(server, SIGSTOP) != 0)
        return 1;
    for (int i = 0; i < count; i++) {
        struct scopekey_request *request = NULL;
        if (scopekey_decryption_keys_for_async(sk, subject, wrapped, wrapped_len, context, context_len, NULL, done, NULL,
                                               &request, error) != SCOPEKEY_OK)
            printf("%s\n", scopekey_error_message(error));
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_create(&thread[i], NULL, block, NULL);
    while (shared() < count + THREADS - 1)
        (void)usleep(2000);
    (void)kill(server, SIGCONT);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(thread[i], NULL);
    while (atomic_load(&over) < count + THREADS)
        (void)usleep(1000);
    printf("%d of %d\n", atomic_load(&good), count + THREADS);
    scopekey_material_free(&material);
    scopekey_close(&sk);
    scopekey_error_free(&error);
    return 0;
}
