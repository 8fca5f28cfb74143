/* SPDX-License-Identifier: MIT */
/*
 * Inside the token room: the state of one token, and how a call gets a session.
 *
 * One internal long-lived session owns all unwrapped keys.  Up to max_sessions - 1 worker sessions are opened when
 * needed and handed out first come, first served.  `lock` guards state only and is never held over a token call.
 */
#ifndef SCK_TOKEN_SESSION_H
#define SCK_TOKEN_SESSION_H

#include "lib/token/call.h"
#include "lib/token/token.h"

#include <pthread.h>

enum { SCK_SESSIONS_MAX = 64, SCK_PARKED_MAX = 64, SCK_OBJECTS_MAX = 96 };

enum sck_token_state { SCK_TOKEN_COLD, SCK_TOKEN_OPENING, SCK_TOKEN_OPEN, SCK_TOKEN_CLOSED };

/* A thread that waits for a session. */
struct sck_waiter {
    struct sck_waiter *next;
    pthread_cond_t wake;
    CK_SESSION_HANDLE session;
    bool granted;       /* `session` is its own now */
    bool again;         /* look anew: one may be opened, or the token was lost */
};

struct sck_queue {
    struct sck_waiter *head;
    struct sck_waiter *tail;
};

/* One of Scopekey's own objects on the token, found at each opening. */
struct sck_object {
    char name[40];              /* the label behind "scopekey/<set-up>/": "master/sign-ec", "epoch/1" */
    CK_OBJECT_CLASS class;
    CK_OBJECT_HANDLE handle;
    CK_MECHANISM_TYPE mechanism; /* masters: of wrapping */
};

struct sck_token {
    /* Never changed after birth. */
    struct sck_token_conf conf; /* with strings of our own */
    char prefix[64];            /* "scopekey/<set-up id>/" */
    char pin_id[512];           /* names the token for sck_pin_is_refused() */
    atomic_uint refs;           /* the owner's and one for each key */

    pthread_mutex_t lock;
    pthread_cond_t changed;     /* `state` */
    struct sck_token *next;     /* under the registry lock */

    /* Under `lock`; written by the opener alone while OPENING. */
    enum sck_token_state state;
    pthread_t opener;
    unsigned forks;             /* forks seen: what the opener had begun before is void */
    bool bare;                  /* opened without looking for own keys */
    enum sck_lost lost;         /* what the next opening must make anew */
    unsigned long incarnation;  /* of object handles: changes at each opening */
    unsigned long sessions_age; /* of session handles: changes when sessions are opened anew */
    struct sck_conn conn;
    CK_SLOT_ID slot;
    CK_TOKEN_INFO info;
    bool was_open;
    bool logged_in;
    CK_SESSION_HANDLE internal;
    bool internal_busy;
    struct sck_queue internal_queue;
    CK_SESSION_HANDLE idle[SCK_SESSIONS_MAX];
    unsigned idle_count;
    unsigned worker_count;      /* idle and in use */
    unsigned worker_limit;
    int64_t limit_until_us;     /* when a lowered limit is tried again */
    struct sck_queue worker_queue;
    CK_SESSION_HANDLE parked[SCK_PARKED_MAX]; /* of lost incarnations: may or may not be open still */
    unsigned parked_count;
    struct sck_tkey *garbage;   /* keys without owner whose session objects wait to be destroyed */
    struct sck_object objects[SCK_OBJECTS_MAX];
    unsigned object_count;
    bool complete;              /* the set-up was finished: nothing is missing, nothing is made anew */
    struct sck_err verdict;     /* of verifying own keys at login */

    atomic_uint epoch_in_use;   /* sck_token_epoch_use(); 0: the newest */

    struct sck_secret *pin;     /* the PIN that worked last; opener only */
};

/* A session in use, good for one operation. */
struct sck_use {
    struct sck_token *token;
    struct sck_conn conn;
    CK_SESSION_HANDLE session;
    unsigned long incarnation;
    unsigned long sessions_age;
    bool is_internal;
    bool dirty;                 /* an operation may still be active in it: close it */
    CK_OBJECT_HANDLE object;    /* the key it is for */
};

/* How far a token must be open. */
enum sck_need {
    SCK_NEED_BARE,  /* logged in (when there is a PIN source) */
    SCK_NEED_KEYS   /* and own keys found and verified */
};

/* Open, or wait until another thread has.  Codes as sck_token_login(). */
SCK_MUST_CHECK enum sck_code sck_token_open(struct sck_token *t, enum sck_need need, struct sck_err *err);
/* Record what a return value of incarnation `incarnation` says is gone. */
void sck_token_note_lost(struct sck_token *t, const struct sck_use *use, CK_RV rv);
/* In the child: forget all that was open.  The registry's fork handler alone calls it, holding t->lock. */
void sck_token_forked(struct sck_token *t);
void sck_token_unref(struct sck_token *t);

/* Take a worker, or the internal session; SCK_E_BUSY after session_wait_ms.  Opens the token if need be. */
SCK_MUST_CHECK enum sck_code sck_session_take(struct sck_token *t, enum sck_need need, bool internal,
                                              struct sck_use *use, struct sck_err *err);
/* The internal session, if nobody has it or waits for it; t->lock is held. */
bool sck_session_try_internal_locked(struct sck_token *t, struct sck_use *use);
/* Give it back; `rv` is how the operation ended.  True when it is worth trying once more. */
bool sck_session_give(struct sck_use *use, CK_RV rv);
/* Open a session beside the pool (fresh-session checks); SESSION_COUNT falls back to none.  Close with close_raw. */
CK_RV sck_session_open_raw(struct sck_token *t, struct sck_conn *c, CK_SLOT_ID slot, CK_SESSION_HANDLE *out);
/* Wake everybody who waits; t->lock is held. */
void sck_session_wake_all(struct sck_token *t);

/* An operation in a session: gets the use, returns the CK_RV that ended it. */
typedef CK_RV (*sck_op_fn)(struct sck_use *use, void *arg);
/*
 * Run `op` in a worker (or the internal session), again once when the token was lost meanwhile.
 * A failure is reported as "what: CKR_...".
 */
SCK_MUST_CHECK enum sck_code sck_token_run(struct sck_token *t, enum sck_need need, bool internal, sck_op_fn op,
                                           void *arg, const char *what, struct sck_err *err);

/* Log in with the rules of docs/tokens.md.  Opener only; holds nothing over the PIN callback. */
SCK_MUST_CHECK enum sck_code sck_login(struct sck_token *t, struct sck_conn *c, CK_SLOT_ID slot,
                                       CK_SESSION_HANDLE session, bool *logged_in, struct sck_err *err);
/* Find the slot by label and serial.  SCK_E_TOKEN lists what is there. */
SCK_MUST_CHECK enum sck_code sck_slot_find(const struct sck_token_conf *conf, struct sck_conn *c, CK_SLOT_ID *slot,
                                           CK_TOKEN_INFO *info, bool *absent, struct sck_err *err);
/* "text" from a blank-padded field. */
void sck_padded_text(const unsigned char *field, size_t len, char *out, size_t cap);
bool sck_padded_equal(const unsigned char *field, size_t len, const char *text);

#endif
