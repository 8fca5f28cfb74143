/* SPDX-License-Identifier: MIT */
#include "lib/token/attack.h"

#include "lib/token/key.h"
#include "lib/token/make.h"

#include <stdio.h>
#include <string.h>

/* The keys an attacker who has the PIN finds. */
struct lab {
    struct sck_use *use;
    CK_MECHANISM_TYPE mechanism;
    const struct sck_kind *kind;
    CK_OBJECT_HANDLE master;    /* of `kind` */
    CK_OBJECT_HANDLE unborn;    /* generated, not wrapped yet */
    CK_OBJECT_HANDLE key;       /* unwrapped as it should be */
    CK_OBJECT_HANDLE helper;    /* a wrapping key of the attacker's own */
    CK_OBJECT_HANDLE known;     /* an extractable key whose value he knows */
    struct sck_buf blob;        /* of `unborn`, by `master` */
};

static const uint8_t known_value[32] = "scopekey: the attacker knows it.";

static void
drop(struct lab *l, CK_OBJECT_HANDLE *object)
{
    if (*object != CK_INVALID_HANDLE)
        (void)SCK_P11(&l->use->conn, C_DestroyObject, l->use->session, *object);
    *object = CK_INVALID_HANDLE;
}

/* ---- what several attacks do ---- */

static bool
reads_value(struct lab *l, CK_OBJECT_HANDLE object)
{
    uint8_t value[64];
    CK_ATTRIBUTE at = {CKA_VALUE, value, sizeof value};
    CK_RV rv = SCK_P11(&l->use->conn, C_GetAttributeValue, l->use->session, object, &at, 1);
    sck_wipe(value, sizeof value);
    return rv == CKR_OK && at.ulValueLen != CK_UNAVAILABLE_INFORMATION;
}

static bool
reads_bool(struct lab *l, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    CK_BBOOL value = CK_FALSE;
    CK_ATTRIBUTE at = {type, &value, sizeof value};
    CK_RV rv = SCK_P11(&l->use->conn, C_GetAttributeValue, l->use->session, object, &at, 1);
    return rv == CKR_OK && value != CK_FALSE;
}

static bool
sets(struct lab *l, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, bool value)
{
    struct sck_template t;
    sck_template_start(&t);
    sck_template_bool(&t, type, value);
    return SCK_P11(&l->use->conn, C_SetAttributeValue, l->use->session, object, t.at, t.count) == CKR_OK &&
        reads_bool(l, object, type) == value;
}

static bool
copies(struct lab *l, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
    struct sck_template t;
    CK_OBJECT_HANDLE copy = CK_INVALID_HANDLE;
    sck_template_start(&t);
    sck_template_bool(&t, CKA_TOKEN, false);
    sck_template_bool(&t, type, true);
    CK_RV rv = SCK_P11(&l->use->conn, C_CopyObject, l->use->session, object, t.at, t.count, &copy);
    bool worked = rv == CKR_OK && reads_bool(l, copy, type);
    drop(l, &copy);
    return worked;
}

/* AES-ECB with a key: an oracle for everything wrapped by it. */
static bool
runs_ecb(struct lab *l, CK_OBJECT_HANDLE object, bool decrypt)
{
    uint8_t in[16] = {0}, out[32];
    CK_ULONG len = sizeof out;
    CK_MECHANISM m = {CKM_AES_ECB, NULL, 0};
    struct sck_conn *c = &l->use->conn;
    CK_SESSION_HANDLE s = l->use->session;
    if (decrypt)
        return SCK_P11(c, C_DecryptInit, s, &m, object) == CKR_OK &&
            SCK_P11(c, C_Decrypt, s, in, sizeof in, out, &len) == CKR_OK;
    return SCK_P11(c, C_EncryptInit, s, &m, object) == CKR_OK &&
        SCK_P11(c, C_Encrypt, s, in, sizeof in, out, &len) == CKR_OK;
}

static bool
wraps(struct lab *l, CK_OBJECT_HANDLE by, CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE what)
{
    uint8_t out[256], iv[16] = {0};
    CK_ULONG len = sizeof out;
    bool cbc = mechanism == CKM_AES_CBC || mechanism == CKM_AES_CBC_PAD;
    CK_MECHANISM m = {mechanism, cbc ? iv : NULL, cbc ? sizeof iv : 0};
    return SCK_P11(&l->use->conn, C_WrapKey, l->use->session, &m, by, what, out, &len) == CKR_OK;
}

/* Unwrap the blob with a template of the attacker's choice. */
static CK_RV
unwraps(struct lab *l, struct sck_template *t, CK_MECHANISM_TYPE mechanism, CK_OBJECT_HANDLE *out)
{
    uint8_t iv[16] = {0};
    bool cbc = mechanism == CKM_AES_CBC || mechanism == CKM_AES_CBC_PAD;
    CK_MECHANISM m = {mechanism, cbc ? iv : NULL, cbc ? sizeof iv : 0};
    *out = CK_INVALID_HANDLE;
    return SCK_P11(&l->use->conn, C_UnwrapKey, l->use->session, &m, l->master, l->blob.data, (CK_ULONG)l->blob.len,
                   t->at, t->count, out);
}

/* The design's template with one boolean turned over.  Worked when the key then really has it. */
static bool
unwraps_with(struct lab *l, CK_ATTRIBUTE_TYPE type, bool value)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    struct sck_template t;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    sck_template_unwrapped(&t, l->kind);
    for (CK_ULONG i = 0; i < t.count; i++) {
        if (t.at[i].type == type)
            t.at[i].pValue = sck_unconst(value ? &yes : &no);
    }
    bool worked = unwraps(l, &t, l->mechanism, &key) == CKR_OK && reads_bool(l, key, type) == value;
    drop(l, &key);
    return worked;
}

static bool
unwraps_as(struct lab *l, CK_KEY_TYPE type)
{
    struct sck_template t;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    sck_template_unwrapped(&t, l->kind);
    t.numbers[1] = type;
    CK_RV rv = unwraps(l, &t, l->mechanism, &key);
    drop(l, &key);
    return rv == CKR_OK;
}

/* ---- the master ---- */

static bool read_master(struct lab *l) { return reads_value(l, l->master); }
static bool decrypt_by_master(struct lab *l) { return runs_ecb(l, l->master, true); }
static bool encrypt_by_master(struct lab *l) { return runs_ecb(l, l->master, false); }
static bool set_master_decrypt(struct lab *l) { return sets(l, l->master, CKA_DECRYPT, true); }
static bool set_master_extractable(struct lab *l) { return sets(l, l->master, CKA_EXTRACTABLE, true); }
static bool copy_master_decrypt(struct lab *l) { return copies(l, l->master, CKA_DECRYPT); }
static bool copy_master_modifiable(struct lab *l) { return copies(l, l->master, CKA_MODIFIABLE); }
static bool wrap_master(struct lab *l) { return wraps(l, l->helper, l->mechanism, l->master); }

static bool
set_master_template(struct lab *l)
{
    CK_ATTRIBUTE at = {CKA_UNWRAP_TEMPLATE, NULL, 0};
    return SCK_P11(&l->use->conn, C_SetAttributeValue, l->use->session, l->master, &at, 1) == CKR_OK;
}

static bool
derive_from_master(struct lab *l)
{
    uint8_t data[32] = {0};
    CK_KEY_DERIVATION_STRING_DATA params = {data, sizeof data};
    CK_MECHANISM m = {CKM_AES_ECB_ENCRYPT_DATA, &params, sizeof params};
    struct sck_template t;
    CK_OBJECT_HANDLE out = CK_INVALID_HANDLE;
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
    sck_template_ulong(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
    sck_template_bool(&t, CKA_TOKEN, false);
    sck_template_ulong(&t, CKA_VALUE_LEN, 32);
    CK_RV rv = SCK_P11(&l->use->conn, C_DeriveKey, l->use->session, &m, l->master, t.at, t.count, &out);
    drop(l, &out);
    return rv == CKR_OK;
}

/* ---- what it wraps ---- */

static bool wrap_known_key(struct lab *l) { return wraps(l, l->master, l->mechanism, l->known); }
static bool wrap_key_again(struct lab *l) { return wraps(l, l->master, l->mechanism, l->key); }

static bool
wrap_by_other_mechanism(struct lab *l)
{
    return wraps(l, l->master, CKM_AES_KEY_WRAP, l->unborn) || wraps(l, l->master, CKM_AES_CBC, l->unborn) ||
        wraps(l, l->master, CKM_AES_CBC_PAD, l->unborn) || wraps(l, l->master, CKM_AES_ECB, l->unborn);
}

static bool
wrap_other_type(struct lab *l)
{
    struct sck_template t;
    CK_OBJECT_HANDLE other = CK_INVALID_HANDLE, none = CK_INVALID_HANDLE;
    sck_template_unborn(&t, sck_kind_find(SCK_USAGE_HMAC, SCK_FAMILY_SECRET));
    CK_RV rv = sck_generate(l->use, sck_maker_of(SCK_ALG_HMAC_SHA256), NULL, &t, &none, &other);
    bool worked = rv == CKR_OK && wraps(l, l->master, l->mechanism, other);
    drop(l, &other);
    return worked;
}

/* ---- what it unwraps ---- */

static bool unwrap_extractable(struct lab *l) { return unwraps_with(l, CKA_EXTRACTABLE, true); }
static bool unwrap_readable(struct lab *l) { return unwraps_with(l, CKA_SENSITIVE, false); }
static bool unwrap_resident(struct lab *l) { return unwraps_with(l, CKA_TOKEN, true); }
static bool unwrap_public(struct lab *l) { return unwraps_with(l, CKA_PRIVATE, false); }
static bool unwrap_copyable(struct lab *l) { return unwraps_with(l, CKA_COPYABLE, true); }
static bool unwrap_modifiable(struct lab *l) { return unwraps_with(l, CKA_MODIFIABLE, true); }
static bool unwrap_signing(struct lab *l) { return unwraps_with(l, CKA_SIGN, true); }
static bool unwrap_wrapping(struct lab *l) { return unwraps_with(l, CKA_WRAP, true); }
static bool unwrap_deriving(struct lab *l) { return unwraps_with(l, CKA_DERIVE, true); }
static bool unwrap_as_generic(struct lab *l) { return unwraps_as(l, CKK_GENERIC_SECRET); }
static bool unwrap_as_des3(struct lab *l) { return unwraps_as(l, CKK_DES3); }

/* A token may refuse it or fill in what the master says; anything else is a key of the attacker's taste. */
static bool
unwrap_silent(struct lab *l)
{
    struct sck_template t, want;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    char scratch[24];
    CK_RV rv = CKR_OK;
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, l->kind->class);
    sck_template_ulong(&t, CKA_KEY_TYPE, l->kind->key_type);
    sck_template_unwrapped(&want, l->kind);
    bool worked = unwraps(l, &t, l->mechanism, &key) == CKR_OK &&
        sck_own_compare(&l->use->conn, l->use->session, key, &want, scratch, &rv) != NULL;
    drop(l, &key);
    return worked;
}

static bool
unwrap_other_use(struct lab *l)
{
    static const CK_MECHANISM_TYPE ecb[] = {CKM_AES_ECB};
    struct sck_template t;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    sck_template_unwrapped(&t, l->kind);
    for (CK_ULONG i = 0; i < t.count; i++) {
        if (t.at[i].type == CKA_ALLOWED_MECHANISMS)
            t.at[i].pValue = sck_unconst(ecb);
    }
    bool worked = unwraps(l, &t, l->mechanism, &key) == CKR_OK && runs_ecb(l, key, true);
    drop(l, &key);
    return worked;
}

static bool
unwrap_by_other_mechanism(struct lab *l)
{
    static const CK_MECHANISM_TYPE others[] = {CKM_AES_KEY_WRAP, CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_ECB};
    bool worked = false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct sck_template t;
        CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
        sck_template_unwrapped(&t, l->kind);
        worked = worked || unwraps(l, &t, others[i], &key) == CKR_OK;
        drop(l, &key);
    }
    return worked;
}

/* ---- keys ---- */

static bool read_key(struct lab *l) { return reads_value(l, l->key); }
static bool set_key_extractable(struct lab *l) { return sets(l, l->key, CKA_EXTRACTABLE, true); }
static bool set_key_sign(struct lab *l) { return sets(l, l->key, CKA_SIGN, true); }
static bool copy_key(struct lab *l) { return copies(l, l->key, CKA_SIGN) || copies(l, l->key, CKA_MODIFIABLE); }
static bool key_by_other_mechanism(struct lab *l) { return runs_ecb(l, l->key, true) || runs_ecb(l, l->key, false); }
static bool read_new_key(struct lab *l) { return reads_value(l, l->unborn); }
static bool use_new_key(struct lab *l) { return runs_ecb(l, l->unborn, true) || runs_ecb(l, l->unborn, false); }
static bool set_new_key(struct lab *l) { return sets(l, l->unborn, CKA_DECRYPT, true); }
static bool copy_new_key(struct lab *l) { return copies(l, l->unborn, CKA_DECRYPT); }

static const struct attack {
    const char *name;
    bool (*works)(struct lab *l);
} attacks[] = {
    {"read-master", read_master},
    {"decrypt-by-master", decrypt_by_master},
    {"encrypt-by-master", encrypt_by_master},
    {"set-master-decrypt", set_master_decrypt},
    {"set-master-extractable", set_master_extractable},
    {"set-master-template", set_master_template},
    {"copy-master-decrypt", copy_master_decrypt},
    {"copy-master-modifiable", copy_master_modifiable},
    {"wrap-master", wrap_master},
    {"derive-from-master", derive_from_master},
    {"wrap-known-key", wrap_known_key},
    {"wrap-key-again", wrap_key_again},
    {"wrap-other-type", wrap_other_type},
    {"wrap-by-other-mechanism", wrap_by_other_mechanism},
    {"unwrap-extractable", unwrap_extractable},
    {"unwrap-readable", unwrap_readable},
    {"unwrap-resident", unwrap_resident},
    {"unwrap-public", unwrap_public},
    {"unwrap-copyable", unwrap_copyable},
    {"unwrap-modifiable", unwrap_modifiable},
    {"unwrap-signing", unwrap_signing},
    {"unwrap-wrapping", unwrap_wrapping},
    {"unwrap-deriving", unwrap_deriving},
    {"unwrap-as-generic", unwrap_as_generic},
    {"unwrap-as-des3", unwrap_as_des3},
    {"unwrap-silent", unwrap_silent},
    {"unwrap-other-use", unwrap_other_use},
    {"unwrap-by-other-mechanism", unwrap_by_other_mechanism},
    {"read-key", read_key},
    {"set-key-extractable", set_key_extractable},
    {"set-key-sign", set_key_sign},
    {"copy-key", copy_key},
    {"key-by-other-mechanism", key_by_other_mechanism},
    {"read-new-key", read_new_key},
    {"use-new-key", use_new_key},
    {"set-new-key", set_new_key},
    {"copy-new-key", copy_new_key},
};

/* ---- the laboratory ---- */

static CK_RV
make_helper(struct lab *l, bool known)
{
    struct sck_template t;
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
    sck_template_ulong(&t, CKA_KEY_TYPE, CKK_AES);
    sck_template_bool(&t, CKA_TOKEN, false);
    sck_template_bool(&t, CKA_PRIVATE, true);
    sck_template_bool(&t, CKA_SENSITIVE, true);
    sck_template_bool(&t, CKA_EXTRACTABLE, true);
    sck_template_bool(&t, CKA_WRAP, !known);
    sck_template_bytes(&t, CKA_VALUE, known_value, sizeof known_value);
    return SCK_P11(&l->use->conn, C_CreateObject, l->use->session, t.at, t.count, known ? &l->known : &l->helper);
}

static CK_RV
make_master(struct lab *l, const struct sck_kind *kind)
{
    struct sck_own_spec spec = {.name = "attack", .role = SCK_OWN_MASTER, .kind = kind};
    struct sck_own_template t;
    CK_OBJECT_HANDLE none;
    l->kind = kind;
    sck_own_template(l->use->token, &spec, l->mechanism, false, false, &t);
    return sck_generate(l->use, sck_maker_of(SCK_ALG_AES_256), NULL, &t.key, &none, &l->master);
}

/* A key of `kind` by way of the master, the intermediate states kept. */
static CK_RV
make_key(struct lab *l, const struct sck_maker *maker)
{
    struct sck_template unborn, public_t;
    CK_OBJECT_HANDLE public = CK_INVALID_HANDLE;
    bool pair = l->kind->class == CKO_PRIVATE_KEY;
    sck_template_unborn(&unborn, l->kind);
    if (pair)
        sck_template_public(&public_t, maker, l->kind->key_type, false);
    CK_RV rv = sck_generate(l->use, maker, pair ? &public_t : NULL, &unborn, &public, &l->unborn);
    drop(l, &public);
    if (rv == CKR_OK)
        rv = sck_wrap(l->use, l->master, l->mechanism, l->unborn, &l->blob);
    if (rv == CKR_OK)
        rv = sck_unwrap(l->use, l->kind, l->master, l->mechanism, l->blob.data, l->blob.len, &l->key);
    return rv;
}

static void
close_lab(struct lab *l)
{
    CK_OBJECT_HANDLE *all[] = {&l->key, &l->unborn, &l->master, &l->helper, &l->known};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        drop(l, all[i]);
    sck_buf_clear(&l->blob);
}

static void
tell(const char *name, bool works, sck_token_report_fn report, void *arg, const char **worked)
{
    char line[120];
    if (works && *worked == NULL)
        *worked = name;
    if (report == NULL)
        return;
    (void)snprintf(line, sizeof line, "attack %s %s", name, works ? "works" : "was refused");
    report(arg, line, works ? "use another token; docs/tokens.md says what this one would give away" : NULL);
}

/* A signing key must not decrypt: C_Sign with raw RSA is C_Decrypt by another name. */
static CK_RV
attack_rsa(struct sck_use *use, CK_MECHANISM_TYPE mechanism, sck_token_report_fn report, void *arg,
           const char **worked)
{
    struct lab l = {.use = use, .mechanism = mechanism};
    uint8_t in[256] = {0}, out[512];
    CK_ULONG len = sizeof out;
    CK_MECHANISM raw = {CKM_RSA_X_509, NULL, 0}, pkcs = {CKM_RSA_PKCS, NULL, 0};
    struct sck_conn *c = &use->conn;
    sck_buf_init(&l.blob, SCK_BLOB_MAX);
    in[255] = 2;
    CK_RV rv = make_master(&l, sck_kind_find(SCK_USAGE_SIGN, SCK_FAMILY_RSA));
    if (rv == CKR_OK)
        rv = make_key(&l, sck_maker_of(SCK_ALG_RSA_2048));
    if (rv == CKR_OK) {
        bool works = SCK_P11(c, C_SignInit, use->session, &raw, l.key) == CKR_OK &&
            SCK_P11(c, C_Sign, use->session, in, sizeof in, out, &len) == CKR_OK;
        tell("sign-key-raw", works, report, arg, worked);
        len = sizeof out;
        works = SCK_P11(c, C_DecryptInit, use->session, &pkcs, l.key) == CKR_OK &&
            SCK_P11(c, C_Decrypt, use->session, in, sizeof in, out, &len) == CKR_OK;
        tell("sign-key-decrypts", works, report, arg, worked);
        tell("unwrap-sign-as-decrypt", unwraps_with(&l, CKA_DECRYPT, true), report, arg, worked);
    }
    close_lab(&l);
    return rv;
}

CK_RV
sck_attack_all(struct sck_use *use, CK_MECHANISM_TYPE mechanism, bool rsa, sck_token_report_fn report, void *arg,
               const char **worked)
{
    struct lab l = {.use = use, .mechanism = mechanism};
    *worked = NULL;
    sck_buf_init(&l.blob, SCK_BLOB_MAX);
    CK_RV rv = make_master(&l, sck_kind_find(SCK_USAGE_GCM, SCK_FAMILY_AES));
    if (rv == CKR_OK)
        rv = make_key(&l, sck_maker_of(SCK_ALG_AES_256));
    if (rv == CKR_OK)
        rv = make_helper(&l, false);
    if (rv == CKR_OK)
        rv = make_helper(&l, true);
    for (size_t i = 0; rv == CKR_OK && i < sizeof attacks / sizeof attacks[0]; i++)
        tell(attacks[i].name, attacks[i].works(&l), report, arg, worked);
    close_lab(&l);
    if (rv == CKR_OK && rsa)
        rv = attack_rsa(use, mechanism, report, arg, worked);
    if (rv != CKR_OK && sck_rv_lost(rv) == SCK_LOST_NOTHING && rv != SCK_RV_EXITING) {
        tell("make-master", true, report, arg, worked);
        rv = CKR_OK;
    }
    return rv;
}
