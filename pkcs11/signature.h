/* SPDX-License-Identifier: MIT */
/* A signature, or its verification, in progress: what both have in common. */
#ifndef SCK_PKCS11_SIGNATURE_H
#define SCK_PKCS11_SIGNATURE_H

#include "pkcs11/key.h"

/* The longest DER DigestInfo: 19 bytes before a SHA-512. */
#define SCK_P11_DIGEST_INFO_MAX (19 + 64)

struct sck_p11_sig {
    const struct sck_p11_mech *mech;
    struct sck_pss pss; /* RSA-PSS */
    const struct sck_p11_md
        *digest; /* of the input; NULL when it is no digest (EdDSA, raw PKCS #1) or any (raw ECDSA) */
    EVP_MD_CTX *md; /* hashing what is given; NULL: it is taken as it is */
    struct sck_buf data; /* parts given so far, when `md` is NULL */
    size_t max_data; /* bytes that may be given when `md` is NULL */
    bool updated; /* parts were given: no longer for C_Sign and C_Verify */
    size_t sig_len; /* bytes of the signature */
    struct sck_ukey *key; /* to sign */
    EVP_PKEY *pub; /* to verify */
};

/* Start one for a key, without `key` and `pub`.  CKR_MECHANISM_PARAM_INVALID, CKR_HOST_MEMORY. */
CK_RV sck_p11_sig_new(const struct sck_p11_mech *mech, const CK_MECHANISM *given, const struct sck_key_info *info,
                      struct sck_p11_sig **out);
/* Sets *sig to NULL.  NULL-safe. */
void sck_p11_sig_free(struct sck_p11_sig **sig);

/* Take a part.  CKR_ARGUMENTS_BAD, CKR_DATA_LEN_RANGE. */
CK_RV sck_p11_sig_update(struct sck_p11_sig *sig, const unsigned char *part, unsigned long len);
/*
 * What the key works on, from the parts (`whole` NULL) or from all data at once: a digest, a DigestInfo, or the data
 * itself.  *tbs borrows from `room`, `whole` or `sig`.  CKR_ARGUMENTS_BAD, CKR_DATA_LEN_RANGE.
 */
CK_RV sck_p11_sig_input(struct sck_p11_sig *sig, const struct sck_bytes *whole, uint8_t room[SCK_P11_DIGEST_INFO_MAX],
                        struct sck_bytes *tbs);

#endif
