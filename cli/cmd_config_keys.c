/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

static const char *
type_name(enum sck_conf_type type)
{
    switch (type) {
    case SCK_CONF_TEXT: return "text";
    case SCK_CONF_PATH: return "path";
    case SCK_CONF_BOOL: return "true|false";
    case SCK_CONF_INT:  return "number";
    case SCK_CONF_WORD: return "word";
    case SCK_CONF_UUID: return "uuid";
    }
    return "?";
}

static enum sck_code
print_json(const struct sck_conf_key *k, struct sck_err *err)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?}", "section", k->section, "key", k->key, "type",
                          type_name(k->type), "default", k->fallback, "words", k->words, "environment", k->env);
    if (o != NULL && k->type == SCK_CONF_INT) {
        (void)json_object_set_new(o, "min", json_integer(k->min));
        (void)json_object_set_new(o, "max", json_integer(k->max));
    }
    return sck_cli_print_json(stdout, o, err);
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)operands;
    (void)count;
    enum sck_code code = SCK_OK;
    const struct sck_conf_key *k;
    for (size_t i = 0; code == SCK_OK && (k = sck_conf_key_at(i)) != NULL; i++) {
        if (cli->globals.json) {
            code = print_json(k, err);
            continue;
        }
        (void)printf("[%s] %s = %s  (%s", k->section, k->key, k->fallback,
                     k->words != NULL ? k->words : type_name(k->type));
        if (k->type == SCK_CONF_INT)
            (void)printf(" %lld to %lld", (long long)k->min, (long long)k->max);
        (void)printf("%s%s)\n", k->env != NULL ? ", $" : "", k->env != NULL ? k->env : "");
    }
    return code;
}

const struct sck_command sck_cmd_config_keys = {
    .name = "config keys",
    .summary = "list every key of scopekey.conf with its default, range and environment variable",
    .operands = "",
    .examples = "scopekey config keys\nscopekey config keys --json | jq -r .key\n",
    .options = options,
    .run = run,
};
