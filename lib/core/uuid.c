/* SPDX-License-Identifier: MIT */
#include "lib/core/uuid.h"

#include "lib/base/text.h"

#include <string.h>

void
sck_uuid7(int64_t unix_ms, const uint8_t random[SCK_UUID_RANDOM], uint8_t out[16])
{
    uint8_t ms[8];
    sck_be64(ms, (uint64_t)unix_ms);
    memcpy(out, ms + 2, 6);
    memcpy(out + 6, random, SCK_UUID_RANDOM);
    out[6] = (uint8_t)(0x70 | (out[6] & 0x0F));
    out[8] = (uint8_t)(0x80 | (out[8] & 0x3F));
}

void
sck_key_id_format(const uint8_t uuid[16], bool is_pair, char out[SCK_KEY_ID_MAX + 1])
{
    const char *prefix = is_pair ? "keypair-" : "key-";
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    sck_base32hex_format(uuid, 16, out + n);
}

bool
sck_key_id_is_valid(const char *text, size_t len)
{
    if (len == 0 || len > SCK_KEY_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool mark = c == '.' || c == '_' || c == ':' || c == '-';
        if (!alnum && !(mark && i > 0))
            return false;
    }
    return true;
}
