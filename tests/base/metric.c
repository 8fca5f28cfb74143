/* SPDX-License-Identifier: MIT */
/* lib/base/metric: exact text, refusals, threads, forks. */
#include "tests/lib/expect.h"

#include "lib/base/metric.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define REFUSED "# HELP scopekey_metrics_refused_total Requests for a series that were refused: bad name, bad labels or too many.\n" \
                "# TYPE scopekey_metrics_refused_total counter\nscopekey_metrics_refused_total "

static char *
text(void)
{
    static struct sck_buf buf;
    sck_buf_clear(&buf);
    sck_buf_init(&buf, 1U << 20);
    sck_metrics_format(&buf);
    EXPECT_OK(sck_buf_check(&buf, "the metrics", &err));
    return (char *)(uintptr_t)sck_buf_str(&buf);
}

static void
nothing_is_an_empty_text(void **state)
{
    (void)state;
    assert_string_equal(text(), "");
}

static void
the_text_is_exact(void **state)
{
    (void)state;
    struct sck_metric *ok = sck_metric_counter("scopekey_b_total", "Calls,\\ by\noutcome.", "op=\"wrap\",outcome=\"ok\"");
    struct sck_metric *bad = sck_metric_counter("scopekey_b_total", "another text", "op=\"wrap\",outcome=\"fail, late\"");
    struct sck_metric *gauge = sck_metric_gauge("scopekey_a", "Connections.", "");
    struct sck_metric *time = sck_metric_histogram("scopekey_c_seconds", "Durations.", "op=\"wrap\"");
    assert_ptr_equal(ok, sck_metric_counter("scopekey_b_total", "", "op=\"wrap\",outcome=\"ok\""));
    assert_ptr_not_equal(ok, bad);
    sck_metric_add(ok, 3);
    sck_metric_add(bad, 1);
    sck_metric_set(ok, 77);             /* no gauge */
    sck_metric_observe(ok, 77);         /* no histogram */
    sck_metric_set(gauge, 5);
    sck_metric_add(gauge, -7);
    sck_metric_add(time, 77);           /* no counter */
    static const int64_t events[] = {-1, 0, 10, 11, 999, 1000, 30000000, 30000001, 100000000};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        sck_metric_observe(time, events[i]);
    assert_int_equal(sck_metric_get(ok), 3);
    assert_int_equal(sck_metric_get(gauge), -2);
    assert_int_equal(sck_metric_get(time), 9);
    assert_string_equal(text(),
        "# HELP scopekey_a Connections.\n"
        "# TYPE scopekey_a gauge\n"
        "scopekey_a -2\n"
        "# HELP scopekey_b_total Calls,\\\\ by\\noutcome.\n"
        "# TYPE scopekey_b_total counter\n"
        "scopekey_b_total{op=\"wrap\",outcome=\"fail, late\"} 1\n"
        "scopekey_b_total{op=\"wrap\",outcome=\"ok\"} 3\n"
        "# HELP scopekey_c_seconds Durations.\n"
        "# TYPE scopekey_c_seconds histogram\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.00001\"} 3\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.000025\"} 4\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.00005\"} 4\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.0001\"} 4\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.00025\"} 4\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.0005\"} 4\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.001\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.0025\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.005\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.01\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.025\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.05\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.1\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.25\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"0.5\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"1\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"2.5\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"5\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"10\"} 6\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"30\"} 7\n"
        "scopekey_c_seconds_bucket{op=\"wrap\",le=\"+Inf\"} 9\n"
        "scopekey_c_seconds_sum{op=\"wrap\"} 160.002021\n"
        "scopekey_c_seconds_count{op=\"wrap\"} 9\n");
}

static void
bad_names_and_labels_are_refused_and_counted(void **state)
{
    (void)state;
    char longest[66 + 8];
    (void)snprintf(longest, sizeof longest, "scopekey_%0*d_total", 64 - 9 - 6, 0);
    assert_int_equal(strlen(longest), 64);
    struct sck_metric *good = sck_metric_counter(longest, "", "");
    (void)snprintf(longest, sizeof longest, "scopekey_%0*d_total", 65 - 9 - 6, 0);
    struct sck_metric *sink = sck_metric_counter(longest, "", "");
    assert_ptr_not_equal(good, sink);
    int64_t refused = 1;
    static const char *const counters[] = {"", "scopekey_", "scopekey_x", "other_x_total", "scopekey_X_total",
                                           "scopekey_x-y_total", "scopekey_c_seconds", "scopekey_\xC3\xA9_total"};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++, refused++)
        assert_ptr_equal(sck_metric_counter(counters[i], "", ""), sink);
    static const char *const gauges[] = {"scopekey_x_total", "scopekey_x_bucket", "scopekey_x_sum", "scopekey_x_count"};
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++, refused++)
        assert_ptr_equal(sck_metric_gauge(gauges[i], "", ""), sink);
    assert_ptr_equal(sck_metric_histogram("scopekey_x", "", ""), sink);
    assert_ptr_equal(sck_metric_gauge("scopekey_c_seconds", "", ""), sink);     /* is a histogram */
    refused += 2;
    static const char *const labels[] = {
        "a", "a=", "a=\"", "a=\"b", "a=b", "=\"b\"", "1a=\"b\"", "A=\"b\"", "a=\"b\",", ",a=\"b\"", "a=\"b\" ",
        "a=\"b\\\"", "a=\"b\n\"", "a=\"\xC3\xA9\"", "a=\"b\",a=\"c\"", "a=\"b\",c=\"d\",a=\"b\"", "le=\"1\"",
        "a=\"b\",le=\"1\"", "a=\"b\"c=\"d\""};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++, refused++)
        assert_ptr_equal(sck_metric_counter("scopekey_x_total", "", labels[i]), sink);
    char many[202];
    (void)snprintf(many, sizeof many, "a=\"%0*d\"", 200 - 4, 0);
    assert_ptr_not_equal(sck_metric_counter("scopekey_x_total", "", many), sink);
    (void)snprintf(many, sizeof many, "a=\"%0*d\"", 201 - 4, 0);
    assert_ptr_equal(sck_metric_counter("scopekey_x_total", "", many), sink);
    refused++;
    assert_ptr_not_equal(sck_metric_counter("scopekey_x_total", "", "le_=\"\",l=\", =\",_=\"!\""), sink);
    sck_metric_add(sink, 5);
    char want[400];
    (void)snprintf(want, sizeof want, REFUSED "%d\n", (int)refused);
    assert_non_null(strstr(text(), want));
}

enum { THREADS = 8, ROUNDS = 2000 };

static void *
count(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "n=\"%d\"", i % 100);
        sck_metric_add(sck_metric_counter("scopekey_threads_total", "Threads.", labels), 1);
        sck_metric_observe(sck_metric_histogram("scopekey_threads_seconds", "Threads.", ""), i);
    }
    return NULL;
}

static void
threads_lose_nothing(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, count, NULL), 0);
    free(strdup(text()));
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < 100; i++) {
        char labels[64];
        (void)snprintf(labels, sizeof labels, "n=\"%d\"", i);
        assert_int_equal(sck_metric_get(sck_metric_counter("scopekey_threads_total", "", labels)), THREADS * ROUNDS / 100);
        (void)snprintf(labels, sizeof labels, "\nscopekey_threads_total{n=\"%d\"} ", i);
        char *first = strstr(text(), labels);
        assert_non_null(first);
        assert_null(strstr(first + 1, labels));
    }
    assert_int_equal(sck_metric_get(sck_metric_histogram("scopekey_threads_seconds", "", "")), THREADS * ROUNDS);
}

static void
a_child_counts_from_zero(void **state)
{
    (void)state;
    struct sck_metric *calls = sck_metric_counter("scopekey_b_total", "", "op=\"wrap\",outcome=\"ok\"");
    struct sck_metric *time = sck_metric_histogram("scopekey_c_seconds", "", "op=\"wrap\"");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool zero = sck_metric_get(calls) == 0 && sck_metric_get(time) == 0;
        sck_metric_add(calls, 1);
        _exit(zero && sck_metric_get(calls) == 1 && strstr(text(), "scopekey_c_seconds_sum{op=\"wrap\"} 0.000000\n") != NULL
                  ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(sck_metric_get(calls), 3);
    assert_int_equal(sck_metric_get(time), 9);
}

static void
series_are_bounded(void **state)
{
    (void)state;
    struct sck_metric *sink = sck_metric_counter("", "", "");
    size_t made = 0;
    for (int i = 0; i < 2 * SCK_METRIC_SERIES_MAX; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "n=\"%d\"", i);
        made += sck_metric_counter("scopekey_many_total", "", labels) != sink;
    }
    assert_in_range(made, 1, SCK_METRIC_SERIES_MAX - 100);
    size_t lines = 0;
    for (const char *p = text(); (p = strstr(p, "\nscopekey_many_total{")) != NULL; p++)
        lines++;
    assert_int_equal(lines, made);
    /* What is there already is still found. */
    assert_int_equal(sck_metric_get(sck_metric_counter("scopekey_b_total", "", "op=\"wrap\",outcome=\"ok\"")), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_an_empty_text),
        cmocka_unit_test(the_text_is_exact),
        cmocka_unit_test(bad_names_and_labels_are_refused_and_counted),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(a_child_counts_from_zero),
        cmocka_unit_test(series_are_bounded),
    };
    return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
