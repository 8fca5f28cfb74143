/* SPDX-License-Identifier: MIT */
/*
 * Metrics: one registry per process, written out in Prometheus' text form.
 * A series is made once and lives for ever; updating it is one atomic addition, without a lock, from any thread.
 * Nothing here fails: a series that is refused (bad name or labels, too many of them, no memory) is a shared one that
 * nobody sees, and is counted in scopekey_metrics_refused_total.  After a fork the child counts from zero.
 * Names, labels and meanings are listed in docs/metrics.md.
 */
#ifndef SCK_BASE_METRIC_H
#define SCK_BASE_METRIC_H

#include "lib/base/bytes.h"

#include <stdint.h>

#define SCK_METRIC_SERIES_MAX 1024      /* in one process */

struct sck_metric;

/*
 * The series `name` with `labels`, made at the first call; never NULL, never freed.  Keep the pointer where it is used
 * often: finding it compares names.
 * name: "scopekey_" and [a-z0-9_], at most 64 bytes; it ends in "_total" when it is a counter, in "_seconds" when it is
 * a histogram, and in neither "_total" nor "_bucket", "_sum", "_count" when it is a gauge.  help: one line, the first
 * call's is kept.  labels: `op="wrap",outcome="ok"`, or "" for none; each name [a-z_][a-z0-9_]*, once, not "le"; values printable
 * ASCII without quote and backslash; at most 200 bytes.  The order of labels is part of the identity.
 * One name has one type: asking for another one is refused.
 */
struct sck_metric *sck_metric_counter(const char *name, const char *help, const char *labels);
struct sck_metric *sck_metric_gauge(const char *name, const char *help, const char *labels);
/* A histogram of durations, with buckets from 10 microseconds to 30 seconds. */
struct sck_metric *sck_metric_histogram(const char *name, const char *help, const char *labels);

/* Counter: add `n`.  Gauge: add `n`.  Does nothing to a histogram. */
void sck_metric_add(struct sck_metric *metric, int64_t n);
/* Gauge: become `value`. */
void sck_metric_set(struct sck_metric *metric, int64_t value);
/* Histogram: one more event, which took `us` microseconds (negative counts as 0). */
void sck_metric_observe(struct sck_metric *metric, int64_t us);
/* What a counter or gauge is now; of a histogram the number of events. */
int64_t sck_metric_get(const struct sck_metric *metric);

/*
 * Append every series, sorted by name and labels: Prometheus text exposition format 0.0.4
 * (Content-Type: text/plain; version=0.0.4; charset=utf-8).  Check `out` with sck_buf_check().
 */
void sck_metrics_format(struct sck_buf *out);

#endif
