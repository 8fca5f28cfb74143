/* SPDX-License-Identifier: MIT */
/*
 * The module's state between C_Initialize and C_Finalize.
 *
 * One lock guards everything here and in the session and object tables; it is held for a few memory accesses only, never
 * across a call into lib/service.  A call in flight holds a reference, so that C_Finalize in another thread takes nothing
 * away from under it.  After fork the child has no application: every call answers CKR_CRYPTOKI_NOT_INITIALIZED until it
 * calls C_Initialize (PKCS#11 2.40 section 2.6.3).
 */
#ifndef SCK_PKCS11_MODULE_H
#define SCK_PKCS11_MODULE_H

#include "lib/service/service.h"
#include "pkcs11/object.h"
#include "pkcs11/pkcs11_v3.h"
#include "pkcs11/session.h"

#define SCK_P11_SLOT 0UL /* the only slot */

struct sck_p11_app {
    struct sck_service *service; /* NULL: this machine has no set-up, so the slot is empty */
    unsigned refs; /* the module's own and one per call in flight */
    CK_ULONG login; /* 0: public; else the number of this login, never used twice */
    struct sck_p11_sessions sessions;
    struct sck_p11_objects objects;
};

/* The module's lock. */
void sck_p11_lock(void);
void sck_p11_unlock(void);
/* Wait until sck_p11_wake(); the lock is held before and after. */
void sck_p11_wait(void);
void sck_p11_wake(void);

/* Borrow the application for one call.  CKR_CRYPTOKI_NOT_INITIALIZED. */
CK_RV sck_p11_enter(struct sck_p11_app **app);
/* Give it back; the last one out frees it. */
void sck_p11_leave(struct sck_p11_app **app);

/* CKR_SLOT_ID_INVALID unless it is ours; CKR_TOKEN_NOT_PRESENT when the slot is empty and `need_token`. */
CK_RV sck_p11_slot_check(const struct sck_p11_app *app, CK_SLOT_ID slot, bool need_token);

#endif
