/* SPDX-License-Identifier: MIT */
/*
 * For secret_flow.sh, under valgrind: secrets are marked undefined, so that memcheck reports every branch and every address
 * that depends on them.  Only verdicts are let out: what CRYPTO_memcmp() says, which OpenSSL computes in constant time.
 * `secret_flow branch` branches on a secret, to show that it would be seen.
 */
#include "lib/core/context.h"
#include "lib/core/message.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

/* Ours is found first.  The real one computes on the secret bytes; its verdict is public from here on. */
int
CRYPTO_memcmp(const void *a, const void *b, size_t len)
{
    static int (*real)(const void *, const void *, size_t);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "CRYPTO_memcmp");
    int verdict = real(a, b, len);
    (void)VALGRIND_MAKE_MEM_DEFINED(&verdict, sizeof verdict);
    return verdict;
}

static int failures;

static void
expect(const char *what, enum sck_code got, enum sck_code want)
{
    if (got == want)
        return;
    printf("%s: %s\n", what, sck_code_name(got));
    failures++;
}

static void
hide(void *data, size_t len)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(data, len);
}

/* One payload for each way in which it may be right or wrong. */
static void
payloads(void)
{
    static const int flips[] = {-1, 0, 7, 40, 55, 71};
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        uint8_t dek[SCK_DEK_LEN];
        uint8_t hash[SCK_SHA256_LEN];
        uint8_t payload[SCK_PAYLOAD_LEN];
        struct sck_secret *opened = NULL;
        struct sck_err err = SCK_ERR_INIT;
        memset(dek, 7, sizeof dek);
        memset(hash, 9, sizeof hash);
        hide(dek, sizeof dek);
        sck_payload_encode(dek, hash, payload);
        if (flips[i] >= 0)
            payload[flips[i]] ^= 1;
        hide(payload, sizeof payload);
        enum sck_code want = flips[i] < 0 ? SCK_OK : flips[i] < 8 ? SCK_E_AUTHENTIC : SCK_E_CONTEXT;
        expect("payload", sck_payload_decode(payload, sizeof payload, hash, &opened, &err), want);
        sck_secret_free(&opened);
    }
}

/* A seal under a hidden DEK, opened as it is, with another aad, and with its salt and its commitment changed. */
static void
seals(void)
{
    static const uint8_t aad[] = "a context";
    static const int flips[] = {-1, 5, 40};
    uint8_t salt[SCK_SEAL_SALT_LEN] = {1};
    struct sck_secret *dek = NULL;
    struct sck_buf sealed;
    struct sck_err err = SCK_ERR_INIT;
    sck_buf_init(&sealed, 4096);
    expect("secret", sck_secret_new(SCK_DEK_LEN, &dek, &err), SCK_OK);
    hide(dek->data, dek->len);
    expect("seal", sck_seal(dek, salt, aad, sizeof aad, (const uint8_t *)"plaintext", 9, &sealed, &err), SCK_OK);
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        struct sck_secret *plain = NULL;
        struct sck_err why = SCK_ERR_INIT;
        if (flips[i] >= 0)
            sealed.data[flips[i]] ^= 1;
        expect("open", sck_seal_open(dek, aad, sizeof aad, sealed.data, sealed.len, &plain, &why),
               flips[i] < 0 ? SCK_OK : SCK_E_AUTHENTIC);
        if (flips[i] >= 0)
            sealed.data[flips[i]] ^= 1;
        sck_secret_free(&plain);
    }
    struct sck_secret *plain = NULL;
    expect("open with another aad", sck_seal_open(dek, aad, sizeof aad - 2, sealed.data, sealed.len, &plain, &err),
           SCK_E_AUTHENTIC);
    sck_buf_clear(&sealed);
    sck_secret_free(&dek);
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "branch") == 0) {
        volatile uint8_t secret = 1;
        hide((void *)(uintptr_t)&secret, 1);
        return secret == 2 ? 1 : 0;
    }
    payloads();
    seals();
    printf("failures: %d\n", failures);
    return failures == 0 ? 0 : 1;
}
