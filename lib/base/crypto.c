/* SPDX-License-Identifier: MIT */
#include "lib/base/crypto.h"

#include "lib/base/fork.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

/* Fetched once and kept for the life of the process: a fetch costs more than the operation. */
static struct {
    pthread_once_t once;
    OSSL_LIB_CTX *ctx;
    EVP_CIPHER *gcm;
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
    pthread_mutex_t rand_lock;
} g = {.once = PTHREAD_ONCE_INIT, .rand_lock = PTHREAD_MUTEX_INITIALIZER};

/*
 * OpenSSL's generators share a lock that a child inherits as it was: made while another thread drew random bytes,
 * the child would wait for ever.  So no fork happens while we draw.
 */
static void rand_take(void) { pthread_mutex_lock(&g.rand_lock); }
static void rand_give(void) { pthread_mutex_unlock(&g.rand_lock); }

static void
set_up(void)
{
    (void)sck_fork_register(SCK_FORK_RANDOM, rand_take, rand_give, rand_give);
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    if (ctx == NULL || OSSL_PROVIDER_load(ctx, "default") == NULL)
        return;
    g.gcm = EVP_CIPHER_fetch(ctx, "AES-256-GCM", NULL);
    g.sha256 = EVP_MD_fetch(ctx, "SHA256", NULL);
    g.hmac = EVP_MAC_fetch(ctx, "HMAC", NULL);
    g.hkdf = EVP_KDF_fetch(ctx, "HKDF", NULL);
    if (g.gcm != NULL && g.sha256 != NULL && g.hmac != NULL && g.hkdf != NULL)
        g.ctx = ctx;
}

OSSL_LIB_CTX *
sck_libctx(void)
{
    pthread_once(&g.once, set_up);
    return g.ctx;
}

const EVP_CIPHER *
sck_aes_256_gcm(void)
{
    return sck_libctx() != NULL ? g.gcm : NULL;
}

const EVP_MD *
sck_md_sha256(void)
{
    return sck_libctx() != NULL ? g.sha256 : NULL;
}

static enum sck_code
openssl_failed(struct sck_err *err, const char *what)
{
    return sck_fail(err, SCK_E_INTERNAL, "%s failed in libcrypto", what);
}

enum sck_code
sck_random(void *out, size_t len, struct sck_err *err)
{
    bool ok = false;
    if (sck_libctx() != NULL) {
        rand_take();
        ok = RAND_priv_bytes_ex(g.ctx, out, len, 0) == 1;
        rand_give();
    }
    return ok ? SCK_OK : openssl_failed(err, "the random generator");
}

enum sck_code
sck_sha256_parts(const struct sck_bytes *parts, size_t count, uint8_t out[SCK_SHA256_LEN], struct sck_err *err)
{
    bool ok = false;
    EVP_MD_CTX *md = sck_libctx() != NULL ? EVP_MD_CTX_new() : NULL;
    if (md != NULL && EVP_DigestInit_ex2(md, g.sha256, NULL) == 1) {
        ok = true;
        for (size_t i = 0; ok && i < count; i++)
            ok = EVP_DigestUpdate(md, parts[i].data, parts[i].len) == 1;
        ok = ok && EVP_DigestFinal_ex(md, out, NULL) == 1;
    }
    EVP_MD_CTX_free(md);
    return ok ? SCK_OK : openssl_failed(err, "SHA-256");
}

enum sck_code
sck_sha256(const void *data, size_t len, uint8_t out[SCK_SHA256_LEN], struct sck_err *err)
{
    const struct sck_bytes part = {data, len};
    return sck_sha256_parts(&part, 1, out, err);
}

enum sck_code
sck_hmac_sha256(const uint8_t *key, size_t key_len, const void *data, size_t len, uint8_t out[SCK_SHA256_LEN],
                struct sck_err *err)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *ctx = sck_libctx() != NULL ? EVP_MAC_CTX_new(g.hmac) : NULL;
    size_t out_len = 0;
    bool ok = ctx != NULL && EVP_MAC_init(ctx, key, key_len, params) == 1 &&
              EVP_MAC_update(ctx, data, len) == 1 && EVP_MAC_final(ctx, out, &out_len, SCK_SHA256_LEN) == 1;
    EVP_MAC_CTX_free(ctx);
    return ok ? SCK_OK : openssl_failed(err, "HMAC-SHA-256");
}

/* OSSL_PARAM wants non-const pointers although it only reads them. */
static void *
param_ptr(const uint8_t *data)
{
    static uint8_t empty;
    void *p;
    memcpy(&p, &data, sizeof p);
    return p != NULL ? p : &empty;
}

static enum sck_code
hkdf(int mode, const char *md, const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len,
     const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len, struct sck_err *err)
{
    char digest[16];
    (void)strncpy(digest, md, sizeof digest - 1);
    digest[sizeof digest - 1] = '\0';
    OSSL_PARAM params[6];
    size_t n = 0;
    params[n++] = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
    params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, param_ptr(key), key_len);
    if (salt_len > 0)
        params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, param_ptr(salt), salt_len);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, param_ptr(info), info_len);
    params[n] = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *ctx = sck_libctx() != NULL ? EVP_KDF_CTX_new(g.hkdf) : NULL;
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, out_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok ? SCK_OK : openssl_failed(err, "HKDF");
}

enum sck_code
sck_hkdf_sha256(const uint8_t *key, size_t key_len, const uint8_t *salt, size_t salt_len, const uint8_t *info,
                size_t info_len, uint8_t *out, size_t out_len, struct sck_err *err)
{
    return hkdf(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, "SHA256", key, key_len, salt, salt_len, info, info_len, out,
                out_len, err);
}

enum sck_code
sck_hkdf_expand_sha384(const uint8_t *key, size_t key_len, const uint8_t *info, size_t info_len, uint8_t *out,
                       size_t out_len, struct sck_err *err)
{
    return hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, "SHA384", key, key_len, NULL, 0, info, info_len, out, out_len, err);
}

enum sck_code
sck_gcm_seal(const uint8_t key[32], const uint8_t nonce[SCK_GCM_NONCE_LEN], const uint8_t *aad, size_t aad_len,
             const uint8_t *plain, size_t len, uint8_t *out, struct sck_err *err)
{
    if (len > INT_MAX - SCK_GCM_TAG_LEN || aad_len > INT_MAX)
        return sck_fail(err, SCK_E_USAGE, "AES-256-GCM: %zu bytes are too many for one message", len);
    EVP_CIPHER_CTX *ctx = sck_libctx() != NULL ? EVP_CIPHER_CTX_new() : NULL;
    int n = 0;
    bool ok = ctx != NULL && EVP_EncryptInit_ex2(ctx, g.gcm, key, nonce, NULL) == 1 &&
              (aad_len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1) &&
              (len == 0 || EVP_EncryptUpdate(ctx, out, &n, plain, (int)len) == 1) &&
              EVP_EncryptFinal_ex(ctx, out + len, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SCK_GCM_TAG_LEN, out + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok ? SCK_OK : openssl_failed(err, "AES-256-GCM");
}

enum sck_code
sck_gcm_open(const uint8_t key[32], const uint8_t nonce[SCK_GCM_NONCE_LEN], const uint8_t *aad, size_t aad_len,
             const uint8_t *sealed, size_t len, uint8_t *out, struct sck_err *err)
{
    if (len < SCK_GCM_TAG_LEN || len > INT_MAX || aad_len > INT_MAX)
        return sck_fail(err, SCK_E_AUTHENTIC, "the sealed data is truncated");
    size_t plain_len = len - SCK_GCM_TAG_LEN;
    uint8_t tag[SCK_GCM_TAG_LEN];
    memcpy(tag, sealed + plain_len, sizeof tag);
    EVP_CIPHER_CTX *ctx = sck_libctx() != NULL ? EVP_CIPHER_CTX_new() : NULL;
    int n = 0;
    /* The error queue belongs to the application: a bad tag of ours leaves nothing there. */
    ERR_set_mark();
    bool ready = ctx != NULL && EVP_DecryptInit_ex2(ctx, g.gcm, key, nonce, NULL) == 1 &&
                 (aad_len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1) &&
                 (plain_len == 0 || EVP_DecryptUpdate(ctx, out, &n, sealed, (int)plain_len) == 1) &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SCK_GCM_TAG_LEN, tag) == 1;
    uint8_t none[SCK_GCM_TAG_LEN];
    bool good = ready && EVP_DecryptFinal_ex(ctx, none, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ERR_pop_to_mark();
    if (!good && plain_len > 0)
        OPENSSL_cleanse(out, plain_len);
    if (!ready)
        return openssl_failed(err, "AES-256-GCM");
    return good ? SCK_OK : sck_fail(err, SCK_E_AUTHENTIC, "the data was altered or sealed with another key");
}

enum sck_code
sck_ecdsa_verify(const uint8_t *spki, size_t spki_len, const uint8_t *data, size_t len, const uint8_t *sig,
                 size_t sig_len, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    EVP_MD_CTX *md = NULL;
    const unsigned char *p = spki;
    if (sck_libctx() == NULL)
        return openssl_failed(err, "set-up");
    ERR_set_mark();
    EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &p, (long)spki_len, g.ctx, NULL);
    if (key == NULL || !EVP_PKEY_is_a(key, "EC")) {
        rc = sck_fail(err, SCK_E_USAGE, "the public key is not a P-256 key in SPKI form");
        goto out;
    }
    md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestVerifyInit_ex(md, NULL, "SHA256", g.ctx, NULL, key, NULL) != 1) {
        rc = openssl_failed(err, "ECDSA");
        goto out;
    }
    if (EVP_DigestVerify(md, sig, sig_len, data, len) != 1)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "the signature does not verify");
out:
    ERR_pop_to_mark();
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return rc;
}

uint32_t
sck_crc32c(const uint8_t *data, size_t len)
{
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0x82F63B78U & (0U - (crc & 1U)));
    }
    return ~crc;
}
