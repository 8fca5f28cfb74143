/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <openssl/crypto.h>
#include <stdio.h>

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    const char *openssl = OpenSSL_version(OPENSSL_VERSION_STRING);
    if (cli->globals.json)
        return sck_cli_print_json(stdout, json_pack("{s:s, s:s}", "version", PACKAGE_VERSION, "openssl", openssl), err);
    (void)printf("scopekey %s (OpenSSL %s)\n", PACKAGE_VERSION, openssl);
    return SCK_OK;
}

const struct sck_command sck_cmd_version = {
    .name = "version",
    .summary = "print the version",
    .operands = "",
    .examples = "scopekey version\n",
    .options = options,
    .run = run,
};
