/* SPDX-License-Identifier: MIT */
#include "cli/confirm.h"
#include "cli/progress.h"

#include <stdio.h>

struct values {
    const char *from;
    const char *to;
    int64_t rate;
    bool dry_run;
    bool keep_source;
    bool discard;
    bool yes;
};

static const struct sck_option options[] = {
    {'\0', "from", SCK_OPTION_WORD, offsetof(struct values, from), "KEEPER", "where the KEKs are", sck_words_keeper, 0, 0},
    {'\0', "to", SCK_OPTION_WORD, offsetof(struct values, to), "KEEPER", "where they are to be", sck_words_keeper, 0, 0},
    {'r', "rate", SCK_OPTION_NUMBER, offsetof(struct values, rate), "N", "move at most N data keys a second", NULL, 1,
     1000000000},
    {'n', "dry-run", SCK_OPTION_FLAG, offsetof(struct values, dry_run), NULL, "only count what would be moved", NULL, 0,
     0},
    {'\0', "keep-source", SCK_OPTION_FLAG, offsetof(struct values, keep_source), NULL,
     "leave the KEKs where they were; erasure goes on to reach them", NULL, 0, 0},
    {'\0', "discard-messages", SCK_OPTION_FLAG, offsetof(struct values, discard), NULL,
     "destroy also KEKs whose data keys were handed out to programs; what those sealed is lost", NULL, 0, 0},
    {'y', "yes", SCK_OPTION_FLAG, offsetof(struct values, yes), NULL, "do not ask (needed where there is no terminal)",
     NULL, 0, 0},
    {0},
};

static enum sck_code
say_end(const struct sck_cli *cli, const struct values *v, const struct sck_rewrap_report *report, bool switched,
        struct sck_err *err)
{
    if (v->dry_run)
        return SCK_OK;
    if (cli->globals.json)
        return sck_cli_print_json(stdout, json_pack("{s:s, s:b, s:s}", "event", "keeper", "switched", switched ? 1 : 0,
                                                    "keeper", switched ? v->to : v->from), err);
    if (cli->globals.quiet)
        return SCK_OK;
    if (switched)
        (void)printf("new KEKs are made at keeper %s from now on: restart programs that are running\n", v->to);
    else
        (void)printf("not everything could be moved: `keeper = %s` stays; run it again when that is mended\n", v->from);
    if (report->kept > 0 && !v->keep_source)
        (void)printf("KEKs that something needs stay at keeper %s, and erasure reaches them\n", v->from);
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)operands;
    (void)count;
    const struct values *v = values;
    struct sck_rewrap_report report = {0};
    struct sck_cli_work work = sck_cli_work_begin(cli);
    bool switched = false;
    if (v->from == NULL || v->to == NULL)
        return sck_fail(err, SCK_E_USAGE, "keeper migrate: say from where to where: --from KEEPER --to KEEPER");
    if (v->discard && v->keep_source)
        return sck_fail(err, SCK_E_USAGE, "keeper migrate: --discard-messages and --keep-source exclude each other");
    const struct sck_migrate how = {.from = sck_keeper_kind_by_name(v->from),
                                    .to = sck_keeper_kind_by_name(v->to),
                                    .keep_source = v->keep_source,
                                    .work = {.rate = v->rate,
                                             .dry_run = v->dry_run,
                                             .discard_messages = v->discard,
                                             .progress = sck_cli_work_progress,
                                             .problem = sck_cli_work_problem,
                                             .arg = &work}};
    enum sck_code code = SCK_OK;
    if (v->discard && !v->dry_run && !v->yes)
        code = sck_confirm("keeper migrate --discard-messages", "discard", err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_migrate_run(cli->service, &how, &report, &switched, err);
    sck_cli_work_end(&work);
    if (code != SCK_OK && report.moved > 0)
        sck_err_prefix(err, "after %lld data keys were moved (run it again to go on)", (long long)report.moved);
    if (code == SCK_OK)
        code = sck_cli_work_report(cli, &report, v->dry_run, err);
    return code == SCK_OK ? say_end(cli, v, &report, switched, err) : code;
}

const struct sck_command sck_cmd_keeper_migrate = {
    .name = "keeper migrate",
    .summary = "move all data keys of the set-up from one keeper to another",
    .operands = "--from KEEPER --to KEEPER",
    .examples = "scopekey keeper migrate --from token --to vault --dry-run\n"
                "scopekey keeper migrate --from token --to vault\n",
    .details = "Both keepers must be configured. Each data key is wrapped anew in locked memory and compared before it is "
               "stored; then the KEK it was under is destroyed. At the end `keeper =` of scopekey.conf is set. A run that "
               "was stopped is run again.\n",
    .operand = SCK_OPERAND_NONE,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
