/* SPDX-License-Identifier: MIT */
#include "tests/lib/prop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED UINT64_C(0x5C09E4E75EED0001)

void
prop_init(struct prop *p, const char *name)
{
    const char *given = getenv("SCOPEKEY_TEST_SEED");
    p->state = given != NULL ? strtoull(given, NULL, 0) : DEFAULT_SEED;
    if (p->state == 0)
        p->state = DEFAULT_SEED;
    printf("# %s: seed 0x%016" PRIx64 "\n", name, p->state);
    (void)fflush(stdout);
}

uint64_t
prop_next(struct prop *p)
{
    p->state ^= p->state >> 12;
    p->state ^= p->state << 25;
    p->state ^= p->state >> 27;
    return p->state * UINT64_C(0x2545F4914F6CDD1D);
}

uint32_t
prop_below(struct prop *p, uint32_t n)
{
    return (uint32_t)((prop_next(p) >> 32) * n >> 32);
}

void
prop_bytes(struct prop *p, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(prop_next(p) >> 56);
}

static size_t
put_utf8(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(uint8_t)(0xC0 | cp >> 6);
        out[1] = (char)(uint8_t)(0x80 | (cp & 63));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(uint8_t)(0xE0 | cp >> 12);
        out[1] = (char)(uint8_t)(0x80 | (cp >> 6 & 63));
        out[2] = (char)(uint8_t)(0x80 | (cp & 63));
        return 3;
    }
    out[0] = (char)(uint8_t)(0xF0 | cp >> 18);
    out[1] = (char)(uint8_t)(0x80 | (cp >> 12 & 63));
    out[2] = (char)(uint8_t)(0x80 | (cp >> 6 & 63));
    out[3] = (char)(uint8_t)(0x80 | (cp & 63));
    return 4;
}

static uint32_t
code_point(struct prop *p)
{
    static const char nasty[] = "/%;&=?#. -_~@:+*,\\\"'";
    switch (prop_below(p, 6)) {
    case 0: return (uint32_t)(uint8_t)nasty[prop_below(p, sizeof nasty - 1)];
    case 1: return 0xA0 + prop_below(p, 0x700);
    case 2: return 0xE000 + prop_below(p, 0x2000);
    case 3: return 0x10000 + prop_below(p, 0x100000);
    default: return 0x20 + prop_below(p, 0x5F);
    }
}

size_t
prop_utf8(struct prop *p, char *out, size_t max_bytes)
{
    size_t want = 1 + prop_below(p, (uint32_t)(prop_below(p, 4) == 0 ? max_bytes : max_bytes < 12 ? max_bytes : 12));
    size_t n = 0;
    while (n < want) {
        char one[4];
        size_t len = put_utf8(code_point(p), one);
        if (n + len > max_bytes)
            len = put_utf8('z', one);
        memcpy(out + n, one, len);
        n += len;
    }
    out[n] = '\0';
    return n;
}

size_t
prop_word(struct prop *p, const char *first, const char *alphabet, char *out, size_t max_bytes)
{
    size_t n = 1 + prop_below(p, (uint32_t)max_bytes);
    out[0] = first[prop_below(p, (uint32_t)strlen(first))];
    for (size_t i = 1; i < n; i++)
        out[i] = alphabet[prop_below(p, (uint32_t)strlen(alphabet))];
    out[n] = '\0';
    return n;
}
