/* SPDX-License-Identifier: MIT */
/* Scopes: whom a key belongs to.  Pure.  Grammar: man/scopekey-uri.7. */
#ifndef SCK_CORE_SCOPE_H
#define SCK_CORE_SCOPE_H

#include "lib/base/bytes.h"

#define SCK_SCOPE_ID_MAX 255  /* bytes of UTF-8 */
#define SCK_SCOPE_TEXT_MAX (8 + 3 * SCK_SCOPE_ID_MAX)  /* "subject/" and an id of which every byte is escaped */

enum sck_scope_kind {
    SCK_SCOPE_SUBJECT = 1,  /* a person */
    SCK_SCOPE_FILE,         /* a file; the id is a UUID in text form */
    SCK_SCOPE_CLIENT,       /* an API client */
    SCK_SCOPE_SYSTEM        /* Scopekey's own; the id is a key name */
};

/* Compared byte for byte; nothing is normalised. */
struct sck_scope {
    enum sck_scope_kind kind;
    size_t id_len;                      /* 1 to SCK_SCOPE_ID_MAX */
    char id[SCK_SCOPE_ID_MAX + 1];      /* decoded, NUL behind it, no NUL inside, zero-filled */
};

/*
 * Make a scope from a decoded id.  SCK_E_USAGE when it is empty, longer than 255 bytes, no clean UTF-8
 * (control characters included), "." or "..", for kind file no lower-case UUID, for kind system no key name.
 */
SCK_MUST_CHECK enum sck_code sck_scope_make(enum sck_scope_kind kind, const char *id, size_t id_len,
                                            struct sck_scope *out, struct sck_err *err);
/* Parse "kind/percent-encoded-id", the one spelling that sck_scope_format() writes.  SCK_E_USAGE. */
SCK_MUST_CHECK enum sck_code sck_scope_parse(const char *text, size_t text_len, struct sck_scope *out,
                                             struct sck_err *err);
/* Append "kind/percent-encoded-id". */
void sck_scope_format(const struct sck_scope *scope, struct sck_buf *out);
/* The same as a C string in `out`. */
void sck_scope_text(const struct sck_scope *scope, char out[SCK_SCOPE_TEXT_MAX + 1]);
bool sck_scope_equal(const struct sck_scope *a, const struct sck_scope *b);
/* "subject", "file", "client" or "system"; "unknown" for anything else. */
const char *sck_scope_kind_name(enum sck_scope_kind kind);
/* 0 when unknown. */
enum sck_scope_kind sck_scope_kind_by_name(const char *name, size_t len);

/*
 * Patterns of scopes, separated by commas and spaces: each is a scope's text, or a kind, a slash and a star for
 * every scope of that kind.  The empty list allows nothing; NULL allows everything.
 */
bool sck_scope_is_allowed(const struct sck_scope *scope, const char *patterns);
/* SCK_E_CONFIG names the first malformed pattern. */
SCK_MUST_CHECK enum sck_code sck_scope_patterns_check(const char *patterns, struct sck_err *err);

#endif
