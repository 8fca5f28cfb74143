/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include "lib/base/text.h"

#include <stdio.h>

struct values {
    bool epoch;
    bool status;
    bool retire;
};

static const struct sck_option options[] = {
    {'\0', "epoch", SCK_OPTION_FLAG, offsetof(struct values, epoch), NULL,
     "instead of a KEK: make keeper token's next epoch key, and put every KEK under it", NULL, 0, 0},
    {'\0', "retire", SCK_OPTION_FLAG, offsetof(struct values, retire), NULL,
     "with --epoch: make none, only destroy old epoch keys that are due", NULL, 0, 0},
    {'\0', "status", SCK_OPTION_FLAG, offsetof(struct values, status), NULL,
     "with --epoch: change nothing, show the epochs and what each waits for", NULL, 0, 0},
    {0},
};

static enum sck_code
print_epoch(void *arg, const struct sck_epoch_info *e, struct sck_err *err)
{
    const struct sck_cli *cli = arg;
    char created[SCK_TIME_TEXT], due[SCK_TIME_TEXT];
    if (cli->globals.json)
        return sck_cli_print_json(stdout,
                                  json_pack("{s:i, s:s, s:o, s:o, s:I, s:o, s:s?}", "epoch", (int)e->number, "state",
                                            e->state, "created", sck_cli_json_time(e->created_s), "moved",
                                            sck_cli_json_time(e->moved_s), "records", (json_int_t)e->messages, "due",
                                            sck_cli_json_time(e->due_s), "awaits",
                                            e->awaited[0] != '\0' ? e->awaited : NULL),
                                  err);
    sck_time_format(e->created_s, created);
    (void)printf("epoch %-4u  %-10s  since %s  %lld records sealed\n", e->number, e->state, created,
                 (long long)e->messages);
    if (e->due_s != 0) {
        sck_time_format(e->due_s, due);
        (void)printf("            its key may be destroyed from %s on\n", due);
    } else if (e->awaited[0] != '\0') {
        (void)printf("            waits for %s\n", e->awaited);
    }
    return SCK_OK;
}

static enum sck_code
rotate_epoch(struct sck_cli *cli, const struct values *v, struct sck_err *err)
{
    enum sck_code code = sck_cli_open(cli, err);
    if (code == SCK_OK && !v->status)
        code = v->retire ? sck_epoch_retire(cli->service, sck_cli_progress, cli, err)
                         : sck_epoch_rotate(cli->service, sck_cli_progress, cli, err);
    if (code == SCK_OK && !cli->globals.quiet)
        code = sck_epoch_each(cli->service, print_epoch, cli, err);
    return code;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    const struct values *v = values;
    struct sck_scope scope;
    struct sck_owner_info owner;
    if (v->epoch ? count > 0 : count == 0 || v->status || v->retire)
        return sck_fail(err, SCK_E_USAGE, "rotate: name a scope or `files`, or give --epoch (and then --status or "
                                          "--retire)");
    if (v->status && v->retire)
        return sck_fail(err, SCK_E_USAGE, "rotate: --status and --retire exclude each other");
    if (v->epoch)
        return rotate_epoch(cli, v, err);
    enum sck_code code = sck_cli_owner_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_kek_rotate(cli->service, &scope, &owner, err);
    if (code == SCK_OK && !cli->globals.quiet)
        code = sck_cli_print_owner(cli, &owner, err);
    return code;
}

const struct sck_command sck_cmd_rotate = {
    .name = "rotate",
    .summary = "make a new version of a KEK, or rotate the epoch over all of keeper token's",
    .operands = "SCOPE|files|--epoch",
    .examples = "scopekey rotate subject/alice\n"
                "scopekey rotate files\n"
                "scopekey rotate --epoch\n"
                "scopekey rotate --epoch --status\n",
    .details = "New data keys are wrapped under the new version from now on; older ones open as before, and `scopekey "
               "rewrap` moves them. `files` is the KEK of the files that belong to nobody.\n"
               "With --epoch: the key of an old epoch is destroyed when no KEK is under it, a backup made since is "
               "confirmed, and retire_epoch_days have passed since both. Backups from before open nothing from then on, "
               "for anybody, and the erasures that waited for it are complete. A run that was interrupted is finished "
               "by the next.\n",
    .operand = SCK_OPERAND_SCOPE,
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
