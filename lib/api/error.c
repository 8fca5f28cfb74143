/* SPDX-License-Identifier: MIT */
#include "lib/api/api.h"

#include "lib/base/metric.h"

#include <stdio.h>
#include <stdlib.h>

enum scopekey_code
sck_api_code(enum sck_code code)
{
    switch (code) {
    case SCK_OK: return SCOPEKEY_OK;
    case SCK_E_USAGE: return SCOPEKEY_E_USAGE;
    case SCK_E_IO: return SCOPEKEY_E_IO;
    case SCK_E_AUTHENTIC: return SCOPEKEY_E_INTEGRITY;
    case SCK_E_NOT_FOUND: return SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND;
    case SCK_E_EXISTS: return SCOPEKEY_E_EXISTS;
    case SCK_E_STATE: return SCOPEKEY_E_STATE;
    case SCK_E_CONTEXT: return SCOPEKEY_E_INVALID_CONTEXT;
    case SCK_E_CREDENTIAL: return SCOPEKEY_E_AUTHENTICATION;
    case SCK_E_CONNECT: return SCOPEKEY_E_CONNECTIVITY;
    case SCK_E_TOKEN: return SCOPEKEY_E_TOKEN;
    case SCK_E_BUSY: return SCOPEKEY_E_BUSY;
    case SCK_E_ERASED: return SCOPEKEY_E_ERASED;
    case SCK_E_CONFIG: return SCOPEKEY_E_CONFIGURATION;
    case SCK_E_INTEGRITY: return SCOPEKEY_E_RECORD;
    case SCK_E_DENIED: return SCOPEKEY_E_DENIED;
    case SCK_E_UNSUPPORTED: return SCOPEKEY_E_UNSUPPORTED;
    case SCK_E_MEMORY: return SCOPEKEY_E_MEMORY;
    case SCK_E_CANCELLED: return SCOPEKEY_E_CANCELLED;
    case SCK_E_INTERNAL: break;
    }
    return SCOPEKEY_E_INTERNAL;
}

const char *
scopekey_code_name(enum scopekey_code code)
{
    static const char *const names[] = {
        [SCOPEKEY_OK] = "ok",
        [SCOPEKEY_E_USAGE] = "usage",
        [SCOPEKEY_E_IO] = "io",
        [SCOPEKEY_E_INTEGRITY] = "integrity",
        [SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND] = "subject_key_not_found",
        [SCOPEKEY_E_EXISTS] = "exists",
        [SCOPEKEY_E_STATE] = "state",
        [SCOPEKEY_E_INVALID_CONTEXT] = "invalid_context",
        [SCOPEKEY_E_AUTHENTICATION] = "authentication",
        [SCOPEKEY_E_CONNECTIVITY] = "connectivity",
        [SCOPEKEY_E_TOKEN] = "token",
        [SCOPEKEY_E_BUSY] = "busy",
        [SCOPEKEY_E_ERASED] = "subject_erased",
        [SCOPEKEY_E_CONFIGURATION] = "configuration",
        [SCOPEKEY_E_RECORD] = "record",
        [SCOPEKEY_E_DENIED] = "denied",
        [SCOPEKEY_E_UNSUPPORTED] = "unsupported",
        [SCOPEKEY_E_MEMORY] = "memory",
        [SCOPEKEY_E_CANCELLED] = "cancelled",
        [SCOPEKEY_E_INTERNAL] = "internal",
    };
    size_t i = (size_t)code;
    return i < sizeof names / sizeof names[0] ? names[i] : names[SCOPEKEY_E_INTERNAL];
}

struct scopekey_error *
scopekey_error_new(void)
{
    return (struct scopekey_error *)calloc(1, sizeof(struct sck_err));
}

void
scopekey_error_free(struct scopekey_error **error)
{
    if (error == NULL)
        return;
    free(*error);
    *error = NULL;
}

enum scopekey_code
scopekey_error_code(const struct scopekey_error *error)
{
    return error == NULL ? SCOPEKEY_OK : sck_api_code(((const struct sck_err *)(const void *)error)->code);
}

const char *
scopekey_error_message(const struct scopekey_error *error)
{
    return error == NULL ? "" : ((const struct sck_err *)(const void *)error)->message;
}

void
sck_api_begin(struct scopekey_error *error)
{
    if (error != NULL)
        sck_err_clear(sck_api_err(error));
}

enum scopekey_code
sck_api_fail(struct scopekey_error *error, enum sck_code code, const struct sck_err *why)
{
    char label[64];
    enum scopekey_code out = sck_api_code(code);
    (void)snprintf(label, sizeof label, "door=\"c\",code=\"%s\"", scopekey_code_name(out));
    sck_metric_add(sck_metric_counter("scopekey_errors_total", "Errors that a door reported.", label), 1);
    if (error != NULL) {
        *sck_api_err(error) = *why;
        sck_api_err(error)->code = code;
    }
    return out;
}

enum scopekey_code
sck_api_null(struct scopekey_error *error, const char *function)
{
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code code = sck_fail(&why, SCK_E_USAGE, "%s: an argument is NULL that must not be", function);
    return sck_api_fail(error, code, &why);
}
