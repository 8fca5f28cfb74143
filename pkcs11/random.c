/* SPDX-License-Identifier: MIT */
#include "lib/base/crypto.h"
#include "pkcs11/module.h"
#include "pkcs11/rv.h"

enum { CHUNK = 1024 * 1024 };

static CK_RV
fill(struct sck_p11_call *call, unsigned char *out, unsigned long len)
{
    if ((out == NULL && len != 0) || len > SCK_P11_LEN_MAX)
        return CKR_ARGUMENTS_BAD;
    enum sck_code code = SCK_OK;
    for (unsigned long at = 0; at < len && code == SCK_OK; at += CHUNK)
        code = sck_random(out + at, len - at < CHUNK ? len - at : CHUNK, &call->err);
    return sck_p11_rv(code, SCK_P11_OTHER, &call->err);
}

CK_RV
C_GenerateRandom(CK_SESSION_HANDLE session, unsigned char *random_data, unsigned long random_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, fill(&call, random_data, random_len));
}

/* The generator seeds itself, and takes nothing from applications. */
CK_RV
C_SeedRandom(CK_SESSION_HANDLE session, unsigned char *seed, unsigned long seed_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, seed == NULL && seed_len != 0 ? CKR_ARGUMENTS_BAD : CKR_RANDOM_SEED_NOT_SUPPORTED);
}
