/* SPDX-License-Identifier: MIT */
/*
 * Scopekey for C: keys to encrypt with that belong to a person.
 *
 * Each call for a subject gives a fresh data encryption key (DEK), the same DEK wrapped by the subject's key encryption
 * key (KEK), and an encryption context that says whose it is.  Store the last two beside what was encrypted.  Once the
 * subject is erased the KEK is destroyed, and no copy of a wrapped DEK, however old, opens again.
 *
 *     struct scopekey *sk = NULL;
 *     struct scopekey_material *m = NULL;
 *     struct scopekey_error *error = scopekey_error_new();
 *     if (scopekey_open(NULL, &sk, error) != SCOPEKEY_OK ||
 *         scopekey_encryption_keys_for(sk, "alice", NULL, &m, error) != SCOPEKEY_OK)
 *         fprintf(stderr, "%s\n", scopekey_error_message(error));
 *
 * Threads: every function may be called from any thread, on the same `struct scopekey` too.  Other objects belong to
 * whoever got them: no two threads may use one at a time, but any thread may.  One exception: any thread may call
 * scopekey_request_cancel() as long as the request was not freed.
 *
 * Forks: a child may go on with what the parent opened.  Requests that were under way are the parent's: in the child
 * they never end; it may only free them.
 *
 * Ownership: what a function gives through `**out` is the caller's, and is NULL after a failure.  Functions ending in
 * _free take the address of the pointer, wipe what was secret, and set the pointer to NULL; NULL is fine.  Pointers that
 * accessors return belong to the object and end with it.  Texts that come in are UTF-8 without control characters, are
 * copied, and may be freed after the call.
 *
 * Errors: every function that can fail returns an enum scopekey_code, and fills in `error` unless that is NULL.
 * No message holds a key, a PIN, a token or plaintext; it may hold the id of the subject that was asked for.
 *
 * Stability: types are opaque or begin with their size; numbers never change their meaning.
 */
#ifndef SCOPEKEY_H
#define SCOPEKEY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SCOPEKEY_API __attribute__((visibility("default")))
#define SCOPEKEY_MUST_CHECK __attribute__((warn_unused_result))
#else
#define SCOPEKEY_API
#define SCOPEKEY_MUST_CHECK
#endif

/* ---- errors ---- */

/* What went wrong, by what the caller can do about it. */
enum scopekey_code {
    SCOPEKEY_OK = 0,
    SCOPEKEY_E_USAGE = 1,                   /* an argument is malformed: correct the call */
    SCOPEKEY_E_IO = 2,                      /* a file failed: see free space and permissions */
    SCOPEKEY_E_INTEGRITY = 3,               /* data was altered, cut, or made with another key; nothing was released */
    SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND = 4,   /* the subject has no key: create it, or correct the id */
    SCOPEKEY_E_EXISTS = 5,                  /* it is there already */
    SCOPEKEY_E_STATE = 6,                   /* it is there but may not do that now */
    SCOPEKEY_E_INVALID_CONTEXT = 7,         /* the encryption context is malformed, or not the one of this wrapped DEK */
    SCOPEKEY_E_AUTHENTICATION = 8,          /* PIN, token or login was refused: correct the credential */
    SCOPEKEY_E_CONNECTIVITY = 9,            /* the keeper or the database cannot be reached, or time is over: try later */
    SCOPEKEY_E_TOKEN = 10,                  /* the PKCS#11 token failed */
    SCOPEKEY_E_BUSY = 11,                   /* a lock or session could not be had in time: try again */
    SCOPEKEY_E_ERASED = 12,                 /* the subject was erased on purpose: final */
    SCOPEKEY_E_CONFIGURATION = 13,          /* the configuration or the set-up is wrong: correct it */
    SCOPEKEY_E_RECORD = 14,                 /* a stored record was changed by someone else */
    SCOPEKEY_E_DENIED = 15,                 /* not permitted here */
    SCOPEKEY_E_UNSUPPORTED = 16,            /* this token, keeper or build cannot do it */
    SCOPEKEY_E_MEMORY = 17,                 /* out of memory */
    SCOPEKEY_E_CANCELLED = 18,              /* the request was cancelled */
    SCOPEKEY_E_INTERNAL = 19                /* a fault of Scopekey: report it */
};

/* A stable lower-case word for a code, e.g. "subject_erased"; "internal" for a number that is none.  Never NULL. */
SCOPEKEY_API const char *scopekey_code_name(enum scopekey_code code);

/* The code and message of the last call that was given it.  Fixed size: filling it in never fails. */
struct scopekey_error;

/* A new one that holds nothing, or NULL when memory is out. */
SCOPEKEY_API SCOPEKEY_MUST_CHECK struct scopekey_error *scopekey_error_new(void);
SCOPEKEY_API void scopekey_error_free(struct scopekey_error **error);
/* SCOPEKEY_OK when the last call succeeded or there was none.  NULL counts as that. */
SCOPEKEY_API enum scopekey_code scopekey_error_code(const struct scopekey_error *error);
/* What failed and what to do next, one line of UTF-8; "" when nothing did.  Never NULL; until the next call. */
SCOPEKEY_API const char *scopekey_error_message(const struct scopekey_error *error);

/* ---- an open set-up ---- */

/* A configuration and everything below it.  Several of one configuration file share token, catalog and keeper. */
struct scopekey;

/*
 * Gives the PIN when no source in the configuration does.  `again`: the one before was refused.  Write at most `size`
 * bytes, no NUL, and return how many; 0 gives up.  Called on any thread that needs the token.
 */
typedef size_t (*scopekey_pin_fn)(void *arg, int again, char *pin, size_t size);

/* How to open.  Start from SCOPEKEY_OPTIONS_INIT. */
struct scopekey_options {
    size_t size;                /* sizeof (struct scopekey_options) */
    const char *configuration;  /* path of scopekey.conf; NULL: found as scopekey.conf(5) says */
    const char *scopes;         /* which subjects may be used here, e.g. "subject/alice subject/bob"; NULL: as configured */
    int auto_provision;         /* 1: the first encryption for a subject makes its key; 0: as configured */
    int dispatch;               /* 1: callbacks run in scopekey_dispatch(); 0: on a thread of the library */
    scopekey_pin_fn pin;        /* or NULL */
    void *pin_arg;
};
#define SCOPEKEY_OPTIONS_INIT {sizeof(struct scopekey_options), NULL, NULL, 0, 0, NULL, NULL}

/*
 * Read the configuration; token, catalog and keeper are opened when they are first needed.  options NULL: all defaults.
 * SCOPEKEY_E_CONFIGURATION, SCOPEKEY_E_USAGE, SCOPEKEY_E_MEMORY.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_open(const struct scopekey_options *options,
                                                                  struct scopekey **out,
                                                                  struct scopekey_error *error);
/*
 * Cancel what is under way, call the callbacks that are still owed (with `dispatch` in this thread), end the threads and
 * close connections.  Not from a callback.  Objects that were given out live on; requests can only be freed.
 */
SCOPEKEY_API void scopekey_close(struct scopekey **scopekey);
/* Version of the library, e.g. "0.1.0". */
SCOPEKEY_API const char *scopekey_version(void);

/* A pair of the caller's own that becomes part of an encryption context. */
struct scopekey_pair {
    const char *name;           /* "x_" and 1 to 30 of a-z 0-9 _ */
    const char *value;          /* may be empty */
};

/* Particulars of one call.  Start from SCOPEKEY_CALL_INIT; NULL stands for it. */
struct scopekey_call {
    size_t size;                        /* sizeof (struct scopekey_call) */
    int64_t deadline_ms;                /* from now; then SCOPEKEY_E_CONNECTIVITY; 0: the keeper's own (scopekey.conf) */
    const struct scopekey_pair *pairs;  /* for what makes a DEK: at most 25, no name twice */
    size_t pair_count;
};
#define SCOPEKEY_CALL_INIT {sizeof(struct scopekey_call), 0, NULL, 0}

/* ---- secrets ---- */

/* Bytes in locked memory that is kept out of core dumps and wiped when freed. */
struct scopekey_secret;

/* The bytes, borrowed; NULL for NULL. */
SCOPEKEY_API const uint8_t *scopekey_secret_data(const struct scopekey_secret *secret);
/* How many; 0 for NULL. */
SCOPEKEY_API size_t scopekey_secret_length(const struct scopekey_secret *secret);
SCOPEKEY_API void scopekey_secret_free(struct scopekey_secret **secret);

/* Free what the library allocated for `void **` and `char **`.  NULL is fine. */
SCOPEKEY_API void scopekey_free(void *memory);

/* ---- encryption and decryption materials ---- */

#define SCOPEKEY_KEY_LENGTH 32          /* bytes of a DEK */
#define SCOPEKEY_SEAL_OVERHEAD 82       /* bytes that sealing adds */
#define SCOPEKEY_SEAL_MAX 1048576       /* bytes of plaintext of one seal; at least 1 */
#define SCOPEKEY_AAD_MAX 65536          /* bytes of additional data */

/* A DEK as a cipher: AES-256-GCM that commits to key and context, keys derived anew for each seal. */
struct scopekey_aead;

/* What encrypting for a subject takes: a fresh DEK, the wrapped DEK, the encryption context. */
struct scopekey_material;

/*
 * A fresh DEK for a subject (1 to 255 bytes).  SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND: it has no KEK, and none is made on the
 * way unless auto_provision says so; SCOPEKEY_E_ERASED; SCOPEKEY_E_INVALID_CONTEXT: a pair is malformed;
 * SCOPEKEY_E_AUTHENTICATION, SCOPEKEY_E_CONNECTIVITY, SCOPEKEY_E_DENIED, SCOPEKEY_E_TOKEN, ...
 * Blocks for at most the deadline at a keeper over the network, and for local work.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_encryption_keys_for(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                             struct scopekey_material **out, struct scopekey_error *error);
/*
 * Open a wrapped DEK of a subject.  `context`: the canonical bytes that came with it (scopekey_context_parse() for the
 * text form).  SCOPEKEY_E_INVALID_CONTEXT: it is malformed, of another subject, environment or generation, altered, or
 * not made by scopekey_encryption_keys_for(); SCOPEKEY_E_INTEGRITY: the wrapped DEK is malformed, altered or of another
 * key; SCOPEKEY_E_ERASED; otherwise as above.  Requests for one DEK at the same time cost one call of the keeper.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_decryption_keys_for(struct scopekey *scopekey, const char *subject, const void *wrapped, size_t wrapped_length,
                             const void *context, size_t context_length, const struct scopekey_call *call,
                             struct scopekey_aead **out, struct scopekey_error *error);
/*
 * Wrap the DEK of a wrapped DEK again, under the newest version of the subject's KEK; the context stays what it is.
 * Codes as scopekey_decryption_keys_for().  The old one opens as long as its version is kept.  *out: scopekey_free().
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_rewrap(struct scopekey *scopekey, const char *subject, const void *wrapped, size_t wrapped_length,
                const void *context, size_t context_length, const struct scopekey_call *call, void **out,
                size_t *out_length, struct scopekey_error *error);

/* The DEK as a cipher, borrowed.  NULL for NULL, as are all accessors. */
SCOPEKEY_API const struct scopekey_aead *scopekey_material_aead(const struct scopekey_material *material);
/* The wrapped DEK, borrowed; *length (may be NULL) its bytes, at most 4096. */
SCOPEKEY_API const uint8_t *scopekey_material_wrapped(const struct scopekey_material *material, size_t *length);
/* The encryption context's canonical bytes, borrowed; at most 8192. */
SCOPEKEY_API const uint8_t *scopekey_material_context(const struct scopekey_material *material, size_t *length);
SCOPEKEY_API void scopekey_material_free(struct scopekey_material **material);

/* The DEK itself, borrowed, for ciphers of the caller's own: use it for one message or file, and keep no copy. */
SCOPEKEY_API const struct scopekey_secret *scopekey_aead_key(const struct scopekey_aead *aead);
/*
 * Encrypt and authenticate 1 to SCOPEKEY_SEAL_MAX bytes; `aad`, at most SCOPEKEY_AAD_MAX bytes, is authenticated
 * too and must be given again to open.  `out` takes length + SCOPEKEY_SEAL_OVERHEAD bytes and must not overlap.  Local: no keeper is asked.
 * SCOPEKEY_E_USAGE.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_aead_seal(const struct scopekey_aead *aead, const void *plain, size_t length, const void *aad,
                   size_t aad_length, uint8_t *out, size_t out_size, struct scopekey_error *error);
/* The opposite.  SCOPEKEY_E_INTEGRITY: altered, cut, or of another DEK, context or aad. */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_aead_open(const struct scopekey_aead *aead, const void *sealed, size_t length, const void *aad,
                   size_t aad_length, struct scopekey_secret **out, struct scopekey_error *error);
SCOPEKEY_API void scopekey_aead_free(struct scopekey_aead **aead);

/* ---- encryption contexts ---- */

/*
 * The text form of a context: "subjectId=...;timestamp=...;version=...;env=...;generation=...;id=...;purpose=..." and the
 * callers' pairs, values percent-encoded.  SCOPEKEY_E_INVALID_CONTEXT.  *out: scopekey_free().
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_context_format(const void *context, size_t length,
                                                                            char **out,
                                                                            struct scopekey_error *error);
/* The canonical bytes of exactly such a text; no other spelling is read.  SCOPEKEY_E_INVALID_CONTEXT. */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_context_parse(const char *text, size_t length,
                                                                           void **out, size_t *out_length,
                                                                           struct scopekey_error *error);

/* ---- short data in one call ---- */

#define SCOPEKEY_MESSAGE_MAX (SCOPEKEY_SEAL_MAX + SCOPEKEY_SEAL_OVERHEAD + 4096 + 8192 + 16)

/*
 * Seal data under a fresh DEK of a subject, with wrapped DEK and context in front: all that opening takes but the keeper.
 * `aad` as for scopekey_aead_seal().  Codes as scopekey_encryption_keys_for().  *out: scopekey_free().
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_message_seal(struct scopekey *scopekey, const char *subject, const void *plain, size_t length,
                      const void *aad, size_t aad_length, const struct scopekey_call *call, void **out,
                      size_t *out_length, struct scopekey_error *error);
/* The opposite.  Codes as scopekey_decryption_keys_for(). */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_message_open(struct scopekey *scopekey, const char *subject, const void *message, size_t length,
                      const void *aad, size_t aad_length, const struct scopekey_call *call,
                      struct scopekey_secret **out, struct scopekey_error *error);

/* ---- subjects ---- */

/* Make the subject's KEK if it has none.  SCOPEKEY_E_ERASED: it was erased, and nothing here brings it back. */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_subject_ensure(struct scopekey *scopekey,
                                                                            const char *subject,
                                                                            const struct scopekey_call *call,
                                                                            struct scopekey_error *error);
/*
 * Make a new version of the subject's KEK, under which new DEKs are wrapped; older ones open as before.  *version (may be
 * NULL): the new one.  SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND, SCOPEKEY_E_ERASED, SCOPEKEY_E_BUSY: another process rotates it.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_subject_rotate(struct scopekey *scopekey,
                                                                            const char *subject,
                                                                            const struct scopekey_call *call,
                                                                            uint64_t *version,
                                                                            struct scopekey_error *error);
/*
 * Move the DEKs that the catalog holds for the subject (of its files and keys) to the newest version; contexts stay as
 * they are.  Wrapped DEKs that callers keep are moved by scopekey_rewrap().  *moved (may be NULL): how many were.
 * SCOPEKEY_E_STATE: some could not be moved, and the message has the first reason.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_subject_rewrap(struct scopekey *scopekey,
                                                                            const char *subject,
                                                                            const struct scopekey_call *call,
                                                                            uint64_t *moved,
                                                                            struct scopekey_error *error);
/*
 * Erase a subject for good: its KEK is destroyed and all that depends on it.  *receipt (may be NULL): the signed receipt,
 * JSON, scopekey_free().  A second call gives the stored receipt.  SCOPEKEY_E_SUBJECT_KEY_NOT_FOUND: there never was one.
 * An interrupted erasure is finished by the next call or command.
 */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_subject_erase(struct scopekey *scopekey,
                                                                           const char *subject,
                                                                           const struct scopekey_call *call,
                                                                           char **receipt,
                                                                           struct scopekey_error *error);

/* ---- asynchronous requests ---- */

/*
 * Each function below begins what its namesake above does, and returns; what goes in is copied.  SCOPEKEY_OK: it was
 * begun, and `done` (may be NULL) is called exactly once, unless the request is freed before.  Any other code: it was
 * not begun.  Thousands may be under way; those that wait for a keeper over the network take no thread.
 */
struct scopekey_request;

/*
 * The request is over.  Runs on a thread of the library, one of several, or in scopekey_dispatch(); no lock is held, and
 * anything may be called but scopekey_close().  It may take the results and free the request.
 */
typedef void (*scopekey_done_fn)(void *arg, struct scopekey_request *request);

SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_encryption_keys_for_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                                   scopekey_done_fn done, void *arg, struct scopekey_request **out,
                                   struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_decryption_keys_for_async(struct scopekey *scopekey, const char *subject, const void *wrapped,
                                   size_t wrapped_length, const void *context, size_t context_length,
                                   const struct scopekey_call *call, scopekey_done_fn done, void *arg,
                                   struct scopekey_request **out, struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_rewrap_async(struct scopekey *scopekey, const char *subject, const void *wrapped, size_t wrapped_length,
                      const void *context, size_t context_length, const struct scopekey_call *call,
                      scopekey_done_fn done, void *arg, struct scopekey_request **out, struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_message_seal_async(struct scopekey *scopekey, const char *subject, const void *plain, size_t length,
                            const void *aad, size_t aad_length, const struct scopekey_call *call,
                            scopekey_done_fn done, void *arg, struct scopekey_request **out,
                            struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_message_open_async(struct scopekey *scopekey, const char *subject, const void *message, size_t length,
                            const void *aad, size_t aad_length, const struct scopekey_call *call,
                            scopekey_done_fn done, void *arg, struct scopekey_request **out,
                            struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_subject_ensure_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                              scopekey_done_fn done, void *arg, struct scopekey_request **out,
                              struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_subject_rotate_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                              scopekey_done_fn done, void *arg, struct scopekey_request **out,
                              struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_subject_rewrap_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                              scopekey_done_fn done, void *arg, struct scopekey_request **out,
                              struct scopekey_error *error);
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code
scopekey_subject_erase_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                             scopekey_done_fn done, void *arg, struct scopekey_request **out,
                             struct scopekey_error *error);

/* 1 when it is over, 0 while it is under way. */
SCOPEKEY_API int scopekey_request_is_over(const struct scopekey_request *request);
/* How it ended; fills in `error` like the blocking call.  SCOPEKEY_E_STATE: it is still under way. */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_request_result(const struct scopekey_request *request,
                                                                            struct scopekey_error *error);
/* Take a result, which is the caller's from then on; NULL when it has none of that kind, or it was taken. */
SCOPEKEY_API struct scopekey_material *scopekey_request_take_material(struct scopekey_request *request);
SCOPEKEY_API struct scopekey_aead *scopekey_request_take_aead(struct scopekey_request *request);
SCOPEKEY_API struct scopekey_secret *scopekey_request_take_secret(struct scopekey_request *request);
/* A wrapped DEK, a sealed message or a receipt (which a NUL follows): scopekey_free(). */
SCOPEKEY_API void *scopekey_request_take_bytes(struct scopekey_request *request, size_t *length);
/* The new version of a rotation, or how many DEKs a subject's rewrap moved; 0 before it is over, and of others. */
SCOPEKEY_API uint64_t scopekey_request_number(struct scopekey_request *request);
/*
 * Ask it to end soon: with SCOPEKEY_E_CANCELLED, unless it was too late.  `done` is still called.  What
 * was begun on a subject (ensure, rotate, rewrap, erase) is not stopped.
 */
SCOPEKEY_API void scopekey_request_cancel(struct scopekey_request *request);
/*
 * Free it.  While it is under way it is cancelled and `done` will not be called any more; when `done` runs at this very
 * moment on another thread, this waits for it to return.
 */
SCOPEKEY_API void scopekey_request_free(struct scopekey_request **request);

/*
 * A descriptor that is readable while callbacks wait for scopekey_dispatch(): for poll(2) and event loops.  -1 when it was
 * not opened with `dispatch`.  It stays the library's; a child of fork() finds its own under the same number.
 */
SCOPEKEY_API int scopekey_descriptor(const struct scopekey *scopekey);
/* Call, in this thread, the callbacks that wait, at most `most` (0: all that wait now).  How many were called. */
SCOPEKEY_API size_t scopekey_dispatch(struct scopekey *scopekey, size_t most);

/* ---- metrics ---- */

/* All metrics of the process as Prometheus text (format 0.0.4).  SCOPEKEY_E_MEMORY.  *out: scopekey_free(). */
SCOPEKEY_API SCOPEKEY_MUST_CHECK enum scopekey_code scopekey_metrics_format(char **out, size_t *length,
                                                                            struct scopekey_error *error);

#ifdef __cplusplus
}
#endif

#endif
