/* SPDX-License-Identifier: MIT */
#include "vault/http/client.h"

#include "lib/base/exit.h"
#include "vault/http/exchange.h"
#include "vault/http/meter.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/*
 * libcurl keeps copies of headers and bodies and frees them as they are.  When we are the first to initialise it in
 * this process, its frees wipe; the memory itself stays malloc's, so it mixes with whoever initialises it later.
 */
static void
wiping_free(void *p)
{
    if (p != NULL)
        sck_wipe(p, malloc_usable_size(p));
    free(p);
}

static void *
wiping_realloc(void *p, size_t size)
{
    void *q = malloc(size);
    if (q != NULL && p != NULL) {
        size_t old = malloc_usable_size(p);
        memcpy(q, p, old < size ? old : size);
        wiping_free(p);
    }
    return q;
}

static CURLcode global_state;

static void
global_init(void)
{
    /* Never cleaned up: the program around us may use libcurl too. */
    global_state = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}

/* "" is what a configuration has for "not set". */
static bool
copy_text(const char *from, char **to)
{
    bool set = from != NULL && from[0] != '\0';
    *to = set ? strdup(from) : NULL;
    return !set || *to != NULL;
}

enum sck_code
sck_http_new(const struct sck_http_conf *conf, struct sck_http **out, struct sck_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *out = NULL;
    pthread_once(&once, global_init);
    if (global_state != CURLE_OK)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: libcurl cannot be initialised: %s",
                        curl_easy_strerror(global_state));
    struct sck_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    http->insecure_skip_verify = conf->insecure_skip_verify;
    http->http2 = conf->http2;
    http->connect_timeout_ms = conf->connect_timeout_ms;
    http->request_timeout_ms = conf->request_timeout_ms;
    http->active = sck_meter_connections(conf->keeper, "active");
    http->idle = sck_meter_connections(conf->keeper, "idle");
    sck_slots_init(&http->slots, &(struct sck_sockets){.unacked_ms = sck_http_unacked_ms(http), .idle = http->idle});
    if (!copy_text(conf->ca_file, &http->ca_file) || !copy_text(conf->client_cert, &http->client_cert) ||
        !copy_text(conf->client_key, &http->client_key)) {
        sck_http_free(&http);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    *out = http;
    return SCK_OK;
}

unsigned
sck_http_unacked_ms(const struct sck_http *http)
{
    return http->request_timeout_ms > 0 && http->request_timeout_ms < INT32_MAX ? (unsigned)http->request_timeout_ms : 0;
}

void
sck_http_free(struct sck_http **http)
{
    if (*http == NULL)
        return;
    sck_slots_clear(&(*http)->slots);
    free((*http)->ca_file);
    free((*http)->client_cert);
    free((*http)->client_key);
    free(*http);
    *http = NULL;
}

void
sck_http_reply_clear(struct sck_http_reply *reply)
{
    sck_secret_free(&reply->body);
    reply->body_len = 0;
}

/* Drive the exchange to its end; the time limits are the easy handle's. */
static CURLcode
drive(CURLM *multi, CURL *easy)
{
    int running = 1, left = 0;
    CURLMcode rc = curl_multi_add_handle(multi, easy);
    while (rc == CURLM_OK && running > 0) {
        rc = curl_multi_perform(multi, &running);
        if (rc == CURLM_OK && running > 0) {
            sck_exit_rest();
            rc = curl_multi_poll(multi, NULL, 0, 1000, NULL);
            sck_exit_resume();
        }
    }
    CURLcode result = rc == CURLM_OK ? CURLE_FAILED_INIT : CURLE_OUT_OF_MEMORY;
    for (CURLMsg *m = curl_multi_info_read(multi, &left); m != NULL; m = curl_multi_info_read(multi, &left)) {
        if (m->msg == CURLMSG_DONE && m->easy_handle == easy)
            result = m->data.result;
    }
    (void)curl_multi_remove_handle(multi, easy);
    return result;
}

/* TLS libraries may write to a connection that is gone; the SIGPIPE of that is ours, not the program's. */
static void
pipe_block(sigset_t *before, bool *pending)
{
    sigset_t pipes, waiting;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    sigemptyset(&waiting);
    (void)sigpending(&waiting);
    *pending = sigismember(&waiting, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipes, before);
}

static void
pipe_restore(const sigset_t *before, bool pending)
{
    static const struct timespec now = {0, 0};
    sigset_t pipes;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    if (!pending)
        (void)sigtimedwait(&pipes, NULL, &now);
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

void
sck_http_exchange(struct sck_http *http, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    struct sck_exchange x = {.easy = NULL};
    bool pending;
    sigset_t before;
    struct sck_slot *slot = sck_slot_take(&http->slots);
    if (slot == NULL) {
        *reply = (struct sck_http_reply){.net = SCK_NET_SETUP, .detail = "out of memory"};
        return;
    }
    if (sck_exchange_begin(&x, http, &slot->sockets, request, reply)) {
        pipe_block(&before, &pending);
        CURLcode rc = drive(slot->multi, x.easy);
        pipe_restore(&before, pending);
        sck_exchange_end(&x, rc);
    }
    sck_slot_give(&http->slots, slot);
}
