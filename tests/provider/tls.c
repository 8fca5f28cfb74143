/* SPDX-License-Identifier: MIT */
#include "tests/provider/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>

static X509 *
self_signed(OSSL_LIB_CTX *ctx, const char *propq, EVP_PKEY *key, const char *md)
{
    X509 *cert = X509_new_ex(ctx, propq);
    X509_NAME *name = X509_NAME_new();
    EVP_MD_CTX *sign = EVP_MD_CTX_new();
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_set_subject_name(cert, name);
    X509_set_issuer_name(cert, name);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    bool ok = X509_set_pubkey(cert, key) == 1 && EVP_DigestSignInit_ex(sign, NULL, md, ctx, propq, key, NULL) == 1 &&
              X509_sign_ctx(cert, sign) > 0;
    X509_NAME_free(name);
    EVP_MD_CTX_free(sign);
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

static SSL *
side(SSL_CTX *ctx, int version, const char *groups)
{
    if (SSL_CTX_set_min_proto_version(ctx, version) != 1 || SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1)
        return NULL;
    return SSL_new(ctx);
}

static bool
shake(SSL *client, SSL *server)
{
    BIO *a = NULL, *b = NULL;
    if (BIO_new_bio_pair(&a, 0, &b, 0) != 1)
        return false;
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    int done_client = 0, done_server = 0;
    for (int i = 0; i < 20 && (done_client != 1 || done_server != 1); i++) {
        done_client = SSL_do_handshake(client);
        done_server = SSL_do_handshake(server);
    }
    return done_client == 1 && done_server == 1 && SSL_get_verify_result(client) == X509_V_OK;
}

bool
fx_tls(OSSL_LIB_CTX *ctx, const char *propq, EVP_PKEY *key, const char *md, int version, const char *groups)
{
    X509 *cert = self_signed(ctx, propq, key, md);
    SSL_CTX *sc = SSL_CTX_new_ex(ctx, propq, TLS_server_method());
    SSL_CTX *cc = SSL_CTX_new_ex(ctx, propq, TLS_client_method());
    SSL *server = NULL, *client = NULL;
    bool ok = cert != NULL && sc != NULL && cc != NULL && SSL_CTX_use_certificate(sc, cert) == 1 &&
              SSL_CTX_use_PrivateKey(sc, key) == 1 && SSL_CTX_check_private_key(sc) == 1 &&
              X509_STORE_add_cert(SSL_CTX_get_cert_store(cc), cert) == 1;
    if (ok) {
        SSL_CTX_set_verify(cc, SSL_VERIFY_PEER, NULL);
        server = side(sc, version, groups);
        client = side(cc, version, groups);
        ok = server != NULL && client != NULL && shake(client, server);
    }
    if (!ok)
        ERR_print_errors_fp(stderr);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(cc);
    SSL_CTX_free(sc);
    X509_free(cert);
    return ok;
}
