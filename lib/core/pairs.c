/* SPDX-License-Identifier: MIT */
#include "lib/core/pairs.h"

#include "lib/base/text.h"

#include <string.h>

bool
sck_pair_key_is_valid(const char *key, size_t len)
{
    if (len == 0 || len > SCK_PAIR_KEY_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool letter = key[i] >= 'a' && key[i] <= 'z';
        bool other = (key[i] >= '0' && key[i] <= '9') || key[i] == '_';
        if (!letter && !(other && i > 0))
            return false;
    }
    return true;
}

static int
compare_keys(const struct sck_bytes *a, const struct sck_bytes *b)
{
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter > 0 ? memcmp(a->data, b->data, shorter) : 0;
    if (order != 0)
        return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

/* Each pair and its place: keys strictly ascending. */
static enum sck_code
check_sorted(const struct sck_pair *pairs, size_t count, struct sck_err *err)
{
    size_t total = 2;
    for (size_t i = 0; i < count; i++) {
        const struct sck_pair *p = &pairs[i];
        if (!sck_pair_key_is_valid((const char *)p->key.data, p->key.len))
            return sck_fail(err, SCK_E_CONTEXT,
                            "encryption context: a name is 1 to 32 of a-z 0-9 _ and starts with a letter");
        int order = i > 0 ? compare_keys(&pairs[i - 1].key, &p->key) : -1;
        if (order >= 0)
            return sck_fail(err, SCK_E_CONTEXT, "encryption context: %.*s %s", (int)p->key.len,
                            (const char *)p->key.data, order == 0 ? "is given twice" : "is out of order");
        if (p->value.len > SCK_PAIRS_BYTES_MAX || !sck_utf8_is_clean(p->value.data, p->value.len))
            return sck_fail(err, SCK_E_CONTEXT,
                            "encryption context: the value of %.*s is not UTF-8 without control characters, or too "
                            "long",
                            (int)p->key.len, (const char *)p->key.data);
        total += 4 + p->key.len + p->value.len;
    }
    if (total > SCK_PAIRS_BYTES_MAX)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: it has %zu bytes, and may have %d", total,
                        SCK_PAIRS_BYTES_MAX);
    return SCK_OK;
}

enum sck_code
sck_pairs_encode(const struct sck_pair *pairs, size_t count, struct sck_buf *out, struct sck_err *err)
{
    struct sck_pair sorted[SCK_PAIRS_MAX] = {{{NULL, 0}, {NULL, 0}}};
    if (count > SCK_PAIRS_MAX)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: more than %d pairs", SCK_PAIRS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && compare_keys(&sorted[at - 1].key, &pairs[i].key) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = pairs[i];
    }
    enum sck_code rc = check_sorted(sorted, count, err);
    if (rc != SCK_OK)
        return rc;
    sck_buf_put_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        sck_buf_put_u16(out, (uint16_t)sorted[i].key.len);
        sck_buf_put(out, sorted[i].key.data, sorted[i].key.len);
        sck_buf_put_u16(out, (uint16_t)sorted[i].value.len);
        sck_buf_put(out, sorted[i].value.data, sorted[i].value.len);
    }
    return sck_buf_check(out, "encryption context", err);
}

enum sck_code
sck_pairs_decode(const uint8_t *data, size_t len, struct sck_pair pairs[SCK_PAIRS_MAX], size_t *count,
                 struct sck_err *err)
{
    struct sck_reader r = sck_reader_from(data, len);
    size_t n = sck_read_u16(&r);
    *count = 0;
    if (n > SCK_PAIRS_MAX)
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: more than %d pairs", SCK_PAIRS_MAX);
    for (size_t i = 0; i < n; i++) {
        pairs[i].key.len = sck_read_u16(&r);
        pairs[i].key.data = sck_read(&r, pairs[i].key.len);
        pairs[i].value.len = sck_read_u16(&r);
        pairs[i].value.data = sck_read(&r, pairs[i].value.len);
    }
    if (!sck_reader_is_done(&r))
        return sck_fail(err, SCK_E_CONTEXT, "encryption context: it is cut short, or something follows it");
    enum sck_code rc = check_sorted(pairs, n, err);
    if (rc == SCK_OK)
        *count = n;
    return rc;
}
