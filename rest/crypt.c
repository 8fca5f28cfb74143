/* SPDX-License-Identifier: MIT */
#include "rest/crypt.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#define CIPHER_NAME "SCOPEKEY-AES-256-GCM"
#define PROVIDER_REASONS 100
#define URI_MAX (SCK_LABEL_MAX + 64)

struct sck_crypt {
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *provider;
    EVP_CIPHER *cipher;
};

enum sck_code
sck_crypt_new(const char *conf_path, struct sck_crypt **out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    const char *dir = secure_getenv("OPENSSL_MODULES");
    if (dir == NULL)
        dir = SCK_MODULESDIR;
    struct sck_crypt *crypt = calloc(1, sizeof *crypt);
    /* The one way to hand the provider a setting without an openssl.cnf. */
    if (crypt == NULL || setenv("SCOPEKEY_CONF", conf_path, 1) != 0) {
        rc = sck_fail(err, SCK_E_MEMORY, "no memory for the provider");
        goto out;
    }
    crypt->libctx = OSSL_LIB_CTX_new();
    if (crypt->libctx != NULL && OSSL_PROVIDER_set_default_search_path(crypt->libctx, dir) == 1)
        crypt->provider = OSSL_PROVIDER_load(crypt->libctx, "scopekey");
    if (crypt->provider != NULL)
        crypt->cipher = EVP_CIPHER_fetch(crypt->libctx, CIPHER_NAME, "provider=scopekey");
    if (crypt->cipher == NULL)
        rc = sck_fail(err, SCK_E_CONFIG,
                      "cannot load OpenSSL provider scopekey with cipher " CIPHER_NAME " from %s: install it "
                      "there, or say where it is by OPENSSL_MODULES", dir);
out:
    ERR_clear_error();
    if (rc != SCK_OK)
        sck_crypt_free(&crypt);
    *out = crypt;
    return rc;
}

void
sck_crypt_free(struct sck_crypt **crypt)
{
    struct sck_crypt *c = *crypt;
    if (c == NULL)
        return;
    EVP_CIPHER_free(c->cipher);
    if (c->provider != NULL)
        (void)OSSL_PROVIDER_unload(c->provider);
    OSSL_LIB_CTX_free(c->libctx);
    free(c);
    *crypt = NULL;
}

/*
 * The first thing the provider said, as our own code.  Its reasons are our codes plus 100 (provider/error.c); an
 * empty queue is EVP's way to say that a tag did not match.
 */
static enum sck_code
provider_failure(bool opening, struct sck_err *err)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long first = ERR_peek_error();
    enum sck_code rc = SCK_E_INTERNAL;
    for (unsigned long e = first; e != 0; e = ERR_peek_error()) {
        const char *library = ERR_lib_error_string(e);
        (void)ERR_peek_error_data(&data, &flags);
        if (library != NULL && strcmp(library, "scopekey") == 0 && ERR_GET_REASON(e) > PROVIDER_REASONS &&
            ERR_GET_REASON(e) <= PROVIDER_REASONS + SCK_E_INTERNAL) {
            rc = sck_fail(err, (enum sck_code)(ERR_GET_REASON(e) - PROVIDER_REASONS), "%s",
                          (flags & ERR_TXT_STRING) != 0 && data != NULL ? data : "the provider refused");
            goto out;
        }
        (void)ERR_get_error();
    }
    if (first == 0 && opening)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "the tag does not match");
    else
        rc = sck_fail(err, SCK_E_INTERNAL, "the provider's cipher failed (OpenSSL error %lx)", first);
out:
    ERR_clear_error();
    return rc;
}

/* A cipher context for one version of a key, the AAD taken in. */
static EVP_CIPHER_CTX *
start(const struct sck_crypt *crypt, const struct sck_key_info *key, struct sck_bytes aad, const uint8_t *nonce,
      int encrypting)
{
    struct sck_uri uri = {.scope = key->scope, .version = key->version};
    struct sck_buf text;
    int n = 0;
    memcpy(uri.name, key->name, sizeof uri.name);
    sck_buf_init(&text, URI_MAX);
    sck_uri_format(&uri, &text);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool done = ctx != NULL && !text.failed && aad.len <= INT_MAX;
    if (done) {
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string("uri", (char *)(uintptr_t)sck_buf_str(&text), 0),
            OSSL_PARAM_construct_end(),
        };
        done = EVP_CipherInit_ex2(ctx, crypt->cipher, NULL, nonce, encrypting, params) == 1 &&
               EVP_CipherUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1;
    }
    sck_buf_clear(&text);
    if (!done) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

enum sck_code
sck_crypt_seal(struct sck_crypt *crypt, const struct sck_key_info *key, struct sck_bytes aad,
               const struct sck_secret *plain, uint8_t nonce[SCK_GCM_NONCE_LEN], struct sck_buf *out,
               struct sck_err *err)
{
    int n = 0;
    int last = 0;
    ERR_clear_error();
    uint8_t *at = plain->len <= INT_MAX ? sck_buf_grow(out, plain->len + SCK_GCM_TAG_LEN) : NULL;
    if (at == NULL)
        return sck_fail(err, SCK_E_MEMORY, "no memory for a ciphertext");
    EVP_CIPHER_CTX *ctx = start(crypt, key, aad, NULL, 1);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, at + plain->len, SCK_GCM_TAG_LEN),
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_UPDATED_IV, nonce, SCK_GCM_NONCE_LEN),
        OSSL_PARAM_construct_end(),
    };
    bool done = ctx != NULL && EVP_CipherUpdate(ctx, at, &n, plain->data, (int)plain->len) == 1 &&
                EVP_CipherFinal_ex(ctx, at + n, &last) == 1 && (size_t)n + (size_t)last == plain->len &&
                EVP_CIPHER_CTX_get_params(ctx, params) == 1;
    enum sck_code rc = done ? SCK_OK : provider_failure(false, err);
    EVP_CIPHER_CTX_free(ctx);
    return rc;
}

enum sck_code
sck_crypt_open(struct sck_crypt *crypt, const struct sck_key_info *key, struct sck_bytes aad,
               const uint8_t nonce[SCK_GCM_NONCE_LEN], struct sck_bytes sealed, struct sck_secret **plain,
               struct sck_err *err)
{
    int n = 0;
    int last = 0;
    size_t len = sealed.len - SCK_GCM_TAG_LEN;
    struct sck_secret *opened = NULL;
    ERR_clear_error();
    if (len > INT_MAX)
        return sck_fail(err, SCK_E_USAGE, "the ciphertext is too long");
    enum sck_code rc = sck_secret_new(len, &opened, err);
    if (rc != SCK_OK)
        return rc;
    uint8_t tag[SCK_GCM_TAG_LEN];
    memcpy(tag, sealed.data + len, sizeof tag);
    EVP_CIPHER_CTX *ctx = start(crypt, key, aad, nonce, 0);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, sizeof tag),
        OSSL_PARAM_construct_end(),
    };
    bool done = ctx != NULL && EVP_CIPHER_CTX_set_params(ctx, params) == 1 &&
                EVP_CipherUpdate(ctx, opened->data, &n, sealed.data, (int)len) == 1 &&
                EVP_CipherFinal_ex(ctx, opened->data + n, &last) == 1 && (size_t)n + (size_t)last == len;
    if (done) {
        *plain = opened;
        opened = NULL;
    } else {
        rc = provider_failure(true, err);
    }
    EVP_CIPHER_CTX_free(ctx);
    sck_secret_free(&opened);
    return rc;
}
