/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_key_info key, made;
    enum sck_code code = sck_cli_key_find(cli, operands[0], &key, err);
    if (code == SCK_OK)
        code = sck_key_rotate(cli->service, &key, &made, err);
    if (code == SCK_OK && !cli->globals.quiet)
        code = sck_cli_print_key(cli, &made, err);
    return code;
}

const struct sck_command sck_cmd_key_rotate = {
    .name = "key rotate",
    .summary = "make a new current version of a key",
    .operands = "URI|KEY_ID",
    .examples = "scopekey key rotate scopekey:subject/alice/data\n",
    .details = "Older versions go on opening what they sealed, and make nothing new.\n",
    .operand = SCK_OPERAND_KEY,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
