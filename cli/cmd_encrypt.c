/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/filecrypt.h"

#include <stdio.h>
#include <string.h>

struct values {
    const char *output;
    const char *subject;
    int64_t chunk_bytes;
    const char *fsync;
    bool force;
    bool preserve;
};

static const struct sck_option options[] = {
    {'o', "output", SCK_OPTION_FILE, offsetof(struct values, output), "FILE", "where to write; - is standard output",
     NULL, 0, 0},
    {'s', "subject", SCK_OPTION_SUBJECT, offsetof(struct values, subject), "SUBJECT",
     "whose file it is; without it the files' own KEK is used", NULL, 0, 0},
    {'c', "chunk", SCK_OPTION_SIZE, offsetof(struct values, chunk_bytes), "SIZE",
     "plaintext per segment, 4K to 64M; default what the configuration says", NULL, 4096, 64 * 1024 * 1024},
    {'\0', "fsync", SCK_OPTION_WORD, offsetof(struct values, fsync), "WHEN",
     "each: the file is on disk before success (default); none", sck_words_fsync, 0, 0},
    {'f', "force", SCK_OPTION_FLAG, offsetof(struct values, force), NULL, "replace an output that exists", NULL, 0, 0},
    {'\0', "preserve", SCK_OPTION_FLAG, offsetof(struct values, preserve), NULL,
     "keep name, mode and time in the header (authenticated, not secret)", NULL, 0, 0},
    {0},
};

static enum sck_code
encrypt(struct sck_cli *cli, const struct values *v, const char *in, struct sck_err *err)
{
    struct sck_scope subject;
    struct sck_file_info info;
    struct sck_encrypt_opts opts = {
        .io = {in, v->output, v->force, v->fsync == NULL || strcmp(v->fsync, "none") != 0},
        .chunk_bytes = v->chunk_bytes,
        .preserve = v->preserve,
    };
    enum sck_code code = SCK_OK;
    if (v->subject != NULL) {
        code = sck_cli_subject_read(v->subject, &subject, err);
        opts.subject = &subject;
    }
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    if (code == SCK_OK)
        code = sck_file_encrypt(cli->service, &opts, &info, err);
    if (code == SCK_OK && (cli->globals.json || cli->globals.verbose))
        code = sck_cli_print_file(cli, strcmp(v->output, "-") == 0 ? stderr : stdout, v->output, &info, err);
    return code;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    if (v->output == NULL)
        return sck_fail(err, SCK_E_USAGE, "encrypt: say where to write: -o FILE, or -o - for standard output");
    return encrypt(cli, v, operands[0], err);
}

const struct sck_command sck_cmd_encrypt = {
    .name = "encrypt",
    .summary = "encrypt a file for a subject",
    .operands = "FILE -o OUT",
    .examples = "scopekey encrypt --subject alice letter.txt -o letter.sk\n"
                "tar c photos | scopekey encrypt --subject alice - -o photos.sk\n",
    .details = "FILE may be -, standard input. An output that exists is kept unless --force is given; no name ever "
               "holds a partial file. The first use of a subject provisions it.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
