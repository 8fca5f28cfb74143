/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/filecrypt.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    enum sck_code code = sck_cli_open(cli, err);
    for (size_t i = 0; i < count && code == SCK_OK; i++) {
        struct sck_file_info info;
        code = sck_file_info(cli->service, operands[i], &info, err);
        if (code == SCK_OK)
            code = sck_cli_print_file(cli, stdout, operands[i], &info, err);
    }
    return code;
}

const struct sck_command sck_cmd_info = {
    .name = "info",
    .summary = "show an encrypted file's header and what the catalog knows of its key",
    .operands = "FILE...",
    .examples = "scopekey info letter.sk\nscopekey info --json *.sk | jq -r .owner\n",
    .details = "Decrypts nothing.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = SCK_OPERANDS_MAX,
    .options = options,
    .run = run,
};
