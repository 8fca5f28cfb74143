/* SPDX-License-Identifier: MIT */
/*
 * Application sessions: ours alone, a few bytes each, many over the few sessions that lib/token has.  Handles count up
 * for the life of the process and are never used twice.  Calls into one session take turns.
 */
#ifndef SCK_PKCS11_SESSION_H
#define SCK_PKCS11_SESSION_H

#include "lib/base/err.h"
#include "pkcs11/pkcs11_v3.h"

#include <stddef.h>
#include <stdint.h>

/* No memory is that long: a length above it is a mistake, and not to be followed. */
#define SCK_P11_LEN_MAX ((CK_ULONG)(SIZE_MAX / 2 < 1ULL << 40 ? SIZE_MAX / 2 : 1ULL << 40))

struct sck_p11_app;
struct sck_p11_sig;
struct sck_p11_cipher;
struct sck_p11_digest;
struct sck_p11_find;

struct sck_p11_session {
    CK_SESSION_HANDLE handle;
    struct sck_p11_session *next; /* in its bucket */
    CK_FLAGS flags;
    unsigned refs; /* calls in it and waiting for it */
    bool busy; /* a call is in it */
    bool closed; /* no longer in the table; the last call frees it */
    CK_ULONG login; /* the application's when last looked at */
    /* Operations in progress, each NULL or active; of all kinds one may be active at a time. */
    struct sck_p11_sig *sign;
    struct sck_p11_sig *verify;
    struct sck_p11_cipher *encrypt;
    struct sck_p11_cipher *decrypt;
    struct sck_p11_digest *digest;
    struct sck_p11_find *find;
};

struct sck_p11_sessions {
    struct sck_p11_session **buckets;
    size_t bucket_count;
    size_t count;
    size_t rw_count;
};

/* One call of the application into a session. */
struct sck_p11_call {
    struct sck_p11_app *app;
    struct sck_p11_session *session;
    CK_ULONG login; /* 0: not logged in */
    struct sck_err err; /* why lib/service failed, for the log */
};

/*
 * Enter a session, waiting for its turn; ends operations with private keys that a logout left behind.
 * CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_HANDLE_INVALID (also when it is closed while waiting).
 */
CK_RV sck_p11_begin(struct sck_p11_call *call, CK_SESSION_HANDLE handle);
/* Leave it; logs what failed; returns `rv`. */
CK_RV sck_p11_end(struct sck_p11_call *call, CK_RV rv);

/* Forget all sessions (of an application that nobody uses any more). */
void sck_p11_sessions_clear(struct sck_p11_sessions *sessions);

#endif
