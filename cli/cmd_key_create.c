/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include <string.h>

struct values {
    const char *algorithm;
    const char *usage;
    const char *protection;
    int64_t expires_s;
};

static const struct sck_option options[] = {
    {'a', "algorithm", SCK_OPTION_WORD, offsetof(struct values, algorithm), "ALGORITHM",
     "what kind of key; default aes-256", sck_words_algorithm, 0, 0},
    {'u', "usage", SCK_OPTION_WORD, offsetof(struct values, usage), "USAGE",
     "the one thing it may do; default sign for pairs, gcm for aes-256, hmac for hmac-sha256", sck_words_usage, 0, 0},
    {'P', "protection", SCK_OPTION_WORD, offsetof(struct values, protection), "PROTECTION",
     "token: every operation inside the token (default); envelope: opened into locked memory for bulk data",
     sck_words_protection, 0, 0},
    {'\0', "expires", SCK_OPTION_TIME, offsetof(struct values, expires_s), "TIME",
     "when it stops working, as YYYY-MM-DDTHH:MM:SSZ; default never", NULL, 0, 0},
    {0},
};

static enum sck_code
spec_read(const struct values *v, struct sck_key_spec *spec, struct sck_err *err)
{
    const struct sck_alg_info *alg = sck_alg_by_name(v->algorithm != NULL ? v->algorithm : "aes-256");
    if (alg == NULL)
        return sck_fail(err, SCK_E_INTERNAL, "key create: the algorithm is in one table only");
    *spec = (struct sck_key_spec){.alg = alg->alg, .usage = alg->default_usage, .protection = SCK_PROTECTION_TOKEN,
                                  .expires_s = v->expires_s};
    if (v->usage != NULL)
        spec->usage = sck_usage_by_name(v->usage);
    if (v->protection != NULL && strcmp(v->protection, "envelope") == 0)
        spec->protection = SCK_PROTECTION_ENVELOPE;
    if (!sck_usage_fits(spec->alg, spec->usage))
        return sck_fail(err, SCK_E_USAGE, "key create: a key of algorithm %s has no usage %s", alg->name,
                        sck_usage_name(spec->usage));
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    struct sck_key_spec spec;
    struct sck_uri uri;
    struct sck_key_info made;
    enum sck_code code = sck_cli_uri_read(operands[0], &uri, err);
    if (code == SCK_OK && (uri.version != 0 || uri.type != SCK_TYPE_NONE || uri.pin_source[0] != '\0'))
        code = sck_fail(err, SCK_E_USAGE, "key create: the URI of a new key has no attributes");
    if (code == SCK_OK)
        code = spec_read(values, &spec, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_key_create(cli->service, &uri.scope, uri.name, &spec, &made, err);
    if (code == SCK_OK && !cli->globals.quiet)
        code = sck_cli_print_key(cli, &made, err);
    return code;
}

const struct sck_command sck_cmd_key_create = {
    .name = "key create",
    .summary = "make a key in a scope",
    .operands = "URI",
    .examples = "scopekey key create scopekey:subject/alice/tls --algorithm ec-p256\n"
                "scopekey key create scopekey:subject/alice/data --algorithm aes-256\n"
                "scopekey key create scopekey:subject/alice/mail --algorithm rsa-3072 --usage decrypt\n",
    .details = "The scheme may be left out. A URI that names a scope only makes a key that is named after its key id. "
               "The first key of a subject provisions the subject; one that was erased is refused.\n",
    .operand = SCK_OPERAND_NEW_KEY,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
