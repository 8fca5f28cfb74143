/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_scope scope;
    char name[128], text[SCK_SCOPE_TEXT_MAX + 1];
    enum sck_code code = sck_cli_subject_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_owner_kek_name(cli->service, &scope, name, err);
    if (code != SCK_OK)
        return code;
    sck_scope_text(&scope, text);
    if (cli->globals.json)
        return sck_cli_print_json(stdout, json_pack("{s:s, s:s}", "scope", text, "kek_name", name), err);
    (void)printf("%s\n", name);
    return SCK_OK;
}

const struct sck_command sck_cmd_subject_name = {
    .name = "subject name",
    .summary = "print the name that a subject's KEK has, or would get, at the keeper",
    .operands = "SUBJECT",
    .examples = "scopekey subject name alice\n",
    .operand = SCK_OPERAND_SUBJECT,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
