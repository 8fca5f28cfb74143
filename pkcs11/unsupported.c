/* SPDX-License-Identifier: MIT */
/*
 * What this module does not do: each function still says first that it was called too early or for a session that is
 * none, as the standard wants it.
 */
#include "pkcs11/module.h"
#include "pkcs11/object.h"

static CK_RV
refuse(CK_SESSION_HANDLE session, CK_RV why)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, why);
}

CK_RV
C_InitPIN(CK_SESSION_HANDLE session, unsigned char *pin, unsigned long pin_len)
{
    (void)pin;
    (void)pin_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_SetPIN(CK_SESSION_HANDLE session, unsigned char *old_pin, unsigned long old_len, unsigned char *new_pin,
         unsigned long new_len)
{
    (void)old_pin;
    (void)old_len;
    (void)new_pin;
    (void)new_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_GetOperationState(CK_SESSION_HANDLE session, unsigned char *operation_state, unsigned long *operation_state_len)
{
    (void)operation_state;
    (void)operation_state_len;
    return refuse(session, CKR_STATE_UNSAVEABLE);
}

CK_RV
C_SetOperationState(CK_SESSION_HANDLE session, unsigned char *operation_state, unsigned long operation_state_len,
                    CK_OBJECT_HANDLE encryption_key, CK_OBJECT_HANDLE authentiation_key)
{
    (void)operation_state;
    (void)operation_state_len;
    (void)encryption_key;
    (void)authentiation_key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_CreateObject(CK_SESSION_HANDLE session, struct _CK_ATTRIBUTE *templ, unsigned long ulCount,
               CK_OBJECT_HANDLE *object)
{
    (void)templ;
    (void)ulCount;
    (void)object;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_SignRecoverInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    (void)mechanism;
    (void)key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_SignRecover(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len, unsigned char *signature,
              unsigned long *signature_len)
{
    (void)data;
    (void)data_len;
    (void)signature;
    (void)signature_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_VerifyRecoverInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    (void)mechanism;
    (void)key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_VerifyRecover(CK_SESSION_HANDLE session, unsigned char *signature, unsigned long signature_len, unsigned char *data,
                unsigned long *data_len)
{
    (void)signature;
    (void)signature_len;
    (void)data;
    (void)data_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_DigestEncryptUpdate(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len,
                      unsigned char *encrypted_part, unsigned long *encrypted_part_len)
{
    (void)part;
    (void)part_len;
    (void)encrypted_part;
    (void)encrypted_part_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_DecryptDigestUpdate(CK_SESSION_HANDLE session, unsigned char *encrypted_part, unsigned long encrypted_part_len,
                      unsigned char *part, unsigned long *part_len)
{
    (void)encrypted_part;
    (void)encrypted_part_len;
    (void)part;
    (void)part_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_SignEncryptUpdate(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len,
                    unsigned char *encrypted_part, unsigned long *encrypted_part_len)
{
    (void)part;
    (void)part_len;
    (void)encrypted_part;
    (void)encrypted_part_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_DecryptVerifyUpdate(CK_SESSION_HANDLE session, unsigned char *encrypted_part, unsigned long encrypted_part_len,
                      unsigned char *part, unsigned long *part_len)
{
    (void)encrypted_part;
    (void)encrypted_part_len;
    (void)part;
    (void)part_len;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_GenerateKey(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, struct _CK_ATTRIBUTE *templ,
              unsigned long ulCount, CK_OBJECT_HANDLE *key)
{
    (void)mechanism;
    (void)templ;
    (void)ulCount;
    (void)key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_GenerateKeyPair(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism,
                  struct _CK_ATTRIBUTE *public_key_template, unsigned long public_key_attribute_count,
                  struct _CK_ATTRIBUTE *private_key_template, unsigned long private_key_attribute_count,
                  CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    (void)mechanism;
    (void)public_key_template;
    (void)public_key_attribute_count;
    (void)private_key_template;
    (void)private_key_attribute_count;
    (void)public_key;
    (void)private_key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_UnwrapKey(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping_key,
            unsigned char *wrapped_key, unsigned long wrapped_key_len, struct _CK_ATTRIBUTE *templ,
            unsigned long attribute_count, CK_OBJECT_HANDLE *key)
{
    (void)mechanism;
    (void)unwrapping_key;
    (void)wrapped_key;
    (void)wrapped_key_len;
    (void)templ;
    (void)attribute_count;
    (void)key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

CK_RV
C_DeriveKey(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base_key,
            struct _CK_ATTRIBUTE *templ, unsigned long attribute_count, CK_OBJECT_HANDLE *key)
{
    (void)mechanism;
    (void)base_key;
    (void)templ;
    (void)attribute_count;
    (void)key;
    return refuse(session, CKR_FUNCTION_NOT_SUPPORTED);
}

/* Keys of a scope never leave the token, not even wrapped. */
CK_RV
C_WrapKey(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrapping_key,
          CK_OBJECT_HANDLE key, unsigned char *wrapped_key, unsigned long *wrapped_key_len)
{
    (void)wrapping_key;
    (void)wrapped_key;
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    if (mechanism == NULL || wrapped_key_len == NULL)
        return sck_p11_end(&call, CKR_ARGUMENTS_BAD);
    CK_OBJECT_CLASS class_;
    struct sck_key_info info;
    rv = sck_p11_object_get(&call, key, &class_, &info);
    if (rv == CKR_OBJECT_HANDLE_INVALID)
        rv = CKR_KEY_HANDLE_INVALID;
    if (rv == CKR_OK)
        rv = sck_p11_class_is_private(class_) ? CKR_KEY_UNEXTRACTABLE : CKR_KEY_NOT_WRAPPABLE;
    return sck_p11_end(&call, rv);
}

/* Left from PKCS#11 1.0: nothing runs in parallel (2.40 section 5.15). */
CK_RV
C_GetFunctionStatus(CK_SESSION_HANDLE session) { return refuse(session, CKR_FUNCTION_NOT_PARALLEL); }
CK_RV
C_CancelFunction(CK_SESSION_HANDLE session) { return refuse(session, CKR_FUNCTION_NOT_PARALLEL); }
