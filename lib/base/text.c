/* SPDX-License-Identifier: MIT */
#include "lib/base/text.h"

#include <string.h>

static const char hex_lower[] = "0123456789abcdef";
static const char hex_upper[] = "0123456789ABCDEF";

void
sck_hex_format(const uint8_t *data, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_lower[data[i] >> 4];
        out[2 * i + 1] = hex_lower[data[i] & 15];
    }
    out[2 * len] = '\0';
}

/* Value of a digit of `digits`, or -1. */
static int
digit_value(const char *digits, char c)
{
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool
sck_hex_parse(const char *text, size_t text_len, uint8_t *out, size_t len)
{
    if (text_len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = digit_value(hex_lower, text[2 * i]);
        int lo = digit_value(hex_lower, text[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

void
sck_base64_format(const uint8_t *data, size_t len, struct sck_buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *at = sck_buf_grow(out, (len + 2) / 3 * 4);
    for (size_t i = 0; at != NULL && i < len; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16;
        if (i + 1 < len)
            v |= (uint32_t)data[i + 1] << 8;
        if (i + 2 < len)
            v |= data[i + 2];
        *at++ = (uint8_t)digits[v >> 18];
        *at++ = (uint8_t)digits[v >> 12 & 63];
        *at++ = i + 1 < len ? (uint8_t)digits[v >> 6 & 63] : '=';
        *at++ = i + 2 < len ? (uint8_t)digits[v & 63] : '=';
    }
}

/* Value of a base64 digit, or -1; notes which alphabet it came from. */
static int
base64_value(char c, bool *standard, bool *urlsafe)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '/') {
        *standard = true;
        return c == '+' ? 62 : 63;
    }
    if (c == '-' || c == '_') {
        *urlsafe = true;
        return c == '-' ? 62 : 63;
    }
    return -1;
}

bool
sck_base64_parse(const char *text, size_t text_len, struct sck_buf *out)
{
    size_t n = text_len;
    while (n > 0 && text_len - n < 2 && text[n - 1] == '=')
        n--;
    if (n != text_len && text_len % 4 != 0)
        return false;
    if (n % 4 == 1)
        return false;
    bool standard = false;
    bool urlsafe = false;
    uint8_t *at = sck_buf_grow(out, n / 4 * 3 + (n % 4 != 0 ? n % 4 - 1 : 0));
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(text[i], &standard, &urlsafe);
        if (v < 0 || at == NULL)
            return false;
        acc = acc << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *at++ = (uint8_t)(acc >> bits);
        }
    }
    bool canonical = (acc & ((1U << bits) - 1)) == 0;
    return canonical && !(standard && urlsafe) && !out->failed;
}

size_t
sck_base32hex_len(size_t len)
{
    return (len * 8 + 4) / 5;
}

void
sck_base32hex_format(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        acc = acc << 8 | data[i];
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            *out++ = digits[acc >> bits & 31];
        }
    }
    if (bits > 0)
        *out++ = digits[acc << (5 - bits) & 31];
    *out = '\0';
}

/* Length of the well-formed UTF-8 sequence at `p`, or 0 (RFC 3629 section 4). */
static size_t
utf8_sequence(const uint8_t *p, size_t left, uint32_t *cp)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    if ((p[0] & 0xE0) == 0xC0) {
        n = 2;
        *cp = p[0] & 0x1FU;
    } else if ((p[0] & 0xF0) == 0xE0) {
        n = 3;
        *cp = p[0] & 0x0FU;
    } else if ((p[0] & 0xF8) == 0xF0) {
        n = 4;
        *cp = p[0] & 0x07U;
    } else {
        return 0;
    }
    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        *cp = *cp << 6 | (p[i] & 0x3FU);
    }
    bool surrogate = *cp >= 0xD800 && *cp <= 0xDFFF;
    return *cp < smallest[n] || *cp > 0x10FFFF || surrogate ? 0 : n;
}

bool
sck_utf8_is_clean(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0;
        size_t n = utf8_sequence(data + i, len - i, &cp);
        if (n == 0 || cp < 0x20 || (cp >= 0x7F && cp <= 0x9F))
            return false;
        i += n;
    }
    return true;
}

static bool
is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

void
sck_percent_format(const uint8_t *data, size_t len, struct sck_buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(data[i])) {
            sck_buf_put_u8(out, data[i]);
        } else {
            const char code[3] = {'%', hex_upper[data[i] >> 4], hex_upper[data[i] & 15]};
            sck_buf_put(out, code, sizeof code);
        }
    }
}

bool
sck_percent_parse(const char *text, size_t text_len, struct sck_buf *out)
{
    for (size_t i = 0; i < text_len; i++) {
        if (is_unreserved((uint8_t)text[i])) {
            sck_buf_put_u8(out, (uint8_t)text[i]);
            continue;
        }
        if (text[i] != '%' || text_len - i < 3)
            return false;
        int hi = digit_value(hex_upper, text[i + 1]);
        int lo = digit_value(hex_upper, text[i + 2]);
        if (hi < 0 || lo < 0)
            return false;
        uint8_t byte = (uint8_t)(hi << 4 | lo);
        if (is_unreserved(byte))
            return false;
        sck_buf_put_u8(out, byte);
        i += 2;
    }
    return !out->failed;
}

bool
sck_u64_parse(const char *text, size_t text_len, uint64_t max, uint64_t *out)
{
    if (text_len == 0 || text_len > 20 || (text_len > 1 && text[0] == '0'))
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < text_len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        uint64_t d = (uint64_t)(text[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar, by counting years from March. */
static int64_t
days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void
civil_from_days(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = days / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp + (mp < 10 ? 3 : -9);
    *y = yoe + era * 400 + (*m <= 2);
}

static void
put_digits(char *out, int64_t v, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        out[i - 1] = (char)('0' + v % 10);
        v /= 10;
    }
}

void
sck_time_format(int64_t unix_s, char out[SCK_TIME_TEXT])
{
    static const int64_t last = 253402300799;  /* 9999-12-31T23:59:59Z */
    if (unix_s < 0 || unix_s > last) {
        out[0] = '\0';
        return;
    }
    int64_t y;
    int64_t m;
    int64_t d;
    int64_t s = unix_s % 86400;
    civil_from_days(unix_s / 86400, &y, &m, &d);
    memcpy(out, "0000-00-00T00:00:00Z", SCK_TIME_TEXT);
    put_digits(out, y, 4);
    put_digits(out + 5, m, 2);
    put_digits(out + 8, d, 2);
    put_digits(out + 11, s / 3600, 2);
    put_digits(out + 14, s / 60 % 60, 2);
    put_digits(out + 17, s % 60, 2);
}

bool
sck_time_parse(const char *text, size_t text_len, int64_t *unix_s)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    if (text_len != sizeof shape - 1)
        return false;
    int64_t field[6] = {0};
    size_t f = 0;
    for (size_t i = 0; i < text_len; i++) {
        if (shape[i] == 'd') {
            if (text[i] < '0' || text[i] > '9')
                return false;
            field[f] = field[f] * 10 + (text[i] - '0');
        } else if (text[i] != shape[i]) {
            return false;
        } else {
            f++;
        }
    }
    if (field[0] < 1970 || field[1] < 1 || field[1] > 12 || field[3] > 23 || field[4] > 59 || field[5] > 59)
        return false;
    int64_t days = days_from_civil(field[0], field[1], field[2]);
    int64_t y;
    int64_t m;
    int64_t d;
    civil_from_days(days, &y, &m, &d);
    if (y != field[0] || m != field[1] || d != field[2])
        return false;
    *unix_s = days * 86400 + field[3] * 3600 + field[4] * 60 + field[5];
    return true;
}

void
sck_uuid_format(const uint8_t uuid[16], char out[SCK_UUID_TEXT])
{
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = hex_lower[uuid[i] >> 4];
        out[at++] = hex_lower[uuid[i] & 15];
    }
    out[at] = '\0';
}

bool
sck_uuid_parse(const char *text, size_t text_len, uint8_t uuid[16])
{
    char digits[32];
    size_t n = 0;
    if (text_len != SCK_UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < text_len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text[i] == '-'))
            return false;
        if (!dash)
            digits[n++] = text[i];
    }
    return sck_hex_parse(digits, n, uuid, 16);
}

void
sck_text_escape(const char *text, size_t len, struct sck_buf *out)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c < 0x20 || c == 0x7F || c == '"' || c == '\\')
            sck_buf_printf(out, "\\x%02x", c);
        else
            sck_buf_put_u8(out, c);
    }
}
