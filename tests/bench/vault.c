/* SPDX-License-Identifier: MIT */
/* vault-wrap: wrapping and unwrapping DEKs at a real OpenBao, against plain libcurl that sends the same requests. */
#include "tests/bench/vault.h"
#include "tests/bench/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 11

/* A side in a process of its own: our libcurl wipes what it frees, plain libcurl does not. */
struct worker {
    bench_fn fn;
    void *arg;
    pid_t pid;
    int to, from;
    double cpu[BENCH_ROUNDS_MAX];
    size_t rounds;
};

static struct {
    pid_t pid;
    int input;
    char url[128], token_file[600], plugin[600];
} server;

static void
server_start(void)
{
    char dir[560], script[600];
    int in[2], out[2];
    (void)snprintf(dir, sizeof dir, "%s/openbao", bench_dirs.work);
    (void)snprintf(script, sizeof script, "%s/tests/bench/openbao.sh", BENCH_SRCDIR);
    (void)snprintf(server.token_file, sizeof server.token_file, "%s/data.tok", dir);
    (void)snprintf(server.plugin, sizeof server.plugin, "%s/../vault/.libs/keeper-http.so", bench_dirs.modules);
    if (pipe(in) != 0 || pipe(out) != 0)
        bench_die("pipe", "failed");
    server.pid = fork();
    if (server.pid == 0) {
        (void)dup2(in[0], 0);
        (void)dup2(out[1], 1);
        for (int fd = 3; fd < 64; fd++)
            (void)close(fd);
        (void)execlp("bash", "bash", script, dir, (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    server.input = in[1];
    FILE *f = fdopen(out[0], "r");
    if (f == NULL || fgets(server.url, sizeof server.url, f) == NULL)
        bench_die("openbao", "does not start");
    (void)fclose(f);
    server.url[strcspn(server.url, "\n")] = '\0';
}

static void
server_stop(void)
{
    (void)close(server.input);
    (void)waitpid(server.pid, NULL, 0);
}

static void
worker_start(struct worker *w)
{
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0)
        bench_die("pipe", "failed");
    w->pid = fork();
    if (w->pid == 0) {
        char go;
        (void)close(to[1]);
        (void)close(from[0]);
        (void)close(server.input);
        while (read(to[0], &go, 1) == 1) {
            double took[2] = {0, bench_cpu_us()};
            took[0] = w->fn(w->arg);
            took[1] = bench_cpu_us() - took[1];
            if (write(from[1], took, sizeof took) != sizeof took)
                break;
        }
        _exit(0);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    w->to = to[1];
    w->from = from[0];
}

static void
worker_stop(struct worker *w)
{
    (void)close(w->to);
    (void)close(w->from);
    (void)waitpid(w->pid, NULL, 0);
}

static double
worker_round(void *arg)
{
    struct worker *w = arg;
    double took[2] = {0, 0};
    if (write(w->to, "x", 1) != 1 || read(w->from, took, sizeof took) != sizeof took)
        bench_die("a side", "ended");
    if (w->rounds < BENCH_ROUNDS_MAX)
        w->cpu[w->rounds++] = took[1];
    return took[0];
}

/* One line; gives our median. */
static double
compare(const char *name, bench_fn our, bench_fn reference, struct bench_vault *vault)
{
    struct worker a = {.fn = our, .arg = vault}, b = {.fn = reference, .arg = vault};
    worker_start(&a);
    worker_start(&b);
    struct bench_side sides[] = {{.fn = worker_round, .arg = &a}, {.fn = worker_round, .arg = &b}};
    bench_alternate(sides, 2, ROUNDS);
    double ratio = sides[1].median / sides[0].median;
    bench_print(name, sides[0].median, sides[1].median, "us", ratio, ">= 0.95 of its rate",
                ratio >= 0.95 ? BENCH_OK : BENCH_SHORT);
    double our_cpu = bench_median(a.cpu, a.rounds), reference_cpu = bench_median(b.cpu, b.rounds);
    bench_note("processor per round: ours %.1f ms, libcurl %.1f ms", our_cpu / 1000, reference_cpu / 1000);
    worker_stop(&b);
    worker_stop(&a);
    return sides[0].median;
}

void
bench_vault(void)
{
    server_start();
    struct bench_vault vault = {server.url, server.token_file, server.plugin};
    double single = compare("vault-wrap/1", bench_keeper_single, bench_curl_single, &vault);
    (void)compare("vault-wrap/64", bench_keeper_many, bench_curl_many, &vault);
    double batch = compare("vault-wrap/batch", bench_keeper_batch, bench_curl_batch, &vault);
    bench_print("vault-wrap/batch-per-item", batch, single, "us", single / batch, ">= 20 x single",
                single / batch >= 20 ? BENCH_OK : BENCH_SHORT);
    server_stop();
}
