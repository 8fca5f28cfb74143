/* SPDX-License-Identifier: MIT */
/* outage: requests that reach a keeper which answers 503 for everything, for each one asked for. */
#include "tests/bench/bench.h"

#include "lib/base/log.h"
#include "vault/keeper.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 16, ASKED = 4000 };

static struct {
    int listener;
    atomic_int requests, left;
    struct sck_keeper *keeper;
} out;

static void *
serve(void *arg)
{
    static const char answer[] = "HTTP/1.1 503 Unavailable\r\nContent-Length: 24\r\n\r\n{\"errors\":[\"overloaded\"]}";
    int fd = (int)(intptr_t)arg;
    char text[4096];
    size_t used = 0;
    ssize_t n;
    while ((n = recv(fd, text + used, sizeof text - 1 - used, 0)) > 0) {
        used += (size_t)n;
        text[used] = '\0';
        const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (body == NULL || (length != NULL && used < (size_t)(body + 4 - text) + (size_t)atoi(length + 16)))
            continue;
        atomic_fetch_add(&out.requests, 1);
        used = 0;
        (void)send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
    }
    (void)close(fd);
    return NULL;
}

static void *
listen_for(void *arg)
{
    (void)arg;
    for (;;) {
        pthread_t thread;
        int fd = accept(out.listener, NULL, NULL);
        if (fd < 0 || pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
            return NULL;
        (void)pthread_detach(thread);
    }
}

static void *
ask(void *arg)
{
    static const struct sck_kek kek = {.name = "sk--out", .generation = 1, .version = 1, .mount = "", .name_space = ""};
    struct sck_secret *payload = NULL;
    (void)arg;
    if (sck_secret_new(SCK_PAYLOAD_LEN, &payload, NULL) != SCK_OK)
        bench_die("outage", "out of memory");
    while (atomic_fetch_sub(&out.left, 1) > 0) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_buf blob;
        uint32_t version = 0;
        sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
        if (out.keeper->ops->wrap(out.keeper, &kek, payload, &blob, &version, &err) != SCK_E_CONNECT)
            bench_die("outage", err.message);
        sck_buf_clear(&blob);
        (void)usleep(10000);
    }
    sck_secret_free(&payload);
    return NULL;
}

void
bench_outage(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct sck_err err = SCK_ERR_INIT;
    char url[64], token[560], path[600];
    pthread_t server, threads[THREADS];
    out.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(out.listener, (struct sockaddr *)&at, len) != 0 || listen(out.listener, 64) != 0 ||
        getsockname(out.listener, (struct sockaddr *)&at, &len) != 0 ||
        pthread_create(&server, NULL, listen_for, NULL) != 0)
        bench_die("outage", "no server");
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    (void)snprintf(token, sizeof token, "%s/outage.tok", bench_dirs.work);
    FILE *f = fopen(token, "w");
    if (f == NULL || fputs("token\n", f) < 0 || fclose(f) != 0 || chmod(token, 0600) != 0)
        bench_die(token, "cannot be written");
    (void)snprintf(path, sizeof path, "%s/../vault/.libs/keeper-http.so", bench_dirs.modules);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct sck_keeper_plugin *plugin = module != NULL ? dlsym(module, "scopekey_keeper_plugin") : NULL;
    if (plugin == NULL)
        bench_die(path, "cannot be loaded");
    const struct sck_keeper_vault_conf conf = {.url = url, .mount = "scopekey", .name_space = "", .token_file = token,
                                               .insecure_http = true, .max_retries = 3};
    bench_ok(plugin->vault_open(&conf, &out.keeper, &err), "keeper vault", &err);
    sck_log_setup(2, SCK_LOG_ERROR, SCK_LOG_TEXT);
    atomic_store(&out.left, ASKED);
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, ask, NULL) != 0)
            bench_die("outage", "no thread");
    }
    for (size_t i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    out.keeper->ops->close(out.keeper);
    double sent = (double)atomic_load(&out.requests);
    bench_print("outage", sent, ASKED, "requests", sent / ASKED, "<= 1.1", sent / ASKED <= 1.1 ? BENCH_OK : BENCH_SHORT);
}
