/* SPDX-License-Identifier: MIT */
#include "provider/pkey.h"

#include "lib/base/crypto.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

struct sck_pkey *
sck_pkey_new(struct sck_prov *prov, enum sck_kind kind)
{
    struct sck_pkey *key = calloc(1, sizeof *key);
    struct sck_pkey_lazy *lazy = calloc(1, sizeof *lazy);
    if (key == NULL || lazy == NULL) {
        free(key);
        free(lazy);
        return NULL;
    }
    key->prov = prov;
    atomic_init(&key->refs, 1);
    key->kind = kind;
    key->lazy = lazy;
    return key;
}

struct sck_pkey *
sck_pkey_new_token(struct sck_prov *prov, const struct sck_key_info *info, bool with_private)
{
    struct sck_key_info *copy = malloc(sizeof *copy);
    struct sck_pkey *key = copy != NULL ? sck_pkey_new(prov, sck_kind_of_alg(info->alg)) : NULL;
    if (key == NULL) {
        free(copy);
        return NULL;
    }
    *copy = *info;
    key->info = copy;
    key->selection = OSSL_KEYMGMT_SELECT_PUBLIC_KEY | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS;
    if (with_private)
        key->selection |= OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
    return key;
}

struct sck_pkey *
sck_pkey_ref(struct sck_pkey *key)
{
    if (key != NULL)
        atomic_fetch_add(&key->refs, 1);
    return key;
}

void
sck_pkey_unref(struct sck_pkey *key)
{
    if (key == NULL || atomic_fetch_sub(&key->refs, 1) > 1)
        return;
    EVP_PKEY_free(atomic_load(&key->lazy->evp));
    struct sck_ukey *ukey = atomic_load(&key->lazy->ukey);
    sck_ukey_unref(&ukey);
    free(key->lazy);
    free(key->info);
    free(key);
}

EVP_PKEY *
sck_pkey_evp(const struct sck_pkey *key)
{
    EVP_PKEY *evp = atomic_load_explicit(&key->lazy->evp, memory_order_acquire);
    if (evp != NULL || !sck_pkey_is_token(key))
        return evp;
    const unsigned char *p = key->info->spki;
    evp = d2i_PUBKEY_ex(NULL, &p, (long)key->info->spki_len, sck_libctx(), NULL);
    if (evp == NULL) {
        struct sck_err err = SCK_ERR_INIT;
        (void)sck_fail(&err, SCK_E_INTEGRITY, "the public key of %s cannot be read: run scopekey doctor",
                       key->info->key_id);
        SCK_RAISE(key->prov, &err);
        return NULL;
    }
    EVP_PKEY *other = NULL;
    if (!atomic_compare_exchange_strong(&key->lazy->evp, &other, evp)) {
        EVP_PKEY_free(evp);
        evp = other;
    }
    return evp;
}

enum sck_code
sck_pkey_open(const struct sck_pkey *key, struct sck_ukey **out, struct sck_err *err)
{
    if ((key->selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0)
        return sck_fail(err, SCK_E_STATE, "the key was loaded with type=public: load it without");
    struct sck_ukey *ukey = atomic_load_explicit(&key->lazy->ukey, memory_order_acquire);
    if (ukey == NULL) {
        struct sck_service *service = NULL;
        enum sck_code rc = sck_prov_service(key->prov, &service, err);
        if (rc == SCK_OK)
            rc = sck_ukey_open(service, key->info, &ukey, err);
        if (rc != SCK_OK)
            return rc;
        struct sck_ukey *other = NULL;
        if (!atomic_compare_exchange_strong(&key->lazy->ukey, &other, ukey)) {
            sck_ukey_unref(&ukey);
            ukey = other;
        }
    }
    *out = ukey;
    return SCK_OK;
}

void
sck_pkey_uri(const struct sck_pkey *key, struct sck_buf *out)
{
    struct sck_uri uri = {.scope = key->info->scope, .version = key->info->version};
    memcpy(uri.name, key->info->name, sizeof uri.name);
    sck_uri_format(&uri, out);
}
