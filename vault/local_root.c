/* SPDX-License-Identifier: MIT */
#include "vault/local_root.h"

#include "lib/core/uuid.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

enum { LOG2_N_DEFAULT = 17, R_DEFAULT = 8, P_DEFAULT = 1, AAD_MAX = 512 };

static enum sck_code
put_bind(const struct sck_local_bind *bind, struct sck_buf *aad, struct sck_err *err)
{
    sck_buf_put_str(aad, "local/v1");
    sck_buf_put_u8(aad, (uint8_t)bind->kind);
    sck_buf_put(aad, bind->id, 16);
    sck_buf_put_u32(aad, bind->generation);
    sck_buf_put_u32(aad, bind->version);
    sck_buf_put_str(aad, bind->name);
    return sck_buf_check(aad, "the name of a local key", err);
}

enum sck_code
sck_local_seal(const struct sck_secret *root, const struct sck_local_bind *bind, const struct sck_secret *key,
               uint8_t out[SCK_LOCAL_SEALED_LEN], struct sck_err *err)
{
    struct sck_buf aad;
    sck_buf_init(&aad, AAD_MAX);
    enum sck_code rc = put_bind(bind, &aad, err);
    if (rc == SCK_OK)
        rc = sck_random(out, SCK_GCM_NONCE_LEN, err);
    if (rc == SCK_OK)
        rc = sck_gcm_seal(root->data, out, aad.data, aad.len, key->data, SCK_LOCAL_KEY_LEN, out + SCK_GCM_NONCE_LEN, err);
    sck_buf_clear(&aad);
    return rc;
}

enum sck_code
sck_local_unseal(const struct sck_secret *root, const struct sck_local_bind *bind,
                 const uint8_t sealed[SCK_LOCAL_SEALED_LEN], struct sck_secret **key, struct sck_err *err)
{
    struct sck_buf aad;
    sck_buf_init(&aad, AAD_MAX);
    *key = NULL;
    enum sck_code rc = put_bind(bind, &aad, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_LOCAL_KEY_LEN, key, err);
    if (rc == SCK_OK)
        rc = sck_gcm_open(root->data, sealed, aad.data, aad.len, sealed + SCK_GCM_NONCE_LEN,
                          SCK_LOCAL_SEALED_LEN - SCK_GCM_NONCE_LEN, (*key)->data, err);
    if (rc != SCK_OK)
        sck_secret_free(key);
    sck_buf_clear(&aad);
    return rc;
}

static enum sck_code
scrypt(const struct sck_local_head *head, const struct sck_secret *passphrase, struct sck_secret *out,
       struct sck_err *err)
{
    uint64_t n = UINT64_C(1) << head->log2_n, maxmem = n * head->r * 128 + (UINT64_C(64) << 20);
    uint32_t r = head->r, p = head->p;
    uint8_t salt[32];
    memcpy(salt, head->salt, sizeof salt);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, passphrase->data, passphrase->len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof salt),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &maxmem),
        OSSL_PARAM_construct_end(),
    };
    ERR_set_mark();
    EVP_KDF *kdf = EVP_KDF_fetch(sck_libctx(), "SCRYPT", NULL);
    EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out->data, SCK_LOCAL_KEY_LEN, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    ERR_pop_to_mark();
    if (!ok)
        return sck_fail(err, SCK_E_MEMORY, "keeper local: scrypt needs %llu MiB of memory for the passphrase",
                        (unsigned long long)(maxmem >> 20));
    return SCK_OK;
}

/* The key over the root: "local-root/v1" ‖ id ‖ salt under the token's HMAC key, or scrypt of the passphrase. */
static enum sck_code
over_key(const struct sck_keeper_local_conf *conf, const struct sck_local_head *head, bool confirm,
         struct sck_secret **out, struct sck_err *err)
{
    struct sck_secret *passphrase = NULL;
    struct sck_buf input;
    enum sck_code rc = sck_secret_new(SCK_LOCAL_KEY_LEN, out, err);
    if (rc != SCK_OK)
        return rc;
    if (head->root == SCK_LOCAL_BY_TOKEN) {
        sck_buf_init(&input, 128);
        sck_buf_put_str(&input, "local-root/v1");
        sck_buf_put(&input, head->id, sizeof head->id);
        sck_buf_put(&input, head->salt, sizeof head->salt);
        rc = sck_buf_check(&input, "the root's label", err);
        if (rc == SCK_OK)
            rc = conf->hmac(conf->hmac_arg, input.data, input.len, (*out)->data, err);
        sck_buf_clear(&input);
    } else {
        rc = conf->passphrase(conf->passphrase_arg, confirm, &passphrase, err);
        if (rc == SCK_OK)
            rc = scrypt(head, passphrase, *out, err);
        sck_secret_free(&passphrase);
    }
    if (rc != SCK_OK)
        sck_secret_free(out);
    return rc;
}

static struct sck_local_bind
bind_root(const struct sck_local_head *head)
{
    return (struct sck_local_bind){head->id, SCK_LOCAL_ROOT, "", 0, 1};
}

enum sck_code
sck_local_root_make(const struct sck_keeper_local_conf *conf, int64_t now_s, struct sck_local_head *head,
                    struct sck_secret **root, struct sck_err *err)
{
    uint8_t random[SCK_UUID_RANDOM];
    struct sck_secret *over = NULL;
    *root = NULL;
    *head = (struct sck_local_head){.root = conf->root, .created_s = now_s};
    if (conf->root == SCK_LOCAL_BY_PASSPHRASE) {
        head->log2_n = conf->scrypt_log2_n != 0 ? conf->scrypt_log2_n : LOG2_N_DEFAULT;
        head->r = R_DEFAULT;
        head->p = P_DEFAULT;
    }
    enum sck_code rc = sck_random(random, sizeof random, err);
    if (rc == SCK_OK)
        rc = sck_random(head->salt, sizeof head->salt, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_LOCAL_KEY_LEN, root, err);
    if (rc == SCK_OK)
        rc = sck_random((*root)->data, SCK_LOCAL_KEY_LEN, err);
    if (rc == SCK_OK) {
        sck_uuid7(now_s * 1000, random, head->id);
        rc = over_key(conf, head, true, &over, err);
    }
    if (rc == SCK_OK) {
        struct sck_local_bind bind = bind_root(head);
        rc = sck_local_seal(over, &bind, *root, head->sealed, err);
    }
    sck_secret_free(&over);
    if (rc != SCK_OK)
        sck_secret_free(root);
    return rc;
}

enum sck_code
sck_local_root_open(const struct sck_keeper_local_conf *conf, const struct sck_local_head *head,
                    struct sck_secret **root, struct sck_err *err)
{
    struct sck_secret *over = NULL;
    struct sck_local_bind bind = bind_root(head);
    struct sck_err why = SCK_ERR_INIT;
    *root = NULL;
    if (head->root != conf->root)
        return sck_fail(err, SCK_E_CONFIG, "keeper local: the file's root is held by a %s: set [keeper local] root to that",
                        head->root == SCK_LOCAL_BY_TOKEN ? "token" : "passphrase");
    enum sck_code rc = over_key(conf, head, false, &over, err);
    if (rc != SCK_OK)
        return rc;
    rc = sck_local_unseal(over, &bind, head->sealed, root, &why);
    sck_secret_free(&over);
    if (rc == SCK_E_AUTHENTIC && head->root == SCK_LOCAL_BY_PASSPHRASE)
        return sck_fail(err, SCK_E_CREDENTIAL, "keeper local: this is not the store's passphrase");
    if (rc == SCK_E_AUTHENTIC)
        return sck_fail(err, SCK_E_INTEGRITY, "keeper local: the store's root was altered, or belongs to another token");
    return rc == SCK_OK ? rc : sck_fail(err, rc, "%s", why.message);
}
