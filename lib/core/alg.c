/* SPDX-License-Identifier: MIT */
#include "lib/core/alg.h"

#include <string.h>

static const struct sck_alg_info algs[] = {
    {SCK_ALG_AES_256, "aes-256", SCK_FAMILY_AES, 256, SCK_USAGE_GCM, false},
    {SCK_ALG_HMAC_SHA256, "hmac-sha256", SCK_FAMILY_SECRET, 256, SCK_USAGE_HMAC, false},
    {SCK_ALG_RSA_2048, "rsa-2048", SCK_FAMILY_RSA, 2048, SCK_USAGE_SIGN, true},
    {SCK_ALG_RSA_3072, "rsa-3072", SCK_FAMILY_RSA, 3072, SCK_USAGE_SIGN, true},
    {SCK_ALG_RSA_4096, "rsa-4096", SCK_FAMILY_RSA, 4096, SCK_USAGE_SIGN, true},
    {SCK_ALG_EC_P256, "ec-p256", SCK_FAMILY_EC, 256, SCK_USAGE_SIGN, true},
    {SCK_ALG_EC_P384, "ec-p384", SCK_FAMILY_EC, 384, SCK_USAGE_SIGN, true},
    {SCK_ALG_EC_P521, "ec-p521", SCK_FAMILY_EC, 521, SCK_USAGE_SIGN, true},
    {SCK_ALG_ED25519, "ed25519", SCK_FAMILY_EDWARDS, 256, SCK_USAGE_SIGN, true},
};

#define ALG_COUNT (sizeof algs / sizeof algs[0])

/* By number; 0 is no usage. */
static const char *const usages[] = {
    [SCK_USAGE_GCM] = "gcm",   [SCK_USAGE_GCM_CALLER_IV] = "gcm-caller-iv",
    [SCK_USAGE_CBC] = "cbc",   [SCK_USAGE_CTR] = "ctr",
    [SCK_USAGE_WRAP] = "wrap", [SCK_USAGE_HMAC] = "hmac",
    [SCK_USAGE_CMAC] = "cmac", [SCK_USAGE_SIGN] = "sign",
    [SCK_USAGE_ANY] = "any",   [SCK_USAGE_DECRYPT] = "decrypt",
    [SCK_USAGE_KEK] = "kek",   [SCK_USAGE_AGREE] = "agree",
};

#define USAGE_COUNT (sizeof usages / sizeof usages[0])

const struct sck_alg_info *
sck_alg_at(size_t index)
{
    return index < ALG_COUNT ? &algs[index] : NULL;
}

const struct sck_alg_info *
sck_alg_info(enum sck_alg alg)
{
    for (size_t i = 0; i < ALG_COUNT; i++) {
        if (algs[i].alg == alg)
            return &algs[i];
    }
    return NULL;
}

const struct sck_alg_info *
sck_alg_by_name(const char *name)
{
    for (size_t i = 0; i < ALG_COUNT; i++) {
        if (strcmp(algs[i].name, name) == 0)
            return &algs[i];
    }
    return NULL;
}

const char *
sck_usage_name(enum sck_usage usage)
{
    size_t i = (size_t)usage;
    return i < USAGE_COUNT && usages[i] != NULL ? usages[i] : "unknown";
}

enum sck_usage
sck_usage_by_name(const char *name)
{
    for (size_t i = 1; i < USAGE_COUNT; i++) {
        if (i != SCK_USAGE_KEK && strcmp(usages[i], name) == 0)
            return (enum sck_usage)i;
    }
    return (enum sck_usage)0;
}

bool
sck_usage_fits(enum sck_alg alg, enum sck_usage usage)
{
    const struct sck_alg_info *info = sck_alg_info(alg);
    if (info == NULL)
        return false;
    switch (info->family) {
    case SCK_FAMILY_AES:
        return usage == SCK_USAGE_GCM || usage == SCK_USAGE_GCM_CALLER_IV || usage == SCK_USAGE_CBC ||
               usage == SCK_USAGE_CTR || usage == SCK_USAGE_WRAP || usage == SCK_USAGE_CMAC;
    case SCK_FAMILY_SECRET: return usage == SCK_USAGE_HMAC;
    case SCK_FAMILY_RSA: return usage == SCK_USAGE_SIGN || usage == SCK_USAGE_DECRYPT || usage == SCK_USAGE_ANY;
    case SCK_FAMILY_EC: return usage == SCK_USAGE_SIGN || usage == SCK_USAGE_AGREE;
    case SCK_FAMILY_EDWARDS: return usage == SCK_USAGE_SIGN;
    }
    return false;
}

const char *
sck_family_name(enum sck_family family)
{
    switch (family) {
    case SCK_FAMILY_AES: return "aes";
    case SCK_FAMILY_SECRET: return "secret";
    case SCK_FAMILY_RSA: return "rsa";
    case SCK_FAMILY_EC: return "ec";
    case SCK_FAMILY_EDWARDS: return "edwards";
    }
    return "unknown";
}
