/* SPDX-License-Identifier: MIT */
#include "pkcs11/digest.h"

#include "pkcs11/mechanism.h"
#include "pkcs11/module.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct sck_p11_digest {
    EVP_MD_CTX *md;
    size_t len; /* bytes of the result */
    bool updated;
};

void
sck_p11_digest_free(struct sck_p11_digest **digest)
{
    if (*digest == NULL)
        return;
    EVP_MD_CTX_free((*digest)->md);
    free(*digest);
    *digest = NULL;
}

static CK_RV
digest_init(struct sck_p11_session *s, const CK_MECHANISM *mechanism)
{
    if (s->digest != NULL)
        return CKR_OPERATION_ACTIVE;
    const struct sck_p11_mech *mech;
    CK_RV rv = sck_p11_mech_get(mechanism, CKF_DIGEST, &mech);
    if (rv != CKR_OK)
        return rv;
    struct sck_p11_digest *d = calloc(1, sizeof *d);
    if (d == NULL)
        return CKR_HOST_MEMORY;
    d->len = mech->md->len;
    d->md = EVP_MD_CTX_new();
    const EVP_MD *md = sck_p11_md_fetch(mech->md);
    if (d->md == NULL || md == NULL || EVP_DigestInit_ex2(d->md, md, NULL) != 1) {
        sck_p11_digest_free(&d);
        return CKR_HOST_MEMORY;
    }
    s->digest = d;
    return CKR_OK;
}

static CK_RV
update(struct sck_p11_digest *d, const unsigned char *data, unsigned long len)
{
    if ((data == NULL && len != 0) || len > SCK_P11_LEN_MAX)
        return CKR_ARGUMENTS_BAD;
    return len == 0 || EVP_DigestUpdate(d->md, data, len) == 1 ? CKR_OK : CKR_FUNCTION_FAILED;
}

/* True when the caller only asks for the length, or has too little room: the operation goes on. */
static bool
wants_length(const struct sck_p11_digest *d, const unsigned char *out, unsigned long *out_len, CK_RV *rv)
{
    unsigned long room = *out_len;
    if (out != NULL && room >= d->len)
        return false;
    *out_len = d->len;
    *rv = out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    return true;
}

static CK_RV
finish(struct sck_p11_digest *d, unsigned char *out, unsigned long *out_len)
{
    if (EVP_DigestFinal_ex(d->md, out, NULL) != 1)
        return CKR_FUNCTION_FAILED;
    *out_len = d->len;
    return CKR_OK;
}

static CK_RV
digest_update(struct sck_p11_session *s, const unsigned char *data, unsigned long len)
{
    if (s->digest == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = update(s->digest, data, len);
    s->digest->updated = true;
    if (rv != CKR_OK)
        sck_p11_digest_free(&s->digest);
    return rv;
}

static CK_RV
digest_final(struct sck_p11_session *s, unsigned char *out, unsigned long *out_len)
{
    if (s->digest == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = out_len == NULL ? CKR_ARGUMENTS_BAD : CKR_OK;
    if (rv == CKR_OK && wants_length(s->digest, out, out_len, &rv))
        return rv;
    if (rv == CKR_OK)
        rv = finish(s->digest, out, out_len);
    sck_p11_digest_free(&s->digest);
    return rv;
}

static CK_RV
digest_whole(struct sck_p11_session *s, const unsigned char *data, unsigned long len, unsigned char *out,
             unsigned long *out_len)
{
    if (s->digest == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    CK_RV rv = out_len == NULL ? CKR_ARGUMENTS_BAD : CKR_OK;
    if (rv == CKR_OK && s->digest->updated)
        rv = CKR_OPERATION_ACTIVE;
    if (rv == CKR_OK && wants_length(s->digest, out, out_len, &rv))
        return rv;
    if (rv == CKR_OK)
        rv = update(s->digest, data, len);
    if (rv == CKR_OK)
        rv = finish(s->digest, out, out_len);
    sck_p11_digest_free(&s->digest);
    return rv;
}

CK_RV
C_DigestInit(CK_SESSION_HANDLE session, struct _CK_MECHANISM *mechanism)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, digest_init(call.session, mechanism));
}

CK_RV
C_Digest(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len, unsigned char *digest,
         unsigned long *digest_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, digest_whole(call.session, data, data_len, digest, digest_len));
}

CK_RV
C_DigestUpdate(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, digest_update(call.session, part, part_len));
}

CK_RV
C_DigestFinal(CK_SESSION_HANDLE session, unsigned char *digest, unsigned long *digest_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, digest_final(call.session, digest, digest_len));
}

/* No key leaves the token, so none can be hashed here. */
CK_RV
C_DigestKey(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    (void)key;
    rv = call.session->digest != NULL ? CKR_KEY_INDIGESTIBLE : CKR_OPERATION_NOT_INITIALIZED;
    sck_p11_digest_free(&call.session->digest);
    return sck_p11_end(&call, rv);
}
