/* SPDX-License-Identifier: MIT */
#include "lib/core/kekname.h"

#include "lib/base/text.h"
#include "lib/core/scope.h"

#include <stdio.h>
#include <string.h>

static bool
is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool
sck_kek_prefix_is_valid(const char *prefix)
{
    size_t len = strnlen(prefix, SCK_KEK_PREFIX_MAX + 1);
    if (len == 0 || len > SCK_KEK_PREFIX_MAX || prefix[0] < 'a' || prefix[0] > 'z')
        return false;
    for (size_t i = 1; i < len; i++) {
        if (!is_lower_or_digit(prefix[i]))
            return false;
    }
    return true;
}

/* kind ‖ u32 generation ‖ id, after a label. */
static void
put_owner(struct sck_buf *out, const char *label, uint8_t kind, uint32_t generation, const void *id, size_t id_len)
{
    sck_buf_put_str(out, label);
    sck_buf_put_u8(out, kind);
    sck_buf_put_u32(out, generation);
    sck_buf_put(out, id, id_len);
}

void
sck_kek_name_input(enum sck_owner_kind kind, uint32_t generation, const void *id, size_t id_len, struct sck_buf *out)
{
    put_owner(out, "kek-name/v1", (uint8_t)kind, generation, id, id_len);
}

void
sck_tomb_input(uint8_t kind, uint32_t generation, const void *id, size_t id_len, struct sck_buf *out)
{
    put_owner(out, "tomb/v1", kind, generation, id, id_len);
}

static enum sck_code
check_prefix(const char *prefix, struct sck_err *err)
{
    if (sck_kek_prefix_is_valid(prefix))
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "KEK name: the prefix is 1 to %d of a-z 0-9 and starts with a letter",
                    SCK_KEK_PREFIX_MAX);
}

/* prefix "--" form "--" base32hex(hash) */
static void
write_hashed(const char *prefix, char form, const uint8_t hash[SCK_SHA256_LEN], char out[SCK_KEK_NAME_MAX + 1])
{
    int n = snprintf(out, SCK_KEK_NAME_MAX + 1, "%s--%c--", prefix, form);
    sck_base32hex_format(hash, SCK_SHA256_LEN, out + n);
}

enum sck_code
sck_kek_name_keyed(const char *prefix, const uint8_t mac[SCK_SHA256_LEN], char out[SCK_KEK_NAME_MAX + 1],
                   struct sck_err *err)
{
    enum sck_code rc = check_prefix(prefix, err);
    if (rc == SCK_OK)
        write_hashed(prefix, 'k', mac, out);
    return rc;
}

/* prefix "--" enc(id); false when that is too long. */
static bool
write_direct(const char *prefix, const uint8_t *id, size_t id_len, char out[SCK_KEK_NAME_MAX + 1])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = (size_t)snprintf(out, SCK_KEK_NAME_MAX + 1, "%s--", prefix);
    for (size_t i = 0; i < id_len; i++) {
        bool plain = is_lower_or_digit((char)id[i]);
        if (n + (plain ? 1 : 3) > SCK_KEK_NAME_MAX)
            return false;
        if (plain) {
            out[n++] = (char)id[i];
        } else {
            out[n++] = '-';
            out[n++] = hex[id[i] >> 4];
            out[n++] = hex[id[i] & 15];
        }
    }
    out[n] = '\0';
    return true;
}

enum sck_code
sck_kek_name_plain(const char *prefix, enum sck_owner_kind kind, uint32_t generation, const void *id, size_t id_len,
                   char out[SCK_KEK_NAME_MAX + 1], struct sck_err *err)
{
    uint8_t owner[1 + 4 + SCK_SCOPE_ID_MAX];
    uint8_t hash[SCK_SHA256_LEN];
    enum sck_code rc = check_prefix(prefix, err);
    if (rc != SCK_OK)
        return rc;
    if ((id_len == 0) != (kind == SCK_OWNER_FILES) || id_len > SCK_SCOPE_ID_MAX)
        return sck_fail(err, SCK_E_USAGE, "KEK name: an id has 1 to %d bytes, and the KEK of files has none",
                        SCK_SCOPE_ID_MAX);
    if (generation == 0)
        return sck_fail(err, SCK_E_USAGE, "KEK name: generations start at 1");
    if (kind == SCK_OWNER_SUBJECT && generation == 1 && write_direct(prefix, id, id_len, out))
        return SCK_OK;
    owner[0] = (uint8_t)kind;
    sck_be32(owner + 1, generation);
    if (id_len > 0)
        memcpy(owner + 5, id, id_len);
    rc = sck_sha256(owner, 5 + id_len, hash, err);
    if (rc == SCK_OK)
        write_hashed(prefix, 'h', hash, out);
    return rc;
}

bool
sck_kek_name_is_legal(const char *name)
{
    size_t len = strnlen(name, SCK_KEK_NAME_MAX + 1);
    if (len == 0 || len > SCK_KEK_NAME_MAX || name[0] == '-' || name[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_lower_or_digit(name[i]) && name[i] != '-')
            return false;
    }
    return true;
}
