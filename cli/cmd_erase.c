/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "cli/confirm.h"
#include "cli/receipt.h"
#include "lib/base/text.h"
#include "lib/service/filecrypt.h"

#include <stdio.h>
#include <string.h>

struct values {
    bool yes;
};

static const struct sck_option options[] = {
    {'y', "yes", SCK_OPTION_FLAG, offsetof(struct values, yes), NULL, "do not ask (needed where there is no terminal)",
     NULL, 0, 0},
    {0},
};

/* A scope as it is written, or else a path: the scope of the encrypted file there. */
static enum sck_code
target_read(struct sck_cli *cli, const char *text, struct sck_scope *scope, struct sck_err *err)
{
    static const char *const kinds[] = {"subject/", "client/", "file/", "system/"};
    bool is_scope = sck_uri_has_scheme(text);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        is_scope = is_scope || strncmp(text, kinds[i], strlen(kinds[i])) == 0;
    if (is_scope)
        return sck_cli_scope_read(text, scope, err);
    struct sck_file_info info;
    enum sck_code code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_file_info(cli->service, text, &info, err);
    if (code != SCK_OK)
        return code;
    char file_id[SCK_UUID_TEXT];
    sck_uuid_format(info.file_id, file_id);
    return sck_scope_make(SCK_SCOPE_FILE, file_id, strlen(file_id), scope, err);
}

static enum sck_code
erase(struct sck_cli *cli, const struct sck_scope *scope, const char *name, struct sck_err *err)
{
    struct sck_buf receipt;
    sck_buf_init(&receipt, SCK_RECEIPT_MAX);
    enum sck_code code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_erase(cli->service, scope, sck_cli_progress, cli, &receipt, err);
    if (code == SCK_OK)
        code = sck_cli_receipt_print(cli, name, &receipt, err);
    sck_buf_clear(&receipt);
    return code;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    struct sck_scope scope;
    char name[SCK_SCOPE_TEXT_MAX + 1];
    enum sck_code code = target_read(cli, operands[0], &scope, err);
    if (code != SCK_OK)
        return code;
    if (scope.kind == SCK_SCOPE_SYSTEM)
        return sck_fail(err, SCK_E_USAGE, "erase: system scopes are Scopekey's own and are not erased");
    sck_scope_text(&scope, name);
    if (!v->yes)
        code = sck_confirm("erase", name, err);
    return code != SCK_OK ? code : erase(cli, &scope, name, err);
}

const struct sck_command sck_cmd_erase = {
    .name = "erase",
    .summary = "erase a subject, a client or a file for good, and sign a receipt",
    .operands = "SCOPE|FILE",
    .examples = "scopekey erase subject/alice --yes\n"
                "scopekey erase file/018f3c1e-7b2a-7c3d-8e4f-0123456789ab --yes\n"
                "scopekey erase ./letter.sk --yes\n",
    .details = "Destroys the subject's KEK at its keeper, and with it every key and file of the subject, backups "
               "included as far as the receipt says. A run that was interrupted is finished by the next command. "
               "Erasing again prints the stored receipt.\n",
    .operand = SCK_OPERAND_SCOPE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
