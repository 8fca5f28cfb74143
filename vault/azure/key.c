/* SPDX-License-Identifier: MIT */
/* Versions of a KEK and the public key of the newest one. */
#include "vault/azure/azure.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MODULUS_MAX = 512, READS_MAX = 3 };

/* ---- versions ---- */

/* Path and query of a link to the next page; false for one that leads elsewhere. */
static bool
link_path(const struct sck_azure *a, struct sck_json link, char out[SCK_PATH_MAX])
{
    char text[SCK_URL_MAX + SCK_PATH_MAX];
    const char *vault = sck_azure_url(a);
    size_t len = strlen(vault);
    if (!sck_json_text(link, text, sizeof text) || strncasecmp(text, vault, len) != 0)
        return false;
    const char *path = text + len;
    /* Azure writes the port that https has anyway. */
    if (strncmp(path, ":443/", 5) == 0)
        path += 4;
    size_t path_len = strlen(path);
    if (path[0] != '/' || path_len >= SCK_PATH_MAX || strpbrk(path, " #\\\"<>") != NULL)
        return false;
    memcpy(out, path, path_len + 1);
    return true;
}

static int
by_creation(const void *a, const void *b)
{
    const struct sck_azure_version *x = a, *y = b;
    if (x->created_s != y->created_s)
        return x->created_s < y->created_s ? -1 : 1;
    return strcmp(x->id, y->id);
}

static enum sck_code
take_version(struct sck_azure *a, const struct sck_call *call, const char *name, struct sck_json item,
             struct sck_azure_versions *out, struct sck_err *err)
{
    struct sck_json attributes = sck_json_get(item, "attributes");
    struct sck_azure_version *v = &out->list[out->count];
    uint64_t created = 0;
    if (!sck_azure_kid_version(sck_json_get(item, "kid"), sck_azure_url(a), name, v->id) ||
        !sck_json_u64(sck_json_get(attributes, "created"), INT64_MAX, &created))
        return sck_call_strange(call, "each version's kid and creation", err);
    v->created_s = (int64_t)created;
    v->enabled = sck_json_get(attributes, "enabled").kind != SCK_JSON_FALSE;
    out->count++;
    return SCK_OK;
}

/* One page; `path` becomes the next page's, or "". */
static enum sck_code
take_page(struct sck_azure *a, const struct sck_azure_ask *ask, char path[SCK_PATH_MAX],
          struct sck_azure_versions *out, struct sck_err *err)
{
    struct sck_call call;
    struct sck_json item;
    enum sck_code rc = sck_azure_expect(a, ask, SCK_SAYS_OK, &call, err);
    struct sck_json value = rc == SCK_OK ? sck_json_get(call.answer.json, "value") : (struct sck_json){0};
    if (rc == SCK_OK && value.kind != SCK_JSON_ARRAY)
        rc = sck_call_strange(&call, "a list of versions", err);
    for (size_t i = 0; rc == SCK_OK && (item = sck_json_item(value, i)).kind != SCK_JSON_NONE; i++) {
        if (out->count == SCK_AZURE_VERSIONS_MAX)
            rc = sck_fail(err, SCK_E_STATE, "keeper azure: KEK %s has more than %d versions", ask->kek,
                          SCK_AZURE_VERSIONS_MAX);
        else
            rc = take_version(a, &call, ask->kek, item, out, err);
    }
    struct sck_json next = rc == SCK_OK ? sck_json_get(call.answer.json, "nextLink") : (struct sck_json){0};
    path[0] = '\0';
    if (rc == SCK_OK && next.kind == SCK_JSON_STRING && next.len > 0 && !link_path(a, next, path))
        rc = sck_call_strange(&call, "a next page at the same vault", err);
    sck_call_clear(&call);
    return rc;
}

enum sck_code
sck_azure_versions(struct sck_azure *a, const char *name, struct sck_azure_login *login, int64_t deadline_us,
                   struct sck_azure_versions *out, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    enum sck_code rc = SCK_OK;
    out->count = 0;
    out->list = calloc(SCK_AZURE_VERSIONS_MAX, sizeof *out->list);
    if (out->list == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    (void)snprintf(path, sizeof path, "/keys/%s/versions?" SCK_AZURE_API, name);
    for (unsigned pages = 0; rc == SCK_OK && path[0] != '\0'; pages++) {
        char here[SCK_PATH_MAX];
        memcpy(here, path, sizeof here);
        const struct sck_azure_ask ask = {.op = SCK_AZ_VERSIONS,
                                          .method = "GET",
                                          .path = here,
                                          .kek = name,
                                          .login = login,
                                          .deadline_us = deadline_us};
        if (pages > SCK_AZURE_VERSIONS_MAX)
            rc = sck_fail(err, SCK_E_CONFIG, "keeper azure: the versions of KEK %s have no end", name);
        else
            rc = take_page(a, &ask, path, out, err);
    }
    if (rc == SCK_OK && out->count == 0)
        rc = sck_fail(err, SCK_E_NOT_FOUND, "keeper azure at %s: KEK %s has no versions", sck_azure_url(a), name);
    if (rc == SCK_OK) {
        qsort(out->list, out->count, sizeof *out->list, by_creation);
    } else {
        free(out->list);
        out->list = NULL;
    }
    return rc;
}

/* ---- public keys ---- */

EVP_PKEY *
sck_azure_public_key(const char *n, size_t n_len, const char *e, size_t e_len)
{
    uint8_t modulus[MODULUS_MAX], exponent[8];
    size_t modulus_len = 0, exponent_len = 0;
    EVP_PKEY *key = NULL;
    if (!sck_b64url_decode(n, n_len, modulus, sizeof modulus, &modulus_len) ||
        !sck_b64url_decode(e, e_len, exponent, sizeof exponent, &exponent_len))
        return NULL;
    ERR_set_mark();
    BIGNUM *bn_n = BN_bin2bn(modulus, (int)modulus_len, NULL), *bn_e = BN_bin2bn(exponent, (int)exponent_len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(sck_libctx(), "RSA", NULL);
    bool sound = bn_n != NULL && bn_e != NULL && BN_num_bits(bn_n) >= 2048 && BN_is_odd(bn_n) && BN_is_odd(bn_e) &&
                 BN_num_bits(bn_e) >= 2;
    if (sound && build != NULL && ctx != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    if (params != NULL &&
        (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1))
        key = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(bn_n);
    BN_free(bn_e);
    ERR_pop_to_mark();
    return key;
}

/* The two operations of a KEK and no other: whoever may decrypt with it could open DEKs by that name. */
static bool
ops_are_ours(struct sck_json ops)
{
    bool wraps = false, unwraps = false;
    struct sck_json item;
    for (size_t i = 0; (item = sck_json_item(ops, i)).kind != SCK_JSON_NONE; i++) {
        bool wrap = sck_json_is(item, "wrapKey"), unwrap = sck_json_is(item, "unwrapKey");
        if (!wrap && !unwrap)
            return false;
        wraps = wraps || wrap;
        unwraps = unwraps || unwrap;
    }
    return wraps && unwraps;
}

/* A key bundle as we use it; *enabled tells whether it may be used. */
static enum sck_code
take_key(struct sck_azure *a, const struct sck_call *call, struct sck_azure_key *out, bool *enabled,
         struct sck_err *err)
{
    struct sck_json key = sck_json_get(call->answer.json, "key");
    struct sck_json attributes = sck_json_get(call->answer.json, "attributes");
    struct sck_json kty = sck_json_get(key, "kty"), n = sck_json_get(key, "n"), e = sck_json_get(key, "e");
    bool oct = sck_json_is(kty, "oct-HSM"), rsa = sck_json_is(kty, "RSA") || sck_json_is(kty, "RSA-HSM");
    if (!sck_azure_kid_version(sck_json_get(key, "kid"), sck_azure_url(a), call->kek, out->version))
        return sck_call_strange(call, "the key's kid at this vault", err);
    if ((!oct && !rsa) || !ops_are_ours(sck_json_get(key, "key_ops")))
        return sck_fail(err, SCK_E_STATE,
                        "keeper azure: KEK %s is no key that wraps and unwraps and does nothing else: "
                        "someone else made it",
                        call->kek);
    if (sck_json_get(attributes, "exportable").kind == SCK_JSON_TRUE)
        return sck_fail(err, SCK_E_STATE, "keeper azure: KEK %s can be exported: erase its owner", call->kek);
    *enabled = sck_json_get(attributes, "enabled").kind != SCK_JSON_FALSE;
    sck_azure_note_retention(a, attributes);
    if (rsa) {
        bool text = n.kind == SCK_JSON_STRING && e.kind == SCK_JSON_STRING;
        out->public = text ? sck_azure_public_key(n.at, n.len, e.at, e.len) : NULL;
        if (out->public == NULL)
            return sck_call_strange(call, "an RSA key of 2048 to 4096 bits", err);
    }
    return SCK_OK;
}

/* One version (NULL: the current one). */
static enum sck_code
read_key(struct sck_azure *a, const char *name, const char *version, int64_t deadline_us, struct sck_azure_key *out,
         bool *enabled, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_call call;
    (void)snprintf(path, sizeof path, "/keys/%s%s%s?" SCK_AZURE_API, name, version != NULL ? "/" : "",
                   version != NULL ? version : "");
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_READ, .method = "GET", .path = path, .kek = name, .login = &a->data, .deadline_us = deadline_us};
    *out = (struct sck_azure_key){.number = 0};
    enum sck_code rc = sck_azure_expect(a, &ask, SCK_SAYS_OK, &call, err);
    if (rc == SCK_OK)
        rc = take_key(a, &call, out, enabled, err);
    sck_call_clear(&call);
    return rc;
}

static uint32_t
number_of(const struct sck_azure_versions *versions, const char *id)
{
    for (size_t i = 0; i < versions->count; i++) {
        if (strcmp(versions->list[i].id, id) == 0)
            return (uint32_t)i + 1;
    }
    return 0;
}

/* The current version is the newest, whatever two versions made in one second sort like. */
static void
move_to_end(struct sck_azure_versions *versions, uint32_t number)
{
    const struct sck_azure_version current = versions->list[number - 1];
    for (size_t i = number; i < versions->count; i++)
        versions->list[i - 1] = versions->list[i];
    versions->list[versions->count - 1] = current;
}

enum sck_code
sck_azure_versions_settle(struct sck_azure *a, const char *name, struct sck_azure_versions *versions,
                          struct sck_err *err)
{
    struct sck_azure_key key;
    bool enabled = false;
    enum sck_code rc = read_key(a, name, NULL, 0, &key, &enabled, err);
    uint32_t number = rc == SCK_OK ? number_of(versions, key.version) : 0;
    if (rc == SCK_OK && number == 0)
        rc = sck_fail(err, SCK_E_BUSY, "keeper azure: KEK %s is being rotated: try again", name);
    if (rc == SCK_OK)
        move_to_end(versions, number);
    sck_azure_key_release(&key);
    return rc;
}

/* The current version, or when that is disabled the newest one that is not. */
static enum sck_code
find_usable(struct sck_azure *a, const char *name, int64_t deadline_us, struct sck_azure_key *out,
            struct sck_err *err)
{
    struct sck_azure_versions versions = {NULL, 0};
    bool enabled = false;
    enum sck_code rc = SCK_OK;
    /* A version that was made between the two requests is seen by the next pair. */
    for (int reads = 0; rc == SCK_OK && out->number == 0; reads++) {
        free(versions.list);
        sck_azure_key_release(out);
        rc = sck_azure_versions(a, name, &a->data, deadline_us, &versions, err);
        if (rc == SCK_OK)
            rc = read_key(a, name, NULL, deadline_us, out, &enabled, err);
        if (rc == SCK_OK)
            out->number = number_of(&versions, out->version);
        if (rc == SCK_OK && out->number == 0 && reads == READS_MAX)
            rc = sck_fail(err, SCK_E_BUSY, "keeper azure: KEK %s is rotated all the time: try again", name);
    }
    if (rc == SCK_OK) {
        move_to_end(&versions, out->number);
        out->number = (uint32_t)versions.count;
    }
    while (rc == SCK_OK && !enabled && out->number > 1) {
        uint32_t number = out->number - 1;
        out->number = number;
        if (!versions.list[number - 1].enabled)
            continue;
        sck_azure_key_release(out);
        rc = read_key(a, name, versions.list[number - 1].id, deadline_us, out, &enabled, err);
        out->number = number;
    }
    if (rc == SCK_OK && !enabled)
        rc = sck_fail(err, SCK_E_STATE, "keeper azure: every version of KEK %s is disabled: enable the newest", name);
    if (rc != SCK_OK)
        sck_azure_key_release(out);
    free(versions.list);
    return rc;
}

/* ---- the cache ---- */

void
sck_azure_key_release(struct sck_azure_key *key)
{
    EVP_PKEY_free(key->public);
    *key = (struct sck_azure_key){.number = 0};
}

static void
cached_free(struct sck_azure_cached *list)
{
    while (list != NULL) {
        struct sck_azure_cached *next = list->next;
        sck_azure_key_release(&list->key);
        free(list);
        list = next;
    }
}

void
sck_azure_key_forget(struct sck_azure *a, const char *name)
{
    struct sck_azure_cached *gone = NULL;
    sck_forklock_take(&a->lock);
    for (struct sck_azure_cached **at = &a->cached, *c; (c = *at) != NULL;) {
        if (name != NULL && strcmp(c->name, name) != 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->next = gone;
        gone = c;
        a->cached_count--;
    }
    sck_forklock_give(&a->lock);
    cached_free(gone);
}

static bool
look_up(struct sck_azure *a, const char *name, uint32_t least, struct sck_azure_key *out)
{
    int64_t now_us = sck_monotonic_us(a->vault.env.clock);
    bool found = false;
    sck_forklock_take(&a->lock);
    for (struct sck_azure_cached *c = a->cached; c != NULL && !found; c = c->next) {
        found = strcmp(c->name, name) == 0 && c->key.number >= least && now_us < c->until_us &&
                (c->key.public == NULL || EVP_PKEY_up_ref(c->key.public) == 1);
        if (found)
            *out = c->key;
    }
    sck_forklock_give(&a->lock);
    return found;
}

static void
keep(struct sck_azure *a, const char *name, const struct sck_azure_key *key)
{
    struct sck_azure_cached *c = calloc(1, sizeof *c), *oldest = NULL;
    if (c == NULL || (key->public != NULL && EVP_PKEY_up_ref(key->public) != 1)) {
        free(c);
        return;
    }
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    c->key = *key;
    c->until_us = sck_monotonic_us(a->vault.env.clock) + (int64_t)SCK_AZURE_CACHED_S * 1000000;
    sck_azure_key_forget(a, name);
    sck_forklock_take(&a->lock);
    c->next = a->cached;
    a->cached = c;
    if (++a->cached_count > SCK_AZURE_CACHED_MAX) {
        struct sck_azure_cached **at = &a->cached;
        while ((*at)->next != NULL)
            at = &(*at)->next;
        oldest = *at;
        *at = NULL;
        a->cached_count--;
    }
    sck_forklock_give(&a->lock);
    cached_free(oldest);
}

enum sck_code
sck_azure_key_get(struct sck_azure *a, const char *name, uint32_t least, int64_t deadline_us,
                  struct sck_azure_key *out, struct sck_err *err)
{
    *out = (struct sck_azure_key){.number = 0};
    if (look_up(a, name, least, out))
        return SCK_OK;
    enum sck_code rc = find_usable(a, name, deadline_us, out, err);
    if (rc == SCK_OK)
        keep(a, name, out);
    return rc;
}
