/* SPDX-License-Identifier: MIT */
/* The key URI.  Pure.  ABNF and refusals: man/scopekey-uri.7. */
#ifndef SCK_CORE_URI_H
#define SCK_CORE_URI_H

#include "lib/core/scope.h"

#include <stdint.h>

#define SCK_KEY_NAME_MAX 64
#define SCK_PIN_SOURCE_MAX 1023
#define SCK_LABEL_MAX (SCK_SCOPE_TEXT_MAX + 1 + SCK_KEY_NAME_MAX)  /* "scope/name" */

enum sck_uri_type { SCK_TYPE_NONE = 0, SCK_TYPE_PRIVATE, SCK_TYPE_PUBLIC, SCK_TYPE_CERT, SCK_TYPE_SECRET };

struct sck_uri {
    struct sck_scope scope;
    char name[SCK_KEY_NAME_MAX + 1];    /* "" when the URI names a whole scope */
    uint32_t version;                   /* 0 when not given; versions start at 1 */
    enum sck_uri_type type;             /* SCK_TYPE_NONE when not given */
    char pin_source[SCK_PIN_SOURCE_MAX + 1]; /* decoded, "" when not given */
};

/*
 * Parse `scopekey:` path [?query].  The scheme is compared without case (RFC 3986 section 3.1), all else exactly.
 * SCK_E_USAGE names the part that is wrong: unknown, repeated or empty attributes, ";", ".." segments,
 * encoded unreserved bytes, lower-case hex, control characters, ids over 255 bytes.
 */
SCK_MUST_CHECK enum sck_code sck_uri_parse(const char *text, size_t text_len, struct sck_uri *out,
                                           struct sck_err *err);
/* Append the one spelling of a URI: scheme, path, and the given attributes in the order version, type, pin-source. */
void sck_uri_format(const struct sck_uri *uri, struct sck_buf *out);
/* True when `text` starts with the scheme `scopekey:` in any case. */
bool sck_uri_has_scheme(const char *text);

/* True for [A-Za-z0-9][A-Za-z0-9._-]{0,63}. */
bool sck_key_name_is_valid(const char *name, size_t len);

/* CKA_LABEL: the URI's path without the scheme, "subject/alice/tls". */
void sck_label_format(const struct sck_scope *scope, const char *name, struct sck_buf *out);
/* Parse a label that names a key (scope and name).  SCK_E_USAGE when it is none. */
SCK_MUST_CHECK enum sck_code sck_label_parse(const char *text, size_t text_len, struct sck_scope *scope,
                                             char name[SCK_KEY_NAME_MAX + 1], struct sck_err *err);

#endif
