/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/base/text.h"

#include <stdio.h>
#include <string.h>

static const struct sck_option none[] = {{0}};

static enum sck_code
print_backup(void *arg, const struct sck_backup_info *b, struct sck_err *err)
{
    const struct sck_cli *cli = arg;
    char id[SCK_UUID_TEXT], created[SCK_TIME_TEXT], expires[SCK_TIME_TEXT];
    sck_uuid_format(b->id, id);
    if (cli->globals.json)
        return sck_cli_print_json(
            stdout,
            json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:o, s:o, s:o}", "id", id, "state", b->state, "path", b->path,
                      "epoch", (int)b->epoch, "generation", (json_int_t)b->generation, "erasures",
                      (json_int_t)b->tombstones, "size", (json_int_t)b->size, "created", sck_cli_json_time(b->created_s),
                      "expires", sck_cli_json_time(b->expires_s), "confirmed", sck_cli_json_time(b->confirmed_s)),
            err);
    sck_time_format(b->created_s, created);
    sck_time_format(b->expires_s, expires);
    (void)printf("%s  %-9s  %s  epoch %-3u  %lld erasures  %s\n", id, b->state, created, b->epoch,
                 (long long)b->tombstones, b->path);
    if (strcmp(b->state, "made") == 0)
        (void)printf("  not confirmed: copy it where it is to stay, then `scopekey backup confirm %s`\n", id);
    (void)printf("  destroy it by %s; from then on it may open nothing any more\n", expires);
    return SCK_OK;
}

static enum sck_code
id_read(const char *text, uint8_t id[16], struct sck_err *err)
{
    if (sck_uuid_parse(text, strlen(text), id))
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "\"%s\" is no backup's id: see `scopekey backup list`", text);
}

/* What a crash, or a keeper that was away, left to do is done on this occasion. */
static enum sck_code
open_and_resume(struct sck_cli *cli, struct sck_err *err)
{
    enum sck_code code = sck_cli_open(cli, err);
    return code == SCK_OK ? sck_resume(cli->service, err) : code;
}

static enum sck_code
create(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    struct sck_backup_info info;
    (void)values;
    (void)count;
    enum sck_code code = open_and_resume(cli, err);
    if (code == SCK_OK)
        code = sck_backup_make(cli->service, operands[0], &info, err);
    return code == SCK_OK && !cli->globals.quiet ? print_backup(cli, &info, err) : code;
}

static enum sck_code
confirm(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    struct sck_backup_info info;
    uint8_t id[16];
    (void)values;
    enum sck_code code = id_read(operands[0], id, err);
    if (code == SCK_OK)
        code = open_and_resume(cli, err);
    if (code == SCK_OK)
        code = sck_backup_confirm(cli->service, id, count > 1 ? operands[1] : NULL, &info, err);
    return code == SCK_OK && !cli->globals.quiet ? print_backup(cli, &info, err) : code;
}

static enum sck_code
list(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    enum sck_code code = sck_cli_open(cli, err);
    return code == SCK_OK ? sck_backup_each(cli->service, print_backup, cli, err) : code;
}

static enum sck_code
forget(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    uint8_t id[16];
    (void)values;
    (void)count;
    enum sck_code code = id_read(operands[0], id, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    return code == SCK_OK ? sck_backup_forget(cli->service, id, err) : code;
}

const struct sck_command sck_cmd_backup_create = {
    .name = "backup create",
    .summary = "write a registered copy of the catalog, with its manifest beside it",
    .operands = "DIR|FILE",
    .examples = "scopekey backup create /backup\nscopekey backup create /backup/monday.db --json | jq -r .id\n",
    .details = "The catalog stays in use meanwhile. Keep FILE and FILE.json together. The token (or Vault) is backed up "
               "by its own means.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = none,
    .run = create,
};

const struct sck_command sck_cmd_backup_confirm = {
    .name = "backup confirm",
    .summary = "read a copy back from where it lies, and note that it is whole",
    .operands = "ID [FILE]",
    .examples = "scopekey backup confirm 018f3c1e-7b2a-7c3d-8e4f-0123456789ab /mnt/safe/monday.db\n",
    .details = "Without FILE the copy is read where it was written. Only a confirmed backup lets an old epoch key be "
               "destroyed.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 2,
    .options = none,
    .run = confirm,
};

const struct sck_command sck_cmd_backup_list = {
    .name = "backup list",
    .summary = "list the registered backups, oldest first",
    .operands = "",
    .examples = "scopekey backup list\n",
    .options = none,
    .run = list,
};

const struct sck_command sck_cmd_backup_forget = {
    .name = "backup forget",
    .summary = "take a backup that was destroyed off the list",
    .operands = "ID",
    .examples = "scopekey backup forget 018f3c1e-7b2a-7c3d-8e4f-0123456789ab\n",
    .details = "The file itself is not touched.\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = none,
    .run = forget,
};
