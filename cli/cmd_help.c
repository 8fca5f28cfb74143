/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)cli;
    (void)values;
    struct sck_parsed topic = {0};
    char name[64] = "";
    int n = 0;
    if (count > 0)
        n = snprintf(name, sizeof name, "%s%s%s", operands[0], count > 1 ? " " : "", count > 1 ? operands[1] : "");
    size_t len = strlen(name);
    if (count > 0 && n > 0 && (size_t)n < sizeof name) {
        topic.command = sck_command_find(sck_cli_commands, name);
        for (size_t i = 0; topic.command == NULL && topic.group == NULL && sck_cli_commands[i] != NULL; i++) {
            if (strncmp(sck_cli_commands[i]->name, name, len) == 0 && sck_cli_commands[i]->name[len] == ' ')
                topic.group = name;
        }
    }
    if (count > 0 && topic.command == NULL && topic.group == NULL)
        return sck_fail(err, SCK_E_USAGE, "help: there is no command \"%s\": `scopekey --help` lists them", name);
    sck_cli_help(&topic);
    return SCK_OK;
}

const struct sck_command sck_cmd_help = {
    .name = "help",
    .summary = "show help for a command",
    .operands = "[COMMAND]",
    .examples = "scopekey help\nscopekey help key create\n",
    .operand = SCK_OPERAND_COMMAND,
    .max_operands = 2,
    .options = options,
    .run = run,
};
