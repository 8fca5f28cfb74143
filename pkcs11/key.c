/* SPDX-License-Identifier: MIT */
#include "pkcs11/key.h"

#include "lib/base/crypto.h"
#include "pkcs11/object.h"

#include <openssl/err.h>
#include <openssl/x509.h>

CK_RV
sck_p11_key_get(struct sck_p11_call *call, CK_OBJECT_HANDLE handle, const struct sck_p11_mech *mech, CK_FLAGS use,
                struct sck_key_info *info)
{
    CK_OBJECT_CLASS class_;
    CK_RV rv = sck_p11_object_get(call, handle, &class_, info);
    if (rv == CKR_OBJECT_HANDLE_INVALID)
        return CKR_KEY_HANDLE_INVALID;
    return rv == CKR_OK ? sck_p11_mech_fits(mech, use, class_, info) : rv;
}

size_t
sck_p11_key_bytes(const struct sck_key_info *info)
{
    const struct sck_alg_info *alg = sck_alg_info(info->alg);
    return alg != NULL ? (alg->bits + 7) / 8 : 0;
}

EVP_PKEY *
sck_p11_key_public(const struct sck_key_info *info)
{
    const unsigned char *p = info->spki;
    ERR_set_mark();
    EVP_PKEY *key = d2i_PUBKEY_ex(NULL, &p, (long)info->spki_len, sck_libctx(), NULL);
    ERR_pop_to_mark();
    return key;
}
