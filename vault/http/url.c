/* SPDX-License-Identifier: MIT */
#include "vault/http/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

/* 127.0.0.0/8 (RFC 1122 section 3.2.1.3), ::1 (RFC 4291 section 2.5.3), and localhost, which libcurl never resolves. */
static bool
is_loopback(const char *host)
{
    struct in_addr v4;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* Whether the URL has this part, beyond the "/" that every URL has. */
static bool
has(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool there = curl_url_get(u, part, &text, 0) == CURLUE_OK && text[0] != '\0' &&
                 !(part == CURLUPART_PATH && strcmp(text, "/") == 0);
    curl_free(text);
    return there;
}

static enum sck_code
check(CURLU *u, const char *scheme, const char *host, bool insecure_http, struct sck_err *err)
{
    if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD) || has(u, CURLUPART_PATH) || has(u, CURLUPART_QUERY) ||
        has(u, CURLUPART_FRAGMENT))
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: url must be scheme, host and port alone");
    if (strcmp(scheme, "https") == 0)
        return SCK_OK;
    if (strcmp(scheme, "http") != 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: url must begin with https://");
    if (!insecure_http)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: url is http://: use https://, or for a server on this machine "
                        "set insecure_http = true");
    if (!is_loopback(host))
        return sck_fail(err, SCK_E_CONFIG,
                        "keeper vault: http:// is for a server on this machine alone: use https://");
    return SCK_OK;
}

enum sck_code
sck_vault_url_parse(const char *url, bool insecure_http, char out[SCK_VAULT_URL_MAX], struct sck_err *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    enum sck_code rc;
    out[0] = '\0';
    CURLU *u = curl_url();
    if (u == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (strlen(url) >= SCK_VAULT_URL_MAX ||
        curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: url is malformed: write https://host:port");
        goto out;
    }
    rc = check(u, scheme, host, insecure_http, err);
    if (rc == SCK_OK) {
        bool own_port = curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK;
        int len = snprintf(out, SCK_VAULT_URL_MAX, "%s://%s%s%s", scheme, host, own_port ? ":" : "",
                           own_port ? port : "");
        if (len < 0 || len >= SCK_VAULT_URL_MAX)
            rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: url is too long");
    }
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return rc;
}
