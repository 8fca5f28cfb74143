/* SPDX-License-Identifier: MIT */
#include "lib/token/own.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum sck_own_role role;
} fixed[] = {
    {"epoch/1", SCK_OWN_EPOCH}, {"mac", SCK_OWN_HMAC},     {"name", SCK_OWN_HMAC},
    {"audit", SCK_OWN_HMAC},    {"catalog", SCK_OWN_PAIR}, {"receipt", SCK_OWN_PAIR},
};
enum { FIXED = sizeof fixed / sizeof fixed[0] };

static const CK_MECHANISM_TYPE gcm_only[] = {CKM_AES_GCM};
static const CK_MECHANISM_TYPE hmac_only[] = {CKM_SHA256_HMAC};
static const CK_MECHANISM_TYPE ecdsa_only[] = {CKM_ECDSA};

void
sck_own_master_name(const struct sck_kind *kind, char out[40])
{
    (void)snprintf(out, 40, "master/%s-%s", sck_usage_name(kind->usage), sck_family_name(kind->family));
}

bool
sck_own_spec_at(size_t index, struct sck_own_spec *out)
{
    memset(out, 0, sizeof *out);
    if (index < FIXED) {
        (void)snprintf(out->name, sizeof out->name, "%s", fixed[index].name);
        out->role = fixed[index].role;
        return true;
    }
    index -= FIXED;
    for (size_t i = 0;; i++) {
        const struct sck_kind *kind = sck_kind_at(i);
        if (kind == NULL)
            return false;
        if (!kind->is_wrapped || index-- > 0)
            continue;
        sck_own_master_name(kind, out->name);
        out->role = SCK_OWN_MASTER;
        out->kind = kind;
        return true;
    }
}

bool
sck_own_spec_of(const char *name, struct sck_own_spec *out)
{
    for (size_t i = 0; sck_own_spec_at(i, out); i++) {
        if (strcmp(out->name, name) == 0)
            return true;
    }
    if (strncmp(name, "epoch/", 6) != 0 || strlen(name) >= sizeof out->name)
        return false;
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    out->role = SCK_OWN_EPOCH;
    return true;
}

static void
common(struct sck_template *k, const struct sck_token *t, const char *label, CK_OBJECT_CLASS class, CK_KEY_TYPE type,
       bool token_object)
{
    sck_template_start(k);
    sck_template_ulong(k, CKA_CLASS, class);
    sck_template_ulong(k, CKA_KEY_TYPE, type);
    sck_template_bool(k, CKA_TOKEN, token_object);
    sck_template_bytes(k, CKA_LABEL, label, strlen(label));
    sck_template_bytes(k, CKA_ID, t->conf.setup_id, sizeof t->conf.setup_id);
    if (class == CKO_PUBLIC_KEY)
        return;
    sck_template_bool(k, CKA_PRIVATE, true);
    sck_template_bool(k, CKA_SENSITIVE, true);
    sck_template_bool(k, CKA_EXTRACTABLE, false);
    if (class == CKO_SECRET_KEY)
        sck_template_ulong(k, CKA_VALUE_LEN, 32);
}

/* Word for word design: a master can do nothing but wrap and unwrap keys of its kind. */
static void
master(const struct sck_own_spec *spec, bool plain, struct sck_own_template *out)
{
    sck_template_flags(&out->key, CKO_SECRET_KEY, SCK_MAY_WRAP | SCK_MAY_UNWRAP);
    if (plain)
        return;
    sck_template_mechanisms(&out->key, &out->mechanism, 1);
    sck_template_start(&out->wrap);
    sck_template_ulong(&out->wrap, CKA_CLASS, spec->kind->class);
    sck_template_ulong(&out->wrap, CKA_KEY_TYPE, spec->kind->key_type);
    sck_template_bool(&out->wrap, CKA_LOCAL, true);
    sck_template_bool(&out->wrap, CKA_ALWAYS_SENSITIVE, true);
    sck_template_nested(&out->key, CKA_WRAP_TEMPLATE, &out->wrap);
    sck_template_unwrapped(&out->unwrap, spec->kind);
    sck_template_nested(&out->key, CKA_UNWRAP_TEMPLATE, &out->unwrap);
}

static void
simple(const struct sck_own_spec *spec, bool plain, struct sck_own_template *out)
{
    CK_OBJECT_CLASS class = spec->role == SCK_OWN_PAIR ? CKO_PRIVATE_KEY : CKO_SECRET_KEY;
    unsigned may = spec->role == SCK_OWN_EPOCH ? SCK_MAY_ENCRYPT | SCK_MAY_DECRYPT : SCK_MAY_SIGN;
    sck_template_flags(&out->key, class, may);
    if (!plain)
        sck_template_mechanisms(&out->key, spec->role == SCK_OWN_EPOCH ? gcm_only
                                               : spec->role == SCK_OWN_HMAC ? hmac_only
                                                                            : ecdsa_only,
                                1);
}

void
sck_own_template(const struct sck_token *t, const struct sck_own_spec *spec, CK_MECHANISM_TYPE wrap_mechanism,
                 bool token_object, bool plain, struct sck_own_template *out)
{
    CK_KEY_TYPE type = spec->role == SCK_OWN_HMAC ? CKK_GENERIC_SECRET : spec->role == SCK_OWN_PAIR ? CKK_EC : CKK_AES;
    CK_OBJECT_CLASS class = spec->role == SCK_OWN_PAIR ? CKO_PRIVATE_KEY : CKO_SECRET_KEY;
    (void)snprintf(out->label, sizeof out->label, "%s%s", t->prefix, spec->name);
    out->mechanism = wrap_mechanism;
    common(&out->key, t, out->label, class, type, token_object);
    if (spec->role == SCK_OWN_MASTER)
        master(spec, plain, out);
    else
        simple(spec, plain, out);
    if (spec->role == SCK_OWN_PAIR) {
        const struct sck_maker *p256 = sck_maker_of(SCK_ALG_EC_P256);
        common(&out->public, t, out->label, CKO_PUBLIC_KEY, CKK_EC, token_object);
        sck_template_bytes(&out->public, CKA_EC_PARAMS, p256->ec_params, p256->ec_params_len);
        sck_template_bool(&out->public, CKA_PRIVATE, false);
        sck_template_bool(&out->public, CKA_VERIFY, true);
        sck_template_bool(&out->public, CKA_MODIFIABLE, false);
    }
    if (plain)
        return;
    sck_template_bool(&out->key, CKA_COPYABLE, false);
    sck_template_bool(&out->key, CKA_MODIFIABLE, false);
}

CK_RV
sck_find(struct sck_conn *c, CK_SESSION_HANDLE session, struct sck_template *t, CK_OBJECT_HANDLE *out, CK_ULONG max,
         CK_ULONG *found)
{
    *found = 0;
    CK_RV rv = SCK_P11(c, C_FindObjectsInit, session, t->at, t->count);
    CK_ULONG got = 1;
    while (rv == CKR_OK && got > 0 && *found < max) {
        rv = SCK_P11(c, C_FindObjects, session, out + *found, max - *found, &got);
        *found += rv == CKR_OK ? got : 0;
    }
    CK_RV end = SCK_P11(c, C_FindObjectsFinal, session);
    return rv == CKR_OK ? end : rv;
}

/* Add the object if its label is one of this set-up's. */
static CK_RV
add_found(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
          struct sck_own *out)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    char label[128];
    CK_ATTRIBUTE at[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, sizeof label - 1}};
    size_t prefix = strlen(t->prefix);
    CK_RV rv = SCK_P11(c, C_GetAttributeValue, session, handle, at, 2);
    if (rv != CKR_OK)
        return sck_rv_lost(rv) == SCK_LOST_SESSIONS || sck_rv_lost(rv) == SCK_LOST_MODULE ? rv : CKR_OK;
    label[at[1].ulValueLen] = 0;
    if (strncmp(label, t->prefix, prefix) != 0)
        return CKR_OK;
    if (class == CKO_DATA) {
        out->complete = out->complete || strcmp(label + prefix, "complete") == 0;
        return CKR_OK;
    }
    struct sck_object *o = &out->objects[out->count];
    if (out->count == SCK_OBJECTS_MAX || strlen(label + prefix) >= sizeof o->name)
        return CKR_OK;
    (void)snprintf(o->name, sizeof o->name, "%s", label + prefix);
    o->class = class;
    o->handle = handle;
    o->mechanism = 0;
    out->count++;
    return CKR_OK;
}

enum sck_code
sck_own_find(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session, struct sck_own *out,
             struct sck_err *err)
{
    CK_OBJECT_HANDLE handles[SCK_OBJECTS_MAX];
    struct sck_template keys, data;
    out->count = 0;
    out->complete = false;
    sck_template_start(&keys);
    sck_template_bool(&keys, CKA_TOKEN, true);
    sck_template_bytes(&keys, CKA_ID, t->conf.setup_id, sizeof t->conf.setup_id);
    sck_template_start(&data);
    sck_template_ulong(&data, CKA_CLASS, CKO_DATA);
    sck_template_bytes(&data, CKA_APPLICATION, t->prefix, strlen(t->prefix) - 1);
    struct sck_template *searches[] = {&keys, &data};
    for (size_t i = 0; i < 2; i++) {
        CK_ULONG found = 0;
        CK_RV rv = sck_find(c, session, searches[i], handles, SCK_OBJECTS_MAX, &found);
        for (CK_ULONG j = 0; rv == CKR_OK && j < found; j++)
            rv = add_found(t, c, session, handles[j], out);
        if (rv != CKR_OK)
            return sck_fail_rv(err, rv, "searching token %s for Scopekey's own keys", t->conf.label);
    }
    return SCK_OK;
}

enum sck_code
sck_own_get(struct sck_token *t, const struct sck_use *use, const char *name, CK_OBJECT_CLASS class,
            CK_OBJECT_HANDLE *out, CK_MECHANISM_TYPE *mechanism, struct sck_err *err)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    /* When the token was lost meanwhile the old handle leads to a refused call and a second attempt. */
    for (unsigned i = 0; i < t->object_count && !found; i++) {
        const struct sck_object *o = &t->objects[i];
        found = o->class == class && strcmp(o->name, name) == 0;
        if (found) {
            *out = use->incarnation == t->incarnation ? o->handle : CK_INVALID_HANDLE;
            if (mechanism != NULL)
                *mechanism = o->mechanism;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return found ? SCK_OK
                 : sck_fail(err, SCK_E_CONFIG,
                            "Scopekey's own key %s is not on token %s: run `scopekey init`, or restore the token",
                            name, t->conf.label);
}

struct own_args {
    struct sck_token *t;
    const char *name;
    CK_OBJECT_CLASS class;
    sck_op_fn op;
    void *arg;
    enum sck_code rc;
    struct sck_err *err;
};

static CK_RV
own_op(struct sck_use *use, void *arg)
{
    struct own_args *a = arg;
    a->rc = sck_own_get(a->t, use, a->name, a->class, &use->object, NULL, a->err);
    return a->rc == SCK_OK ? a->op(use, a->arg) : CKR_OK;
}

enum sck_code
sck_own_run(struct sck_token *t, const char *name, sck_op_fn op, void *arg, const char *what, struct sck_err *err)
{
    struct sck_own_spec spec;
    CK_OBJECT_CLASS class = sck_own_spec_of(name, &spec) && spec.role == SCK_OWN_PAIR ? CKO_PRIVATE_KEY
                                                                                      : CKO_SECRET_KEY;
    struct own_args args = {t, name, class, op, arg, SCK_OK, err};
    enum sck_code rc = sck_token_run(t, SCK_NEED_KEYS, false, own_op, &args, what, err);
    return rc == SCK_OK ? args.rc : rc;
}
