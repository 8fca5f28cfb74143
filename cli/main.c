/* SPDX-License-Identifier: MIT */
/* scopekey: the command line. */
#include "cli/cli.h"

#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --home and --config name the set-up for this process, and for the provider that `serve` loads into it. */
static enum sck_code
home_apply(struct sck_cli *cli, struct sck_err *err)
{
    const struct sck_cli_globals *g = &cli->globals;
    if (g->home != NULL && g->config != NULL)
        return sck_fail(err, SCK_E_USAGE, "--home and --config exclude each other: the configuration file says where "
                                          "the rest is");
    if (g->home != NULL) {
        cli->conf_path = sck_path_join(g->home, "scopekey.conf");
        if (cli->conf_path == NULL || setenv("SCOPEKEY_HOME", g->home, 1) != 0 || unsetenv("SCOPEKEY_CONF") != 0)
            return sck_fail(err, SCK_E_MEMORY, "apply --home: out of memory");
    }
    if (g->config != NULL) {
        cli->conf_path = realpath(g->config, NULL);
        if (cli->conf_path == NULL)
            return sck_fail_errno(err, SCK_E_CONFIG, errno, "--config %s", g->config);
        if (setenv("SCOPEKEY_CONF", cli->conf_path, 1) != 0)
            return sck_fail(err, SCK_E_MEMORY, "apply --config: out of memory");
    }
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const struct sck_parsed *parsed, struct sck_err *err)
{
    const struct sck_cli_globals *g = &cli->globals;
    if (g->dump) {
        sck_cli_dump();
        return SCK_OK;
    }
    if (g->version)
        return sck_cmd_version.run(cli, NULL, NULL, 0, err);
    if (g->help) {
        sck_cli_help(parsed);
        return SCK_OK;
    }
    if (parsed->command == NULL && parsed->group != NULL)
        return sck_fail(err, SCK_E_USAGE, "%s: which command? `scopekey %s --help` lists them", parsed->group,
                        parsed->group);
    if (parsed->command == NULL)
        return sck_fail(err, SCK_E_USAGE, "which command? `scopekey --help` lists them");
    sck_log_setup(2, g->verbose ? SCK_LOG_INFO : g->quiet ? SCK_LOG_ERROR : SCK_LOG_WARNING,
                  g->json ? SCK_LOG_JSON : SCK_LOG_TEXT);
    enum sck_code code = home_apply(cli, err);
    if (code != SCK_OK)
        return code;
    return parsed->command->run(cli, parsed->values, parsed->operands, parsed->count, err);
}

int
main(int argc, char **argv)
{
    struct sck_cli cli = {.status = SCK_EXIT_DONE};
    struct sck_parsed parsed = {0};
    struct sck_err err = SCK_ERR_INIT;
    sck_process_harden();
    enum sck_code code = sck_option_parse(sck_cli_commands, sck_cli_globals, &cli.globals, &cli.globals.help,
                                          argc > 0 ? argc - 1 : 0, argv + (argc > 0 ? 1 : 0), &parsed, &err);
    if (code == SCK_OK)
        code = run(&cli, &parsed, &err);
    sck_service_close(&cli.service);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && code == SCK_OK)
        code = sck_fail_errno(&err, SCK_E_IO, errno, "write to standard output");
    if (code != SCK_OK)
        sck_cli_print_error(&cli, &err);
    free(cli.conf_path);
    free(parsed.values);
    return code != SCK_OK ? (int)sck_cli_exit(code) : (int)cli.status;
}
