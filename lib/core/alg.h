/* SPDX-License-Identifier: MIT */
/* Key algorithms and usages, one table each.  Pure.  Numbers are stored in catalog rows: never reuse one. */
#ifndef SCK_CORE_ALG_H
#define SCK_CORE_ALG_H

#include "lib/base/bytes.h"

enum sck_alg {
    SCK_ALG_AES_256 = 1,
    SCK_ALG_HMAC_SHA256 = 2,
    SCK_ALG_RSA_2048 = 3,
    SCK_ALG_RSA_3072 = 4,
    SCK_ALG_RSA_4096 = 5,
    SCK_ALG_EC_P256 = 6,
    SCK_ALG_EC_P384 = 7,
    SCK_ALG_EC_P521 = 8,
    SCK_ALG_ED25519 = 9
};

/* Exactly one per key, fixed at creation. */
enum sck_usage {
    SCK_USAGE_GCM = 1,
    SCK_USAGE_GCM_CALLER_IV = 2,
    SCK_USAGE_CBC = 3,
    SCK_USAGE_CTR = 4,
    SCK_USAGE_WRAP = 5,
    SCK_USAGE_HMAC = 6,
    SCK_USAGE_CMAC = 7,
    SCK_USAGE_SIGN = 8,
    SCK_USAGE_DECRYPT = 9,
    SCK_USAGE_ANY = 10,     /* RSA only: sign and decrypt */
    SCK_USAGE_AGREE = 11,   /* EC only: ECDH */
    SCK_USAGE_KEK = 12      /* keeper token's KEKs; never a scoped key's usage */
};

/* What kind of PKCS#11 key an algorithm makes; a master is named by usage and family. */
enum sck_family { SCK_FAMILY_AES = 1, SCK_FAMILY_SECRET, SCK_FAMILY_RSA, SCK_FAMILY_EC, SCK_FAMILY_EDWARDS };

struct sck_alg_info {
    enum sck_alg alg;
    const char *name;           /* "ec-p256" */
    enum sck_family family;
    unsigned bits;              /* of the key, modulus or field */
    enum sck_usage default_usage;
    bool is_asymmetric;
};

/* NULL when unknown. */
const struct sck_alg_info *sck_alg_info(enum sck_alg alg);
const struct sck_alg_info *sck_alg_by_name(const char *name);
/* All of them, by index from 0; NULL behind the last. */
const struct sck_alg_info *sck_alg_at(size_t index);

const char *sck_usage_name(enum sck_usage usage);   /* "gcm", never NULL */
/* 0 when unknown (or "kek"). */
enum sck_usage sck_usage_by_name(const char *name);
/* Whether a scoped key of `alg` may have `usage`. */
bool sck_usage_fits(enum sck_alg alg, enum sck_usage usage);
const char *sck_family_name(enum sck_family family); /* "aes", "secret", "rsa", "ec", "edwards" */

/* Where a key lives and how it works. */
enum sck_protection { SCK_PROTECTION_TOKEN = 1, SCK_PROTECTION_ENVELOPE = 2 };
enum sck_residence { SCK_WRAPPED = 1, SCK_RESIDENT = 2 };
enum sck_origin { SCK_ORIGIN_GENERATED = 1, SCK_ORIGIN_IMPORTED = 2 };

#endif
