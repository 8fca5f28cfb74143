/* SPDX-License-Identifier: MIT */
/*
 * Public halves as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), DER or PEM, and a description as text: for
 * applications that load no other provider.  Private halves are never written.
 */
#include "provider/pkey.h"

#include "lib/base/crypto.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static OSSL_FUNC_encoder_newctx_fn newctx;
static OSSL_FUNC_encoder_freectx_fn freectx;
static OSSL_FUNC_encoder_does_selection_fn spki_does_selection;
static OSSL_FUNC_encoder_does_selection_fn text_does_selection;
static OSSL_FUNC_encoder_encode_fn encode_der;
static OSSL_FUNC_encoder_encode_fn encode_pem;
static OSSL_FUNC_encoder_encode_fn encode_text;

static void *
newctx(void *provctx)
{
    return provctx;
}

static void
freectx(void *ctx)
{
    (void)ctx;
}

static int
spki_does_selection(void *provctx, int selection)
{
    (void)provctx;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 && (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0;
}

static int
text_does_selection(void *provctx, int selection)
{
    (void)provctx;
    return (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
}

/* The core's BIO is no BIO of ours: what was made in memory is handed over in one piece. */
static int
hand_over(struct sck_prov *prov, BIO *mem, OSSL_CORE_BIO *out)
{
    char *data = NULL;
    long len = BIO_get_mem_data(mem, &data);
    size_t written = 0;
    return prov->bio_write_ex != NULL && len > 0 && prov->bio_write_ex(out, data, (size_t)len, &written) &&
           written == (size_t)len;
}

static int
encode(struct sck_prov *prov, OSSL_CORE_BIO *out, const void *obj_raw, const OSSL_PARAM *obj_abstract,
       int (*put)(BIO *mem, EVP_PKEY *evp))
{
    const struct sck_pkey *key = obj_raw;
    if (obj_abstract != NULL || key == NULL)
        return 0;
    EVP_PKEY *evp = sck_pkey_evp(key);
    BIO *mem = BIO_new(BIO_s_mem());
    int ok = evp != NULL && mem != NULL && put(mem, evp) && hand_over(prov, mem, out);
    BIO_free(mem);
    return ok;
}

static int
put_der(BIO *mem, EVP_PKEY *evp)
{
    return i2d_PUBKEY_bio(mem, evp) == 1;
}

static int
put_pem(BIO *mem, EVP_PKEY *evp)
{
    return PEM_write_bio_PUBKEY(mem, evp) == 1;
}

static int
put_public_text(BIO *mem, EVP_PKEY *evp)
{
    return EVP_PKEY_print_public(mem, evp, 0, NULL) == 1;
}

static int
put_private_text(BIO *mem, EVP_PKEY *evp)
{
    return EVP_PKEY_print_private(mem, evp, 0, NULL) == 1;
}

static int
encode_der(void *ctx, OSSL_CORE_BIO *out, const void *obj_raw, const OSSL_PARAM obj_abstract[], int selection,
           OSSL_PASSPHRASE_CALLBACK *cb, void *cbarg)
{
    (void)selection;
    (void)cb;
    (void)cbarg;
    return encode(ctx, out, obj_raw, obj_abstract, put_der);
}

static int
encode_pem(void *ctx, OSSL_CORE_BIO *out, const void *obj_raw, const OSSL_PARAM obj_abstract[], int selection,
           OSSL_PASSPHRASE_CALLBACK *cb, void *cbarg)
{
    (void)selection;
    (void)cb;
    (void)cbarg;
    return encode(ctx, out, obj_raw, obj_abstract, put_pem);
}

static int
put_heading(struct sck_prov *prov, OSSL_CORE_BIO *out, const struct sck_pkey *key)
{
    struct sck_buf text;
    size_t written = 0;
    sck_buf_init(&text, 4096);
    sck_buf_put_str(&text, "Scopekey private key, in the token: ");
    sck_pkey_uri(key, &text);
    sck_buf_put_u8(&text, '\n');
    int ok = !text.failed && prov->bio_write_ex != NULL && prov->bio_write_ex(out, text.data, text.len, &written);
    sck_buf_clear(&text);
    return ok;
}

static int
encode_text(void *ctx, OSSL_CORE_BIO *out, const void *obj_raw, const OSSL_PARAM obj_abstract[], int selection,
            OSSL_PASSPHRASE_CALLBACK *cb, void *cbarg)
{
    (void)cb;
    (void)cbarg;
    const struct sck_pkey *key = obj_raw;
    bool is_private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
    if (key != NULL && sck_pkey_is_token(key) && is_private && !put_heading(ctx, out, key))
        return 0;
    bool show_private = is_private && key != NULL && !sck_pkey_is_token(key);
    return encode(ctx, out, obj_raw, obj_abstract, show_private ? put_private_text : put_public_text);
}

const OSSL_DISPATCH sck_spki_der_encoder[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))freectx},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))spki_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encode_der},
    {0, NULL},
};

const OSSL_DISPATCH sck_spki_pem_encoder[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))freectx},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))spki_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encode_pem},
    {0, NULL},
};

const OSSL_DISPATCH sck_text_encoder[] = {
    {OSSL_FUNC_ENCODER_NEWCTX, (void (*)(void))newctx},
    {OSSL_FUNC_ENCODER_FREECTX, (void (*)(void))freectx},
    {OSSL_FUNC_ENCODER_DOES_SELECTION, (void (*)(void))text_does_selection},
    {OSSL_FUNC_ENCODER_ENCODE, (void (*)(void))encode_text},
    {0, NULL},
};
