/* SPDX-License-Identifier: MIT */
#include "provider/signature_rsa.h"

#include "lib/base/crypto.h"
#include "lib/base/text.h"

#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

static const struct {
    int id;
    const char *name;
} paddings[] = {
    {RSA_PKCS1_PADDING, OSSL_PKEY_RSA_PAD_MODE_PKCSV15},
    {RSA_PKCS1_PSS_PADDING, OSSL_PKEY_RSA_PAD_MODE_PSS},
    {RSA_NO_PADDING, OSSL_PKEY_RSA_PAD_MODE_NONE},
};

static const struct {
    int len;
    const char *name;
} salts[] = {
    {RSA_PSS_SALTLEN_DIGEST, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST},
    {RSA_PSS_SALTLEN_MAX, OSSL_PKEY_RSA_PSS_SALT_LEN_MAX},
    {RSA_PSS_SALTLEN_AUTO, OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO},
    {SCK_SALT_DEFAULT, "auto-digestmax"},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

bool
sck_rsa_digest_info(int md_nid, struct sck_bytes digest, struct sck_buf *out)
{
    X509_SIG *info = X509_SIG_new();
    X509_ALGOR *alg = NULL;
    ASN1_OCTET_STRING *value = NULL;
    unsigned char *der = NULL;
    int len = 0;
    if (info != NULL && md_nid != NID_undef) {
        X509_SIG_getm(info, &alg, &value);
        if (X509_ALGOR_set0(alg, OBJ_nid2obj(md_nid), V_ASN1_NULL, NULL) == 1 &&
            ASN1_OCTET_STRING_set(value, digest.data, (int)digest.len) == 1)
            len = i2d_X509_SIG(info, &der);
    }
    if (len > 0)
        sck_buf_put(out, der, (size_t)len);
    OPENSSL_free(der);
    X509_SIG_free(info);
    return len > 0 && !out->failed;
}

long
sck_rsa_salt_for_signing(const struct sck_sig *sig, size_t digest_len)
{
    EVP_PKEY *evp = sck_pkey_evp(sig->key);
    int bits = evp != NULL ? EVP_PKEY_get_bits(evp) : 0;
    long max = ((long)bits - 1 + 7) / 8 - (long)digest_len - 2;
    long want = sig->salt_len;
    if (want == RSA_PSS_SALTLEN_DIGEST)
        want = (long)digest_len;
    else if (want == RSA_PSS_SALTLEN_MAX || want == RSA_PSS_SALTLEN_AUTO)
        want = max;
    else if (want == SCK_SALT_DEFAULT)
        want = max < (long)digest_len ? max : (long)digest_len;
    if (want >= 0 && want <= max)
        return want;
    (void)sck_sig_refuse(sig, SCK_E_USAGE, "the PSS salt does not fit into this key: use a shorter salt or digest");
    return -1;
}

EVP_PKEY_CTX *
sck_rsa_evp(const struct sck_sig *sig, int operation)
{
    EVP_PKEY_CTX *ctx = sck_sig_evp(sig, operation);
    if (ctx == NULL)
        return NULL;
    int salt = sig->salt_len;
    /* 3.0 does not know it, and for it "auto" verifies the same signatures. */
    if (salt == SCK_SALT_DEFAULT)
        salt = operation == EVP_PKEY_OP_SIGN ? RSA_PSS_SALTLEN_DIGEST : RSA_PSS_SALTLEN_AUTO;
    bool ok = EVP_PKEY_CTX_set_rsa_padding(ctx, sig->padding) > 0 &&
              (sig->md == NULL || EVP_PKEY_CTX_set_signature_md(ctx, sig->md) > 0);
    if (ok && sig->padding == RSA_PKCS1_PSS_PADDING)
        ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) > 0 &&
             (sig->mgf1_md == NULL || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, sig->mgf1_md) > 0);
    if (ok)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

/* RSASSA-PSS-params, RFC 4055 section 3.1: what has its default value is left out. */
static bool
set_pss_algorithm(X509_ALGOR *alg, const EVP_MD *md, const EVP_MD *mgf1, long salt)
{
    RSA_PSS_PARAMS *pss = RSA_PSS_PARAMS_new();
    X509_ALGOR *mask_hash = X509_ALGOR_new();
    ASN1_STRING *text = NULL, *mask_text = NULL;
    bool ok = pss != NULL && mask_hash != NULL;
    if (ok && EVP_MD_get_type(md) != NID_sha1) {
        pss->hashAlgorithm = X509_ALGOR_new();
        ok = pss->hashAlgorithm != NULL;
        if (ok)
            X509_ALGOR_set_md(pss->hashAlgorithm, md);
    }
    if (ok && EVP_MD_get_type(mgf1) != NID_sha1) {
        X509_ALGOR_set_md(mask_hash, mgf1);
        pss->maskGenAlgorithm = X509_ALGOR_new();
        ok = pss->maskGenAlgorithm != NULL &&
             ASN1_item_pack(mask_hash, ASN1_ITEM_rptr(X509_ALGOR), &mask_text) != NULL &&
             X509_ALGOR_set0(pss->maskGenAlgorithm, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, mask_text) == 1;
        if (ok)
            mask_text = NULL;
    }
    if (ok && salt != 20) {
        pss->saltLength = ASN1_INTEGER_new();
        ok = pss->saltLength != NULL && ASN1_INTEGER_set(pss->saltLength, salt) == 1;
    }
    ok = ok && ASN1_item_pack(pss, ASN1_ITEM_rptr(RSA_PSS_PARAMS), &text) != NULL &&
         X509_ALGOR_set0(alg, OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, text) == 1;
    if (!ok)
        ASN1_STRING_free(text);
    ASN1_STRING_free(mask_text);
    X509_ALGOR_free(mask_hash);
    RSA_PSS_PARAMS_free(pss);
    return ok;
}

static bool
put_algorithm_id(struct sck_sig *sig, OSSL_PARAM *p)
{
    int nid = NID_undef;
    X509_ALGOR *alg = X509_ALGOR_new();
    bool ok = alg != NULL && sig->md != NULL;
    if (ok && sig->padding == RSA_PKCS1_PSS_PADDING) {
        long salt = sck_rsa_salt_for_signing(sig, (size_t)EVP_MD_get_size(sig->md));
        ok = salt >= 0 && set_pss_algorithm(alg, sig->md, sig->mgf1_md != NULL ? sig->mgf1_md : sig->md, salt);
    } else if (ok) {
        /* RFC 4055 section 5: the parameters are NULL. */
        ok = OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(sig->md), EVP_PKEY_RSA) == 1 &&
             X509_ALGOR_set0(alg, OBJ_nid2obj(nid), V_ASN1_NULL, NULL) == 1;
    }
    ok = ok && sck_sig_put_algorithm_id(p, alg);
    X509_ALGOR_free(alg);
    return ok;
}

static bool
get_padding(const struct sck_sig *sig, OSSL_PARAM *p)
{
    if (p->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_set_int(p, sig->padding) != 0;
    for (size_t i = 0; i < COUNT(paddings); i++)
        if (paddings[i].id == sig->padding)
            return OSSL_PARAM_set_utf8_string(p, paddings[i].name) != 0;
    return false;
}

static bool
get_salt(const struct sck_sig *sig, OSSL_PARAM *p)
{
    char number[16];
    const char *name = number;
    if (p->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_set_int(p, sig->salt_len) != 0;
    (void)snprintf(number, sizeof number, "%d", sig->salt_len);
    for (size_t i = 0; i < COUNT(salts); i++)
        if (salts[i].len == sig->salt_len)
            name = salts[i].name;
    return OSSL_PARAM_set_utf8_string(p, name) != 0;
}

int
sck_rsa_get_ctx_params(void *ctx, OSSL_PARAM params[])
{
    struct sck_sig *sig = ctx;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);
    if (p != NULL && !put_algorithm_id(sig, p))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    if (p != NULL && !get_padding(sig, p))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
    if (p != NULL && !get_salt(sig, p))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
    if (p != NULL) {
        const EVP_MD *md = sig->mgf1_md != NULL ? sig->mgf1_md : sig->md;
        if (!OSSL_PARAM_set_utf8_string(p, md != NULL ? EVP_MD_get0_name(md) : ""))
            return 0;
    }
    return sck_sig_get_common(sig, params);
}

const OSSL_PARAM *
sck_rsa_gettable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_size_t(OSSL_SIGNATURE_PARAM_DIGEST_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };
    return list;
}

static bool
set_padding(struct sck_sig *sig, const OSSL_PARAM *p)
{
    int id = 0;
    const char *name = NULL;
    if (p->data_type == OSSL_PARAM_UTF8_STRING) {
        if (!OSSL_PARAM_get_utf8_string_ptr(p, &name))
            return false;
    } else if (!OSSL_PARAM_get_int(p, &id)) {
        return false;
    }
    for (size_t i = 0; i < COUNT(paddings); i++) {
        if (name != NULL ? strcmp(name, paddings[i].name) != 0 : id != paddings[i].id)
            continue;
        sig->padding = paddings[i].id;
        return true;
    }
    return sck_sig_refuse(sig, SCK_E_UNSUPPORTED, "unknown padding: pkcs1, pss and none are there");
}

static bool
set_salt(struct sck_sig *sig, const OSSL_PARAM *p)
{
    int len = 0;
    if (p->data_type == OSSL_PARAM_UTF8_STRING) {
        const char *text = NULL;
        uint64_t number = 0;
        if (!OSSL_PARAM_get_utf8_string_ptr(p, &text))
            return false;
        for (size_t i = 0; i < COUNT(salts); i++)
            if (strcmp(text, salts[i].name) == 0)
                len = salts[i].len;
        if (len == 0 && !sck_u64_parse(text, strlen(text), 4096, &number))
            return sck_sig_refuse(sig, SCK_E_USAGE, "unknown PSS salt length");
        if (len == 0)
            len = (int)number;
    } else if (!OSSL_PARAM_get_int(p, &len)) {
        return false;
    }
    if (len < SCK_SALT_DEFAULT)
        return sck_sig_refuse(sig, SCK_E_USAGE, "unknown PSS salt length");
    sig->salt_len = len;
    return true;
}

static bool
set_mgf1(struct sck_sig *sig, const OSSL_PARAM *p)
{
    const char *name = NULL;
    if (!OSSL_PARAM_get_utf8_string_ptr(p, &name))
        return false;
    EVP_MD *md = EVP_MD_fetch(sck_libctx(), name, NULL);
    if (md == NULL)
        return sck_sig_refuse(sig, SCK_E_UNSUPPORTED, "unknown digest for MGF1");
    EVP_MD_free(sig->mgf1_md);
    sig->mgf1_md = md;
    return true;
}

int
sck_rsa_set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
    struct sck_sig *sig = ctx;
    if (params == NULL)
        return 1;
    if (!sck_sig_set_common(sig, params))
        return 0;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    if (p != NULL && !set_padding(sig, p))
        return 0;
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
    if (p != NULL && !set_salt(sig, p))
        return 0;
    p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
    return p == NULL || set_mgf1(sig, p);
}

const OSSL_PARAM *
sck_rsa_settable_ctx_params(void *ctx, void *provctx)
{
    (void)ctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };
    return list;
}
