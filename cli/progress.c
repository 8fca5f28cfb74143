/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include "lib/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define BAR_EVERY_US INT64_C(100000)
#define LINE_EVERY_US INT64_C(1000000)

struct sck_cli_work
sck_cli_work_begin(const struct sck_cli *cli)
{
    return (struct sck_cli_work){.cli = cli};
}

static json_t *
report_json(const char *event, const struct sck_rewrap_report *r)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "event", event, "total", (json_int_t)r->total,
                     "owners", (json_int_t)r->owners, "seen", (json_int_t)r->seen, "stale", (json_int_t)r->stale,
                     "moved", (json_int_t)r->moved, "failed", (json_int_t)r->failed, "retired",
                     (json_int_t)r->retired, "kept", (json_int_t)r->kept);
}

static void
show_bar(const struct sck_rewrap_report *r)
{
    char bar[BAR_WIDTH + 1];
    if (r->total <= 0) {
        (void)fprintf(stderr, "\r\033[K%lld seen, %lld moved, %lld failed", (long long)r->seen, (long long)r->moved,
                      (long long)r->failed);
        return;
    }
    int64_t seen = r->seen < r->total ? r->seen : r->total;
    size_t full = (size_t)(seen * BAR_WIDTH / r->total);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full);
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %3d%%  %lld moved, %lld failed", bar, (int)(seen * 100 / r->total),
                  (long long)r->moved, (long long)r->failed);
}

void
sck_cli_work_progress(void *arg, const struct sck_rewrap_report *so_far)
{
    struct sck_cli_work *w = arg;
    struct sck_err ignored = SCK_ERR_INIT;
    int64_t now = sck_monotonic_us(sck_clock_system());
    bool terminal = !w->cli->globals.quiet && isatty(STDERR_FILENO) != 0;
    if (w->cli->globals.json ? now < w->shown_us + LINE_EVERY_US : !terminal || now < w->shown_us + BAR_EVERY_US)
        return;
    w->shown_us = now;
    if (w->cli->globals.json) {
        if (sck_cli_print_json(stdout, report_json("progress", so_far), &ignored) == SCK_OK)
            (void)fflush(stdout);
        return;
    }
    w->bar = true;
    show_bar(so_far);
    (void)fflush(stderr);
}

void
sck_cli_work_end(struct sck_cli_work *work)
{
    if (work->bar)
        (void)fputs("\r\033[K", stderr);
    work->bar = false;
}

void
sck_cli_work_problem(void *arg, const char *line)
{
    struct sck_cli_work *w = arg;
    struct sck_err ignored = SCK_ERR_INIT;
    sck_cli_work_end(w);
    if (!w->cli->globals.json ||
        sck_cli_print_json(stderr, json_pack("{s:s%, s:s}", "problem", line, strlen(line), "event", "problem"),
                           &ignored) != SCK_OK)
        (void)fprintf(stderr, "scopekey: %s\n", line);
}

static enum sck_code
print_counts(const struct sck_cli *cli, const struct sck_rewrap_report *r, struct sck_err *err)
{
    enum sck_code code = SCK_OK;
    for (size_t i = 0; code == SCK_OK && i < r->under_count; i++) {
        const char *keeper = sck_keeper_kind_name(r->under[i].keeper);
        if (cli->globals.json)
            code = sck_cli_print_json(stdout,
                                      json_pack("{s:s, s:s, s:I, s:I}", "event", "version", "keeper", keeper,
                                                "kek_version", (json_int_t)r->under[i].version, "data_keys",
                                                (json_int_t)r->under[i].blobs),
                                      err);
        else
            (void)printf("keeper %s, KEK version %u: %lld data keys\n", keeper, (unsigned)r->under[i].version,
                         (long long)r->under[i].blobs);
    }
    if (code == SCK_OK && r->under_others > 0 && !cli->globals.json)
        (void)printf("other versions: %lld data keys\n", (long long)r->under_others);
    return code;
}

enum sck_code
sck_cli_work_report(struct sck_cli *cli, const struct sck_rewrap_report *r, bool dry_run, struct sck_err *err)
{
    enum sck_code code = dry_run ? print_counts(cli, r, err) : SCK_OK;
    if (r->failed > 0)
        cli->status = SCK_EXIT_PARTIAL;
    if (code != SCK_OK || (cli->globals.quiet && !cli->globals.json))
        return code;
    if (cli->globals.json)
        return sck_cli_print_json(stdout, report_json(dry_run ? "dry_run" : "done", r), err);
    if (dry_run) {
        (void)printf("%lld of %lld data keys would be moved, %lld cannot be read\n", (long long)r->stale,
                     (long long)r->seen, (long long)r->failed);
        return SCK_OK;
    }
    (void)printf("%lld data keys looked at, %lld moved, %lld failed\n", (long long)r->seen, (long long)r->moved,
                 (long long)r->failed);
    if (r->retired > 0)
        (void)printf("%lld old KEK versions retired\n", (long long)r->retired);
    if (r->kept > 0)
        (void)printf("%lld old KEK versions kept: data keys are under them, or were handed out to programs\n",
                     (long long)r->kept);
    return SCK_OK;
}

enum sck_code
sck_cli_owner_read(const char *text, struct sck_scope *out, struct sck_err *err)
{
    if (strcmp(text, "files") == 0) {
        *out = (struct sck_scope){.kind = SCK_SCOPE_FILE};
        return SCK_OK;
    }
    enum sck_code code = sck_cli_scope_read(text, out, err);
    if (code == SCK_OK && out->kind != SCK_SCOPE_SUBJECT && out->kind != SCK_SCOPE_CLIENT)
        code = sck_fail(err, SCK_E_USAGE, "\"%s\" has no KEK of its own: write subject/ID, client/ID or files", text);
    return code;
}
