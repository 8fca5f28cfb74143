/* SPDX-License-Identifier: MIT */
#include "lib/core/seal.h"

#include <string.h>

#define SEAL_VERSION 1
#define SEAL_SUITE 1 /* AES-256-GCM, HKDF-SHA-256 */
#define COMMIT_LEN 32

/* What HKDF gives: key, nonce, commitment. */
#define OKM_KEY 0
#define OKM_NONCE 32
#define OKM_COMMIT (OKM_NONCE + SCK_GCM_NONCE_LEN)
#define OKM_LEN (OKM_COMMIT + COMMIT_LEN)

/* Where the parts of a seal begin. */
#define AT_SALT 2
#define AT_COMMIT (AT_SALT + SCK_SEAL_SALT_LEN)
#define AT_CIPHERTEXT (AT_COMMIT + COMMIT_LEN)

static enum sck_code
derive(const struct sck_secret *dek, const uint8_t *salt, const uint8_t *aad, size_t aad_len, struct sck_secret **okm,
       struct sck_err *err)
{
    static const char label[16] = "scopekey-seal/v1";
    uint8_t info[sizeof label + SCK_SHA256_LEN];
    *okm = NULL;
    if (dek->len != SCK_DEK_LEN)
        return sck_fail(err, SCK_E_USAGE, "short seal: a DEK has %d bytes", SCK_DEK_LEN);
    memcpy(info, label, sizeof label);
    enum sck_code rc = sck_sha256(aad, aad_len, info + sizeof label, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(OKM_LEN, okm, err);
    if (rc == SCK_OK)
        rc = sck_hkdf_sha256(dek->data, dek->len, salt, SCK_SEAL_SALT_LEN, info, sizeof info, (*okm)->data, OKM_LEN,
                             err);
    if (rc != SCK_OK)
        sck_secret_free(okm);
    return rc;
}

enum sck_code
sck_seal(const struct sck_secret *dek, const uint8_t salt[SCK_SEAL_SALT_LEN], const uint8_t *aad, size_t aad_len,
         const uint8_t *plain, size_t plain_len, struct sck_buf *out, struct sck_err *err)
{
    struct sck_secret *okm = NULL;
    if (plain_len == 0 || plain_len > SCK_SEAL_MAX)
        return sck_fail(err, SCK_E_USAGE, "short seal: the data has %zu bytes, and may have 1 to %u", plain_len,
                        SCK_SEAL_MAX);
    enum sck_code rc = derive(dek, salt, aad, aad_len, &okm, err);
    if (rc != SCK_OK)
        return rc;
    sck_buf_put_u8(out, SEAL_VERSION);
    sck_buf_put_u8(out, SEAL_SUITE);
    sck_buf_put(out, salt, SCK_SEAL_SALT_LEN);
    sck_buf_put(out, okm->data + OKM_COMMIT, COMMIT_LEN);
    uint8_t *sealed = sck_buf_grow(out, plain_len + SCK_GCM_TAG_LEN);
    rc = sck_buf_check(out, "short seal", err);
    if (rc == SCK_OK)
        rc = sck_gcm_seal(okm->data + OKM_KEY, okm->data + OKM_NONCE, NULL, 0, plain, plain_len, sealed, err);
    sck_secret_free(&okm);
    return rc;
}

enum sck_code
sck_seal_open(const struct sck_secret *dek, const uint8_t *aad, size_t aad_len, const uint8_t *sealed,
              size_t sealed_len, struct sck_secret **plain, struct sck_err *err)
{
    struct sck_secret *okm = NULL;
    *plain = NULL;
    if (sealed_len <= SCK_SEAL_OVERHEAD || sealed_len - SCK_SEAL_OVERHEAD > SCK_SEAL_MAX)
        return sck_fail(err, SCK_E_AUTHENTIC, "short seal: %zu bytes cannot be one", sealed_len);
    if (sealed[0] != SEAL_VERSION || sealed[1] != SEAL_SUITE)
        return sck_fail(err, SCK_E_AUTHENTIC, "short seal: unknown version or suite");
    enum sck_code rc = derive(dek, sealed + AT_SALT, aad, aad_len, &okm, err);
    if (rc != SCK_OK)
        return rc;
    if (!sck_ct_equal(okm->data + OKM_COMMIT, sealed + AT_COMMIT, COMMIT_LEN)) {
        rc = sck_fail(err, SCK_E_AUTHENTIC, "short seal: it was made with another key or context, or altered");
        goto out;
    }
    rc = sck_secret_new(sealed_len - SCK_SEAL_OVERHEAD, plain, err);
    if (rc != SCK_OK)
        goto out;
    if (sck_gcm_open(okm->data + OKM_KEY, okm->data + OKM_NONCE, NULL, 0, sealed + AT_CIPHERTEXT,
                     sealed_len - AT_CIPHERTEXT, (*plain)->data, NULL) != SCK_OK) {
        sck_secret_free(plain);
        rc = sck_fail(err, SCK_E_AUTHENTIC, "short seal: the data was altered");
    }
out:
    sck_secret_free(&okm);
    return rc;
}
