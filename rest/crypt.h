/* SPDX-License-Identifier: MIT */
/*
 * The daemon's cryptography: OpenSSL's EVP with the Scopekey provider, in a library context of its own.  The provider
 * shares the service of this process (same configuration), so that it meets the keys that the handlers opened.
 */
#ifndef SCK_REST_CRYPT_H
#define SCK_REST_CRYPT_H

#include "lib/base/crypto.h"
#include "lib/service/service.h"

struct sck_crypt;

/*
 * Load the provider: from $OPENSSL_MODULES, else where it is installed.  `conf_path` is what the service was opened
 * with.  SCK_E_CONFIG when it cannot be loaded: says where it was looked for.  Call before other threads exist.
 */
SCK_MUST_CHECK enum sck_code sck_crypt_new(const char *conf_path, struct sck_crypt **out, struct sck_err *err);
void sck_crypt_free(struct sck_crypt **crypt);

/*
 * AES-256-GCM under the version of the key that `key` describes.  The nonce is the provider's (docs/formats.md) and
 * is returned.  Appends ciphertext ‖ tag.  Codes of sck_ukey_gcm_seal().
 */
SCK_MUST_CHECK enum sck_code sck_crypt_seal(struct sck_crypt *crypt, const struct sck_key_info *key,
                                            struct sck_bytes aad, const struct sck_secret *plain,
                                            uint8_t nonce[SCK_GCM_NONCE_LEN], struct sck_buf *out,
                                            struct sck_err *err);
/*
 * The opposite.  `sealed` is ciphertext ‖ tag, with at least one byte of ciphertext.  SCK_E_AUTHENTIC: nothing is
 * returned.
 */
SCK_MUST_CHECK enum sck_code sck_crypt_open(struct sck_crypt *crypt, const struct sck_key_info *key,
                                            struct sck_bytes aad, const uint8_t nonce[SCK_GCM_NONCE_LEN],
                                            struct sck_bytes sealed, struct sck_secret **plain,
                                            struct sck_err *err);

#endif
