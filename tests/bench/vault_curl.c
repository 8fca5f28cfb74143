/* SPDX-License-Identifier: MIT */
/* The reference of row `vault-wrap`: libcurl as one uses it, kept-alive connections, handles used again. */
#include "tests/bench/bench.h"
#include "tests/bench/vault.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SINGLES = 400, MANY = 2000, BATCHES = 20, REPLY_MAX = 256 * 1024 };

struct lane {
    CURL *easy;
    struct curl_slist *headers;
    char *reply;
    size_t used;
};

static struct {
    CURLM *multi;
    struct lane lanes[BENCH_IN_FLIGHT];
    char encrypt_url[256], decrypt_url[256];
    char encrypt_body[256], decrypt_body[512];
    char *encrypt_batch, *decrypt_batch;
} raw;

static size_t
take(char *data, size_t size, size_t count, void *arg)
{
    struct lane *lane = arg;
    size_t len = size * count;
    if (lane->used + len >= REPLY_MAX)
        return 0;
    memcpy(lane->reply + lane->used, data, len);
    lane->used += len;
    lane->reply[lane->used] = '\0';
    return len;
}

static void
lane_open(struct lane *lane, const char *token)
{
    char header[300];
    (void)snprintf(header, sizeof header, "X-Vault-Token: %s", token);
    lane->easy = curl_easy_init();
    lane->reply = malloc(REPLY_MAX);
    lane->headers = curl_slist_append(lane->headers, header);
    lane->headers = curl_slist_append(lane->headers, "X-Vault-Request: true");
    lane->headers = curl_slist_append(lane->headers, "Content-Type: application/json");
    if (lane->easy == NULL || lane->reply == NULL || lane->headers == NULL)
        bench_die("libcurl", "out of memory");
    curl_easy_setopt(lane->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(lane->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, lane->headers);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEDATA, lane);
    curl_easy_setopt(lane->easy, CURLOPT_PRIVATE, (char *)lane);
}

static void
lane_set(struct lane *lane, const char *url, const char *body)
{
    lane->used = 0;
    curl_easy_setopt(lane->easy, CURLOPT_URL, url);
    curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDS, body);
}

static void
lane_check(const struct lane *lane, CURLcode rc)
{
    long status = 0;
    (void)curl_easy_getinfo(lane->easy, CURLINFO_RESPONSE_CODE, &status);
    if (rc != CURLE_OK || status != 200)
        bench_die("libcurl", rc != CURLE_OK ? curl_easy_strerror(rc) : lane->reply);
}

static char *
batch_of(const char *item)
{
    size_t len = strlen(item);
    char *text = malloc(BENCH_BATCH * (len + 1) + 32);
    if (text == NULL)
        bench_die("libcurl", "out of memory");
    char *at = text + sprintf(text, "{\"batch_input\":[");
    for (int i = 0; i < BENCH_BATCH; i++)
        at += sprintf(at, "%s%s", i > 0 ? "," : "", item);
    (void)sprintf(at, "]}");
    return text;
}

static void
raw_open(const struct bench_vault *v)
{
    char token[256] = "", payload[97];
    if (raw.multi != NULL)
        return;
    FILE *f = fopen(v->token_file, "r");
    if (f == NULL || fgets(token, sizeof token, f) == NULL)
        bench_die(v->token_file, "cannot be read");
    (void)fclose(f);
    token[strcspn(token, "\n")] = '\0';
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    raw.multi = curl_multi_init();
    for (int i = 0; i < BENCH_IN_FLIGHT; i++)
        lane_open(&raw.lanes[i], token);
    memset(payload, 'B', 96);
    payload[96] = '\0';
    (void)snprintf(raw.encrypt_url, sizeof raw.encrypt_url, "%s/v1/scopekey/encrypt/sk--bench", v->url);
    (void)snprintf(raw.decrypt_url, sizeof raw.decrypt_url, "%s/v1/scopekey/decrypt/sk--bench", v->url);
    (void)snprintf(raw.encrypt_body, sizeof raw.encrypt_body, "{\"plaintext\":\"%s\"}", payload);
    struct lane *lane = &raw.lanes[0];
    lane_set(lane, raw.encrypt_url, raw.encrypt_body);
    lane_check(lane, curl_easy_perform(lane->easy));
    char *blob = strstr(lane->reply, "vault:v");
    if (blob == NULL)
        bench_die("libcurl", lane->reply);
    blob[strcspn(blob, "\"")] = '\0';
    (void)snprintf(raw.decrypt_body, sizeof raw.decrypt_body, "{\"ciphertext\":\"%s\"}", blob);
    raw.encrypt_batch = batch_of(raw.encrypt_body);
    raw.decrypt_batch = batch_of(raw.decrypt_body);
}

double
bench_curl_single(void *vault)
{
    raw_open(vault);
    struct lane *lane = &raw.lanes[0];
    double begun = bench_now_us();
    for (int i = 0; i < SINGLES; i++) {
        lane_set(lane, i % 2 == 0 ? raw.encrypt_url : raw.decrypt_url, i % 2 == 0 ? raw.encrypt_body : raw.decrypt_body);
        lane_check(lane, curl_easy_perform(lane->easy));
    }
    return (bench_now_us() - begun) / SINGLES;
}

double
bench_curl_batch(void *vault)
{
    raw_open(vault);
    struct lane *lane = &raw.lanes[0];
    double begun = bench_now_us();
    for (int i = 0; i < BATCHES; i++) {
        lane_set(lane, i % 2 == 0 ? raw.encrypt_url : raw.decrypt_url,
                 i % 2 == 0 ? raw.encrypt_batch : raw.decrypt_batch);
        lane_check(lane, curl_easy_perform(lane->easy));
    }
    return (bench_now_us() - begun) / (BATCHES * BENCH_BATCH);
}

static void
begin(struct lane *lane, int i)
{
    lane_set(lane, i % 2 == 0 ? raw.encrypt_url : raw.decrypt_url, i % 2 == 0 ? raw.encrypt_body : raw.decrypt_body);
    if (curl_multi_add_handle(raw.multi, lane->easy) != CURLM_OK)
        bench_die("libcurl", "a handle cannot be added");
}

double
bench_curl_many(void *vault)
{
    int begun = 0, done = 0, running = 0, left = 0;
    raw_open(vault);
    double from = bench_now_us();
    while (begun < BENCH_IN_FLIGHT) {
        begin(&raw.lanes[begun], begun);
        begun++;
    }
    while (done < MANY) {
        bool moved = false;
        (void)curl_multi_perform(raw.multi, &running);
        for (CURLMsg *m = curl_multi_info_read(raw.multi, &left); m != NULL; m = curl_multi_info_read(raw.multi, &left)) {
            char *lane = NULL;
            CURL *easy = m->easy_handle;
            CURLcode rc = m->data.result;
            (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &lane);
            lane_check((struct lane *)(void *)lane, rc);
            (void)curl_multi_remove_handle(raw.multi, easy);
            done++;
            moved = true;
            if (begun < MANY)
                begin((struct lane *)(void *)lane, begun++);
        }
        if (!moved)
            (void)curl_multi_poll(raw.multi, NULL, 0, 1000, NULL);
    }
    return (bench_now_us() - from) / MANY;
}
