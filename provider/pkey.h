/* SPDX-License-Identifier: MIT */
/*
 * A key object of our KEYMGMT: a token key (public data from the catalog, opened in the token by its first private use)
 * or a software key that OpenSSL handed to us (an EVP_PKEY of our own library context does everything for it).
 */
#ifndef SCK_PROVIDER_PKEY_H
#define SCK_PROVIDER_PKEY_H

#include "provider/provider.h"

/* What is made at first use, by whichever thread comes first. */
struct sck_pkey_lazy {
    _Atomic(EVP_PKEY *) evp;            /* software key, or public half of a token key */
    _Atomic(struct sck_ukey *) ukey;
};

struct sck_pkey {
    struct sck_prov *prov;
    atomic_int refs;
    enum sck_kind kind;
    int selection;                      /* OSSL_KEYMGMT_SELECT_ bits that are there */
    struct sck_key_info *info;          /* token keys; NULL for software keys */
    struct sck_pkey_lazy *lazy;
};

/* A software key without contents.  NULL when out of memory. */
struct sck_pkey *sck_pkey_new(struct sck_prov *prov, enum sck_kind kind);
/* A token key; `with_private` false makes an object that only verifies. */
struct sck_pkey *sck_pkey_new_token(struct sck_prov *prov, const struct sck_key_info *info, bool with_private);
struct sck_pkey *sck_pkey_ref(struct sck_pkey *key);
void sck_pkey_unref(struct sck_pkey *key);
static inline bool
sck_pkey_is_token(const struct sck_pkey *key)
{
    return key->info != NULL;
}

/* The EVP_PKEY in our own context: borrowed; NULL when there is none or it cannot be read (then raised). */
EVP_PKEY *sck_pkey_evp(const struct sck_pkey *key);
/* Open the key in the token; borrowed for the life of `key`.  SCK_E_STATE for a public-only object. */
SCK_MUST_CHECK enum sck_code sck_pkey_open(const struct sck_pkey *key, struct sck_ukey **out, struct sck_err *err);
/* The URI of a token key, with its version. */
void sck_pkey_uri(const struct sck_pkey *key, struct sck_buf *out);

#endif
