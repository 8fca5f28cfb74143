/* SPDX-License-Identifier: MIT */
#include "cli/receipt.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    json_t *receipt = NULL;
    enum sck_code code = sck_cli_receipt_read(operands[0], &receipt, err);
    if (code != SCK_OK)
        return code;
    if (cli->globals.json)
        return sck_cli_print_json(stdout, receipt, err);
    (void)printf("%s (signature not checked: `scopekey receipt verify`)\n", operands[0]);
    sck_cli_receipt_show(receipt);
    json_decref(receipt);
    return SCK_OK;
}

const struct sck_command sck_cmd_receipt_show = {
    .name = "receipt show",
    .summary = "show what an erasure receipt says, without checking it",
    .operands = "FILE",
    .examples = "scopekey receipt show receipt.json\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
