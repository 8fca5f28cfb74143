/* SPDX-License-Identifier: MIT */
#include "pkcs11/spki.h"

enum { TAG_INTEGER = 0x02, TAG_BIT_STRING = 0x03, TAG_OCTET_STRING = 0x04, TAG_OID = 0x06, TAG_SEQUENCE = 0x30 };

/* One DER element (X.690 section 8.1): its contents, and with `whole` the element itself. */
static bool
next(struct sck_reader *r, uint8_t tag, struct sck_bytes *contents, struct sck_bytes *whole)
{
    const uint8_t *start = r->p;
    uint8_t got = sck_read_u8(r);
    size_t len = sck_read_u8(r);
    if (len == 0x81)
        len = sck_read_u8(r);
    else if (len == 0x82)
        len = sck_read_u16(r);
    else if (len > 0x7f)
        return false;
    const uint8_t *at = sck_read(r, len);
    if (r->failed || (tag != 0 && got != tag))
        return false;
    *contents = (struct sck_bytes){at, len};
    if (whole != NULL)
        *whole = (struct sck_bytes){start, (size_t)(r->p - start)};
    return true;
}

static struct sck_bytes
positive(struct sck_bytes n)
{
    while (n.len > 0 && n.data[0] == 0) {
        n.data++;
        n.len--;
    }
    return n;
}

static void
parse_rsa(struct sck_p11_spki *out)
{
    struct sck_reader r = sck_reader_from(out->key.data, out->key.len);
    struct sck_bytes both, n, e;
    if (!next(&r, TAG_SEQUENCE, &both, NULL) || !sck_reader_is_done(&r))
        return;
    r = sck_reader_from(both.data, both.len);
    if (next(&r, TAG_INTEGER, &n, NULL) && next(&r, TAG_INTEGER, &e, NULL) && sck_reader_is_done(&r)) {
        out->modulus = positive(n);
        out->exponent = positive(e);
    }
}

bool
sck_p11_spki_parse(const uint8_t *der, size_t len, struct sck_p11_spki *out)
{
    *out = (struct sck_p11_spki){0};
    struct sck_reader r = sck_reader_from(der, len);
    struct sck_bytes all, algorithm, bits, contents;
    if (!next(&r, TAG_SEQUENCE, &all, NULL) || !sck_reader_is_done(&r))
        return false;
    r = sck_reader_from(all.data, all.len);
    if (!next(&r, TAG_SEQUENCE, &algorithm, NULL) || !next(&r, TAG_BIT_STRING, &bits, NULL) ||
        !sck_reader_is_done(&r) || bits.len < 1 || bits.data[0] != 0)
        return false;
    out->key = (struct sck_bytes){bits.data + 1, bits.len - 1};
    r = sck_reader_from(algorithm.data, algorithm.len);
    if (!next(&r, TAG_OID, &contents, &out->algorithm))
        return false;
    if (!sck_reader_is_done(&r) && !next(&r, 0, &contents, &out->parameters))
        return false;
    parse_rsa(out);
    return true;
}

void
sck_p11_octet_string(struct sck_bytes data, struct sck_buf *out)
{
    sck_buf_put_u8(out, TAG_OCTET_STRING);
    if (data.len > 0xff) {
        sck_buf_put_u8(out, 0x82);
        sck_buf_put_u16(out, (uint16_t)data.len);
    } else {
        if (data.len > 0x7f)
            sck_buf_put_u8(out, 0x81);
        sck_buf_put_u8(out, (uint8_t)data.len);
    }
    sck_buf_put(out, data.data, data.len);
}
