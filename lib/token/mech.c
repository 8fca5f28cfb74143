/* SPDX-License-Identifier: MIT */
#include "lib/token/mech.h"

#define MECHANISMS(...) \
    .mechanisms = {__VA_ARGS__}, \
    .mechanism_count = sizeof((CK_MECHANISM_TYPE[]){__VA_ARGS__}) / sizeof(CK_MECHANISM_TYPE)

#define AES_KIND(what, flags, ...) \
    {.usage = what, .family = SCK_FAMILY_AES, .class = CKO_SECRET_KEY, .key_type = CKK_AES, .may = flags, \
     .is_wrapped = true, MECHANISMS(__VA_ARGS__)}
#define PRIVATE_KIND(what, of, type, flags, wrapped, ...) \
    {.usage = what, .family = of, .class = CKO_PRIVATE_KEY, .key_type = type, .may = flags, .is_wrapped = wrapped, \
     MECHANISMS(__VA_ARGS__)}

/*
 * RSA usage `decrypt` allows raw RSA because tokens (SoftHSM) may lack OAEP with SHA-256, which is then unpadded
 * outside; docs/tokens.md says what that costs.
 */
static const struct sck_kind kinds[] = {
    AES_KIND(SCK_USAGE_GCM, SCK_MAY_ENCRYPT | SCK_MAY_DECRYPT, CKM_AES_GCM),
    AES_KIND(SCK_USAGE_GCM_CALLER_IV, SCK_MAY_ENCRYPT | SCK_MAY_DECRYPT, CKM_AES_GCM),
    AES_KIND(SCK_USAGE_CBC, SCK_MAY_ENCRYPT | SCK_MAY_DECRYPT, CKM_AES_CBC, CKM_AES_CBC_PAD),
    AES_KIND(SCK_USAGE_CTR, SCK_MAY_ENCRYPT | SCK_MAY_DECRYPT, CKM_AES_CTR),
    AES_KIND(SCK_USAGE_WRAP, SCK_MAY_WRAP | SCK_MAY_UNWRAP, CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD),
    AES_KIND(SCK_USAGE_CMAC, SCK_MAY_SIGN | SCK_MAY_VERIFY, CKM_AES_CMAC),
    AES_KIND(SCK_USAGE_KEK, SCK_MAY_ENCRYPT | SCK_MAY_DECRYPT, CKM_AES_GCM),
    {.usage = SCK_USAGE_HMAC, .family = SCK_FAMILY_SECRET, .class = CKO_SECRET_KEY, .key_type = CKK_GENERIC_SECRET,
     .may = SCK_MAY_SIGN | SCK_MAY_VERIFY, .is_wrapped = true, MECHANISMS(CKM_SHA256_HMAC)},
    PRIVATE_KIND(SCK_USAGE_SIGN, SCK_FAMILY_RSA, CKK_RSA, SCK_MAY_SIGN, true, CKM_RSA_PKCS, CKM_RSA_PKCS_PSS),
    PRIVATE_KIND(SCK_USAGE_DECRYPT, SCK_FAMILY_RSA, CKK_RSA, SCK_MAY_DECRYPT, true, CKM_RSA_PKCS, CKM_RSA_PKCS_OAEP,
                 CKM_RSA_X_509),
    PRIVATE_KIND(SCK_USAGE_ANY, SCK_FAMILY_RSA, CKK_RSA, SCK_MAY_SIGN | SCK_MAY_DECRYPT, true, CKM_RSA_PKCS,
                 CKM_RSA_PKCS_PSS, CKM_RSA_PKCS_OAEP, CKM_RSA_X_509),
    PRIVATE_KIND(SCK_USAGE_SIGN, SCK_FAMILY_EC, CKK_EC, SCK_MAY_SIGN, true, CKM_ECDSA),
    PRIVATE_KIND(SCK_USAGE_AGREE, SCK_FAMILY_EC, CKK_EC, SCK_MAY_DERIVE, true, CKM_ECDH1_DERIVE),
    PRIVATE_KIND(SCK_USAGE_SIGN, SCK_FAMILY_EDWARDS, CKK_EC_EDWARDS, SCK_MAY_SIGN, false, CKM_EDDSA),
};

/* RFC 5480 section 2.1.1.1, RFC 8410 section 3. */
static const uint8_t p256[] = {0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};
static const uint8_t p384[] = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22};
static const uint8_t p521[] = {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23};
static const uint8_t ed25519[] = {0x06, 0x03, 0x2B, 0x65, 0x70};
/* PKCS#11 v3.0 section 2.3.10 before its errata: PrintableString "edwards25519". */
static const uint8_t ed25519_name[] = {0x13, 0x0C, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'};

static const struct sck_maker makers[] = {
    {SCK_ALG_AES_256, CKM_AES_KEY_GEN, 256, NULL, 0, NULL, 0},
    {SCK_ALG_HMAC_SHA256, CKM_GENERIC_SECRET_KEY_GEN, 256, NULL, 0, NULL, 0},
    {SCK_ALG_RSA_2048, CKM_RSA_PKCS_KEY_PAIR_GEN, 2048, NULL, 0, NULL, 0},
    {SCK_ALG_RSA_3072, CKM_RSA_PKCS_KEY_PAIR_GEN, 3072, NULL, 0, NULL, 0},
    {SCK_ALG_RSA_4096, CKM_RSA_PKCS_KEY_PAIR_GEN, 4096, NULL, 0, NULL, 0},
    {SCK_ALG_EC_P256, CKM_EC_KEY_PAIR_GEN, 256, p256, sizeof p256, NULL, 0},
    {SCK_ALG_EC_P384, CKM_EC_KEY_PAIR_GEN, 384, p384, sizeof p384, NULL, 0},
    {SCK_ALG_EC_P521, CKM_EC_KEY_PAIR_GEN, 521, p521, sizeof p521, NULL, 0},
    {SCK_ALG_ED25519, CKM_EC_EDWARDS_KEY_PAIR_GEN, 255, ed25519, sizeof ed25519, ed25519_name, sizeof ed25519_name},
};

static const uint8_t exponent_65537[] = {0x01, 0x00, 0x01};

const struct sck_kind *
sck_kind_at(size_t index)
{
    return index < sizeof kinds / sizeof kinds[0] ? &kinds[index] : NULL;
}

const struct sck_kind *
sck_kind_find(enum sck_usage usage, enum sck_family family)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].usage == usage && kinds[i].family == family)
            return &kinds[i];
    }
    return NULL;
}

const struct sck_maker *
sck_maker_of(enum sck_alg alg)
{
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++) {
        if (makers[i].alg == alg)
            return &makers[i];
    }
    return NULL;
}

void
sck_template_flags(struct sck_template *t, CK_OBJECT_CLASS class, unsigned may)
{
    bool secret = class == CKO_SECRET_KEY;
    if (secret)
        sck_template_bool(t, CKA_ENCRYPT, (may & SCK_MAY_ENCRYPT) != 0);
    sck_template_bool(t, CKA_DECRYPT, (may & SCK_MAY_DECRYPT) != 0);
    sck_template_bool(t, CKA_SIGN, (may & SCK_MAY_SIGN) != 0);
    if (secret) {
        sck_template_bool(t, CKA_VERIFY, (may & SCK_MAY_VERIFY) != 0);
        sck_template_bool(t, CKA_WRAP, (may & SCK_MAY_WRAP) != 0);
    } else {
        sck_template_bool(t, CKA_SIGN_RECOVER, false);
    }
    sck_template_bool(t, CKA_UNWRAP, (may & SCK_MAY_UNWRAP) != 0);
    sck_template_bool(t, CKA_DERIVE, (may & SCK_MAY_DERIVE) != 0);
}

void
sck_template_unwrapped(struct sck_template *t, const struct sck_kind *kind)
{
    sck_template_start(t);
    sck_template_ulong(t, CKA_CLASS, kind->class);
    sck_template_ulong(t, CKA_KEY_TYPE, kind->key_type);
    sck_template_bool(t, CKA_TOKEN, false);
    sck_template_bool(t, CKA_PRIVATE, true);
    sck_template_bool(t, CKA_SENSITIVE, true);
    sck_template_bool(t, CKA_EXTRACTABLE, false);
    sck_template_bool(t, CKA_COPYABLE, false);
    sck_template_flags(t, kind->class, kind->may);
    sck_template_mechanisms(t, kind->mechanisms, kind->mechanism_count);
    sck_template_bool(t, CKA_MODIFIABLE, false);
}

void
sck_template_unborn(struct sck_template *t, const struct sck_kind *kind)
{
    sck_template_start(t);
    sck_template_ulong(t, CKA_CLASS, kind->class);
    sck_template_ulong(t, CKA_KEY_TYPE, kind->key_type);
    sck_template_bool(t, CKA_TOKEN, false);
    sck_template_bool(t, CKA_PRIVATE, true);
    sck_template_bool(t, CKA_SENSITIVE, true);
    sck_template_bool(t, CKA_EXTRACTABLE, true);
    sck_template_flags(t, kind->class, 0);
    if (kind->class == CKO_SECRET_KEY)
        sck_template_ulong(t, CKA_VALUE_LEN, 32);
    sck_template_bool(t, CKA_COPYABLE, false);
    sck_template_bool(t, CKA_MODIFIABLE, false);
}

void
sck_template_public(struct sck_template *t, const struct sck_maker *maker, CK_KEY_TYPE type, bool old_name)
{
    sck_template_start(t);
    sck_template_ulong(t, CKA_CLASS, CKO_PUBLIC_KEY);
    sck_template_ulong(t, CKA_KEY_TYPE, type);
    sck_template_bool(t, CKA_TOKEN, false);
    sck_template_bool(t, CKA_PRIVATE, false);
    if (type == CKK_RSA) {
        sck_template_ulong(t, CKA_MODULUS_BITS, maker->bits);
        sck_template_bytes(t, CKA_PUBLIC_EXPONENT, exponent_65537, sizeof exponent_65537);
    } else if (old_name) {
        sck_template_bytes(t, CKA_EC_PARAMS, maker->ec_name, maker->ec_name_len);
    } else {
        sck_template_bytes(t, CKA_EC_PARAMS, maker->ec_params, maker->ec_params_len);
    }
}
