/* SPDX-License-Identifier: MIT */
/* Inside the token room: making keys in a session. */
#ifndef SCK_TOKEN_MAKE_H
#define SCK_TOKEN_MAKE_H

#include "lib/token/mech.h"
#include "lib/token/session.h"

enum { SCK_BLOB_MAX = 4096 };

/* Wrap `key` by `master` and append the blob to `out`. */
CK_RV sck_wrap(struct sck_use *use, CK_OBJECT_HANDLE master, CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE key,
               struct sck_buf *out);
/*
 * Generate by `maker`: a secret key (*public stays CK_INVALID_HANDLE), or a pair; `public_t` may be NULL for secrets.
 */
CK_RV sck_generate(struct sck_use *use, const struct sck_maker *maker, struct sck_template *public_t,
                   struct sck_template *private_t, CK_OBJECT_HANDLE *public, CK_OBJECT_HANDLE *private);
/* Append the SPKI of a public key object. */
CK_RV sck_read_spki(struct sck_use *use, const struct sck_maker *maker, CK_KEY_TYPE type, CK_OBJECT_HANDLE public,
                    struct sck_buf *spki);

#endif
