/* SPDX-License-Identifier: MIT */
/* Attributes, computed from what lib/service says about a key.  No I/O. */
#ifndef SCK_PKCS11_ATTRIBUTE_H
#define SCK_PKCS11_ATTRIBUTE_H

#include "lib/service/service.h"
#include "pkcs11/pkcs11_v3.h"
#include "pkcs11/spki.h"

#define SCK_P11_ATTR_MAX 4096 /* bytes of the longest value */
#define SCK_P11_TEMPLATE_MAX 1024 /* attributes; more are no template but a mistake */

/* One half of a pair, or a secret key. */
struct sck_p11_object {
    CK_OBJECT_CLASS class_;
    const struct sck_key_info *info; /* borrowed */
    struct sck_p11_spki spki; /* all empty for secret keys */
};

/* `info` must outlive the object. */
void sck_p11_object_init(struct sck_p11_object *object, CK_OBJECT_CLASS class_, const struct sck_key_info *info);

/*
 * Append an attribute's value.  CKR_ATTRIBUTE_SENSITIVE: a part of the key itself; CKR_ATTRIBUTE_TYPE_INVALID: this object
 * has no such attribute; CKR_HOST_MEMORY.
 */
CK_RV sck_p11_attr_get(const struct sck_p11_object *object, CK_ATTRIBUTE_TYPE type, struct sck_buf *out);

/* True when every attribute of the template has exactly the value given there. */
bool sck_p11_attr_match(const struct sck_p11_object *object, const CK_ATTRIBUTE *templ, size_t count);

/*
 * Check a template before it is used: pointers, count, lengths, sizes of fixed-size values.
 * CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_VALUE_INVALID.
 */
CK_RV sck_p11_template_check(const CK_ATTRIBUTE *templ, CK_ULONG count);

/* The CKA_UNIQUE_ID of a half: key_id and the half's name, "keypair-…/private". */
void sck_p11_unique_id(const struct sck_key_info *info, CK_OBJECT_CLASS class_, struct sck_buf *out);
/* The key_id in a CKA_UNIQUE_ID; false when it is none of ours. */
bool sck_p11_unique_id_parse(const void *text, size_t len, char key_id[SCK_KEY_ID_MAX + 1]);

#endif
