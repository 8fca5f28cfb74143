/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
print_line(void *arg, const struct sck_key_info *key, struct sck_err *err)
{
    const struct sck_cli *cli = arg;
    if (cli->globals.json)
        return sck_cli_print_key(cli, key, err);
    struct sck_buf label;
    sck_buf_init(&label, SCK_LABEL_MAX + 16);
    sck_label_format(&key->scope, key->name, &label);
    const struct sck_alg_info *alg = sck_alg_info(key->alg);
    (void)printf("scopekey:%-40s  %-11s  %-13s  v%-3u  %-8s  %s\n", sck_buf_str(&label),
                 alg != NULL ? alg->name : "?", sck_usage_name(key->usage), key->current_version,
                 key->enabled ? "enabled" : "disabled", key->key_id);
    sck_buf_clear(&label);
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    struct sck_scope scope;
    enum sck_code code = SCK_OK;
    if (count > 0)
        code = sck_cli_scope_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_key_each(cli->service, count > 0 ? &scope : NULL, print_line, cli, err);
    return code;
}

const struct sck_command sck_cmd_key_list = {
    .name = "key list",
    .summary = "list the keys of a scope, or all",
    .operands = "[SCOPE]",
    .examples = "scopekey key list\nscopekey key list subject/alice\nscopekey key list --json | jq -r .key_id\n",
    .details = "One line each, current versions. Needs no PIN.\n",
    .operand = SCK_OPERAND_SCOPE,
    .max_operands = 1,
    .options = options,
    .run = run,
};
