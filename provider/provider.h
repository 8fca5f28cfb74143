/* SPDX-License-Identifier: MIT */
/*
 * What the files of the OpenSSL provider share.  One file per operation, as provider(7) names them; everything behind a
 * key goes to lib/service.  Names follow OpenSSL where OpenSSL calls, and sck_ where we call ourselves.
 */
#ifndef SCK_PROVIDER_PROVIDER_H
#define SCK_PROVIDER_PROVIDER_H

#include "lib/service/service.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdatomic.h>

#define SCK_PROPERTIES "provider=scopekey"
#define SCK_KEYMGMT_DISPATCH_MAX 32

/* The kinds of asymmetric keys; the index into per-kind tables. */
enum sck_kind { SCK_KIND_RSA, SCK_KIND_EC, SCK_KIND_ED25519, SCK_KIND_COUNT };

struct sck_kind_info {
    const char *name;           /* the name libcrypto and libssl look for, "EC" */
    const char *names;          /* all names, as OSSL_ALGORITHM wants them */
    const char *description;
    int nid;                    /* of the key's algorithm in X.509 */
    const char *private_param;  /* OSSL_PARAM that holds the private half of a software key */
    const char *public_param;
    const char *signature;      /* our operation */
    const char *exchange;       /* whose operation agrees with software keys; NULL: the kind's own name */
    const OSSL_DISPATCH *keymgmt;
};
const struct sck_kind_info *sck_kind_info(enum sck_kind kind);
/* The kind of an asymmetric algorithm. */
enum sck_kind sck_kind_of_alg(enum sck_alg alg);

/* One loaded provider: one per OSSL_LIB_CTX of the application. */
struct sck_prov {
    const OSSL_CORE_HANDLE *core;
    OSSL_FUNC_core_get_params_fn *core_get_params;
    OSSL_FUNC_core_get_libctx_fn *core_get_libctx;
    OSSL_FUNC_core_new_error_fn *core_new_error;
    OSSL_FUNC_core_set_error_debug_fn *core_set_error_debug;
    OSSL_FUNC_core_vset_error_fn *core_vset_error;
    OSSL_FUNC_BIO_write_ex_fn *bio_write_ex;
    char *conf_path;            /* `config` of the openssl.cnf section, or NULL */
    char *scopes;               /* `scopes` of the section, or NULL */
    _Atomic(struct sck_service *) service;
    OSSL_LIB_CTX *app_ctx;      /* NULL is the default context */
    bool can_prime;             /* app_ctx is really an OSSL_LIB_CTX of the libcrypto we call */
    atomic_bool primed;         /* default's key managers were cached before ours were first shown */
    atomic_bool listed;         /* ours are in the application's method store */
    int slot;                   /* of prime.c, or -1 */
    OSSL_DISPATCH keymgmt_dispatch[SCK_KIND_COUNT][SCK_KEYMGMT_DISPATCH_MAX];
    OSSL_ALGORITHM keymgmt[SCK_KIND_COUNT + 1];
};

/* ---- open.c: the service behind ---- */

/* The service, opened (configuration read) by the first call.  Borrowed. */
SCK_MUST_CHECK enum sck_code sck_prov_service(struct sck_prov *prov, struct sck_service **out, struct sck_err *err);

/*
 * Between these two nothing that a token module does to OpenSSL's error queue stays there (SoftHSM looks for engines
 * and leaves the failures behind).  Raise our own error after the second.
 */
void sck_queue_keep(void);
void sck_queue_restore(void);

/* Who may be asked for the PIN while a store loads.  Set for the calling thread; nests. */
struct sck_asker {
    OSSL_PASSPHRASE_CALLBACK *fn;   /* or NULL */
    void *arg;
    const char *pin_source;         /* of the URI; "" none */
};
const struct sck_asker *sck_asker_set(const struct sck_asker *asker);
/* True when the configuration names no PIN source, so that only the application can give one. */
bool sck_prov_must_ask(struct sck_service *service);

/* ---- error.c ---- */

/* Put `err` on the application's error queue: our reason string, and the message as its data. */
void sck_prov_raise(const struct sck_prov *prov, const struct sck_err *err, const char *file, int line,
                    const char *func);
#define SCK_RAISE(prov, err) sck_prov_raise((prov), (err), OPENSSL_FILE, OPENSSL_LINE, OPENSSL_FUNC)
extern const OSSL_ITEM sck_reason_strings[];

/* ---- prime.c: software keys stay with the provider they belong to ---- */

/* Fill prov->keymgmt, take a slot, find out whether the context may be used. */
void sck_prime_init(struct sck_prov *prov);
void sck_prime_clear(struct sck_prov *prov);
/* What a KEYMGMT query answers; NULL with *no_cache = 1 inside our own fetch. */
const OSSL_ALGORITHM *sck_prime_query(struct sck_prov *prov, int *no_cache);
/* To be called before a key of ours is handed to libcrypto. */
void sck_prime_kind(struct sck_prov *prov, enum sck_kind kind);

/* ---- capability.c ---- */
OSSL_FUNC_provider_get_capabilities_fn sck_get_capabilities;

/* ---- operations ---- */
extern const OSSL_DISPATCH sck_store_dispatch[];
extern const OSSL_DISPATCH sck_rsa_keymgmt[];
extern const OSSL_DISPATCH sck_ec_keymgmt[];
extern const OSSL_DISPATCH sck_ed25519_keymgmt[];
extern const OSSL_DISPATCH sck_rsa_signature[];
extern const OSSL_DISPATCH sck_ecdsa_signature[];
extern const OSSL_DISPATCH sck_eddsa_signature[];
extern const OSSL_DISPATCH sck_gcm_cipher[];
extern const OSSL_DISPATCH sck_spki_der_encoder[];
extern const OSSL_DISPATCH sck_spki_pem_encoder[];
extern const OSSL_DISPATCH sck_text_encoder[];

/* Drop the const that some OpenSSL functions forgot in their prototypes; they do not write. */
static inline OSSL_PARAM *
sck_params_for_openssl(const OSSL_PARAM *params)
{
    union {
        const OSSL_PARAM *in;
        OSSL_PARAM *out;
    } u = {.in = params};
    return u.out;
}

#endif
