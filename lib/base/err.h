/* SPDX-License-Identifier: MIT */
/*
 * Errors: one short list of codes, sorted by what the caller can do about it, and one caller-owned
 * record that holds the first cause.
 */
#ifndef SCK_BASE_ERR_H
#define SCK_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define SCK_MUST_CHECK __attribute__((warn_unused_result))
#define SCK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* What went wrong, by what the caller can do.  Each door maps every code in one switch without default. */
enum sck_code {
    SCK_OK = 0,
    SCK_E_USAGE,        /* an argument is malformed: correct the call */
    SCK_E_IO,           /* a file, directory or stream failed: see errno, free space, permissions */
    SCK_E_AUTHENTIC,    /* data is altered, truncated or not ours: nothing was released */
    SCK_E_NOT_FOUND,    /* no such key, subject or file key: check the name */
    SCK_E_EXISTS,       /* the thing is already there: choose another name */
    SCK_E_STATE,        /* it exists but may not do that now (disabled, expired, retired, wrong usage) */
    SCK_E_CONTEXT,      /* the encryption context does not belong to this wrapped DEK */
    SCK_E_CREDENTIAL,   /* PIN, token or login refused: correct the credential; never retried */
    SCK_E_CONNECT,      /* keeper or database out of reach, sealed or out of time: try again later */
    SCK_E_TOKEN,        /* the PKCS#11 token failed or is missing */
    SCK_E_BUSY,         /* a lock, lease or session could not be had before the deadline: try again */
    SCK_E_ERASED,       /* erased on purpose; final */
    SCK_E_CONFIG,       /* configuration or set-up is wrong: correct it */
    SCK_E_INTEGRITY,    /* a stored record was changed by someone else */
    SCK_E_DENIED,       /* policy forbids it (scope wall, client rights, permissions) */
    SCK_E_UNSUPPORTED,  /* this token, build or key kind cannot do it */
    SCK_E_MEMORY,       /* out of memory */
    SCK_E_CANCELLED,    /* the caller took it back: nothing was done */
    SCK_E_INTERNAL      /* a broken invariant: report it */
};

#define SCK_ERR_MESSAGE_MAX 640

/*
 * The first cause of a failure.  Owned by the caller, fixed size, so that a message survives
 * out-of-memory.  Holds no secret, no plaintext and no plain subject id where naming is keyed.
 * Start with `struct sck_err err = SCK_ERR_INIT`.
 */
struct sck_err {
    enum sck_code code;
    int sys_errno;          /* errno of the failing call, or 0 */
    unsigned long rv;       /* CK_RV of the failing token call, or 0 */
    char message[SCK_ERR_MESSAGE_MAX];
};

#define SCK_ERR_INIT {SCK_OK, 0, 0UL, {0}}

/*
 * Record a failure and return `code`.  When `err` already holds a failure only the code of the
 * first one is kept and returned.  `err` may be NULL.  errno is preserved.
 * The message names the operation, the thing, and what to do next.
 */
enum sck_code sck_fail(struct sck_err *err, enum sck_code code, const char *fmt, ...) SCK_PRINTF(3, 4);

/* As sck_fail(), and records `sys_errno`, whose text is appended as ": <strerror>". */
enum sck_code sck_fail_errno(struct sck_err *err, enum sck_code code, int sys_errno, const char *fmt, ...)
    SCK_PRINTF(4, 5);

/* Put "text: " in front of a recorded message (what was being done).  Nothing happens on SCK_OK or NULL. */
void sck_err_prefix(struct sck_err *err, const char *fmt, ...) SCK_PRINTF(2, 3);

/* Forget a recorded failure so that the record can be used again. */
void sck_err_clear(struct sck_err *err);

/* Stable lower-case word for logs, JSON and HTTP `code`, e.g. "subject_erased".  Never NULL. */
const char *sck_code_name(enum sck_code code);

#endif
