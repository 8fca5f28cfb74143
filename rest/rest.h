/* SPDX-License-Identifier: MIT */
/* The REST daemon as one call: `scopekeyd` and `scopekey serve` are thin mains around it. */
#ifndef SCK_REST_REST_H
#define SCK_REST_REST_H

/* The command line.  It wins over the environment, which wins over scopekey.conf. */
struct sck_rest_opts {
    const char *program;        /* in front of messages, "scopekeyd" */
    const char *conf_path;      /* scopekey.conf; NULL: sck_conf_find() */
    const char *host;           /* address or name to listen on; NULL: not given */
    int port;                   /* TCP port, 0 a free one; -1: not given */
    const char *api_key_file;   /* file with the API key of client `default` (0600), or NULL */
    int api_key_fd;             /* descriptor to read it from, or -1 */
};

#define SCK_REST_OPTS_INIT {"scopekeyd", NULL, NULL, -1, NULL, -1}

/*
 * Serve until SIGTERM or SIGINT; SIGHUP reads the API key file again.  Blocks these signals in the whole process and
 * removes API_KEY from the environment.  Call it before other threads exist.  Returns an exit status of
 * docs/formats.md: 0 stopped on request, 2 cannot listen, 5 token or keeper, 10 configuration, ...
 */
int sck_rest_main(const struct sck_rest_opts *opts);

#endif
