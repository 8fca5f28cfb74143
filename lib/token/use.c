/* SPDX-License-Identifier: MIT */
/* Signing and AES-GCM: two token calls each. */
#include "lib/token/key.h"

#include "lib/token/der.h"

#include <openssl/obj_mac.h>
#include <stdlib.h>
#include <string.h>

/* SoftHSM ends the process on huge lengths, so a bound of our own. */
enum {
    GCM_DATA_MAX = 16 * 1024 * 1024,
    GCM_AAD_MAX = 1024 * 1024,
    GCM_SMALL = 4096,
    SIGN_MAX = 1024,
    EDDSA_MESSAGE_MAX = 16 * 1024 * 1024
};

static bool
digest_params(int nid, CK_MECHANISM_TYPE *hash, CK_RSA_PKCS_MGF_TYPE *mgf, size_t *len)
{
    static const struct {
        int nid;
        CK_MECHANISM_TYPE hash;
        CK_RSA_PKCS_MGF_TYPE mgf;
        size_t len;
    } digests[] = {
        {NID_sha1, CKM_SHA_1, CKG_MGF1_SHA1, 20},       {NID_sha224, CKM_SHA224, CKG_MGF1_SHA224, 28},
        {NID_sha256, CKM_SHA256, CKG_MGF1_SHA256, 32},  {NID_sha384, CKM_SHA384, CKG_MGF1_SHA384, 48},
        {NID_sha512, CKM_SHA512, CKG_MGF1_SHA512, 64},
    };
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        if (digests[i].nid == nid) {
            *hash = digests[i].hash;
            *mgf = digests[i].mgf;
            *len = digests[i].len;
            return true;
        }
    }
    return false;
}

bool
sck_digest_params(int hash_nid, int mgf_nid, CK_MECHANISM_TYPE *hash, CK_RSA_PKCS_MGF_TYPE *mgf, size_t *len)
{
    CK_MECHANISM_TYPE unused_hash;
    CK_RSA_PKCS_MGF_TYPE unused_mgf;
    size_t unused_len;
    return digest_params(hash_nid, hash, &unused_mgf, len) &&
        digest_params(mgf_nid, &unused_hash, mgf, &unused_len);
}

struct sign_args {
    CK_MECHANISM mechanism;
    const uint8_t *in;
    size_t in_len;
    uint8_t out[SIGN_MAX];
    CK_ULONG out_len;
};

static CK_RV
sign_op(struct sck_use *use, void *arg)
{
    struct sign_args *a = arg;
    CK_RV rv = SCK_P11(&use->conn, C_SignInit, use->session, &a->mechanism, use->object);
    a->out_len = sizeof a->out;
    if (rv == CKR_OK)
        rv = SCK_P11(&use->conn, C_Sign, use->session, sck_unconst(a->in), (CK_ULONG)a->in_len, a->out, &a->out_len);
    return rv;
}

/* What a signing mechanism wants of key and input. */
static const struct sign_rule {
    enum sck_sign_mech mech;
    enum sck_family family;
    CK_MECHANISM_TYPE mechanism;
    bool any_only;
} sign_rules[] = {
    {SCK_SIGN_RSA_PKCS1, SCK_FAMILY_RSA, CKM_RSA_PKCS, false},
    {SCK_SIGN_RSA_PSS, SCK_FAMILY_RSA, CKM_RSA_PKCS_PSS, false},
    {SCK_SIGN_RSA_RAW, SCK_FAMILY_RSA, CKM_RSA_X_509, true},
    {SCK_SIGN_ECDSA, SCK_FAMILY_EC, CKM_ECDSA, false},
    {SCK_SIGN_EDDSA, SCK_FAMILY_EDWARDS, CKM_EDDSA, false},
};

static enum sck_code
check_length(const struct sck_alg_info *info, enum sck_sign_mech mech, size_t in_len, size_t hash_len,
             size_t salt_len, struct sck_err *err)
{
    size_t modulus = (info->bits + 7) / 8;
    bool good = false;
    switch (mech) {
    case SCK_SIGN_RSA_PKCS1:
        good = in_len > 0 && in_len + 11 <= modulus;
        break;
    case SCK_SIGN_RSA_PSS:
        good = in_len == hash_len && in_len + salt_len + 2 <= modulus;
        break;
    case SCK_SIGN_RSA_RAW:
        good = in_len == modulus;
        break;
    case SCK_SIGN_ECDSA:
        good = in_len > 0 && in_len <= 64;
        break;
    case SCK_SIGN_EDDSA:
        good = in_len <= EDDSA_MESSAGE_MAX;
        break;
    }
    return good ? SCK_OK
                : sck_fail(err, SCK_E_USAGE, "signing with %s: an input of %zu bytes does not fit the key", info->name,
                           in_len);
}

static enum sck_code
give_signature(struct sign_args *a, enum sck_sign_mech mech, uint8_t *out, size_t out_cap, size_t *out_len,
               struct sck_err *err)
{
    if (mech == SCK_SIGN_ECDSA) {
        *out_len = sck_der_ecdsa(a->out, a->out_len, out, out_cap);
        if (*out_len > 0)
            return SCK_OK;
    } else if (a->out_len <= out_cap) {
        memcpy(out, a->out, a->out_len);
        *out_len = a->out_len;
        return SCK_OK;
    }
    return sck_fail(err, SCK_E_USAGE, "a signature does not fit into %zu bytes", out_cap);
}

/* Tokens hash a digest longer than the field differently or refuse it: give them the leftmost bytes (FIPS 186-4). */
static size_t
ecdsa_input(const struct sck_alg_info *info, size_t in_len)
{
    size_t field = (info->bits + 7) / 8;
    return in_len > field ? field : in_len;
}

enum sck_code
sck_tkey_sign(struct sck_tkey *key, enum sck_sign_mech mech, const struct sck_pss *pss, const uint8_t *in,
              size_t in_len, uint8_t *out, size_t out_cap, size_t *out_len, struct sck_err *err)
{
    const struct sck_alg_info *info = sck_alg_info(key->alg);
    const struct sign_rule *rule = NULL;
    CK_RSA_PKCS_PSS_PARAMS params = {0, 0, 0};
    struct sign_args a;
    size_t hash_len = 0;
    *out_len = 0;
    for (size_t i = 0; i < sizeof sign_rules / sizeof sign_rules[0]; i++) {
        if (sign_rules[i].mech == mech)
            rule = &sign_rules[i];
    }
    if (rule == NULL || rule->family != info->family ||
        (key->usage != SCK_USAGE_ANY && (rule->any_only || key->usage != SCK_USAGE_SIGN)))
        return sck_fail(err, SCK_E_STATE, "a key of algorithm %s and usage %s cannot sign that way", info->name,
                        sck_usage_name(key->usage));
    a.mechanism = (CK_MECHANISM){rule->mechanism, NULL, 0};
    if (mech == SCK_SIGN_RSA_PSS) {
        if (pss == NULL || !sck_digest_params(pss->hash_nid, pss->mgf_nid, &params.hashAlg, &params.mgf, &hash_len))
            return sck_fail(err, SCK_E_UNSUPPORTED, "RSA-PSS with this digest is not supported: use SHA-256");
        params.sLen = pss->salt_len;
        a.mechanism = (CK_MECHANISM){rule->mechanism, &params, sizeof params};
    }
    enum sck_code rc = check_length(info, mech, in_len, hash_len, pss == NULL ? 0 : pss->salt_len, err);
    if (rc != SCK_OK)
        return rc;
    a.in = in;
    a.in_len = mech == SCK_SIGN_ECDSA ? ecdsa_input(info, in_len) : in_len;
    rc = sck_tkey_run(key, sign_op, &a, "signing", err);
    if (rc == SCK_OK)
        rc = give_signature(&a, mech, out, out_cap, out_len, err);
    return rc;
}

/* ---- AES-GCM ---- */

static bool
is_bad_tag(CK_RV rv)
{
    return rv == CKR_GENERAL_ERROR || rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_FUNCTION_FAILED ||
        rv == CKR_SIGNATURE_INVALID || rv == CKR_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE;
}

CK_RV
sck_gcm_op(struct sck_use *use, void *arg)
{
    struct sck_gcm_args *a = arg;
    CK_GCM_PARAMS params;
    memset(&params, 0, sizeof params);
    params.pIv = sck_unconst(a->nonce);
    params.ulIvLen = 12;
    params.ulIvBits = 96;
    params.pAAD = a->aad_len == 0 ? NULL : sck_unconst(a->aad);
    params.ulAADLen = (CK_ULONG)a->aad_len;
    params.ulTagBits = 128;
    CK_MECHANISM m = {CKM_AES_GCM, &params, sizeof params};
    CK_ULONG len = (CK_ULONG)a->room_len;
    static const uint8_t none[1] = {0};
    const uint8_t *in = a->in_len == 0 ? none : a->in;
    CK_RV rv = a->seal ? SCK_P11(&use->conn, C_EncryptInit, use->session, &m, use->object)
                       : SCK_P11(&use->conn, C_DecryptInit, use->session, &m, use->object);
    if (rv != CKR_OK)
        return rv;
    if (a->seal)
        rv = SCK_P11(&use->conn, C_Encrypt, use->session, sck_unconst(in), (CK_ULONG)a->in_len, a->room, &len);
    else
        rv = SCK_P11(&use->conn, C_Decrypt, use->session, sck_unconst(in), (CK_ULONG)a->in_len, a->room, &len);
    a->bad_tag = !a->seal && is_bad_tag(rv);
    if (a->bad_tag)
        return CKR_OK;
    return rv == CKR_OK && len != a->out_len ? CKR_GENERAL_ERROR : rv;
}

enum sck_code
sck_gcm_run(struct sck_gcm_args *a, sck_gcm_runner run, void *arg, struct sck_err *err)
{
    struct sck_secret *small = NULL;
    uint8_t *large = NULL;
    enum sck_code rc = SCK_OK;
    a->bad_tag = false;
    a->room = a->out;
    a->room_len = a->out_len;
    if (a->in_len > GCM_DATA_MAX || a->aad_len > GCM_AAD_MAX)
        return sck_fail(err, SCK_E_USAGE, "AES-GCM inside the token takes at most %d bytes of data and %d of AAD",
                        GCM_DATA_MAX, GCM_AAD_MAX);
    /* SoftHSM decrypts only into a buffer that would hold the ciphertext. */
    if (!a->seal && a->in_len <= GCM_SMALL) {
        rc = sck_secret_new(a->in_len, &small, err);
        a->room = rc == SCK_OK ? small->data : NULL;
    } else if (!a->seal) {
        a->room = large = malloc(a->in_len);
        rc = large == NULL ? sck_fail(err, SCK_E_MEMORY, "out of memory") : SCK_OK;
    }
    a->room_len = a->seal ? a->out_len : a->in_len;
    if (rc == SCK_OK)
        rc = run(arg, a, err);
    if (rc == SCK_OK && a->bad_tag)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "decrypting with AES-GCM: the data is altered or not of this key");
    if (rc == SCK_OK && !a->seal && a->out_len > 0)
        memcpy(a->out, a->room, a->out_len);
    else if (rc != SCK_OK && a->out_len > 0)
        sck_wipe(a->out, a->out_len);
    if (large != NULL)
        sck_wipe(large, a->in_len);
    free(large);
    sck_secret_free(&small);
    return rc;
}

static enum sck_code
run_with_key(void *arg, struct sck_gcm_args *a, struct sck_err *err)
{
    return sck_tkey_run(arg, sck_gcm_op, a, a->seal ? "encrypting with AES-GCM" : "decrypting with AES-GCM", err);
}

static enum sck_code
gcm(struct sck_tkey *key, struct sck_gcm_args *a, struct sck_err *err)
{
    if (key->usage != SCK_USAGE_GCM && key->usage != SCK_USAGE_GCM_CALLER_IV && key->usage != SCK_USAGE_KEK)
        return sck_fail(err, SCK_E_STATE, "a key of usage %s cannot encrypt with AES-GCM", sck_usage_name(key->usage));
    return sck_gcm_run(a, run_with_key, key, err);
}

enum sck_code
sck_tkey_gcm_seal(struct sck_tkey *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                  const uint8_t *plain, size_t len, uint8_t *out, struct sck_err *err)
{
    struct sck_gcm_args a = {.seal = true, .nonce = nonce, .aad = aad, .aad_len = aad_len, .in = plain, .in_len = len,
                             .out = out, .out_len = len + 16};
    return gcm(key, &a, err);
}

enum sck_code
sck_tkey_gcm_open(struct sck_tkey *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                  const uint8_t *sealed, size_t len, uint8_t *out, struct sck_err *err)
{
    if (len < 16)
        return sck_fail(err, SCK_E_AUTHENTIC, "decrypting with AES-GCM: %zu bytes are shorter than a tag", len);
    struct sck_gcm_args a = {.seal = false, .nonce = nonce, .aad = aad, .aad_len = aad_len, .in = sealed,
                             .in_len = len, .out = out, .out_len = len - 16};
    return gcm(key, &a, err);
}
