/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/keepers.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    size_t imported = 0, known = 0;
    const char *file = operands[0];
    enum sck_code code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_keeper_import(cli->service, file, &imported, &known, err);
    if (code != SCK_OK)
        return code;
    (void)fprintf(stderr,
                  "scopekey: %s still holds the keys in clear: destroy it (shred -u) with its copies and backups, once "
                  "nothing else reads it\n",
                  file);
    if (cli->globals.json)
        return sck_cli_print_json(stdout, json_pack("{s:I, s:I}", "imported", (json_int_t)imported, "known",
                                                    (json_int_t)known), err);
    if (!cli->globals.quiet)
        (void)printf("%zu %s imported, %zu there already\n", imported, imported == 1 ? "key" : "keys", known);
    return SCK_OK;
}

const struct sck_command sck_cmd_keeper_import = {
    .name = "keeper import",
    .summary = "read the plain JSON key file of another program into keeper local",
    .operands = "FILE",
    .examples = "scopekey keeper import secrets.json\n",
    .details = "FILE is an object whose members are objects of value (base64 or hex of 32 bytes), content_type, enabled, "
               "created_on and expires_on. All of it is taken or nothing; FILE is left as it is.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
