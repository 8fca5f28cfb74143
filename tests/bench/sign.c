/* SPDX-License-Identifier: MIT */
/* sign-*: EVP_DigestSign with a loaded key against C_SignInit and C_Sign with the same handle. */
#include "tests/bench/evp.h"

#include "lib/service/use.h"
#include "lib/token/key.h"

#include <pthread.h>
#include <string.h>

#define THREADS_MAX 2

struct kind {
    const char *name;
    const char *uri;
    enum sck_alg alg;
    const char *digest;
    CK_MECHANISM_TYPE mechanism;
    size_t in_len;              /* what the raw call signs */
    size_t count;               /* signatures per round and thread */
    bool counts_evp;            /* the target allows for EVP's own cost */
};

struct job {
    const struct kind *kind;
    size_t threads;
    OSSL_LIB_CTX *ctx;
    EVP_PKEY *key;
    OSSL_LIB_CTX *null_ctx;
    EVP_PKEY *null_key;
    struct bench_raw raw[THREADS_MAX];
    CK_OBJECT_HANDLE handle;
    double cpu_us;              /* of the processor, over all rounds */
    double signatures;
};

#define COUNT_MAX 100

struct share {
    struct job *job;
    size_t number;
    void (*one)(struct job *job, size_t number);
    double *each;
};

static void
sign_evp(struct job *job, size_t number)
{
    (void)number;
    bench_evp_sign(job->ctx, job->key, job->kind->digest);
}

static void
sign_raw(struct job *job, size_t number)
{
    static CK_BYTE data[64];
    CK_BYTE sig[512];
    CK_ULONG len = sizeof sig;
    CK_MECHANISM how = {job->kind->mechanism, NULL, 0};
    const struct bench_raw *raw = &job->raw[number];
    if (raw->fns->C_SignInit(raw->session, &how, job->handle) != CKR_OK ||
        raw->fns->C_Sign(raw->session, data, job->kind->in_len, sig, &len) != CKR_OK)
        bench_die(job->kind->name, "the raw signature failed");
}

/* EVP around a signer that does nothing, and a raw signature: in turn, so that neither has the caches for itself. */
static void
sign_nothing_and_raw(struct job *job, size_t number)
{
    bench_evp_sign(job->null_ctx, job->null_key, job->kind->digest);
    sign_raw(job, number);
}

static void *
run_share(void *arg)
{
    struct share *share = arg;
    for (size_t i = 0; i < share->job->kind->count; i++) {
        double start = bench_now_us();
        share->one(share->job, share->number);
        share->each[i] = bench_now_us() - start;
    }
    return NULL;
}

/* Microseconds of a signature, the median over all threads: one that others interrupted does not count. */
static double
run_job(struct job *job, void (*one)(struct job *, size_t))
{
    pthread_t threads[THREADS_MAX];
    struct share shares[THREADS_MAX];
    double each[THREADS_MAX * COUNT_MAX];
    double cpu = bench_cpu_us();
    for (size_t i = 0; i < job->threads; i++) {
        shares[i] = (struct share){job, i, one, each + i * job->kind->count};
        if (pthread_create(&threads[i], NULL, run_share, &shares[i]) != 0)
            bench_die("pthread_create", "failed");
    }
    for (size_t i = 0; i < job->threads; i++)
        (void)pthread_join(threads[i], NULL);
    job->cpu_us += bench_cpu_us() - cpu;
    job->signatures += (double)(job->kind->count * job->threads);
    return bench_median(each, job->kind->count * job->threads);
}

static double
cpu_each(const struct job *job)
{
    return job->cpu_us / job->signatures;
}

static double
round_evp(void *arg)
{
    return run_job(arg, sign_evp);
}

static double
round_raw(void *arg)
{
    return run_job(arg, sign_raw);
}

static double
round_nothing_and_raw(void *arg)
{
    return run_job(arg, sign_nothing_and_raw);
}

static void
measure(const struct kind *kind, size_t threads, struct sck_service *service, OSSL_LIB_CTX *ctx,
        OSSL_LIB_CTX *null_ctx)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_ukey *ukey = NULL;
    char name[64];
    struct sck_key_info info = bench_key(service, kind->uri, kind->alg, 0);
    struct job job = {.kind = kind, .threads = threads, .ctx = ctx};
    bench_ok(sck_ukey_open(service, &info, &ukey, &err), kind->uri, &err);
    job.key = bench_evp_load(ctx, kind->uri);
    sign_evp(&job, 0);
    job.handle = ukey->tkey->handle;
    for (size_t i = 0; i < threads; i++)
        bench_raw_open(&job.raw[i], sck_service_conf(service)->module);
    job.null_ctx = null_ctx;
    job.null_key = bench_evp_null_key(null_ctx);
    struct job both = job;
    struct job raw = job;
    struct bench_side sides[] = {{.fn = round_evp, .arg = &job}, {.fn = round_raw, .arg = &raw},
                                 {.fn = round_nothing_and_raw, .arg = &both}};
    bench_alternate(sides, 3, 41);
    double reference = sides[kind->counts_evp ? 2 : 1].median;
    double ratio = reference / sides[0].median;
    (void)snprintf(name, sizeof name, "%s/%zu", kind->name, threads);
    bench_print(name, sides[0].median, reference, "us", ratio,
                kind->counts_evp ? ">= 0.98 of raw + EVP's own" : ">= 0.98 of raw", ratio >= 0.98);
    double cpu = cpu_each(kind->counts_evp ? &both : &raw);
    bench_note("raw %.2f us, with a signer that does nothing %.2f us; processor %.2f to %.2f us, ratio %.3f",
               sides[1].median, sides[2].median, cpu_each(&job), cpu, cpu / cpu_each(&job));
    for (size_t i = 0; i < threads; i++)
        (void)job.raw[i].fns->C_CloseSession(job.raw[i].session);
    sck_ukey_unref(&ukey);
    EVP_PKEY_free(job.key);
    EVP_PKEY_free(job.null_key);
}

void
bench_sign(void)
{
    static const struct kind kinds[] = {
        {"sign-p256", "scopekey:subject/bench/p256", SCK_ALG_EC_P256, "SHA256", CKM_ECDSA, 32, 100, true},
        {"sign-rsa2048", "scopekey:subject/bench/rsa", SCK_ALG_RSA_2048, "SHA256", CKM_RSA_PKCS, 51, 10, false},
        {"sign-ed25519", "scopekey:subject/bench/ed", SCK_ALG_ED25519, NULL, CKM_EDDSA, 32, 20, true}};
    char dir[600];
    (void)snprintf(dir, sizeof dir, "%s/plain", bench_dirs.work);
    bench_home_make(dir, NULL);
    struct sck_service *service = bench_home_open(dir);
    OSSL_LIB_CTX *ctx = bench_evp_context(dir);
    OSSL_LIB_CTX *null_ctx = bench_evp_null_context();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (size_t threads = 1; threads <= THREADS_MAX; threads++)
            measure(&kinds[i], threads, service, ctx, null_ctx);
    }
    OSSL_LIB_CTX_free(null_ctx);
    OSSL_LIB_CTX_free(ctx);
    sck_service_close(&service);
}
