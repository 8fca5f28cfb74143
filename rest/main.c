/* SPDX-License-Identifier: MIT */
#include "lib/base/process.h"
#include "lib/base/text.h"
#include "rest/rest.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 1

enum { OPT_API_KEY_FILE = 256, OPT_API_KEY_FD, OPT_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"host", required_argument, NULL, 'H'},
    {"port", required_argument, NULL, 'p'},
    {"api-key-file", required_argument, NULL, OPT_API_KEY_FILE},
    {"api-key-fd", required_argument, NULL, OPT_API_KEY_FD},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static void
print_help(FILE *out)
{
    (void)fputs("Usage: scopekeyd [options]\n"
                "Serve Scopekey's keys over HTTP until SIGTERM; SIGHUP reads the API key file again.\n"
                "\n"
                "  -c, --config FILE        scopekey.conf (default: as scopekey finds it)\n"
                "  -H, --host ADDRESS       listen here (default: HOST, then [rest] host, 127.0.0.1)\n"
                "  -p, --port NUMBER        TCP port, 0 for a free one (default: PORT, then [rest] port, 8000)\n"
                "      --api-key-file FILE  API key of client default, mode 0600\n"
                "      --api-key-fd NUMBER  the same from an open descriptor\n"
                "  -h, --help               this text\n"
                "      --version            version of Scopekey\n"
                "\n"
                "Without --api-key-* the key is taken from API_KEY, then from [rest] api_key_file.\n"
                "Manual: scopekeyd(8), scopekey.conf(5)\n",
                out);
}

static int
number(const char *name, const char *text, uint64_t max)
{
    uint64_t n;
    if (sck_u64_parse(text, strlen(text), max, &n))
        return (int)n;
    (void)fprintf(stderr, "scopekeyd: --%s must be a number from 0 to %llu\n", name, (unsigned long long)max);
    exit(EXIT_USAGE);
}

int
main(int argc, char **argv)
{
    struct sck_rest_opts opts = SCK_REST_OPTS_INIT;
    int c;
    sck_process_harden();
    while ((c = getopt_long(argc, argv, "c:H:p:h", options, NULL)) != -1) {
        switch (c) {
        case 'c':              opts.conf_path = optarg; break;
        case 'H':              opts.host = optarg; break;
        case 'p':              opts.port = number("port", optarg, 65535); break;
        case OPT_API_KEY_FILE: opts.api_key_file = optarg; break;
        case OPT_API_KEY_FD:   opts.api_key_fd = number("api-key-fd", optarg, 65535); break;
        case OPT_VERSION:      (void)puts("scopekeyd " PACKAGE_VERSION); return EXIT_SUCCESS;
        case 'h':              print_help(stdout); return EXIT_SUCCESS;
        default:               (void)fputs("Try: scopekeyd --help\n", stderr); return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "scopekeyd: unexpected argument %s\nTry: scopekeyd --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    return sck_rest_main(&opts);
}
