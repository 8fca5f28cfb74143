/* SPDX-License-Identifier: MIT */
#include "lib/core/message.h"

#include <string.h>

#define MAGIC_LEN 5
static const uint8_t magic[MAGIC_LEN] = {'S', 'C', 'K', 'M', 1};

void
sck_message_put_head(const struct sck_message *message, struct sck_buf *out)
{
    sck_buf_put(out, magic, MAGIC_LEN);
    sck_buf_put_u16(out, (uint16_t)message->context.len);
    sck_buf_put(out, message->context.data, message->context.len);
    sck_buf_put_u16(out, (uint16_t)message->wrapped.len);
    sck_buf_put(out, message->wrapped.data, message->wrapped.len);
}

static struct sck_bytes
read_part(struct sck_reader *r)
{
    size_t len = sck_read_u16(r);
    return (struct sck_bytes){sck_read(r, len), len};
}

enum sck_code
sck_message_decode(const uint8_t *data, size_t len, struct sck_message *out, struct sck_err *err)
{
    struct sck_reader r = sck_reader_from(data, len);
    const uint8_t *start = sck_read(&r, MAGIC_LEN);
    if (start == NULL || memcmp(start, magic, MAGIC_LEN) != 0)
        return sck_fail(err, SCK_E_AUTHENTIC, "sealed message: it is none of Scopekey");
    out->context = read_part(&r);
    out->wrapped = read_part(&r);
    out->seal = (struct sck_bytes){r.p, r.left};
    if (r.failed || out->context.len == 0 || out->wrapped.len == 0 || out->seal.len == 0)
        return sck_fail(err, SCK_E_AUTHENTIC, "sealed message: it is cut short");
    return SCK_OK;
}
