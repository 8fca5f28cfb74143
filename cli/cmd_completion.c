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
    (void)count;
    return sck_cli_print_completion(operands[0], err);
}

const struct sck_command sck_cmd_completion = {
    .name = "completion",
    .summary = "print the completion script of a shell",
    .operands = "bash|zsh",
    .examples = "scopekey completion bash > ~/.local/share/bash-completion/completions/scopekey\n"
                "scopekey completion zsh > ~/.zfunc/_scopekey\n",
    .details = "Packages install both already.\n",
    .operand = SCK_OPERAND_WORD,
    .min_operands = 1,
    .max_operands = 1,
    .word_at = sck_words_shell,
    .options = options,
    .run = run,
};

/* ---- what completion asks for: never a PIN, never a message ---- */

static enum sck_code
print_key(void *arg, const struct sck_key_info *key, struct sck_err *err)
{
    (void)arg;
    (void)err;
    struct sck_buf label;
    sck_buf_init(&label, SCK_LABEL_MAX + 16);
    sck_label_format(&key->scope, key->name, &label);
    (void)printf("%s\n", sck_buf_str(&label));
    sck_buf_clear(&label);
    return SCK_OK;
}

static enum sck_code
print_owner(void *arg, const struct sck_owner_info *owner, struct sck_err *err)
{
    (void)err;
    const bool *as_scope = arg;
    char scope[SCK_SCOPE_TEXT_MAX + 1];
    sck_scope_text(&owner->scope, scope);
    const char *id = scope + strlen("subject/");
    if (*as_scope)
        (void)printf("%s\n", scope);
    else if (owner->scope.kind == SCK_SCOPE_SUBJECT)
        /* A plain id is read as it stands; one that has to be escaped is offered as a scope. */
        (void)printf("%s\n", strcmp(id, owner->scope.id) == 0 ? id : scope);
    return SCK_OK;
}

static enum sck_code
run_names(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_open how = sck_cli_how(cli);
    how.ask_pin = NULL;
    enum sck_code code = sck_service_open(&how, &cli->service, err);
    if (code == SCK_OK && strcmp(operands[0], "keys") == 0)
        code = sck_key_each(cli->service, NULL, print_key, NULL, err);
    else if (code == SCK_OK) {
        bool as_scope = strcmp(operands[0], "scopes") == 0;
        code = sck_owner_each(cli->service, print_owner, &as_scope, err);
    }
    sck_err_clear(err);
    return SCK_OK;
}

const struct sck_command sck_cmd_names = {
    .name = "__names",
    .summary = "names for completion",
    .operands = "keys|scopes|subjects",
    .examples = "",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .hidden = true,
    .run = run_names,
};
