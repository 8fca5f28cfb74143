/* SPDX-License-Identifier: MIT */
/* create-key: a new wrapped AES key, durable, against a token object of SoftHSM and one fsync. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMES 21

struct job {
    struct sck_service *service;
    struct bench_raw raw;
    int fd;
};

static double
round_ours(void *arg)
{
    struct job *job = arg;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info info;
    const struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    struct sck_uri uri = bench_uri("scopekey:subject/bench");
    double each[TIMES];
    for (int i = 0; i < TIMES; i++) {
        double start = bench_now_us();
        bench_ok(sck_key_create(job->service, &uri.scope, "", &spec, &info, &err), "create", &err);
        each[i] = bench_now_us() - start;
    }
    return bench_median(each, TIMES);
}

static double
round_token_object(void *arg)
{
    struct job *job = arg;
    CK_MECHANISM how = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ULONG len = 32;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_ATTRIBUTE attrs[] = {{CKA_TOKEN, &yes, 1},  {CKA_PRIVATE, &yes, 1},     {CKA_SENSITIVE, &yes, 1},
                            {CKA_ENCRYPT, &yes, 1}, {CKA_EXTRACTABLE, &no, 1}, {CKA_VALUE_LEN, &len, sizeof len}};
    CK_OBJECT_HANDLE made[TIMES];
    double each[TIMES];
    for (int i = 0; i < TIMES; i++) {
        double start = bench_now_us();
        if (job->raw.fns->C_GenerateKey(job->raw.session, &how, attrs, 6, &made[i]) != CKR_OK)
            bench_die("C_GenerateKey", "failed");
        each[i] = bench_now_us() - start;
    }
    for (int i = 0; i < TIMES; i++)
        (void)job->raw.fns->C_DestroyObject(job->raw.session, made[i]);
    return bench_median(each, TIMES);
}

/* What one commit writes, appended and synced as the database does it. */
static double
round_sync(void *arg)
{
    static const char page[16384] = {1};
    struct job *job = arg;
    double each[TIMES];
    for (int i = 0; i < TIMES; i++) {
        double start = bench_now_us();
        if (write(job->fd, page, sizeof page) != (ssize_t)sizeof page || fdatasync(job->fd) != 0)
            bench_die("fdatasync", strerror(errno));
        each[i] = bench_now_us() - start;
    }
    return bench_median(each, TIMES);
}

void
bench_create(void)
{
    char dir[600];
    char file[620];
    struct sck_err err = SCK_ERR_INIT;
    struct job job;
    (void)snprintf(dir, sizeof dir, "%s/plain", bench_dirs.work);
    (void)snprintf(file, sizeof file, "%s/synced", bench_dirs.work);
    bench_home_make(dir, NULL);
    job.service = bench_home_open(dir);
    job.fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (job.fd < 0)
        bench_die(file, strerror(errno));
    bench_ok(sck_service_start(job.service, &err), "start", &err);
    (void)bench_key(job.service, "scopekey:subject/bench/first", SCK_ALG_AES_256, 0);
    bench_raw_open(&job.raw, sck_service_conf(job.service)->module);
    struct bench_side sides[] = {{.fn = round_ours, .arg = &job},
                                 {.fn = round_token_object, .arg = &job},
                                 {.fn = round_sync, .arg = &job}};
    bench_alternate(sides, 3, 7);
    double allowed = 1000 + sides[2].median;
    bench_print("create-key", sides[0].median, sides[1].median, "us", sides[1].median / sides[0].median,
                "<= 1 ms + one fsync", sides[0].median <= allowed);
    bench_note("the reference is a token object of SoftHSM; one append of 16 KiB and fdatasync %.0f us",
               sides[2].median);
    (void)close(job.fd);
    sck_service_close(&job.service);
}
