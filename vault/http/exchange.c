/* SPDX-License-Identifier: MIT */
#include "vault/http/exchange.h"

#include "lib/base/metric.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BODY_FIRST = 4096, BUFFER_SMALL = 2048 };
/* A pooled connection that a server or a firewall forgot hangs; old ones also keep to a node that lost its leadership. */
enum { IDLE_MAX_S = 30, LIFE_MAX_S = 300, KEEPALIVE_S = 15 };

/* Secrets cannot grow in place: a fuller one is copied into one of twice the size and wiped. */
static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
    struct sck_exchange *x = arg;
    struct sck_http_reply *reply = x->reply;
    size_t len = size * count;
    size_t cap = reply->body != NULL ? reply->body->len : 0;
    if (len > SCK_REPLY_MAX - reply->body_len) {
        reply->net = SCK_NET_OVERSIZE;
        return 0;
    }
    if (reply->body_len + len > cap) {
        struct sck_secret *larger = NULL;
        size_t first = x->request->reply_hint > BODY_FIRST ? x->request->reply_hint : BODY_FIRST;
        cap = cap == 0 ? first : cap * 2;
        while (cap < reply->body_len + len)
            cap *= 2;
        cap = cap < SCK_REPLY_MAX ? cap : SCK_REPLY_MAX;
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

/* A header line "Name: value": its value into `out` when it is the one. */
static void
take_header(const char *line, size_t len, const char *name, char *out, size_t cap)
{
    size_t name_len = name != NULL ? strlen(name) : 0;
    if (name_len == 0 || len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
        return;
    line += name_len + 1;
    len -= name_len + 1;
    while (len > 0 && (line[0] == ' ' || line[0] == '\t')) {
        line++;
        len--;
    }
    while (len > 0 && (uint8_t)line[len - 1] <= 0x20)
        len--;
    if (len < cap) {
        memcpy(out, line, len);
        out[len] = '\0';
    }
}

static size_t
take_headers(char *data, size_t size, size_t count, void *arg)
{
    struct sck_exchange *x = arg;
    size_t len = size * count;
    /* libcurl 7.88 takes headers that end in the middle for whole ones. */
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0)
        x->reply->headed = false;
    else if (len == 2 && memcmp(data, "\r\n", 2) == 0)
        x->reply->headed = true;
    take_header(data, len, x->request->id_header, x->reply->id, sizeof x->reply->id);
    take_header(data, len, x->request->node_header, x->reply->node, sizeof x->reply->node);
    take_header(data, len, "WWW-Authenticate", x->reply->challenge, sizeof x->reply->challenge);
    return len;
}

/* There is a connection, and the request is about to be sent. */
static int
count_connection(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct sck_exchange *x = arg;
    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    if (!x->counted) {
        x->counted = true;
        sck_metric_add(x->http->active, 1);
        sck_metric_add(x->http->idle, -1);
    }
    return CURL_PREREQFUNC_OK;
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
set_tls(const struct sck_http *http, CURL *easy, const struct sck_http_request *request)
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
    const char *cert = request->identity != NULL ? request->identity->cert_file : http->client_cert;
    const char *key = request->identity != NULL ? request->identity->key_file : http->client_key;
    if (cert != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, cert);
    if (key != NULL)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, key);
    /* Otherwise OpenSSL would ask for one on the terminal. */
    curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
    /* A resumed session shows the certificate that was there when it began. */
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, request->fresh ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, harden_tls);
}

static void
set_limits(const struct sck_http *http, CURL *easy, const struct sck_http_request *request)
{
    int64_t connect_ms = http->connect_timeout_ms < request->timeout_ms ? http->connect_timeout_ms
                                                                        : request->timeout_ms;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* It is wiped each time. */
    if (request->reply_hint <= BUFFER_SMALL)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_SMALL);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_MAX_S);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, (long)LIFE_MAX_S);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                     (long)(http->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    /* With HTTP/2: better to wait for the first connection's streams than to open a second one. */
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, http->http2 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, strncmp(request->url, "https:", 6) == 0 ? "https" : "http");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

/* Append head and value as one line; false when out of memory.  libcurl copies the line: header_free() wipes it. */
static bool
add_line(struct curl_slist **list, const char *head, const void *value, size_t len)
{
    struct sck_secret *line = NULL;
    size_t head_len = strlen(head);
    if (sck_secret_new(head_len + len + 1, &line, NULL) != SCK_OK)
        return false;
    memcpy(line->data, head, head_len);
    memcpy(line->data + head_len, value, len);
    struct curl_slist *longer = curl_slist_append(*list, (const char *)line->data);
    sck_secret_free(&line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static bool
add_header(struct curl_slist **list, const char *name, const char *value)
{
    char head[64];
    int len = snprintf(head, sizeof head, "%s: ", name);
    return len > 0 && (size_t)len < sizeof head && add_line(list, head, value, strlen(value));
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
    bool ok = add_header(headers, "X-Correlation-Id", request->call_id);
    for (size_t i = 0; ok && i < request->header_count; i++)
        ok = add_header(headers, request->headers[i].name, request->headers[i].value);
    if (ok && request->token != NULL)
        ok = add_line(headers, request->token_header, request->token->data, request->token->len);
    if (ok && request->body != NULL)
        ok = add_header(headers, "Content-Type", request->content_type);
    /* libcurl would ask for leave before it sends a body of more than 1 MiB, and wait a second for it. */
    if (ok && request->body != NULL)
        ok = add_line(headers, "Expect:", "", 0);
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

/* What one side told the other about TLS that asking again would not change; OpenSSL's words, in libcurl's. */
static bool
is_tls_refusal(CURLcode rc, const char *why)
{
    static const char *const words[] = {
        "protocol version", "unsupported protocol", "no protocols available", "handshake failure", "wrong version number",
        "packet length too long", "record layer failure", "http request", "certificate required", "bad certificate",
        "certificate expired", "certificate unknown", "unknown ca",
    };
    if (rc != CURLE_SSL_CONNECT_ERROR && rc != CURLE_RECV_ERROR && rc != CURLE_SEND_ERROR)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(why, words[i]) != NULL)
            return true;
    }
    return false;
}

static enum sck_net
net_of(CURLcode rc, const char *why)
{
    if (rc == CURLE_OK)
        return SCK_NET_ANSWER;
    if (rc == CURLE_OPERATION_TIMEDOUT)
        return SCK_NET_TIMEOUT;
    if (rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST)
        return SCK_NET_CONNECT;
    if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_ISSUER_ERROR)
        return SCK_NET_CERTIFICATE;
    if (is_tls_refusal(rc, why))
        return SCK_NET_TLS;
    /* "Unsupported protocol" is also what a server that speaks no HTTP gets. */
    if (rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_SSL_CERTPROBLEM || rc == CURLE_URL_MALFORMAT ||
        rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_OUT_OF_MEMORY || rc == CURLE_SSL_ENGINE_INITFAILED ||
        rc == CURLE_FAILED_INIT)
        return SCK_NET_SETUP;
    return SCK_NET_BROKEN;
}

bool
sck_exchange_begin(struct sck_exchange *x, const struct sck_http *http, struct sck_sockets *sockets,
                   const struct sck_http_request *request, struct sck_http_reply *reply)
{
    *reply = (struct sck_http_reply){.net = SCK_NET_SETUP, .detail = "out of memory"};
    x->headers = NULL;
    x->http = http;
    x->counted = false;
    x->request = request;
    x->reply = reply;
    x->why[0] = '\0';
    x->easy = curl_easy_init();
    if (x->easy == NULL || !set_request(x->easy, request, &x->headers)) {
        curl_easy_cleanup(x->easy);
        x->easy = NULL;
        header_free(x->headers);
        return false;
    }
    sck_sockets_watch(sockets, x->easy);
    set_limits(http, x->easy, request);
    set_tls(http, x->easy, request);
    curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
    curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->why);
    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, take_headers);
    curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_PREREQFUNCTION, count_connection);
    curl_easy_setopt(x->easy, CURLOPT_PREREQDATA, x);
    return true;
}

void
sck_exchange_end(struct sck_exchange *x, CURLcode rc)
{
    struct sck_http_reply *reply = x->reply;
    curl_off_t retry_after_s = 0;
    long connects = 0;
    if (rc == CURLE_OK && !reply->headed)
        rc = CURLE_PARTIAL_FILE;
    if (reply->net != SCK_NET_OVERSIZE)
        reply->net = net_of(rc, x->why);
    /* libcurl's own words hold times and addresses; only of TLS and certificates do they say more than the code. */
    bool own_words = (reply->net == SCK_NET_CERTIFICATE || reply->net == SCK_NET_TLS) && x->why[0] != '\0';
    (void)snprintf(reply->detail, sizeof reply->detail, "%s",
                   rc == CURLE_OK ? "" : own_words ? x->why : curl_easy_strerror(rc));
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &reply->status);
    (void)curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    (void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
    reply->reused = connects == 0 && reply->net != SCK_NET_CONNECT && reply->net != SCK_NET_SETUP;
    reply->retry_after_ms = retry_after_s > 0 ? (retry_after_s < 3600 ? retry_after_s : 3600) * 1000 : 0;
    curl_easy_cleanup(x->easy);
    if (x->counted) {
        sck_metric_add(x->http->active, -1);
        sck_metric_add(x->http->idle, 1);
    }
    x->easy = NULL;
    header_free(x->headers);
    x->headers = NULL;
}
