/* SPDX-License-Identifier: MIT */
/*
 * A PKCS#11 module that forwards to a real one (SPY_MODULE), counts calls, is slow or small on demand, and misbehaves
 * in ways real tokens do.  tests/lib/spy.h describes the environment.  Lines of the fault file:
 *
 *   NAME 0xRV once|always     the function NAME answers 0xRV without being called (once: the next time only)
 *   NAME exit                 the function calls exit(3) in the middle, as SoftHSM does on a huge length
 *   moved N                   the token was taken out and put back: its slot has another id, all sessions are dead
 *                             (CKR_DEVICE_REMOVED), the login is gone (smart cards, network HSMs after a restart)
 *   absent                    the token is not there (cable, daemon, network)
 *   pin-locked                CKF_USER_PIN_LOCKED (smart cards and HSMs lock; SoftHSM never does)
 *   pin-final-try             CKF_USER_PIN_FINAL_TRY
 *   pin-not-initialized       no CKF_USER_PIN_INITIALIZED (a token fresh from its box)
 *   twins                     two slots with the same label (two cards of one batch)
 *   max-sessions N            as SPY_MAX_SESSIONS
 *   unknown-attribute 0xTYPE  C_GetAttributeValue does not know it (older HSM firmware)
 *   flip-attribute 0xTYPE     a boolean attribute is the opposite (a key was exchanged for another)
 *   no-policy                 ALLOWED_MECHANISMS, WRAP_TEMPLATE, UNWRAP_TEMPLATE, COPYABLE and MODIFIABLE are taken and
 *                             forgotten (NSS softokn stores but does not enforce them)
 *   no-wrap-pad               no AES key wrap with padding (tpm2-pkcs11, opencryptoki)
 *   manufacturer TEXT         C_GetInfo says TEXT
 *   description TEXT          C_GetInfo says TEXT
 */
#include "tests/lib/spy.h"

#include <dlfcn.h>
#include <errno.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum { FAULTS_MAX = 32, SESSION_SHIFT = 24 };

struct fault {
    int function;
    CK_RV rv;
    bool once;
    bool ends_process;
};

static const char *const names[] = {
#define SPY_NAME(name) #name,
    SPY_FUNCTIONS(SPY_NAME)
#undef SPY_NAME
};

static struct {
    pthread_mutex_t lock;
    CK_FUNCTION_LIST *real;
    struct spy_counts *counts;
    struct spy_counts none;
    char faults_path[256];
    unsigned delay_us;
    unsigned long env_max_sessions;
    /* of the fault file */
    struct timespec seen;
    off_t seen_size;
    struct fault faults[FAULTS_MAX];
    int fault_count;
    unsigned long moved;        /* slot ids are larger by this */
    unsigned long max_sessions;
    unsigned long unknown, flipped;
    bool absent, locked, final_try, no_user_pin, twins, no_policy, no_wrap_pad;
    char manufacturer[33], description[33];
} spy = {.lock = PTHREAD_MUTEX_INITIALIZER, .seen_size = -1};

static CK_FUNCTION_LIST table;

/* ---- settings ---- */

static void
parse_line(char *line)
{
    char word[64] = "", rest[64] = "", how[16] = "";
    if (sscanf(line, "%63s %63[^\n]", word, rest) < 1)
        return;
    unsigned long number = strtoul(rest, NULL, 0);
    if (strcmp(word, "moved") == 0)
        spy.moved = number;
    else if (strcmp(word, "absent") == 0)
        spy.absent = true;
    else if (strcmp(word, "pin-locked") == 0)
        spy.locked = true;
    else if (strcmp(word, "pin-final-try") == 0)
        spy.final_try = true;
    else if (strcmp(word, "pin-not-initialized") == 0)
        spy.no_user_pin = true;
    else if (strcmp(word, "twins") == 0)
        spy.twins = true;
    else if (strcmp(word, "max-sessions") == 0)
        spy.max_sessions = number;
    else if (strcmp(word, "unknown-attribute") == 0)
        spy.unknown = number;
    else if (strcmp(word, "flip-attribute") == 0)
        spy.flipped = number;
    else if (strcmp(word, "no-policy") == 0)
        spy.no_policy = true;
    else if (strcmp(word, "no-wrap-pad") == 0)
        spy.no_wrap_pad = true;
    else if (strcmp(word, "manufacturer") == 0)
        (void)snprintf(spy.manufacturer, sizeof spy.manufacturer, "%-32.32s", rest);
    else if (strcmp(word, "description") == 0)
        (void)snprintf(spy.description, sizeof spy.description, "%-32.32s", rest);
    for (int i = 0; i < SPY_FUNCTION_COUNT && spy.fault_count < FAULTS_MAX; i++) {
        if (strcmp(word, names[i]) != 0)
            continue;
        struct fault *f = &spy.faults[spy.fault_count++];
        (void)sscanf(rest, "%*s %15s", how);
        *f = (struct fault){i, number, strcmp(how, "once") == 0, strcmp(rest, "exit") == 0};
    }
}

/* With spy.lock held. */
static void
read_faults(void)
{
    struct stat st;
    char line[160];
    if (spy.faults_path[0] == 0 || stat(spy.faults_path, &st) != 0)
        return;
    if (st.st_mtim.tv_sec == spy.seen.tv_sec && st.st_mtim.tv_nsec == spy.seen.tv_nsec && st.st_size == spy.seen_size)
        return;
    unsigned long moved = spy.moved;
    spy.seen = st.st_mtim;
    spy.seen_size = st.st_size;
    spy.fault_count = 0;
    spy.moved = spy.unknown = spy.flipped = 0;
    spy.max_sessions = spy.env_max_sessions;
    spy.absent = spy.locked = spy.final_try = spy.no_user_pin = spy.twins = spy.no_policy = spy.no_wrap_pad = false;
    spy.manufacturer[0] = spy.description[0] = 0;
    FILE *f = fopen(spy.faults_path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        parse_line(line);
    if (f != NULL)
        fclose(f);
    if (spy.moved != moved && spy.real != NULL) {
        CK_SLOT_ID slots[16];
        CK_ULONG count = 16;
        if (spy.real->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK) {
            for (CK_ULONG i = 0; i < count; i++)
                (void)spy.real->C_CloseAllSessions(slots[i]);
        }
        atomic_store(&spy.counts->sessions, 0);
    }
}

static void
set_up(void)
{
    const char *path = getenv("SPY_COUNTS"), *faults = getenv("SPY_FAULTS"), *module = getenv("SPY_MODULE");
    const char *delay = getenv("SPY_DELAY_US"), *sessions = getenv("SPY_MAX_SESSIONS");
    pthread_mutex_lock(&spy.lock);
    if (spy.real == NULL && module != NULL) {
        union {
            void *object;
            CK_C_GetFunctionList fn;
        } get = {NULL};
        void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
        if (handle != NULL)
            get.object = dlsym(handle, "C_GetFunctionList");
        if (get.object == NULL || get.fn(&spy.real) != CKR_OK)
            spy.real = NULL;
    }
    spy.counts = path == NULL ? NULL : spy_counts_map(path);
    if (spy.counts == NULL)
        spy.counts = &spy.none;
    /* What was to happen once and did, stays done when the module is initialised anew. */
    if (faults == NULL || strcmp(spy.faults_path, faults) != 0)
        spy.seen_size = -1;
    (void)snprintf(spy.faults_path, sizeof spy.faults_path, "%s", faults == NULL ? "" : faults);
    spy.delay_us = delay == NULL ? 0 : (unsigned)strtoul(delay, NULL, 10);
    spy.env_max_sessions = sessions == NULL ? 0 : strtoul(sessions, NULL, 10);
    if (spy.max_sessions == 0)
        spy.max_sessions = spy.env_max_sessions;
    read_faults();
    pthread_mutex_unlock(&spy.lock);
}

/* ---- around each call ---- */

/* Count, wait, look for faults.  False: answer *rv.  Session and slot are turned into the real ones. */
static bool
enter(int function, CK_SESSION_HANDLE *session, CK_SLOT_ID *slot, CK_RV *rv)
{
    bool ends = false;
    *rv = CKR_OK;
    pthread_mutex_lock(&spy.lock);
    read_faults();
    atomic_fetch_add(&spy.counts->calls[function], 1);
    for (int i = 0; i < spy.fault_count && *rv == CKR_OK; i++) {
        struct fault *f = &spy.faults[i];
        if (f->function != function)
            continue;
        *rv = f->rv;
        ends = f->ends_process;
        if (f->once)
            f->function = -1;
    }
    if (*rv == CKR_OK && session != NULL) {
        if (*session >> SESSION_SHIFT != spy.moved)
            *rv = CKR_DEVICE_REMOVED;
        *session &= (1UL << SESSION_SHIFT) - 1;
    }
    if (*rv == CKR_OK && (spy.absent && (session != NULL || slot != NULL)))
        *rv = CKR_TOKEN_NOT_PRESENT;
    if (*rv == CKR_OK && slot != NULL) {
        if (*slot < spy.moved)
            *rv = CKR_SLOT_ID_INVALID;
        *slot -= spy.moved;
    }
    unsigned delay = spy.delay_us;
    pthread_mutex_unlock(&spy.lock);
    if (ends)
        exit(3);
    if (delay > 0)
        (void)nanosleep(&(struct timespec){delay / 1000000, (long)(delay % 1000000) * 1000}, NULL);
    return *rv == CKR_OK;
}

#define WITH_SESSION(name, params, args) \
    static CK_RV spy_##name params \
    { \
        CK_RV rv; \
        return enter(SPY_##name, &a, NULL, &rv) ? spy.real->name args : rv; \
    }
#define WITH_SLOT(name, params, args) \
    static CK_RV spy_##name params \
    { \
        CK_RV rv; \
        return enter(SPY_##name, NULL, &a, &rv) ? spy.real->name args : rv; \
    }

WITH_SLOT(C_GetSlotInfo, (CK_SLOT_ID a, CK_SLOT_INFO *b), (a, b))
WITH_SLOT(C_GetMechanismList, (CK_SLOT_ID a, CK_MECHANISM_TYPE *b, CK_ULONG *c), (a, b, c))
WITH_SLOT(C_GetMechanismInfo, (CK_SLOT_ID a, CK_MECHANISM_TYPE b, CK_MECHANISM_INFO *c), (a, b, c))
WITH_SESSION(C_InitPIN, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_SetPIN, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG e), (a, b, c, d, e))
WITH_SESSION(C_GetSessionInfo, (CK_SESSION_HANDLE a, CK_SESSION_INFO *b), (a, b))
WITH_SESSION(C_GetOperationState, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG *c), (a, b, c))
WITH_SESSION(C_SetOperationState,
    (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_OBJECT_HANDLE d, CK_OBJECT_HANDLE e), (a, b, c, d, e))
WITH_SESSION(C_Login, (CK_SESSION_HANDLE a, CK_USER_TYPE b, CK_BYTE *c, CK_ULONG d), (a, b, c, d))
WITH_SESSION(C_Logout, (CK_SESSION_HANDLE a), (a))
WITH_SESSION(C_CopyObject,
    (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b, CK_ATTRIBUTE *c, CK_ULONG d, CK_OBJECT_HANDLE *e), (a, b, c, d, e))
WITH_SESSION(C_DestroyObject, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b), (a, b))
WITH_SESSION(C_GetObjectSize, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b, CK_ULONG *c), (a, b, c))
WITH_SESSION(C_SetAttributeValue, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b, CK_ATTRIBUTE *c, CK_ULONG d),
    (a, b, c, d))
WITH_SESSION(C_FindObjectsInit, (CK_SESSION_HANDLE a, CK_ATTRIBUTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_FindObjects, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE *b, CK_ULONG c, CK_ULONG *d), (a, b, c, d))
WITH_SESSION(C_FindObjectsFinal, (CK_SESSION_HANDLE a), (a))
WITH_SESSION(C_EncryptInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c), (a, b, c))
WITH_SESSION(C_EncryptFinal, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG *c), (a, b, c))
WITH_SESSION(C_DecryptInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c), (a, b, c))
WITH_SESSION(C_Decrypt, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e), (a, b, c, d, e))
WITH_SESSION(C_DecryptUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e),
    (a, b, c, d, e))
WITH_SESSION(C_DecryptFinal, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG *c), (a, b, c))
WITH_SESSION(C_DigestInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b), (a, b))
WITH_SESSION(C_Digest, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e), (a, b, c, d, e))
WITH_SESSION(C_DigestUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_DigestKey, (CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b), (a, b))
WITH_SESSION(C_DigestFinal, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG *c), (a, b, c))
WITH_SESSION(C_SignInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c), (a, b, c))
WITH_SESSION(C_SignFinal, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG *c), (a, b, c))
WITH_SESSION(C_SignRecoverInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c), (a, b, c))
WITH_SESSION(C_SignRecover, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e), (a, b, c, d, e))
WITH_SESSION(C_VerifyInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c), (a, b, c))
WITH_SESSION(C_Verify, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG e), (a, b, c, d, e))
WITH_SESSION(C_VerifyUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_VerifyFinal, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_VerifyRecoverInit, (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c), (a, b, c))
WITH_SESSION(C_VerifyRecover, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e),
    (a, b, c, d, e))
WITH_SESSION(C_DigestEncryptUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e),
    (a, b, c, d, e))
WITH_SESSION(C_DecryptDigestUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e),
    (a, b, c, d, e))
WITH_SESSION(C_SignEncryptUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e),
    (a, b, c, d, e))
WITH_SESSION(C_DecryptVerifyUpdate, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e),
    (a, b, c, d, e))
WITH_SESSION(C_DeriveKey,
    (CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c, CK_ATTRIBUTE *d, CK_ULONG e, CK_OBJECT_HANDLE *f),
    (a, b, c, d, e, f))
WITH_SESSION(C_SeedRandom, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_GenerateRandom, (CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c), (a, b, c))
WITH_SESSION(C_GetFunctionStatus, (CK_SESSION_HANDLE a), (a))
WITH_SESSION(C_CancelFunction, (CK_SESSION_HANDLE a), (a))


/* ---- functions with a part of their own ---- */

static CK_RV
spy_C_Initialize(void *a)
{
    CK_RV rv;
    set_up();
    if (spy.real == NULL)
        return CKR_GENERAL_ERROR;
    return enter(SPY_C_Initialize, NULL, NULL, &rv) ? spy.real->C_Initialize(a) : rv;
}

static CK_RV
spy_C_Finalize(void *a)
{
    CK_RV rv;
    if (!enter(SPY_C_Finalize, NULL, NULL, &rv))
        return rv;
    atomic_store(&spy.counts->sessions, 0);
    return spy.real->C_Finalize(a);
}

static CK_RV
spy_C_GetInfo(CK_INFO *a)
{
    CK_RV rv;
    if (enter(SPY_C_GetInfo, NULL, NULL, &rv))
        rv = spy.real->C_GetInfo(a);
    if (rv == CKR_OK && spy.manufacturer[0] != 0)
        memcpy(a->manufacturerID, spy.manufacturer, 32);
    if (rv == CKR_OK && spy.description[0] != 0)
        memcpy(a->libraryDescription, spy.description, 32);
    return rv;
}

static CK_RV
spy_C_GetSlotList(CK_BYTE a, CK_SLOT_ID *b, CK_ULONG *c)
{
    CK_RV rv;
    if (!enter(SPY_C_GetSlotList, NULL, NULL, &rv))
        return rv;
    CK_ULONG room = *c;
    if (spy.absent) {
        *c = 0;
        return CKR_OK;
    }
    rv = spy.real->C_GetSlotList(a, b, c);
    if (rv != CKR_OK)
        return rv;
    for (CK_ULONG i = 0; b != NULL && i < *c; i++)
        b[i] += spy.moved;
    if (spy.twins && b != NULL) {
        for (CK_ULONG i = 0; i < *c && *c + i < room; i++)
            b[*c + i] = b[i];
    }
    if (spy.twins)
        *c *= 2;
    return CKR_OK;
}

static CK_RV
spy_C_GetTokenInfo(CK_SLOT_ID a, CK_TOKEN_INFO *b)
{
    CK_RV rv;
    if (enter(SPY_C_GetTokenInfo, NULL, &a, &rv))
        rv = spy.real->C_GetTokenInfo(a, b);
    if (rv != CKR_OK)
        return rv;
    b->flags |= (spy.locked ? CKF_USER_PIN_LOCKED : 0) | (spy.final_try ? CKF_USER_PIN_FINAL_TRY : 0);
    if (spy.no_user_pin)
        b->flags &= ~CKF_USER_PIN_INITIALIZED;
    return CKR_OK;
}

static CK_RV
spy_C_InitToken(CK_SLOT_ID a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d)
{
    CK_RV rv;
    return enter(SPY_C_InitToken, NULL, &a, &rv) ? spy.real->C_InitToken(a, b, c, d) : rv;
}

static CK_RV
spy_C_OpenSession(CK_SLOT_ID a, CK_FLAGS b, void *c, CK_NOTIFY d, CK_SESSION_HANDLE *e)
{
    CK_RV rv;
    if (!enter(SPY_C_OpenSession, NULL, &a, &rv))
        return rv;
    uint64_t now = atomic_fetch_add(&spy.counts->sessions, 1) + 1;
    if (spy.max_sessions > 0 && now > spy.max_sessions)
        rv = CKR_SESSION_COUNT;
    else
        rv = spy.real->C_OpenSession(a, b, c, d, e);
    if (rv != CKR_OK) {
        atomic_fetch_sub(&spy.counts->sessions, 1);
        return rv;
    }
    uint64_t most = atomic_load(&spy.counts->most_sessions);
    while (now > most && !atomic_compare_exchange_weak(&spy.counts->most_sessions, &most, now))
        continue;
    *e |= spy.moved << SESSION_SHIFT;
    return CKR_OK;
}

static CK_RV
spy_C_CloseSession(CK_SESSION_HANDLE a)
{
    CK_RV rv;
    if (!enter(SPY_C_CloseSession, &a, NULL, &rv))
        return rv;
    rv = spy.real->C_CloseSession(a);
    if (rv == CKR_OK)
        atomic_fetch_sub(&spy.counts->sessions, 1);
    return rv;
}

static CK_RV
spy_C_CloseAllSessions(CK_SLOT_ID a)
{
    CK_RV rv;
    if (!enter(SPY_C_CloseAllSessions, NULL, &a, &rv))
        return rv;
    atomic_store(&spy.counts->sessions, 0);
    return spy.real->C_CloseAllSessions(a);
}

static CK_RV
spy_C_GetAttributeValue(CK_SESSION_HANDLE a, CK_OBJECT_HANDLE b, CK_ATTRIBUTE *c, CK_ULONG d)
{
    CK_RV rv;
    if (!enter(SPY_C_GetAttributeValue, &a, NULL, &rv))
        return rv;
    rv = spy.real->C_GetAttributeValue(a, b, c, d);
    for (CK_ULONG i = 0; i < d; i++) {
        if (spy.unknown != 0 && c[i].type == spy.unknown) {
            c[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
            rv = CKR_ATTRIBUTE_TYPE_INVALID;
        }
        if (spy.flipped != 0 && c[i].type == spy.flipped && c[i].pValue != NULL && c[i].ulValueLen == sizeof(CK_BBOOL))
            *(CK_BBOOL *)c[i].pValue ^= 1;
    }
    return rv;
}

/* A template without what a token with `no-policy` forgets. */
static CK_ULONG
forget(const CK_ATTRIBUTE *from, CK_ULONG count, CK_ATTRIBUTE *to)
{
    CK_ULONG n = 0;
    for (CK_ULONG i = 0; i < count && n < 64; i++) {
        CK_ATTRIBUTE_TYPE t = from[i].type;
        bool policy = t == CKA_ALLOWED_MECHANISMS || t == CKA_WRAP_TEMPLATE || t == CKA_UNWRAP_TEMPLATE ||
            t == CKA_COPYABLE || t == CKA_MODIFIABLE;
        if (!spy.no_policy || !policy)
            to[n++] = from[i];
    }
    return n;
}

static CK_RV
spy_C_CreateObject(CK_SESSION_HANDLE a, CK_ATTRIBUTE *b, CK_ULONG c, CK_OBJECT_HANDLE *d)
{
    CK_RV rv;
    CK_ATTRIBUTE kept[64];
    return enter(SPY_C_CreateObject, &a, NULL, &rv) ? spy.real->C_CreateObject(a, kept, forget(b, c, kept), d) : rv;
}

static CK_RV
spy_C_GenerateKey(CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_ATTRIBUTE *c, CK_ULONG d, CK_OBJECT_HANDLE *e)
{
    CK_RV rv;
    CK_ATTRIBUTE kept[64];
    return enter(SPY_C_GenerateKey, &a, NULL, &rv) ? spy.real->C_GenerateKey(a, b, kept, forget(c, d, kept), e) : rv;
}

static CK_RV
spy_C_GenerateKeyPair(CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_ATTRIBUTE *c, CK_ULONG d, CK_ATTRIBUTE *e, CK_ULONG f,
                      CK_OBJECT_HANDLE *g, CK_OBJECT_HANDLE *h)
{
    CK_RV rv;
    CK_ATTRIBUTE kept[64];
    if (!enter(SPY_C_GenerateKeyPair, &a, NULL, &rv))
        return rv;
    return spy.real->C_GenerateKeyPair(a, b, c, d, kept, forget(e, f, kept), g, h);
}

static CK_RV
spy_C_WrapKey(CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c, CK_OBJECT_HANDLE d, CK_BYTE *e, CK_ULONG *f)
{
    CK_RV rv;
    if (!enter(SPY_C_WrapKey, &a, NULL, &rv))
        return rv;
    if (spy.no_wrap_pad && b->mechanism == CKM_AES_KEY_WRAP_PAD)
        return CKR_MECHANISM_INVALID;
    return spy.real->C_WrapKey(a, b, c, d, e, f);
}

static CK_RV
spy_C_UnwrapKey(CK_SESSION_HANDLE a, CK_MECHANISM *b, CK_OBJECT_HANDLE c, CK_BYTE *d, CK_ULONG e, CK_ATTRIBUTE *f,
                CK_ULONG g, CK_OBJECT_HANDLE *h)
{
    CK_RV rv;
    CK_ATTRIBUTE kept[64];
    if (!enter(SPY_C_UnwrapKey, &a, NULL, &rv))
        return rv;
    return spy.real->C_UnwrapKey(a, b, c, d, e, kept, forget(f, g, kept), h);
}

#define COUNTING(name) \
    static CK_RV spy_##name(CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c, CK_BYTE *d, CK_ULONG *e) \
    { \
        CK_RV rv; \
        atomic_fetch_add(&spy.counts->bytes_in, c); \
        return enter(SPY_##name, &a, NULL, &rv) ? spy.real->name(a, b, c, d, e) : rv; \
    }
COUNTING(C_Sign)
COUNTING(C_Encrypt)
COUNTING(C_EncryptUpdate)

static CK_RV
spy_C_SignUpdate(CK_SESSION_HANDLE a, CK_BYTE *b, CK_ULONG c)
{
    CK_RV rv;
    atomic_fetch_add(&spy.counts->bytes_in, c);
    return enter(SPY_C_SignUpdate, &a, NULL, &rv) ? spy.real->C_SignUpdate(a, b, c) : rv;
}

static CK_RV
spy_C_WaitForSlotEvent(CK_FLAGS a, CK_SLOT_ID *b, void *c)
{
    CK_RV rv;
    return enter(SPY_C_WaitForSlotEvent, NULL, NULL, &rv) ? spy.real->C_WaitForSlotEvent(a, b, c) : rv;
}

static CK_RV
spy_C_GetFunctionList(CK_FUNCTION_LIST **a)
{
    *a = &table;
    return CKR_OK;
}

static CK_FUNCTION_LIST table = {
    .version = {2, 40},
#define SPY_ENTRY(name) .name = spy_##name,
    SPY_FUNCTIONS(SPY_ENTRY)
#undef SPY_ENTRY
};

/* PKCS#11 v2.40 section 4.1: the one name that a module must export. */
__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    return spy_C_GetFunctionList(list);
}
