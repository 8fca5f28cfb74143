/* SPDX-License-Identifier: MIT */
#include "vault/azure/wire.h"

#include <string.h>
#include <strings.h>

/* All ones when lo <= c <= hi, else 0.  What is coded may be secret: nothing here depends on it but the last verdict. */
static uint32_t
between(uint32_t c, uint32_t lo, uint32_t hi)
{
    return (((c - lo) | (hi - c)) >> 31) - 1U;
}

static char
digit_of(uint32_t v)
{
    uint32_t upper = between(v, 0, 25), lower = between(v, 26, 51), number = between(v, 52, 61);
    uint32_t minus = between(v, 62, 62), under = between(v, 63, 63);
    return (char)((upper & (v + 'A')) | (lower & (v - 26 + 'a')) | (number & (v - 52 + '0')) | (minus & '-') |
                  (under & '_'));
}

void
sck_b64url_encode(const uint8_t *data, size_t len, char *out)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | data[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digit_of(bits >> (held - 6) & 63);
    }
    if (held > 0)
        *out = digit_of(bits << (6 - held) & 63);
}

/* The value of a digit; sets bits in *bad when it is none. */
static uint32_t
value_of(uint32_t c, uint32_t *bad)
{
    uint32_t upper = between(c, 'A', 'Z'), lower = between(c, 'a', 'z'), number = between(c, '0', '9');
    uint32_t minus = between(c, '-', '-'), under = between(c, '_', '_');
    *bad |= ~(upper | lower | number | minus | under);
    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (number & (c - '0' + 52)) | (minus & 62) | (under & 63);
}

bool
sck_b64url_decode(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *out_len)
{
    uint32_t bits = 0, bad = 0;
    unsigned held = 0;
    size_t used = 0;
    *out_len = 0;
    if (text_len % 4 == 1 || text_len / 4 * 3 + (text_len % 4 != 0 ? text_len % 4 - 1 : 0) > cap)
        return false;
    for (size_t i = 0; i < text_len; i++) {
        bits = bits << 6 | value_of((uint8_t)text[i], &bad);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[used++] = (uint8_t)(bits >> held);
        }
    }
    if ((bad | (bits & ((1U << held) - 1))) != 0)
        return false;
    *out_len = used;
    return true;
}

bool
sck_azure_version_is_legal(const char *text, size_t len)
{
    return len == SCK_AZURE_VERSION_LEN && strspn(text, "0123456789abcdef") >= SCK_AZURE_VERSION_LEN;
}

bool
sck_azure_kid_version(struct sck_json kid, const char *vault, const char *name,
                      char version[SCK_AZURE_VERSION_LEN + 1])
{
    char text[512];
    size_t vault_len = strlen(vault), name_len = strlen(name);
    if (!sck_json_text(kid, text, sizeof text) ||
        strlen(text) != vault_len + 6 + name_len + 1 + SCK_AZURE_VERSION_LEN)
        return false;
    const char *at = text + vault_len;
    if (strncasecmp(text, vault, vault_len) != 0 || strncmp(at, "/keys/", 6) != 0 ||
        strncmp(at + 6, name, name_len) != 0 || at[6 + name_len] != '/')
        return false;
    at += 6 + name_len + 1;
    if (!sck_azure_version_is_legal(at, strlen(at)))
        return false;
    memcpy(version, at, SCK_AZURE_VERSION_LEN + 1);
    return true;
}

/* One `name="value"` or `name=value`; false when there is none. */
static bool
take_parameter(const char **p, char *name, size_t name_cap, char *value, size_t value_cap)
{
    size_t len = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (len == 0 || len >= name_cap || (*p)[len] != '=')
        return false;
    memcpy(name, *p, len);
    name[len] = '\0';
    *p += len + 1;
    bool quoted = **p == '"';
    *p += quoted;
    len = strcspn(*p, quoted ? "\"\\" : " ,\"\\");
    if (len >= value_cap || (quoted && (*p)[len] != '"'))
        return false;
    memcpy(value, *p, len);
    value[len] = '\0';
    *p += len + quoted;
    return true;
}

static bool
drop_end(char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    if (len < end_len || strcmp(text + len - end_len, end) != 0)
        return false;
    text[len - end_len] = '\0';
    return true;
}

/* Keep what a parameter says; false when one that matters is there twice or too long. */
static bool
keep_parameter(struct sck_azure_challenge *out, const char *name, char *value)
{
    if (strcasecmp(name, "authorization") == 0 || strcasecmp(name, "authorization_uri") == 0) {
        (void)drop_end(value, "/");
        const char *slash = strrchr(value, '/');
        if (out->tenant[0] != '\0' || slash == NULL || strlen(slash + 1) >= sizeof out->tenant)
            return false;
        memcpy(out->tenant, slash + 1, strlen(slash + 1) + 1);
    } else if (strcasecmp(name, "resource") == 0 || strcasecmp(name, "scope") == 0) {
        if (out->resource[0] != '\0')
            return false;
        if (strcasecmp(name, "scope") == 0)
            (void)drop_end(value, "/.default");
        (void)drop_end(value, "/");
        if (strlen(value) >= sizeof out->resource)
            return false;
        memcpy(out->resource, value, strlen(value) + 1);
    }
    return true;
}

bool
sck_azure_challenge_parse(const char *header, struct sck_azure_challenge *out)
{
    char name[64], value[512];
    memset(out, 0, sizeof *out);
    if (strncasecmp(header, "Bearer", 6) != 0 || (header[6] != ' ' && header[6] != '\t'))
        return false;
    const char *p = header + 6;
    for (;;) {
        p += strspn(p, " \t,");
        if (*p == '\0')
            return out->resource[0] != '\0';
        if (!take_parameter(&p, name, sizeof name, value, sizeof value) || !keep_parameter(out, name, value))
            return false;
        if (*p != '\0' && strchr(" \t,", *p) == NULL)
            return false;
    }
}

/* The host and port behind "scheme://", whose end is *len; NULL unless that is all there is. */
static const char *
authority_of(const char *url, const char *scheme, size_t *len)
{
    size_t scheme_len = strlen(scheme);
    if (strncasecmp(url, scheme, scheme_len) != 0)
        return NULL;
    *len = strlen(url + scheme_len);
    return *len > 0 && strcspn(url + scheme_len, "/?#@\\% ") == *len ? url + scheme_len : NULL;
}

bool
sck_azure_resource_fits(const char *vault, const char *resource)
{
    size_t vault_len = 0, resource_len = 0;
    if (strcasecmp(vault, resource) == 0)
        return true;
    const char *host = authority_of(vault, "https://", &vault_len);
    const char *domain = authority_of(resource, "https://", &resource_len);
    if (host == NULL || domain == NULL)
        return false;
    /* A domain of one label, or an address in numbers, is nobody's in particular. */
    const char *dot = memchr(host, '.', vault_len);
    bool named = strspn(host, "0123456789.:[]") < vault_len;
    return named && dot != NULL && memchr(domain, '.', resource_len) != NULL && strcasecmp(dot + 1, domain) == 0;
}
