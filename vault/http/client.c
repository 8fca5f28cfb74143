/* SPDX-License-Identifier: MIT */
#include "vault/http/client.h"

#include "lib/base/clock.h"
#include "vault/http/slots.h"

#include <malloc.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_FIRST = 4096 };

struct sck_http {
    struct sck_slots slots;
    char *ca_file;
    bool insecure_skip_verify;
    int64_t connect_timeout_ms;
};

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
    if (conf->ca_file != NULL && (http->ca_file = strdup(conf->ca_file)) == NULL) {
        free(http);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    http->insecure_skip_verify = conf->insecure_skip_verify;
    http->connect_timeout_ms = conf->connect_timeout_ms;
    sck_slots_init(&http->slots);
    *out = http;
    return SCK_OK;
}

void
sck_http_free(struct sck_http **http)
{
    if (*http == NULL)
        return;
    sck_slots_clear(&(*http)->slots);
    free((*http)->ca_file);
    free(*http);
    *http = NULL;
}

void
sck_http_reply_clear(struct sck_http_reply *reply)
{
    sck_secret_free(&reply->body);
    reply->body_len = 0;
}

/* Secrets cannot grow in place: a fuller one is copied into one of twice the size and wiped. */
static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
    struct sck_http_reply *reply = arg;
    size_t len = size * count;
    size_t cap = reply->body != NULL ? reply->body->len : 0;
    if (len > SCK_REPLY_MAX - reply->body_len) {
        reply->net = SCK_NET_OVERSIZE;
        return 0;
    }
    if (reply->body_len + len > cap) {
        struct sck_secret *larger = NULL;
        cap = cap == 0 ? BODY_FIRST : cap;
        while (cap < reply->body_len + len)
            cap *= 2;
        if (sck_secret_new(cap, &larger, NULL) != SCK_OK)
            return 0;
        if (reply->body != NULL)
            memcpy(larger->data, reply->body->data, reply->body_len);
        sck_secret_free(&reply->body);
        reply->body = larger;
    }
    if (len > 0)
        memcpy(reply->body->data + reply->body_len, data, len);
    reply->body_len += len;
    return len;
}

/* libcurl 7.88 takes headers that end in the middle for whole ones. */
static size_t
see_header(char *data, size_t size, size_t count, void *arg)
{
    struct sck_http_reply *reply = arg;
    size_t len = size * count;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0)
        reply->headed = false;
    else if (len == 2 && memcmp(data, "\r\n", 2) == 0)
        reply->headed = true;
    return len;
}

static CURLcode
harden_tls(CURL *easy, void *ssl_ctx, void *arg)
{
    (void)easy;
    (void)arg;
    (void)SSL_CTX_set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION);
    return CURLE_OK;
}

static void
set_tls(const struct sck_http *http, CURL *easy)
{
    long verify = http->insecure_skip_verify ? 0L : 1L;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify * 2);
    if (http->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
        /* Otherwise the system's CAs would be trusted beside it. */
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, harden_tls);
}

static void
set_limits(const struct sck_http *http, CURL *easy, const struct sck_http_request *request)
{
    int64_t connect_ms = http->connect_timeout_ms < request->timeout_ms ? http->connect_timeout_ms
                                                                        : request->timeout_ms;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 30L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, strncmp(request->url, "https:", 6) == 0 ? "https" : "http");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

/* Append "name: value"; false when out of memory.  libcurl copies the line: header_free() wipes it. */
static bool
add_header(struct curl_slist **list, const char *name, const void *value, size_t len)
{
    struct sck_secret *line = NULL;
    size_t name_len = strlen(name);
    if (sck_secret_new(name_len + 2 + len + 1, &line, NULL) != SCK_OK)
        return false;
    memcpy(line->data, name, name_len);
    memcpy(line->data + name_len, ": ", 2);
    memcpy(line->data + name_len + 2, value, len);
    struct curl_slist *longer = curl_slist_append(*list, (const char *)line->data);
    sck_secret_free(&line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static void
header_free(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l != NULL; l = l->next)
        sck_wipe(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static bool
set_request(CURL *easy, const struct sck_http_request *request, struct curl_slist **headers)
{
    static const char json[] = "application/json";
    bool ok = add_header(headers, "X-Vault-Request", "true", 4) &&
              add_header(headers, "X-Correlation-Id", request->call_id, strlen(request->call_id));
    if (ok && request->token != NULL)
        ok = add_header(headers, "X-Vault-Token", request->token->data, request->token->len);
    if (ok && request->name_space[0] != '\0')
        ok = add_header(headers, "X-Vault-Namespace", request->name_space, strlen(request->name_space));
    if (ok && request->body != NULL)
        ok = add_header(headers, "Content-Type", json, sizeof json - 1);
    if (!ok)
        return false;
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    if (request->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->body->len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)request->body->data);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
    return true;
}

static enum sck_net
net_of(CURLcode rc)
{
    if (rc == CURLE_OK)
        return SCK_NET_ANSWER;
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return SCK_NET_TIMEOUT;
    if (rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST)
        return SCK_NET_CONNECT;
    if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_ISSUER_ERROR)
        return SCK_NET_CERTIFICATE;
    /* "Unsupported protocol" is also what a server that speaks no HTTP gets. */
    if (rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL ||
        rc == CURLE_OUT_OF_MEMORY || rc == CURLE_SSL_ENGINE_INITFAILED || rc == CURLE_FAILED_INIT)
        return SCK_NET_SETUP;
    return SCK_NET_BROKEN;
}

/* Drive the exchange to its end; the time limits are the easy handle's. */
static CURLcode
drive(CURLM *multi, CURL *easy)
{
    int running = 1, left = 0;
    CURLMcode rc = curl_multi_add_handle(multi, easy);
    while (rc == CURLM_OK && running > 0) {
        rc = curl_multi_perform(multi, &running);
        if (rc == CURLM_OK && running > 0)
            rc = curl_multi_poll(multi, NULL, 0, 1000, NULL);
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

static void
exchange_on(struct sck_http *http, struct sck_slot *slot, CURL *easy, const struct sck_http_request *request,
            struct sck_http_reply *reply)
{
    char why[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    curl_off_t retry_after_s = 0;
    bool pending;
    sigset_t before;
    sck_slot_watch(slot, easy);
    set_limits(http, easy, request);
    set_tls(http, easy);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, see_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, reply);
    if (set_request(easy, request, &headers)) {
        pipe_block(&before, &pending);
        CURLcode rc = drive(slot->multi, easy);
        if (rc == CURLE_OK && !reply->headed)
            rc = CURLE_PARTIAL_FILE;
        pipe_restore(&before, pending);
        if (reply->net != SCK_NET_OVERSIZE)
            reply->net = net_of(rc);
        /* libcurl's own words hold times and addresses; only of a certificate do they say more than the code. */
        (void)snprintf(reply->detail, sizeof reply->detail, "%s",
                       rc == CURLE_OK ? "" : reply->net == SCK_NET_CERTIFICATE && why[0] != '\0'
                                                 ? why : curl_easy_strerror(rc));
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reply->status);
        (void)curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after_s);
        reply->retry_after_ms = retry_after_s > 0 ? (retry_after_s < 3600 ? retry_after_s : 3600) * 1000 : 0;
    }
    header_free(headers);
}

void
sck_http_exchange(struct sck_http *http, const struct sck_http_request *request, struct sck_http_reply *reply)
{
    *reply = (struct sck_http_reply){.net = SCK_NET_SETUP, .detail = "out of memory"};
    struct sck_slot *slot = sck_slot_take(&http->slots);
    if (slot == NULL)
        return;
    CURL *easy = curl_easy_init();
    if (easy != NULL) {
        exchange_on(http, slot, easy, request, reply);
        curl_easy_cleanup(easy);
    }
    sck_slot_give(&http->slots, slot);
}
