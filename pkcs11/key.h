/* SPDX-License-Identifier: MIT */
/* A handle on its way to becoming a key that does something. */
#ifndef SCK_PKCS11_KEY_H
#define SCK_PKCS11_KEY_H

#include "pkcs11/mechanism.h"
#include "pkcs11/session.h"

/*
 * The key behind a handle, checked to be the half and of the kind and usage that `mech` needs for `use`.
 * CKR_KEY_HANDLE_INVALID (erased ones too), CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED.
 */
CK_RV sck_p11_key_get(struct sck_p11_call *call, CK_OBJECT_HANDLE handle, const struct sck_p11_mech *mech,
                      CK_FLAGS use, struct sck_key_info *info);
/* Bytes of an RSA modulus or of one number of an elliptic curve. */
size_t sck_p11_key_bytes(const struct sck_key_info *info);
/* OpenSSL's form of the public half, in our own library context; the caller frees it.  NULL when it cannot be read. */
EVP_PKEY *sck_p11_key_public(const struct sck_key_info *info);

#endif
