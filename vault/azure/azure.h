/* SPDX-License-Identifier: MIT */
/*
 * Keeper `azure` as its parts see it: Azure Key Vault or Managed HSM, keys API 7.4.  A KEK is a key of the vault; its
 * version number counts the key's versions in the order in which they were made, and a wrapped DEK names the version
 * itself.  Wrapping by RSA happens here, with the public half; everything else is asked of the vault.
 */
#ifndef SCK_VAULT_AZURE_AZURE_H
#define SCK_VAULT_AZURE_AZURE_H

#include "vault/azure/login.h"
#include "vault/azure/status.h"
#include "vault/azure/wire.h"

#include <openssl/types.h>

#define SCK_AZURE_API "api-version=7.4"
#define SCK_AZURE_VERSIONS_MAX 4096
#define SCK_AZURE_CACHED_MAX 1024
#define SCK_AZURE_CACHED_S 600

/* A KEK's newest version that may be used. */
struct sck_azure_key {
    char version[SCK_AZURE_VERSION_LEN + 1];
    uint32_t number;
    EVP_PKEY *public;               /* NULL for oct-HSM */
};

struct sck_azure_cached {
    struct sck_azure_cached *next;
    char name[128];
    struct sck_azure_key key;
    int64_t until_us;               /* monotonic */
};

struct sck_azure_pool;

struct sck_azure {
    struct sck_keeper base;
    struct sck_http *http;          /* NULL when the exchange is a test's */
    struct sck_remote vault, authority, identities;
    struct sck_azure_issuer issuer;
    struct sck_azure_login data, admin_login;
    struct sck_azure_login *admin;  /* &data when there is no other */
    const char *key_type;
    int64_t key_bits;
    bool purge;
    int64_t delete_wait_ms;
    enum sck_code (*mac)(void *arg, const void *data, size_t len, uint8_t out[SCK_SHA256_LEN], struct sck_err *err);
    void *mac_arg;
    struct sck_azure_pool *pool;    /* of the asynchronous side */

    struct sck_forklock lock;       /* everything below, for moments */
    struct sck_azure_cached *cached;
    size_t cached_count;
    char resource[SCK_URL_MAX];     /* of tokens, once the vault's challenge was checked, or "" */
    bool warned_retention;
};

static inline struct sck_azure *
sck_azure_of(struct sck_keeper *keeper)
{
    return (struct sck_azure *)(void *)keeper;
}

/* Where the vault is, for messages. */
static inline const char *
sck_azure_url(const struct sck_azure *a)
{
    return a->vault.nodes[0];
}

/* ---- ask.c: one request ---- */
struct sck_azure_ask {
    enum sck_azure_op op;
    const char *method;
    const char *path;               /* behind the vault's URL, with its query; legal by construction */
    const char *kek;                /* or NULL */
    struct sck_azure_login *login;  /* or NULL: without a token */
    const struct sck_secret *body;  /* JSON, or NULL */
    int64_t deadline_us;            /* monotonic; 0: the keeper's own */
    bool once;
};
/*
 * SCK_OK: there is a verdict in call->answer.row, good or bad.  Otherwise it could not be asked: no token, SCK_E_MEMORY.
 * Release it with sck_call_clear() in any case.
 */
SCK_MUST_CHECK enum sck_code sck_azure_send(struct sck_azure *a, const struct sck_azure_ask *ask,
                                            struct sck_call *call, struct sck_err *err);
/* The same, and a bad verdict is an error but for `but` (SCK_SAYS_OK: none). */
SCK_MUST_CHECK enum sck_code sck_azure_expect(struct sck_azure *a, const struct sck_azure_ask *ask,
                                              enum sck_verdict but, struct sck_call *call, struct sck_err *err);
/* A name that is legal here and at Azure.  SCK_E_USAGE. */
SCK_MUST_CHECK enum sck_code sck_azure_check_name(const char *name, struct sck_err *err);
/* sck_azure_issuer.resource: asks the vault without a token, once. */
enum sck_code sck_azure_resource(void *arg, int64_t deadline_us, char out[SCK_URL_MAX], struct sck_err *err);
/* Warn once when what is deleted stays recoverable for more than a month. */
void sck_azure_note_retention(struct sck_azure *a, struct sck_json attributes);

/* ---- key.c: what the vault has ---- */
struct sck_azure_version {
    char id[SCK_AZURE_VERSION_LEN + 1];
    int64_t created_s;
    bool enabled;
};
struct sck_azure_versions {
    struct sck_azure_version *list; /* in the order in which they were made; free() */
    size_t count;
};
/* All versions.  SCK_E_NOT_FOUND: no such KEK. */
SCK_MUST_CHECK enum sck_code sck_azure_versions(struct sck_azure *a, const char *name, struct sck_azure_login *login,
                                                int64_t deadline_us, struct sck_azure_versions *out,
                                                struct sck_err *err);
/* Put the current version at the end, where two that were made in one second leave that open.  SCK_E_BUSY. */
SCK_MUST_CHECK enum sck_code sck_azure_versions_settle(struct sck_azure *a, const char *name,
                                                       struct sck_azure_versions *versions, struct sck_err *err);
/* The newest version that may be used, cached; its number is at least `least`.  Release it. */
SCK_MUST_CHECK enum sck_code sck_azure_key_get(struct sck_azure *a, const char *name, uint32_t least,
                                               int64_t deadline_us, struct sck_azure_key *out, struct sck_err *err);
void sck_azure_key_release(struct sck_azure_key *key);
/* Forget a cached key, or all of them (NULL). */
void sck_azure_key_forget(struct sck_azure *a, const char *name);
/* A public key from its JWK numbers; NULL unless it is a sound RSA key of 2048 to 4096 bits.  Pure but for OpenSSL. */
EVP_PKEY *sck_azure_public_key(const char *n, size_t n_len, const char *e, size_t e_len);

/* ---- the keeper's functions ---- */
enum sck_code sck_azure_create(struct sck_keeper *keeper, const char *name, uint32_t generation,
                               struct sck_kek_made *made, struct sck_err *err);
enum sck_code sck_azure_rotate(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made,
                               struct sck_err *err);
enum sck_code sck_azure_newest(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version,
                               struct sck_err *err);
enum sck_code sck_azure_retire(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest,
                               struct sck_err *err);
enum sck_code sck_azure_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload,
                             struct sck_buf *blob, uint32_t *version, struct sck_err *err);
enum sck_code sck_azure_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version,
                               const uint8_t *blob, size_t blob_len, struct sck_secret **payload, struct sck_err *err);
enum sck_code sck_azure_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version,
                              const uint8_t *canary, size_t canary_len, struct sck_erase_proof *proof,
                              struct sck_err *err);
enum sck_code sck_azure_probe(struct sck_keeper *keeper, void (*report)(void *arg, const char *what, const char *cure),
                              void *arg, struct sck_err *err);
enum sck_code sck_azure_status(struct sck_keeper *keeper, struct sck_keeper_status *out, struct sck_err *err);
/* Wrap and unwrap with a deadline (monotonic; 0: the keeper's own). */
SCK_MUST_CHECK enum sck_code sck_azure_make_blob(struct sck_azure *a, const struct sck_kek *kek,
                                                 const struct sck_secret *payload, int64_t deadline_us,
                                                 struct sck_buf *blob, uint32_t *version, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_azure_open_blob(struct sck_azure *a, const char *name, uint32_t version,
                                                 struct sck_bytes blob, int64_t deadline_us,
                                                 struct sck_secret **payload, struct sck_err *err);
/*
 * Whether the vault still opens a wrapped DEK: SCK_SAYS_OK, or the verdict that says why not; anything that says nothing
 * about the key is an error.
 */
SCK_MUST_CHECK enum sck_code sck_azure_try(struct sck_azure *a, const char *name, const uint8_t *blob,
                                           size_t blob_len, enum sck_verdict *verdict, struct sck_err *err);

#endif
