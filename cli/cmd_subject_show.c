/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_scope scope;
    struct sck_owner_info owner;
    enum sck_code code = sck_cli_subject_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_owner_find(cli->service, &scope, &owner, err);
    return code != SCK_OK ? code : sck_cli_print_owner(cli, &owner, err);
}

const struct sck_command sck_cmd_subject_show = {
    .name = "subject show",
    .summary = "show one subject and its KEK",
    .operands = "SUBJECT",
    .examples = "scopekey subject show alice\n",
    .operand = SCK_OPERAND_SUBJECT,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
