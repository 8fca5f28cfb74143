/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

static const struct sck_option options[] = {{0}};

static enum sck_code
set_enabled(struct sck_cli *cli, const char *text, bool enabled, struct sck_err *err)
{
    struct sck_key_info key;
    enum sck_code code = sck_cli_key_find(cli, text, &key, err);
    if (code == SCK_OK)
        code = sck_key_set_enabled(cli->service, &key, enabled, err);
    if (code == SCK_OK && !cli->globals.quiet) {
        key.enabled = enabled;
        code = sck_cli_print_key(cli, &key, err);
    }
    return code;
}

static enum sck_code
run_enable(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    return set_enabled(cli, operands[0], true, err);
}

static enum sck_code
run_disable(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    return set_enabled(cli, operands[0], false, err);
}

const struct sck_command sck_cmd_key_enable = {
    .name = "key enable",
    .summary = "let a disabled key work again",
    .operands = "URI|KEY_ID",
    .examples = "scopekey key enable scopekey:subject/alice/tls\n",
    .operand = SCK_OPERAND_KEY,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run_enable,
};

const struct sck_command sck_cmd_key_disable = {
    .name = "key disable",
    .summary = "make a key refuse to work until it is enabled",
    .operands = "URI|KEY_ID",
    .examples = "scopekey key disable scopekey:subject/alice/tls\n",
    .operand = SCK_OPERAND_KEY,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run_disable,
};
