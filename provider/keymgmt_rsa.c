/* SPDX-License-Identifier: MIT */
#include "provider/keymgmt.h"

static OSSL_FUNC_keymgmt_new_fn rsa_new;
static OSSL_FUNC_keymgmt_gen_init_fn rsa_gen_init;
static OSSL_FUNC_keymgmt_gen_settable_params_fn rsa_gen_settable;
static OSSL_FUNC_keymgmt_gettable_params_fn rsa_gettable;
static OSSL_FUNC_keymgmt_settable_params_fn rsa_settable;
static OSSL_FUNC_keymgmt_import_types_fn rsa_types;

static void *
rsa_new(void *provctx)
{
    return sck_pkey_new(provctx, SCK_KIND_RSA);
}

static void *
rsa_gen_init(void *provctx, int selection, const OSSL_PARAM params[])
{
    return sck_keymgmt_gen_begin(provctx, SCK_KIND_RSA, selection, params);
}

static const OSSL_PARAM *
rsa_gen_settable(void *genctx, void *provctx)
{
    (void)genctx;
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_size_t(OSSL_PKEY_PARAM_RSA_BITS, NULL),
        OSSL_PARAM_size_t(OSSL_PKEY_PARAM_RSA_PRIMES, NULL),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };
    return list;
}

static const OSSL_PARAM *
rsa_gettable(void *provctx)
{
    (void)provctx;
    static const OSSL_PARAM list[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_utf8_string("uri", NULL, 0),
        OSSL_PARAM_END,
    };
    return list;
}

static const OSSL_PARAM *
rsa_settable(void *provctx)
{
    (void)provctx;
    static const OSSL_PARAM list[] = {OSSL_PARAM_END};
    return list;
}

#define BN(name) OSSL_PARAM_BN(name, NULL, 0)
#define PUBLIC BN(OSSL_PKEY_PARAM_RSA_N), BN(OSSL_PKEY_PARAM_RSA_E)
#define PRIVATE                                                                                                      \
    BN(OSSL_PKEY_PARAM_RSA_D), BN(OSSL_PKEY_PARAM_RSA_FACTOR1), BN(OSSL_PKEY_PARAM_RSA_FACTOR2),                     \
        BN(OSSL_PKEY_PARAM_RSA_EXPONENT1), BN(OSSL_PKEY_PARAM_RSA_EXPONENT2), BN(OSSL_PKEY_PARAM_RSA_COEFFICIENT1)

static const OSSL_PARAM *
rsa_types(int selection)
{
    static const OSSL_PARAM public_half[] = {PUBLIC, OSSL_PARAM_END};
    static const OSSL_PARAM both[] = {PUBLIC, PRIVATE, OSSL_PARAM_END};
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0)
        return NULL;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? both : public_half;
}

const OSSL_DISPATCH sck_rsa_keymgmt[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))rsa_new},
    {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))sck_keymgmt_free},
    {OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))sck_keymgmt_load},
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))sck_keymgmt_get_params},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))rsa_gettable},
    {OSSL_FUNC_KEYMGMT_SET_PARAMS, (void (*)(void))sck_keymgmt_set_params},
    {OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, (void (*)(void))rsa_settable},
    {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))sck_keymgmt_has},
    {OSSL_FUNC_KEYMGMT_VALIDATE, (void (*)(void))sck_keymgmt_validate},
    {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))sck_keymgmt_match},
    {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))sck_keymgmt_import},
    {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))rsa_types},
    {OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void))sck_keymgmt_export},
    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))rsa_types},
    {OSSL_FUNC_KEYMGMT_DUP, (void (*)(void))sck_keymgmt_dup},
    {OSSL_FUNC_KEYMGMT_GEN_INIT, (void (*)(void))rsa_gen_init},
    {OSSL_FUNC_KEYMGMT_GEN_SET_TEMPLATE, (void (*)(void))sck_keymgmt_gen_set_template},
    {OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, (void (*)(void))sck_keymgmt_gen_set_params},
    {OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, (void (*)(void))rsa_gen_settable},
    {OSSL_FUNC_KEYMGMT_GEN, (void (*)(void))sck_keymgmt_gen},
    {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, (void (*)(void))sck_keymgmt_gen_cleanup},
    {0, NULL},
};
