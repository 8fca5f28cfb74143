/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

struct report {
    struct sck_cli *cli;
    unsigned problems;
    enum sck_code code;
    struct sck_err *err;
};

static void
finding(void *arg, const char *area, const char *what, const char *cure)
{
    struct report *r = arg;
    if (cure != NULL)
        r->problems++;
    if (r->cli->globals.json) {
        enum sck_code code = sck_cli_print_json(stdout,
                                                json_pack("{s:s, s:b, s:s, s:s?}", "area", area, "ok",
                                                          cure == NULL ? 1 : 0, "what", what, "cure", cure),
                                                r->err);
        if (r->code == SCK_OK)
            r->code = code;
    } else if (cure != NULL) {
        (void)printf("PROBLEM %s: %s\n        cure: %s\n", area, what, cure);
    } else if (!r->cli->globals.quiet) {
        (void)printf("ok      %s: %s\n", area, what);
    }
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    struct report r = {cli, 0, SCK_OK, err};
    struct sck_err first = SCK_ERR_INIT;
    const struct sck_open how = sck_cli_how(cli);
    enum sck_code code = sck_doctor(&how, finding, &r, &first);
    if (r.code != SCK_OK)
        return r.code;
    if (code != SCK_OK && r.problems == 0) {
        finding(&r, "configuration", first.message, "see the message");
    }
    if (r.problems > 0)
        cli->status = SCK_EXIT_DOCTOR;
    if (!cli->globals.json && !cli->globals.quiet)
        (void)printf(r.problems == 0 ? "all well\n" : r.problems == 1 ? "1 problem\n" : "%u problems\n", r.problems);
    return SCK_OK;
}

const struct sck_command sck_cmd_doctor = {
    .name = "doctor",
    .summary = "check token, masters, catalog, keeper and permissions; name each problem and its cure",
    .operands = "",
    .examples = "scopekey doctor\nscopekey doctor --json\n",
    .details = "Exits 9 when anything is wrong. Nothing is changed.\n",
    .options = options,
    .run = run,
};
