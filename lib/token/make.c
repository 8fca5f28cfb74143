/* SPDX-License-Identifier: MIT */
#include "lib/token/make.h"

#include "lib/token/der.h"
#include "lib/token/own.h"

#include <string.h>

CK_RV
sck_wrap(struct sck_use *use, CK_OBJECT_HANDLE master, CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE key,
         struct sck_buf *out)
{
    uint8_t blob[SCK_BLOB_MAX];
    CK_ULONG len = sizeof blob;
    CK_MECHANISM m = {mechanism, NULL, 0};
    CK_RV rv = SCK_P11(&use->conn, C_WrapKey, use->session, &m, master, key, blob, &len);
    if (rv == CKR_OK)
        sck_buf_put(out, blob, len);
    return rv;
}

CK_RV
sck_generate(struct sck_use *use, const struct sck_maker *maker, struct sck_template *public_t,
             struct sck_template *private_t, CK_OBJECT_HANDLE *public, CK_OBJECT_HANDLE *private)
{
    CK_MECHANISM m = {maker->generate, NULL, 0};
    *public = *private = CK_INVALID_HANDLE;
    if (public_t == NULL)
        return SCK_P11(&use->conn, C_GenerateKey, use->session, &m, private_t->at, private_t->count, private);
    return SCK_P11(&use->conn, C_GenerateKeyPair, use->session, &m, public_t->at, public_t->count, private_t->at,
                   private_t->count, public, private);
}

static CK_RV
read_rsa(struct sck_use *use, CK_OBJECT_HANDLE public, struct sck_buf *spki)
{
    uint8_t n[1024], e[16];
    CK_ATTRIBUTE at[] = {{CKA_MODULUS, n, sizeof n}, {CKA_PUBLIC_EXPONENT, e, sizeof e}};
    CK_RV rv = SCK_P11(&use->conn, C_GetAttributeValue, use->session, public, at, 2);
    if (rv == CKR_OK)
        sck_der_spki_rsa(spki, n, at[0].ulValueLen, e, at[1].ulValueLen);
    return rv;
}

CK_RV
sck_read_spki(struct sck_use *use, const struct sck_maker *maker, CK_KEY_TYPE type, CK_OBJECT_HANDLE public,
              struct sck_buf *spki)
{
    uint8_t raw[256];
    const uint8_t *point = NULL;
    if (type == CKK_RSA)
        return read_rsa(use, public, spki);
    size_t want = type == CKK_EC_EDWARDS ? 32 : 1 + 2 * ((maker->bits + 7) / 8);
    CK_ATTRIBUTE at = {CKA_EC_POINT, raw, sizeof raw};
    CK_RV rv = SCK_P11(&use->conn, C_GetAttributeValue, use->session, public, &at, 1);
    if (rv != CKR_OK)
        return rv;
    if (!sck_der_ec_point(raw, at.ulValueLen, want, &point))
        return CKR_GENERAL_ERROR;
    if (type == CKK_EC_EDWARDS)
        sck_der_spki_ed25519(spki, point);
    else
        sck_der_spki_ec(spki, maker->ec_params, maker->ec_params_len, point, want);
    return CKR_OK;
}

struct generate_args {
    const struct sck_kind *kind;
    const struct sck_maker *maker;
    struct sck_buf *blob;
    struct sck_buf *spki;
    const char *master;
    bool unsupported;
    enum sck_code rc;
    struct sck_err *err;
};

static CK_RV
generate_op(struct sck_use *use, void *arg)
{
    struct generate_args *a = arg;
    struct sck_template unborn, public_t;
    CK_OBJECT_HANDLE public = CK_INVALID_HANDLE, key = CK_INVALID_HANDLE, master = CK_INVALID_HANDLE;
    CK_MECHANISM_TYPE mechanism = 0;
    bool pair = a->kind->class == CKO_PRIVATE_KEY;
    sck_buf_reset(a->blob);
    sck_buf_reset(a->spki);
    a->rc = sck_own_get(use->token, use, a->master, CKO_SECRET_KEY, &master, &mechanism, a->err);
    if (a->rc != SCK_OK)
        return CKR_OK;
    sck_template_unborn(&unborn, a->kind);
    if (pair)
        sck_template_public(&public_t, a->maker, a->kind->key_type, false);
    CK_RV rv = sck_generate(use, a->maker, pair ? &public_t : NULL, &unborn, &public, &key);
    if (rv != CKR_OK)
        return rv;
    if (pair)
        rv = sck_read_spki(use, a->maker, a->kind->key_type, public, a->spki);
    if (rv == CKR_OK) {
        rv = sck_wrap(use, master, mechanism, key, a->blob);
        a->unsupported = rv == CKR_KEY_NOT_WRAPPABLE || rv == CKR_KEY_UNEXTRACTABLE || rv == CKR_KEY_SIZE_RANGE;
    }
    (void)SCK_P11(&use->conn, C_DestroyObject, use->session, key);
    if (pair)
        (void)SCK_P11(&use->conn, C_DestroyObject, use->session, public);
    return rv;
}

static enum sck_code
fail_unwrappable(const struct sck_token *t, const struct sck_alg_info *info, struct sck_err *err)
{
    return sck_fail(err, SCK_E_UNSUPPORTED,
                    "token %s cannot wrap %s keys: such a key can only be resident, one token object each",
                    t->conf.label, info->name);
}

enum sck_code
sck_token_generate(struct sck_token *token, enum sck_alg alg, enum sck_usage usage, struct sck_buf *blob,
                   struct sck_buf *spki, struct sck_err *err)
{
    const struct sck_alg_info *info = sck_alg_info(alg);
    const struct sck_maker *maker = sck_maker_of(alg);
    const struct sck_kind *kind = info == NULL ? NULL : sck_kind_find(usage, info->family);
    struct sck_buf fresh_blob, fresh_spki;
    char name[40];
    if (info == NULL || maker == NULL)
        return sck_fail(err, SCK_E_USAGE, "unknown key algorithm %d", (int)alg);
    if (kind == NULL)
        return sck_fail(err, SCK_E_USAGE, "a key of algorithm %s cannot have usage %s", info->name,
                        sck_usage_name(usage));
    if (!kind->is_wrapped)
        return fail_unwrappable(token, info, err);
    sck_own_master_name(kind, name);
    sck_buf_init(&fresh_blob, SCK_BLOB_MAX);
    sck_buf_init(&fresh_spki, 1024);
    struct generate_args a = {kind, maker, &fresh_blob, &fresh_spki, name, false, SCK_OK, err};
    struct sck_err local = SCK_ERR_INIT;
    a.err = &local;
    enum sck_code rc = sck_token_run(token, SCK_NEED_KEYS, false, generate_op, &a, "generating a key", &local);
    if (rc == SCK_OK)
        rc = a.rc;
    if (rc != SCK_OK && a.unsupported)
        rc = fail_unwrappable(token, info, err);
    else if (rc != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = local;
    if (rc == SCK_OK) {
        sck_buf_put(blob, fresh_blob.data, fresh_blob.len);
        if (kind->class == CKO_PRIVATE_KEY)
            sck_buf_put(spki, fresh_spki.data, fresh_spki.len);
        rc = sck_buf_check(blob, "a wrapped key", err);
    }
    sck_buf_clear(&fresh_blob);
    sck_buf_clear(&fresh_spki);
    return rc;
}
