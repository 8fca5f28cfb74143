/* SPDX-License-Identifier: MIT */
/* Own keys are read back attribute by attribute: a PIN holder may have put another key in a master's place. */
#include "lib/token/own.h"

#include "lib/base/log.h"
#include "lib/token/probe.h"

#include <stdio.h>
#include <string.h>

/* Buffers for one read-back.  A bump allocator, because nested templates want buffers within buffers. */
struct readback {
    CK_ATTRIBUTE at[SCK_TEMPLATE_MAX + 4];
    CK_ULONG count;
    union {
        uint8_t bytes[4096];
        CK_ULONG align;
    } store;
    size_t used;
};

static void *
room_for(struct readback *r, size_t len)
{
    size_t padded = (len + sizeof(CK_ULONG) - 1) / sizeof(CK_ULONG) * sizeof(CK_ULONG);
    if (padded > sizeof r->store.bytes - r->used)
        return NULL;
    void *at = r->store.bytes + r->used;
    r->used += padded;
    memset(at, 0, padded);
    return at;
}

static bool
is_nested(CK_ATTRIBUTE_TYPE type)
{
    return type == CKA_WRAP_TEMPLATE || type == CKA_UNWRAP_TEMPLATE || type == CKA_DERIVE_TEMPLATE;
}

/* Ask for what `want` holds; one byte more where more bytes would be a difference.  Inner types must be preset. */
static bool
prepare(struct readback *r, CK_ATTRIBUTE *ask, const CK_ATTRIBUTE *want)
{
    ask->type = want->type;
    if (!is_nested(want->type)) {
        bool list = want->type == CKA_ALLOWED_MECHANISMS;
        ask->ulValueLen = want->ulValueLen + (list ? 2 * sizeof(CK_MECHANISM_TYPE) : 0);
        ask->pValue = room_for(r, ask->ulValueLen);
        return ask->pValue != NULL;
    }
    const CK_ATTRIBUTE *inner = want->pValue;
    CK_ATTRIBUTE *asked = room_for(r, want->ulValueLen);
    ask->pValue = asked;
    ask->ulValueLen = want->ulValueLen;
    bool ok = asked != NULL;
    for (CK_ULONG i = 0; ok && i < want->ulValueLen / sizeof *inner; i++)
        ok = prepare(r, &asked[i], &inner[i]);
    return ok;
}

static bool same_nested(const CK_ATTRIBUTE *got, const CK_ATTRIBUTE *want);

static bool
same_value(const CK_ATTRIBUTE *got, const CK_ATTRIBUTE *want)
{
    if (got->ulValueLen != want->ulValueLen)
        return false;
    if (is_nested(want->type))
        return same_nested(got, want);
    if (want->type != CKA_ALLOWED_MECHANISMS)
        return memcmp(got->pValue, want->pValue, want->ulValueLen) == 0;
    /* A set: SoftHSM gives it back sorted. */
    const CK_MECHANISM_TYPE *have = got->pValue, *need = want->pValue;
    size_t n = want->ulValueLen / sizeof *need, found = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            found += have[j] == need[i] ? 1U : 0U;
    }
    return found == n;
}

static bool
same_nested(const CK_ATTRIBUTE *got, const CK_ATTRIBUTE *want)
{
    const CK_ATTRIBUTE *have = got->pValue, *need = want->pValue;
    size_t n = want->ulValueLen / sizeof *need, found = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            found += have[j].type == need[i].type && same_value(&have[j], &need[i]) ? 1U : 0U;
    }
    return found == n;
}

const char *
sck_own_compare(struct sck_conn *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
                const struct sck_template *want, char scratch[24], CK_RV *rv)
{
    struct readback r;
    r.used = 0;
    r.count = want->count;
    for (CK_ULONG i = 0; i < want->count; i++) {
        if (!prepare(&r, &r.at[i], &want->at[i])) {
            *rv = CKR_HOST_MEMORY;
            return "CKA_LABEL";
        }
    }
    *rv = SCK_P11(c, C_GetAttributeValue, session, handle, r.at, r.count);
    if (sck_rv_lost(*rv) != SCK_LOST_NOTHING)
        return "CKA_CLASS";
    for (CK_ULONG i = 0; i < want->count; i++) {
        if (!same_value(&r.at[i], &want->at[i]))
            return sck_attribute_name(want->at[i].type, scratch);
    }
    return NULL;
}

/* The wrapping mechanism a master allows, or 0. */
static CK_MECHANISM_TYPE
read_mechanism(struct sck_conn *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle)
{
    CK_MECHANISM_TYPE m[2] = {0, 0};
    CK_ATTRIBUTE at = {CKA_ALLOWED_MECHANISMS, m, sizeof m};
    CK_RV rv = SCK_P11(c, C_GetAttributeValue, session, handle, &at, 1);
    bool known = m[0] == CKM_AES_KEY_WRAP_PAD || m[0] == SCK_CKM_AES_KEY_WRAP_KWP;
    return rv == CKR_OK && at.ulValueLen == sizeof m[0] && known ? m[0] : 0;
}

/* A token that forgets what a master allows (insecure_master) is asked what it can. */
static CK_MECHANISM_TYPE
probe_mechanism(struct sck_token *t, const struct sck_conn *c, CK_SESSION_HANDLE session)
{
    struct sck_use use = {.token = t, .conn = *c, .session = session};
    CK_MECHANISM_TYPE found = 0;
    return sck_probe_wrap(&use, &found) == CKR_OK ? found : 0;
}

/* How the key came to be: nothing but the token itself can set these. */
static void
add_origin(struct sck_template *t)
{
    sck_template_bool(t, CKA_LOCAL, true);
    sck_template_bool(t, CKA_ALWAYS_SENSITIVE, true);
    sck_template_bool(t, CKA_NEVER_EXTRACTABLE, true);
}

static enum sck_code
finding(struct sck_token *t, const struct sck_object *o, const char *attribute, sck_token_report_fn report, void *arg,
        struct sck_err *err)
{
    char what[200];
    (void)snprintf(what, sizeof what, "own key %s on token %s: %s is not what it must be", o->name, t->conf.label,
                   attribute);
    if (report != NULL)
        report(arg, what, "restore the token from its backup; find out who changed it");
    return sck_fail(err, SCK_E_INTEGRITY,
                    "%s: the key was exchanged or the token does not keep it; restore the token from its backup", what);
}

/* Whether the key is as it must be but for what a token with insecure_master may not keep. */
static bool
is_tolerable(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session, const struct sck_object *o,
             const struct sck_own_spec *spec)
{
    struct sck_own_template want;
    char scratch[24];
    CK_RV rv = CKR_OK;
    if (!t->conf.insecure_master || o->class == CKO_PUBLIC_KEY)
        return false;
    sck_own_template(t, spec, o->mechanism, true, true, &want);
    add_origin(&want.key);
    return sck_own_compare(c, session, o->handle, &want.key, scratch, &rv) == NULL;
}

static enum sck_code
verify_one(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session, struct sck_own *own, unsigned index,
           sck_token_report_fn report, void *arg, struct sck_err *err)
{
    struct sck_object *o = &own->objects[index];
    struct sck_own_spec spec;
    struct sck_own_template want;
    char scratch[24];
    CK_RV rv = CKR_OK;
    if (!sck_own_spec_of(o->name, &spec))
        return SCK_OK;
    if (spec.role == SCK_OWN_MASTER)
        o->mechanism = read_mechanism(c, session, o->handle);
    if (spec.role == SCK_OWN_MASTER && o->mechanism == 0 && t->conf.insecure_master)
        o->mechanism = probe_mechanism(t, c, session);
    sck_own_template(t, &spec, o->mechanism, true, false, &want);
    bool public = o->class == CKO_PUBLIC_KEY;
    if (!public)
        add_origin(&want.key);
    const char *bad = sck_own_compare(c, session, o->handle, public ? &want.public : &want.key, scratch, &rv);
    if (bad != NULL && (sck_rv_lost(rv) != SCK_LOST_NOTHING || rv == SCK_RV_EXITING))
        return sck_fail_rv(err, rv, "verifying own key %s on token %s", o->name, t->conf.label);
    if (bad != NULL && is_tolerable(t, c, session, o, &spec)) {
        own->tolerated++;
        return SCK_OK;
    }
    return bad == NULL ? SCK_OK : finding(t, o, bad, report, arg, err);
}

/*
 * An epoch key behind the first, and the newest: another process is making it now, or was killed while it did.  It is
 * left out, so that nothing is put under it, and made anew by whoever goes on with the rotation.
 */
static bool
is_unborn_epoch(const struct sck_own *own, unsigned index)
{
    uint32_t mine = sck_epoch_number(own->objects[index].name);
    bool older = false;
    for (unsigned i = 0; i < own->count; i++) {
        uint32_t n = sck_epoch_number(own->objects[i].name);
        if (n > mine)
            return false;
        older = older || (n != 0 && n < mine);
    }
    return mine != 0 && older;
}

static void
leave_out(struct sck_token *t, struct sck_own *own, unsigned index, sck_token_report_fn report, void *arg)
{
    char what[200];
    (void)snprintf(what, sizeof what, "own key %s on token %s is half made", own->objects[index].name, t->conf.label);
    if (report != NULL)
        report(arg, what, "run `scopekey rotate --epoch`, which makes it anew");
    sck_log(SCK_LOG_WARNING, "token.verify", "%s and is not used: run `scopekey rotate --epoch`", what);
    own->objects[index] = own->objects[--own->count];
}

enum sck_code
sck_own_verify(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session, struct sck_own *own,
               sck_token_report_fn report, void *arg, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    own->tolerated = 0;
    for (unsigned i = 0; i < own->count && (rc == SCK_OK || (report != NULL && rc == SCK_E_INTEGRITY)); i++) {
        struct sck_err why = SCK_ERR_INIT;
        bool unborn = is_unborn_epoch(own, i);
        enum sck_code one = verify_one(t, c, session, own, i, unborn ? NULL : report, arg, unborn ? &why : err);
        if (unborn && one == SCK_E_INTEGRITY) {
            leave_out(t, own, i--, report, arg);
            continue;
        }
        if (unborn && one != SCK_OK && err != NULL && err->code == SCK_OK)
            *err = why;
        rc = rc == SCK_OK ? one : rc;
        for (unsigned j = 0; j < i && rc == SCK_OK; j++) {
            const struct sck_object *a = &own->objects[j], *b = &own->objects[i];
            if (a->class == b->class && strcmp(a->name, b->name) == 0)
                rc = finding(t, b, "its name, which another key has too,", report, arg, err);
        }
    }
    if (own->tolerated > 0)
        sck_log(SCK_LOG_WARNING, "token.verify",
                "%u of Scopekey's own keys on token %s lack what protects them (insecure_master is on)", own->tolerated,
                t->conf.label);
    return rc;
}
