/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "cli/confirm.h"

#include <stdio.h>

struct values {
    bool yes;
};

static const struct sck_option options[] = {
    {'y', "yes", SCK_OPTION_FLAG, offsetof(struct values, yes), NULL, "do not ask", NULL, 0, 0},
    {0},
};

static enum sck_code
destroy(struct sck_cli *cli, bool yes, const struct sck_key_info *key, struct sck_err *err)
{
    struct sck_buf label;
    sck_buf_init(&label, SCK_LABEL_MAX + 16);
    sck_label_format(&key->scope, key->name, &label);
    enum sck_code code = yes ? SCK_OK : sck_confirm("key destroy", sck_buf_str(&label), err);
    if (code == SCK_OK)
        code = sck_key_destroy(cli->service, key, err);
    if (code == SCK_OK && cli->globals.json)
        code = sck_cli_print_json(stdout,
                                  json_pack("{s:s+, s:s, s:I}", "destroyed", "scopekey:", sck_buf_str(&label),
                                            "key_id", key->key_id, "versions", (json_int_t)key->current_version),
                                  err);
    else if (code == SCK_OK && !cli->globals.quiet)
        (void)printf("destroyed scopekey:%s (%s), %u version%s\n", sck_buf_str(&label), key->key_id,
                     key->current_version, key->current_version == 1 ? "" : "s");
    sck_buf_clear(&label);
    return code;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    struct sck_key_info key;
    enum sck_code code = sck_cli_key_find(cli, operands[0], &key, err);
    return code != SCK_OK ? code : destroy(cli, v->yes, &key, err);
}

const struct sck_command sck_cmd_key_destroy = {
    .name = "key destroy",
    .summary = "destroy a key and all its versions for good",
    .operands = "URI|KEY_ID",
    .examples = "scopekey key destroy scopekey:subject/alice/tls --yes\n",
    .details = "Its name and key id then answer \"erased\" for ever. Everything that only this key opens is lost.\n",
    .operand = SCK_OPERAND_KEY,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
