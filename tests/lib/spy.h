/* SPDX-License-Identifier: MIT */
/*
 * What tests and the spy module (tests/spy/spy-pkcs11.c) share.
 *
 * The spy forwards every call to the module named by SPY_MODULE.  Environment, read when it is initialised:
 *   SPY_COUNTS        file of struct spy_counts, mapped and counted up atomically (made if absent)
 *   SPY_DELAY_US      microseconds each call takes longer (a network HSM)
 *   SPY_MAX_SESSIONS  more sessions than this are CKR_SESSION_COUNT (a small HSM)
 *   SPY_FAULTS        file of faults, one a line, read again whenever it changes; see spy-pkcs11.c
 */
#ifndef TESTS_LIB_SPY_H
#define TESTS_LIB_SPY_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In the order of CK_FUNCTION_LIST. */
#define SPY_FUNCTIONS(X) \
    X(C_Initialize) X(C_Finalize) X(C_GetInfo) X(C_GetFunctionList) X(C_GetSlotList) X(C_GetSlotInfo) \
    X(C_GetTokenInfo) X(C_GetMechanismList) X(C_GetMechanismInfo) X(C_InitToken) X(C_InitPIN) X(C_SetPIN) \
    X(C_OpenSession) X(C_CloseSession) X(C_CloseAllSessions) X(C_GetSessionInfo) X(C_GetOperationState) \
    X(C_SetOperationState) X(C_Login) X(C_Logout) X(C_CreateObject) X(C_CopyObject) X(C_DestroyObject) \
    X(C_GetObjectSize) X(C_GetAttributeValue) X(C_SetAttributeValue) X(C_FindObjectsInit) X(C_FindObjects) \
    X(C_FindObjectsFinal) X(C_EncryptInit) X(C_Encrypt) X(C_EncryptUpdate) X(C_EncryptFinal) X(C_DecryptInit) \
    X(C_Decrypt) X(C_DecryptUpdate) X(C_DecryptFinal) X(C_DigestInit) X(C_Digest) X(C_DigestUpdate) \
    X(C_DigestKey) X(C_DigestFinal) X(C_SignInit) X(C_Sign) X(C_SignUpdate) X(C_SignFinal) X(C_SignRecoverInit) \
    X(C_SignRecover) X(C_VerifyInit) X(C_Verify) X(C_VerifyUpdate) X(C_VerifyFinal) X(C_VerifyRecoverInit) \
    X(C_VerifyRecover) X(C_DigestEncryptUpdate) X(C_DecryptDigestUpdate) X(C_SignEncryptUpdate) \
    X(C_DecryptVerifyUpdate) X(C_GenerateKey) X(C_GenerateKeyPair) X(C_WrapKey) X(C_UnwrapKey) X(C_DeriveKey) \
    X(C_SeedRandom) X(C_GenerateRandom) X(C_GetFunctionStatus) X(C_CancelFunction) X(C_WaitForSlotEvent)

#define SPY_ENUM(name) SPY_##name,
enum spy_function { SPY_FUNCTIONS(SPY_ENUM) SPY_FUNCTION_COUNT };
#undef SPY_ENUM

/* The counts file. */
struct spy_counts {
    _Atomic uint64_t calls[SPY_FUNCTION_COUNT];
    _Atomic uint64_t sessions;      /* open now */
    _Atomic uint64_t most_sessions; /* open at once */
    _Atomic uint64_t bytes_in;      /* given to C_Sign, C_Encrypt and their updates */
};

/* Map the counts file, making it if need be.  NULL when that fails. */
static inline struct spy_counts *
spy_counts_map(const char *path)
{
    struct spy_counts *at = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, (off_t)sizeof *at) == 0)
        at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    return at == MAP_FAILED ? NULL : at;
}

static inline uint64_t
spy_total(const struct spy_counts *c)
{
    uint64_t n = 0;
    for (int i = 0; i < SPY_FUNCTION_COUNT; i++)
        n += atomic_load(&c->calls[i]);
    return n;
}

static inline void
spy_reset(struct spy_counts *c)
{
    for (int i = 0; i < SPY_FUNCTION_COUNT; i++)
        atomic_store(&c->calls[i], 0);
    atomic_store(&c->bytes_in, 0);
    atomic_store(&c->most_sessions, atomic_load(&c->sessions));
}

#endif
