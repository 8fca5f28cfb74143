/* SPDX-License-Identifier: MIT */
/* bench DIR MODULES SPY: every row of docs/bench.md that BENCH_ROWS names (default: all), one process each. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
struct bench_dirs bench_dirs;

static const struct {
    const char *name;
    void (*run)(void);
} rows[] = {{"sign", bench_sign},     {"token-calls", bench_calls}, {"lookup", bench_lookup},
            {"start", bench_start},   {"create-key", bench_create}, {"cold-use", bench_cold},
            {"coalesce", bench_coalesce}, {"file", bench_file},    {"vault-wrap", bench_vault},
            {"outage", bench_outage}, {"rewrap", bench_rewrap}};

void
bench_die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

void
bench_ok(enum sck_code code, const char *what, const struct sck_err *err)
{
    if (code != SCK_OK)
        bench_die(what, err->message);
}

double
bench_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

double
bench_cpu_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double
bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void
bench_alternate(struct bench_side *sides, size_t count, size_t times)
{
    for (size_t round = 0; round <= times; round++) {
        for (size_t i = 0; i < count; i++) {
            double value = sides[i].fn(sides[i].arg);
            if (round > 0)
                sides[i].rounds[round - 1] = value;
        }
    }
    for (size_t i = 0; i < count; i++)
        sides[i].median = bench_median(sides[i].rounds, times);
}

void
bench_print(const char *name, double ours, double reference, const char *unit, double ratio, const char *target,
            enum bench_verdict verdict)
{
    static const char *const words[] = {"SHORT", "ok", "not measured"};
    char ref[32] = "-";
    char rel[32] = "-";
    if (reference >= 0)
        (void)snprintf(ref, sizeof ref, "%.1f", reference);
    if (ratio >= 0)
        (void)snprintf(rel, sizeof rel, "%.3f", ratio);
    (void)printf("%-26s %12.1f %12s %-8s %8s  %-34s %s\n", name, ours, ref, unit, rel, target, words[verdict]);
    (void)fflush(stdout);
}

void
bench_note(const char *fmt, ...)
{
    va_list ap;
    (void)printf("  # ");
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
    (void)printf("\n");
    (void)fflush(stdout);
}

/* ---- set-ups ---- */

void
bench_home_make(const char *dir, const char *module)
{
    struct sck_err err = SCK_ERR_INIT;
    char home[600];
    char pin[600];
    char conf[620];
    char *path = NULL;
    (void)snprintf(home, sizeof home, "%s/d", dir);
    (void)snprintf(pin, sizeof pin, "%s/pin.txt", dir);
    (void)snprintf(conf, sizeof conf, "%s/scopekey.conf", home);
    if (access(conf, F_OK) == 0)
        return;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        bench_die(dir, strerror(errno));
    int fd = open(pin, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "73512846\n", 9) != 9)
        bench_die(pin, strerror(errno));
    (void)close(fd);
    const struct sck_setup setup = {.home = home, .pin_file = pin, .module = module};
    bench_ok(sck_setup_init(&setup, NULL, NULL, &path, &err), "init", &err);
    free(path);
}

struct sck_service *
bench_home_open(const char *dir)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_service *service = NULL;
    char conf[620];
    (void)snprintf(conf, sizeof conf, "%s/d/scopekey.conf", dir);
    const struct sck_open how = {.conf_path = conf, .auto_provision = true};
    bench_ok(sck_service_open(&how, &service, &err), "open", &err);
    return service;
}

struct sck_uri
bench_uri(const char *text)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_uri uri;
    bench_ok(sck_uri_parse(text, strlen(text), &uri, &err), text, &err);
    return uri;
}

struct sck_key_info
bench_key(struct sck_service *service, const char *text, enum sck_alg alg, enum sck_usage usage)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_info info;
    struct sck_uri uri = bench_uri(text);
    enum sck_code rc = sck_key_find(service, &uri, &info, &err);
    if (rc == SCK_E_NOT_FOUND) {
        const struct sck_key_spec spec = {.alg = alg, .usage = usage};
        sck_err_clear(&err);
        rc = sck_key_create(service, &uri.scope, uri.name, &spec, &info, &err);
    }
    bench_ok(rc, text, &err);
    return info;
}

/* ---- other programs ---- */

double
bench_run(const char *const argv[], long *peak_kib)
{
    posix_spawn_file_actions_t quiet;
    struct rusage usage;
    pid_t pid = 0;
    int status = 0;
    char *args[16] = {NULL};
    for (size_t i = 0; argv[i] != NULL && i < 15; i++)
        args[i] = strdup(argv[i]);
    (void)posix_spawn_file_actions_init(&quiet);
    (void)posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double start = bench_now_us();
    if (posix_spawnp(&pid, args[0], &quiet, NULL, args, environ) != 0 || wait4(pid, &status, 0, &usage) != pid)
        bench_die(argv[0], "cannot be run");
    double took = bench_now_us() - start;
    if (status != 0)
        bench_die(argv[0], "failed");
    (void)posix_spawn_file_actions_destroy(&quiet);
    for (size_t i = 0; args[i] != NULL; i++)
        free(args[i]);
    if (peak_kib != NULL)
        *peak_kib = usage.ru_maxrss;
    return took;
}

bool
bench_has(const char *program)
{
    char command[128];
    (void)snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
    return system(command) == 0;
}

void
bench_in_child(void (*fn)(void *arg, double *out), void *arg, double *out, size_t count)
{
    double values[BENCH_SIDES_MAX] = {0};
    int ends[2];
    int status = 0;
    (void)fflush(NULL);
    if (count > BENCH_SIDES_MAX || pipe(ends) != 0)
        bench_die("child", "no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        fn(arg, values);
        _exit(write(ends[1], values, sizeof values) == (ssize_t)sizeof values ? 0 : 1);
    }
    (void)close(ends[1]);
    bool told = read(ends[0], values, sizeof values) == (ssize_t)sizeof values;
    if (waitpid(pid, &status, 0) != pid || status != 0 || !told)
        bench_die("child", "failed");
    (void)close(ends[0]);
    for (size_t i = 0; i < count; i++)
        out[i] = values[i];
}

/* ---- the rows ---- */

static bool
is_wanted(const char *name)
{
    const char *list = getenv("BENCH_ROWS");
    size_t len = strlen(name);
    if (list == NULL || list[0] == '\0')
        return true;
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += len) {
        bool begins = at == list || at[-1] == ' ' || at[-1] == ',';
        if (begins && (at[len] == '\0' || at[len] == ' ' || at[len] == ','))
            return true;
    }
    return false;
}

static void
set_dirs(char *const argv[])
{
    (void)snprintf(bench_dirs.work, sizeof bench_dirs.work, "%.480s/work", argv[0]);
    (void)snprintf(bench_dirs.cache, sizeof bench_dirs.cache, "%.480s/cache", argv[0]);
    (void)snprintf(bench_dirs.modules, sizeof bench_dirs.modules, "%.500s", argv[1]);
    (void)snprintf(bench_dirs.spy, sizeof bench_dirs.spy, "%.500s", argv[2]);
}

static int
run_all(char *const argv[])
{
    char self[64];
    int failures = 0;
    (void)snprintf(self, sizeof self, "/proc/%ld/exe", (long)getpid());
    const char *const clean[] = {"rm", "-rf", bench_dirs.work, NULL};
    const char *const make[] = {"mkdir", "-p", bench_dirs.work, bench_dirs.cache, NULL};
    (void)bench_run(clean, NULL);
    (void)bench_run(make, NULL);
    (void)printf("%-26s %12s %12s %-8s %8s  %-34s %s\n", "row", "ours", "reference", "unit", "ratio", "target", "");
    (void)fflush(stdout);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!is_wanted(rows[i].name))
            continue;
        double start = bench_now_us();
        pid_t pid = fork();
        if (pid == 0) {
            (void)execl(self, "bench", "--row", rows[i].name, argv[0], argv[1], argv[2], (char *)NULL);
            _exit(127);
        }
        int status = 0;
        if (waitpid(pid, &status, 0) != pid || status != 0) {
            (void)printf("%-26s failed\n", rows[i].name);
            failures++;
        }
        bench_note("%s took %.0f s", rows[i].name, (bench_now_us() - start) / 1e6);
    }
    (void)bench_run(clean, NULL);
    return failures == 0 ? 0 : 1;
}

int
main(int argc, char *argv[])
{
    if (argc == 4 && strcmp(argv[1], "--first-find") == 0)
        return bench_first_find(argv[2], argv[3]);
    if (argc == 6 && strcmp(argv[1], "--row") == 0) {
        set_dirs(argv + 3);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            if (strcmp(rows[i].name, argv[2]) == 0)
                rows[i].run();
        }
        return 0;
    }
    if (argc != 4)
        bench_die("usage", "bench DIRECTORY MODULES SPY");
    set_dirs(argv + 1);
    return run_all(argv + 1);
}
