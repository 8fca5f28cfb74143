/* SPDX-License-Identifier: MIT */
/* What can be computed: one table of mechanisms, one of digests. */
#ifndef SCK_PKCS11_MECHANISM_H
#define SCK_PKCS11_MECHANISM_H

#include "lib/service/service.h"
#include "pkcs11/pkcs11_v3.h"

#include <openssl/types.h>

/* A digest under the names that PKCS#11, RFC 8017 and OpenSSL have for it. */
struct sck_p11_md {
    CK_MECHANISM_TYPE type;
    CK_ULONG mgf; /* CKG_MGF1_* with it */
    const char *name; /* OpenSSL's */
    int nid;
    size_t len; /* bytes */
    uint8_t prefix[19]; /* of its DER DigestInfo, RFC 8017 section 9.2 note 1 */
    size_t prefix_len;
};

enum sck_p11_kind {
    SCK_P11_DIGEST,
    SCK_P11_ECDSA,
    SCK_P11_EDDSA,
    SCK_P11_RSA_PKCS,
    SCK_P11_RSA_PSS,
    SCK_P11_RSA_OAEP,
    SCK_P11_GCM
};

struct sck_p11_mech {
    CK_MECHANISM_TYPE type;
    enum sck_p11_kind kind;
    const struct sck_p11_md *md; /* computed here over what is signed; NULL: the caller did, or nothing does */
    CK_ULONG min, max; /* key size: bits for RSA and EC, bytes for AES (PKCS#11 2.40 section 3.6) */
    CK_FLAGS flags;
};

/* NULL when we do not have it. */
const struct sck_p11_mech *sck_p11_mech_by_type(CK_MECHANISM_TYPE type);
/* By index from 0; NULL behind the last. */
const struct sck_p11_mech *sck_p11_mech_at(size_t index);
/*
 * The mechanism a caller names for one kind of use (one CKF_ flag).  CKR_ARGUMENTS_BAD: NULL; CKR_MECHANISM_INVALID;
 * CKR_MECHANISM_PARAM_INVALID: a length without parameter, or a parameter where there must be none.
 */
CK_RV sck_p11_mech_get(const CK_MECHANISM *given, CK_FLAGS use, const struct sck_p11_mech **mech);
/*
 * Whether a key's half can be used so.  CKR_KEY_TYPE_INCONSISTENT: another kind of key; CKR_KEY_FUNCTION_NOT_PERMITTED:
 * the other half, or another usage.
 */
CK_RV sck_p11_mech_fits(const struct sck_p11_mech *mech, CK_FLAGS use, CK_OBJECT_CLASS class_,
                        const struct sck_key_info *info);

/* NULL when unknown. */
const struct sck_p11_md *sck_p11_md_by_type(CK_MECHANISM_TYPE type);
const struct sck_p11_md *sck_p11_md_by_mgf(CK_ULONG mgf);
/* OpenSSL's implementation, fetched once in our own library context; NULL when that fails. */
const EVP_MD *sck_p11_md_fetch(const struct sck_p11_md *md);

/*
 * Copy a mechanism's parameter, which may lie at any address, into a struct.  CKR_MECHANISM_PARAM_INVALID unless it is
 * exactly `len` bytes.
 */
CK_RV sck_p11_param_copy(const CK_MECHANISM *given, void *out, size_t len);
/* PSS and OAEP: digest and mask as OpenSSL's NIDs.  CKR_MECHANISM_PARAM_INVALID. */
CK_RV
sck_p11_pss_get(const CK_MECHANISM *given, const struct sck_p11_mech *mech, size_t modulus_len, struct sck_pss *out);
/* The label stays the caller's. */
CK_RV sck_p11_oaep_get(const CK_MECHANISM *given, struct sck_oaep *out);

#endif
