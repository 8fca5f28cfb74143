/* SPDX-License-Identifier: MIT */
#include "pkcs11/rv.h"

#include "lib/base/log.h"

/* No key, an erased one and one outside the wall look the same: a handle that names nothing. */
static CK_RV
gone(enum sck_p11_about about)
{
    return about == SCK_P11_OBJECT ? CKR_OBJECT_HANDLE_INVALID : CKR_KEY_HANDLE_INVALID;
}

static CK_RV
bad_length(enum sck_p11_about about)
{
    if (about == SCK_P11_SIGN || about == SCK_P11_ENCRYPT)
        return CKR_DATA_LEN_RANGE;
    return about == SCK_P11_DECRYPT ? CKR_ENCRYPTED_DATA_LEN_RANGE : CKR_ARGUMENTS_BAD;
}

static CK_RV
bad_credential(enum sck_p11_about about, const struct sck_err *err)
{
    if (about != SCK_P11_LOGIN)
        return CKR_DEVICE_ERROR;
    return err != NULL && err->rv == CKR_PIN_LOCKED ? CKR_PIN_LOCKED : CKR_PIN_INCORRECT;
}

CK_RV
sck_p11_rv(enum sck_code code, enum sck_p11_about about, const struct sck_err *err)
{
    switch (code) {
    case SCK_OK: return CKR_OK;
    case SCK_E_USAGE: return bad_length(about);
    case SCK_E_IO: return CKR_DEVICE_ERROR;
    case SCK_E_AUTHENTIC: return about == SCK_P11_DECRYPT ? CKR_ENCRYPTED_DATA_INVALID : CKR_DEVICE_ERROR;
    case SCK_E_NOT_FOUND: return gone(about);
    case SCK_E_EXISTS: return CKR_TEMPLATE_INCONSISTENT;
    case SCK_E_STATE: return CKR_KEY_FUNCTION_NOT_PERMITTED;
    case SCK_E_CONTEXT: return CKR_DEVICE_ERROR;
    case SCK_E_CREDENTIAL: return bad_credential(about, err);
    case SCK_E_CONNECT: return CKR_DEVICE_ERROR;
    case SCK_E_TOKEN: return CKR_DEVICE_ERROR;
    case SCK_E_BUSY: return CKR_FUNCTION_FAILED;
    case SCK_E_ERASED: return gone(about);
    case SCK_E_CONFIG: return CKR_GENERAL_ERROR;
    case SCK_E_INTEGRITY: return CKR_DEVICE_ERROR;
    case SCK_E_DENIED: return gone(about);
    case SCK_E_UNSUPPORTED: return CKR_MECHANISM_INVALID;
    case SCK_E_MEMORY: return CKR_HOST_MEMORY;
    case SCK_E_CANCELLED: return CKR_FUNCTION_CANCELED;
    case SCK_E_INTERNAL: return CKR_GENERAL_ERROR;
    }
    return CKR_GENERAL_ERROR;
}

static enum sck_log_level
level_of(enum sck_code code)
{
    switch (code) {
    case SCK_OK:
    case SCK_E_USAGE:
    case SCK_E_AUTHENTIC:
    case SCK_E_NOT_FOUND:
    case SCK_E_EXISTS:
    case SCK_E_ERASED:
    case SCK_E_DENIED: return SCK_LOG_DEBUG;
    case SCK_E_STATE:
    case SCK_E_CONTEXT:
    case SCK_E_CREDENTIAL:
    case SCK_E_BUSY:
    case SCK_E_CANCELLED:
    case SCK_E_UNSUPPORTED: return SCK_LOG_WARNING;
    case SCK_E_IO:
    case SCK_E_CONNECT:
    case SCK_E_TOKEN:
    case SCK_E_CONFIG:
    case SCK_E_INTEGRITY:
    case SCK_E_MEMORY:
    case SCK_E_INTERNAL: return SCK_LOG_ERROR;
    }
    return SCK_LOG_ERROR;
}

void
sck_p11_log(const struct sck_err *err)
{
    if (err->code != SCK_OK)
        sck_log(level_of(err->code), "pkcs11", "%s", err->message);
}
