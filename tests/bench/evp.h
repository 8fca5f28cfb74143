/* SPDX-License-Identifier: MIT */
/* Keys seen through OpenSSL, and a signer that does nothing: what EVP itself costs. */
#ifndef TESTS_BENCH_EVP_H
#define TESTS_BENCH_EVP_H

#include "tests/bench/bench.h"

#include <openssl/evp.h>

/* A context of OpenSSL with default and our provider, on the set-up in `dir`. */
OSSL_LIB_CTX *bench_evp_context(const char *dir);
/* One with default and the provider that does nothing. */
OSSL_LIB_CTX *bench_evp_null_context(void);
/* Load a private key by its URI, through OSSL_STORE. */
EVP_PKEY *bench_evp_load(OSSL_LIB_CTX *ctx, const char *uri);
/* A key of the signer that does nothing, in such a context. */
EVP_PKEY *bench_evp_null_key(OSSL_LIB_CTX *ctx);
/* One EVP_DigestSign of a 32-byte message in a fresh context; `digest` NULL: the algorithm's own. */
void bench_evp_sign(OSSL_LIB_CTX *ctx, EVP_PKEY *key, const char *digest);

#endif
