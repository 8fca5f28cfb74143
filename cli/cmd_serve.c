/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "rest/rest.h"

struct values {
    const char *host;
    int64_t port;
    const char *api_key_file;
};

#define PORT_FREE 65536     /* "any free port", so that 0 can mean "not given" */

static const struct sck_option options[] = {
    {'H', "host", SCK_OPTION_TEXT, offsetof(struct values, host), "ADDRESS",
     "where to listen; default what the configuration says, 127.0.0.1", NULL, 0, 0},
    {'p', "port", SCK_OPTION_NUMBER, offsetof(struct values, port), "PORT",
     "TCP port, 65536 for any free one; default what the configuration says, 8000", NULL, 1, PORT_FREE},
    {'K', "api-key-file", SCK_OPTION_FILE, offsetof(struct values, api_key_file), "FILE",
     "file with the API key of client default, 0600; default the environment variable API_KEY", NULL, 0, 0},
    {0},
};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)operands;
    (void)count;
    (void)err;
    const struct values *v = values;
    struct sck_rest_opts opts = SCK_REST_OPTS_INIT;
    opts.program = "scopekey";
    opts.conf_path = cli->conf_path;
    opts.host = v->host;
    opts.api_key_file = v->api_key_file;
    if (v->port != 0)
        opts.port = v->port == PORT_FREE ? 0 : (int)v->port;
    cli->status = (enum sck_exit)sck_rest_main(&opts);
    return SCK_OK;
}

const struct sck_command sck_cmd_serve = {
    .name = "serve",
    .summary = "run the REST daemon of this set-up in the foreground",
    .operands = "",
    .examples = "scopekey serve --api-key-file api.key\nAPI_KEY=... scopekey serve --port 8080\n",
    .details = "The same as scopekeyd(8). Ends at SIGTERM or SIGINT.\n",
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
