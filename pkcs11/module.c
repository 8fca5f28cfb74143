/* SPDX-License-Identifier: MIT */
#include "pkcs11/module.h"

#include "lib/base/fork.h"
#include "lib/base/log.h"
#include "pkcs11/login.h"
#include "pkcs11/rv.h"
#include "pkcs11/text.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By this symbol lib/token knows us and refuses us as a backing token. */
extern const char scopekey_pkcs11_marker[];
__attribute__((visibility("default"))) const char scopekey_pkcs11_marker[] = "scopekey";

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sck_p11_app *app; /* NULL: not initialised */
    struct sck_p11_app *parent; /* in a child: what fork left behind, freed when it is safe */
    bool starting; /* a C_Initialize is under way */
} module = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void
sck_p11_lock(void)
{
    pthread_mutex_lock(&module.lock);
}
void
sck_p11_unlock(void)
{
    pthread_mutex_unlock(&module.lock);
}
void
sck_p11_wait(void)
{
    pthread_cond_wait(&module.changed, &module.lock);
}
void
sck_p11_wake(void)
{
    pthread_cond_broadcast(&module.changed);
}

/* Waiters of the parent do not exist in the child, so its condition starts anew. */
static void
forked(void)
{
    pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;
    memcpy(&module.changed, &fresh, sizeof fresh);
    if (module.app != NULL)
        module.parent = module.app;
    module.app = NULL;
    module.starting = false;
    pthread_mutex_unlock(&module.lock);
}

static void
app_free(struct sck_p11_app *app)
{
    sck_p11_sessions_clear(&app->sessions);
    sck_p11_objects_clear(&app->objects);
    sck_service_close(&app->service);
    free(app);
}

CK_RV
sck_p11_enter(struct sck_p11_app **app)
{
    sck_p11_lock();
    *app = module.app;
    if (*app != NULL)
        (*app)->refs++;
    sck_p11_unlock();
    return *app != NULL ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED;
}

void
sck_p11_leave(struct sck_p11_app **app)
{
    sck_p11_lock();
    bool last = --(*app)->refs == 0;
    sck_p11_unlock();
    if (last)
        app_free(*app);
    *app = NULL;
}

/* PKCS#11 2.40 section 5.4: all four mutex functions or none; without CKF_OS_LOCKING_OK they would have to be used. */
static CK_RV
args_check(const CK_C_INITIALIZE_ARGS *args)
{
    if (args == NULL)
        return CKR_OK;
    if (args->pReserved != NULL)
        return CKR_ARGUMENTS_BAD;
    int given = (args->CreateMutex != NULL) + (args->DestroyMutex != NULL) + (args->LockMutex != NULL) +
                (args->UnlockMutex != NULL);
    if (given != 0 && given != 4)
        return CKR_ARGUMENTS_BAD;
    return given == 4 && (args->flags & CKF_OS_LOCKING_OK) == 0 ? CKR_CANT_LOCK : CKR_OK;
}

/*
 * p11-kit loads every registered module into programs that never heard of us: a machine without a set-up has an empty
 * slot and says nothing, one with a broken set-up says what is wrong.
 */
static CK_RV
open_service(struct sck_p11_app *app)
{
    struct sck_err err = SCK_ERR_INIT;
    char *path = NULL;
    if (sck_conf_find(NULL, &path, &err) != SCK_OK) {
        sck_log(SCK_LOG_INFO, "pkcs11", "%s", err.message);
        return CKR_OK;
    }
    struct sck_open how = {.conf_path = path, .ask_pin = sck_p11_ask_pin};
    enum sck_code code = sck_service_open(&how, &app->service, &err);
    free(path);
    sck_p11_log(&err);
    return sck_p11_rv(code, SCK_P11_OTHER, &err);
}

static CK_RV
start(struct sck_p11_app *parent)
{
    /* References of the parent's threads are never given back here: what they hold may be half-changed, so it stays. */
    if (parent != NULL && parent->refs == 1)
        app_free(parent);
    struct sck_p11_app *app = calloc(1, sizeof *app);
    CK_RV rv = app == NULL ? CKR_HOST_MEMORY : open_service(app);
    if (rv == CKR_OK)
        app->refs = 1;
    sck_p11_lock();
    module.starting = false;
    if (rv == CKR_OK)
        module.app = app;
    sck_p11_unlock();
    if (rv != CKR_OK)
        free(app);
    return rv;
}

CK_RV
C_Initialize(void *init_args)
{
    CK_RV rv = args_check(init_args);
    if (rv != CKR_OK)
        return rv;
    if (!sck_fork_register(SCK_FORK_PKCS11, sck_p11_lock, sck_p11_unlock, forked))
        return CKR_HOST_MEMORY;
    sck_p11_lock();
    if (module.app != NULL || module.starting) {
        sck_p11_unlock();
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    }
    module.starting = true;
    struct sck_p11_app *parent = module.parent;
    module.parent = NULL;
    sck_p11_unlock();
    return start(parent);
}

CK_RV
C_Finalize(void *reserved)
{
    if (reserved != NULL)
        return CKR_ARGUMENTS_BAD;
    sck_p11_lock();
    struct sck_p11_app *app = module.app;
    module.app = NULL;
    sck_p11_unlock();
    if (app == NULL)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    sck_p11_leave(&app);
    return CKR_OK;
}

CK_RV
C_GetInfo(struct _CK_INFO *info)
{
    struct sck_p11_app *app;
    CK_RV rv = sck_p11_enter(&app);
    if (rv != CKR_OK)
        return rv;
    sck_p11_leave(&app);
    if (info == NULL)
        return CKR_ARGUMENTS_BAD;
    *info = (CK_INFO){.cryptokiVersion = {2, 40}, .libraryVersion = sck_p11_version()};
    sck_p11_pad(info->manufacturerID, sizeof info->manufacturerID, "Scopekey");
    sck_p11_pad(info->libraryDescription, sizeof info->libraryDescription, "Scopekey scoped keys");
    return CKR_OK;
}
