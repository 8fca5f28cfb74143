/* SPDX-License-Identifier: MIT */
/* Public keys as PEM (RFC 7468 section 13), without an OSSL_DECODER that would look for providers. */
#include "lib/service/engine.h"

#include "lib/base/file.h"
#include "lib/base/text.h"

#include <string.h>

static const char begin_line[] = "-----BEGIN PUBLIC KEY-----\n";
static const char end_line[] = "-----END PUBLIC KEY-----";

enum sck_code
sck_pem_read_spki(const char *path, struct sck_buf *out, struct sck_err *err)
{
    struct sck_buf text = {0};
    struct sck_buf digits = {0};
    enum sck_code rc = sck_file_read(path, 8192, &text, err);
    if (rc != SCK_OK)
        return rc;
    const char *all = sck_buf_str(&text);
    const char *from = strstr(all, begin_line);
    const char *to = from != NULL ? strstr(from, end_line) : NULL;
    sck_buf_init(&digits, 8192);
    if (to != NULL) {
        for (const char *p = from + sizeof begin_line - 1; p < to; p++) {
            if (*p != '\n' && *p != '\r')
                sck_buf_put(&digits, p, 1);
        }
    }
    bool ok = to != NULL && digits.len > 0 && sck_base64_parse((const char *)digits.data, digits.len, out);
    if (!ok)
        rc = sck_fail(err, SCK_E_CONFIG, "%s is no PEM public key", path);
    sck_buf_clear(&digits);
    sck_buf_clear(&text);
    return rc;
}

void
sck_pem_format_spki(const uint8_t *spki, size_t len, struct sck_buf *out)
{
    struct sck_buf digits;
    sck_buf_init(&digits, 8192);
    sck_base64_format(spki, len, &digits);
    sck_buf_put_str(out, begin_line);
    for (size_t i = 0; i < digits.len; i += 64) {
        sck_buf_put(out, digits.data + i, digits.len - i < 64 ? digits.len - i : 64);
        sck_buf_put_str(out, "\n");
    }
    sck_buf_put_str(out, end_line);
    sck_buf_put_str(out, "\n");
    sck_buf_clear(&digits);
}
