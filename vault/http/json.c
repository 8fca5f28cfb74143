/* SPDX-License-Identifier: MIT */
#include "vault/http/json.h"

#include "lib/base/text.h"

#include <string.h>

struct cursor {
    const char *p, *end;
};

static bool skip_value(struct cursor *c, unsigned depth, struct sck_json *out);

static void
skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

static bool
take(struct cursor *c, char wanted)
{
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    return true;
}

static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }

static bool
is_hex(char ch)
{
    return is_digit(ch) || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

/* Behind a backslash: one of the eight letters, or u and four hex digits (RFC 8259 section 7). */
static bool
skip_escape(struct cursor *c)
{
    if (c->p == c->end || *c->p == '\0' || strchr("\"\\/bfnrtu", *c->p) == NULL)
        return false;
    if (*c->p++ != 'u')
        return true;
    for (int i = 0; i < 4; i++, c->p++) {
        if (c->p == c->end || !is_hex(*c->p))
            return false;
    }
    return true;
}

/* As far as eight bytes at once hold no quote, backslash or control character: most of a batch is base64. */
static const char *
skip_plain(const char *p, const char *end)
{
    const uint64_t ones = UINT64_MAX / 255, highs = ones * 0x80;
    for (; end - p >= 8; p += 8) {
        uint64_t v, quote, slash;
        memcpy(&v, p, sizeof v);
        quote = v ^ (ones * (uint64_t)'"');
        slash = v ^ (ones * (uint64_t)'\\');
        if ((((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((v - ones * 0x20) & ~v)) & highs)
            break;
    }
    return p;
}

static bool
skip_string(struct cursor *c, struct sck_json *out)
{
    if (!take(c, '"'))
        return false;
    const char *from = c->p;
    for (;;) {
        const char *p = skip_plain(c->p, c->end), *end = c->end;
        while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
            p++;
        c->p = p;
        if (p == end || *p != '\\')
            break;
        c->p++;
        if (!skip_escape(c))
            return false;
    }
    *out = (struct sck_json){SCK_JSON_STRING, from, (size_t)(c->p - from)};
    return take(c, '"');
}

static bool
skip_digits(struct cursor *c)
{
    const char *from = c->p;
    while (c->p < c->end && is_digit(*c->p))
        c->p++;
    return c->p > from;
}

static bool
skip_number(struct cursor *c, struct sck_json *out)
{
    const char *from = c->p;
    (void)take(c, '-');
    if (!take(c, '0') && !skip_digits(c))
        return false;
    if (take(c, '.') && !skip_digits(c))
        return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            (void)take(c, '-');
        if (!skip_digits(c))
            return false;
    }
    *out = (struct sck_json){SCK_JSON_NUMBER, from, (size_t)(c->p - from)};
    return true;
}

static bool
skip_word(struct cursor *c, const char *word, enum sck_json_kind kind, struct sck_json *out)
{
    size_t len = strlen(word);
    if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
        return false;
    *out = (struct sck_json){kind, c->p, len};
    c->p += len;
    return true;
}

static bool
skip_member(struct cursor *c, unsigned depth, struct sck_json *name, struct sck_json *value)
{
    skip_space(c);
    if (!skip_string(c, name))
        return false;
    skip_space(c);
    return take(c, ':') && skip_value(c, depth, value);
}

/* An object or an array; `close` is its last character. */
static bool
skip_list(struct cursor *c, unsigned depth, char close, struct sck_json *out)
{
    struct sck_json name, value;
    const char *from = c->p++;
    bool object = close == '}';
    if (depth == SCK_JSON_DEPTH_MAX)
        return false;
    skip_space(c);
    if (!take(c, close)) {
        do {
            if (!(object ? skip_member(c, depth + 1, &name, &value) : skip_value(c, depth + 1, &value)))
                return false;
        } while (take(c, ','));
        if (!take(c, close))
            return false;
    }
    *out = (struct sck_json){object ? SCK_JSON_OBJECT : SCK_JSON_ARRAY, from, (size_t)(c->p - from)};
    return true;
}

static bool
skip_value(struct cursor *c, unsigned depth, struct sck_json *out)
{
    bool ok = false;
    skip_space(c);
    if (c->p == c->end)
        return false;
    switch (*c->p) {
    case '{': ok = skip_list(c, depth, '}', out); break;
    case '[': ok = skip_list(c, depth, ']', out); break;
    case '"': ok = skip_string(c, out); break;
    case 't': ok = skip_word(c, "true", SCK_JSON_TRUE, out); break;
    case 'f': ok = skip_word(c, "false", SCK_JSON_FALSE, out); break;
    case 'n': ok = skip_word(c, "null", SCK_JSON_NULL, out); break;
    default: ok = skip_number(c, out); break;
    }
    skip_space(c);
    return ok;
}

struct sck_json
sck_json_parse(const char *text, size_t len)
{
    struct cursor c = {text, text + len};
    struct sck_json value = {SCK_JSON_NONE, NULL, 0};
    if (len == 0 || !skip_value(&c, 0, &value) || c.p != c.end)
        return (struct sck_json){SCK_JSON_NONE, NULL, 0};
    return value;
}

struct sck_json
sck_json_get(struct sck_json object, const char *name)
{
    struct sck_json found = {SCK_JSON_NONE, NULL, 0}, key, value;
    if (object.kind != SCK_JSON_OBJECT)
        return found;
    struct cursor c = {object.at + 1, object.at + object.len};
    do {
        if (!skip_member(&c, 1, &key, &value))
            break;
        if (!sck_json_is(key, name))
            continue;
        if (found.kind != SCK_JSON_NONE)
            return (struct sck_json){SCK_JSON_NONE, NULL, 0};
        found = value;
    } while (take(&c, ','));
    return found;
}

bool
sck_json_member(struct sck_json object, size_t *at, struct sck_json *name, struct sck_json *value)
{
    if (object.kind != SCK_JSON_OBJECT || *at >= object.len)
        return false;
    /* Behind the brace or the comma; the last member is followed by the closing brace. */
    struct cursor c = {object.at + *at + 1, object.at + object.len};
    bool found = skip_member(&c, 1, name, value);
    *at = (size_t)(c.p - object.at);
    return found;
}

bool
sck_json_next(struct sck_json array, size_t *at, struct sck_json *value)
{
    if (array.kind != SCK_JSON_ARRAY || *at >= array.len)
        return false;
    /* Behind the bracket or the comma; the last item is followed by the closing bracket. */
    struct cursor c = {array.at + *at + 1, array.at + array.len};
    bool found = skip_value(&c, 1, value);
    *at = (size_t)(c.p - array.at);
    return found;
}

struct sck_json
sck_json_item(struct sck_json array, size_t n)
{
    struct sck_json value;
    if (array.kind == SCK_JSON_ARRAY) {
        struct cursor c = {array.at + 1, array.at + array.len};
        do {
            if (!skip_value(&c, 1, &value))
                break;
            if (n-- == 0)
                return value;
        } while (take(&c, ','));
    }
    return (struct sck_json){SCK_JSON_NONE, NULL, 0};
}

/* The character behind a backslash at `p`, and how many characters it takes. */
static char
unescape(const char *p, size_t *taken)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint8_t byte[1];
    *taken = 1;
    if (*p != 'u')
        return values[strchr(letters, *p) - letters];
    *taken = 5;
    char low[2] = {p[3], (char)(p[4] >= 'A' && p[4] <= 'F' ? p[4] + 32 : p[4])};
    bool ascii = p[1] == '0' && p[2] == '0' && p[3] <= '7' && sck_hex_parse(low, 2, byte, 1) && byte[0] != 0;
    return ascii ? (char)byte[0] : '?';
}

bool
sck_json_text(struct sck_json value, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    if (value.kind != SCK_JSON_STRING)
        return false;
    for (size_t i = 0; i < value.len && used + 1 < cap;) {
        size_t taken = 0;
        char ch = value.at[i++];
        if (ch == '\\') {
            ch = unescape(value.at + i, &taken);
            i += taken;
        }
        out[used++] = ch;
    }
    out[used] = '\0';
    return true;
}

bool
sck_json_is(struct sck_json value, const char *text)
{
    return value.kind == SCK_JSON_STRING && value.len == strlen(text) && memcmp(value.at, text, value.len) == 0;
}

bool
sck_json_u64(struct sck_json value, uint64_t max, uint64_t *out)
{
    return value.kind == SCK_JSON_NUMBER && sck_u64_parse(value.at, value.len, max, out);
}
