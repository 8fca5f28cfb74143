/* SPDX-License-Identifier: MIT */
#include "lib/base/log.h"
#include "rest/app.h"
#include "rest/json.h"
#include "rest/listen.h"
#include "rest/rest.h"
#include "rest/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 30000

/* docs/formats.md, "Exit status" */
static int
exit_status(enum sck_code code)
{
    switch (code) {
    case SCK_OK:            return 0;
    case SCK_E_USAGE:       return 1;
    case SCK_E_IO:          return 2;
    case SCK_E_EXISTS:      return 2;
    case SCK_E_MEMORY:      return 2;
    case SCK_E_AUTHENTIC:   return 3;
    case SCK_E_CONTEXT:     return 3;
    case SCK_E_NOT_FOUND:   return 4;
    case SCK_E_STATE:       return 4;
    case SCK_E_CREDENTIAL:  return 5;
    case SCK_E_CONNECT:     return 5;
    case SCK_E_TOKEN:       return 5;
    case SCK_E_UNSUPPORTED: return 5;
    case SCK_E_CANCELLED:   return 7;
    case SCK_E_BUSY:        return 7;
    case SCK_E_ERASED:      return 8;
    case SCK_E_CONFIG:      return 10;
    case SCK_E_INTEGRITY:   return 11;
    case SCK_E_DENIED:      return 12;
    case SCK_E_INTERNAL:    break;
    }
    return 70;
}

/* The signals that the main thread waits for; everything else keeps its default. */
static void
block_signals(sigset_t *set)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

static enum sck_code
open_auth(const struct sck_rest_opts *opts, struct sck_app *app, struct sck_err *err)
{
    struct sck_secret *env = NULL;
    enum sck_code rc = sck_auth_take_env(&env, err);
    if (rc == SCK_OK) {
        const struct sck_auth_source source = {opts->api_key_file, opts->api_key_fd, env,
                                               app->conf->rest_api_key_file};
        rc = sck_auth_new(&source, app->conf->client_scopes, &app->auth, err);
    }
    sck_secret_free(&env);
    return rc;
}

/* Everything but the socket.  The order matters: what is cheap and often wrong comes first. */
static enum sck_code
open_app(const struct sck_rest_opts *opts, struct sck_app *app, struct sck_err *err)
{
    const struct sck_open how = {.conf_path = opts->conf_path, .use_env = true};
    app->clock = sck_clock_system();
    app->started_us = sck_monotonic_us(app->clock);
    enum sck_code rc = sck_service_open(&how, &app->service, err);
    if (rc != SCK_OK)
        return rc;
    app->conf = sck_service_conf(app->service);
    sck_log_setup(STDERR_FILENO, app->conf->log_level, app->conf->log_format);
    rc = open_auth(opts, app, err);
    if (rc == SCK_OK)
        rc = sck_crypt_new(app->conf->path, &app->crypt, err);
    if (rc == SCK_OK)
        rc = sck_service_start(app->service, err);
    if (rc == SCK_OK)
        rc = sck_resume(app->service, err);
    if (rc == SCK_OK)
        rc = sck_probe_new(app->service, app->clock, &app->probe, err);
    return rc;
}

static void
close_app(struct sck_app *app)
{
    sck_probe_free(&app->probe);
    sck_crypt_free(&app->crypt);
    sck_auth_free(&app->auth);
    sck_service_close(&app->service);
}

static void
reload(struct sck_app *app)
{
    struct sck_err err = SCK_ERR_INIT;
    if (sck_auth_reload(app->auth, &err) == SCK_OK)
        sck_log(SCK_LOG_INFO, "rest.auth", "API keys read again");
    else
        sck_log(SCK_LOG_ERROR, "rest.auth", "the old API keys stay: %s", err.message);
}

static void
serve(struct sck_app *app, struct sck_server *server, const sigset_t *signals)
{
    const struct timespec second = {1, 0};
    for (;;) {
        int sig = sigtimedwait(signals, NULL, &second);
        if (sig == SIGHUP)
            reload(app);
        else if (sig > 0)
            break;
        sck_server_sweep(server);
    }
    atomic_store(&app->draining, true);
    sck_notify("STOPPING=1");
    sck_log(SCK_LOG_INFO, "rest.server", "stopping: finishing the requests in flight");
}

int
sck_rest_main(const struct sck_rest_opts *opts)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_app app = {0};
    struct sck_server *server = NULL;
    struct sck_server_conf conf = {.listen_fd = -1};
    char where[SCK_LISTEN_TEXT];
    sigset_t signals;
    sck_rest_json_setup();
    block_signals(&signals);
    enum sck_code rc = open_app(opts, &app, &err);
    if (rc != SCK_OK)
        goto out;
    rc = sck_listen_open(opts->host != NULL ? opts->host : app.conf->rest_host,
                         opts->port >= 0 ? opts->port : (int)app.conf->rest_port, app.conf->rest_insecure_plaintext,
                         &conf.listen_fd, where, &err);
    if (rc != SCK_OK)
        goto out;
    conf.workers = (unsigned)app.conf->rest_threads;
    conf.max_body = (size_t)app.conf->rest_max_body;
    rc = sck_server_start(&app, &conf, &server, &err);
    if (rc != SCK_OK)
        goto out;
    (void)fprintf(stderr, "%s: ready on http://%s\n", opts->program, where);
    sck_notify("READY=1");
    serve(&app, server, &signals);
out:
    sck_server_stop(&server, DRAIN_MS);
    close_app(&app);
    if (rc != SCK_OK)
        (void)fprintf(stderr, "%s: %s\n", opts->program, err.message);
    return exit_status(rc);
}
