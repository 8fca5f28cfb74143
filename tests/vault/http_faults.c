/* SPDX-License-Identifier: MIT */
/*
 * The HTTP client against a server on a loopback socket that has one named fault at a time.  Real libcurl, real
 * sockets; nothing here depends on how quick the machine is.
 */
#include "tests/lib/expect.h"
#include "tests/lib/forkgate.h"
#include "vault/http/client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum fault {
    ANSWERS,                /* well, and keeps the connection */
    ANSWERS_AND_CLOSES,     /* well, says keep-alive, and closes at once */
    NEVER_ANSWERS,
    RESETS,                 /* after reading the request */
    CLOSES_BEFORE_ANSWER,
    HALF_A_HEADER,
    HALF_A_BODY,            /* Content-Length says more */
    NO_HTTP,
    REDIRECTS,
    TOO_MUCH,               /* 1 MiB and a byte */
    EXACTLY_ENOUGH,         /* 1 MiB */
    ENDLESS_CHUNKS,
    TOO_MANY_REQUESTS,      /* Retry-After: 7 */
    RETRY_AFTER_ZERO,
    RETRY_AFTER_A_YEAR,
    NO_CONTENT
};

static struct {
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_int fault, connections, requests;
    atomic_bool stop;
    pthread_mutex_t lock;
    char last[2048];        /* the last request that was read whole; under the lock */
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void
say_body(int fd, size_t len)
{
    static const char block[4096] = {'x'};
    char head[128];
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    say(fd, head);
    while (len > 0) {
        ssize_t n = send(fd, block, len < sizeof block ? len : sizeof block, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        len -= (size_t)n;
    }
}

/* Read one request, body and all; false when the client is gone. */
static bool
read_request(int fd)
{
    char text[sizeof server.last];
    size_t used = 0;
    for (;;) {
        ssize_t n = recv(fd, text + used, sizeof text - 1 - used, 0);
        if (n <= 0)
            return false;
        used += (size_t)n;
        text[used] = '\0';
        const char *body = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (body != NULL && (length == NULL || used >= (size_t)(body + 4 - text) + (size_t)atoi(length + 16)))
            break;
    }
    pthread_mutex_lock(&server.lock);
    memcpy(server.last, text, used + 1);
    pthread_mutex_unlock(&server.lock);
    return true;
}

static void
wait_for_the_client_to_leave(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    }
}

/* Play the fault; true when the connection lives on. */
static bool
answer(int fd, enum fault fault)
{
    static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    const struct linger reset = {1, 0};
    switch (fault) {
    case ANSWERS: say(fd, good); return true;
    case ANSWERS_AND_CLOSES: say(fd, good); return false;
    case NEVER_ANSWERS: wait_for_the_client_to_leave(fd); return false;
    case RESETS: (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset); return false;
    case CLOSES_BEFORE_ANSWER: return false;
    case HALF_A_HEADER: say(fd, "HTTP/1.1 200 OK\r\nContent-Le"); return false;
    case HALF_A_BODY: say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{\"data\":{"); return false;
    case NO_HTTP: say(fd, "SSH-2.0-OpenSSH_9.2\r\n"); return false;
    case REDIRECTS:
        say(fd, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n");
        return true;
    case TOO_MUCH: say_body(fd, SCK_REPLY_MAX + 1); return false;
    case EXACTLY_ENOUGH: say_body(fd, SCK_REPLY_MAX); return true;
    case ENDLESS_CHUNKS:
        say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (ssize_t n = 1; n > 0;)
            n = send(fd, "20\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", 38, MSG_NOSIGNAL);
        return false;
    case TOO_MANY_REQUESTS:
        say(fd, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 14\r\n\r\n{\"errors\":[\"\"]");
        return true;
    case RETRY_AFTER_ZERO:
        say(fd, "HTTP/1.1 503 Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
        return true;
    case RETRY_AFTER_A_YEAR:
        say(fd, "HTTP/1.1 503 Unavailable\r\nRetry-After: 31536000\r\nContent-Length: 0\r\n\r\n");
        return true;
    case NO_CONTENT: say(fd, "HTTP/1.1 204 No Content\r\n\r\n"); return true;
    }
    return false;
}

static void *
serve_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    bool alive = true;
    while (alive && read_request(fd)) {
        atomic_fetch_add(&server.requests, 1);
        alive = answer(fd, (enum fault)atomic_load(&server.fault));
    }
    (void)close(fd);
    return NULL;
}

static void *
serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(server.listener, NULL, NULL);
        if (fd < 0 || atomic_load(&server.stop)) {
            if (fd >= 0)
                (void)close(fd);
            return NULL;
        }
        pthread_t thread;
        atomic_fetch_add(&server.connections, 1);
        if (pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) != 0)
            abort();
        pthread_detach(thread);
    }
}

static int
set_up(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    (void)state;
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server.listener, (struct sockaddr *)&at, len) != 0 || listen(server.listener, 128) != 0 ||
        getsockname(server.listener, (struct sockaddr *)&at, &len) != 0)
        return -1;
    server.port = ntohs(at.sin_port);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int
tear_down(void **state)
{
    (void)state;
    atomic_store(&server.stop, true);
    (void)shutdown(server.listener, SHUT_RDWR);
    (void)pthread_join(server.thread, NULL);
    return close(server.listener);
}

static struct sck_http *
client_new(enum fault fault)
{
    static const struct sck_http_conf conf = {.keeper = "vault", .connect_timeout_ms = 60000};
    struct sck_http *http = NULL;
    assert_int_equal(sck_http_new(&conf, &http, NULL), SCK_OK);
    atomic_store(&server.fault, fault);
    atomic_store(&server.connections, 0);
    atomic_store(&server.requests, 0);
    return http;
}

static struct sck_http_reply
ask(struct sck_http *http, int64_t timeout_ms)
{
    char url[64];
    struct sck_secret *body = NULL, *token = NULL;
    struct sck_http_reply reply;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/x", (unsigned)server.port);
    assert_int_equal(sck_secret_from("{\"a\":\"b\"}", 9, &body, NULL), SCK_OK);
    assert_int_equal(sck_secret_from("s.token", 7, &token, NULL), SCK_OK);
    static const struct sck_header headers[] = {{"X-Vault-Request", "true"}, {"X-Vault-Namespace", "ns/"}};
    const struct sck_http_request request = {
        .method = "POST", .url = url, .headers = headers, .header_count = 2, .token_header = "X-Vault-Token: ",
        .token = token, .content_type = "application/json", .body = body, .call_id = "0123456789abcdef",
        .timeout_ms = timeout_ms, .id_header = "x-ms-request-id", .node_header = "X-Vault-Raft-Node-ID",
    };
    sck_http_exchange(http, &request, &reply);
    sck_secret_free(&body);
    sck_secret_free(&token);
    return reply;
}

static void
a_request_is_what_it_must_be(void **state)
{
    (void)state;
    struct sck_http *http = client_new(ANSWERS);
    char want[512];
    struct sck_http_reply reply = ask(http, 60000);
    assert_int_equal(reply.net, SCK_NET_ANSWER);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body_len, 2);
    assert_memory_equal(reply.body->data, "{}", 2);
    assert_string_equal(reply.detail, "");
    sck_http_reply_clear(&reply);
    (void)snprintf(want, sizeof want,
                   "POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: */*\r\nX-Correlation-Id: 0123456789abcdef\r\n"
                   "X-Vault-Request: true\r\nX-Vault-Namespace: ns/\r\nX-Vault-Token: s.token\r\n"
                   "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}", (unsigned)server.port);
    pthread_mutex_lock(&server.lock);
    assert_string_equal(server.last, want);
    pthread_mutex_unlock(&server.lock);
    sck_http_free(&http);
    assert_null(http);
}

static void
each_fault_is_told_by_its_name(void **state)
{
    (void)state;
    static const struct { enum fault fault; enum sck_net net; long status; size_t body_len; int64_t retry_after_ms; } cases[] = {
        {RESETS, SCK_NET_BROKEN, 0, 0, 0},
        {CLOSES_BEFORE_ANSWER, SCK_NET_BROKEN, 0, 0, 0},
        {HALF_A_HEADER, SCK_NET_BROKEN, 200, 0, 0},
        {HALF_A_BODY, SCK_NET_BROKEN, 200, 9, 0},
        {NO_HTTP, SCK_NET_SETUP, 0, 0, 0},
        {REDIRECTS, SCK_NET_ANSWER, 307, 0, 0},
        {TOO_MUCH, SCK_NET_OVERSIZE, 200, SCK_REPLY_MAX, 0},
        {EXACTLY_ENOUGH, SCK_NET_ANSWER, 200, SCK_REPLY_MAX, 0},
        {ENDLESS_CHUNKS, SCK_NET_OVERSIZE, 200, SCK_REPLY_MAX, 0},
        {TOO_MANY_REQUESTS, SCK_NET_ANSWER, 429, 14, 7000},
        {RETRY_AFTER_ZERO, SCK_NET_ANSWER, 503, 0, 0},
        {RETRY_AFTER_A_YEAR, SCK_NET_ANSWER, 503, 0, 3600000},
        {NO_CONTENT, SCK_NET_ANSWER, 204, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sck_http *http = client_new(cases[i].fault);
        struct sck_http_reply reply = ask(http, 60000);
        if (reply.net != cases[i].net || reply.status != cases[i].status)
            fail_msg("fault %d: net %d, status %ld (%s)", (int)cases[i].fault, (int)reply.net, reply.status, reply.detail);
        assert_true(reply.body_len <= cases[i].body_len);
        if (reply.net == SCK_NET_ANSWER)
            assert_int_equal(reply.body_len, cases[i].body_len);
        assert_int_equal(reply.retry_after_ms, cases[i].retry_after_ms);
        assert_int_equal(server.requests, 1);
        sck_http_reply_clear(&reply);
        sck_http_free(&http);
    }
}

static void
silence_ends_at_the_time_limit(void **state)
{
    (void)state;
    struct sck_http *http = client_new(NEVER_ANSWERS);
    struct sck_http_reply reply = ask(http, 50);
    assert_int_equal(reply.net, SCK_NET_TIMEOUT);
    assert_string_equal(reply.detail, "Timeout was reached");
    sck_http_reply_clear(&reply);
    sck_http_free(&http);
}

static void
a_connection_serves_many_requests(void **state)
{
    (void)state;
    struct sck_http *http = client_new(ANSWERS);
    for (int i = 0; i < 20; i++) {
        struct sck_http_reply reply = ask(http, 60000);
        assert_int_equal(reply.net, SCK_NET_ANSWER);
        sck_http_reply_clear(&reply);
    }
    assert_int_equal(server.connections, 1);
    assert_int_equal(server.requests, 20);
    sck_http_free(&http);
}

/* Closed while idle: a new connection, and no failure is seen. */
static void
a_stale_connection_is_replaced(void **state)
{
    (void)state;
    struct sck_http *http = client_new(ANSWERS_AND_CLOSES);
    for (int i = 0; i < 20; i++) {
        struct sck_http_reply reply = ask(http, 60000);
        assert_int_equal(reply.net, SCK_NET_ANSWER);
        assert_int_equal(reply.status, 200);
        sck_http_reply_clear(&reply);
    }
    assert_int_equal(server.connections, 20);
    sck_http_free(&http);
}

static void *
ask_often(void *arg)
{
    for (int i = 0; i < 30; i++) {
        forkgate_work();
        struct sck_http_reply reply = ask(arg, 60000);
        assert_int_equal(reply.net, SCK_NET_ANSWER);
        sck_http_reply_clear(&reply);
        forkgate_rest();
    }
    return NULL;
}

static void
threads_and_children_share_no_connection(void **state)
{
    (void)state;
    struct sck_http *http = client_new(ANSWERS);
    pthread_t threads[24];
    for (size_t i = 0; i < 24; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, http), 0);
    for (int i = 0; i < 10; i++) {
        forkgate_close();
        pid_t child = fork();
        forkgate_open(child);
        assert_true(child >= 0);
        if (child == 0) {
            int bad = 0;
            for (int n = 0; n < 3; n++) {
                struct sck_http_reply reply = ask(http, 60000);
                bad += reply.net != SCK_NET_ANSWER || reply.body_len != 2;
                sck_http_reply_clear(&reply);
            }
            sck_http_free(&http);
            _exit(bad);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (size_t i = 0; i < 24; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(server.requests, 24 * 30 + 10 * 3);
    sck_http_free(&http);
}

/* A server that resets under a write raises no signal in the program around us. */
static void
no_signal_reaches_the_program(void **state)
{
    (void)state;
    struct sck_http *http = client_new(RESETS);
    sigset_t pending;
    struct sigaction before;
    assert_int_equal(sigaction(SIGPIPE, NULL, &before), 0);
    assert_true(before.sa_handler == SIG_DFL);
    for (int i = 0; i < 20; i++) {
        struct sck_http_reply reply = ask(http, 60000);
        assert_int_equal(reply.net, SCK_NET_BROKEN);
        sck_http_reply_clear(&reply);
    }
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    sck_http_free(&http);
}

static void
nobody_listens(void **state)
{
    (void)state;
    struct sck_http *http = client_new(ANSWERS);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char url[64];
    struct sck_http_reply reply;
    /* Bound and not listening: the port is ours, and every connection is refused. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)ntohs(at.sin_port));
    const struct sck_http_request request = {.method = "GET", .url = url, .call_id = "0123456789abcdef",
                                             .timeout_ms = 60000};
    sck_http_exchange(http, &request, &reply);
    assert_int_equal(reply.net, SCK_NET_CONNECT);
    /* libcurl 7 and 8 have words of their own for it. */
    if (strcmp(reply.detail, "Could not connect to server") != 0)
        assert_string_equal(reply.detail, "Couldn't connect to server");
    sck_http_reply_clear(&reply);
    (void)close(fd);
    sck_http_free(&http);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_what_it_must_be),
        cmocka_unit_test(each_fault_is_told_by_its_name),
        cmocka_unit_test(silence_ends_at_the_time_limit),
        cmocka_unit_test(a_connection_serves_many_requests),
        cmocka_unit_test(a_stale_connection_is_replaced),
        cmocka_unit_test(threads_and_children_share_no_connection),
        cmocka_unit_test(no_signal_reaches_the_program),
        cmocka_unit_test(nobody_listens),
    };
    return cmocka_run_group_tests_name("vault/http_faults", tests, set_up, tear_down);
}
