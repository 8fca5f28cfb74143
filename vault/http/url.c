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

/* 169.254.0.0/16 (RFC 3927): never beyond the link. */
static bool
is_link_local(const char *host)
{
    struct in_addr v4;
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 16 == 0xA9FE;
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
check(CURLU *u, const char *scheme, const char *host, const struct sck_url_rules *rules, struct sck_err *err)
{
    const char *keeper = rules->keeper, *setting = rules->setting;
    if (has(u, CURLUPART_USER) || has(u, CURLUPART_PASSWORD) || has(u, CURLUPART_PATH) || has(u, CURLUPART_QUERY) ||
        has(u, CURLUPART_FRAGMENT))
        return sck_fail(err, SCK_E_CONFIG, "keeper %s: %s must be scheme, host and port alone", keeper, setting);
    if (strcmp(scheme, "https") == 0)
        return SCK_OK;
    if (strcmp(scheme, "http") != 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper %s: %s must begin with https://", keeper, setting);
    if (rules->http == SCK_URL_HTTP_NEVER)
        return sck_fail(err, SCK_E_CONFIG, "keeper %s: %s is http://: use https://, or for a server on this machine "
                        "set insecure_http = true", keeper, setting);
    if (!is_loopback(host) && !(rules->http == SCK_URL_HTTP_LINK && is_link_local(host)))
        return sck_fail(err, SCK_E_CONFIG, "keeper %s: http:// is for a server on this machine alone: use https://",
                        keeper);
    return SCK_OK;
}

enum sck_code
sck_url_parse(const char *url, const struct sck_url_rules *rules, char out[SCK_URL_MAX], struct sck_err *err)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    enum sck_code rc;
    out[0] = '\0';
    CURLU *u = curl_url();
    if (u == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (strlen(url) >= SCK_URL_MAX ||
        curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME | CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        rc = sck_fail(err, SCK_E_CONFIG, "keeper %s: %s is malformed: write https://host:port", rules->keeper,
                      rules->setting);
        goto out;
    }
    rc = check(u, scheme, host, rules, err);
    if (rc == SCK_OK) {
        bool own_port = curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK;
        int len = snprintf(out, SCK_URL_MAX, "%s://%s%s%s", scheme, host, own_port ? ":" : "",
                           own_port ? port : "");
        if (len < 0 || len >= SCK_URL_MAX)
            rc = sck_fail(err, SCK_E_CONFIG, "keeper %s: %s is too long", rules->keeper, rules->setting);
    }
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return rc;
}
