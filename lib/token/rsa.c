/* SPDX-License-Identifier: MIT */
/* RSA decryption.  What was wrong with a ciphertext is never told: all its failures are one. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "lib/token/key.h"

#include "lib/base/crypto.h"

#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <string.h>

enum { RSA_MAX = 1024 };

struct decrypt_args {
    CK_MECHANISM mechanism;
    const uint8_t *in;
    size_t in_len;
    struct sck_secret *out;
    bool refused;       /* the token took the mechanism and refused the ciphertext */
    bool unsupported;   /* the token does not take the mechanism or its parameters */
};

static CK_RV
decrypt_op(struct sck_use *use, void *arg)
{
    struct decrypt_args *a = arg;
    CK_ULONG len = (CK_ULONG)a->out->cap;
    a->refused = a->unsupported = false;
    CK_RV rv = SCK_P11(&use->conn, C_DecryptInit, use->session, &a->mechanism, use->object);
    a->unsupported = rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD;
    if (rv != CKR_OK)
        return a->unsupported ? CKR_OK : rv;
    rv = SCK_P11(&use->conn, C_Decrypt, use->session, sck_unconst(a->in), (CK_ULONG)a->in_len, a->out->data, &len);
    a->refused = rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_ENCRYPTED_DATA_INVALID ||
        rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_DATA_INVALID || rv == CKR_DATA_LEN_RANGE;
    a->out->len = rv == CKR_OK ? len : 0;
    return a->refused ? CKR_OK : rv;
}

static enum sck_code
fail_altered(struct sck_err *err)
{
    return sck_fail(err, SCK_E_AUTHENTIC, "RSA decryption: the ciphertext is altered or not of this key");
}

/* EME-OAEP decoding (RFC 8017 section 7.1.2) in constant time; `block` is the whole modulus. */
static enum sck_code
unpad_oaep(const struct sck_oaep *oaep, struct sck_secret *block, struct sck_secret **out, struct sck_err *err)
{
    struct sck_secret *plain = NULL;
    EVP_MD *hash = EVP_MD_fetch(sck_libctx(), OBJ_nid2sn(oaep->hash_nid), NULL);
    EVP_MD *mgf = EVP_MD_fetch(sck_libctx(), OBJ_nid2sn(oaep->mgf_nid), NULL);
    enum sck_code rc = hash == NULL || mgf == NULL
        ? sck_fail(err, SCK_E_UNSUPPORTED, "RSA-OAEP with this digest is not supported: use SHA-256")
        : sck_secret_new(block->len, &plain, err);
    if (rc == SCK_OK) {
        int n = (int)block->len;
        int got = RSA_padding_check_PKCS1_OAEP_mgf1(plain->data, n, block->data, n, n, oaep->label.data,
                                                    (int)oaep->label.len, hash, mgf);
        if (got < 0)
            rc = fail_altered(err);
        else
            plain->len = (size_t)got;
    }
    if (rc == SCK_OK)
        *out = plain;
    else
        sck_secret_free(&plain);
    EVP_MD_free(hash);
    EVP_MD_free(mgf);
    return rc;
}

/* One decryption by one mechanism.  SCK_E_UNSUPPORTED (quietly, *unsupported) when the token lacks it. */
static enum sck_code
decrypt_by(struct sck_tkey *key, CK_MECHANISM mechanism, const uint8_t *in, size_t in_len, bool *unsupported,
           struct sck_secret **out, struct sck_err *err)
{
    struct decrypt_args a = {.mechanism = mechanism, .in = in, .in_len = in_len};
    enum sck_code rc = sck_secret_new(RSA_MAX, &a.out, err);
    *unsupported = false;
    if (rc == SCK_OK)
        rc = sck_tkey_run(key, decrypt_op, &a, "RSA decryption", err);
    if (rc == SCK_OK && a.refused)
        rc = fail_altered(err);
    *unsupported = rc == SCK_OK && a.unsupported;
    if (rc == SCK_OK && !a.unsupported)
        *out = a.out;
    else
        sck_secret_free(&a.out);
    return rc;
}

static enum sck_code
fail_lacks(struct sck_err *err)
{
    return sck_fail(err, SCK_E_UNSUPPORTED, "the token has no RSA decryption with this padding: use another padding");
}

static enum sck_code
decrypt_raw(struct sck_tkey *key, const uint8_t *in, size_t in_len, struct sck_secret **out, struct sck_err *err)
{
    bool unsupported = false;
    CK_MECHANISM raw = {CKM_RSA_X_509, NULL, 0};
    enum sck_code rc = decrypt_by(key, raw, in, in_len, &unsupported, out, err);
    if (rc == SCK_OK && unsupported)
        return fail_lacks(err);
    /* Some tokens drop the zeros in front. */
    if (rc == SCK_OK && (*out)->len < in_len) {
        size_t missing = in_len - (*out)->len;
        memmove((*out)->data + missing, (*out)->data, (*out)->len);
        memset((*out)->data, 0, missing);
        (*out)->len = in_len;
    }
    return rc;
}

static enum sck_code
decrypt_oaep(struct sck_tkey *key, const struct sck_oaep *oaep, const uint8_t *in, size_t in_len,
             struct sck_secret **out, struct sck_err *err)
{
    CK_RSA_PKCS_OAEP_PARAMS params = {0, 0, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM m = {CKM_RSA_PKCS_OAEP, &params, sizeof params};
    struct sck_secret *block = NULL;
    size_t hash_len = 0;
    bool unsupported = true;
    enum sck_code rc = SCK_OK;
    if (oaep == NULL || !sck_digest_params(oaep->hash_nid, oaep->mgf_nid, &params.hashAlg, &params.mgf, &hash_len))
        return sck_fail(err, SCK_E_UNSUPPORTED, "RSA-OAEP with this digest is not supported: use SHA-256");
    if (oaep->label.len > 0) {
        params.pSourceData = sck_unconst(oaep->label.data);
        params.ulSourceDataLen = (CK_ULONG)oaep->label.len;
    }
    /* SoftHSM knows SHA-1 without label only; a refused C_DecryptInit would be one call more on each use. */
    if (!atomic_load(&key->raw_oaep)) {
        rc = decrypt_by(key, m, in, in_len, &unsupported, out, err);
        if (rc == SCK_OK && unsupported && hash_len != 20)
            atomic_store(&key->raw_oaep, true);
    }
    if (rc != SCK_OK || !unsupported)
        return rc;
    rc = decrypt_raw(key, in, in_len, &block, err);
    if (rc == SCK_OK)
        rc = unpad_oaep(oaep, block, out, err);
    sck_secret_free(&block);
    return rc;
}

enum sck_code
sck_tkey_rsa_decrypt(struct sck_tkey *key, enum sck_rsa_padding padding, const struct sck_oaep *oaep,
                     const uint8_t *in, size_t in_len, struct sck_secret **out, struct sck_err *err)
{
    const struct sck_alg_info *info = sck_alg_info(key->alg);
    bool unsupported = false;
    *out = NULL;
    if (info->family != SCK_FAMILY_RSA || (key->usage != SCK_USAGE_DECRYPT && key->usage != SCK_USAGE_ANY))
        return sck_fail(err, SCK_E_STATE, "a key of algorithm %s and usage %s cannot decrypt", info->name,
                        sck_usage_name(key->usage));
    if (in_len != (info->bits + 7) / 8)
        return fail_altered(err);
    switch (padding) {
    case SCK_RSA_OAEP:
        return decrypt_oaep(key, oaep, in, in_len, out, err);
    case SCK_RSA_RAW:
        return decrypt_raw(key, in, in_len, out, err);
    case SCK_RSA_PKCS1:
        break;
    }
    CK_MECHANISM m = {CKM_RSA_PKCS, NULL, 0};
    enum sck_code rc = decrypt_by(key, m, in, in_len, &unsupported, out, err);
    return rc == SCK_OK && unsupported ? fail_lacks(err) : rc;
}
