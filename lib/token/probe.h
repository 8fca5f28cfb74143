/* SPDX-License-Identifier: MIT */
/* What a token really does, found by trying; nothing of it is kept on disk. */
#ifndef SCK_TOKEN_PROBE_H
#define SCK_TOKEN_PROBE_H

#include "lib/token/own.h"

/*
 * The mechanism that is RFC 5649 here (CKM_AES_KEY_WRAP_KWP or CKM_AES_KEY_WRAP_PAD): a known key wrapped by a known
 * one opens in software.  0 when there is none.
 */
CK_RV sck_probe_wrap(struct sck_use *use, CK_MECHANISM_TYPE *out);
/* Whether keys of `maker` can be generated extractable, wrapped by `mechanism`, and unwrapped again. */
CK_RV sck_probe_family(struct sck_use *use, CK_MECHANISM_TYPE mechanism, const struct sck_maker *maker,
                       const struct sck_kind *kind, bool *out);
/* Whether RSA-OAEP with SHA-256 is accepted (asked of a public key object). */
CK_RV sck_probe_oaep_sha256(struct sck_use *use, bool *out);

#endif
