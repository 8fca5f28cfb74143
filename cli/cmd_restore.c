/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "cli/confirm.h"

#include <stdio.h>

struct values {
    bool yes;
};

static const struct sck_option restore_options[] = {
    {'y', "yes", SCK_OPTION_FLAG, offsetof(struct values, yes), NULL, "do not ask (needed where there is no terminal)",
     NULL, 0, 0},
    {0},
};
static const struct sck_option none[] = {{0}};

static enum sck_code
reconcile(struct sck_cli *cli, struct sck_err *err)
{
    enum sck_code code = sck_reconcile(cli->service, sck_cli_progress, cli, err);
    if (code == SCK_OK)
        sck_cli_progress(cli, "reconciled: the catalog may start");
    return code;
}

static enum sck_code
run_restore(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    const struct values *v = values;
    char aside[4096];
    (void)count;
    enum sck_code code = SCK_OK;
    if (!v->yes)
        code = sck_confirm("restore", operands[0], err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_restore(cli->service, operands[0], aside, err);
    if (code != SCK_OK)
        return code;
    if (cli->globals.json)
        code = sck_cli_print_json(stdout, json_pack("{s:s, s:s?}", "restored", operands[0], "aside",
                                                    aside[0] != '\0' ? aside : NULL), err);
    else if (!cli->globals.quiet)
        (void)printf("restored from %s%s%s\n", operands[0], aside[0] != '\0' ? "; the old catalog is " : "", aside);
    if (code == SCK_OK)
        code = reconcile(cli, err);
    if (code != SCK_OK)
        sck_err_prefix(err, "the backup is in place, but it does not start before `scopekey reconcile` has done its work");
    return code;
}

static enum sck_code
run_reconcile(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    enum sck_code code = sck_cli_open(cli, err);
    return code == SCK_OK ? reconcile(cli, err) : code;
}

const struct sck_command sck_cmd_restore = {
    .name = "restore",
    .summary = "put a backup in the catalog's place, and reconcile it",
    .operands = "FILE",
    .examples = "scopekey restore /backup/monday.db --yes\n",
    .details = "Stop every process that uses the set-up before. FILE.json must lie beside FILE. The catalog that was there "
               "is kept beside the new one, under a name with the time in it: destroy it when you need it no more.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = restore_options,
    .values_size = sizeof(struct values),
    .run = run_restore,
};

const struct sck_command sck_cmd_reconcile = {
    .name = "reconcile",
    .summary = "make a catalog or a Vault that was set back agree with what was erased since",
    .operands = "",
    .examples = "scopekey reconcile\n",
    .details = "Replays the erasure log, erases again what came back, asks every keeper for the KEKs that were erased, and "
               "gives GCM keys new versions. It may be run again at any time.\n",
    .options = none,
    .run = run_reconcile,
};
