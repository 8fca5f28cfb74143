/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

struct values {
    bool again;
};

static const struct sck_option options[] = {
    {'\0', "again", SCK_OPTION_FLAG, offsetof(struct values, again), NULL,
     "the subject was erased and comes back: a new generation, the old data stays erased", NULL, 0, 0},
    {0},
};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    struct sck_scope scope;
    struct sck_owner_info made;
    enum sck_code code = sck_cli_subject_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_owner_create(cli->service, &scope, v->again, &made, err);
    if (code == SCK_OK && !cli->globals.quiet)
        code = sck_cli_print_owner(cli, &made, err);
    return code;
}

const struct sck_command sck_cmd_subject_create = {
    .name = "subject create",
    .summary = "provision a subject: make its KEK at the keeper",
    .operands = "SUBJECT",
    .examples = "scopekey subject create alice\nscopekey subject create alice --again\n",
    .details = "SUBJECT is the plain id, or its scope when it begins with subject/ (then percent-encoded).\n",
    .operand = SCK_OPERAND_SUBJECT,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
