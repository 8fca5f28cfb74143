/* SPDX-License-Identifier: MIT */
#include "lib/token/p11.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const CK_BBOOL yes = CK_TRUE;
static const CK_BBOOL no = CK_FALSE;

void
sck_template_start(struct sck_template *t)
{
    memset(t, 0, sizeof *t);
}

void
sck_template_bytes(struct sck_template *t, CK_ATTRIBUTE_TYPE type, const void *data, size_t len)
{
    assert(t->count < SCK_TEMPLATE_MAX);
    t->at[t->count++] = (CK_ATTRIBUTE){type, sck_unconst(data), (CK_ULONG)len};
}

void
sck_template_bool(struct sck_template *t, CK_ATTRIBUTE_TYPE type, bool value)
{
    sck_template_bytes(t, type, value ? &yes : &no, sizeof(CK_BBOOL));
}

void
sck_template_ulong(struct sck_template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    assert(t->number_count < SCK_TEMPLATE_NUMBERS);
    CK_ULONG *at = &t->numbers[t->number_count++];
    *at = value;
    sck_template_bytes(t, type, at, sizeof *at);
}

void
sck_template_nested(struct sck_template *t, CK_ATTRIBUTE_TYPE type, const struct sck_template *inner)
{
    sck_template_bytes(t, type, inner->at, inner->count * sizeof inner->at[0]);
}

void
sck_template_mechanisms(struct sck_template *t, const CK_MECHANISM_TYPE *mechanisms, size_t count)
{
    sck_template_bytes(t, CKA_ALLOWED_MECHANISMS, mechanisms, count * sizeof mechanisms[0]);
}

const char *
sck_attribute_name(CK_ATTRIBUTE_TYPE type, char scratch[24])
{
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        const char *name;
    } names[] = {
        {CKA_CLASS, "CKA_CLASS"},
        {CKA_TOKEN, "CKA_TOKEN"},
        {CKA_PRIVATE, "CKA_PRIVATE"},
        {CKA_LABEL, "CKA_LABEL"},
        {CKA_VALUE, "CKA_VALUE"},
        {CKA_VALUE_LEN, "CKA_VALUE_LEN"},
        {CKA_KEY_TYPE, "CKA_KEY_TYPE"},
        {CKA_ID, "CKA_ID"},
        {CKA_SENSITIVE, "CKA_SENSITIVE"},
        {CKA_EXTRACTABLE, "CKA_EXTRACTABLE"},
        {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE"},
        {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE"},
        {CKA_LOCAL, "CKA_LOCAL"},
        {CKA_ENCRYPT, "CKA_ENCRYPT"},
        {CKA_DECRYPT, "CKA_DECRYPT"},
        {CKA_SIGN, "CKA_SIGN"},
        {CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER"},
        {CKA_VERIFY, "CKA_VERIFY"},
        {CKA_WRAP, "CKA_WRAP"},
        {CKA_UNWRAP, "CKA_UNWRAP"},
        {CKA_DERIVE, "CKA_DERIVE"},
        {CKA_MODIFIABLE, "CKA_MODIFIABLE"},
        {CKA_COPYABLE, "CKA_COPYABLE"},
        {CKA_EC_PARAMS, "CKA_EC_PARAMS"},
        {CKA_ALLOWED_MECHANISMS, "CKA_ALLOWED_MECHANISMS"},
        {CKA_WRAP_TEMPLATE, "CKA_WRAP_TEMPLATE"},
        {CKA_UNWRAP_TEMPLATE, "CKA_UNWRAP_TEMPLATE"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].type == type)
            return names[i].name;
    }
    (void)snprintf(scratch, 24, "CKA_0x%lX", type);
    return scratch;
}
