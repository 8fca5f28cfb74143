/* SPDX-License-Identifier: MIT */
#include "rest/strict.h"

#include <string.h>
#include <strings.h>

static bool
is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* RFC 9110 section 5.6.2 */
static bool
is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!is_alnum(c) && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return len > 0;
}

/* RFC 9110 section 5.5 */
static bool
is_field_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F)
            return false;
    }
    return true;
}

static bool
is_name(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

static void
look_at_length(struct sck_strict *seen, const char *value, size_t len)
{
    seen->length = 0;
    if (len == 0 || len > 18)
        seen->bad_length = true;
    for (size_t i = 0; i < len && !seen->bad_length; i++) {
        if (value[i] < '0' || value[i] > '9')
            seen->bad_length = true;
        else
            seen->length = seen->length * 10 + (uint64_t)(value[i] - '0');
    }
}

void
sck_strict_header(struct sck_strict *seen, const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (!is_token(name, name_len))
        seen->bad_name = true;
    if (!is_field_value(value, value_len))
        seen->bad_value = true;
    if (is_name(name, name_len, "Host")) {
        seen->hosts++;
    } else if (is_name(name, name_len, "Content-Length")) {
        seen->lengths++;
        look_at_length(seen, value, value_len);
    } else if (is_name(name, name_len, "Transfer-Encoding")) {
        seen->encodings++;
        if (value_len != 7 || memcmp(value, "chunked", 7) != 0)
            seen->bad_encoding = true;
    } else if (is_name(name, name_len, "Content-Type")) {
        seen->types++;
    } else if (is_name(name, name_len, "X-API-Key")) {
        seen->api_keys++;
    }
}

const char *
sck_strict_head(const struct sck_strict *seen, const char *version)
{
    bool is_10 = strcmp(version, "HTTP/1.0") == 0;
    if (!is_10 && strcmp(version, "HTTP/1.1") != 0)
        return "Only HTTP/1.1 and HTTP/1.0 are spoken here";
    if (seen->bad_name)
        return "A header name is malformed";
    if (seen->bad_value)
        return "A header value has control characters";
    if (seen->hosts > 1)
        return "There is more than one Host";
    if (seen->lengths > 1)
        return "There is more than one Content-Length";
    if (seen->bad_length)
        return "Content-Length is malformed";
    if (seen->lengths > 0 && seen->encodings > 0)
        return "There are both Content-Length and Transfer-Encoding";
    if (seen->encodings > 1 || seen->bad_encoding || (is_10 && seen->encodings > 0))
        return "Transfer-Encoding is not chunked";
    if (seen->types > 1)
        return "There is more than one Content-Type";
    if (seen->api_keys > 1)
        return "There is more than one X-API-Key";
    return NULL;
}

bool
sck_strict_has_body(const struct sck_strict *seen)
{
    return seen->encodings > 0 || (seen->lengths > 0 && seen->length > 0);
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* "." and "..", each dot also as %2E. */
static bool
is_dot_segment(const char *p, size_t len)
{
    size_t dots = 0;
    while (len > 0) {
        if (p[0] == '.') {
            p++;
            len--;
        } else if (len >= 3 && p[0] == '%' && p[1] == '2' && (p[2] == 'E' || p[2] == 'e')) {
            p += 3;
            len -= 3;
        } else {
            return false;
        }
        dots++;
    }
    return dots == 1 || dots == 2;
}

const char *
sck_strict_target(const char *target)
{
    if (target[0] != '/')
        return "The request target must be a path";
    size_t path_len = strcspn(target, "?");
    for (size_t i = 0; i < path_len; i++) {
        unsigned char c = (unsigned char)target[i];
        if (c == '%') {
            int hi = hex_value(target[i + 1]);
            int lo = hi < 0 ? -1 : hex_value(target[i + 2]);
            if (lo < 0)
                return "The path has a malformed percent-encoding";
            if (hi * 16 + lo < 0x20 || hi * 16 + lo == 0x7F)
                return "The path has control characters";
        } else if (!is_alnum(c) && strchr("-._~!$&'()*+,;=:@/", c) == NULL) {
            return "The path has characters that must be percent-encoded";
        }
    }
    for (size_t at = 1; at <= path_len;) {
        size_t len = strcspn(target + at, "/?");
        if (is_dot_segment(target + at, len))
            return "The path has dot segments";
        at += len + 1;
    }
    if (target[path_len] == '?')
        return "The path takes no query";
    return NULL;
}

bool
sck_strict_is_json(const char *content_type)
{
    static const char wanted[] = "application/json";
    size_t len = sizeof wanted - 1;
    if (strncasecmp(content_type, wanted, len) != 0)
        return false;
    const char *rest = content_type + len + strspn(content_type + len, " \t");
    return rest[0] == '\0' || rest[0] == ';';
}

bool
sck_strict_is_request_id(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!is_alnum(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return len >= 1 && len <= 64;
}
