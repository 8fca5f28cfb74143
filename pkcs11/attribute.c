/* SPDX-License-Identifier: MIT */
#include "pkcs11/attribute.h"

#include "lib/base/text.h"
#include "pkcs11/mechanism.h"

#include <string.h>

/* ---- values ---- */

typedef bool (*value_fn)(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out);

static void
put_ulong(struct sck_buf *out, CK_ULONG v)
{
    sck_buf_put(out, &v, sizeof v);
}

static bool
v_bool(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)o;
    sck_buf_put_u8(out, arg != 0 ? CK_TRUE : CK_FALSE);
    return true;
}

static bool
v_class(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    put_ulong(out, o->class_);
    return true;
}

static bool
v_generated(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return v_bool(o, o->info->origin == SCK_ORIGIN_GENERATED, out);
}

static bool
v_label(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    sck_label_format(&o->info->scope, o->info->name, out);
    return true;
}

static bool
v_id(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    sck_buf_put(out, o->info->id, sizeof o->info->id);
    return true;
}

static bool
v_unique_id(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    sck_p11_unique_id(o->info, o->class_, out);
    return true;
}

static bool
v_empty(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)o;
    (void)arg;
    (void)out;
    return true;
}

static enum sck_family
family(const struct sck_p11_object *o)
{
    const struct sck_alg_info *alg = sck_alg_info(o->info->alg);
    return alg != NULL ? alg->family : 0;
}

static bool
v_key_type(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    switch (family(o)) {
    case SCK_FAMILY_AES: put_ulong(out, CKK_AES); return true;
    case SCK_FAMILY_SECRET: put_ulong(out, CKK_GENERIC_SECRET); return true;
    case SCK_FAMILY_RSA: put_ulong(out, CKK_RSA); return true;
    case SCK_FAMILY_EC: put_ulong(out, CKK_EC); return true;
    case SCK_FAMILY_EDWARDS: put_ulong(out, CKK_EC_EDWARDS); return true;
    }
    return false;
}

static CK_MECHANISM_TYPE
generator(const struct sck_p11_object *o)
{
    switch (family(o)) {
    case SCK_FAMILY_AES: return CKM_AES_KEY_GEN;
    case SCK_FAMILY_SECRET: return CKM_GENERIC_SECRET_KEY_GEN;
    case SCK_FAMILY_RSA: return CKM_RSA_PKCS_KEY_PAIR_GEN;
    case SCK_FAMILY_EC: return CKM_EC_KEY_PAIR_GEN;
    case SCK_FAMILY_EDWARDS: return CKM_EC_EDWARDS_KEY_PAIR_GEN;
    }
    return CK_UNAVAILABLE_INFORMATION;
}

static bool
v_generator(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    put_ulong(out, o->info->origin == SCK_ORIGIN_GENERATED ? generator(o) : CK_UNAVAILABLE_INFORMATION);
    return true;
}

/* A CK_DATE, "YYYYMMDD"; empty when there is none (PKCS#11 2.40 section 3.4). */
static bool
put_date(int64_t at_s, struct sck_buf *out)
{
    char text[SCK_TIME_TEXT];
    sck_time_format(at_s, text);
    if (at_s == 0 || text[0] == '\0')
        return true;
    sck_buf_put(out, text, 4);
    sck_buf_put(out, text + 5, 2);
    sck_buf_put(out, text + 8, 2);
    return true;
}

static bool
v_start(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return put_date(o->info->created_s, out);
}

static bool
v_end(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return put_date(o->info->expires_s, out);
}

/* `arg` holds the usages, as bits, that set the flag. */
static bool
v_usage(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    return v_bool(o, (arg >> o->info->usage) & 1, out);
}

static bool
v_mechanisms(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    static const CK_FLAGS uses[] = {CKF_SIGN, CKF_VERIFY, CKF_ENCRYPT, CKF_DECRYPT};
    (void)arg;
    const struct sck_p11_mech *m;
    for (size_t i = 0; (m = sck_p11_mech_at(i)) != NULL; i++) {
        bool fits = false;
        for (size_t u = 0; u < sizeof uses / sizeof uses[0]; u++)
            fits = fits || ((m->flags & uses[u]) != 0 && sck_p11_mech_fits(m, uses[u], o->class_, o->info) == CKR_OK);
        if (fits)
            put_ulong(out, m->type);
    }
    return true;
}

static bool
put_bytes(struct sck_bytes bytes, struct sck_buf *out)
{
    sck_buf_put(out, bytes.data, bytes.len);
    return bytes.len != 0;
}

static bool
v_spki(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return put_bytes((struct sck_bytes){o->info->spki, o->info->spki_len}, out);
}

static bool
v_modulus(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return put_bytes(o->spki.modulus, out);
}

static bool
v_exponent(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return put_bytes(o->spki.exponent, out);
}

static bool
v_modulus_bits(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    struct sck_bytes n = o->spki.modulus;
    if (n.len == 0)
        return false;
    CK_ULONG bits = n.len * 8;
    for (unsigned top = n.data[0]; top < 0x80; top <<= 1)
        bits--;
    put_ulong(out, bits);
    return true;
}

/* PKCS#11 3.0 section 2.3.5: for Edwards keys the algorithm's OID names the curve (RFC 8410 section 3). */
static bool
v_ec_params(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    return put_bytes(family(o) == SCK_FAMILY_EDWARDS ? o->spki.algorithm : o->spki.parameters, out);
}

static bool
v_ec_point(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    if (o->spki.key.len == 0)
        return false;
    sck_p11_octet_string(o->spki.key, out);
    return true;
}

static bool
v_value_len(const struct sck_p11_object *o, CK_ULONG arg, struct sck_buf *out)
{
    (void)arg;
    const struct sck_alg_info *alg = sck_alg_info(o->info->alg);
    if (alg == NULL)
        return false;
    put_ulong(out, alg->bits / 8);
    return true;
}

/* ---- the table ---- */

enum { PUB = 1, PRV = 2, SEC = 4, OWN = PRV | SEC, PAIR = PUB | PRV, ALL = 7 };
enum { FAM_ANY = 0, FAM_RSA = 1U << SCK_FAMILY_RSA, FAM_EC = 1U << SCK_FAMILY_EC | 1U << SCK_FAMILY_EDWARDS };

#define U(usage) (1UL << SCK_USAGE_##usage)
#define CIPHERS (U(GCM) | U(GCM_CALLER_IV) | U(CBC) | U(CTR))

static const struct {
    CK_ATTRIBUTE_TYPE type;
    unsigned classes;
    unsigned families;
    value_fn value; /* NULL: a part of the key itself */
    CK_ULONG arg;
} rows[] = {
    {CKA_CLASS, ALL, FAM_ANY, v_class, 0},
    {CKA_TOKEN, ALL, FAM_ANY, v_bool, 1},
    {CKA_PRIVATE, PUB, FAM_ANY, v_bool, 0},
    {CKA_PRIVATE, OWN, FAM_ANY, v_bool, 1},
    {CKA_MODIFIABLE, ALL, FAM_ANY, v_bool, 0},
    {CKA_COPYABLE, ALL, FAM_ANY, v_bool, 0},
    {CKA_DESTROYABLE, ALL, FAM_ANY, v_bool, 0},
    {CKA_LABEL, ALL, FAM_ANY, v_label, 0},
    {CKA_UNIQUE_ID, ALL, FAM_ANY, v_unique_id, 0},
    {CKA_KEY_TYPE, ALL, FAM_ANY, v_key_type, 0},
    {CKA_ID, ALL, FAM_ANY, v_id, 0},
    {CKA_START_DATE, ALL, FAM_ANY, v_start, 0},
    {CKA_END_DATE, ALL, FAM_ANY, v_end, 0},
    {CKA_LOCAL, ALL, FAM_ANY, v_generated, 0},
    {CKA_KEY_GEN_MECHANISM, ALL, FAM_ANY, v_generator, 0},
    {CKA_ALLOWED_MECHANISMS, ALL, FAM_ANY, v_mechanisms, 0},
    {CKA_SUBJECT, PAIR, FAM_ANY, v_empty, 0},
    {CKA_PUBLIC_KEY_INFO, PAIR, FAM_ANY, v_spki, 0},
    {CKA_DERIVE, PRV, FAM_ANY, v_usage, U(AGREE)},
    {CKA_DERIVE, PUB | SEC, FAM_ANY, v_bool, 0},
    {CKA_SIGN, PRV, FAM_ANY, v_usage, U(SIGN) | U(ANY)},
    {CKA_VERIFY, PUB, FAM_ANY, v_usage, U(SIGN) | U(ANY)},
    {CKA_SIGN, SEC, FAM_ANY, v_usage, U(HMAC) | U(CMAC)},
    {CKA_VERIFY, SEC, FAM_ANY, v_usage, U(HMAC) | U(CMAC)},
    {CKA_SIGN_RECOVER, PRV, FAM_ANY, v_bool, 0},
    {CKA_VERIFY_RECOVER, PUB, FAM_ANY, v_bool, 0},
    {CKA_DECRYPT, PRV, FAM_ANY, v_usage, U(DECRYPT) | U(ANY)},
    {CKA_ENCRYPT, PUB, FAM_ANY, v_usage, U(DECRYPT) | U(ANY)},
    {CKA_DECRYPT, SEC, FAM_ANY, v_usage, CIPHERS},
    {CKA_ENCRYPT, SEC, FAM_ANY, v_usage, CIPHERS},
    {CKA_WRAP, PUB, FAM_ANY, v_bool, 0},
    {CKA_UNWRAP, PRV, FAM_ANY, v_bool, 0},
    {CKA_WRAP, SEC, FAM_ANY, v_usage, U(WRAP)},
    {CKA_UNWRAP, SEC, FAM_ANY, v_usage, U(WRAP)},
    {CKA_TRUSTED, PUB | SEC, FAM_ANY, v_bool, 0},
    {CKA_SENSITIVE, OWN, FAM_ANY, v_bool, 1},
    {CKA_ALWAYS_SENSITIVE, OWN, FAM_ANY, v_generated, 0},
    {CKA_EXTRACTABLE, OWN, FAM_ANY, v_bool, 0},
    {CKA_NEVER_EXTRACTABLE, OWN, FAM_ANY, v_generated, 0},
    {CKA_WRAP_WITH_TRUSTED, OWN, FAM_ANY, v_bool, 0},
    {CKA_ALWAYS_AUTHENTICATE, PRV, FAM_ANY, v_bool, 0},
    {CKA_MODULUS, PAIR, FAM_RSA, v_modulus, 0},
    {CKA_MODULUS_BITS, PUB, FAM_RSA, v_modulus_bits, 0},
    {CKA_PUBLIC_EXPONENT, PAIR, FAM_RSA, v_exponent, 0},
    {CKA_EC_PARAMS, PAIR, FAM_EC, v_ec_params, 0},
    {CKA_EC_POINT, PAIR, FAM_EC, v_ec_point, 0},
    {CKA_VALUE_LEN, SEC, FAM_ANY, v_value_len, 0},
    {CKA_VALUE, SEC, FAM_ANY, NULL, 0},
    {CKA_VALUE, PRV, FAM_EC, NULL, 0},
    {CKA_PRIVATE_EXPONENT, PRV, FAM_RSA, NULL, 0},
    {CKA_PRIME_1, PRV, FAM_RSA, NULL, 0},
    {CKA_PRIME_2, PRV, FAM_RSA, NULL, 0},
    {CKA_EXPONENT_1, PRV, FAM_RSA, NULL, 0},
    {CKA_EXPONENT_2, PRV, FAM_RSA, NULL, 0},
    {CKA_COEFFICIENT, PRV, FAM_RSA, NULL, 0},
};

static unsigned
class_bit(CK_OBJECT_CLASS class_)
{
    if (class_ == CKO_PUBLIC_KEY)
        return PUB;
    return class_ == CKO_PRIVATE_KEY ? PRV : SEC;
}

void
sck_p11_object_init(struct sck_p11_object *object, CK_OBJECT_CLASS class_, const struct sck_key_info *info)
{
    *object = (struct sck_p11_object){.class_ = class_, .info = info};
    if (info->spki_len != 0 && !sck_p11_spki_parse(info->spki, info->spki_len, &object->spki))
        object->spki = (struct sck_p11_spki){0};
}

CK_RV
sck_p11_attr_get(const struct sck_p11_object *object, CK_ATTRIBUTE_TYPE type, struct sck_buf *out)
{
    unsigned family_bit = 1U << family(object);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].type != type || (rows[i].classes & class_bit(object->class_)) == 0 ||
            (rows[i].families != FAM_ANY && (rows[i].families & family_bit) == 0))
            continue;
        if (rows[i].value == NULL)
            return CKR_ATTRIBUTE_SENSITIVE;
        if (!rows[i].value(object, rows[i].arg, out))
            return CKR_ATTRIBUTE_TYPE_INVALID;
        return out->failed ? CKR_HOST_MEMORY : CKR_OK;
    }
    return CKR_ATTRIBUTE_TYPE_INVALID;
}

bool
sck_p11_attr_match(const struct sck_p11_object *object, const CK_ATTRIBUTE *templ, size_t count)
{
    struct sck_buf have;
    sck_buf_init(&have, SCK_P11_ATTR_MAX);
    bool match = true;
    for (size_t i = 0; i < count && match; i++) {
        sck_buf_reset(&have);
        match = sck_p11_attr_get(object, templ[i].type, &have) == CKR_OK &&
                sck_bytes_equal(have.data, have.len, templ[i].pValue, templ[i].ulValueLen);
    }
    sck_buf_clear(&have);
    return match;
}

/* How long a value of this type must be; 0 when that depends. */
static size_t
fixed_size(CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].type != type)
            continue;
        if (rows[i].value == v_bool || rows[i].value == v_usage || rows[i].value == v_generated)
            return sizeof(CK_BBOOL);
        if (rows[i].value == v_class || rows[i].value == v_key_type || rows[i].value == v_generator ||
            rows[i].value == v_modulus_bits || rows[i].value == v_value_len)
            return sizeof(CK_ULONG);
    }
    return 0;
}

CK_RV
sck_p11_template_check(const CK_ATTRIBUTE *templ, CK_ULONG count)
{
    if (count > SCK_P11_TEMPLATE_MAX || (templ == NULL && count != 0))
        return CKR_ARGUMENTS_BAD;
    for (CK_ULONG i = 0; i < count; i++) {
        size_t fixed = fixed_size(templ[i].type);
        if ((templ[i].pValue == NULL && templ[i].ulValueLen != 0) || templ[i].ulValueLen > 64 * 1024UL ||
            (fixed != 0 && templ[i].ulValueLen != fixed))
            return CKR_ATTRIBUTE_VALUE_INVALID;
    }
    return CKR_OK;
}

/* ---- CKA_UNIQUE_ID ---- */

static const char *
half_name(CK_OBJECT_CLASS class_)
{
    if (class_ == CKO_PUBLIC_KEY)
        return "/public";
    return class_ == CKO_PRIVATE_KEY ? "/private" : "/secret";
}

void
sck_p11_unique_id(const struct sck_key_info *info, CK_OBJECT_CLASS class_, struct sck_buf *out)
{
    sck_buf_put_str(out, info->key_id);
    sck_buf_put_str(out, half_name(class_));
}

bool
sck_p11_unique_id_parse(const void *text, size_t len, char key_id[SCK_KEY_ID_MAX + 1])
{
    const char *slash = len != 0 ? memchr(text, '/', len) : NULL;
    if (slash == NULL)
        return false;
    size_t id_len = (size_t)(slash - (const char *)text);
    if (id_len > SCK_KEY_ID_MAX)
        return false;
    memcpy(key_id, text, id_len);
    key_id[id_len] = '\0';
    return strlen(key_id) == id_len;
}
