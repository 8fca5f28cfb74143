/* SPDX-License-Identifier: MIT */
#include "lib/base/text.h"
#include "pkcs11/mechanism.h"
#include "pkcs11/module.h"
#include "pkcs11/text.h"

#include <string.h>

CK_RV
sck_p11_slot_check(const struct sck_p11_app *app, CK_SLOT_ID slot, bool need_token)
{
    if (slot != SCK_P11_SLOT)
        return CKR_SLOT_ID_INVALID;
    return need_token && app->service == NULL ? CKR_TOKEN_NOT_PRESENT : CKR_OK;
}

/* Enter for a call about a slot. */
static CK_RV
enter_slot(struct sck_p11_app **app, CK_SLOT_ID slot, bool need_token, bool args_good)
{
    CK_RV rv = sck_p11_enter(app);
    if (rv != CKR_OK)
        return rv;
    rv = sck_p11_slot_check(*app, slot, need_token);
    if (rv == CKR_OK && !args_good)
        rv = CKR_ARGUMENTS_BAD;
    if (rv != CKR_OK)
        sck_p11_leave(app);
    return rv;
}

CK_RV
C_GetSlotList(unsigned char token_present, CK_SLOT_ID *slot_list, unsigned long *ulCount)
{
    struct sck_p11_app *app;
    CK_RV rv = sck_p11_enter(&app);
    if (rv != CKR_OK)
        return rv;
    unsigned long have = token_present && app->service == NULL ? 0 : 1;
    sck_p11_leave(&app);
    if (ulCount == NULL)
        return CKR_ARGUMENTS_BAD;
    unsigned long room = *ulCount;
    *ulCount = have;
    if (slot_list == NULL)
        return CKR_OK;
    if (room < have)
        return CKR_BUFFER_TOO_SMALL;
    if (have != 0)
        slot_list[0] = SCK_P11_SLOT;
    return CKR_OK;
}

CK_RV
C_GetSlotInfo(CK_SLOT_ID slot_id, struct _CK_SLOT_INFO *info)
{
    struct sck_p11_app *app;
    CK_RV rv = enter_slot(&app, slot_id, false, info != NULL);
    if (rv != CKR_OK)
        return rv;
    *info =
        (CK_SLOT_INFO){.flags = app->service != NULL ? CKF_TOKEN_PRESENT : 0, .firmwareVersion = sck_p11_version()};
    sck_p11_pad(info->slotDescription, sizeof info->slotDescription, "Scopekey");
    sck_p11_pad(info->manufacturerID, sizeof info->manufacturerID, "Scopekey");
    sck_p11_leave(&app);
    return CKR_OK;
}

/* The set-up's serial number: the random end of its catalog id. */
static void
serial_of(const struct sck_service *service, unsigned char out[16])
{
    char hex[17];
    sck_hex_format(sck_service_conf(service)->catalog_id + 8, 8, hex);
    memcpy(out, hex, 16);
}

CK_RV
C_GetTokenInfo(CK_SLOT_ID slot_id, struct _CK_TOKEN_INFO *info)
{
    struct sck_p11_app *app;
    CK_RV rv = enter_slot(&app, slot_id, true, info != NULL);
    if (rv != CKR_OK)
        return rv;
    *info = (CK_TOKEN_INFO){
        .flags = CKF_RNG | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED,
        .ulMaxSessionCount = CK_EFFECTIVELY_INFINITE,
        .ulMaxRwSessionCount = CK_EFFECTIVELY_INFINITE,
        .ulMinPinLen = 1,
        .ulMaxPinLen = 255,
        .ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION,
        .ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION,
        .firmwareVersion = sck_p11_version(),
    };
    sck_p11_pad(info->label, sizeof info->label, "Scopekey");
    sck_p11_pad(info->manufacturerID, sizeof info->manufacturerID, "Scopekey");
    sck_p11_pad(info->model, sizeof info->model, "Scopekey");
    sck_p11_pad(info->utcTime, sizeof info->utcTime, "");
    serial_of(app->service, info->serialNumber);
    sck_p11_lock();
    info->ulSessionCount = app->sessions.count;
    info->ulRwSessionCount = app->sessions.rw_count;
    sck_p11_unlock();
    sck_p11_leave(&app);
    return CKR_OK;
}

CK_RV
C_GetMechanismList(CK_SLOT_ID slot_id, CK_MECHANISM_TYPE *mechanism_list, unsigned long *ulCount)
{
    struct sck_p11_app *app;
    CK_RV rv = enter_slot(&app, slot_id, true, ulCount != NULL);
    if (rv != CKR_OK)
        return rv;
    sck_p11_leave(&app);
    unsigned long room = *ulCount, have = 0;
    for (const struct sck_p11_mech *m; (m = sck_p11_mech_at(have)) != NULL; have++)
        if (mechanism_list != NULL && have < room)
            mechanism_list[have] = m->type;
    *ulCount = have;
    return mechanism_list != NULL && room < have ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

CK_RV
C_GetMechanismInfo(CK_SLOT_ID slot_id, CK_MECHANISM_TYPE type, struct _CK_MECHANISM_INFO *info)
{
    struct sck_p11_app *app;
    CK_RV rv = enter_slot(&app, slot_id, true, info != NULL);
    if (rv != CKR_OK)
        return rv;
    sck_p11_leave(&app);
    const struct sck_p11_mech *m = sck_p11_mech_by_type(type);
    if (m == NULL)
        return CKR_MECHANISM_INVALID;
    *info = (CK_MECHANISM_INFO){.ulMinKeySize = m->min, .ulMaxKeySize = m->max, .flags = m->flags};
    return CKR_OK;
}

CK_RV
C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *slot, void *pReserved)
{
    struct sck_p11_app *app;
    CK_RV rv = sck_p11_enter(&app);
    if (rv != CKR_OK)
        return rv;
    sck_p11_leave(&app);
    if (slot == NULL || pReserved != NULL)
        return CKR_ARGUMENTS_BAD;
    /* The slot never changes: who wants to wait is told that this is not to be had, and polls. */
    return (flags & CKF_DONT_BLOCK) != 0 ? CKR_NO_EVENT : CKR_FUNCTION_NOT_SUPPORTED;
}

CK_RV
C_InitToken(CK_SLOT_ID slot_id, unsigned char *pin, unsigned long pin_len, unsigned char *label)
{
    (void)pin;
    (void)pin_len;
    (void)label;
    struct sck_p11_app *app;
    CK_RV rv = enter_slot(&app, slot_id, false, true);
    if (rv != CKR_OK)
        return rv;
    sck_p11_leave(&app);
    return CKR_FUNCTION_NOT_SUPPORTED;
}
