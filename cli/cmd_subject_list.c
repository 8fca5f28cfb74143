/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
print_line(void *arg, const struct sck_owner_info *owner, struct sck_err *err)
{
    const struct sck_cli *cli = arg;
    if (owner->scope.kind != SCK_SCOPE_SUBJECT)
        return SCK_OK;
    if (cli->globals.json)
        return sck_cli_print_owner(cli, owner, err);
    char scope[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(&owner->scope, scope);
    (void)printf("%-40s  generation %-3u  %-8s  keeper %s\n", scope, owner->generation,
                 owner->active ? "active" : "creating", sck_keeper_kind_name(owner->keeper));
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    enum sck_code code = sck_cli_open(cli, err);
    return code != SCK_OK ? code : sck_owner_each(cli->service, print_line, cli, err);
}

const struct sck_command sck_cmd_subject_list = {
    .name = "subject list",
    .summary = "list the living subjects",
    .operands = "",
    .examples = "scopekey subject list\nscopekey subject list --json | jq -r .id\n",
    .options = options,
    .run = run,
};
