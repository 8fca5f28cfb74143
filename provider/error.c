/* SPDX-License-Identifier: MIT */
/* Our codes as reasons of OpenSSL's error queue. */
#include "provider/provider.h"

enum reason {
    REASON_USAGE = 101,
    REASON_IO,
    REASON_AUTHENTIC,
    REASON_NOT_FOUND,
    REASON_EXISTS,
    REASON_STATE,
    REASON_CONTEXT,
    REASON_CREDENTIAL,
    REASON_CONNECT,
    REASON_TOKEN,
    REASON_BUSY,
    REASON_ERASED,
    REASON_CONFIG,
    REASON_INTEGRITY,
    REASON_DENIED,
    REASON_UNSUPPORTED,
    REASON_MEMORY,
    REASON_CANCELLED,
    REASON_INTERNAL
};

static char text_usage[] = "invalid argument: correct the call or the key URI";
static char text_io[] = "file or stream failed";
static char text_authentic[] = "data altered or not made with this key";
static char text_not_found[] = "key not found: see scopekey key list";
static char text_exists[] = "already there";
static char text_state[] = "key may not do that now: see scopekey key show";
static char text_context[] = "encryption context does not match";
static char text_credential[] = "PIN or credential refused";
static char text_connect[] = "keeper or catalog out of reach: try again later";
static char text_token[] = "token failed or is missing: run scopekey doctor";
static char text_busy[] = "busy: try again";
static char text_erased[] = "erased";
static char text_config[] = "configuration or set-up is wrong: run scopekey doctor";
static char text_integrity[] = "a stored record was changed: run scopekey doctor";
static char text_denied[] = "not permitted";
static char text_unsupported[] = "not supported for this key";
static char text_memory[] = "out of memory";
static char text_cancelled[] = "the work was taken back before it was done";
static char text_internal[] = "internal error: please report it";

const OSSL_ITEM sck_reason_strings[] = {
    {REASON_USAGE, text_usage},
    {REASON_IO, text_io},
    {REASON_AUTHENTIC, text_authentic},
    {REASON_NOT_FOUND, text_not_found},
    {REASON_EXISTS, text_exists},
    {REASON_STATE, text_state},
    {REASON_CONTEXT, text_context},
    {REASON_CREDENTIAL, text_credential},
    {REASON_CONNECT, text_connect},
    {REASON_TOKEN, text_token},
    {REASON_BUSY, text_busy},
    {REASON_ERASED, text_erased},
    {REASON_CONFIG, text_config},
    {REASON_INTEGRITY, text_integrity},
    {REASON_DENIED, text_denied},
    {REASON_UNSUPPORTED, text_unsupported},
    {REASON_MEMORY, text_memory},
    {REASON_CANCELLED, text_cancelled},
    {REASON_INTERNAL, text_internal},
    {0, NULL},
};

static enum reason
reason_of(enum sck_code code)
{
    switch (code) {
    case SCK_OK:            return REASON_INTERNAL;
    case SCK_E_USAGE:       return REASON_USAGE;
    case SCK_E_IO:          return REASON_IO;
    case SCK_E_AUTHENTIC:   return REASON_AUTHENTIC;
    case SCK_E_NOT_FOUND:   return REASON_NOT_FOUND;
    case SCK_E_EXISTS:      return REASON_EXISTS;
    case SCK_E_STATE:       return REASON_STATE;
    case SCK_E_CONTEXT:     return REASON_CONTEXT;
    case SCK_E_CREDENTIAL:  return REASON_CREDENTIAL;
    case SCK_E_CONNECT:     return REASON_CONNECT;
    case SCK_E_TOKEN:       return REASON_TOKEN;
    case SCK_E_BUSY:        return REASON_BUSY;
    case SCK_E_ERASED:      return REASON_ERASED;
    case SCK_E_CONFIG:      return REASON_CONFIG;
    case SCK_E_INTEGRITY:   return REASON_INTEGRITY;
    case SCK_E_DENIED:      return REASON_DENIED;
    case SCK_E_UNSUPPORTED: return REASON_UNSUPPORTED;
    case SCK_E_MEMORY:      return REASON_MEMORY;
    case SCK_E_CANCELLED:   return REASON_CANCELLED;
    case SCK_E_INTERNAL:    return REASON_INTERNAL;
    }
    return REASON_INTERNAL;
}

static void SCK_PRINTF(3, 4)
set_error(const struct sck_prov *prov, enum reason reason, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    prov->core_vset_error(prov->core, (uint32_t)reason, fmt, args);
    va_end(args);
}

void
sck_prov_raise(const struct sck_prov *prov, const struct sck_err *err, const char *file, int line, const char *func)
{
    if (prov->core_new_error == NULL || prov->core_set_error_debug == NULL || prov->core_vset_error == NULL)
        return;
    prov->core_new_error(prov->core);
    prov->core_set_error_debug(prov->core, file, line, func);
    set_error(prov, reason_of(err->code), "%s", err->message);
}
