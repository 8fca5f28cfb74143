/* SPDX-License-Identifier: MIT */
/* A set-up with keys, made by a child process, and the provider loaded as applications load it. */
#ifndef TESTS_PROVIDER_FIXTURE_H
#define TESTS_PROVIDER_FIXTURE_H

#include "lib/service/service.h"
#include "tests/lib/expect.h"

#include <openssl/evp.h>
#include <openssl/provider.h>

/* Keys: alice/{tls,p384,rsa,dec,ed,data,iv,cmac}, bob/tls. */
int fx_start(void **state);
int fx_stop(void **state);

/* Run `fn` with a service of the set-up in a child process and expect success. */
void fx_child(enum sck_code (*fn)(struct sck_service *service, struct sck_err *err));

/* An application's context with our provider and default. */
struct fx_app {
    OSSL_LIB_CTX *ctx;
    OSSL_PROVIDER *providers[2];
};
/* A context of the application's own; ours first or second. */
void fx_app_new(struct fx_app *app, bool ours_first);
/* In the default context. */
void fx_app_default(struct fx_app *app, bool ours_first);
void fx_app_free(struct fx_app *app);

/* Load one key; NULL with errors queued. */
EVP_PKEY *fx_try_load(OSSL_LIB_CTX *ctx, const char *uri);
EVP_PKEY *fx_load(OSSL_LIB_CTX *ctx, const char *uri);
/* The public half as a software key of `ctx`. */
EVP_PKEY *fx_public(OSSL_LIB_CTX *ctx, EVP_PKEY *key);

/* Digest-sign `len` bytes; true when that works and `pub` verifies it.  `md` NULL for Ed25519. */
bool fx_sign_and_verify(OSSL_LIB_CTX *ctx, EVP_PKEY *key, EVP_PKEY *pub, const char *md, size_t len);

/* The last queued error is ours, with this reason and this message; empties the queue. */
void fx_expect_error(const char *reason, const char *message);
/* The queue is empty. */
void fx_expect_no_error(void);

#endif
