/* SPDX-License-Identifier: MIT */
/*
 * What a client shows to Entra ID in the place of a secret: a JWT (RFC 7519) signed with the key of a certificate that
 * is registered there (RFC 7523 section 2.2; Microsoft identity platform, "Certificate credentials").
 */
#ifndef SCK_VAULT_AZURE_ASSERTION_H
#define SCK_VAULT_AZURE_ASSERTION_H

#include "lib/base/crypto.h"

#define SCK_ASSERTION_LIFE_S 300
#define SCK_ASSERTION_INPUT_MAX 2048

/*
 * The signing input, base64url(header) ‖ '.' ‖ base64url(claims), and a NUL.  `thumbprint` is the SHA-256 of the
 * certificate's DER; `audience` the token endpoint's URL; `jti` any text that was never used before.  All texts are
 * free of quotes and backslashes.  Pure.  SCK_E_USAGE when it does not fit.
 */
SCK_MUST_CHECK enum sck_code sck_assertion_input(const uint8_t thumbprint[SCK_SHA256_LEN], const char *client_id,
                                                 const char *audience, const char *jti, int64_t now_s,
                                                 char out[SCK_ASSERTION_INPUT_MAX], struct sck_err *err);
/*
 * A new assertion of `client_id` for `audience`: the certificate and its RSA key (not encrypted, mode 0600) are read
 * from PEM files.  SCK_E_CONFIG when a file is missing, readable by others, or not of the other.
 */
SCK_MUST_CHECK enum sck_code sck_assertion_make(const char *cert_path, const char *key_path, const char *client_id,
                                                const char *audience, int64_t now_s, struct sck_secret **out,
                                                struct sck_err *err);

#endif
