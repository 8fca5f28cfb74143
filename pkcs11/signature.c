/* SPDX-License-Identifier: MIT */
#include "pkcs11/signature.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 64 * 1024 * 1024, EDDSA_LEN = 64, PKCS1_OVERHEAD = 11, DIGEST_MAX = 64 };

/* Lengths by mechanism: PKCS#11 2.40 sections 2.1 and 2.3 of the mechanisms; EdDSA: 3.0 section 2.3.14. */
static CK_RV
measure(struct sck_p11_sig *sig, const CK_MECHANISM *given, const struct sck_key_info *info)
{
    size_t bytes = sck_p11_key_bytes(info);
    sig->digest = sig->mech->md;
    sig->sig_len = bytes;
    switch (sig->mech->kind) {
    case SCK_P11_ECDSA:
        sig->sig_len = 2 * bytes;
        sig->max_data = DIGEST_MAX;
        return CKR_OK;
    case SCK_P11_EDDSA:
        sig->sig_len = EDDSA_LEN;
        sig->max_data = MESSAGE_MAX;
        return CKR_OK;
    case SCK_P11_RSA_PKCS: sig->max_data = bytes - PKCS1_OVERHEAD; return CKR_OK;
    case SCK_P11_RSA_PSS: {
        CK_RSA_PKCS_PSS_PARAMS p;
        CK_RV rv = sck_p11_pss_get(given, sig->mech, bytes, &sig->pss);
        if (rv != CKR_OK || (rv = sck_p11_param_copy(given, &p, sizeof p)) != CKR_OK)
            return rv;
        sig->digest = sck_p11_md_by_type(p.hashAlg);
        sig->max_data = sig->digest->len;
        return CKR_OK;
    }
    case SCK_P11_DIGEST:
    case SCK_P11_RSA_OAEP:
    case SCK_P11_GCM: break;
    }
    return CKR_MECHANISM_INVALID;
}

CK_RV
sck_p11_sig_new(const struct sck_p11_mech *mech, const CK_MECHANISM *given, const struct sck_key_info *info,
                struct sck_p11_sig **out)
{
    struct sck_p11_sig *sig = calloc(1, sizeof *sig);
    if (sig == NULL)
        return CKR_HOST_MEMORY;
    sig->mech = mech;
    CK_RV rv = measure(sig, given, info);
    sck_buf_init(&sig->data, sig->max_data);
    if (rv == CKR_OK && mech->md != NULL) {
        const EVP_MD *md = sck_p11_md_fetch(mech->md);
        sig->md = EVP_MD_CTX_new();
        if (sig->md == NULL || md == NULL || EVP_DigestInit_ex2(sig->md, md, NULL) != 1)
            rv = CKR_HOST_MEMORY;
    }
    if (rv == CKR_OK)
        *out = sig;
    else
        sck_p11_sig_free(&sig);
    return rv;
}

void
sck_p11_sig_free(struct sck_p11_sig **sig)
{
    if (*sig == NULL)
        return;
    EVP_MD_CTX_free((*sig)->md);
    sck_buf_clear(&(*sig)->data);
    sck_ukey_unref(&(*sig)->key);
    EVP_PKEY_free((*sig)->pub);
    free(*sig);
    *sig = NULL;
}

CK_RV
sck_p11_sig_update(struct sck_p11_sig *sig, const unsigned char *part, unsigned long len)
{
    if (part == NULL && len != 0)
        return CKR_ARGUMENTS_BAD;
    if (len > SCK_P11_LEN_MAX)
        return CKR_DATA_LEN_RANGE;
    sig->updated = true;
    if (sig->md != NULL)
        return len == 0 || EVP_DigestUpdate(sig->md, part, len) == 1 ? CKR_OK : CKR_FUNCTION_FAILED;
    if (len > sig->max_data - sig->data.len)
        return CKR_DATA_LEN_RANGE;
    sck_buf_put(&sig->data, part, len);
    return sig->data.failed ? CKR_HOST_MEMORY : CKR_OK;
}

/* The digest of all that was given, behind its DigestInfo for PKCS #1 (RFC 8017 section 9.2). */
static CK_RV
hashed(struct sck_p11_sig *sig, const struct sck_bytes *whole, uint8_t room[SCK_P11_DIGEST_INFO_MAX],
       struct sck_bytes *tbs)
{
    const struct sck_p11_md *md = sig->mech->md;
    if (whole != NULL && whole->len != 0 && EVP_DigestUpdate(sig->md, whole->data, whole->len) != 1)
        return CKR_FUNCTION_FAILED;
    size_t at = sig->mech->kind == SCK_P11_RSA_PKCS ? md->prefix_len : 0;
    memcpy(room, md->prefix, at);
    if (EVP_DigestFinal_ex(sig->md, room + at, NULL) != 1)
        return CKR_FUNCTION_FAILED;
    *tbs = (struct sck_bytes){room, at + md->len};
    return CKR_OK;
}

CK_RV
sck_p11_sig_input(struct sck_p11_sig *sig, const struct sck_bytes *whole, uint8_t room[SCK_P11_DIGEST_INFO_MAX],
                  struct sck_bytes *tbs)
{
    if (whole != NULL && whole->data == NULL && whole->len != 0)
        return CKR_ARGUMENTS_BAD;
    if (whole != NULL && whole->len > (sig->md != NULL ? SCK_P11_LEN_MAX : sig->max_data))
        return CKR_DATA_LEN_RANGE;
    if (sig->md != NULL)
        return hashed(sig, whole, room, tbs);
    *tbs = whole != NULL ? *whole : sck_buf_bytes(&sig->data);
    /* The token wants to see a pointer, also in front of nothing. */
    if (tbs->data == NULL)
        tbs->data = room;
    if (sig->mech->kind == SCK_P11_RSA_PSS && tbs->len != sig->digest->len)
        return CKR_DATA_LEN_RANGE;
    return sig->mech->kind == SCK_P11_ECDSA && tbs->len == 0 ? CKR_DATA_LEN_RANGE : CKR_OK;
}
