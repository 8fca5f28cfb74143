/* SPDX-License-Identifier: MIT */
#include "pkcs11/cipher.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 64 * 1024 * 1024, AAD_MAX = 1024 * 1024, PKCS1_OVERHEAD = 11, TAG_BITS = 8 * SCK_GCM_TAG_LEN };

/*
 * PKCS#11 2.40 mechanisms section 2.11.3.  Encrypting with a nonce of the caller's choice is for keys whose usage says so
 * (gcm-caller-iv): with any other, one repeated nonce would give away the authentication key.
 */
static CK_RV
gcm_get(struct sck_p11_cipher *c, const CK_MECHANISM *given, const struct sck_key_info *info)
{
    CK_GCM_PARAMS p;
    CK_RV rv = sck_p11_param_copy(given, &p, sizeof p);
    if (rv != CKR_OK)
        return rv;
    if (p.pIv == NULL || p.ulIvLen != SCK_GCM_NONCE_LEN || (p.ulIvBits != 0 && p.ulIvBits != 8 * SCK_GCM_NONCE_LEN) ||
        p.ulTagBits != TAG_BITS || p.ulAADLen > AAD_MAX || (p.pAAD == NULL && p.ulAADLen != 0) ||
        (c->encrypts && info->usage != SCK_USAGE_GCM_CALLER_IV))
        return CKR_MECHANISM_PARAM_INVALID;
    memcpy(c->nonce, p.pIv, sizeof c->nonce);
    sck_buf_put(&c->aad, p.pAAD, p.ulAADLen);
    c->min_data = c->encrypts ? 0 : SCK_GCM_TAG_LEN;
    c->max_data = MESSAGE_MAX + c->min_data;
    return c->aad.failed ? CKR_HOST_MEMORY : CKR_OK;
}

static CK_RV
rsa_get(struct sck_p11_cipher *c, const CK_MECHANISM *given, const struct sck_key_info *info)
{
    size_t overhead = PKCS1_OVERHEAD;
    c->modulus_len = sck_p11_key_bytes(info);
    if (c->mech->kind == SCK_P11_RSA_OAEP) {
        CK_RSA_PKCS_OAEP_PARAMS p;
        CK_RV rv = sck_p11_oaep_get(given, &c->oaep);
        if (rv != CKR_OK || (rv = sck_p11_param_copy(given, &p, sizeof p)) != CKR_OK)
            return rv;
        sck_buf_put(&c->aad, c->oaep.label.data, c->oaep.label.len);
        c->oaep.label = sck_buf_bytes(&c->aad);
        overhead = 2 * sck_p11_md_by_type(p.hashAlg)->len + 2;
    }
    c->min_data = c->encrypts ? 0 : c->modulus_len;
    c->max_data = c->encrypts ? c->modulus_len - overhead : c->modulus_len;
    return c->aad.failed ? CKR_HOST_MEMORY : CKR_OK;
}

CK_RV
sck_p11_cipher_new(const struct sck_p11_mech *mech, const CK_MECHANISM *given, bool encrypts,
                   const struct sck_key_info *info, struct sck_p11_cipher **out)
{
    struct sck_p11_cipher *c = calloc(1, sizeof *c);
    if (c == NULL)
        return CKR_HOST_MEMORY;
    c->mech = mech;
    c->encrypts = encrypts;
    sck_buf_init(&c->aad, AAD_MAX);
    CK_RV rv = mech->kind == SCK_P11_GCM ? gcm_get(c, given, info) : rsa_get(c, given, info);
    sck_buf_init(&c->data, c->max_data);
    if (rv == CKR_OK)
        *out = c;
    else
        sck_p11_cipher_free(&c);
    return rv;
}

void
sck_p11_cipher_free(struct sck_p11_cipher **cipher)
{
    if (*cipher == NULL)
        return;
    sck_buf_clear(&(*cipher)->aad);
    sck_buf_clear(&(*cipher)->data);
    sck_ukey_unref(&(*cipher)->key);
    EVP_PKEY_free((*cipher)->pub);
    free(*cipher);
    *cipher = NULL;
}

bool
sck_p11_cipher_is_private(const struct sck_p11_cipher *cipher)
{
    return cipher->pub == NULL;
}

/* Bytes that will come out; for RSA decryption at most. */
static size_t
out_len_for(const struct sck_p11_cipher *c, size_t in_len)
{
    if (c->mech->kind != SCK_P11_GCM)
        return c->modulus_len;
    return c->encrypts ? in_len + SCK_GCM_TAG_LEN : in_len - SCK_GCM_TAG_LEN;
}

/* How long an RSA plaintext is shows only when it is there, so there too little room is found out later. */
static bool
has_room(const struct sck_p11_cipher *c, size_t room, size_t need)
{
    return room >= need || (!c->encrypts && c->mech->kind != SCK_P11_GCM);
}

static CK_RV
bad_length(const struct sck_p11_cipher *c)
{
    return c->encrypts ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
}

static bool
overlap(struct sck_bytes in, const unsigned char *out, size_t out_len)
{
    uintptr_t a = (uintptr_t)in.data, b = (uintptr_t)out;
    return in.len != 0 && out_len != 0 && a < b + out_len && b < a + in.len;
}

static CK_RV
run(struct sck_p11_call *call, struct sck_p11_cipher *c, struct sck_bytes in, sck_p11_cipher_fn fn,
    unsigned char *out, unsigned long *out_len)
{
    size_t made = 0, need = out_len_for(c, in.len);
    struct sck_buf copy;
    sck_buf_init(&copy, c->max_data);
    if (overlap(in, out, need)) {
        sck_buf_put(&copy, in.data, in.len);
        if (copy.failed)
            return CKR_HOST_MEMORY;
        in = sck_buf_bytes(&copy);
    }
    CK_RV rv = fn(call, c, in, out, *out_len, &made);
    sck_buf_clear(&copy);
    if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL)
        *out_len = made;
    return rv;
}

CK_RV
sck_p11_cipher_run(struct sck_p11_call *call, struct sck_p11_cipher **slot, const struct sck_bytes *whole,
                   sck_p11_cipher_fn fn, unsigned char *out, unsigned long *out_len)
{
    struct sck_p11_cipher *c = *slot;
    if (c == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    struct sck_bytes in = whole != NULL ? *whole : sck_buf_bytes(&c->data);
    CK_RV rv = CKR_OK;
    if (out_len == NULL || (in.data == NULL && in.len != 0))
        rv = CKR_ARGUMENTS_BAD;
    else if (whole != NULL && c->updated)
        rv = CKR_OPERATION_ACTIVE;
    else if (in.len < c->min_data || in.len > c->max_data)
        rv = bad_length(c);
    if (rv == CKR_OK) {
        size_t need = out_len_for(c, in.len);
        if (out == NULL || !has_room(c, *out_len, need)) {
            *out_len = need;
            return out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
        }
        rv = run(call, c, in, fn, out, out_len);
        if (rv == CKR_BUFFER_TOO_SMALL)
            return rv;
    }
    sck_p11_cipher_free(slot);
    return rv;
}

CK_RV
sck_p11_cipher_update(struct sck_p11_cipher **slot, struct sck_bytes part, unsigned char *out, unsigned long *out_len)
{
    struct sck_p11_cipher *c = *slot;
    if (c == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = CKR_OK;
    if (out_len == NULL || (part.data == NULL && part.len != 0))
        rv = CKR_ARGUMENTS_BAD;
    else if (part.len > c->max_data - c->data.len)
        rv = bad_length(c);
    if (rv == CKR_OK) {
        *out_len = 0;
        /* A question for the length (PKCS#11 2.40 section 5.2) takes nothing in. */
        if (out == NULL)
            return CKR_OK;
        c->updated = true;
        sck_buf_put(&c->data, part.data, part.len);
        rv = c->data.failed ? CKR_HOST_MEMORY : CKR_OK;
    }
    if (rv != CKR_OK)
        sck_p11_cipher_free(slot);
    return rv;
}
