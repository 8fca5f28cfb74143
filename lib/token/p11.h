/* SPDX-License-Identifier: MIT */
/* PKCS#11 types (OASIS PKCS#11 v2.40 by p11-kit's header) and templates that own their numbers. */
#ifndef SCK_TOKEN_P11_H
#define SCK_TOKEN_P11_H

#include "lib/base/bytes.h"

#include <p11-kit/pkcs11.h>

/* PKCS#11 v3.0 section 2.14; not in p11-kit 0.24's header. */
#define SCK_CKM_AES_KEY_WRAP_KWP 0x210BUL
/* PKCS#11 v3.0 section 2.3.5. */
#ifndef CKK_EC_EDWARDS
#define CKK_EC_EDWARDS 0x40UL
#endif

/* The module is not called any more: the process is exiting. */
#define SCK_RV_EXITING (CKR_VENDOR_DEFINED | 0x53434B01UL)

/* PKCS#11 takes inputs through pointers to non-const; modules do not write to them. */
static inline void *
sck_unconst(const void *p)
{
    union {
        const void *from;
        void *to;
    } u = {p};
    return u.to;
}

enum { SCK_TEMPLATE_MAX = 32, SCK_TEMPLATE_NUMBERS = 8 };

/* An attribute template.  Holds pointers into itself: never copy or move one. */
struct sck_template {
    CK_ATTRIBUTE at[SCK_TEMPLATE_MAX];
    CK_ULONG count;
    CK_ULONG numbers[SCK_TEMPLATE_NUMBERS];
    unsigned number_count;
};

void sck_template_start(struct sck_template *t);
void sck_template_bool(struct sck_template *t, CK_ATTRIBUTE_TYPE type, bool value);
void sck_template_ulong(struct sck_template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
/* `data` is borrowed. */
void sck_template_bytes(struct sck_template *t, CK_ATTRIBUTE_TYPE type, const void *data, size_t len);
/* A nested template (CKA_WRAP_TEMPLATE and others), borrowed. */
void sck_template_nested(struct sck_template *t, CK_ATTRIBUTE_TYPE type, const struct sck_template *inner);
/* CKA_ALLOWED_MECHANISMS; `mechanisms` is borrowed. */
void sck_template_mechanisms(struct sck_template *t, const CK_MECHANISM_TYPE *mechanisms, size_t count);

/* "CKA_SENSITIVE" or "CKA_0x...": borrowed for the known ones, else written into `scratch` (24 bytes). */
const char *sck_attribute_name(CK_ATTRIBUTE_TYPE type, char scratch[24]);

#endif
