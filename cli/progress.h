/* SPDX-License-Identifier: MIT */
/* How long work on many data keys speaks: a bar on terminals, lines of JSON with --json, else nothing until its end. */
#ifndef SCK_CLI_PROGRESS_H
#define SCK_CLI_PROGRESS_H

#include "cli/cli.h"
#include "lib/service/rewrap.h"

struct sck_cli_work {
    const struct sck_cli *cli;
    int64_t shown_us;           /* when the last progress was shown; 0: never */
    bool bar;                   /* there is a bar on the terminal's line */
};
/* Begin: `work` is the `arg` of the two functions below. */
struct sck_cli_work sck_cli_work_begin(const struct sck_cli *cli);
/* sck_rewrap_progress_fn */
void sck_cli_work_progress(void *arg, const struct sck_rewrap_report *so_far);
/* sck_progress_fn: one thing that could not be done, on stderr. */
void sck_cli_work_problem(void *arg, const char *line);
/* Take the bar away. */
void sck_cli_work_end(struct sck_cli_work *work);
/*
 * Print the report, and set the exit status to "part failed" when something did.  `dry_run`: what would be done, and
 * what is under which version.
 */
SCK_MUST_CHECK enum sck_code sck_cli_work_report(struct sck_cli *cli, const struct sck_rewrap_report *report,
                                                 bool dry_run, struct sck_err *err);
/* "files", "subject/alice" or "client/x": whose KEK. */
SCK_MUST_CHECK enum sck_code sck_cli_owner_read(const char *text, struct sck_scope *out, struct sck_err *err);

#endif
