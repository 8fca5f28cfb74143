/* SPDX-License-Identifier: MIT */
/*
 * Objects: two for each pair (private and public), one for each secret key.  A handle stands for a key's id and the
 * object's class, nothing more; what the key is now is looked up (by index) whenever the handle is used.  Handles count
 * up for the life of the process and are never used twice; those of private objects end at logout.
 */
#ifndef SCK_PKCS11_OBJECT_H
#define SCK_PKCS11_OBJECT_H

#include "lib/service/service.h"
#include "pkcs11/pkcs11_v3.h"

struct sck_p11_call;

/* 32 bytes an object that the application has seen. */
struct sck_p11_entry {
    CK_OBJECT_HANDLE handle;
    uint8_t id[16];
    uint8_t class_; /* CKO_PUBLIC_KEY, CKO_PRIVATE_KEY or CKO_SECRET_KEY */
};

struct sck_p11_objects {
    struct sck_p11_entry *entries; /* in order of handle */
    size_t count;
    size_t cap;
    uint32_t *index; /* open addressing by id and class: place in `entries` + 1, or 0 */
    size_t index_size; /* a power of two */
};

/* True for an object that only a logged-in application sees. */
bool sck_p11_class_is_private(CK_OBJECT_CLASS class_);
/* True when the module shows this key at all: inside the wall, and no key of Scopekey's own unless the wall names it. */
bool sck_p11_key_is_visible(const struct sck_service *service, const struct sck_key_info *info);

/* The handle of an object, a new one if it has none yet.  CKR_HOST_MEMORY. */
CK_RV sck_p11_object_handle(struct sck_p11_call *call, const uint8_t id[16], CK_OBJECT_CLASS class_,
                            CK_OBJECT_HANDLE *handle);
/*
 * What a handle stands for, looked up now: class and current version.  CKR_OBJECT_HANDLE_INVALID when it is unknown, its
 * key erased, destroyed or out of sight.
 */
CK_RV sck_p11_object_get(struct sck_p11_call *call, CK_OBJECT_HANDLE handle, CK_OBJECT_CLASS *class_,
                         struct sck_key_info *info);

/* Drop all private objects (logout).  With the module's lock held. */
void sck_p11_objects_logout(struct sck_p11_objects *objects);
/* Drop all objects.  With the module's lock held, or on an application that nobody uses any more. */
void sck_p11_objects_clear(struct sck_p11_objects *objects);

#endif
