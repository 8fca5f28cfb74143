/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/base/text.h"
#include "lib/service/rewrap.h"

#include <stdio.h>

static const struct sck_option options[] = {{0}};

/* sck_kek_fn: a line of the version, or an element of the array. */
static enum sck_code
show_version(void *arg, const struct sck_kek_info *kek, struct sck_err *err)
{
    json_t *versions = arg;
    const char *keeper = sck_keeper_kind_name(kek->keeper);
    char created[SCK_TIME_TEXT];
    if (versions == NULL) {
        sck_time_format(kek->created_s, created);
        (void)printf("  version %-4u %s at keeper %s since %s: %lld data keys, %lld handed out\n", kek->version,
                     kek->state, keeper, created, (long long)kek->blobs, (long long)kek->messages);
        return SCK_OK;
    }
    json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:o, s:I, s:I, s:I}", "keeper", keeper, "kek_version",
                          (json_int_t)kek->version, "kek_name", kek->name, "state", kek->state, "created",
                          sck_cli_json_time(kek->created_s), "data_keys", (json_int_t)kek->blobs, "handed_out",
                          (json_int_t)kek->messages, "wraps", (json_int_t)kek->wraps);
    return json_array_append_new(versions, o) == 0 ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "print JSON: out of memory");
}

static enum sck_code
show(const struct sck_cli *cli, const struct sck_scope *scope, const struct sck_owner_info *owner, struct sck_err *err)
{
    if (!cli->globals.json) {
        enum sck_code code = sck_cli_print_owner(cli, owner, err);
        return code == SCK_OK ? sck_kek_each(cli->service, scope, show_version, NULL, err) : code;
    }
    json_t *object = sck_cli_owner_json(owner);
    json_t *versions = json_array();
    if (json_object_set_new(object, "kek_versions", versions) != 0) {
        json_decref(object);
        return sck_fail(err, SCK_E_MEMORY, "print JSON: out of memory");
    }
    enum sck_code code = sck_kek_each(cli->service, scope, show_version, versions, err);
    if (code == SCK_OK)
        return sck_cli_print_json(stdout, object, err);
    json_decref(object);
    return code;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)values;
    (void)count;
    struct sck_scope scope;
    struct sck_owner_info owner;
    enum sck_code code = sck_cli_subject_read(operands[0], &scope, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_owner_find(cli->service, &scope, &owner, err);
    return code != SCK_OK ? code : show(cli, &scope, &owner, err);
}

const struct sck_command sck_cmd_subject_show = {
    .name = "subject show",
    .summary = "show one subject, its KEK and what is under each of its versions",
    .operands = "SUBJECT",
    .examples = "scopekey subject show alice\n",
    .operand = SCK_OPERAND_SUBJECT,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .run = run,
};
