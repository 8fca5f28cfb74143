/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/keepers.h"

#include <stdio.h>

struct values {
    bool blobs;
};

static const struct sck_option options[] = {
    {'b', "blobs", SCK_OPTION_FLAG, offsetof(struct values, blobs), NULL,
     "count the wrapped data keys under each keeper's KEKs as well (walks the whole catalog)", NULL, 0, 0},
    {0},
};

static json_t *
number_or_null(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

static json_t *
text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *
as_json(const struct sck_keeper_info *k)
{
    return json_pack(
        "{s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:I, s:I, s:o}", "keeper",
        sck_keeper_kind_name(k->kind), "current", k->is_current ? 1 : 0, "ok", k->code == SCK_OK ? 1 : 0, "problem",
        text_or_null(k->problem), "where", text_or_null(k->where), "version", text_or_null(k->version), "sealed",
        k->sealed < 0 ? json_null() : json_boolean(k->sealed), "token_ttl_s", number_or_null(k->token_ttl_s),
        "admin_token_ttl_s", number_or_null(k->admin_ttl_s), "breaker", text_or_null(k->breaker), "latency_us",
        number_or_null(k->latency_us), "erasure", k->erases_at_once ? "immediate" : "scheduled", "blind_rewrap",
        k->rewraps_blind ? 1 : 0, "production_safe", k->kind != SCK_KEEPER_LOCAL ? 1 : 0, "keks", (json_int_t)k->keks,
        "former_keks", (json_int_t)k->former, "blobs", number_or_null(k->blobs));
}

static void
line(const char *name, const char *text)
{
    if (text[0] != '\0')
        (void)printf("  %-13s %s\n", name, text);
}

static void
time_left(const char *name, int64_t seconds)
{
    if (seconds >= 0)
        (void)printf("  %-13s %lld s left\n", name, (long long)seconds);
}

static void
for_people(const struct sck_keeper_info *k)
{
    (void)printf("%s%s%s\n", sck_keeper_kind_name(k->kind), k->is_current ? " (new KEKs are made here)" : "",
                 k->kind == SCK_KEEPER_LOCAL ? ", for development only" : "");
    line("problem", k->problem);
    line("where", k->where);
    line("version", k->version);
    line("sealed", k->sealed < 0 ? "" : k->sealed == 1 ? "yes" : "no");
    time_left("token", k->token_ttl_s);
    time_left("admin token", k->admin_ttl_s);
    line("breaker", k->breaker);
    if (k->latency_us >= 0)
        (void)printf("  %-13s %lld us for wrapping one key\n", "latency", (long long)k->latency_us);
    line("erasure", k->erases_at_once ? "immediate" : "scheduled");
    line("rewrap", k->rewraps_blind ? "inside the keeper" : "in locked memory of this machine");
    (void)printf("  %-13s %lld, and %lld former\n", "KEKs", (long long)k->keks, (long long)k->former);
    if (k->blobs >= 0)
        (void)printf("  %-13s %lld wrapped\n", "data keys", (long long)k->blobs);
}

static enum sck_code
show(void *arg, const struct sck_keeper_info *keeper, struct sck_err *err)
{
    struct sck_cli *cli = arg;
    if (keeper->code != SCK_OK)
        cli->status = SCK_EXIT_KEEPER;
    if (cli->globals.json)
        return sck_cli_print_json(stdout, as_json(keeper), err);
    for_people(keeper);
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    const struct values *v = values;
    (void)operands;
    (void)count;
    enum sck_code code = sck_cli_open(cli, err);
    return code == SCK_OK ? sck_keeper_each(cli->service, v->blobs, show, cli, err) : code;
}

const struct sck_command sck_cmd_keeper_status = {
    .name = "keeper status",
    .summary = "show each keeper that holds KEKs: where, how it does, what it can, how many",
    .operands = "",
    .examples = "scopekey keeper status\nscopekey keeper status --json --blobs\n",
    .details = "Wraps one key of zeros at each to see that it answers. Exits 5 when one does not.\n",
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
