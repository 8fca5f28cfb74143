/* SPDX-License-Identifier: MIT */
/*
 * Software keys must survive a visit here (an application with the property query ?provider=scopekey gets our key
 * managers for its own keys too), so everything that is no token key is done by an EVP_PKEY of our own context.
 */
#include "provider/keymgmt.h"

#include "lib/base/crypto.h"

#include <openssl/err.h>
#include <stdlib.h>

void
sck_keymgmt_free(void *keydata)
{
    sck_pkey_unref(keydata);
}

/* The store hands a pointer to its pointer: what is taken is cleared. */
void *
sck_keymgmt_load(const void *reference, size_t reference_sz)
{
    struct sck_pkey **key = NULL;
    if (reference_sz != sizeof key)
        return NULL;
    union {
        const void *in;
        struct sck_pkey **out;
    } u = {.in = reference};
    key = u.out;
    struct sck_pkey *taken = *key;
    *key = NULL;
    return taken;
}

int
sck_keymgmt_get_params(void *keydata, OSSL_PARAM params[])
{
    const struct sck_pkey *key = keydata;
    EVP_PKEY *evp = sck_pkey_evp(key);
    if (evp != NULL && !EVP_PKEY_get_params(evp, params))
        return 0;
    OSSL_PARAM *p = OSSL_PARAM_locate(params, "uri");
    if (p == NULL || !sck_pkey_is_token(key))
        return evp != NULL;
    struct sck_buf uri;
    sck_buf_init(&uri, 4096);
    sck_pkey_uri(key, &uri);
    int ok = !uri.failed && OSSL_PARAM_set_utf8_string(p, sck_buf_str(&uri));
    sck_buf_clear(&uri);
    return ok && evp != NULL;
}

int
sck_keymgmt_set_params(void *keydata, const OSSL_PARAM params[])
{
    struct sck_pkey *key = keydata;
    if (sck_pkey_is_token(key))
        return OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY) == NULL;
    EVP_PKEY *evp = sck_pkey_evp(key);
    if (evp == NULL || !EVP_PKEY_set_params(evp, sck_params_for_openssl(params)))
        return 0;
    if (OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY) != NULL)
        key->selection |= OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
    return 1;
}

/* Only elliptic curves have parameters that can be missing. */
static int
relevant(const struct sck_pkey *key, int selection)
{
    int bits = OSSL_KEYMGMT_SELECT_KEYPAIR;
    if (key->kind == SCK_KIND_EC)
        bits |= OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS;
    return selection & bits;
}

int
sck_keymgmt_has(const void *keydata, int selection)
{
    const struct sck_pkey *key = keydata;
    return key != NULL && (key->selection & relevant(key, selection)) == relevant(key, selection);
}

int
sck_keymgmt_validate(const void *keydata, int selection, int checktype)
{
    const struct sck_pkey *key = keydata;
    EVP_PKEY *evp = sck_pkey_evp(key);
    if (evp == NULL || !sck_keymgmt_has(key, selection))
        return 0;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(sck_libctx(), evp, NULL);
    bool quick = checktype == OSSL_KEYMGMT_VALIDATE_QUICK_CHECK;
    int ok = ctx != NULL;
    if (ok && (selection & OSSL_KEYMGMT_SELECT_ALL_PARAMETERS) != 0 && key->kind == SCK_KIND_EC)
        ok = quick ? EVP_PKEY_param_check_quick(ctx) == 1 : EVP_PKEY_param_check(ctx) == 1;
    if (ok && (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0)
        ok = quick ? EVP_PKEY_public_check_quick(ctx) == 1 : EVP_PKEY_public_check(ctx) == 1;
    /* Of a token key only the public half can be looked at; the token made both. */
    if (ok && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && !sck_pkey_is_token(key))
        ok = (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 ? EVP_PKEY_pairwise_check(ctx) == 1
                                                               : EVP_PKEY_private_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

int
sck_keymgmt_match(const void *keydata1, const void *keydata2, int selection)
{
    const struct sck_pkey *a = keydata1, *b = keydata2;
    EVP_PKEY *pa = sck_pkey_evp(a), *pb = sck_pkey_evp(b);
    if (pa == NULL || pb == NULL || a->kind != b->kind)
        return 0;
    ERR_set_mark();
    int ok = 1;
    if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0)
        ok = EVP_PKEY_eq(pa, pb) == 1;
    else if ((selection & OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS) != 0 && a->kind == SCK_KIND_EC)
        ok = EVP_PKEY_parameters_eq(pa, pb) == 1;
    ERR_pop_to_mark();
    return ok;
}

/* Software contents for `key` from parameters; *selection loses what the parameters do not hold. */
static EVP_PKEY *
from_params(const struct sck_pkey *key, int *selection, const OSSL_PARAM params[])
{
    const struct sck_kind_info *kind = sck_kind_info(key->kind);
    EVP_PKEY *evp = NULL;
    int has = *selection;
    if (OSSL_PARAM_locate_const(params, kind->private_param) == NULL)
        has &= ~OSSL_KEYMGMT_SELECT_PRIVATE_KEY;
    /* The public half follows from a private one. */
    if ((has & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 && OSSL_PARAM_locate_const(params, kind->public_param) == NULL)
        has &= ~OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(sck_libctx(), kind->name, NULL);
    if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &evp, has, sck_params_for_openssl(params));
    EVP_PKEY_CTX_free(ctx);
    *selection = has;
    return evp;
}

static bool
fill(struct sck_pkey *key, int selection, const OSSL_PARAM params[])
{
    EVP_PKEY *evp = from_params(key, &selection, params);
    if (evp == NULL)
        return false;
    EVP_PKEY_free(atomic_exchange(&key->lazy->evp, evp));
    key->selection = selection | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS;
    return true;
}

int
sck_keymgmt_import(void *keydata, int selection, const OSSL_PARAM params[])
{
    struct sck_pkey *key = keydata;
    return !sck_pkey_is_token(key) && fill(key, selection, params);
}

/* Private halves of token keys are refused without an error: a probe with everything selected is OpenSSL's habit. */
int
sck_keymgmt_export(void *keydata, int selection, OSSL_CALLBACK *param_cb, void *cbarg)
{
    const struct sck_pkey *key = keydata;
    if (sck_pkey_is_token(key) && (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
        return 0;
    EVP_PKEY *evp = sck_pkey_evp(key);
    return evp != NULL && EVP_PKEY_export(evp, selection, param_cb, cbarg);
}

static bool
dup_software(const struct sck_pkey *from, struct sck_pkey *to, int selection)
{
    EVP_PKEY *evp = sck_pkey_evp(from);
    OSSL_PARAM *params = NULL;
    if (evp == NULL || relevant(from, selection) == 0)
        return true;
    if (!EVP_PKEY_todata(evp, selection, &params))
        return false;
    bool ok = fill(to, selection, params);
    OSSL_PARAM_free(params);
    return ok;
}

void *
sck_keymgmt_dup(const void *keydata_from, int selection)
{
    const struct sck_pkey *from = keydata_from;
    bool whole = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0 && sck_pkey_is_token(from);
    struct sck_pkey *to;
    if (!whole) {
        to = sck_pkey_new(from->prov, from->kind);
        if (to != NULL && !dup_software(from, to, selection & from->selection)) {
            sck_pkey_unref(to);
            to = NULL;
        }
        return to;
    }
    to = sck_pkey_new_token(from->prov, from->info, true);
    if (to == NULL)
        return NULL;
    to->selection =
        from->selection & (selection | OSSL_KEYMGMT_SELECT_PUBLIC_KEY | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS);
    struct sck_ukey *ukey = atomic_load(&from->lazy->ukey);
    if (ukey != NULL)
        atomic_store(&to->lazy->ukey, sck_ukey_ref(ukey));
    EVP_PKEY *evp = atomic_load(&from->lazy->evp);
    if (evp != NULL && EVP_PKEY_up_ref(evp) == 1)
        atomic_store(&to->lazy->evp, evp);
    return to;
}

/* Generation of software keys. */
struct generator {
    struct sck_prov *prov;
    enum sck_kind kind;
    int selection;
    EVP_PKEY_CTX *ctx;
};

static bool
begin(struct generator *gen, EVP_PKEY_CTX *ctx)
{
    EVP_PKEY_CTX_free(gen->ctx);
    gen->ctx = ctx;
    if (ctx == NULL)
        return false;
    return (gen->selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0 ? EVP_PKEY_keygen_init(ctx) == 1
                                                               : EVP_PKEY_paramgen_init(ctx) == 1;
}

void *
sck_keymgmt_gen_begin(struct sck_prov *prov, enum sck_kind kind, int selection, const OSSL_PARAM params[])
{
    struct generator *gen = calloc(1, sizeof *gen);
    if (gen == NULL)
        return NULL;
    gen->prov = prov;
    gen->kind = kind;
    gen->selection = selection;
    if (!begin(gen, EVP_PKEY_CTX_new_from_name(sck_libctx(), sck_kind_info(kind)->name, NULL)) ||
        !sck_keymgmt_gen_set_params(gen, params)) {
        sck_keymgmt_gen_cleanup(gen);
        return NULL;
    }
    return gen;
}

int
sck_keymgmt_gen_set_template(void *genctx, void *templ)
{
    struct generator *gen = genctx;
    EVP_PKEY *evp = sck_pkey_evp(templ);
    return evp != NULL && begin(gen, EVP_PKEY_CTX_new_from_pkey(sck_libctx(), evp, NULL));
}

int
sck_keymgmt_gen_set_params(void *genctx, const OSSL_PARAM params[])
{
    struct generator *gen = genctx;
    return params == NULL || params[0].key == NULL || EVP_PKEY_CTX_set_params(gen->ctx, params) == 1;
}

void *
sck_keymgmt_gen(void *genctx, OSSL_CALLBACK *cb, void *cbarg)
{
    struct generator *gen = genctx;
    (void)cb;
    (void)cbarg;
    EVP_PKEY *evp = NULL;
    if (EVP_PKEY_generate(gen->ctx, &evp) != 1)
        return NULL;
    struct sck_pkey *key = sck_pkey_new(gen->prov, gen->kind);
    if (key == NULL) {
        EVP_PKEY_free(evp);
        return NULL;
    }
    atomic_store(&key->lazy->evp, evp);
    key->selection = gen->selection | OSSL_KEYMGMT_SELECT_ALL_PARAMETERS;
    return key;
}

void
sck_keymgmt_gen_cleanup(void *genctx)
{
    struct generator *gen = genctx;
    if (gen == NULL)
        return;
    EVP_PKEY_CTX_free(gen->ctx);
    free(gen);
}
