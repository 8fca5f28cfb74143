/* SPDX-License-Identifier: MIT */
#include "lib/base/metric.h"

#include "lib/base/fork.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 64, LABELS_MAX_LEN = 200, HELP_MAX_LEN = 200 };

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

static const struct {
    int64_t us;
    const char *le;     /* seconds */
} bounds[] = {
    {10, "0.00001"},  {25, "0.000025"},   {50, "0.00005"},   {100, "0.0001"},   {250, "0.00025"},
    {500, "0.0005"},  {1000, "0.001"},    {2500, "0.0025"},  {5000, "0.005"},   {10000, "0.01"},
    {25000, "0.025"}, {50000, "0.05"},    {100000, "0.1"},   {250000, "0.25"},  {500000, "0.5"},
    {1000000, "1"},   {2500000, "2.5"},   {5000000, "5"},    {10000000, "10"},  {30000000, "30"},
};
enum { BOUNDS = sizeof bounds / sizeof bounds[0] };

struct sck_metric {
    struct sck_metric *next;            /* older series; set before the series is seen */
    enum metric_type type;
    _Atomic int64_t value;              /* of a histogram: the sum, in microseconds */
    _Atomic uint64_t *buckets;          /* BOUNDS + 1 of them: not cumulative; NULL unless a histogram */
    char name[NAME_MAX_LEN + 1];
    char help[HELP_MAX_LEN + 1];
    char labels[LABELS_MAX_LEN + 1];
};

/* Series are only ever added, at the head: a reader follows the list without a lock, and so does a forked child. */
static struct {
    _Atomic(struct sck_metric *) head;
    atomic_uint count;
    struct sck_metric refused;          /* counts, and is shown when there were any */
    struct sck_metric sink;             /* what refused series share */
} all = {
    .refused = {.type = COUNTER,
                .name = "scopekey_metrics_refused_total",
                .help = "Requests for a series that were refused: bad name, bad labels or too many."},
    .sink = {.type = COUNTER},
};

static void
start_from_zero(void)
{
    for (struct sck_metric *m = atomic_load(&all.head); m != NULL; m = m->next) {
        atomic_store(&m->value, 0);
        for (size_t i = 0; m->buckets != NULL && i <= BOUNDS; i++)
            atomic_store(&m->buckets[i], 0);
    }
    atomic_store(&all.refused.value, 0);
}

static bool
ends_in(const char *text, const char *end)
{
    size_t len = strlen(text);
    size_t end_len = strlen(end);
    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static bool
name_is_good(const char *name, enum metric_type type)
{
    static const char first[] = "scopekey_";
    size_t len = strlen(name);
    if (strncmp(name, first, sizeof first - 1) != 0 || len == sizeof first - 1 || len > NAME_MAX_LEN ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return false;
    switch (type) {
    case COUNTER: return ends_in(name, "_total");
    case HISTOGRAM: return ends_in(name, "_seconds");
    case GAUGE: break;
    }
    return !ends_in(name, "_total") && !ends_in(name, "_bucket") && !ends_in(name, "_sum") && !ends_in(name, "_count");
}

/* No earlier label has this name.  The text before `name` was found well-formed. */
static bool
label_is_new(const char *labels, const char *name, size_t len)
{
    for (const char *p = labels; p < name; p = strstr(p, "\",") + 2) {
        size_t other = strcspn(p, "=");
        if (other == len && memcmp(p, name, len) == 0)
            return false;
    }
    return !(len == 2 && memcmp(name, "le", 2) == 0);
}

static bool
labels_are_good(const char *labels)
{
    if (strlen(labels) > LABELS_MAX_LEN)
        return false;
    for (const char *p = labels; *p != '\0';) {
        size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (len == 0 || (*p >= '0' && *p <= '9') || p[len] != '=' || p[len + 1] != '"' || !label_is_new(labels, p, len))
            return false;
        for (p += len + 2; *p != '"'; p++) {
            if (*p < ' ' || *p > '~' || *p == '\\')
                return false;
        }
        p++;
        if (*p == ',' && p[1] != '\0')
            p++;
        else if (*p != '\0')
            return false;
    }
    return true;
}

/* The series in the list from `from` up to (not with) `end`; *family becomes any one of that name. */
static struct sck_metric *
look_up(struct sck_metric *from, const struct sck_metric *end, const char *name, const char *labels,
        const struct sck_metric **family)
{
    for (struct sck_metric *m = from; m != end; m = m->next) {
        if (strcmp(m->name, name) != 0)
            continue;
        *family = m;
        if (strcmp(m->labels, labels) == 0)
            return m;
    }
    return NULL;
}

static struct sck_metric *
new_series(enum metric_type type, const char *name, const char *help, const char *labels)
{
    if (atomic_fetch_add(&all.count, 1) >= SCK_METRIC_SERIES_MAX) {
        atomic_fetch_sub(&all.count, 1);
        return NULL;
    }
    struct sck_metric *m = calloc(1, sizeof *m);
    _Atomic uint64_t *buckets = type == HISTOGRAM ? calloc(BOUNDS + 1, sizeof *buckets) : NULL;
    if (m == NULL || (type == HISTOGRAM && buckets == NULL)) {
        free(m);
        free(buckets);
        atomic_fetch_sub(&all.count, 1);
        return NULL;
    }
    m->type = type;
    m->buckets = buckets;
    memcpy(m->name, name, strlen(name));
    memcpy(m->labels, labels, strlen(labels));
    memcpy(m->help, help, strnlen(help, HELP_MAX_LEN));
    return m;
}

static void
free_series(struct sck_metric *m)
{
    free(m->buckets);
    free(m);
    atomic_fetch_sub(&all.count, 1);
}

static struct sck_metric *
refuse(void)
{
    atomic_fetch_add(&all.refused.value, 1);
    return &all.sink;
}

static struct sck_metric *
get(enum metric_type type, const char *name, const char *help, const char *labels)
{
    const struct sck_metric *family = NULL;
    struct sck_metric *head = atomic_load_explicit(&all.head, memory_order_acquire);
    struct sck_metric *found = look_up(head, NULL, name, labels, &family);
    if (family != NULL && family->type != type)
        return refuse();
    if (found != NULL)
        return found;
    if (!name_is_good(name, type) || !labels_are_good(labels))
        return refuse();
    (void)sck_fork_register(SCK_FORK_METRIC, NULL, NULL, start_from_zero);
    struct sck_metric *made = new_series(type, name, family != NULL ? family->help : help, labels);
    if (made == NULL)
        return refuse();
    for (;;) {
        made->next = head;
        struct sck_metric *seen = head;
        if (atomic_compare_exchange_strong_explicit(&all.head, &head, made, memory_order_acq_rel,
                                                    memory_order_acquire))
            return made;
        /* Others were faster: one of theirs may be the same. */
        found = look_up(head, seen, name, labels, &family);
        bool clash = family != NULL && family->type != type;
        if (found != NULL || clash) {
            free_series(made);
            return clash ? refuse() : found;
        }
    }
}

struct sck_metric *
sck_metric_counter(const char *name, const char *help, const char *labels)
{
    return get(COUNTER, name, help, labels);
}

struct sck_metric *
sck_metric_gauge(const char *name, const char *help, const char *labels)
{
    return get(GAUGE, name, help, labels);
}

struct sck_metric *
sck_metric_histogram(const char *name, const char *help, const char *labels)
{
    return get(HISTOGRAM, name, help, labels);
}

void
sck_metric_add(struct sck_metric *metric, int64_t n)
{
    if (metric->type != HISTOGRAM)
        atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

void
sck_metric_set(struct sck_metric *metric, int64_t value)
{
    if (metric->type == GAUGE)
        atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void
sck_metric_observe(struct sck_metric *metric, int64_t us)
{
    if (metric->type != HISTOGRAM)
        return;
    if (us < 0)
        us = 0;
    size_t i = 0;
    while (i < BOUNDS && us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->value, us, memory_order_relaxed);
}

int64_t
sck_metric_get(const struct sck_metric *metric)
{
    if (metric->type != HISTOGRAM)
        return atomic_load_explicit(&metric->value, memory_order_relaxed);
    uint64_t events = 0;
    for (size_t i = 0; i <= BOUNDS; i++)
        events += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    return (int64_t)events;
}

static int
compare(const void *a, const void *b)
{
    const struct sck_metric *x = *(struct sck_metric *const *)a;
    const struct sck_metric *y = *(struct sck_metric *const *)b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->labels, y->labels);
}

/* HELP text of format 0.0.4 escapes the backslash and the line feed alone. */
static void
format_head(const struct sck_metric *m, struct sck_buf *out)
{
    static const char *const types[] = {[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
    sck_buf_printf(out, "# HELP %s ", m->name);
    for (const char *p = m->help; *p != '\0'; p++) {
        if (*p == '\\' || *p == '\n')
            sck_buf_put_str(out, *p == '\\' ? "\\\\" : "\\n");
        else
            sck_buf_put(out, p, 1);
    }
    sck_buf_printf(out, "\n# TYPE %s %s\n", m->name, types[m->type]);
}

static void
format_series(const struct sck_metric *m, struct sck_buf *out)
{
    const char *open = m->labels[0] != '\0' ? "{" : "";
    const char *close = m->labels[0] != '\0' ? "}" : "";
    int64_t value = atomic_load_explicit(&m->value, memory_order_relaxed);
    if (m->type != HISTOGRAM) {
        sck_buf_printf(out, "%s%s%s%s %" PRId64 "\n", m->name, open, m->labels, close, value);
        return;
    }
    const char *comma = m->labels[0] != '\0' ? "," : "";
    uint64_t events = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        events += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        sck_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", m->name, m->labels, comma,
                       i < BOUNDS ? bounds[i].le : "+Inf", events);
    }
    sck_buf_printf(out, "%s_sum%s%s%s %" PRId64 ".%06" PRId64 "\n", m->name, open, m->labels, close,
                   value / 1000000, value % 1000000);
    sck_buf_printf(out, "%s_count%s%s%s %" PRIu64 "\n", m->name, open, m->labels, close, events);
}

void
sck_metrics_format(struct sck_buf *out)
{
    struct sck_metric *sorted[SCK_METRIC_SERIES_MAX + 1];
    size_t n = 0;
    for (struct sck_metric *m = atomic_load_explicit(&all.head, memory_order_acquire); m != NULL; m = m->next)
        sorted[n++] = m;
    if (atomic_load(&all.refused.value) != 0)
        sorted[n++] = &all.refused;
    qsort(sorted, n, sizeof sorted[0], compare);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(sorted[i - 1]->name, sorted[i]->name) != 0)
            format_head(sorted[i], out);
        format_series(sorted[i], out);
    }
}
