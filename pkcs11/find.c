/* SPDX-License-Identifier: MIT */
#include "pkcs11/find.h"

#include "pkcs11/attribute.h"
#include "pkcs11/module.h"
#include "pkcs11/rv.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_KEYS = 64, HALVES = 2 };

struct hit {
    uint8_t id[16];
    CK_OBJECT_CLASS class_;
};

struct sck_p11_find {
    CK_ATTRIBUTE *templ; /* its values are in `values` */
    size_t count;
    uint8_t *values;
    bool logged_in;
    struct sck_service *service; /* borrowed */
    struct hit hits[PAGE_KEYS * HALVES]; /* found and not fetched yet */
    size_t hit_count;
    size_t hit_next;
    bool walking; /* keys above `after` are still to be looked at */
    uint8_t after[16]; /* zeros: at the start */
    size_t seen; /* keys of the page that is being looked at */
};

void
sck_p11_find_free(struct sck_p11_find **find)
{
    if (*find == NULL)
        return;
    free((*find)->templ);
    free((*find)->values);
    free(*find);
    *find = NULL;
}

/* The application may change its template as soon as C_FindObjectsInit returns. */
static CK_RV
template_keep(struct sck_p11_find *find, const CK_ATTRIBUTE *templ, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += templ[i].ulValueLen;
    find->templ = calloc(count + 1, sizeof *find->templ);
    find->values = malloc(total + 1);
    if (find->templ == NULL || find->values == NULL)
        return CKR_HOST_MEMORY;
    uint8_t *at = find->values;
    for (size_t i = 0; i < count; i++) {
        find->templ[i] = (CK_ATTRIBUTE){templ[i].type, at, templ[i].ulValueLen};
        if (templ[i].ulValueLen != 0)
            memcpy(at, templ[i].pValue, templ[i].ulValueLen);
        at += templ[i].ulValueLen;
    }
    find->count = count;
    return CKR_OK;
}

static const CK_ATTRIBUTE *
asked_for(const struct sck_p11_find *find, CK_ATTRIBUTE_TYPE type)
{
    for (size_t i = 0; i < find->count; i++)
        if (find->templ[i].type == type)
            return &find->templ[i];
    return NULL;
}

static void
consider(struct sck_p11_find *find, const struct sck_key_info *info, CK_OBJECT_CLASS class_)
{
    if (sck_p11_class_is_private(class_) && !find->logged_in)
        return;
    struct sck_p11_object object;
    sck_p11_object_init(&object, class_, info);
    if (!sck_p11_attr_match(&object, find->templ, find->count))
        return;
    struct hit *hit = &find->hits[find->hit_count++];
    memcpy(hit->id, info->id, sizeof hit->id);
    hit->class_ = class_;
}

/* sck_key_fn: take the halves of a key that match. */
static enum sck_code
look_at(void *arg, const struct sck_key_info *info, struct sck_err *err)
{
    (void)err;
    struct sck_p11_find *find = arg;
    memcpy(find->after, info->id, sizeof find->after);
    find->seen++;
    if (!sck_p11_key_is_visible(find->service, info))
        return SCK_OK;
    if (info->spki_len == 0) {
        consider(find, info, CKO_SECRET_KEY);
    } else {
        consider(find, info, CKO_PUBLIC_KEY);
        consider(find, info, CKO_PRIVATE_KEY);
    }
    return SCK_OK;
}

/* ---- by index: a name that no key has costs as little as one that a key has ---- */

static enum sck_code
by_label(struct sck_p11_call *call, const CK_ATTRIBUTE *label, struct sck_key_info *info)
{
    struct sck_uri uri = {.type = SCK_TYPE_NONE};
    if (sck_label_parse(label->pValue, label->ulValueLen, &uri.scope, uri.name, NULL) != SCK_OK)
        return SCK_E_NOT_FOUND;
    return sck_key_find(call->app->service, &uri, info, &call->err);
}

static enum sck_code
by_id(struct sck_p11_call *call, const CK_ATTRIBUTE *id, struct sck_key_info *info)
{
    if (id->ulValueLen != sizeof info->id)
        return SCK_E_NOT_FOUND;
    return sck_key_find_by_id(call->app->service, id->pValue, 0, info, &call->err);
}

static enum sck_code
by_unique_id(struct sck_p11_call *call, const CK_ATTRIBUTE *unique, struct sck_key_info *info)
{
    char key_id[SCK_KEY_ID_MAX + 1];
    if (!sck_p11_unique_id_parse(unique->pValue, unique->ulValueLen, key_id))
        return SCK_E_NOT_FOUND;
    return sck_key_find_by_key_id(call->app->service, key_id, 0, info, &call->err);
}

/* What is not there, erased, or out of sight is simply not found. */
static CK_RV
found_one(struct sck_p11_call *call, struct sck_p11_find *find, enum sck_code code, const struct sck_key_info *info)
{
    if (code == SCK_E_NOT_FOUND || code == SCK_E_ERASED || code == SCK_E_DENIED || code == SCK_E_USAGE) {
        sck_err_clear(&call->err);
        return CKR_OK;
    }
    if (code == SCK_OK)
        code = look_at(find, info, &call->err);
    return sck_p11_rv(code, SCK_P11_OBJECT, &call->err);
}

static CK_RV
search(struct sck_p11_call *call, struct sck_p11_find *find)
{
    struct sck_key_info info;
    const CK_ATTRIBUTE *a;
    if ((a = asked_for(find, CKA_ID)) != NULL)
        return found_one(call, find, by_id(call, a, &info), &info);
    if ((a = asked_for(find, CKA_LABEL)) != NULL)
        return found_one(call, find, by_label(call, a, &info), &info);
    if ((a = asked_for(find, CKA_UNIQUE_ID)) != NULL)
        return found_one(call, find, by_unique_id(call, a, &info), &info);
    find->walking = true;
    /* Certificates and data objects are none of ours: programs ask for them all the time. */
    CK_OBJECT_CLASS class_;
    if ((a = asked_for(find, CKA_CLASS)) != NULL) {
        memcpy(&class_, a->pValue, sizeof class_);
        find->walking =
            class_ == CKO_PUBLIC_KEY || (find->logged_in && (class_ == CKO_PRIVATE_KEY || class_ == CKO_SECRET_KEY));
    }
    return CKR_OK;
}

/* The next page of keys that holds a hit; none are left when `walking` ends. */
static CK_RV
walk(struct sck_p11_call *call, struct sck_p11_find *find)
{
    find->hit_count = find->hit_next = 0;
    while (find->walking && find->hit_count == 0) {
        uint8_t after[16];
        memcpy(after, find->after, sizeof after);
        find->seen = 0;
        enum sck_code code = sck_key_page(call->app->service, after, PAGE_KEYS, look_at, find, &call->err);
        if (code != SCK_OK)
            return sck_p11_rv(code, SCK_P11_OBJECT, &call->err);
        find->walking = find->seen == PAGE_KEYS;
    }
    return CKR_OK;
}

static CK_RV
find_init(struct sck_p11_call *call, const CK_ATTRIBUTE *templ, CK_ULONG count)
{
    if (call->session->find != NULL)
        return CKR_OPERATION_ACTIVE;
    CK_RV rv = sck_p11_template_check(templ, count);
    if (rv != CKR_OK)
        return rv;
    struct sck_p11_find *find = calloc(1, sizeof *find);
    if (find == NULL)
        return CKR_HOST_MEMORY;
    find->logged_in = call->login != 0;
    find->service = call->app->service;
    rv = template_keep(find, templ, count);
    if (rv == CKR_OK)
        rv = search(call, find);
    if (rv == CKR_OK)
        call->session->find = find;
    else
        sck_p11_find_free(&find);
    return rv;
}

static CK_RV
find_next(struct sck_p11_call *call, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)
{
    struct sck_p11_find *find = call->session->find;
    if (find == NULL)
        return CKR_OPERATION_NOT_INITIALIZED;
    if (count == NULL || (objects == NULL && max != 0))
        return CKR_ARGUMENTS_BAD;
    *count = 0;
    /* A logout in mid-search hides what was private; a login shows nothing that the search began without. */
    find->logged_in = find->logged_in && call->login != 0;
    while (*count < max) {
        if (find->hit_next == find->hit_count) {
            CK_RV rv = walk(call, find);
            if (rv != CKR_OK)
                return rv;
            if (find->hit_count == 0)
                break;
        }
        const struct hit *hit = &find->hits[find->hit_next++];
        if (sck_p11_class_is_private(hit->class_) && !find->logged_in)
            continue;
        CK_RV rv = sck_p11_object_handle(call, hit->id, hit->class_, &objects[*count]);
        if (rv != CKR_OK)
            return rv;
        (*count)++;
    }
    return CKR_OK;
}

CK_RV
C_FindObjectsInit(CK_SESSION_HANDLE session, struct _CK_ATTRIBUTE *templ, unsigned long ulCount)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, find_init(&call, templ, ulCount));
}

CK_RV
C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *object, unsigned long max_object_count,
              unsigned long *object_count)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, find_next(&call, object, max_object_count, object_count));
}

CK_RV
C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    rv = call.session->find != NULL ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
    sck_p11_find_free(&call.session->find);
    return sck_p11_end(&call, rv);
}
