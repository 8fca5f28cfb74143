/* SPDX-License-Identifier: MIT */
/* file-encrypt and file-decrypt, 64 MiB: our call in a process that is logged in, against cp and age. */
#include "tests/bench/bench.h"

#include "lib/base/crypto.h"
#include "lib/service/filecrypt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB 64

struct job {
    struct sck_service *service;
    const char *dir;
    bool sync;
};

static const char *
name_in(const struct job *job, const char *name)
{
    static char names[6][640];
    static unsigned turn;
    char *at = names[turn++ % 6];
    (void)snprintf(at, sizeof names[0], "%s/%s", job->dir, name);
    return at;
}

static double
ours(const struct job *job, bool encrypting, const char *in, const char *out)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_file_info info;
    const struct sck_file_io io = {.in = name_in(job, in), .out = name_in(job, out), .sync = job->sync};
    const struct sck_encrypt_opts forth = {.io = io};
    const struct sck_decrypt_opts back = {.io = io};
    (void)unlink(io.out);
    double start = bench_now_us();
    bench_ok(encrypting ? sck_file_encrypt(job->service, &forth, &info, &err)
                        : sck_file_decrypt(job->service, &back, &info, &err),
             in, &err);
    return (bench_now_us() - start) / 1000;
}

static double
round_encrypt(void *arg)
{
    return ours(arg, true, "plain", "sealed");
}

static double
round_decrypt(void *arg)
{
    return ours(arg, false, "sealed", "opened");
}

static double
shell(const struct job *job, const char *out, const char *command)
{
    const char *const argv[] = {"sh", "-c", command, NULL};
    (void)unlink(name_in(job, out));
    return bench_run(argv, NULL) / 1000;
}

static double
round_cp(void *arg)
{
    char command[2048];
    const struct job *job = arg;
    const char *copy = name_in(job, "copy");
    (void)snprintf(command, sizeof command, "cp --reflink=never '%s' '%s'%s%s%s", name_in(job, "plain"), copy,
                   job->sync ? " && sync '" : "", job->sync ? copy : "", job->sync ? "'" : "");
    return shell(job, "copy", command);
}

static double
round_age_encrypt(void *arg)
{
    char command[2048];
    const struct job *job = arg;
    const char *out = name_in(job, "aged");
    (void)snprintf(command, sizeof command, "age -R '%s' -o '%s' '%s'%s%s%s", name_in(job, "age.pub"), out,
                   name_in(job, "plain"), job->sync ? " && sync '" : "", job->sync ? out : "", job->sync ? "'" : "");
    return shell(job, "aged", command);
}

static double
round_age_decrypt(void *arg)
{
    char command[2048];
    const struct job *job = arg;
    const char *out = name_in(job, "unaged");
    (void)snprintf(command, sizeof command, "age -d -i '%s' -o '%s' '%s'%s%s%s", name_in(job, "age.key"), out,
                   name_in(job, "aged"), job->sync ? " && sync '" : "", job->sync ? out : "", job->sync ? "'" : "");
    return shell(job, "unaged", command);
}

static void
make_input(const struct job *job)
{
    static uint8_t block[1 << 20];
    struct sck_err err = SCK_ERR_INIT;
    int fd = open(name_in(job, "plain"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; fd >= 0 && i < MIB; i++) {
        bench_ok(sck_random(block, sizeof block, &err), "random", &err);
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block)
            bench_die("input", strerror(errno));
    }
    if (fd < 0)
        bench_die("input", strerror(errno));
    (void)close(fd);
}

static void
print_rows(const char *where, const char *verb, struct bench_side *sides, bool has_age, double target)
{
    char name[64];
    char text[64];
    double ratio = sides[1].median / sides[0].median;
    (void)snprintf(name, sizeof name, "file-%s/%s", verb, where);
    (void)snprintf(text, sizeof text, ">= %.2f of cp's speed", target);
    bench_print(name, sides[0].median, sides[1].median, "ms", ratio, text, ratio >= target);
    (void)snprintf(name, sizeof name, "file-%s/%s/age", verb, where);
    if (!has_age) {
        bench_print(name, sides[0].median, -1, "ms", -1, ">= 2.5 x age", BENCH_NOT_MEASURED);
        return;
    }
    ratio = sides[2].median / sides[0].median;
    bench_print(name, sides[0].median, sides[2].median, "ms", ratio, ">= 2.5 x age", ratio >= 2.5);
}

static void
measure(struct job *job, const char *where, double target)
{
    char command[2048];
    bool has_age = bench_has("age") && bench_has("age-keygen");
    struct bench_side forth[] = {{.fn = round_encrypt, .arg = job}, {.fn = round_cp, .arg = job},
                                 {.fn = round_age_encrypt, .arg = job}};
    struct bench_side back[] = {{.fn = round_decrypt, .arg = job}, {.fn = round_cp, .arg = job},
                                {.fn = round_age_decrypt, .arg = job}};
    make_input(job);
    if (has_age) {
        (void)snprintf(command, sizeof command, "age-keygen -o '%s' 2>/dev/null && age-keygen -y '%s' >'%s'",
                       name_in(job, "age.key"), name_in(job, "age.key"), name_in(job, "age.pub"));
        (void)shell(job, "age.key", command);
    }
    bench_alternate(forth, has_age ? 3 : 2, 7);
    bench_alternate(back, has_age ? 3 : 2, 7);
    print_rows(where, "encrypt", forth, has_age, target);
    print_rows(where, "decrypt", back, has_age, target);
}

void
bench_file(void)
{
    char dir[600];
    char memory[64] = "/dev/shm/scopekey-bench-XXXXXX";
    struct job job = {.sync = true};
    (void)snprintf(dir, sizeof dir, "%s/plain", bench_dirs.work);
    bench_home_make(dir, NULL);
    job.service = bench_home_open(dir);
    job.dir = mkdtemp(memory);
    if (job.dir == NULL) {
        bench_print("file-encrypt/memory", -1, -1, "ms", -1, ">= 0.80 of cp's speed", BENCH_NOT_MEASURED);
    } else {
        const char *const clean[] = {"rm", "-rf", memory, NULL};
        job.sync = false;
        measure(&job, "memory", 0.8);
        (void)bench_run(clean, NULL);
    }
    (void)snprintf(dir, sizeof dir, "%s/files", bench_dirs.work);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        bench_die(dir, strerror(errno));
    job.dir = dir;
    job.sync = true;
    measure(&job, "disk", 0.85);
    sck_service_close(&job.service);
}
