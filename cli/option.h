/* SPDX-License-Identifier: MIT */
/*
 * Commands and their options as data: one table per command gives parsing, `--help`, completion and the check that
 * the manual page is complete.
 *
 * Accepted: `--name value`, `--name=value`, `-nvalue`, `-n value`, several flags behind one dash, and `--`, behind
 * which everything is an operand.  A lone `-` is an operand.  Options and operands may be mixed.
 */
#ifndef SCK_CLI_OPTION_H
#define SCK_CLI_OPTION_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum sck_option_kind {
    SCK_OPTION_FLAG,    /* bool */
    SCK_OPTION_TEXT,    /* const char *, not empty */
    SCK_OPTION_FILE,    /* const char *, completed with file names */
    SCK_OPTION_DIR,     /* const char *, completed with directory names */
    SCK_OPTION_SUBJECT, /* const char *, completed with the subjects of the set-up */
    SCK_OPTION_WORD,    /* const char *, one of `word_at` */
    SCK_OPTION_NUMBER,  /* int64_t between `min` and `max` */
    SCK_OPTION_SIZE,    /* int64_t in bytes between `min` and `max`; K and M multiply by 1024 and 1024^2 */
    SCK_OPTION_TIME     /* int64_t, seconds since 1970 from YYYY-MM-DDTHH:MM:SSZ */
};

struct sck_option {
    char letter;                            /* '\0': long form only */
    const char *name;                       /* without dashes; NULL ends a table */
    enum sck_option_kind kind;
    size_t offset;                          /* of the member that gets the value */
    const char *value;                      /* what help calls the value; NULL for flags */
    const char *help;                       /* one line, no full stop */
    const char *(*word_at)(size_t index);   /* SCK_OPTION_WORD: the words, NULL behind the last */
    int64_t min, max;                       /* SCK_OPTION_NUMBER, SCK_OPTION_SIZE */
};

enum sck_operand_kind {
    SCK_OPERAND_NONE,
    SCK_OPERAND_KEY,        /* key URI or key_id */
    SCK_OPERAND_NEW_KEY,    /* URI of a key to make */
    SCK_OPERAND_SCOPE,
    SCK_OPERAND_SUBJECT,
    SCK_OPERAND_FILE,
    SCK_OPERAND_WORD,       /* one of the command's `word_at` */
    SCK_OPERAND_COMMAND     /* names of commands */
};

struct sck_cli;

struct sck_command {
    const char *name;               /* one word, or group and verb: "key create" */
    const char *summary;            /* one line, no full stop */
    const char *operands;           /* as shown behind the name, "" none */
    const char *examples;           /* lines that end in \n, without the prompt */
    const char *details;            /* paragraphs that end in \n, or NULL */
    enum sck_operand_kind operand;
    size_t min_operands, max_operands;
    const char *(*word_at)(size_t index);   /* SCK_OPERAND_WORD */
    const struct sck_option *options;       /* ended by name NULL */
    size_t values_size;             /* of the struct that `offset` points into; zeroed before parsing */
    bool hidden;                    /* not in help, manual page and completion */
    enum sck_code (*run)(struct sck_cli *cli, const void *values, char *const *operands, size_t count,
                         struct sck_err *err);
};

#define SCK_OPERANDS_MAX 32

/* What a command line said. */
struct sck_parsed {
    const struct sck_command *command;      /* NULL: none named */
    const char *group;                      /* with no command: the group that was named, or NULL */
    void *values;                           /* owned; free() */
    char *operands[SCK_OPERANDS_MAX];       /* borrowed from argv */
    size_t count;
};

/*
 * Parse the words behind the program's name.  `commands` is ended by name NULL; `globals` are options of every
 * command, written to `global_values`.  Operands are counted against the command's limits unless `*lenient` (which
 * may be a member of `global_values`: the flag --help) became true.  SCK_E_USAGE names the word that is wrong and the
 * nearest right one.
 */
SCK_MUST_CHECK enum sck_code sck_option_parse(const struct sck_command *const *commands,
                                              const struct sck_option *globals, void *global_values,
                                              const bool *lenient, int argc, char **argv, struct sck_parsed *out,
                                              struct sck_err *err);

/* Find "key create"; NULL when there is none. */
const struct sck_command *sck_command_find(const struct sck_command *const *commands, const char *name);

#endif
