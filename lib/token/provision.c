/* SPDX-License-Identifier: MIT */
/*
 * Making Scopekey's own keys.  Until the mark "complete" is on the token nothing can depend on them, so a key that a
 * crash left half-made is replaced; after that nothing of what the mark lists is ever made anew.
 */
#include "lib/token/own.h"

#include "lib/base/fault.h"
#include "lib/base/log.h"
#include "lib/token/attack.h"
#include "lib/token/make.h"
#include "lib/token/probe.h"
#include "lib/token/store.h"
#include "lib/token/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARK_MAX = 2048, MARKS_MAX = 2 };

struct provision {
    struct sck_token *t;
    struct sck_use *use;
    sck_token_report_fn report;
    void *arg;
    struct sck_own own;
    CK_MECHANISM_TYPE mechanism;
    bool wraps[SCK_FAMILY_EDWARDS + 1];
    CK_OBJECT_HANDLE marks[MARKS_MAX]; /* data objects "complete" */
    CK_ULONG mark_count;
    char listed[2 * MARK_MAX];      /* their values: names, each between line ends */
    bool made;
};

static void
tell(const struct provision *p, const char *name, const char *what)
{
    char line[200];
    (void)snprintf(line, sizeof line, "own key %s %s", name, what);
    if (p->report != NULL)
        p->report(p->arg, line, NULL);
}

static bool
is_listed(const struct provision *p, const char *name)
{
    char needle[48];
    (void)snprintf(needle, sizeof needle, "\n%s\n", name);
    return strstr(p->listed, needle) != NULL;
}

static void
mark_template(struct provision *p, char label[128], struct sck_template *t)
{
    (void)snprintf(label, 128, "%scomplete", p->t->prefix);
    sck_template_start(t);
    sck_template_ulong(t, CKA_CLASS, CKO_DATA);
    sck_template_bool(t, CKA_TOKEN, true);
    sck_template_bytes(t, CKA_APPLICATION, p->t->prefix, strlen(p->t->prefix) - 1);
    sck_template_bytes(t, CKA_LABEL, label, strlen(label));
}

/* There may be two, when a crash came between making the new one and destroying the old: both count. */
static CK_RV
read_marks(struct provision *p)
{
    struct sck_template t;
    char label[128];
    size_t used = 0;
    mark_template(p, label, &t);
    p->listed[0] = 0;
    CK_RV rv = sck_find(&p->use->conn, p->use->session, &t, p->marks, MARKS_MAX, &p->mark_count);
    for (CK_ULONG i = 0; rv == CKR_OK && i < p->mark_count; i++) {
        CK_ATTRIBUTE at = {CKA_VALUE, p->listed + used, sizeof p->listed - 1 - used};
        rv = SCK_P11(&p->use->conn, C_GetAttributeValue, p->use->session, p->marks[i], &at, 1);
        used += rv == CKR_OK ? at.ulValueLen : 0;
        p->listed[used] = 0;
    }
    return rv;
}

static CK_RV
write_mark(struct provision *p)
{
    struct sck_template t;
    char label[128];
    CK_OBJECT_HANDLE fresh = CK_INVALID_HANDLE;
    char value[MARK_MAX] = "\n";
    struct sck_own_spec spec;
    size_t used = 1;
    for (size_t i = 0; sck_own_spec_at(i, &spec); i++) {
        if (spec.role != SCK_OWN_MASTER || p->wraps[spec.kind->family])
            used += (size_t)snprintf(value + used, sizeof value - used, "%s\n", spec.name);
    }
    mark_template(p, label, &t);
    sck_template_bool(&t, CKA_PRIVATE, true);
    sck_template_bytes(&t, CKA_VALUE, value, used);
    CK_RV rv = SCK_P11(&p->use->conn, C_CreateObject, p->use->session, t.at, t.count, &fresh);
    for (CK_ULONG i = 0; rv == CKR_OK && i < p->mark_count; i++)
        rv = SCK_P11(&p->use->conn, C_DestroyObject, p->use->session, p->marks[i]);
    return rv;
}

static enum sck_code
fail_call(const struct provision *p, CK_RV rv, const char *doing, const char *name, struct sck_err *err)
{
    return sck_fail_rv(err, rv, "%s own key %s on token %s", doing, name, p->t->conf.label);
}

static enum sck_code
destroy(struct provision *p, const struct sck_object *o, struct sck_err *err)
{
    CK_RV rv = SCK_P11(&p->use->conn, C_DestroyObject, p->use->session, o->handle);
    return rv == CKR_OK ? SCK_OK : fail_call(p, rv, "destroying half-made", o->name, err);
}

/* Whether all objects of `spec` are there, once and whole; otherwise, in a set-up not complete, none is left. */
static enum sck_code
settle(struct provision *p, const struct sck_own_spec *spec, bool *present, struct sck_err *err)
{
    unsigned want = spec->role == SCK_OWN_PAIR ? 2 : 1, found = 0;
    struct sck_own *only = calloc(1, sizeof *only);
    struct sck_err local = SCK_ERR_INIT;
    enum sck_code rc = only == NULL ? sck_fail(err, SCK_E_MEMORY, "out of memory") : SCK_OK;
    *present = false;
    for (unsigned i = 0; rc == SCK_OK && i < p->own.count; i++) {
        if (strcmp(p->own.objects[i].name, spec->name) == 0)
            only->objects[only->count++] = p->own.objects[i];
    }
    if (rc != SCK_OK || only->count == 0)
        goto out;
    found = only->count;
    rc = sck_own_verify(p->t, &p->use->conn, p->use->session, only, NULL, NULL, &local);
    *present = rc == SCK_OK && found == want;
    if (*present || (rc != SCK_OK && rc != SCK_E_INTEGRITY))
        goto out;
    if (is_listed(p, spec->name)) {
        rc = sck_fail(&local, SCK_E_INTEGRITY,
                      "own key %s on token %s is not whole although the set-up was complete: restore the token",
                      spec->name, p->t->conf.label);
        goto out;
    }
    rc = SCK_OK;
    for (unsigned i = 0; i < only->count && rc == SCK_OK; i++)
        rc = destroy(p, &only->objects[i], err);
    if (rc == SCK_OK)
        tell(p, spec->name, "was half made and is made anew");
    sck_err_clear(&local);
out:
    if (local.code != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = local;
    free(only);
    return rc;
}

static CK_RV
make_own(struct provision *p, const struct sck_own_spec *spec, bool plain)
{
    struct sck_own_template t;
    CK_OBJECT_HANDLE public, key;
    struct sck_maker aes = {SCK_ALG_AES_256, CKM_AES_KEY_GEN, 256, NULL, 0, NULL, 0};
    sck_own_template(p->t, spec, p->mechanism, true, plain, &t);
    const struct sck_maker *maker = spec->role == SCK_OWN_PAIR ? sck_maker_of(SCK_ALG_EC_P256)
        : spec->role == SCK_OWN_HMAC                           ? sck_maker_of(SCK_ALG_HMAC_SHA256)
                                                               : &aes;
    return sck_generate(p->use, maker, spec->role == SCK_OWN_PAIR ? &t.public : NULL, &t.key, &public, &key);
}

/* The first epoch key may have been destroyed since; later ones are not init's to make. */
static bool
has_epoch(const struct provision *p)
{
    bool found = false;
    for (unsigned i = 0; i < p->own.count; i++)
        found = found || sck_epoch_number(p->own.objects[i].name) > 1;
    return found;
}

static enum sck_code
provide(struct provision *p, const struct sck_own_spec *spec, struct sck_err *err)
{
    bool present = false;
    if (spec->role == SCK_OWN_MASTER && !p->wraps[spec->kind->family])
        return SCK_OK;
    enum sck_code rc = settle(p, spec, &present, err);
    if (rc != SCK_OK || present || (spec->role == SCK_OWN_EPOCH && has_epoch(p)))
        return rc;
    if (is_listed(p, spec->name))
        return sck_fail(err, SCK_E_CONFIG,
                        "own key %s is missing on token %s although the set-up was complete: restore the token",
                        spec->name, p->t->conf.label);
    CK_RV rv = make_own(p, spec, false);
    if (rv != CKR_OK && p->t->conf.insecure_master && sck_rv_lost(rv) == SCK_LOST_NOTHING)
        rv = make_own(p, spec, true);
    if (rv != CKR_OK)
        return fail_call(p, rv, "making", spec->name, err);
    sck_fault_point("token-own-key-made");
    p->made = true;
    tell(p, spec->name, "made");
    return SCK_OK;
}

static enum sck_code
probe(struct provision *p, struct sck_err *err)
{
    static const struct {
        enum sck_alg alg;
        enum sck_usage usage;
        enum sck_family family;
    } tries[] = {
        {SCK_ALG_AES_256, SCK_USAGE_GCM, SCK_FAMILY_AES},
        {SCK_ALG_HMAC_SHA256, SCK_USAGE_HMAC, SCK_FAMILY_SECRET},
        {SCK_ALG_RSA_2048, SCK_USAGE_SIGN, SCK_FAMILY_RSA},
        {SCK_ALG_EC_P256, SCK_USAGE_SIGN, SCK_FAMILY_EC},
    };
    CK_RV rv = sck_probe_wrap(p->use, &p->mechanism);
    for (size_t i = 0; rv == CKR_OK && p->mechanism != 0 && i < sizeof tries / sizeof tries[0]; i++)
        rv = sck_probe_family(p->use, p->mechanism, sck_maker_of(tries[i].alg),
                              sck_kind_find(tries[i].usage, tries[i].family), &p->wraps[tries[i].family]);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "probing token %s", p->t->conf.label);
    if (p->mechanism == 0 || !p->wraps[SCK_FAMILY_AES])
        return sck_fail(err, SCK_E_UNSUPPORTED,
                        "token %s cannot wrap keys with AES key wrap with padding (RFC 5649): use another token",
                        p->t->conf.label);
    return SCK_OK;
}

static enum sck_code
attack(struct provision *p, struct sck_err *err)
{
    const char *worked = NULL;
    CK_RV rv = sck_attack_all(p->use, p->mechanism, p->wraps[SCK_FAMILY_RSA], p->report, p->arg, &worked);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "attacking a throw-away master on token %s", p->t->conf.label);
    if (worked == NULL)
        return SCK_OK;
    if (p->t->conf.insecure_master) {
        sck_log(SCK_LOG_WARNING, "token.provision", "token %s does not protect masters (attack %s works); "
                "insecure_master is on: whoever has the PIN can get at the keys", p->t->conf.label, worked);
        return SCK_OK;
    }
    return sck_fail(err, SCK_E_UNSUPPORTED,
                    "token %s does not protect masters: the attack %s works; use another token (docs/tokens.md)",
                    p->t->conf.label, worked);
}

static enum sck_code
make_all(struct provision *p, struct sck_err *err)
{
    struct sck_own_spec spec;
    CK_RV rv = read_marks(p);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "reading the set-up on token %s", p->t->conf.label);
    enum sck_code rc = sck_own_find(p->t, &p->use->conn, p->use->session, &p->own, err);
    for (size_t i = 0; rc == SCK_OK && sck_own_spec_at(i, &spec); i++)
        rc = provide(p, &spec, err);
    return rc;
}

static enum sck_code
try_all(struct provision *p, struct sck_err *err)
{
    struct sck_trial trial = {{CK_INVALID_HANDLE}};
    struct sck_own_spec spec;
    CK_RV rv = sck_session_refresh(p->use);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "opening a fresh session on token %s", p->t->conf.label);
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; rc == SCK_OK && sck_own_spec_at(i, &spec); i++) {
        if (spec.role != SCK_OWN_MASTER || p->wraps[spec.kind->family])
            rc = sck_trial_own(p->use, &spec, p->mechanism, &trial, err);
    }
    sck_trial_end(p->use, &trial);
    return rc;
}

static enum sck_code
provision_locked(struct provision *p, const struct sck_write *w, struct sck_err *err)
{
    enum sck_code rc = probe(p, err);
    if (rc == SCK_OK)
        rc = attack(p, err);
    if (rc == SCK_OK)
        rc = make_all(p, err);
    if (rc == SCK_OK && p->made)
        rc = sck_write_sync(w, err);
    if (rc == SCK_OK && p->made)
        rc = try_all(p, err);
    if (rc == SCK_OK && p->made) {
        sck_fault_point("token-own-keys-tried");
        CK_RV rv = write_mark(p);
        if (rv != CKR_OK)
            rc = sck_fail_rv(err, rv, "marking the set-up on token %s complete", p->t->conf.label);
    }
    if (rc == SCK_OK && p->made)
        rc = sck_write_sync(w, err);
    return rc;
}

/* So that the next use finds what was made: with the module initialised anew, if nobody else uses it. */
static void
forget_opening(struct sck_token *t)
{
    pthread_mutex_lock(&t->lock);
    if (t->state == SCK_TOKEN_OPEN) {
        t->state = SCK_TOKEN_COLD;
        t->lost = SCK_LOST_SESSIONS;
        sck_session_wake_all(t);
    }
    struct sck_module *m = t->conn.module;
    pthread_mutex_unlock(&t->lock);
    (void)sck_module_restart(m);
}

enum sck_code
sck_token_provision(struct sck_token *token, sck_token_report_fn report, void *arg, struct sck_err *err)
{
    struct sck_use use;
    struct sck_write w = {&token->conf, -1, 0};
    struct provision *p = calloc(1, sizeof *p);
    enum sck_code rc = SCK_OK;
    if (p == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (token->conf.pin == NULL) {
        rc = sck_fail(err, SCK_E_CREDENTIAL, "own keys cannot be made without the PIN of token %s: set a PIN source",
                      token->conf.label);
        goto out;
    }
    *p = (struct provision){.t = token, .use = &use, .report = report, .arg = arg};
    rc = sck_write_begin(&token->conf, &w, err);
    if (rc == SCK_OK)
        rc = sck_session_take(token, SCK_NEED_BARE, false, &use, err);
    if (rc != SCK_OK)
        goto out;
    rc = provision_locked(p, &w, err);
    (void)sck_session_give(&use, CKR_OK);
    if (rc == SCK_OK && p->made)
        forget_opening(token);
    if (rc == SCK_OK)
        rc = sck_token_open(token, SCK_NEED_KEYS, err);
out:
    sck_write_end(&w);
    free(p);
    return rc;
}
