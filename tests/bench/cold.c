/* SPDX-License-Identifier: MIT */
/* cold-use: find, KEK, seal, unwrap, decrypt and drop, against C_UnwrapKey, one decryption and C_DestroyObject. */
#include "tests/bench/bench.h"
#include "tests/lib/spy.h"

#include "lib/service/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECTS 20
#define ROUNDS 7
#define PASSES 5

/* A wrapped key of the raw side, made once per process. */
struct raw_key {
    struct bench_raw raw;
    CK_OBJECT_HANDLE master;
    CK_BYTE blob[64];
    CK_ULONG blob_len;
    CK_BYTE nonce[12];
    CK_BYTE sealed[48];
};

static void
cold_uri(int i, char uri[96])
{
    (void)snprintf(uri, 96, "scopekey:subject/cold-%d/data", i);
}

static void
use_once(struct sck_service *service, int i, const uint8_t nonce[12], const uint8_t sealed[48])
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info info;
    struct sck_ukey *key = NULL;
    uint8_t plain[32];
    char text[96];
    cold_uri(i, text);
    struct sck_uri uri = bench_uri(text);
    bench_ok(sck_key_find(service, &uri, &info, &err), text, &err);
    bench_ok(sck_ukey_open(service, &info, &key, &err), text, &err);
    bench_ok(sck_ukey_gcm_open(key, nonce, NULL, 0, sealed, 48, plain, &err), text, &err);
    sck_ukey_unref(&key);
    sck_ukey_cache_drop(service->engine, 0);
}

/* Make the keys and one message under each. */
static void
prepare(void *arg, double *out)
{
    struct sck_service *service = bench_home_open(arg);
    char path[620];
    (void)out;
    (void)snprintf(path, sizeof path, "%s.messages", (const char *)arg);
    FILE *f = fopen(path, "w");
    if (f == NULL)
        bench_die(path, "cannot be written");
    for (int i = 0; i <= SUBJECTS; i++) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_ukey *key = NULL;
        uint8_t message[60];
        const uint8_t plain[32] = {0};
        char uri[96];
        cold_uri(i, uri);
        struct sck_key_info info = bench_key(service, uri, SCK_ALG_AES_256, 0);
        bench_ok(sck_ukey_open(service, &info, &key, &err), uri, &err);
        bench_ok(sck_ukey_gcm_seal(key, message, NULL, 0, plain, 32, message + 12, &err), uri, &err);
        sck_ukey_unref(&key);
        if (fwrite(message, sizeof message, 1, f) != 1)
            bench_die(path, "cannot be written");
    }
    (void)fclose(f);
}

static void
read_messages(const char *dir, uint8_t messages[SUBJECTS + 1][60])
{
    char path[620];
    (void)snprintf(path, sizeof path, "%s.messages", dir);
    FILE *f = fopen(path, "r");
    if (f == NULL || fread(messages, 60, SUBJECTS + 1, f) != SUBJECTS + 1)
        bench_die(path, "cannot be read");
    (void)fclose(f);
}

static void
raw_key_make(struct raw_key *k, const char *module)
{
    CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
    CK_MECHANISM wrap = {CKM_AES_KEY_WRAP_PAD, NULL, 0};
    CK_GCM_PARAMS gcm = {k->nonce, 12, 96, NULL, 0, 128};
    CK_MECHANISM seal = {CKM_AES_GCM, &gcm, sizeof gcm};
    CK_OBJECT_HANDLE key = 0;
    CK_ULONG len = 32;
    CK_ULONG sealed_len = sizeof k->sealed;
    CK_BYTE plain[32] = {0};
    CK_BBOOL yes = CK_TRUE;
    /* A token object, as masters are: SoftHSM looks at its file each time. */
    CK_ATTRIBUTE master[] = {{CKA_TOKEN, &yes, 1},
                             {CKA_PRIVATE, &yes, 1},
                             {CKA_WRAP, &yes, 1},
                             {CKA_UNWRAP, &yes, 1},
                             {CKA_VALUE_LEN, &len, sizeof len}};
    CK_ATTRIBUTE data[] = {{CKA_EXTRACTABLE, &yes, 1}, {CKA_ENCRYPT, &yes, 1}, {CKA_VALUE_LEN, &len, sizeof len}};
    bench_raw_open(&k->raw, module);
    k->blob_len = sizeof k->blob;
    CK_FUNCTION_LIST *f = k->raw.fns;
    CK_SESSION_HANDLE s = k->raw.session;
    if (f->C_GenerateKey(s, &generate, master, 5, &k->master) != CKR_OK ||
        f->C_GenerateKey(s, &generate, data, 3, &key) != CKR_OK ||
        f->C_WrapKey(s, &wrap, k->master, key, k->blob, &k->blob_len) != CKR_OK ||
        f->C_EncryptInit(s, &seal, key) != CKR_OK ||
        f->C_Encrypt(s, plain, sizeof plain, k->sealed, &sealed_len) != CKR_OK ||
        f->C_DestroyObject(s, key) != CKR_OK)
        bench_die("raw key", "cannot be made");
}

static void
raw_once(struct raw_key *k)
{
    CK_MECHANISM wrap = {CKM_AES_KEY_WRAP_PAD, NULL, 0};
    CK_GCM_PARAMS gcm = {k->nonce, 12, 96, NULL, 0, 128};
    CK_MECHANISM seal = {CKM_AES_GCM, &gcm, sizeof gcm};
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE attrs[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
                            {CKA_TOKEN, &no, 1},               {CKA_PRIVATE, &yes, 1},
                            {CKA_SENSITIVE, &yes, 1},          {CKA_EXTRACTABLE, &no, 1},
                            {CKA_DECRYPT, &yes, 1}};
    CK_OBJECT_HANDLE key = 0;
    CK_BYTE plain[64];
    CK_ULONG len = sizeof plain;
    CK_FUNCTION_LIST *f = k->raw.fns;
    CK_SESSION_HANDLE s = k->raw.session;
    if (f->C_UnwrapKey(s, &wrap, k->master, k->blob, k->blob_len, attrs, 7, &key) != CKR_OK ||
        f->C_DecryptInit(s, &seal, key) != CKR_OK ||
        f->C_Decrypt(s, k->sealed, sizeof k->sealed, plain, &len) != CKR_OK || f->C_DestroyObject(s, key) != CKR_OK)
        bench_die("raw key", "cannot be used");
}

/* out: KEK not cached, KEK cached, raw: microseconds, medians over uses; and the processor's time cached to raw. */
static void
cold_round(void *arg, double *out)
{
    uint8_t messages[SUBJECTS + 1][60];
    double fresh[SUBJECTS];
    double cached[PASSES * SUBJECTS];
    double raw[PASSES * SUBJECTS];
    double cpu[2] = {0, 0};
    struct raw_key key = {.nonce = {1}};
    struct sck_service *service = bench_home_open(arg);
    read_messages(arg, messages);
    /* Login, token and catalog are opened by one use that does not count. */
    use_once(service, SUBJECTS, messages[SUBJECTS], messages[SUBJECTS] + 12);
    raw_key_make(&key, sck_service_conf(service)->module);
    for (int i = 0; i < SUBJECTS; i++) {
        double start = bench_now_us();
        use_once(service, i, messages[i], messages[i] + 12);
        fresh[i] = bench_now_us() - start;
    }
    for (int i = 0; i < PASSES * SUBJECTS; i++) {
        double cpu_start = bench_cpu_us();
        double start = bench_now_us();
        raw_once(&key);
        raw[i] = bench_now_us() - start;
        cpu[1] += bench_cpu_us() - cpu_start;
        cpu_start = bench_cpu_us();
        start = bench_now_us();
        use_once(service, i % SUBJECTS, messages[i % SUBJECTS], messages[i % SUBJECTS] + 12);
        cached[i] = bench_now_us() - start;
        cpu[0] += bench_cpu_us() - cpu_start;
    }
    (void)key.raw.fns->C_DestroyObject(key.raw.session, key.master);
    out[0] = bench_median(fresh, SUBJECTS);
    out[1] = bench_median(cached, PASSES * SUBJECTS);
    out[2] = bench_median(raw, PASSES * SUBJECTS);
    out[3] = cpu[0] / cpu[1];
}

/* out: token calls per use, KEK not cached and cached. */
static void
count_calls(void *arg, double *out)
{
    uint8_t messages[SUBJECTS + 1][60];
    char file[620];
    (void)snprintf(file, sizeof file, "%s.counts", (const char *)arg);
    (void)setenv("SPY_MODULE", "/usr/lib/softhsm/libsofthsm2.so", 0);
    (void)setenv("SPY_COUNTS", file, 1);
    struct spy_counts *counts = spy_counts_map(file);
    if (counts == NULL)
        bench_die(file, "cannot be mapped");
    bench_home_make(arg, bench_dirs.spy);
    prepare(arg, out);
    read_messages(arg, messages);
    struct sck_service *service = bench_home_open(arg);
    use_once(service, SUBJECTS, messages[SUBJECTS], messages[SUBJECTS] + 12);
    for (int pass = 0; pass < 2; pass++) {
        spy_reset(counts);
        for (int i = 0; i < SUBJECTS; i++)
            use_once(service, i, messages[i], messages[i] + 12);
        out[pass] = (double)spy_total(counts) / SUBJECTS;
    }
}

void
bench_cold(void)
{
    char dir[600];
    char spied[600];
    double values[4][ROUNDS];
    double calls[2];
    (void)snprintf(dir, sizeof dir, "%s/plain", bench_dirs.work);
    (void)snprintf(spied, sizeof spied, "%s/cold-spied", bench_dirs.work);
    bench_home_make(dir, NULL);
    bench_in_child(prepare, dir, NULL, 0);
    for (size_t round = 0; round < ROUNDS; round++) {
        double out[4];
        bench_in_child(cold_round, dir, out, 4);
        for (size_t i = 0; i < 4; i++)
            values[i][round] = out[i];
    }
    double fresh = bench_median(values[0], ROUNDS);
    double cached = bench_median(values[1], ROUNDS);
    double raw = bench_median(values[2], ROUNDS);
    bench_in_child(count_calls, spied, calls, 2);
    bench_print("cold-use/kek-cached", cached, raw, "us", cached / raw, "<= 2 x raw", cached <= 2 * raw);
    bench_print("cold-use/kek-not-cached", fresh, raw, "us", fresh / raw, "<= 3 x raw", fresh <= 3 * raw);
    bench_print("cold-use/token-calls", calls[1], 6, "calls", -1, "<= 6 with the KEK cached", calls[1] <= 6);
    bench_note("by time of the processor %.2f x raw with the KEK cached; token calls when it is not: %.1f",
               bench_median(values[3], ROUNDS), calls[0]);
}
