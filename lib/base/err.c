/* SPDX-License-Identifier: MIT */
#include "lib/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void
record(struct sck_err *err, enum sck_code code, int sys_errno, const char *fmt, va_list args)
{
    err->code = code;
    err->sys_errno = sys_errno;
    int n = vsnprintf(err->message, sizeof err->message, fmt, args);
    if (n < 0)
        err->message[0] = '\0';
    if (sys_errno != 0) {
        size_t used = strlen(err->message);
        char text[128];
        /* GNU strerror_r returns the text, which need not be in the buffer. */
        const char *what = strerror_r(sys_errno, text, sizeof text);
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s", what);
    }
}

enum sck_code
sck_fail(struct sck_err *err, enum sck_code code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    if (err->code != SCK_OK)
        return err->code;
    int saved = errno;
    va_list args;
    va_start(args, fmt);
    record(err, code, 0, fmt, args);
    va_end(args);
    errno = saved;
    return code;
}

enum sck_code
sck_fail_errno(struct sck_err *err, enum sck_code code, int sys_errno, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    if (err->code != SCK_OK)
        return err->code;
    int saved = errno;
    va_list args;
    va_start(args, fmt);
    record(err, code, sys_errno, fmt, args);
    va_end(args);
    errno = saved;
    return code;
}

void
sck_err_prefix(struct sck_err *err, const char *fmt, ...)
{
    if (err == NULL || err->code == SCK_OK)
        return;
    char text[SCK_ERR_MESSAGE_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0)
        return;
    size_t used = strlen(text);
    size_t room = sizeof text - 1 - used;
    if (room > 2) {
        memcpy(text + used, ": ", 2);
        size_t take = strnlen(err->message, room - 2);
        memcpy(text + used + 2, err->message, take);
        text[used + 2 + take] = '\0';
    }
    memcpy(err->message, text, sizeof text);
}

void
sck_err_clear(struct sck_err *err)
{
    if (err == NULL)
        return;
    err->code = SCK_OK;
    err->sys_errno = 0;
    err->rv = 0;
    err->message[0] = '\0';
}

const char *
sck_code_name(enum sck_code code)
{
    switch (code) {
    case SCK_OK:            return "ok";
    case SCK_E_USAGE:       return "invalid_argument";
    case SCK_E_IO:          return "io";
    case SCK_E_AUTHENTIC:   return "decryption_failed";
    case SCK_E_NOT_FOUND:   return "key_not_found";
    case SCK_E_EXISTS:      return "already_exists";
    case SCK_E_STATE:       return "wrong_state";
    case SCK_E_CONTEXT:     return "context_mismatch";
    case SCK_E_CREDENTIAL:  return "authentication";
    case SCK_E_CONNECT:     return "connectivity";
    case SCK_E_TOKEN:       return "token";
    case SCK_E_BUSY:        return "busy";
    case SCK_E_ERASED:      return "subject_erased";
    case SCK_E_CONFIG:      return "configuration";
    case SCK_E_INTEGRITY:   return "integrity";
    case SCK_E_DENIED:      return "not_permitted";
    case SCK_E_UNSUPPORTED: return "unsupported";
    case SCK_E_MEMORY:      return "out_of_memory";
    case SCK_E_CANCELLED:   return "cancelled";
    case SCK_E_INTERNAL:    return "internal";
    }
    return "unknown";
}
