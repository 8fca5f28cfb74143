/* SPDX-License-Identifier: MIT */
#include "lib/core/floe.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS_LEN 10
#define PREFIX_LEN (PARAMS_LEN + SCK_FLOE_IV_LEN)
#define HEADER_TAG_LEN 32
#define MESSAGE_KEY_LEN 48
#define SEGMENT_KEY_LEN 32
#define ROTATION_BITS 20U /* AEAD_ROTATION_MASK: segments that share a key */
#define SEGMENTS_MAX (UINT64_C(1) << 40) /* AEAD_MAX_SEGMENTS */
#define NOT_FINAL 0xFFFFFFFFU

/* Parts of a segment. */
#define AT_NONCE 4
#define AT_CIPHERTEXT (AT_NONCE + SCK_GCM_NONCE_LEN)

/* The KDF's input for a segment key: params ‖ IV ‖ "DEK:" ‖ u64 first segment ‖ aad.  Only the number changes. */
#define AT_FIRST (PREFIX_LEN + 4)
#define AT_AAD (AT_FIRST + 8)

struct sck_floe {
    struct sck_secret *message_key;
    struct sck_secret *segment_key;
    EVP_CIPHER_CTX *cipher; /* holds the schedule of the segment key in use */
    uint8_t *info;
    size_t info_len;
    uint64_t key_first; /* first segment of the key in use, when has_key */
    bool has_key;
    bool is_encrypting;
    uint32_t segment_len;
};

static enum sck_code
broken(struct sck_err *err)
{
    return sck_fail(err, SCK_E_INTERNAL, "encrypted file: AES-256-GCM failed in libcrypto");
}

void
sck_floe_free(struct sck_floe **floe)
{
    if (floe == NULL || *floe == NULL)
        return;
    sck_secret_free(&(*floe)->message_key);
    sck_secret_free(&(*floe)->segment_key);
    EVP_CIPHER_CTX_free((*floe)->cipher);
    free((*floe)->info);
    free(*floe);
    *floe = NULL;
}

/* A context with everything allocated and nothing derived. */
static enum sck_code
floe_new(const uint8_t prefix[PREFIX_LEN], const uint8_t *aad, size_t aad_len, bool is_encrypting,
         struct sck_floe **out, struct sck_err *err)
{
    *out = NULL;
    struct sck_floe *f = calloc(1, sizeof *f);
    if (f == NULL)
        return sck_fail(err, SCK_E_MEMORY, "encrypted file: out of memory");
    f->is_encrypting = is_encrypting;
    f->segment_len = sck_be32_get(prefix + 2);
    f->info_len = AT_AAD + aad_len;
    f->info = malloc(f->info_len);
    f->cipher = EVP_CIPHER_CTX_new();
    enum sck_code rc = f->info != NULL && f->cipher != NULL
                           ? sck_secret_new(MESSAGE_KEY_LEN, &f->message_key, err)
                           : sck_fail(err, SCK_E_MEMORY, "encrypted file: out of memory");
    if (rc == SCK_OK)
        rc = sck_secret_new(SEGMENT_KEY_LEN, &f->segment_key, err);
    if (rc != SCK_OK) {
        sck_floe_free(&f);
        return rc;
    }
    memcpy(f->info, prefix, PREFIX_LEN);
    memcpy(f->info + PREFIX_LEN, "DEK:", 4);
    memset(f->info + AT_FIRST, 0, 8);
    if (aad_len > 0)
        memcpy(f->info + AT_AAD, aad, aad_len);
    *out = f;
    return SCK_OK;
}

/* FLOE_KDF(key, iv, aad, purpose, len) of the specification. */
static enum sck_code
derive(const struct sck_floe *f, const struct sck_secret *key, const char *purpose, uint8_t *out, size_t out_len,
       struct sck_err *err)
{
    struct sck_buf info;
    sck_buf_init(&info, PREFIX_LEN + 16 + SCK_FLOE_AAD_MAX);
    sck_buf_put(&info, f->info, PREFIX_LEN);
    sck_buf_put_str(&info, purpose);
    sck_buf_put(&info, f->info + AT_AAD, f->info_len - AT_AAD);
    enum sck_code rc = sck_buf_check(&info, "encrypted file: key derivation", err);
    if (rc == SCK_OK)
        rc = sck_hkdf_expand_sha384(key->data, key->len, info.data, info.len, out, out_len, err);
    sck_buf_clear(&info);
    return rc;
}

/* Context, header tag and message key from the caller's key. */
static enum sck_code
start(const struct sck_secret *key, const uint8_t prefix[PREFIX_LEN], const uint8_t *aad, size_t aad_len,
      bool is_encrypting, uint8_t tag[HEADER_TAG_LEN], struct sck_floe **out, struct sck_err *err)
{
    *out = NULL;
    if (key->len != 32)
        return sck_fail(err, SCK_E_USAGE, "encrypted file: the key has %zu bytes, and must have 32", key->len);
    if (aad_len > SCK_FLOE_AAD_MAX)
        return sck_fail(err, SCK_E_USAGE, "encrypted file: %zu bytes of additional data, and may be %d", aad_len,
                        SCK_FLOE_AAD_MAX);
    enum sck_code rc = floe_new(prefix, aad, aad_len, is_encrypting, out, err);
    if (rc == SCK_OK)
        rc = derive(*out, key, "HEADER_TAG:", tag, HEADER_TAG_LEN, err);
    if (rc == SCK_OK)
        rc = derive(*out, key, "MESSAGE_KEY:", (*out)->message_key->data, MESSAGE_KEY_LEN, err);
    if (rc != SCK_OK)
        sck_floe_free(out);
    return rc;
}

/* PARAM_ENCODE: AEAD 0, KDF 0, segment length, IV length. */
static void
put_params(uint32_t segment_len, uint8_t out[PARAMS_LEN])
{
    memset(out, 0, 2);
    sck_be32(out + 2, segment_len);
    sck_be32(out + 6, SCK_FLOE_IV_LEN);
}

enum sck_code
sck_floe_encrypt_new(const struct sck_secret *key, const uint8_t *aad, size_t aad_len, uint32_t segment_len,
                     const uint8_t iv[SCK_FLOE_IV_LEN], uint8_t header[SCK_FLOE_HEADER_LEN], struct sck_floe **out,
                     struct sck_err *err)
{
    *out = NULL;
    if (segment_len < SCK_FLOE_SEGMENT_MIN || segment_len > SCK_FLOE_SEGMENT_MAX)
        return sck_fail(err, SCK_E_USAGE, "encrypted file: segments of %lu bytes, and may have %u to %u",
                        (unsigned long)segment_len, SCK_FLOE_SEGMENT_MIN, SCK_FLOE_SEGMENT_MAX);
    put_params(segment_len, header);
    memcpy(header + PARAMS_LEN, iv, SCK_FLOE_IV_LEN);
    return start(key, header, aad, aad_len, true, header + PREFIX_LEN, out, err);
}

enum sck_code
sck_floe_decrypt_new(const struct sck_secret *key, const uint8_t *aad, size_t aad_len,
                     const uint8_t header[SCK_FLOE_HEADER_LEN], struct sck_floe **out, struct sck_err *err)
{
    uint8_t params[PARAMS_LEN];
    uint8_t tag[HEADER_TAG_LEN];
    uint32_t segment_len = sck_be32_get(header + 2);
    *out = NULL;
    put_params(segment_len, params);
    if (memcmp(params, header, PARAMS_LEN) != 0 || segment_len < SCK_FLOE_SEGMENT_MIN ||
        segment_len > SCK_FLOE_SEGMENT_MAX)
        return sck_fail(err, SCK_E_AUTHENTIC, "encrypted file: unknown parameters");
    enum sck_code rc = start(key, header, aad, aad_len, false, tag, out, err);
    if (rc == SCK_OK && !sck_ct_equal(tag, header + PREFIX_LEN, HEADER_TAG_LEN)) {
        sck_floe_free(out);
        rc = sck_fail(err, SCK_E_AUTHENTIC, "encrypted file: the header was altered, or the key is another file's");
    }
    return rc;
}

enum sck_code
sck_floe_dup(const struct sck_floe *from, struct sck_floe **out, struct sck_err *err)
{
    enum sck_code rc =
        floe_new(from->info, from->info + AT_AAD, from->info_len - AT_AAD, from->is_encrypting, out, err);
    if (rc == SCK_OK)
        memcpy((*out)->message_key->data, from->message_key->data, MESSAGE_KEY_LEN);
    return rc;
}

uint32_t
sck_floe_segment_len(const struct sck_floe *floe)
{
    return floe->segment_len;
}

uint32_t
sck_floe_plain_len(const struct sck_floe *floe)
{
    return floe->segment_len - SCK_FLOE_OVERHEAD;
}

/* Have the cipher hold the key of segment `index`. */
static enum sck_code
use_key(struct sck_floe *f, uint64_t index, struct sck_err *err)
{
    uint64_t first = index >> ROTATION_BITS << ROTATION_BITS;
    if (f->has_key && f->key_first == first)
        return SCK_OK;
    f->has_key = false;
    sck_be64(f->info + AT_FIRST, first);
    enum sck_code rc = sck_hkdf_expand_sha384(f->message_key->data, MESSAGE_KEY_LEN, f->info, f->info_len,
                                              f->segment_key->data, SEGMENT_KEY_LEN, err);
    if (rc != SCK_OK)
        return rc;
    if (sck_aes_256_gcm() == NULL ||
        EVP_CipherInit_ex2(f->cipher, sck_aes_256_gcm(), f->segment_key->data, NULL, f->is_encrypting, NULL) != 1)
        return broken(err);
    f->key_first = first;
    f->has_key = true;
    return SCK_OK;
}

/* Nonce and AAD of a segment into the keyed cipher, then the data. */
static bool
run_cipher(struct sck_floe *f, uint64_t index, bool is_final, const uint8_t *nonce, const uint8_t *in, size_t len,
           uint8_t *out)
{
    uint8_t aad[9];
    int n = 0;
    sck_be64(aad, index);
    aad[8] = is_final;
    return EVP_CipherInit_ex2(f->cipher, NULL, NULL, nonce, -1, NULL) == 1 &&
           EVP_CipherUpdate(f->cipher, NULL, &n, aad, sizeof aad) == 1 &&
           (len == 0 || EVP_CipherUpdate(f->cipher, out, &n, in, (int)len) == 1);
}

enum sck_code
sck_floe_seal_segment(struct sck_floe *floe, uint64_t index, bool is_final, const uint8_t nonce[SCK_GCM_NONCE_LEN],
                      const uint8_t *plain, size_t plain_len, uint8_t *out, struct sck_err *err)
{
    size_t full = sck_floe_plain_len(floe);
    if (!floe->is_encrypting || index >= SEGMENTS_MAX || plain_len > full || (!is_final && plain_len != full))
        return sck_fail(err, SCK_E_USAGE, "encrypted file: segment %llu cannot have %zu bytes",
                        (unsigned long long)index, plain_len);
    enum sck_code rc = use_key(floe, index, err);
    if (rc != SCK_OK)
        return rc;
    int n = 0;
    uint8_t *ciphertext = out + AT_CIPHERTEXT;
    sck_be32(out, is_final ? (uint32_t)(plain_len + SCK_FLOE_OVERHEAD) : NOT_FINAL);
    memcpy(out + AT_NONCE, nonce, SCK_GCM_NONCE_LEN);
    if (!run_cipher(floe, index, is_final, nonce, plain, plain_len, ciphertext) ||
        EVP_CipherFinal_ex(floe->cipher, ciphertext + plain_len, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(floe->cipher, EVP_CTRL_AEAD_GET_TAG, SCK_GCM_TAG_LEN, ciphertext + plain_len) != 1) {
        floe->has_key = false;
        sck_wipe(out, plain_len + SCK_FLOE_OVERHEAD);
        return broken(err);
    }
    return SCK_OK;
}

enum sck_code
sck_floe_open_segment(struct sck_floe *floe, uint64_t index, bool is_final, const uint8_t *segment, size_t len,
                      uint8_t *out, struct sck_err *err)
{
    if (floe->is_encrypting || index >= SEGMENTS_MAX)
        return sck_fail(err, SCK_E_USAGE, "encrypted file: segment %llu cannot be opened here",
                        (unsigned long long)index);
    if (len < SCK_FLOE_OVERHEAD || len > floe->segment_len || (!is_final && len != floe->segment_len))
        return sck_fail(err, SCK_E_AUTHENTIC, "encrypted file: segment %llu is cut short or too long",
                        (unsigned long long)index);
    if (sck_be32_get(segment) != (is_final ? (uint32_t)len : NOT_FINAL))
        return sck_fail(err, SCK_E_AUTHENTIC, "encrypted file: segment %llu is not where it belongs, or cut",
                        (unsigned long long)index);
    enum sck_code rc = use_key(floe, index, err);
    if (rc != SCK_OK)
        return rc;
    size_t plain_len = len - SCK_FLOE_OVERHEAD;
    uint8_t tag[SCK_GCM_TAG_LEN];
    uint8_t none[SCK_GCM_TAG_LEN];
    int n = 0;
    memcpy(tag, segment + len - sizeof tag, sizeof tag);
    /* The error queue belongs to the application: an altered segment leaves nothing there. */
    ERR_set_mark();
    bool ready = run_cipher(floe, index, is_final, segment + AT_NONCE, segment + AT_CIPHERTEXT, plain_len, out) &&
                 EVP_CIPHER_CTX_ctrl(floe->cipher, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1;
    bool good = ready && EVP_CipherFinal_ex(floe->cipher, none, &n) == 1;
    ERR_pop_to_mark();
    if (good)
        return SCK_OK;
    floe->has_key = false;
    if (plain_len > 0)
        sck_wipe(out, plain_len);
    return ready
               ? sck_fail(err, SCK_E_AUTHENTIC, "encrypted file: segment %llu was altered", (unsigned long long)index)
               : broken(err);
}
