/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/keepers.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

struct report {
    struct sck_cli *cli;
    enum sck_code code;     /* of printing */
    struct sck_err *err;
};

static void
step(void *arg, const char *name, int64_t duration_us, const char *problem)
{
    struct report *r = arg;
    if (r->cli->globals.json) {
        enum sck_code code = sck_cli_print_json(stdout,
                                                json_pack("{s:s, s:b, s:I, s:s?}", "step", name, "ok",
                                                          problem == NULL ? 1 : 0, "duration_us",
                                                          (json_int_t)duration_us, "problem", problem),
                                                r->err);
        if (r->code == SCK_OK)
            r->code = code;
    } else if (problem != NULL) {
        (void)printf("FAILED  %-7s %s\n", name, problem);
    } else if (!r->cli->globals.quiet) {
        (void)printf("ok      %-7s %lld us\n", name, (long long)duration_us);
    }
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    struct report r = {cli, SCK_OK, err};
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code code = sck_cli_open(cli, err);
    if (code != SCK_OK)
        return code;
    code = sck_keeper_try(cli->service, step, &r, &why);
    if (code != SCK_OK) {
        sck_err_prefix(&why, "keeper test failed");
        sck_cli_print_error(cli, &why);
        cli->status = SCK_EXIT_KEEPER;
    }
    return r.code;
}

const struct sck_command sck_cmd_keeper_test = {
    .name = "keeper test",
    .summary = "try the configured keeper: make a KEK, use it in every way, erase it, see that it is gone",
    .operands = "",
    .examples = "scopekey keeper test\nscopekey keeper test --json\n",
    .details = "Needs the right to make and to destroy KEKs. Exits 5 when a step fails; the KEK is erased whatever fails. Its name "
               "is the key prefix, \"-trial-\" and a random word.\n",
    .options = options,
    .run = run,
};
