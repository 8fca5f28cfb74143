/* SPDX-License-Identifier: MIT */
#include "cli/confirm.h"
#include "cli/progress.h"

struct values {
    const char *subject;
    bool all;
    int64_t rate;
    bool dry_run;
    bool retire;
    bool discard;
    bool yes;
};

static const struct sck_option options[] = {
    {'s', "subject", SCK_OPTION_SUBJECT, offsetof(struct values, subject), "SUBJECT", "the data keys of one subject",
     NULL, 0, 0},
    {'a', "all", SCK_OPTION_FLAG, offsetof(struct values, all), NULL, "all data keys of the set-up", NULL, 0, 0},
    {'r', "rate", SCK_OPTION_NUMBER, offsetof(struct values, rate), "N", "move at most N data keys a second", NULL, 1,
     1000000000},
    {'n', "dry-run", SCK_OPTION_FLAG, offsetof(struct values, dry_run), NULL,
     "only count what is under which version", NULL, 0, 0},
    {'\0', "retire", SCK_OPTION_FLAG, offsetof(struct values, retire), NULL,
     "then end old KEK versions that nothing needs: older catalog backups open nothing of theirs", NULL, 0, 0},
    {'\0', "discard-messages", SCK_OPTION_FLAG, offsetof(struct values, discard), NULL,
     "with --retire: also versions whose data keys were handed out to programs; what those sealed is lost", NULL, 0, 0},
    {'y', "yes", SCK_OPTION_FLAG, offsetof(struct values, yes), NULL, "do not ask (needed where there is no terminal)",
     NULL, 0, 0},
    {0},
};

static enum sck_code
rewrap(struct sck_cli *cli, const struct values *v, const struct sck_scope *scope, struct sck_err *err)
{
    struct sck_rewrap_report report = {0};
    struct sck_cli_work work = sck_cli_work_begin(cli);
    const struct sck_rewrap how = {.scope = scope,
                                   .rate = v->rate,
                                   .dry_run = v->dry_run,
                                   .retire = v->retire,
                                   .discard_messages = v->discard,
                                   .progress = sck_cli_work_progress,
                                   .problem = sck_cli_work_problem,
                                   .arg = &work};
    enum sck_code code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_rewrap_run(cli->service, &how, &report, err);
    sck_cli_work_end(&work);
    if (code != SCK_OK && report.moved > 0)
        sck_err_prefix(err, "after %lld data keys were moved (run it again to go on)", (long long)report.moved);
    return code == SCK_OK ? sck_cli_work_report(cli, &report, v->dry_run, err) : code;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    const struct values *v = values;
    struct sck_scope scope;
    const struct sck_scope *one = &scope;
    enum sck_code code = SCK_OK;
    if ((count > 0) + (v->subject != NULL) + v->all != 1)
        return sck_fail(err, SCK_E_USAGE, "rewrap: say whose data keys: --subject SUBJECT, --all, or one of subject/ID, "
                        "client/ID and files");
    if (v->discard && !v->retire)
        return sck_fail(err, SCK_E_USAGE, "rewrap: --discard-messages goes with --retire");
    if (v->all)
        one = NULL;
    else if (v->subject != NULL)
        code = sck_cli_subject_read(v->subject, &scope, err);
    else
        code = sck_cli_owner_read(operands[0], &scope, err);
    if (code == SCK_OK && v->discard && !v->dry_run && !v->yes)
        code = sck_confirm("rewrap --discard-messages", "discard", err);
    return code == SCK_OK ? rewrap(cli, v, one, err) : code;
}

const struct sck_command sck_cmd_rewrap = {
    .name = "rewrap",
    .summary = "move data keys to the newest version of their KEK",
    .operands = "[SCOPE|files]",
    .examples = "scopekey rewrap --subject alice\n"
                "scopekey rewrap --all --rate 500 --retire\n"
                "scopekey rewrap --all --dry-run\n",
    .details = "No file is opened and no key leaves its protection: with keeper vault the server moves them itself. A run "
               "that was stopped goes on where it was when it is run again; several may run at once.\n",
    .operand = SCK_OPERAND_SCOPE,
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
