/* SPDX-License-Identifier: MIT */
#include "lib/token/der.h"

#include <string.h>

enum { SEQUENCE = 0x30, INTEGER = 0x02, BIT_STRING = 0x03, OCTET_STRING = 0x04 };

static const uint8_t oid_ec[] = {0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01};
static const uint8_t rsa_algorithm[] = {0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86,
                                        0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00};
static const uint8_t ed25519_prefix[] = {0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00};

/* Bytes of tag and length in front of `len` bytes. */
static size_t
header_len(size_t len)
{
    return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

static void
put_header(struct sck_buf *out, uint8_t tag, size_t len)
{
    sck_buf_put_u8(out, tag);
    if (len >= 0x80)
        sck_buf_put_u8(out, len < 0x100 ? 0x81 : 0x82);
    if (len >= 0x100)
        sck_buf_put_u16(out, (uint16_t)len);
    else
        sck_buf_put_u8(out, (uint8_t)len);
}

/* The shortest form of an unsigned number: no zeros in front but the one that keeps it positive. */
static size_t
integer_len(const uint8_t **n, size_t *len)
{
    while (*len > 1 && **n == 0) {
        (*n)++;
        (*len)--;
    }
    return *len + ((**n & 0x80) != 0 ? 1 : 0);
}

static void
put_integer(struct sck_buf *out, const uint8_t *n, size_t len)
{
    size_t total = integer_len(&n, &len);
    put_header(out, INTEGER, total);
    if (total > len)
        sck_buf_put_u8(out, 0);
    sck_buf_put(out, n, len);
}

size_t
sck_der_ecdsa(const uint8_t *raw, size_t len, uint8_t *out, size_t cap)
{
    const uint8_t *part[2] = {raw, raw + len / 2};
    size_t part_len[2] = {len / 2, len / 2}, total[2], body = 0, used = 0;
    if (len < 2 || len % 2 != 0 || len > 240)
        return 0;
    for (int i = 0; i < 2; i++) {
        total[i] = integer_len(&part[i], &part_len[i]);
        body += 2 + total[i];
    }
    if (cap < header_len(body) + body)
        return 0;
    out[used++] = SEQUENCE;
    if (body >= 0x80)
        out[used++] = 0x81;
    out[used++] = (uint8_t)body;
    for (int i = 0; i < 2; i++) {
        out[used++] = INTEGER;
        out[used++] = (uint8_t)total[i];
        if (total[i] > part_len[i])
            out[used++] = 0;
        memcpy(out + used, part[i], part_len[i]);
        used += part_len[i];
    }
    return used;
}

static void
put_bit_string(struct sck_buf *out, size_t len)
{
    put_header(out, BIT_STRING, len + 1);
    sck_buf_put_u8(out, 0);
}

void
sck_der_spki_ec(struct sck_buf *out, const uint8_t *params, size_t params_len, const uint8_t *point, size_t point_len)
{
    size_t algorithm = sizeof oid_ec + params_len;
    size_t bits = header_len(point_len + 1) + 1 + point_len;
    put_header(out, SEQUENCE, header_len(algorithm) + algorithm + bits);
    put_header(out, SEQUENCE, algorithm);
    sck_buf_put(out, oid_ec, sizeof oid_ec);
    sck_buf_put(out, params, params_len);
    put_bit_string(out, point_len);
    sck_buf_put(out, point, point_len);
}

void
sck_der_spki_rsa(struct sck_buf *out, const uint8_t *modulus, size_t modulus_len, const uint8_t *exponent,
                 size_t exponent_len)
{
    const uint8_t *n = modulus, *e = exponent;
    size_t n_len = modulus_len, e_len = exponent_len;
    size_t n_total = integer_len(&n, &n_len), e_total = integer_len(&e, &e_len);
    size_t numbers = header_len(n_total) + n_total + header_len(e_total) + e_total;
    size_t key = header_len(numbers) + numbers;
    put_header(out, SEQUENCE, sizeof rsa_algorithm + header_len(key + 1) + 1 + key);
    sck_buf_put(out, rsa_algorithm, sizeof rsa_algorithm);
    put_bit_string(out, key);
    put_header(out, SEQUENCE, numbers);
    put_integer(out, modulus, modulus_len);
    put_integer(out, exponent, exponent_len);
}

void
sck_der_spki_ed25519(struct sck_buf *out, const uint8_t point[32])
{
    sck_buf_put(out, ed25519_prefix, sizeof ed25519_prefix);
    sck_buf_put(out, point, 32);
}

bool
sck_der_ec_point(const uint8_t *in, size_t len, size_t want, const uint8_t **point)
{
    size_t head = header_len(want);
    *point = in;
    if (len == want)
        return true;
    bool is_string = len == head + want && in[0] == OCTET_STRING && in[head - 1] == want &&
        (head == 2 || in[1] == 0x81);
    *point = in + head;
    return is_string;
}
