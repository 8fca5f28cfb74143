/* SPDX-License-Identifier: MIT */
/*
 * Signs standard input with a scoped key through OpenSSL, and writes the signature to standard output:
 *   cc sign.c -lcrypto -o sign && ./sign scopekey:subject/alice/tls <message >message.sig
 * Nothing here is Scopekey's own but the provider's name and the URI.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <stdio.h>

static EVP_PKEY *
load(const char *uri)
{
    EVP_PKEY *key = NULL;
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    if (store == NULL || OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) != 1)
        return NULL;
    OSSL_STORE_INFO *info = OSSL_STORE_load(store);
    if (info != NULL)
        key = OSSL_STORE_INFO_get1_PKEY(info);
    OSSL_STORE_INFO_free(info);
    (void)OSSL_STORE_close(store);
    return key;
}

int
main(int argc, char **argv)
{
    static unsigned char message[65536], sig[1024];
    size_t sig_len = sizeof sig;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int ok = argc == 2 && OSSL_PROVIDER_load(NULL, "default") != NULL && OSSL_PROVIDER_load(NULL, "scopekey") != NULL;
    EVP_PKEY *key = ok ? load(argv[1]) : NULL;
    size_t len = fread(message, 1, sizeof message, stdin);
    ok = key != NULL && EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
         EVP_DigestSign(md, sig, &sig_len, message, len) == 1 && fwrite(sig, 1, sig_len, stdout) == sig_len;
    if (!ok)
        ERR_print_errors_fp(stderr);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return ok ? 0 : 1;
}
