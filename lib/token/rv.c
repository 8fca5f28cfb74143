/* SPDX-License-Identifier: MIT */
#include "lib/token/rv.h"

#include <stdio.h>

static const struct rv_row {
    CK_RV rv;
    const char *name;
    enum sck_code code;
    enum sck_lost lost;
    const char *advice;
} rows[] = {
#define ROW(rv, code, lost, advice) {rv, #rv, code, lost, advice}
    ROW(CKR_CANCEL, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token cancelled it: try again"),
    ROW(CKR_HOST_MEMORY, SCK_E_MEMORY, SCK_LOST_NOTHING, "the PKCS#11 module is out of memory"),
    ROW(CKR_SLOT_ID_INVALID, SCK_E_TOKEN, SCK_LOST_SESSIONS, "the slot is gone: check that the token is there"),
    ROW(CKR_GENERAL_ERROR, SCK_E_TOKEN, SCK_LOST_NOTHING, "see the token's own log"),
    ROW(CKR_FUNCTION_FAILED, SCK_E_TOKEN, SCK_LOST_NOTHING, "see the token's own log"),
    ROW(CKR_ARGUMENTS_BAD, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token does not take these arguments"),
    ROW(CKR_CANT_LOCK, SCK_E_TOKEN, SCK_LOST_NOTHING, "the module cannot be used by threads: use another module"),
    ROW(CKR_ATTRIBUTE_READ_ONLY, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token does not let this attribute be set"),
    ROW(CKR_ATTRIBUTE_SENSITIVE, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token does not show this attribute"),
    ROW(CKR_ATTRIBUTE_TYPE_INVALID, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token does not know an attribute"),
    ROW(CKR_ATTRIBUTE_VALUE_INVALID, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token does not take an attribute's value"),
    ROW(CKR_ACTION_PROHIBITED, SCK_E_STATE, SCK_LOST_NOTHING, "the object forbids it"),
    ROW(CKR_DATA_INVALID, SCK_E_USAGE, SCK_LOST_NOTHING, "the token refuses this input"),
    ROW(CKR_DATA_LEN_RANGE, SCK_E_USAGE, SCK_LOST_NOTHING, "the input has the wrong length"),
    ROW(CKR_DEVICE_ERROR, SCK_E_TOKEN, SCK_LOST_SESSIONS, "check the token and its connection"),
    ROW(CKR_DEVICE_MEMORY, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token is full: remove objects"),
    ROW(CKR_DEVICE_REMOVED, SCK_E_TOKEN, SCK_LOST_SESSIONS, "connect the token again"),
    ROW(CKR_ENCRYPTED_DATA_INVALID, SCK_E_AUTHENTIC, SCK_LOST_NOTHING, "the ciphertext is altered or not ours"),
    ROW(CKR_ENCRYPTED_DATA_LEN_RANGE, SCK_E_AUTHENTIC, SCK_LOST_NOTHING, "the ciphertext has the wrong length"),
    ROW(CKR_FUNCTION_CANCELED, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token cancelled it: try again"),
    ROW(CKR_FUNCTION_NOT_SUPPORTED, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token cannot do it"),
    ROW(CKR_KEY_HANDLE_INVALID, SCK_E_TOKEN, SCK_LOST_LOGIN, "the key is gone from the token: try again"),
    ROW(CKR_KEY_SIZE_RANGE, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token has no keys of this size"),
    ROW(CKR_KEY_TYPE_INCONSISTENT, SCK_E_STATE, SCK_LOST_NOTHING, "the key is of another type"),
    ROW(CKR_KEY_FUNCTION_NOT_PERMITTED, SCK_E_STATE, SCK_LOST_NOTHING, "the key's usage does not allow it"),
    ROW(CKR_KEY_NOT_WRAPPABLE, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token cannot wrap keys of this type"),
    ROW(CKR_KEY_UNEXTRACTABLE, SCK_E_STATE, SCK_LOST_NOTHING, "the key may not leave the token"),
    ROW(CKR_MECHANISM_INVALID, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING,
        "the token or the key does not allow the mechanism"),
    ROW(CKR_MECHANISM_PARAM_INVALID, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING,
        "this token does not take these parameters"),
    ROW(CKR_OBJECT_HANDLE_INVALID, SCK_E_TOKEN, SCK_LOST_LOGIN, "the object is gone from the token: try again"),
    ROW(CKR_OPERATION_ACTIVE, SCK_E_TOKEN, SCK_LOST_NOTHING,
        "a session was left in the middle of an operation: try again"),
    ROW(CKR_OPERATION_NOT_INITIALIZED, SCK_E_TOKEN, SCK_LOST_NOTHING,
        "another user of the session ended it: try again"),
    ROW(CKR_PIN_INCORRECT, SCK_E_CREDENTIAL, SCK_LOST_NOTHING, "correct the PIN"),
    ROW(CKR_PIN_INVALID, SCK_E_CREDENTIAL, SCK_LOST_NOTHING, "the token does not take these PIN characters"),
    ROW(CKR_PIN_LEN_RANGE, SCK_E_CREDENTIAL, SCK_LOST_NOTHING, "the PIN is too short or too long for this token"),
    ROW(CKR_PIN_EXPIRED, SCK_E_CREDENTIAL, SCK_LOST_NOTHING, "set a new PIN with the token's own tool"),
    ROW(CKR_PIN_LOCKED, SCK_E_CREDENTIAL, SCK_LOST_NOTHING,
        "unlock the PIN with the SO PIN and the token's own tool"),
    ROW(CKR_SESSION_CLOSED, SCK_E_TOKEN, SCK_LOST_SESSIONS, "try again"),
    ROW(CKR_SESSION_COUNT, SCK_E_BUSY, SCK_LOST_NOTHING,
        "the token has no session left: close other programs or lower max_sessions"),
    ROW(CKR_SESSION_HANDLE_INVALID, SCK_E_TOKEN, SCK_LOST_SESSIONS, "try again"),
    ROW(CKR_SESSION_READ_ONLY, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token is read-only"),
    ROW(CKR_SESSION_EXISTS, SCK_E_BUSY, SCK_LOST_NOTHING, "another program has a session: close it"),
    ROW(CKR_SESSION_READ_WRITE_SO_EXISTS, SCK_E_BUSY, SCK_LOST_NOTHING,
        "the security officer is logged in: wait until that is over"),
    ROW(CKR_SIGNATURE_INVALID, SCK_E_AUTHENTIC, SCK_LOST_NOTHING, "the data is altered or not ours"),
    ROW(CKR_SIGNATURE_LEN_RANGE, SCK_E_AUTHENTIC, SCK_LOST_NOTHING, "the data is altered or not ours"),
    ROW(CKR_TEMPLATE_INCOMPLETE, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token wants more attributes"),
    ROW(CKR_TEMPLATE_INCONSISTENT, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token refuses these attributes"),
    ROW(CKR_TOKEN_NOT_PRESENT, SCK_E_TOKEN, SCK_LOST_SESSIONS, "connect the token"),
    ROW(CKR_TOKEN_NOT_RECOGNIZED, SCK_E_TOKEN, SCK_LOST_SESSIONS, "check the token"),
    ROW(CKR_TOKEN_WRITE_PROTECTED, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token is write-protected"),
    ROW(CKR_UNWRAPPING_KEY_HANDLE_INVALID, SCK_E_TOKEN, SCK_LOST_LOGIN,
        "the master key is gone from the token: try again"),
    ROW(CKR_UNWRAPPING_KEY_SIZE_RANGE, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token cannot unwrap with this key"),
    ROW(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING,
        "this token cannot unwrap with this key"),
    ROW(CKR_USER_ALREADY_LOGGED_IN, SCK_E_TOKEN, SCK_LOST_NOTHING, "try again"),
    ROW(CKR_USER_NOT_LOGGED_IN, SCK_E_CREDENTIAL, SCK_LOST_LOGIN,
        "another user of the module logged out: set a PIN source"),
    ROW(CKR_USER_PIN_NOT_INITIALIZED, SCK_E_CREDENTIAL, SCK_LOST_NOTHING,
        "set the user PIN with the token's own tool"),
    ROW(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, SCK_E_BUSY, SCK_LOST_NOTHING,
        "the security officer is logged in: wait until that is over"),
    ROW(CKR_USER_TOO_MANY_TYPES, SCK_E_BUSY, SCK_LOST_NOTHING,
        "another kind of user is logged in: wait until that is over"),
    ROW(CKR_WRAPPED_KEY_INVALID, SCK_E_INTEGRITY, SCK_LOST_NOTHING, "the wrapped key is altered or not this token's"),
    ROW(CKR_WRAPPED_KEY_LEN_RANGE, SCK_E_INTEGRITY, SCK_LOST_NOTHING,
        "the wrapped key is altered or not this token's"),
    ROW(CKR_WRAPPING_KEY_HANDLE_INVALID, SCK_E_TOKEN, SCK_LOST_LOGIN,
        "the master key is gone from the token: try again"),
    ROW(CKR_WRAPPING_KEY_SIZE_RANGE, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token cannot wrap with this key"),
    ROW(CKR_WRAPPING_KEY_TYPE_INCONSISTENT, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING,
        "this token cannot wrap with this key"),
    ROW(CKR_RANDOM_NO_RNG, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token has no random generator"),
    ROW(CKR_DOMAIN_PARAMS_INVALID, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token does not know the curve"),
    ROW(CKR_CURVE_NOT_SUPPORTED, SCK_E_UNSUPPORTED, SCK_LOST_NOTHING, "this token does not know the curve"),
    ROW(CKR_BUFFER_TOO_SMALL, SCK_E_TOKEN, SCK_LOST_NOTHING, "the token's answer is larger than the key allows"),
    ROW(CKR_CRYPTOKI_NOT_INITIALIZED, SCK_E_TOKEN, SCK_LOST_MODULE,
        "another user of the module finalised it: try again"),
    ROW(CKR_CRYPTOKI_ALREADY_INITIALIZED, SCK_E_TOKEN, SCK_LOST_NOTHING, "try again"),
    ROW(CKR_FUNCTION_REJECTED, SCK_E_DENIED, SCK_LOST_NOTHING, "the token refused it"),
#undef ROW
    {SCK_RV_EXITING, "process exiting", SCK_E_TOKEN, SCK_LOST_NOTHING, "no token call is made any more"},
};

static const struct rv_row *
row_of(CK_RV rv)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].rv == rv)
            return &rows[i];
    }
    return NULL;
}

enum sck_lost
sck_rv_lost(CK_RV rv)
{
    if (rv == CKR_OK)
        return SCK_LOST_NOTHING;
    const struct rv_row *row = row_of(rv);
    return row == NULL ? SCK_LOST_NOTHING : row->lost;
}

const char *
sck_rv_name(CK_RV rv)
{
    if (rv == CKR_OK)
        return "CKR_OK";
    const struct rv_row *row = row_of(rv);
    return row == NULL ? NULL : row->name;
}

enum sck_code
sck_rv_code(CK_RV rv)
{
    if (rv == CKR_OK)
        return SCK_OK;
    const struct rv_row *row = row_of(rv);
    return row == NULL ? SCK_E_TOKEN : row->code;
}

static enum sck_code
fail_rv(struct sck_err *err, enum sck_code code, CK_RV rv, const char *fmt, va_list args)
{
    char what[320];
    (void)vsnprintf(what, sizeof what, fmt, args);
    const struct rv_row *row = row_of(rv);
    if (err != NULL && err->code == SCK_OK)
        err->rv = rv;
    if (row == NULL)
        return sck_fail(err, code, "%s: unknown PKCS#11 error (0x%lX): see the token's own log", what, rv);
    if (rv == SCK_RV_EXITING)
        return sck_fail(err, code, "%s: %s: %s", what, row->name, row->advice);
    return sck_fail(err, code, "%s: %s (0x%lX): %s", what, row->name, rv, row->advice);
}

enum sck_code
sck_fail_rv(struct sck_err *err, CK_RV rv, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enum sck_code rc = fail_rv(err, sck_rv_code(rv), rv, fmt, args);
    va_end(args);
    return rc;
}

enum sck_code
sck_fail_rv_as(struct sck_err *err, enum sck_code code, CK_RV rv, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enum sck_code rc = fail_rv(err, code, rv, fmt, args);
    va_end(args);
    return rc;
}
