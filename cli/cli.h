/* SPDX-License-Identifier: MIT */
/* What the commands of `scopekey` share: the set-up they work on, and how they speak. */
#ifndef SCK_CLI_CLI_H
#define SCK_CLI_CLI_H

#include "cli/option.h"
#include "lib/service/service.h"

#include <jansson.h>

/* Options of every command. */
struct sck_cli_globals {
    const char *home;
    const char *config;
    bool json;
    bool quiet;
    bool verbose;
    bool help;
    bool version;
    bool dump;          /* hidden: print the tables */
};

/* Exit status, docs/formats.md. */
enum sck_exit {
    SCK_EXIT_DONE = 0,
    SCK_EXIT_USAGE = 1,
    SCK_EXIT_IO = 2,
    SCK_EXIT_AUTHENTIC = 3,
    SCK_EXIT_KEY = 4,
    SCK_EXIT_KEEPER = 5,
    SCK_EXIT_PARTIAL = 6,
    SCK_EXIT_BUSY = 7,
    SCK_EXIT_ERASED = 8,
    SCK_EXIT_DOCTOR = 9,
    SCK_EXIT_CONFIG = 10,
    SCK_EXIT_INTEGRITY = 11,
    SCK_EXIT_DENIED = 12
};

struct sck_cli {
    struct sck_cli_globals globals;
    char *conf_path;                /* of --config or --home; NULL: wherever it is found */
    struct sck_service *service;    /* opened by sck_cli_open(), closed at the end */
    enum sck_exit status;           /* of a run that succeeded: SCK_EXIT_DONE, or SCK_EXIT_DOCTOR */
};

/* All commands, ended by NULL, in the order help shows them; and the options of every command. */
extern const struct sck_command *const sck_cli_commands[];
extern const struct sck_option sck_cli_globals[];

/* ---- the set-up ---- */

/* Open the set-up once; the command line provisions on first use and may ask for the PIN on a terminal. */
SCK_MUST_CHECK enum sck_code sck_cli_open(struct sck_cli *cli, struct sck_err *err);
/* The same struct that sck_cli_open() passes on, for functions that take it. */
struct sck_open sck_cli_how(const struct sck_cli *cli);
/* sck_ask_pin_fn: ask on the controlling terminal.  SCK_E_CREDENTIAL without one. */
enum sck_code sck_cli_ask_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err);
/* What was answered; the caller frees `pin`. */
struct sck_pin_answer {
    bool is_new;                /* the PIN is chosen now: asked twice, SCK_E_USAGE when the answers differ */
    struct sck_secret *pin;     /* NULL until it was asked for */
};
/* sck_ask_pin_fn for `init`, which needs the PIN more than once: `arg` is a struct sck_pin_answer. */
enum sck_code sck_cli_ask_once(void *arg, bool again, struct sck_secret **pin, struct sck_err *err);

/* ---- reading operands ---- */

/* "scopekey:subject/alice/tls", "subject/alice/tls" or a key_id; finds the one key. */
SCK_MUST_CHECK enum sck_code sck_cli_key_find(struct sck_cli *cli, const char *text, struct sck_key_info *out,
                                              struct sck_err *err);
/* A key's URI with or without its scheme. */
SCK_MUST_CHECK enum sck_code sck_cli_uri_read(const char *text, struct sck_uri *out, struct sck_err *err);
/* "subject/alice", with or without "scopekey:". */
SCK_MUST_CHECK enum sck_code sck_cli_scope_read(const char *text, struct sck_scope *out, struct sck_err *err);
/* A subject's plain id, or (when it begins with "subject/" or "scopekey:") its scope. */
SCK_MUST_CHECK enum sck_code sck_cli_subject_read(const char *text, struct sck_scope *out, struct sck_err *err);

/* ---- speaking ---- */

/* Print one JSON object on a line of its own to `stream`, and release it. */
SCK_MUST_CHECK enum sck_code sck_cli_print_json(FILE *stream, json_t *object, struct sck_err *err);
/* Time as text, or JSON null for 0. */
json_t *sck_cli_json_time(int64_t unix_s);
/* Print a key for people, or as JSON. */
SCK_MUST_CHECK enum sck_code sck_cli_print_key(const struct sck_cli *cli, const struct sck_key_info *key,
                                               struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_cli_print_owner(const struct sck_cli *cli, const struct sck_owner_info *owner,
                                                 struct sck_err *err);
/* The same as an object; NULL when memory lacks. */
json_t *sck_cli_owner_json(const struct sck_owner_info *owner);
struct sck_file_info;
/* `stream`: stderr when stdout carries the data. */
SCK_MUST_CHECK enum sck_code sck_cli_print_file(const struct sck_cli *cli, FILE *stream, const char *path,
                                                const struct sck_file_info *info, struct sck_err *err);
/* sck_progress_fn; `arg` is the struct sck_cli.  Lines for people, on stdout; nothing with --json or --quiet. */
void sck_cli_progress(void *arg, const char *line);
/* `scopekey: message` on stderr, or a JSON object with --json. */
void sck_cli_print_error(const struct sck_cli *cli, const struct sck_err *err);
enum sck_exit sck_cli_exit(enum sck_code code);
/* The PEM form of a public key (SubjectPublicKeyInfo, RFC 7468 section 13) appended to `out`. */
void sck_cli_pem_format(const uint8_t *spki, size_t len, struct sck_buf *out);

void sck_cli_help(const struct sck_parsed *parsed);
/* Tables as lines: "command\tNAME", "option\tCOMMAND\t--NAME\t-LETTER" (COMMAND "-" for options of every command). */
void sck_cli_dump(void);
SCK_MUST_CHECK enum sck_code sck_cli_print_completion(const char *shell, struct sck_err *err);

/* Words of options. */
const char *sck_words_algorithm(size_t index);
const char *sck_words_usage(size_t index);
const char *sck_words_protection(size_t index);
const char *sck_words_keeper(size_t index);
const char *sck_words_vault_auth(size_t index);
const char *sck_words_azure_credential(size_t index);
const char *sck_words_azure_key_type(size_t index);
const char *sck_words_environment(size_t index);
const char *sck_words_fsync(size_t index);
const char *sck_words_shell(size_t index);

/* The commands, each in its own file. */
extern const struct sck_command sck_cmd_init, sck_cmd_doctor, sck_cmd_key_create, sck_cmd_key_list, sck_cmd_key_show,
    sck_cmd_key_rotate, sck_cmd_key_disable, sck_cmd_key_enable, sck_cmd_key_destroy, sck_cmd_subject_create,
    sck_cmd_subject_list, sck_cmd_subject_show, sck_cmd_subject_name, sck_cmd_encrypt, sck_cmd_decrypt, sck_cmd_info,
    sck_cmd_erase, sck_cmd_rotate, sck_cmd_rewrap, sck_cmd_keeper_migrate, sck_cmd_keeper_status,
    sck_cmd_keeper_test, sck_cmd_keeper_import, sck_cmd_receipt_verify,
    sck_cmd_receipt_show, sck_cmd_serve, sck_cmd_config_keys, sck_cmd_completion, sck_cmd_help, sck_cmd_version,
    sck_cmd_names, sck_cmd_receipt_refresh, sck_cmd_backup_create, sck_cmd_backup_confirm, sck_cmd_backup_list,
    sck_cmd_backup_forget, sck_cmd_restore, sck_cmd_reconcile;

#endif
