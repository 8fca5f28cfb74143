/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_key_info key;
    enum sck_code code = sck_cli_key_find(cli, operands[0], &key, err);
    return code != SCK_OK ? code : sck_cli_print_key(cli, &key, err);
}

const struct sck_command sck_cmd_key_show = {
    .name = "key show",
    .summary = "show one key and its public half",
    .operands = "URI|KEY_ID",
    .examples = "scopekey key show scopekey:subject/alice/tls\n"
                "scopekey key show 'scopekey:subject/alice/tls?version=1'\n"
                "scopekey key show subject/alice/tls --json | jq -r .public_key\n",
    .details = "Needs no PIN.\n",
    .operand = SCK_OPERAND_KEY,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
