/* SPDX-License-Identifier: MIT */
/* What the token can, and whether all of ours is there. */
#include "lib/token/attack.h"
#include "lib/token/own.h"
#include "lib/token/probe.h"

#include <stdlib.h>
#include <string.h>

struct caps_args {
    struct sck_token_caps *caps;
    CK_SLOT_ID slot;
};

static bool
does(struct sck_use *use, CK_SLOT_ID slot, CK_MECHANISM_TYPE mechanism, CK_ULONG size)
{
    CK_MECHANISM_INFO info;
    memset(&info, 0, sizeof info);
    CK_RV rv = SCK_P11(&use->conn, C_GetMechanismInfo, slot, mechanism, &info);
    return rv == CKR_OK && (info.ulMaxKeySize == 0 || size == 0 ||
                            (size >= info.ulMinKeySize && size <= info.ulMaxKeySize));
}

/* AES counts bytes or bits by token, and its one size is always there; curves count bits, Ed25519 255 or 256. */
static bool
can_make(struct sck_use *use, CK_SLOT_ID slot, const struct sck_alg_info *info)
{
    const struct sck_maker *maker = sck_maker_of(info->alg);
    const struct sck_kind *kind = sck_kind_find(info->default_usage, info->family);
    bool sized = info->family == SCK_FAMILY_RSA || info->family == SCK_FAMILY_EC;
    return maker != NULL && kind != NULL && does(use, slot, maker->generate, sized ? maker->bits : 0) &&
        does(use, slot, kind->mechanisms[0], sized ? maker->bits : 0);
}

static CK_RV
caps_op(struct sck_use *use, void *arg)
{
    struct caps_args *a = arg;
    struct sck_token *t = use->token;
    CK_MECHANISM_TYPE mechanism = 0;
    pthread_mutex_lock(&t->lock);
    a->slot = t->slot;
    CK_TOKEN_INFO info = t->info;
    for (unsigned i = 0; i < t->object_count; i++) {
        struct sck_own_spec spec;
        if (!sck_own_spec_of(t->objects[i].name, &spec) || spec.role != SCK_OWN_MASTER)
            continue;
        a->caps->wraps[spec.kind->family] = true;
        mechanism = t->objects[i].mechanism;
    }
    pthread_mutex_unlock(&t->lock);
    sck_padded_text(info.manufacturerID, sizeof info.manufacturerID, a->caps->manufacturer, 33);
    sck_padded_text(info.model, sizeof info.model, a->caps->model, 17);
    sck_padded_text(info.serialNumber, sizeof info.serialNumber, a->caps->serial, 17);
    sck_padded_text(info.label, sizeof info.label, a->caps->label, 33);
    bool bounded = info.ulMaxSessionCount != CK_EFFECTIVELY_INFINITE &&
        info.ulMaxSessionCount != CK_UNAVAILABLE_INFORMATION;
    a->caps->max_sessions = bounded ? info.ulMaxSessionCount : 0;
    const struct sck_alg_info *alg;
    for (size_t i = 0; (alg = sck_alg_at(i)) != NULL; i++)
        a->caps->makes[alg->alg] = can_make(use, a->slot, alg);
    CK_RV rv = mechanism == 0 ? sck_probe_wrap(use, &mechanism) : CKR_OK;
    a->caps->wrap_mechanism = mechanism;
    if (rv == CKR_OK)
        rv = sck_probe_oaep_sha256(use, &a->caps->oaep_sha256);
    const char *worked = NULL;
    if (rv == CKR_OK && mechanism != 0)
        rv = sck_attack_all(use, mechanism, false, NULL, NULL, &worked);
    a->caps->enforces_masters = rv == CKR_OK && mechanism != 0 && worked == NULL;
    return rv;
}

enum sck_code
sck_token_caps_get(struct sck_token *token, struct sck_token_caps *out, struct sck_err *err)
{
    struct caps_args a = {out, 0};
    memset(out, 0, sizeof *out);
    return sck_token_run(token, SCK_NEED_KEYS, false, caps_op, &a, "asking what the token can", err);
}

struct verify_args {
    struct sck_token *t;
    sck_token_report_fn report;
    void *arg;
    struct sck_own *own;
    enum sck_code rc;
    struct sck_err *err;
};

static enum sck_code
report_missing(const struct verify_args *a, struct sck_err *err)
{
    struct sck_own_spec spec;
    enum sck_code rc = SCK_OK;
    bool family[SCK_FAMILY_EDWARDS + 1] = {false};
    /* A family the token cannot wrap has no master at all; one that has some must have every one. */
    for (unsigned i = 0; i < a->own->count; i++) {
        if (sck_own_spec_of(a->own->objects[i].name, &spec) && spec.role == SCK_OWN_MASTER)
            family[spec.kind->family] = true;
    }
    family[SCK_FAMILY_AES] = true;
    for (size_t i = 0; sck_own_spec_at(i, &spec); i++) {
        unsigned want = spec.role == SCK_OWN_PAIR ? 2 : 1, found = 0;
        bool epoch = spec.role == SCK_OWN_EPOCH;
        for (unsigned j = 0; j < a->own->count; j++)
            found += epoch ? strncmp(a->own->objects[j].name, "epoch/", 6) == 0
                           : strcmp(a->own->objects[j].name, spec.name) == 0;
        if (found >= want || (spec.role == SCK_OWN_MASTER && !family[spec.kind->family]))
            continue;
        rc = sck_fail(err, SCK_E_CONFIG,
                      "Scopekey's own key %s is not on token %s: run `scopekey init`, or restore the token", spec.name,
                      a->t->conf.label);
        if (a->report != NULL)
            a->report(a->arg, spec.name, "own key is missing: run `scopekey init`, or restore the token");
    }
    return rc;
}

static CK_RV
verify_op(struct sck_use *use, void *arg)
{
    struct verify_args *a = arg;
    a->rc = sck_own_find(a->t, &use->conn, use->session, a->own, a->err);
    if (a->rc != SCK_OK)
        return CKR_OK;
    enum sck_code missing = report_missing(a, a->report == NULL ? a->err : NULL);
    a->rc = missing != SCK_OK && a->report == NULL
        ? missing
        : sck_own_verify(a->t, &use->conn, use->session, a->own, a->report, a->arg, a->err);
    if (a->rc == SCK_OK && missing != SCK_OK)
        a->rc = report_missing(&(struct verify_args){.t = a->t, .own = a->own}, a->err);
    return CKR_OK;
}

enum sck_code
sck_token_verify(struct sck_token *token, sck_token_report_fn report, void *arg, struct sck_err *err)
{
    struct verify_args a = {token, report, arg, calloc(1, sizeof(struct sck_own)), SCK_OK, err};
    if (a.own == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    enum sck_code rc = sck_token_run(token, SCK_NEED_BARE, false, verify_op, &a, "verifying own keys", err);
    free(a.own);
    return rc == SCK_OK ? a.rc : rc;
}
