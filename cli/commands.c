/* SPDX-License-Identifier: MIT */
/* The table of commands and the options of every command. */
#include "cli/cli.h"

const struct sck_option sck_cli_globals[] = {
    {'\0', "home", SCK_OPTION_DIR, offsetof(struct sck_cli_globals, home), "DIR",
     "directory of the set-up; default $SCOPEKEY_HOME or the user's state directory", NULL, 0, 0},
    {'\0', "config", SCK_OPTION_FILE, offsetof(struct sck_cli_globals, config), "FILE", "configuration file", NULL, 0,
     0},
    {'j', "json", SCK_OPTION_FLAG, offsetof(struct sck_cli_globals, json), NULL,
     "print JSON, one object a line; errors too", NULL, 0, 0},
    {'q', "quiet", SCK_OPTION_FLAG, offsetof(struct sck_cli_globals, quiet), NULL, "print results and errors only",
     NULL, 0, 0},
    {'v', "verbose", SCK_OPTION_FLAG, offsetof(struct sck_cli_globals, verbose), NULL, "say more", NULL, 0, 0},
    {'h', "help", SCK_OPTION_FLAG, offsetof(struct sck_cli_globals, help), NULL, "show help", NULL, 0, 0},
    {'V', "version", SCK_OPTION_FLAG, offsetof(struct sck_cli_globals, version), NULL, "print the version", NULL, 0, 0},
    {'\0', "dump-options", SCK_OPTION_FLAG, offsetof(struct sck_cli_globals, dump), NULL, NULL, NULL, 0, 0},
    {0},
};

const struct sck_command *const sck_cli_commands[] = {
    &sck_cmd_init,
    &sck_cmd_doctor,
    &sck_cmd_key_create,
    &sck_cmd_key_list,
    &sck_cmd_key_show,
    &sck_cmd_key_rotate,
    &sck_cmd_key_disable,
    &sck_cmd_key_enable,
    &sck_cmd_key_destroy,
    &sck_cmd_subject_create,
    &sck_cmd_subject_list,
    &sck_cmd_subject_show,
    &sck_cmd_subject_name,
    &sck_cmd_encrypt,
    &sck_cmd_decrypt,
    &sck_cmd_info,
    &sck_cmd_erase,
    &sck_cmd_receipt_verify,
    &sck_cmd_receipt_show,
    &sck_cmd_serve,
    &sck_cmd_config_keys,
    &sck_cmd_completion,
    &sck_cmd_help,
    &sck_cmd_version,
    &sck_cmd_names,
    NULL,
};
