/* SPDX-License-Identifier: MIT */
/* A TLS handshake in memory. */
#ifndef TESTS_PROVIDER_TLS_H
#define TESTS_PROVIDER_TLS_H

#include <openssl/evp.h>
#include <stdbool.h>

/*
 * A self-signed certificate of `key`, made and verified in `ctx`, then a handshake of `version` (TLS1_2_VERSION, ...)
 * over `groups`.  Both sides use `propq` (or NULL).
 */
bool fx_tls(OSSL_LIB_CTX *ctx, const char *propq, EVP_PKEY *key, const char *md, int version, const char *groups);

#endif
