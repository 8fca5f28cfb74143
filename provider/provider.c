/* SPDX-License-Identifier: MIT */
/* Entry point and the provider's own functions: provider-base(7). */
#include "provider/provider.h"

#include <stdlib.h>
#include <string.h>

OPENSSL_EXPORT OSSL_provider_init_fn OSSL_provider_init;

static OSSL_FUNC_provider_teardown_fn teardown;
static OSSL_FUNC_provider_gettable_params_fn gettable_params;
static OSSL_FUNC_provider_get_params_fn get_params;
static OSSL_FUNC_provider_query_operation_fn query_operation;
static OSSL_FUNC_provider_get_reason_strings_fn get_reason_strings;

static const OSSL_ALGORITHM stores[] = {
    {"scopekey", SCK_PROPERTIES, sck_store_dispatch, "Scopekey key URIs"},
    {NULL, NULL, NULL, NULL},
};

/* Private names: an application that asks for ECDSA must get default's. */
static const OSSL_ALGORITHM signatures[] = {
    {"SCOPEKEY-RSA", SCK_PROPERTIES, sck_rsa_signature, "RSA signatures by Scopekey"},
    {"SCOPEKEY-ECDSA", SCK_PROPERTIES, sck_ecdsa_signature, "ECDSA by Scopekey"},
    {"SCOPEKEY-EDDSA", SCK_PROPERTIES, sck_eddsa_signature, "Ed25519 by Scopekey"},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM ciphers[] = {
    {"SCOPEKEY-AES-256-GCM", SCK_PROPERTIES, sck_gcm_cipher, "AES-256-GCM by Scopekey"},
    {NULL, NULL, NULL, NULL},
};

#define SPKI_DER SCK_PROPERTIES ",output=der,structure=SubjectPublicKeyInfo"
#define SPKI_PEM SCK_PROPERTIES ",output=pem,structure=SubjectPublicKeyInfo"
#define TEXT SCK_PROPERTIES ",output=text"

static const OSSL_ALGORITHM encoders[] = {
    {"RSA", SPKI_DER, sck_spki_der_encoder, "public key of a Scopekey RSA key"},
    {"RSA", SPKI_PEM, sck_spki_pem_encoder, "public key of a Scopekey RSA key"},
    {"RSA", TEXT, sck_text_encoder, "description of a Scopekey RSA key"},
    {"EC", SPKI_DER, sck_spki_der_encoder, "public key of a Scopekey EC key"},
    {"EC", SPKI_PEM, sck_spki_pem_encoder, "public key of a Scopekey EC key"},
    {"EC", TEXT, sck_text_encoder, "description of a Scopekey EC key"},
    {"ED25519", SPKI_DER, sck_spki_der_encoder, "public key of a Scopekey Ed25519 key"},
    {"ED25519", SPKI_PEM, sck_spki_pem_encoder, "public key of a Scopekey Ed25519 key"},
    {"ED25519", TEXT, sck_text_encoder, "description of a Scopekey Ed25519 key"},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *
query_operation(void *provctx, int operation_id, int *no_cache)
{
    *no_cache = 0;
    switch (operation_id) {
    case OSSL_OP_STORE:     return stores;
    case OSSL_OP_KEYMGMT:   return sck_prime_query(provctx, no_cache);
    case OSSL_OP_SIGNATURE: return signatures;
    case OSSL_OP_CIPHER:    return ciphers;
    case OSSL_OP_ENCODER:   return encoders;
    default:                return NULL;
    }
}

static const OSSL_PARAM *
gettable_params(void *provctx)
{
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, NULL, 0),
        OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
        OSSL_PARAM_END,
    };
    return list;
}

static int
get_params(void *provctx, OSSL_PARAM params[])
{
    (void)provctx;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
    if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, "Scopekey provider"))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
    if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, PACKAGE_VERSION))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_BUILDINFO);
    if (p != NULL && !OSSL_PARAM_set_utf8_ptr(p, PACKAGE_STRING " for " OPENSSL_VERSION_TEXT))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
    return p == NULL || OSSL_PARAM_set_int(p, 1);
}

static const OSSL_ITEM *
get_reason_strings(void *provctx)
{
    (void)provctx;
    return sck_reason_strings;
}

static void
teardown(void *provctx)
{
    struct sck_prov *prov = provctx;
    sck_prime_clear(prov);
    struct sck_service *service = atomic_load(&prov->service);
    sck_service_close(&service);
    free(prov->conf_path);
    free(prov->scopes);
    free(prov);
}

static const OSSL_DISPATCH provider_dispatch[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query_operation},
    {OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))get_reason_strings},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))sck_get_capabilities},
    {0, NULL},
};

static void
take_core(struct sck_prov *prov, const OSSL_DISPATCH *in)
{
    for (; in->function_id != 0; in++) {
        switch (in->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:      prov->core_get_params = OSSL_FUNC_core_get_params(in); break;
        case OSSL_FUNC_CORE_GET_LIBCTX:      prov->core_get_libctx = OSSL_FUNC_core_get_libctx(in); break;
        case OSSL_FUNC_CORE_NEW_ERROR:       prov->core_new_error = OSSL_FUNC_core_new_error(in); break;
        case OSSL_FUNC_CORE_SET_ERROR_DEBUG: prov->core_set_error_debug = OSSL_FUNC_core_set_error_debug(in); break;
        case OSSL_FUNC_CORE_VSET_ERROR:      prov->core_vset_error = OSSL_FUNC_core_vset_error(in); break;
        case OSSL_FUNC_BIO_WRITE_EX:         prov->bio_write_ex = OSSL_FUNC_BIO_write_ex(in); break;
        default:                             break;
        }
    }
}

/* Keys of our openssl.cnf section; only copied here, read when the first key is used. */
static bool
take_section(struct sck_prov *prov)
{
    char *conf_path = NULL, *scopes = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_ptr("config", &conf_path, 0),
        OSSL_PARAM_construct_utf8_ptr("scopes", &scopes, 0),
        OSSL_PARAM_construct_end(),
    };
    if (prov->core_get_params == NULL || !prov->core_get_params(prov->core, params))
        return true;
    if (conf_path != NULL && (prov->conf_path = strdup(conf_path)) == NULL)
        return false;
    return scopes == NULL || (prov->scopes = strdup(scopes)) != NULL;
}

int
OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                   void **provctx)
{
    struct sck_prov *prov = calloc(1, sizeof *prov);
    if (prov == NULL)
        return 0;
    prov->core = handle;
    prov->slot = -1;
    take_core(prov, in);
    if (!take_section(prov)) {
        free(prov->conf_path);
        free(prov);
        return 0;
    }
    sck_prime_init(prov);
    *provctx = prov;
    *out = provider_dispatch;
    return 1;
}
