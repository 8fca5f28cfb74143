/* SPDX-License-Identifier: MIT */
/*
 * Scopekey's own objects on the token: masters, epoch keys, mac, name, audit, catalog, receipt, and the mark that the
 * set-up is complete.  Keys have CKA_ID = the set-up's id and CKA_LABEL = "scopekey/<set-up id in hex>/<name>"; data
 * objects have CKA_APPLICATION = "scopekey/<set-up id>".
 */
#ifndef SCK_TOKEN_OWN_H
#define SCK_TOKEN_OWN_H

#include "lib/token/mech.h"
#include "lib/token/session.h"

enum sck_own_role { SCK_OWN_MASTER = 1, SCK_OWN_HMAC, SCK_OWN_EPOCH, SCK_OWN_PAIR };

struct sck_own_spec {
    char name[40];
    enum sck_own_role role;
    const struct sck_kind *kind;    /* masters: of the keys it wraps */
};
/* The keys that a complete set-up has, by index from 0; false behind the last. */
bool sck_own_spec_at(size_t index, struct sck_own_spec *out);
/* The spec of a name, later epochs included; false when it is none of ours. */
bool sck_own_spec_of(const char *name, struct sck_own_spec *out);
/* The number in "epoch/N", 0 for other names. */
uint32_t sck_epoch_number(const char *name);
void sck_own_master_name(const struct sck_kind *kind, char out[40]);

/* What was found. */
struct sck_own {
    struct sck_object objects[SCK_OBJECTS_MAX];
    unsigned count;
    bool complete;
    unsigned tolerated;     /* keys that lack what insecure_master does without */
};

/* The templates an own key is made with; they point into each other and into `label`. */
struct sck_own_template {
    char label[128];
    struct sck_template key;        /* secret or private */
    struct sck_template public;     /* pairs only */
    struct sck_template wrap;
    struct sck_template unwrap;
    CK_MECHANISM_TYPE mechanism;    /* masters: of wrapping */
};
/* `token_object` false makes a throw-away master.  `plain`: without what a token that enforces nothing may refuse. */
void sck_own_template(const struct sck_token *t, const struct sck_own_spec *spec, CK_MECHANISM_TYPE wrap_mechanism,
                      bool token_object, bool plain, struct sck_own_template *out);

/* Find them all: two searches. */
SCK_MUST_CHECK enum sck_code sck_own_find(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session,
                                          struct sck_own *out, struct sck_err *err);
/*
 * Read every attribute of every key that was found and compare it with what it was made with.  With `report` every
 * finding is told, without it the first ends the work.  SCK_E_INTEGRITY; with insecure_master what the token does not
 * keep (templates, allowed mechanisms, copyable, modifiable) is one warning, the rest is not tolerated either.
 */
SCK_MUST_CHECK enum sck_code sck_own_verify(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session,
                                            struct sck_own *own, sck_token_report_fn report, void *arg,
                                            struct sck_err *err);
/* NULL when the object's attributes are as `want` says, else the name of the first that is not; *rv of the reading. */
const char *sck_own_compare(struct sck_conn *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
                            const struct sck_template *want, char scratch[24], CK_RV *rv);
/* Find by template: up to `max` handles. */
CK_RV sck_find(struct sck_conn *c, CK_SESSION_HANDLE session, struct sck_template *t, CK_OBJECT_HANDLE *out,
               CK_ULONG max, CK_ULONG *found);

/* The handle of an own key of the open token, for use->object.  SCK_E_CONFIG when missing. */
SCK_MUST_CHECK enum sck_code sck_own_get(struct sck_token *t, const struct sck_use *use, const char *name,
                                         CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out, CK_MECHANISM_TYPE *mechanism,
                                         struct sck_err *err);
/* Run `op` with use->object = the own key. */
SCK_MUST_CHECK enum sck_code sck_own_run(struct sck_token *t, const char *name, sck_op_fn op, void *arg,
                                         const char *what, struct sck_err *err);

#endif
