/* SPDX-License-Identifier: MIT */
#include "lib/token/probe.h"

#include "lib/base/crypto.h"
#include "lib/token/key.h"
#include "lib/token/make.h"

#include <openssl/evp.h>
#include <string.h>

/* Values for throw-away keys: what they protect is nothing. */
static const uint8_t known_kek[32] = "scopekey probe: a wrapping key..";
static const uint8_t known_key[32] = "scopekey probe: a wrapped key...";

static CK_RV
create_aes(struct sck_use *use, const uint8_t value[32], unsigned may, CK_OBJECT_HANDLE *out)
{
    struct sck_template t;
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
    sck_template_ulong(&t, CKA_KEY_TYPE, CKK_AES);
    sck_template_bool(&t, CKA_TOKEN, false);
    sck_template_bool(&t, CKA_PRIVATE, true);
    sck_template_bool(&t, CKA_SENSITIVE, true);
    sck_template_bool(&t, CKA_EXTRACTABLE, true);
    sck_template_flags(&t, CKO_SECRET_KEY, may);
    sck_template_bytes(&t, CKA_VALUE, value, 32);
    return SCK_P11(&use->conn, C_CreateObject, use->session, t.at, t.count, out);
}

static bool
opens_in_software(const uint8_t *blob, size_t len)
{
    uint8_t plain[64];
    int got = 0, end = 0;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(sck_libctx(), "id-aes256-wrap-pad", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool same = false;
    if (cipher != NULL && ctx != NULL && len <= sizeof plain) {
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        same = EVP_DecryptInit_ex(ctx, cipher, NULL, known_kek, NULL) == 1 &&
            EVP_DecryptUpdate(ctx, plain, &got, blob, (int)len) == 1 &&
            EVP_DecryptFinal_ex(ctx, plain + got, &end) == 1 && got + end == (int)sizeof known_key &&
            memcmp(plain, known_key, sizeof known_key) == 0;
    }
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    return same;
}

CK_RV
sck_probe_wrap(struct sck_use *use, CK_MECHANISM_TYPE *out)
{
    static const CK_MECHANISM_TYPE candidates[] = {SCK_CKM_AES_KEY_WRAP_KWP, CKM_AES_KEY_WRAP_PAD};
    CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE, key = CK_INVALID_HANDLE;
    *out = 0;
    CK_RV rv = create_aes(use, known_kek, SCK_MAY_WRAP | SCK_MAY_UNWRAP, &kek);
    if (rv == CKR_OK)
        rv = create_aes(use, known_key, 0, &key);
    for (size_t i = 0; rv == CKR_OK && *out == 0 && i < 2; i++) {
        uint8_t blob[64];
        CK_ULONG len = sizeof blob;
        CK_MECHANISM m = {candidates[i], NULL, 0};
        CK_RV wrapped = SCK_P11(&use->conn, C_WrapKey, use->session, &m, kek, key, blob, &len);
        if (wrapped == CKR_OK && opens_in_software(blob, len))
            *out = candidates[i];
        else if (sck_rv_lost(wrapped) != SCK_LOST_NOTHING)
            rv = wrapped;
    }
    if (key != CK_INVALID_HANDLE)
        (void)SCK_P11(&use->conn, C_DestroyObject, use->session, key);
    if (kek != CK_INVALID_HANDLE)
        (void)SCK_P11(&use->conn, C_DestroyObject, use->session, kek);
    /* A token that takes no keys in clear cannot be asked this way; it is none we know how to use. */
    return sck_rv_lost(rv) == SCK_LOST_NOTHING && rv != SCK_RV_EXITING ? CKR_OK : rv;
}

CK_RV
sck_probe_family(struct sck_use *use, CK_MECHANISM_TYPE mechanism, const struct sck_maker *maker,
                 const struct sck_kind *kind, bool *out)
{
    struct sck_template public_t, unborn;
    CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE, public = CK_INVALID_HANDLE, key = CK_INVALID_HANDLE;
    CK_OBJECT_HANDLE back = CK_INVALID_HANDLE;
    struct sck_buf blob;
    bool pair = kind->class == CKO_PRIVATE_KEY;
    *out = false;
    sck_buf_init(&blob, SCK_BLOB_MAX);
    CK_RV rv = create_aes(use, known_kek, SCK_MAY_WRAP | SCK_MAY_UNWRAP, &kek);
    sck_template_unborn(&unborn, kind);
    if (pair)
        sck_template_public(&public_t, maker, kind->key_type, false);
    if (rv == CKR_OK)
        rv = sck_generate(use, maker, pair ? &public_t : NULL, &unborn, &public, &key);
    if (rv == CKR_OK)
        rv = sck_wrap(use, kek, mechanism, key, &blob);
    if (rv == CKR_OK)
        rv = sck_unwrap(use, kind, kek, mechanism, blob.data, blob.len, &back);
    *out = rv == CKR_OK;
    CK_OBJECT_HANDLE all[] = {back, key, public, kek};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != CK_INVALID_HANDLE)
            (void)SCK_P11(&use->conn, C_DestroyObject, use->session, all[i]);
    }
    sck_buf_clear(&blob);
    return sck_rv_lost(rv) == SCK_LOST_NOTHING && rv != SCK_RV_EXITING ? CKR_OK : rv;
}

CK_RV
sck_probe_oaep_sha256(struct sck_use *use, bool *out)
{
    static const uint8_t exponent[] = {1, 0, 1};
    uint8_t modulus[256];
    struct sck_template t;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_RSA_PKCS_OAEP_PARAMS params = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM m = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    uint8_t in[8] = {0}, sealed[512];
    CK_ULONG len = sizeof sealed;
    *out = false;
    /* Any odd number of the right length will do: nothing is ever decrypted. */
    memset(modulus, 0xC5, sizeof modulus);
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, CKO_PUBLIC_KEY);
    sck_template_ulong(&t, CKA_KEY_TYPE, CKK_RSA);
    sck_template_bool(&t, CKA_TOKEN, false);
    sck_template_bool(&t, CKA_PRIVATE, false);
    sck_template_bool(&t, CKA_ENCRYPT, true);
    sck_template_bytes(&t, CKA_MODULUS, modulus, sizeof modulus);
    sck_template_bytes(&t, CKA_PUBLIC_EXPONENT, exponent, sizeof exponent);
    CK_RV rv = SCK_P11(&use->conn, C_CreateObject, use->session, t.at, t.count, &key);
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_EncryptInit, use->session, &m, key);
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_Encrypt, use->session, in, sizeof in, sealed, &len);
    *out = rv == CKR_OK;
    if (key != CK_INVALID_HANDLE)
        (void)SCK_P11(&use->conn, C_DestroyObject, use->session, key);
    return sck_rv_lost(rv) == SCK_LOST_NOTHING && rv != SCK_RV_EXITING ? CKR_OK : rv;
}
