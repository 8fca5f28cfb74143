/* SPDX-License-Identifier: MIT */
/* Encryption or decryption in progress: what both have in common. */
#ifndef SCK_PKCS11_CIPHER_H
#define SCK_PKCS11_CIPHER_H

#include "lib/base/crypto.h"
#include "pkcs11/key.h"

struct sck_p11_cipher {
    const struct sck_p11_mech *mech;
    bool encrypts;
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    struct sck_oaep oaep;
    struct sck_buf aad; /* additional data of GCM, label of OAEP */
    struct sck_buf data; /* parts given so far */
    bool updated; /* parts were given: no longer for C_Encrypt and C_Decrypt */
    size_t min_data, max_data; /* bytes that may be given */
    size_t modulus_len; /* RSA */
    struct sck_ukey *key; /* of a private or secret key */
    EVP_PKEY *pub; /* of a public one */
};

/* Runs on the whole input with room for sck_p11_cipher_out_len(); gives what it made. */
typedef CK_RV (*sck_p11_cipher_fn)(struct sck_p11_call *call, struct sck_p11_cipher *cipher, struct sck_bytes in,
                                   unsigned char *out, size_t room, size_t *made);

/* Start one for a key, without `key` and `pub`.  CKR_MECHANISM_PARAM_INVALID, CKR_HOST_MEMORY. */
CK_RV sck_p11_cipher_new(const struct sck_p11_mech *mech, const CK_MECHANISM *given, bool encrypts,
                         const struct sck_key_info *info, struct sck_p11_cipher **out);
/* Sets *cipher to NULL and wipes what was given.  NULL-safe. */
void sck_p11_cipher_free(struct sck_p11_cipher **cipher);
/* True when it uses a key that only a logged-in application has. */
bool sck_p11_cipher_is_private(const struct sck_p11_cipher *cipher);

/*
 * C_Encrypt, C_Decrypt (`whole`) and their Final forms (`whole` NULL) on the operation in *slot.  It stays for a question
 * for the length and for too little room, and ends with everything else.
 */
CK_RV sck_p11_cipher_run(struct sck_p11_call *call, struct sck_p11_cipher **slot, const struct sck_bytes *whole,
                         sck_p11_cipher_fn fn, unsigned char *out, unsigned long *out_len);
/* C_EncryptUpdate, C_DecryptUpdate: parts are kept until the end; nothing comes out before all is known to be good. */
CK_RV sck_p11_cipher_update(struct sck_p11_cipher **slot, struct sck_bytes part, unsigned char *out,
                            unsigned long *out_len);

#endif
