/* SPDX-License-Identifier: MIT */
#include "pkcs11/session.h"

#include "pkcs11/cipher.h"
#include "pkcs11/digest.h"
#include "pkcs11/find.h"
#include "pkcs11/module.h"
#include "pkcs11/rv.h"
#include "pkcs11/signature.h"

#include <stdlib.h>

/* ---- the table, with the module's lock held ---- */

static CK_SESSION_HANDLE last_handle;

static struct sck_p11_session **
place(const struct sck_p11_sessions *sessions, CK_SESSION_HANDLE handle)
{
    struct sck_p11_session **at = &sessions->buckets[handle & (sessions->bucket_count - 1)];
    while (*at != NULL && (*at)->handle != handle)
        at = &(*at)->next;
    return at;
}

static struct sck_p11_session *
lookup(const struct sck_p11_sessions *sessions, CK_SESSION_HANDLE handle)
{
    return sessions->bucket_count == 0 ? NULL : *place(sessions, handle);
}

static bool
make_room(struct sck_p11_sessions *sessions)
{
    if (sessions->count < sessions->bucket_count)
        return true;
    struct sck_p11_sessions wider = *sessions;
    wider.bucket_count = sessions->bucket_count == 0 ? 16 : sessions->bucket_count * 2;
    wider.buckets = calloc(wider.bucket_count, sizeof(struct sck_p11_session *));
    if (wider.buckets == NULL)
        return false;
    for (size_t i = 0; i < sessions->bucket_count; i++) {
        struct sck_p11_session *s = sessions->buckets[i];
        while (s != NULL) {
            struct sck_p11_session *next = s->next;
            s->next = NULL;
            *place(&wider, s->handle) = s;
            s = next;
        }
    }
    free(sessions->buckets);
    *sessions = wider;
    return true;
}

static void
take_out(struct sck_p11_sessions *sessions, struct sck_p11_session **at, struct sck_p11_session *s)
{
    *at = s->next;
    s->next = NULL;
    s->closed = true;
    sessions->count--;
    if ((s->flags & CKF_RW_SESSION) != 0)
        sessions->rw_count--;
}

/* The application's last session ends its login (PKCS#11 2.40 section 5.6, C_CloseSession). */
static void
last_one_out(struct sck_p11_app *app)
{
    if (app->sessions.count != 0)
        return;
    app->login = 0;
    sck_p11_objects_clear(&app->objects);
}

/* ---- operations ---- */

static void
end_private(struct sck_p11_session *s)
{
    sck_p11_sig_free(&s->sign);
    sck_p11_cipher_free(&s->decrypt);
    if (s->encrypt != NULL && sck_p11_cipher_is_private(s->encrypt))
        sck_p11_cipher_free(&s->encrypt);
}

/* Not under the lock: giving back a key may call the token. */
static void
session_free(struct sck_p11_session *s)
{
    end_private(s);
    sck_p11_sig_free(&s->verify);
    sck_p11_cipher_free(&s->encrypt);
    sck_p11_digest_free(&s->digest);
    sck_p11_find_free(&s->find);
    free(s);
}

void
sck_p11_sessions_clear(struct sck_p11_sessions *sessions)
{
    for (size_t i = 0; i < sessions->bucket_count; i++) {
        while (sessions->buckets[i] != NULL) {
            struct sck_p11_session *s = sessions->buckets[i];
            take_out(sessions, &sessions->buckets[i], s);
            session_free(s);
        }
    }
    free(sessions->buckets);
    *sessions = (struct sck_p11_sessions){0};
}

/* ---- calls ---- */

/* Take the session for this call; with the lock held. */
static struct sck_p11_session *
occupy(struct sck_p11_app *app, CK_SESSION_HANDLE handle, struct sck_p11_session **abandoned)
{
    struct sck_p11_session *s = lookup(&app->sessions, handle);
    if (s == NULL)
        return NULL;
    s->refs++;
    while (s->busy && !s->closed)
        sck_p11_wait();
    if (!s->closed) {
        s->busy = true;
        return s;
    }
    if (--s->refs == 0)
        *abandoned = s;
    return NULL;
}

CK_RV
sck_p11_begin(struct sck_p11_call *call, CK_SESSION_HANDLE handle)
{
    *call = (struct sck_p11_call){.err = SCK_ERR_INIT};
    CK_RV rv = sck_p11_enter(&call->app);
    if (rv != CKR_OK)
        return rv;
    struct sck_p11_session *abandoned = NULL;
    sck_p11_lock();
    call->session = occupy(call->app, handle, &abandoned);
    call->login = call->app->login;
    sck_p11_unlock();
    if (abandoned != NULL)
        session_free(abandoned);
    if (call->session == NULL) {
        sck_p11_leave(&call->app);
        return CKR_SESSION_HANDLE_INVALID;
    }
    if (call->session->login != call->login) {
        end_private(call->session);
        call->session->login = call->login;
    }
    return CKR_OK;
}

CK_RV
sck_p11_end(struct sck_p11_call *call, CK_RV rv)
{
    struct sck_p11_session *s = call->session;
    sck_p11_lock();
    s->busy = false;
    bool last = --s->refs == 0 && s->closed;
    if (s->refs != 0)
        sck_p11_wake();
    sck_p11_unlock();
    if (last)
        session_free(s);
    if (rv != CKR_OK)
        sck_p11_log(&call->err);
    call->session = NULL;
    sck_p11_leave(&call->app);
    return rv;
}

CK_RV
C_OpenSession(CK_SLOT_ID slot_id, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
    (void)application;
    (void)notify;
    struct sck_p11_app *app;
    CK_RV rv = sck_p11_enter(&app);
    if (rv != CKR_OK)
        return rv;
    rv = sck_p11_slot_check(app, slot_id, true);
    if (rv == CKR_OK && session == NULL)
        rv = CKR_ARGUMENTS_BAD;
    if (rv == CKR_OK && (flags & CKF_SERIAL_SESSION) == 0)
        rv = CKR_SESSION_PARALLEL_NOT_SUPPORTED;
    struct sck_p11_session *s = NULL;
    if (rv == CKR_OK && (s = calloc(1, sizeof *s)) == NULL)
        rv = CKR_HOST_MEMORY;
    sck_p11_lock();
    if (rv == CKR_OK && (last_handle + 1 == CK_INVALID_HANDLE || !make_room(&app->sessions)))
        rv = CKR_HOST_MEMORY;
    if (rv == CKR_OK) {
        s->handle = ++last_handle;
        s->flags = flags & (CKF_SERIAL_SESSION | CKF_RW_SESSION);
        s->login = app->login;
        *place(&app->sessions, s->handle) = s;
        app->sessions.count++;
        if ((flags & CKF_RW_SESSION) != 0)
            app->sessions.rw_count++;
        *session = s->handle;
        s = NULL;
    }
    sck_p11_unlock();
    free(s);
    sck_p11_leave(&app);
    return rv;
}

CK_RV
C_CloseSession(CK_SESSION_HANDLE session)
{
    struct sck_p11_app *app;
    CK_RV rv = sck_p11_enter(&app);
    if (rv != CKR_OK)
        return rv;
    sck_p11_lock();
    struct sck_p11_session *s = lookup(&app->sessions, session);
    bool unused = false;
    if (s != NULL) {
        take_out(&app->sessions, place(&app->sessions, session), s);
        last_one_out(app);
        unused = s->refs == 0;
        sck_p11_wake();
    }
    sck_p11_unlock();
    if (unused)
        session_free(s);
    sck_p11_leave(&app);
    return s != NULL ? CKR_OK : CKR_SESSION_HANDLE_INVALID;
}

/* Take all sessions out, those without a call in a list to be freed; with the lock held. */
static struct sck_p11_session *
take_all(struct sck_p11_sessions *sessions)
{
    struct sck_p11_session *unused = NULL;
    for (size_t i = 0; i < sessions->bucket_count; i++) {
        while (sessions->buckets[i] != NULL) {
            struct sck_p11_session *s = sessions->buckets[i];
            take_out(sessions, &sessions->buckets[i], s);
            if (s->refs == 0) {
                s->next = unused;
                unused = s;
            }
        }
    }
    return unused;
}

CK_RV
C_CloseAllSessions(CK_SLOT_ID slot_id)
{
    struct sck_p11_app *app;
    CK_RV rv = sck_p11_enter(&app);
    if (rv != CKR_OK)
        return rv;
    rv = sck_p11_slot_check(app, slot_id, false);
    if (rv == CKR_OK) {
        sck_p11_lock();
        struct sck_p11_session *unused = take_all(&app->sessions);
        last_one_out(app);
        sck_p11_wake();
        sck_p11_unlock();
        while (unused != NULL) {
            struct sck_p11_session *next = unused->next;
            session_free(unused);
            unused = next;
        }
    }
    sck_p11_leave(&app);
    return rv;
}

CK_RV
C_GetSessionInfo(CK_SESSION_HANDLE session, struct _CK_SESSION_INFO *info)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    if (info == NULL)
        return sck_p11_end(&call, CKR_ARGUMENTS_BAD);
    bool rw = (call.session->flags & CKF_RW_SESSION) != 0;
    *info = (CK_SESSION_INFO){.slotID = SCK_P11_SLOT, .flags = call.session->flags};
    if (call.login != 0)
        info->state = rw ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
    else
        info->state = rw ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
    return sck_p11_end(&call, CKR_OK);
}
