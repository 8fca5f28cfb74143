/* SPDX-License-Identifier: MIT */
/* A new token in a free slot (C_InitToken), for the embedded set-up. */
#include "lib/token/session.h"
#include "lib/token/store.h"

#include <stdlib.h>
#include <string.h>

static enum sck_code
find_free_slot(struct sck_conn *c, CK_SLOT_ID *out, struct sck_err *err)
{
    CK_ULONG count = 0;
    CK_SLOT_ID *slots = NULL;
    bool found = false;
    CK_RV rv = SCK_P11(c, C_GetSlotList, CK_TRUE, NULL, &count);
    if (rv == CKR_OK && count > 0 && (slots = calloc(count, sizeof *slots)) == NULL)
        rv = CKR_HOST_MEMORY;
    if (rv == CKR_OK && count > 0)
        rv = SCK_P11(c, C_GetSlotList, CK_TRUE, slots, &count);
    for (CK_ULONG i = 0; rv == CKR_OK && i < count && !found; i++) {
        CK_TOKEN_INFO info;
        memset(&info, 0, sizeof info);
        found = SCK_P11(c, C_GetTokenInfo, slots[i], &info) == CKR_OK && (info.flags & CKF_TOKEN_INITIALIZED) == 0;
        *out = slots[i];
    }
    free(slots);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "looking for a free slot of %s", c->module->path);
    return found ? SCK_OK
                 : sck_fail(err, SCK_E_TOKEN, "%s has no slot with a token that is not initialised yet",
                            c->module->path);
}

/* The user PIN is set by the security officer, in a session of his. */
static enum sck_code
set_user_pin(const struct sck_token_conf *conf, struct sck_conn *c, CK_SLOT_ID slot, const struct sck_secret *so_pin,
             const struct sck_secret *pin, struct sck_err *err)
{
    CK_SESSION_HANDLE session;
    CK_RV rv = SCK_P11(c, C_OpenSession, slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "opening a session on the new token %s", conf->label);
    rv = SCK_P11(c, C_Login, session, CKU_SO, so_pin->data, (CK_ULONG)so_pin->len);
    if (rv == CKR_OK) {
        rv = SCK_P11(c, C_InitPIN, session, pin->data, (CK_ULONG)pin->len);
        (void)SCK_P11(c, C_Logout, session);
    }
    (void)SCK_P11(c, C_CloseSession, session);
    return rv == CKR_OK ? SCK_OK : sck_fail_rv(err, rv, "setting the user PIN of the new token %s", conf->label);
}

static enum sck_code
make_in_module(const struct sck_token_conf *conf, struct sck_conn *c, const struct sck_secret *so_pin,
               const struct sck_secret *pin, struct sck_err *err)
{
    CK_SLOT_ID slot = 0;
    CK_TOKEN_INFO info;
    bool absent = false;
    unsigned char label[32];
    struct sck_err local = SCK_ERR_INIT;
    struct sck_token_conf any = *conf;
    any.serial = NULL;
    enum sck_code rc = sck_slot_find(&any, c, &slot, &info, &absent, &local);
    if (rc == SCK_OK || !absent)
        return rc == SCK_OK || local.rv == 0
            ? sck_fail(err, SCK_E_EXISTS, "a token \"%s\" is there already: choose another label", conf->label)
            : sck_fail(err, local.code, "%s", local.message);
    rc = find_free_slot(c, &slot, err);
    if (rc != SCK_OK)
        return rc;
    memset(label, ' ', sizeof label);
    memcpy(label, conf->label, strlen(conf->label));
    CK_RV rv = SCK_P11(c, C_InitToken, slot, so_pin->data, (CK_ULONG)so_pin->len, label);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "initialising token %s", conf->label);
    /* The slot has another number now. */
    rc = sck_slot_find(&any, c, &slot, &info, &absent, err);
    return rc == SCK_OK ? set_user_pin(conf, c, slot, so_pin, pin, err) : rc;
}

enum sck_code
sck_token_make(const struct sck_token_conf *conf, const struct sck_secret *so_pin, const struct sck_secret *pin,
               struct sck_err *err)
{
    struct sck_token *t = NULL;
    struct sck_module *m = NULL;
    struct sck_write w = {conf, -1, 0};
    unsigned long generation = 0;
    enum sck_code rc = sck_token_new(conf, &t, err);
    if (rc == SCK_OK)
        rc = sck_write_begin(&t->conf, &w, err);
    if (rc == SCK_OK)
        rc = sck_module_load(conf->module_path, &m, err);
    if (rc == SCK_OK) {
        sck_module_use(m);
        rc = sck_module_ensure(m, conf->module_env, &generation, err);
        if (rc == SCK_OK) {
            struct sck_conn c = sck_conn_of(m, generation);
            rc = make_in_module(conf, &c, so_pin, pin, err);
        }
        sck_module_drop(m);
    }
    if (rc == SCK_OK)
        rc = sck_write_sync(&w, err);
    sck_write_end(&w);
    sck_token_free(&t);
    return rc;
}
