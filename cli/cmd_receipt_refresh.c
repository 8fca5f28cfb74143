/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

static const struct sck_option options[] = {{0}};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    enum sck_code code = sck_cli_open(cli, err);
    /* Said aloud here; the same again, in silence, is part of resuming. */
    if (code == SCK_OK)
        code = sck_epoch_retire(cli->service, sck_cli_progress, cli, err);
    return code == SCK_OK ? sck_resume(cli->service, err) : code;
}

const struct sck_command sck_cmd_receipt_refresh = {
    .name = "receipt refresh",
    .summary = "finish erasures that wait, and issue the receipts of those that are complete now",
    .operands = "",
    .examples = "scopekey receipt refresh\n",
    .details = "A daemon does the same when it starts. The new receipt names the one it replaces; `scopekey erase` of the "
               "same scope prints it.\n",
    .options = options,
    .run = run,
};
