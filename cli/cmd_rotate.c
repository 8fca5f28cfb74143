/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_scope scope;
    struct sck_owner_info owner;
    enum sck_code code = sck_cli_owner_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_kek_rotate(cli->service, &scope, &owner, err);
    if (code == SCK_OK && !cli->globals.quiet)
        code = sck_cli_print_owner(cli, &owner, err);
    return code;
}

const struct sck_command sck_cmd_rotate = {
    .name = "rotate",
    .summary = "make a new version of a KEK",
    .operands = "SCOPE|files",
    .examples = "scopekey rotate subject/alice\n"
                "scopekey rotate files\n",
    .details = "New data keys are wrapped under the new version from now on; older ones open as before, and `scopekey "
               "rewrap` moves them. `files` is the KEK of the files that belong to nobody.\n",
    .operand = SCK_OPERAND_SCOPE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
