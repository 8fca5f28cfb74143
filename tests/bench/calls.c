/* SPDX-License-Identifier: MIT */
/* token-calls: PKCS#11 calls per operation, counted by the spy module. */
#include "tests/bench/evp.h"
#include "tests/lib/spy.h"

#include "lib/service/use.h"

#include <stdlib.h>

#define TIMES 100

static void
print(const char *name, const struct spy_counts *counts, double most)
{
    double each = (double)spy_total(counts) / TIMES;
    char target[32];
    (void)snprintf(target, sizeof target, "<= %.0f", most);
    bench_print(name, each, most, "calls", -1, target, each <= most);
}

static void
count_decrypts(struct sck_service *service, struct spy_counts *counts)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_ukey *aes = NULL;
    struct sck_ukey *rsa = NULL;
    uint8_t nonce[12];
    uint8_t sealed[48];
    uint8_t plain[32] = {0};
    uint8_t block[256] = {1};
    struct sck_key_info aes_info = bench_key(service, "scopekey:subject/bench/aes", SCK_ALG_AES_256, 0);
    struct sck_key_info rsa_info =
        bench_key(service, "scopekey:subject/bench/dec", SCK_ALG_RSA_2048, SCK_USAGE_DECRYPT);
    bench_ok(sck_ukey_open(service, &aes_info, &aes, &err), "aes", &err);
    bench_ok(sck_ukey_open(service, &rsa_info, &rsa, &err), "rsa", &err);
    bench_ok(sck_ukey_gcm_seal(aes, nonce, NULL, 0, plain, sizeof plain, sealed, &err), "seal", &err);
    spy_reset(counts);
    for (int i = 0; i < TIMES; i++)
        bench_ok(sck_ukey_gcm_open(aes, nonce, NULL, 0, sealed, sizeof sealed, plain, &err), "open", &err);
    print("token-calls-gcm-decrypt", counts, 2);
    spy_reset(counts);
    for (int i = 0; i < TIMES; i++) {
        /* Wrong padding: the calls are the same. */
        struct sck_secret *out = NULL;
        struct sck_err bad = SCK_ERR_INIT;
        (void)!sck_ukey_rsa_decrypt(rsa, SCK_RSA_PKCS1, NULL, block, sizeof block, &out, &bad);
        sck_secret_free(&out);
    }
    print("token-calls-rsa-decrypt", counts, 2);
    sck_ukey_unref(&aes);
    sck_ukey_unref(&rsa);
}

void
bench_calls(void)
{
    static const struct {
        const char *name;
        const char *uri;
        enum sck_alg alg;
        const char *digest;
    } kinds[] = {{"token-calls-sign-p256", "scopekey:subject/bench/p256", SCK_ALG_EC_P256, "SHA256"},
                 {"token-calls-sign-rsa2048", "scopekey:subject/bench/rsa", SCK_ALG_RSA_2048, "SHA256"},
                 {"token-calls-sign-ed25519", "scopekey:subject/bench/ed", SCK_ALG_ED25519, NULL}};
    char dir[600];
    char file[620];
    (void)snprintf(dir, sizeof dir, "%s/spied", bench_dirs.work);
    (void)snprintf(file, sizeof file, "%s.counts", dir);
    (void)setenv("SPY_MODULE", "/usr/lib/softhsm/libsofthsm2.so", 0);
    (void)setenv("SPY_COUNTS", file, 1);
    struct spy_counts *counts = spy_counts_map(file);
    if (counts == NULL)
        bench_die(file, "cannot be mapped");
    bench_home_make(dir, bench_dirs.spy);
    struct sck_service *service = bench_home_open(dir);
    OSSL_LIB_CTX *ctx = bench_evp_context(dir);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        (void)bench_key(service, kinds[i].uri, kinds[i].alg, 0);
        EVP_PKEY *key = bench_evp_load(ctx, kinds[i].uri);
        bench_evp_sign(ctx, key, kinds[i].digest);
        spy_reset(counts);
        for (int n = 0; n < TIMES; n++)
            bench_evp_sign(ctx, key, kinds[i].digest);
        print(kinds[i].name, counts, 2);
        EVP_PKEY_free(key);
    }
    spy_reset(counts);
    for (int n = 0; n < TIMES; n++)
        EVP_PKEY_free(bench_evp_load(ctx, kinds[0].uri));
    print("token-calls-warm-load", counts, 1);
    count_decrypts(service, counts);
    OSSL_LIB_CTX_free(ctx);
    sck_service_close(&service);
}
