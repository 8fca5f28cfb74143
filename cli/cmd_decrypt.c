/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/filecrypt.h"

#include <stdio.h>
#include <string.h>

struct values {
    const char *output;
    const char *fsync;
    bool force;
    bool preserve;
    bool allow_retired;
};

static const struct sck_option options[] = {
    {'o', "output", SCK_OPTION_FILE, offsetof(struct values, output), "FILE", "where to write; - is standard output",
     NULL, 0, 0},
    {'\0', "fsync", SCK_OPTION_WORD, offsetof(struct values, fsync), "WHEN",
     "each: the file is on disk before success (default); none", sck_words_fsync, 0, 0},
    {'f', "force", SCK_OPTION_FLAG, offsetof(struct values, force), NULL, "replace an output that exists", NULL, 0, 0},
    {'\0', "preserve", SCK_OPTION_FLAG, offsetof(struct values, preserve), NULL, "restore the stored mode and time",
     NULL, 0, 0},
    {'\0', "allow-retired", SCK_OPTION_FLAG, offsetof(struct values, allow_retired), NULL,
     "open an older version of a file that was rotated since", NULL, 0, 0},
    {0},
};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    if (v->output == NULL)
        return sck_fail(err, SCK_E_USAGE, "decrypt: say where to write: -o FILE, or -o - for standard output");
    struct sck_file_info info;
    const struct sck_decrypt_opts opts = {
        .io = {operands[0], v->output, v->force, v->fsync == NULL || strcmp(v->fsync, "none") != 0},
        .allow_retired = v->allow_retired,
        .preserve = v->preserve,
    };
    enum sck_code code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_file_decrypt(cli->service, &opts, &info, err);
    if (code == SCK_OK && (cli->globals.json || cli->globals.verbose))
        code = sck_cli_print_file(cli, strcmp(v->output, "-") == 0 ? stderr : stdout, v->output, &info, err);
    return code;
}

const struct sck_command sck_cmd_decrypt = {
    .name = "decrypt",
    .summary = "decrypt a file",
    .operands = "FILE -o OUT",
    .examples = "scopekey decrypt letter.sk -o letter.txt\nscopekey decrypt photos.sk -o - | tar t\n",
    .details = "The key is found by the file's header. Nothing is written before it is authenticated: a file that was "
               "altered or cut gives exit status 3 and no output file.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
