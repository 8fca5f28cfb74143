/* SPDX-License-Identifier: MIT */
#include "pkcs11/mechanism.h"

#include "lib/base/crypto.h"

#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <stdatomic.h>
#include <string.h>

#define SHA2_PREFIX(arc, total, len)                                                                                 \
    {                                                                                                                \
        0x30, total, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc, 0x05, 0x00, 0x04,  \
            len                                                                                                      \
    }

enum { SHA1, SHA224, SHA256, SHA384, SHA512, MD_COUNT };

static const struct sck_p11_md mds[MD_COUNT] = {
    [SHA1] = {CKM_SHA_1,
              CKG_MGF1_SHA1,
              "SHA1",
              NID_sha1,
              20,
              {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14},
              15},
    [SHA224] = {CKM_SHA224, CKG_MGF1_SHA224, "SHA224", NID_sha224, 28, SHA2_PREFIX(0x04, 0x2d, 0x1c), 19},
    [SHA256] = {CKM_SHA256, CKG_MGF1_SHA256, "SHA256", NID_sha256, 32, SHA2_PREFIX(0x01, 0x31, 0x20), 19},
    [SHA384] = {CKM_SHA384, CKG_MGF1_SHA384, "SHA384", NID_sha384, 48, SHA2_PREFIX(0x02, 0x41, 0x30), 19},
    [SHA512] = {CKM_SHA512, CKG_MGF1_SHA512, "SHA512", NID_sha512, 64, SHA2_PREFIX(0x03, 0x51, 0x40), 19},
};

#define SIGNS (CKF_SIGN | CKF_VERIFY)
#define CRYPTS (CKF_ENCRYPT | CKF_DECRYPT)
#define CURVES (CKF_EC_F_P | CKF_EC_NAMEDCURVE | CKF_EC_UNCOMPRESS)

static const struct sck_p11_mech mechs[] = {
    {CKM_SHA_1, SCK_P11_DIGEST, &mds[SHA1], 0, 0, CKF_DIGEST},
    {CKM_SHA224, SCK_P11_DIGEST, &mds[SHA224], 0, 0, CKF_DIGEST},
    {CKM_SHA256, SCK_P11_DIGEST, &mds[SHA256], 0, 0, CKF_DIGEST},
    {CKM_SHA384, SCK_P11_DIGEST, &mds[SHA384], 0, 0, CKF_DIGEST},
    {CKM_SHA512, SCK_P11_DIGEST, &mds[SHA512], 0, 0, CKF_DIGEST},
    {CKM_ECDSA, SCK_P11_ECDSA, NULL, 256, 521, SIGNS | CURVES},
    {CKM_ECDSA_SHA1, SCK_P11_ECDSA, &mds[SHA1], 256, 521, SIGNS | CURVES},
    {CKM_ECDSA_SHA224, SCK_P11_ECDSA, &mds[SHA224], 256, 521, SIGNS | CURVES},
    {CKM_ECDSA_SHA256, SCK_P11_ECDSA, &mds[SHA256], 256, 521, SIGNS | CURVES},
    {CKM_ECDSA_SHA384, SCK_P11_ECDSA, &mds[SHA384], 256, 521, SIGNS | CURVES},
    {CKM_ECDSA_SHA512, SCK_P11_ECDSA, &mds[SHA512], 256, 521, SIGNS | CURVES},
    {CKM_EDDSA, SCK_P11_EDDSA, NULL, 255, 255, SIGNS | CURVES},
    {CKM_RSA_PKCS, SCK_P11_RSA_PKCS, NULL, 2048, 4096, SIGNS | CRYPTS},
    {CKM_SHA1_RSA_PKCS, SCK_P11_RSA_PKCS, &mds[SHA1], 2048, 4096, SIGNS},
    {CKM_SHA224_RSA_PKCS, SCK_P11_RSA_PKCS, &mds[SHA224], 2048, 4096, SIGNS},
    {CKM_SHA256_RSA_PKCS, SCK_P11_RSA_PKCS, &mds[SHA256], 2048, 4096, SIGNS},
    {CKM_SHA384_RSA_PKCS, SCK_P11_RSA_PKCS, &mds[SHA384], 2048, 4096, SIGNS},
    {CKM_SHA512_RSA_PKCS, SCK_P11_RSA_PKCS, &mds[SHA512], 2048, 4096, SIGNS},
    {CKM_RSA_PKCS_PSS, SCK_P11_RSA_PSS, NULL, 2048, 4096, SIGNS},
    {CKM_SHA1_RSA_PKCS_PSS, SCK_P11_RSA_PSS, &mds[SHA1], 2048, 4096, SIGNS},
    {CKM_SHA224_RSA_PKCS_PSS, SCK_P11_RSA_PSS, &mds[SHA224], 2048, 4096, SIGNS},
    {CKM_SHA256_RSA_PKCS_PSS, SCK_P11_RSA_PSS, &mds[SHA256], 2048, 4096, SIGNS},
    {CKM_SHA384_RSA_PKCS_PSS, SCK_P11_RSA_PSS, &mds[SHA384], 2048, 4096, SIGNS},
    {CKM_SHA512_RSA_PKCS_PSS, SCK_P11_RSA_PSS, &mds[SHA512], 2048, 4096, SIGNS},
    {CKM_RSA_PKCS_OAEP, SCK_P11_RSA_OAEP, NULL, 2048, 4096, CRYPTS},
    {CKM_AES_GCM, SCK_P11_GCM, NULL, 32, 32, CRYPTS},
};

const struct sck_p11_mech *
sck_p11_mech_at(size_t index)
{
    return index < sizeof mechs / sizeof mechs[0] ? &mechs[index] : NULL;
}

const struct sck_p11_mech *
sck_p11_mech_by_type(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < sizeof mechs / sizeof mechs[0]; i++)
        if (mechs[i].type == type)
            return &mechs[i];
    return NULL;
}

static bool
takes_parameter(enum sck_p11_kind kind)
{
    return kind == SCK_P11_RSA_PSS || kind == SCK_P11_RSA_OAEP || kind == SCK_P11_GCM;
}

CK_RV
sck_p11_mech_get(const CK_MECHANISM *given, CK_FLAGS use, const struct sck_p11_mech **mech)
{
    if (given == NULL)
        return CKR_ARGUMENTS_BAD;
    *mech = sck_p11_mech_by_type(given->mechanism);
    if (*mech == NULL || ((*mech)->flags & use) == 0)
        return CKR_MECHANISM_INVALID;
    if (takes_parameter((*mech)->kind))
        return given->pParameter != NULL ? CKR_OK : CKR_MECHANISM_PARAM_INVALID;
    return given->ulParameterLen == 0 ? CKR_OK : CKR_MECHANISM_PARAM_INVALID;
}

static enum sck_family
family_of(enum sck_p11_kind kind)
{
    switch (kind) {
    case SCK_P11_ECDSA: return SCK_FAMILY_EC;
    case SCK_P11_EDDSA: return SCK_FAMILY_EDWARDS;
    case SCK_P11_RSA_PKCS:
    case SCK_P11_RSA_PSS:
    case SCK_P11_RSA_OAEP: return SCK_FAMILY_RSA;
    case SCK_P11_GCM: return SCK_FAMILY_AES;
    case SCK_P11_DIGEST: break;
    }
    return 0;
}

static bool
usage_allows(enum sck_usage usage, enum sck_p11_kind kind, CK_FLAGS use)
{
    if (kind == SCK_P11_GCM)
        return usage == SCK_USAGE_GCM || usage == SCK_USAGE_GCM_CALLER_IV;
    if (usage == SCK_USAGE_ANY)
        return true;
    return usage == ((use & SIGNS) != 0 ? SCK_USAGE_SIGN : SCK_USAGE_DECRYPT);
}

/* Signing and decryption take the private half, their counterparts the public one; a secret key is whole. */
static CK_OBJECT_CLASS
half_for(enum sck_p11_kind kind, CK_FLAGS use)
{
    if (kind == SCK_P11_GCM)
        return CKO_SECRET_KEY;
    return use == CKF_SIGN || use == CKF_DECRYPT ? CKO_PRIVATE_KEY : CKO_PUBLIC_KEY;
}

CK_RV
sck_p11_mech_fits(const struct sck_p11_mech *mech, CK_FLAGS use, CK_OBJECT_CLASS class_,
                  const struct sck_key_info *info)
{
    const struct sck_alg_info *alg = sck_alg_info(info->alg);
    if (alg == NULL || alg->family != family_of(mech->kind))
        return CKR_KEY_TYPE_INCONSISTENT;
    if (class_ != half_for(mech->kind, use) || !usage_allows(info->usage, mech->kind, use))
        return CKR_KEY_FUNCTION_NOT_PERMITTED;
    return CKR_OK;
}

const struct sck_p11_md *
sck_p11_md_by_type(CK_MECHANISM_TYPE type)
{
    for (size_t i = 0; i < MD_COUNT; i++)
        if (mds[i].type == type)
            return &mds[i];
    return NULL;
}

const struct sck_p11_md *
sck_p11_md_by_mgf(CK_ULONG mgf)
{
    for (size_t i = 0; i < MD_COUNT; i++)
        if (mds[i].mgf == mgf)
            return &mds[i];
    return NULL;
}

const EVP_MD *
sck_p11_md_fetch(const struct sck_p11_md *md)
{
    static _Atomic(EVP_MD *) fetched[MD_COUNT];
    _Atomic(EVP_MD *) *slot = &fetched[md - mds];
    EVP_MD *have = atomic_load(slot);
    if (have != NULL || sck_libctx() == NULL)
        return have;
    EVP_MD *mine = EVP_MD_fetch(sck_libctx(), md->name, NULL);
    if (mine == NULL || atomic_compare_exchange_strong(slot, &have, mine))
        return mine;
    EVP_MD_free(mine);
    return have;
}

CK_RV
sck_p11_param_copy(const CK_MECHANISM *given, void *out, size_t len)
{
    if (given->pParameter == NULL || given->ulParameterLen != len)
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(out, given->pParameter, len);
    return CKR_OK;
}

CK_RV
sck_p11_pss_get(const CK_MECHANISM *given, const struct sck_p11_mech *mech, size_t modulus_len, struct sck_pss *out)
{
    CK_RSA_PKCS_PSS_PARAMS p;
    CK_RV rv = sck_p11_param_copy(given, &p, sizeof p);
    if (rv != CKR_OK)
        return rv;
    const struct sck_p11_md *md = sck_p11_md_by_type(p.hashAlg), *mgf = sck_p11_md_by_mgf(p.mgf);
    if (md == NULL || mgf == NULL || (mech->md != NULL && mech->md != md))
        return CKR_MECHANISM_PARAM_INVALID;
    /* RFC 8017 section 9.1.1: hash, salt and two bytes must fit into the encoded message. */
    if (p.sLen > modulus_len || md->len + p.sLen + 2 > modulus_len)
        return CKR_MECHANISM_PARAM_INVALID;
    *out = (struct sck_pss){md->nid, mgf->nid, p.sLen};
    return CKR_OK;
}

CK_RV
sck_p11_oaep_get(const CK_MECHANISM *given, struct sck_oaep *out)
{
    CK_RSA_PKCS_OAEP_PARAMS p;
    CK_RV rv = sck_p11_param_copy(given, &p, sizeof p);
    if (rv != CKR_OK)
        return rv;
    const struct sck_p11_md *md = sck_p11_md_by_type(p.hashAlg), *mgf = sck_p11_md_by_mgf(p.mgf);
    bool has_label = p.ulSourceDataLen != 0;
    if (md == NULL || mgf == NULL || (has_label && (p.pSourceData == NULL || p.source != CKZ_DATA_SPECIFIED)) ||
        (p.source != 0 && p.source != CKZ_DATA_SPECIFIED) || p.ulSourceDataLen > 4096)
        return CKR_MECHANISM_PARAM_INVALID;
    *out = (struct sck_oaep){md->nid, mgf->nid, {p.pSourceData, p.ulSourceDataLen}};
    return CKR_OK;
}
