/* SPDX-License-Identifier: MIT */
#include "vault/azure/assertion.h"

#include "lib/base/file.h"
#include "lib/base/text.h"
#include "vault/azure/wire.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

enum { CERT_FILE_MAX = 65536, SIGNATURE_MAX = 1024 };

enum sck_code
sck_assertion_input(const uint8_t thumbprint[SCK_SHA256_LEN], const char *client_id, const char *audience,
                    const char *jti, int64_t now_s, char out[SCK_ASSERTION_INPUT_MAX], struct sck_err *err)
{
    char print[SCK_B64URL_LEN(SCK_SHA256_LEN) + 1] = "", header[160], claims[1024];
    sck_b64url_encode(thumbprint, SCK_SHA256_LEN, print);
    int header_len =
        snprintf(header, sizeof header, "{\"alg\":\"PS256\",\"typ\":\"JWT\",\"x5t#S256\":\"%s\"}", print);
    int claims_len = snprintf(claims, sizeof claims,
                              "{\"aud\":\"%s\",\"exp\":%lld,\"iat\":%lld,\"iss\":\"%s\",\"jti\":\"%s\",\"nbf\":%lld,"
                              "\"sub\":\"%s\"}",
                              audience, (long long)(now_s + SCK_ASSERTION_LIFE_S), (long long)now_s, client_id, jti,
                              (long long)now_s, client_id);
    if (header_len < 0 || claims_len < 0 || (size_t)claims_len >= sizeof claims)
        return sck_fail(err, SCK_E_USAGE, "keeper azure: client_id or authority is too long for an assertion");
    size_t head = SCK_B64URL_LEN((size_t)header_len), body = SCK_B64URL_LEN((size_t)claims_len);
    sck_b64url_encode((const uint8_t *)header, (size_t)header_len, out);
    out[head] = '.';
    sck_b64url_encode((const uint8_t *)claims, (size_t)claims_len, out + head + 1);
    out[head + 1 + body] = '\0';
    return SCK_OK;
}

static enum sck_code
load_cert(const char *path, X509 **cert, struct sck_err *err)
{
    struct sck_buf pem = {0};
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_file_read(path, CERT_FILE_MAX, &pem, &why);
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc, "keeper azure: certificate_file: %s",
                        why.message);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    sck_buf_clear(&pem);
    if (*cert == NULL)
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: certificate_file %s holds no certificate in PEM", path);
    return SCK_OK;
}

/* Nobody is asked for a passphrase. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static enum sck_code
load_key(const char *path, X509 *cert, EVP_PKEY **key, struct sck_err *err)
{
    struct sck_secret *pem = NULL;
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_file_read_secret(path, "certificate_key_file", &pem, &why);
    if (rc != SCK_OK)
        return sck_fail(err, rc == SCK_E_NOT_FOUND ? SCK_E_CONFIG : rc, "keeper azure: %s", why.message);
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->len);
    *key = bio != NULL ? PEM_read_bio_PrivateKey_ex(bio, NULL, no_passphrase, NULL, sck_libctx(), NULL) : NULL;
    BIO_free(bio);
    sck_secret_free(&pem);
    if (*key == NULL || EVP_PKEY_is_a(*key, "RSA") != 1)
        return sck_fail(err, SCK_E_CONFIG,
                        "keeper azure: certificate_key_file %s holds no RSA key in PEM without a "
                        "passphrase",
                        path);
    if (X509_check_private_key(cert, *key) != 1)
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: certificate_key_file %s is not the key of certificate_file",
                        path);
    return SCK_OK;
}

/* RSASSA-PSS with SHA-256 and a salt as long as the digest (RFC 7518 section 3.5). */
static bool
sign_pss(EVP_PKEY *key, const char *input, uint8_t *sig, size_t *sig_len)
{
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestSignInit_ex(ctx, &pctx, "SHA2-256", sck_libctx(), NULL, key, NULL) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
              EVP_DigestSign(ctx, sig, sig_len, (const uint8_t *)input, strlen(input)) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static enum sck_code
finish(EVP_PKEY *key, const char *input, struct sck_secret **out, struct sck_err *err)
{
    uint8_t sig[SIGNATURE_MAX];
    size_t sig_len = sizeof sig, len = strlen(input);
    if ((size_t)EVP_PKEY_get_size(key) > sizeof sig || !sign_pss(key, input, sig, &sig_len))
        return sck_fail(err, SCK_E_CONFIG, "keeper azure: the key of certificate_key_file cannot sign");
    enum sck_code rc = sck_secret_new(len + 1 + SCK_B64URL_LEN(sig_len), out, err);
    if (rc == SCK_OK) {
        memcpy((*out)->data, input, len);
        (*out)->data[len] = '.';
        sck_b64url_encode(sig, sig_len, (char *)(*out)->data + len + 1);
    }
    return rc;
}

enum sck_code
sck_assertion_make(const char *cert_path, const char *key_path, const char *client_id, const char *audience,
                   int64_t now_s, struct sck_secret **out, struct sck_err *err)
{
    uint8_t print[SCK_SHA256_LEN], id[16];
    char input[SCK_ASSERTION_INPUT_MAX], jti[33];
    unsigned print_len = 0;
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    *out = NULL;
    ERR_set_mark();
    enum sck_code rc = load_cert(cert_path, &cert, err);
    if (rc == SCK_OK)
        rc = load_key(key_path, cert, &key, err);
    if (rc == SCK_OK && (X509_digest(cert, sck_md_sha256(), print, &print_len) != 1 || print_len != sizeof print))
        rc = sck_fail(err, SCK_E_INTERNAL, "keeper azure: the certificate cannot be hashed");
    if (rc == SCK_OK)
        rc = sck_random(id, sizeof id, err);
    if (rc == SCK_OK) {
        sck_hex_format(id, sizeof id, jti);
        rc = sck_assertion_input(print, client_id, audience, jti, now_s, input, err);
    }
    if (rc == SCK_OK)
        rc = finish(key, input, out, err);
    ERR_pop_to_mark();
    EVP_PKEY_free(key);
    X509_free(cert);
    return rc;
}
