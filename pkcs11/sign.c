/* SPDX-License-Identifier: MIT */
/* Signatures: hashed here, made by the key in the token. */
#include "pkcs11/module.h"
#include "pkcs11/rv.h"
#include "pkcs11/signature.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>

/* 2 * 66 bytes of P-521 as DER, or an RSA-4096 signature. */
enum { SIGNATURE_MAX = 512 };

static CK_RV
sign_init(struct sck_p11_call *call, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    if (call->session->sign != NULL)
        return CKR_OPERATION_ACTIVE;
    const struct sck_p11_mech *mech;
    struct sck_key_info info;
    CK_RV rv = sck_p11_mech_get(mechanism, CKF_SIGN, &mech);
    if (rv == CKR_OK)
        rv = sck_p11_key_get(call, key, mech, CKF_SIGN, &info);
    struct sck_p11_sig *sig = NULL;
    if (rv == CKR_OK)
        rv = sck_p11_sig_new(mech, mechanism, &info, &sig);
    if (rv != CKR_OK)
        return rv;
    enum sck_code code = sck_ukey_open(call->app->service, &info, &sig->key, &call->err);
    if (code == SCK_OK)
        call->session->sign = sig;
    else
        sck_p11_sig_free(&sig);
    return sck_p11_rv(code, SCK_P11_KEY, &call->err);
}

/* PKCS#11 2.40 mechanisms section 2.3.1: r and s, each as long as the group's order. */
static bool
ecdsa_from_der(const uint8_t *der, size_t der_len, uint8_t *out, size_t half)
{
    ERR_set_mark();
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
    bool good = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)half) == (int)half &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, (int)half) == (int)half;
    ECDSA_SIG_free(sig);
    ERR_pop_to_mark();
    return good;
}

static enum sck_sign_mech
mech_below(enum sck_p11_kind kind)
{
    if (kind == SCK_P11_ECDSA)
        return SCK_SIGN_ECDSA;
    if (kind == SCK_P11_EDDSA)
        return SCK_SIGN_EDDSA;
    return kind == SCK_P11_RSA_PSS ? SCK_SIGN_RSA_PSS : SCK_SIGN_RSA_PKCS1;
}

static CK_RV
make(struct sck_p11_call *call, struct sck_p11_sig *sig, struct sck_bytes tbs, unsigned char *out,
     unsigned long *out_len)
{
    uint8_t made[SIGNATURE_MAX];
    size_t made_len = 0;
    enum sck_p11_kind kind = sig->mech->kind;
    enum sck_code code = sck_ukey_sign(sig->key, mech_below(kind), kind == SCK_P11_RSA_PSS ? &sig->pss : NULL,
                                       tbs.data, tbs.len, made, sizeof made, &made_len, &call->err);
    if (code != SCK_OK)
        return sck_p11_rv(code, SCK_P11_SIGN, &call->err);
    if (kind == SCK_P11_ECDSA) {
        if (!ecdsa_from_der(made, made_len, out, sig->sig_len / 2))
            return CKR_DEVICE_ERROR;
    } else {
        if (made_len != sig->sig_len)
            return CKR_DEVICE_ERROR;
        memcpy(out, made, made_len);
    }
    *out_len = sig->sig_len;
    return CKR_OK;
}

/* `whole` NULL: the parts given before.  Only a question for the length and too little room leave the operation on. */
static CK_RV
sign(struct sck_p11_call *call, const struct sck_bytes *whole, unsigned char *out, unsigned long *out_len)
{
    struct sck_p11_sig *sig = call->session->sign;
    if (sig == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = out_len == NULL ? CKR_ARGUMENTS_BAD : CKR_OK;
    if (rv == CKR_OK && whole != NULL && sig->updated)
        rv = CKR_OPERATION_ACTIVE;
    if (rv == CKR_OK && (out == NULL || *out_len < sig->sig_len)) {
        *out_len = sig->sig_len;
        return out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    }
    uint8_t room[SCK_P11_DIGEST_INFO_MAX];
    struct sck_bytes tbs;
    if (rv == CKR_OK)
        rv = sck_p11_sig_input(sig, whole, room, &tbs);
    if (rv == CKR_OK)
        rv = make(call, sig, tbs, out, out_len);
    sck_p11_sig_free(&call->session->sign);
    return rv;
}

static CK_RV
sign_update(struct sck_p11_call *call, const unsigned char *part, unsigned long part_len)
{
    if (call->session->sign == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = sck_p11_sig_update(call->session->sign, part, part_len);
    if (rv != CKR_OK)
        sck_p11_sig_free(&call->session->sign);
    return rv;
}

CK_RV
C_SignInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, sign_init(&call, mechanism, key));
}

CK_RV
C_Sign(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len, unsigned char *signature,
       unsigned long *signature_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    struct sck_bytes whole = {data, data_len};
    return sck_p11_end(&call, sign(&call, &whole, signature, signature_len));
}

CK_RV
C_SignUpdate(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, sign_update(&call, part, part_len));
}

CK_RV
C_SignFinal(CK_SESSION_HANDLE session, unsigned char *signature, unsigned long *signature_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, sign(&call, NULL, signature, signature_len));
}
