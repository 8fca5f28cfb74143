/* SPDX-License-Identifier: MIT */
/* What the algorithms and usages of lib/core/alg.h are in PKCS#11: one table each. */
#ifndef SCK_TOKEN_MECH_H
#define SCK_TOKEN_MECH_H

#include "lib/core/alg.h"
#include "lib/token/p11.h"

enum { SCK_KIND_MECHANISMS = 6 };

/* May be done with a key; as PKCS#11's boolean attributes. */
enum sck_may {
    SCK_MAY_ENCRYPT = 1,
    SCK_MAY_DECRYPT = 2,
    SCK_MAY_SIGN = 4,
    SCK_MAY_VERIFY = 8,
    SCK_MAY_WRAP = 16,
    SCK_MAY_UNWRAP = 32,
    SCK_MAY_DERIVE = 64
};

/* Keys of one usage and family: each kind has a master of its own. */
struct sck_kind {
    enum sck_usage usage;
    enum sck_family family;
    CK_OBJECT_CLASS class;
    CK_KEY_TYPE key_type;
    unsigned may;       /* enum sck_may */
    CK_MECHANISM_TYPE mechanisms[SCK_KIND_MECHANISMS];
    size_t mechanism_count;
    bool is_wrapped;    /* false: no master, resident only */
};

/* NULL when there is no such kind. */
const struct sck_kind *sck_kind_find(enum sck_usage usage, enum sck_family family);
/* All of them, by index from 0; NULL behind the last. */
const struct sck_kind *sck_kind_at(size_t index);

/* How an algorithm's keys are made. */
struct sck_maker {
    enum sck_alg alg;
    CK_MECHANISM_TYPE generate;
    CK_ULONG bits;              /* modulus or field; of a secret, its value */
    const uint8_t *ec_params;   /* DER OBJECT IDENTIFIER, or NULL */
    size_t ec_params_len;
    const uint8_t *ec_name;     /* the older spelling of ec_params (PrintableString), or NULL */
    size_t ec_name_len;
};
/* NULL when unknown. */
const struct sck_maker *sck_maker_of(enum sck_alg alg);

/* Append every usage flag of a class, true where `may` says so. */
void sck_template_flags(struct sck_template *t, CK_OBJECT_CLASS class, unsigned may);
/*
 * What an unwrapped key of this kind must be: the master's CKA_UNWRAP_TEMPLATE and, repeated word for word because
 * SoftHSM wants it so, the template of each C_UnwrapKey.  CKA_MODIFIABLE=false comes last: what follows it is refused.
 */
void sck_template_unwrapped(struct sck_template *t, const struct sck_kind *kind);
/* A new key between its making and its wrapping: extractable, and nothing can be done with it but that. */
void sck_template_unborn(struct sck_template *t, const struct sck_kind *kind);
/* The public half of a pair, a session object. */
void sck_template_public(struct sck_template *t, const struct sck_maker *maker, CK_KEY_TYPE type, bool old_name);

#endif
