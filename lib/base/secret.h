/* SPDX-License-Identifier: MIT */
/* Secrets as a type: locked, kept out of core dumps, wiped on free, compared in constant time, never realloc'ed. */
#ifndef SCK_BASE_SECRET_H
#define SCK_BASE_SECRET_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SCK_SECRET_MAX (1024U * 1024U)  /* bytes */

/* Secret bytes in locked memory.  `data` and `len` may be read and written; `cap` bytes are there. */
struct sck_secret {
    uint8_t *data;
    size_t len;     /* bytes in use; may be lowered */
    size_t cap;     /* bytes allocated */
};

/*
 * A new secret of `len` zero bytes (1 to SCK_SECRET_MAX), owned by the caller: sck_secret_free().
 * SCK_E_MEMORY; or, when memory cannot be locked and sck_secret_require_lock(true) was called,
 * SCK_E_CONFIG.  Otherwise one warning is logged for the process and unlocked memory is used.
 * Safe from any thread.
 */
SCK_MUST_CHECK enum sck_code sck_secret_new(size_t len, struct sck_secret **out, struct sck_err *err);
/* A new secret with a copy of `data`.  As sck_secret_new(). */
SCK_MUST_CHECK enum sck_code sck_secret_from(const void *data, size_t len, struct sck_secret **out,
                                             struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_secret_dup(const struct sck_secret *from, struct sck_secret **out,
                                            struct sck_err *err);
/* Wipe and free; sets *secret to NULL.  NULL-safe both ways. */
void sck_secret_free(struct sck_secret **secret);

/* Whether to refuse (true) or warn once (false, the default) when memory cannot be locked. */
void sck_secret_require_lock(bool require);

/* True when the `len` bytes are equal, in a time that depends on `len` alone. */
bool sck_ct_equal(const void *a, const void *b, size_t len);
/* Overwrite with zeros, not optimised away. */
void sck_wipe(void *data, size_t len);

#endif
