/* SPDX-License-Identifier: MIT */
#include "pkcs11/object.h"

#include "pkcs11/attribute.h"
#include "pkcs11/module.h"
#include "pkcs11/rv.h"

#include <stdlib.h>
#include <string.h>

static CK_OBJECT_HANDLE last_handle;

bool
sck_p11_class_is_private(CK_OBJECT_CLASS class_)
{
    return class_ != CKO_PUBLIC_KEY;
}

/* ---- the table, with the module's lock held ---- */

static size_t
hash(const uint8_t id[16], uint8_t class_)
{
    uint64_t h = class_;
    for (size_t i = 0; i < 16; i++)
        h = (h ^ id[i]) * 0x100000001b3ULL;
    return (size_t)(h ^ (h >> 29));
}

/* The place in the index where the object is, or where it would go. */
static uint32_t *
place(const struct sck_p11_objects *objects, const uint8_t id[16], uint8_t class_)
{
    size_t mask = objects->index_size - 1;
    for (size_t at = hash(id, class_) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &objects->index[at];
        if (*slot == 0)
            return slot;
        const struct sck_p11_entry *e = &objects->entries[*slot - 1];
        if (e->class_ == class_ && memcmp(e->id, id, 16) == 0)
            return slot;
    }
}

/* Build the index anew, at least twice as large as there are entries. */
static bool
reindex(struct sck_p11_objects *objects, size_t index_size)
{
    uint32_t *index = calloc(index_size, sizeof *index);
    if (index == NULL)
        return false;
    free(objects->index);
    objects->index = index;
    objects->index_size = index_size;
    for (size_t i = 0; i < objects->count; i++)
        *place(objects, objects->entries[i].id, objects->entries[i].class_) = (uint32_t)(i + 1);
    return true;
}

static bool
make_room(struct sck_p11_objects *objects)
{
    if (objects->count == objects->cap) {
        size_t cap = objects->cap == 0 ? 32 : objects->cap * 2;
        if (cap > UINT32_MAX / 4)
            return false;
        struct sck_p11_entry *entries = realloc(objects->entries, cap * sizeof *entries);
        if (entries == NULL)
            return false;
        objects->entries = entries;
        objects->cap = cap;
    }
    return objects->index_size > 2 * objects->count || reindex(objects, 4 * objects->cap);
}

static CK_RV
handle_of(struct sck_p11_objects *objects, const uint8_t id[16], uint8_t class_, CK_OBJECT_HANDLE *handle)
{
    if (!make_room(objects) || last_handle + 1 == CK_INVALID_HANDLE)
        return CKR_HOST_MEMORY;
    uint32_t *slot = place(objects, id, class_);
    if (*slot == 0) {
        struct sck_p11_entry *e = &objects->entries[objects->count++];
        *e = (struct sck_p11_entry){.handle = ++last_handle, .class_ = class_};
        memcpy(e->id, id, 16);
        *slot = (uint32_t)objects->count;
    }
    *handle = objects->entries[*slot - 1].handle;
    return CKR_OK;
}

static int
by_handle(const void *key, const void *entry)
{
    const CK_OBJECT_HANDLE *handle = key;
    const struct sck_p11_entry *e = entry;
    return *handle < e->handle ? -1 : *handle > e->handle;
}

void
sck_p11_objects_logout(struct sck_p11_objects *objects)
{
    size_t kept = 0;
    for (size_t i = 0; i < objects->count; i++)
        if (!sck_p11_class_is_private(objects->entries[i].class_))
            objects->entries[kept++] = objects->entries[i];
    objects->count = kept;
    if (objects->index == NULL)
        return;
    memset(objects->index, 0, objects->index_size * sizeof *objects->index);
    for (size_t i = 0; i < kept; i++)
        *place(objects, objects->entries[i].id, objects->entries[i].class_) = (uint32_t)(i + 1);
}

void
sck_p11_objects_clear(struct sck_p11_objects *objects)
{
    free(objects->entries);
    free(objects->index);
    *objects = (struct sck_p11_objects){0};
}

/* ---- calls ---- */

bool
sck_p11_key_is_visible(const struct sck_service *service, const struct sck_key_info *info)
{
    if (info->scope.kind != SCK_SCOPE_SYSTEM)
        return true;
    const char *wall = sck_service_conf(service)->scopes;
    return wall[0] != '\0' && sck_scope_is_allowed(&info->scope, wall);
}

CK_RV
sck_p11_object_handle(struct sck_p11_call *call, const uint8_t id[16], CK_OBJECT_CLASS class_,
                      CK_OBJECT_HANDLE *handle)
{
    CK_RV rv = CKR_USER_NOT_LOGGED_IN;
    sck_p11_lock();
    /* A handle made for a login that has ended meanwhile would outlive it. */
    if (!sck_p11_class_is_private(class_) || (call->login != 0 && call->login == call->app->login))
        rv = handle_of(&call->app->objects, id, (uint8_t)class_, handle);
    sck_p11_unlock();
    return rv;
}

CK_RV
sck_p11_object_get(struct sck_p11_call *call, CK_OBJECT_HANDLE handle, CK_OBJECT_CLASS *class_,
                   struct sck_key_info *info)
{
    const struct sck_p11_objects *objects = &call->app->objects;
    struct sck_p11_entry found = {0};
    sck_p11_lock();
    const struct sck_p11_entry *e =
        objects->count == 0 ? NULL : bsearch(&handle, objects->entries, objects->count, sizeof *e, by_handle);
    if (e != NULL)
        found = *e;
    sck_p11_unlock();
    if (e == NULL)
        return CKR_OBJECT_HANDLE_INVALID;
    enum sck_code code = sck_key_find_by_id(call->app->service, found.id, 0, info, &call->err);
    if (code != SCK_OK)
        return sck_p11_rv(code, SCK_P11_OBJECT, &call->err);
    *class_ = found.class_;
    return sck_p11_key_is_visible(call->app->service, info) ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

CK_RV
C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, unsigned long *size)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    CK_OBJECT_CLASS class_;
    struct sck_key_info info;
    if (size == NULL)
        return sck_p11_end(&call, CKR_ARGUMENTS_BAD);
    rv = sck_p11_object_get(&call, object, &class_, &info);
    if (rv == CKR_OK)
        *size = CK_UNAVAILABLE_INFORMATION;
    return sck_p11_end(&call, rv);
}

/* One attribute into the caller's room (PKCS#11 2.40 section 5.7, C_GetAttributeValue). */
static CK_RV
give(const struct sck_p11_object *object, CK_ATTRIBUTE *to, struct sck_buf *value)
{
    sck_buf_reset(value);
    CK_RV rv = sck_p11_attr_get(object, to->type, value);
    CK_ULONG room = to->ulValueLen;
    to->ulValueLen = rv == CKR_OK ? value->len : CK_UNAVAILABLE_INFORMATION;
    if (rv != CKR_OK || to->pValue == NULL)
        return rv;
    if (room < value->len) {
        to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return CKR_BUFFER_TOO_SMALL;
    }
    if (value->len != 0)
        memcpy(to->pValue, value->data, value->len);
    return CKR_OK;
}

static CK_RV
get_attributes(struct sck_p11_call *call, CK_OBJECT_HANDLE handle, CK_ATTRIBUTE *templ, CK_ULONG count)
{
    if ((templ == NULL && count != 0) || count > SCK_P11_TEMPLATE_MAX)
        return CKR_ARGUMENTS_BAD;
    CK_OBJECT_CLASS class_;
    struct sck_key_info info;
    CK_RV rv = sck_p11_object_get(call, handle, &class_, &info);
    if (rv != CKR_OK)
        return rv;
    struct sck_p11_object object;
    sck_p11_object_init(&object, class_, &info);
    struct sck_buf value;
    sck_buf_init(&value, SCK_P11_ATTR_MAX);
    /* All that can be filled is filled; what is wrong with the first that cannot is said. */
    for (CK_ULONG i = 0; i < count; i++) {
        CK_RV one = give(&object, &templ[i], &value);
        if (rv == CKR_OK)
            rv = one;
    }
    sck_buf_clear(&value);
    return rv;
}

CK_RV
C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct _CK_ATTRIBUTE *templ,
                    unsigned long ulCount)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, get_attributes(&call, object, templ, ulCount));
}

/* What is not to be changed says so (CKA_COPYABLE, CKA_MODIFIABLE and CKA_DESTROYABLE are false). */
static CK_RV
prohibited(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, bool args_good)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    CK_OBJECT_CLASS class_;
    struct sck_key_info info;
    if (!args_good)
        return sck_p11_end(&call, CKR_ARGUMENTS_BAD);
    rv = sck_p11_object_get(&call, object, &class_, &info);
    return sck_p11_end(&call, rv == CKR_OK ? CKR_ACTION_PROHIBITED : rv);
}

CK_RV
C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct _CK_ATTRIBUTE *templ, unsigned long ulCount,
             CK_OBJECT_HANDLE *new_object)
{
    return prohibited(session, object, new_object != NULL && (templ != NULL || ulCount == 0));
}

CK_RV
C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) { return prohibited(session, object, true); }

CK_RV
C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, struct _CK_ATTRIBUTE *templ,
                    unsigned long ulCount)
{
    return prohibited(session, object, templ != NULL && ulCount != 0);
}
