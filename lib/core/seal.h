/* SPDX-License-Identifier: MIT */
/* Short seals: key-committing AES-256-GCM for short data under a one-use DEK.  Pure; randomness is passed in. */
#ifndef SCK_CORE_SEAL_H
#define SCK_CORE_SEAL_H

#include "lib/core/dek.h"

#define SCK_SEAL_OVERHEAD (2 + 32 + 32 + 16)    /* version, suite, salt, commitment, tag */
#define SCK_SEAL_MAX (1024U * 1024U)            /* bytes of plaintext */
#define SCK_SEAL_SALT_LEN 32

/*
 * Append version ‖ suite ‖ salt ‖ commit ‖ ciphertext ‖ tag.  `aad` is the canonical context of the DEK.
 * Version and suite are 01 01.  SCK_E_USAGE: no data, or over SCK_SEAL_MAX; a DEK that has not 32 bytes.
 */
SCK_MUST_CHECK enum sck_code sck_seal(const struct sck_secret *dek, const uint8_t salt[SCK_SEAL_SALT_LEN],
                                      const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t plain_len,
                                      struct sck_buf *out, struct sck_err *err);
/* Open into a new secret.  SCK_E_AUTHENTIC: altered, cut, or of another DEK or context; *plain is then NULL. */
SCK_MUST_CHECK enum sck_code sck_seal_open(const struct sck_secret *dek, const uint8_t *aad, size_t aad_len,
                                           const uint8_t *sealed, size_t sealed_len, struct sck_secret **plain,
                                           struct sck_err *err);

#endif
