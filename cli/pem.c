/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/base/text.h"

#define PEM_LINE 64

void
sck_cli_pem_format(const uint8_t *spki, size_t len, struct sck_buf *out)
{
    struct sck_buf base64;
    sck_buf_init(&base64, 4096);
    sck_base64_format(spki, len, &base64);
    sck_buf_put_str(out, "-----BEGIN PUBLIC KEY-----\n");
    for (size_t at = 0; at < base64.len; at += PEM_LINE) {
        size_t left = base64.len - at;
        sck_buf_put(out, base64.data + at, left < PEM_LINE ? left : PEM_LINE);
        sck_buf_put_u8(out, '\n');
    }
    sck_buf_put_str(out, "-----END PUBLIC KEY-----\n");
    sck_buf_clear(&base64);
}
