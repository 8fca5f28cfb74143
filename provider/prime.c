/* SPDX-License-Identifier: MIT */
/*
 * Our key managers must carry the standard names ("EC", "RSA", "ED25519"), or libssl, CMS and X509 do not know our
 * keys.  libcrypto looks key managers up by name and property query alone, and remembers the first it found: whoever
 * is found first gets everybody's software keys.  So before ours can be found, the application's context is made to
 * find the others' (default's), by a fetch of our own:
 *
 * - at the first KEYMGMT query, with our own answer to the nested query empty, so that default's are registered first
 *   whatever the order of the providers;
 * - before a store hands a key over, and in query_operation_name, which libcrypto calls before it fetches the key
 *   manager of a key of ours (0.2 microseconds), because loading any provider empties that memory.
 *
 * query_operation_name gets no context, so each loaded provider has functions of its own: the slots below.
 */
#include "provider/provider.h"

#include <dlfcn.h>
#include <openssl/err.h>
#include <string.h>

/* Contexts in one process that are primed by query_operation_name; a further one is primed by loads alone. */
#define SLOTS 8

static _Atomic(struct sck_prov *) slots[SLOTS];
static _Thread_local int nested;

static const struct sck_kind_info kinds[SCK_KIND_COUNT] = {
    [SCK_KIND_RSA] = {"RSA", "RSA:rsaEncryption:1.2.840.113549.1.1.1", "RSA keys of Scopekey", EVP_PKEY_RSA,
                      OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_N, "SCOPEKEY-RSA", NULL, sck_rsa_keymgmt},
    [SCK_KIND_EC] = {"EC", "EC:id-ecPublicKey:1.2.840.10045.2.1", "EC keys of Scopekey", EVP_PKEY_EC,
                     OSSL_PKEY_PARAM_PRIV_KEY, OSSL_PKEY_PARAM_PUB_KEY, "SCOPEKEY-ECDSA", "ECDH", sck_ec_keymgmt},
    [SCK_KIND_ED25519] = {"ED25519", "ED25519:1.3.101.112", "Ed25519 keys of Scopekey", EVP_PKEY_ED25519,
                          OSSL_PKEY_PARAM_PRIV_KEY, OSSL_PKEY_PARAM_PUB_KEY, "SCOPEKEY-EDDSA", NULL,
                          sck_ed25519_keymgmt},
};

const struct sck_kind_info *
sck_kind_info(enum sck_kind kind)
{
    return &kinds[kind];
}

enum sck_kind
sck_kind_of_alg(enum sck_alg alg)
{
    const struct sck_alg_info *info = sck_alg_info(alg);
    if (info != NULL && info->family == SCK_FAMILY_RSA)
        return SCK_KIND_RSA;
    return info != NULL && info->family == SCK_FAMILY_EDWARDS ? SCK_KIND_ED25519 : SCK_KIND_EC;
}

/* Have the others' key manager found and remembered; our own part of the answer is empty meanwhile. */
static void
fetch_others(struct sck_prov *prov, enum sck_kind kind)
{
    nested++;
    ERR_set_mark();
    EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(prov->app_ctx, kinds[kind].name, NULL);
    EVP_KEYMGMT_free(k);
    ERR_pop_to_mark();
    nested--;
}

void
sck_prime_kind(struct sck_prov *prov, enum sck_kind kind)
{
    if (!prov->can_prime || nested > 0)
        return;
    if (!atomic_load(&prov->listed)) {
        /* Nobody has this name, so everybody is asked; adding our table then no longer empties the memory later. */
        ERR_set_mark();
        EVP_KEYMGMT_free(EVP_KEYMGMT_fetch(prov->app_ctx, "SCOPEKEY-NONE", NULL));
        ERR_pop_to_mark();
        atomic_store(&prov->listed, true);
    }
    fetch_others(prov, kind);
}

const OSSL_ALGORITHM *
sck_prime_query(struct sck_prov *prov, int *no_cache)
{
    if (nested > 0) {
        *no_cache = 1;
        return NULL;
    }
    if (prov->can_prime && !atomic_load(&prov->primed)) {
        for (int kind = 0; kind < SCK_KIND_COUNT; kind++)
            fetch_others(prov, (enum sck_kind)kind);
        atomic_store(&prov->primed, true);
    }
    return prov->keymgmt;
}

static const char *
operation_name(const struct sck_kind_info *kind, int operation_id)
{
    if (operation_id == OSSL_OP_SIGNATURE)
        return kind->signature;
    return operation_id == OSSL_OP_KEYEXCH ? kind->exchange : NULL;
}

static const char *
answer(int slot, enum sck_kind kind, int operation_id)
{
    struct sck_prov *prov = atomic_load(&slots[slot]);
    if (prov != NULL)
        sck_prime_kind(prov, kind);
    return operation_name(&kinds[kind], operation_id);
}

/* clang-format off */
static const char *rsa_0(int op) { return answer(0, SCK_KIND_RSA, op); }
static const char *rsa_1(int op) { return answer(1, SCK_KIND_RSA, op); }
static const char *rsa_2(int op) { return answer(2, SCK_KIND_RSA, op); }
static const char *rsa_3(int op) { return answer(3, SCK_KIND_RSA, op); }
static const char *rsa_4(int op) { return answer(4, SCK_KIND_RSA, op); }
static const char *rsa_5(int op) { return answer(5, SCK_KIND_RSA, op); }
static const char *rsa_6(int op) { return answer(6, SCK_KIND_RSA, op); }
static const char *rsa_7(int op) { return answer(7, SCK_KIND_RSA, op); }
static const char *ec_0(int op) { return answer(0, SCK_KIND_EC, op); }
static const char *ec_1(int op) { return answer(1, SCK_KIND_EC, op); }
static const char *ec_2(int op) { return answer(2, SCK_KIND_EC, op); }
static const char *ec_3(int op) { return answer(3, SCK_KIND_EC, op); }
static const char *ec_4(int op) { return answer(4, SCK_KIND_EC, op); }
static const char *ec_5(int op) { return answer(5, SCK_KIND_EC, op); }
static const char *ec_6(int op) { return answer(6, SCK_KIND_EC, op); }
static const char *ec_7(int op) { return answer(7, SCK_KIND_EC, op); }
static const char *ed25519_0(int op) { return answer(0, SCK_KIND_ED25519, op); }
static const char *ed25519_1(int op) { return answer(1, SCK_KIND_ED25519, op); }
static const char *ed25519_2(int op) { return answer(2, SCK_KIND_ED25519, op); }
static const char *ed25519_3(int op) { return answer(3, SCK_KIND_ED25519, op); }
static const char *ed25519_4(int op) { return answer(4, SCK_KIND_ED25519, op); }
static const char *ed25519_5(int op) { return answer(5, SCK_KIND_ED25519, op); }
static const char *ed25519_6(int op) { return answer(6, SCK_KIND_ED25519, op); }
static const char *ed25519_7(int op) { return answer(7, SCK_KIND_ED25519, op); }
static const char *rsa_unslotted(int op) { return operation_name(&kinds[SCK_KIND_RSA], op); }
static const char *ec_unslotted(int op) { return operation_name(&kinds[SCK_KIND_EC], op); }
static const char *ed25519_unslotted(int op) { return operation_name(&kinds[SCK_KIND_ED25519], op); }
/* clang-format on */

static OSSL_FUNC_keymgmt_query_operation_name_fn *const names[SCK_KIND_COUNT][SLOTS + 1] = {
    [SCK_KIND_RSA] = {rsa_0, rsa_1, rsa_2, rsa_3, rsa_4, rsa_5, rsa_6, rsa_7, rsa_unslotted},
    [SCK_KIND_EC] = {ec_0, ec_1, ec_2, ec_3, ec_4, ec_5, ec_6, ec_7, ec_unslotted},
    [SCK_KIND_ED25519] = {ed25519_0, ed25519_1, ed25519_2, ed25519_3, ed25519_4, ed25519_5, ed25519_6, ed25519_7,
                          ed25519_unslotted},
};

/*
 * provider-base(7) does not promise that the core's context is an OSSL_LIB_CTX of our libcrypto (a program may carry a
 * libcrypto of its own); it is one when the core's function and the EVP_KEYMGMT_fetch that we call live together.
 */
static bool
core_is_our_libcrypto(const struct sck_prov *prov)
{
    Dl_info core, ours;
    void *core_fn = NULL, *our_fn = NULL;
    EVP_KEYMGMT *(*fetch)(OSSL_LIB_CTX *, const char *, const char *) = EVP_KEYMGMT_fetch;
    if (prov->core_get_libctx == NULL)
        return false;
    memcpy(&core_fn, &prov->core_get_libctx, sizeof core_fn);
    memcpy(&our_fn, &fetch, sizeof our_fn);
    return dladdr(core_fn, &core) != 0 && dladdr(our_fn, &ours) != 0 && core.dli_fbase == ours.dli_fbase;
}

static void
take_slot(struct sck_prov *prov)
{
    for (int i = 0; i < SLOTS && prov->slot < 0; i++) {
        struct sck_prov *empty = NULL;
        if (atomic_compare_exchange_strong(&slots[i], &empty, prov))
            prov->slot = i;
    }
}

void
sck_prime_init(struct sck_prov *prov)
{
    prov->can_prime = core_is_our_libcrypto(prov);
    if (prov->can_prime) {
        prov->app_ctx = (OSSL_LIB_CTX *)prov->core_get_libctx(prov->core);
        take_slot(prov);
    }
    size_t slot = prov->slot < 0 ? SLOTS : (size_t)prov->slot;
    for (size_t kind = 0; kind < SCK_KIND_COUNT; kind++) {
        OSSL_DISPATCH *d = prov->keymgmt_dispatch[kind];
        size_t n = 0;
        for (; kinds[kind].keymgmt[n].function_id != 0; n++)
            d[n] = kinds[kind].keymgmt[n];
        d[n].function_id = OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME;
        d[n].function = (void (*)(void))names[kind][slot];
        prov->keymgmt[kind] = (OSSL_ALGORITHM){kinds[kind].names, SCK_PROPERTIES, d, kinds[kind].description};
    }
}

void
sck_prime_clear(struct sck_prov *prov)
{
    if (prov->slot >= 0)
        atomic_store(&slots[prov->slot], NULL);
}
