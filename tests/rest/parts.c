/* SPDX-License-Identifier: MIT */
/* Small parts: the workers' queue, slow connections, bodies, log scrubbing, the listening socket. */
#include "tests/lib/expect.h"

#include "rest/conn.h"
#include "rest/listen.h"
#include "rest/request.h"
#include "rest/work.h"

#include <semaphore.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- work ---- */

struct job {
    struct sck_work_item item;
    int number;
};

static sem_t started;
static sem_t go;
static int done[8];
static size_t done_count;

static void
do_job(struct sck_work_item *item)
{
    struct job *job = (struct job *)(void *)item;
    (void)sem_post(&started);
    (void)sem_wait(&go);
    done[done_count++] = job->number;
}

static void
work_is_bounded_and_in_order(void **state)
{
    struct sck_work *work = NULL;
    struct job jobs[5];
    (void)state;
    assert_int_equal(sem_init(&started, 0, 0), 0);
    assert_int_equal(sem_init(&go, 0, 0), 0);
    EXPECT_OK(sck_work_new(1, 3, do_job, &work, &err));
    for (int i = 0; i < 5; i++)
        jobs[i].number = i;
    assert_true(sck_work_push(work, &jobs[0].item));
    (void)sem_wait(&started);
    assert_true(sck_work_push(work, &jobs[1].item));
    assert_true(sck_work_push(work, &jobs[2].item));
    assert_true(sck_work_push(work, &jobs[3].item));
    assert_false(sck_work_push(work, &jobs[4].item));
    for (int i = 0; i < 4; i++)
        (void)sem_post(&go);
    /* Stopping finishes what was taken. */
    sck_work_free(&work);
    assert_null(work);
    assert_int_equal(done_count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(done[i], i);
    sck_work_free(&work);
}

/* ---- connections ---- */

static bool
is_open(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT) < 0;
}

static void
slow_clients_are_ended(void **state)
{
    int a[2];
    int b[2];
    int c[2];
    struct sck_conns *conns = sck_conns_new();
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, c), 0);
    struct sck_conn *slow = sck_conn_add(conns, a[0], 1000);
    struct sck_conn *quick = sck_conn_add(conns, b[0], 2000);
    struct sck_conn *busy = sck_conn_add(conns, c[0], 1000);
    sck_conn_set_busy(conns, busy, true, 1000);
    assert_int_equal(sck_conns_sweep(conns, 1500, 500), 0);
    assert_true(is_open(a[1]));
    assert_int_equal(sck_conns_sweep(conns, 2000, 500), 1);
    assert_false(is_open(a[1]));
    assert_true(is_open(b[1]));
    assert_true(is_open(c[1]));
    sck_conn_remove(conns, slow);
    sck_conn_set_busy(conns, busy, false, 2400);
    assert_int_equal(sck_conns_sweep(conns, 2600, 500), 1);
    assert_false(is_open(b[1]));
    assert_true(is_open(c[1]));
    sck_conn_remove(conns, quick);
    sck_conn_remove(conns, busy);
    sck_conn_remove(conns, NULL);
    assert_int_equal(sck_conns_sweep(conns, 100000, 500), 0);
    sck_conns_free(&conns);
    for (int i = 0; i < 2; i++) {
        (void)close(a[i]);
        (void)close(b[i]);
        (void)close(c[i]);
    }
}

/* ---- requests ---- */

static void
bodies_grow_up_to_their_limit(void **state)
{
    struct sck_request req = {0};
    uint8_t chunk[3000];
    (void)state;
    for (int i = 0; i < 3; i++) {
        memset(chunk, 'a' + i, sizeof chunk);
        EXPECT_OK(sck_request_append(&req, chunk, sizeof chunk, 10000, &err));
    }
    assert_int_equal(req.body->len, 9000);
    assert_int_equal(req.body->data[0], 'a');
    assert_int_equal(req.body->data[2999], 'a');
    assert_int_equal(req.body->data[3000], 'b');
    assert_int_equal(req.body->data[8999], 'c');
    EXPECT_FAIL(sck_request_append(&req, chunk, 1001, 10000, &err), SCK_E_USAGE,
                "The body is longer than 10000 bytes");
    EXPECT_OK(sck_request_append(&req, chunk, 1000, 10000, &err));
    assert_int_equal(req.body->len, 10000);
    EXPECT_FAIL(sck_request_append(&req, chunk, 1, 10000, &err), SCK_E_USAGE, "The body is longer than 10000 bytes");
    sck_request_clear(&req);
    assert_null(req.body);
}

static void
request_ids_are_uuids(void **state)
{
    char a[SCK_REQUEST_ID_MAX + 1];
    char b[SCK_REQUEST_ID_MAX + 1];
    (void)state;
    EXPECT_OK(sck_request_id_make(sck_clock_system(), a, &err));
    EXPECT_OK(sck_request_id_make(sck_clock_system(), b, &err));
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '7');
    assert_string_not_equal(a, b);
}

static void
causes_lose_subjects(void **state)
{
    char text[] = "open key scopekey:subject/al%20ice/tls?version=1: 'subject/bob' and client/default, subject/";
    (void)state;
    sck_request_scrub(text);
    assert_string_equal(text, "open key scopekey:subject/*/tls?version=1: 'subject/*' and client/*, subject/");
}

/* ---- listening ---- */

static void
listens_on_loopback_alone(void **state)
{
    int fd = -1;
    int second = -1;
    int port = 0;
    char where[SCK_LISTEN_TEXT];
    char message[200];
    (void)state;
    EXPECT_OK(sck_listen_open("127.0.0.1", 0, false, &fd, where, &err));
    assert_int_equal(sscanf(where, "127.0.0.1:%d", &port), 1);
    assert_true(port > 0);
    (void)snprintf(message, sizeof message, "cannot listen on 127.0.0.1 port %d: Address already in use", port);
    EXPECT_FAIL(sck_listen_open("127.0.0.1", port, false, &second, where, &err), SCK_E_IO, message);
    (void)close(fd);
    EXPECT_FAIL(sck_listen_open("0.0.0.0", 0, false, &fd, where, &err), SCK_E_CONFIG,
                "refusing to listen on 0.0.0.0 without TLS, which this version does not have: API keys and plaintext "
                "would cross the network readable. Listen on 127.0.0.1 behind a TLS proxy, or set "
                "insecure_plaintext = true in [rest] of scopekey.conf");
    EXPECT_OK(sck_listen_open("0.0.0.0", 0, true, &fd, where, &err));
    (void)close(fd);
    EXPECT_FAIL(sck_listen_open("no such host", 0, false, &fd, where, &err), SCK_E_CONFIG,
                "cannot listen on host no such host: Name or service not known");
}

static void
tells_the_service_manager(void **state)
{
    char name[] = "/tmp/scopekey-notify-XXXXXX";
    char got[32] = {0};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)state;
    assert_non_null(mkdtemp(name));
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s/s", name);
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(s, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", at.sun_path, 1), 0);
    sck_notify("READY=1");
    assert_int_equal(recv(s, got, sizeof got - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    sck_notify("READY=1");
    assert_int_equal(recv(s, got, sizeof got - 1, MSG_DONTWAIT), -1);
    (void)close(s);
    (void)unlink(at.sun_path);
    (void)rmdir(name);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_bounded_and_in_order), cmocka_unit_test(slow_clients_are_ended),
        cmocka_unit_test(bodies_grow_up_to_their_limit), cmocka_unit_test(request_ids_are_uuids),
        cmocka_unit_test(causes_lose_subjects),          cmocka_unit_test(listens_on_loopback_alone),
        cmocka_unit_test(tells_the_service_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
