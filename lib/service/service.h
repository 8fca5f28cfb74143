/* SPDX-License-Identifier: MIT */
/*
 * The one coordinator: what every door calls.  It opens token, catalog and keeper from the configuration, only when
 * they are needed, and takes a key through all four layers of docs/formats.md.
 *
 * Threads: everything may be called from any thread.  Forks: a child goes on with the same struct; token, database and
 * connections are opened again when needed.  Nothing here writes to stdout.
 */
#ifndef SCK_SERVICE_SERVICE_H
#define SCK_SERVICE_SERVICE_H

#include "lib/core/alg.h"
#include "lib/core/context.h"
#include "lib/core/dek.h"
#include "lib/core/uri.h"
#include "lib/core/uuid.h"
#include "lib/service/conf.h"
#include "lib/token/token.h"

/* A door's view of a set-up.  Doors of one process that open the same configuration share everything below it. */
struct sck_service;

/* Asks a person (or the application) for the PIN when no configured source gives one.  As sck_pin_fn. */
typedef enum sck_code (*sck_ask_pin_fn)(void *arg, bool again, struct sck_secret **pin, struct sck_err *err);

struct sck_open {
    const char *conf_path;      /* scopekey.conf, or NULL: sck_conf_find() */
    const char *scopes;         /* wall of this door: patterns of lib/core/scope.h; NULL: what the configuration says */
    bool use_env;               /* our own programs: the documented environment variables win over the file */
    bool auto_provision;        /* first use of a subject makes its KEK (command line); the configuration may allow it too */
    sck_ask_pin_fn ask_pin;     /* or NULL */
    void *ask_pin_arg;
};

/* Read the configuration; nothing else is touched.  SCK_E_CONFIG names file, line and remedy. */
SCK_MUST_CHECK enum sck_code sck_service_open(const struct sck_open *how, struct sck_service **out,
                                              struct sck_err *err);
void sck_service_close(struct sck_service **service);
const struct sck_conf *sck_service_conf(const struct sck_service *service);
/* Log in to the token and check the catalog now (daemons), rather than at the first use. */
SCK_MUST_CHECK enum sck_code sck_service_start(struct sck_service *service, struct sck_err *err);

/*
 * Compare a PIN that a client typed with the one that the configured source (file or credential) gives, in constant time;
 * the token is not asked.  SCK_E_CREDENTIAL: it is another one.  SCK_E_NOT_FOUND: no source is configured, so that the
 * token has to decide (ask_pin, sck_service_start()).
 */
SCK_MUST_CHECK enum sck_code sck_service_pin_check(struct sck_service *service, const struct sck_secret *pin,
                                                   struct sck_err *err);

/* ---- keys ---- */

#define SCK_SPKI_MAX 1024

/* A key as doors show it.  Plain data: copy freely. */
struct sck_key_info {
    uint8_t id[16];             /* CKA_ID, the same for all versions */
    struct sck_scope scope;
    char name[SCK_KEY_NAME_MAX + 1];
    char key_id[SCK_KEY_ID_MAX + 1];
    enum sck_alg alg;
    enum sck_usage usage;
    enum sck_protection protection;
    enum sck_residence residence;
    enum sck_origin origin;
    bool enabled;
    uint32_t version;           /* the one described */
    uint32_t current_version;
    bool version_active;        /* false: retired, opens but does not make */
    int64_t created_s;          /* of the key */
    int64_t version_created_s;
    int64_t expires_s;          /* 0: never */
    int64_t messages;           /* GCM messages reserved under this version */
    uint8_t spki[SCK_SPKI_MAX]; /* DER, pairs only */
    size_t spki_len;            /* 0 for secret keys */
};

/*
 * Find the one key a URI names (version: the given or the current one).  Needs no login: records are trusted by their
 * MAC when logged in, by the `catalog` signature otherwise.
 * SCK_E_NOT_FOUND; SCK_E_ERASED; SCK_E_DENIED (outside the wall; same answer whether it exists or not);
 * SCK_E_USAGE (URI names a scope with several keys: lists candidates); SCK_E_INTEGRITY.
 */
SCK_MUST_CHECK enum sck_code sck_key_find(struct sck_service *service, const struct sck_uri *uri,
                                          struct sck_key_info *out, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_key_find_by_key_id(struct sck_service *service, const char *key_id,
                                                    uint32_t version, struct sck_key_info *out,
                                                    struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_key_find_by_id(struct sck_service *service, const uint8_t id[16],
                                                uint32_t version, struct sck_key_info *out, struct sck_err *err);

/* Return SCK_OK to go on. */
typedef enum sck_code (*sck_key_fn)(void *arg, const struct sck_key_info *key, struct sck_err *err);
/*
 * Walk the keys of a scope (NULL: of all scopes inside the wall), current versions, streamed in bounded memory.
 * No login.  A scope that was erased: SCK_E_ERASED; one without keys: SCK_OK and no call.
 */
SCK_MUST_CHECK enum sck_code sck_key_each(struct sck_service *service, const struct sck_scope *scope, sck_key_fn fn,
                                          void *arg, struct sck_err *err);

/*
 * The same in pages, for doors that are asked for a few keys at a time: at most `limit` keys whose id is above `after`
 * (NULL: from the start), in order of id, inside the wall.  Fewer than `limit` calls: that was the end.
 * Keys that are made or destroyed between two pages are seen or not; none is seen twice.
 */
SCK_MUST_CHECK enum sck_code sck_key_page(struct sck_service *service, const uint8_t after[16], size_t limit,
                                          sck_key_fn fn, void *arg, struct sck_err *err);

struct sck_key_spec {
    enum sck_alg alg;
    enum sck_usage usage;               /* 0: the algorithm's default */
    enum sck_protection protection;     /* 0: token */
    int64_t expires_s;                  /* 0: never */
};
/*
 * Make a key; durable when this returns.  `name` "" names it after its key_id.  SCK_E_EXISTS, SCK_E_ERASED,
 * SCK_E_NOT_FOUND (subject not provisioned: says how), SCK_E_UNSUPPORTED, SCK_E_DENIED.
 */
SCK_MUST_CHECK enum sck_code sck_key_create(struct sck_service *service, const struct sck_scope *scope,
                                            const char *name, const struct sck_key_spec *spec,
                                            struct sck_key_info *out, struct sck_err *err);
/* Make a new current version; the old ones open but no longer make. */
SCK_MUST_CHECK enum sck_code sck_key_rotate(struct sck_service *service, const struct sck_key_info *key,
                                            struct sck_key_info *out, struct sck_err *err);
/* Disabled keys are found and listed but do nothing (SCK_E_STATE). */
SCK_MUST_CHECK enum sck_code sck_key_set_enabled(struct sck_service *service, const struct sck_key_info *key,
                                                 bool enabled, struct sck_err *err);
/* Destroy all versions for good; the name and key_id then answer SCK_E_ERASED. */
SCK_MUST_CHECK enum sck_code sck_key_destroy(struct sck_service *service, const struct sck_key_info *key,
                                             struct sck_err *err);

/* ---- using a key ---- */

/* A key that is open for use.  Counted references; each use checks that it was not erased, destroyed or disabled since. */
struct sck_ukey;

/* Open a key through its layers, or take it from the cache.  SCK_E_STATE disabled or expired, SCK_E_ERASED, SCK_E_CONNECT, ... */
SCK_MUST_CHECK enum sck_code sck_ukey_open(struct sck_service *service, const struct sck_key_info *key,
                                           struct sck_ukey **out, struct sck_err *err);
struct sck_ukey *sck_ukey_ref(struct sck_ukey *key);
void sck_ukey_unref(struct sck_ukey **key);
const struct sck_key_info *sck_ukey_info(const struct sck_ukey *key);

/* Mechanisms, inputs and outputs: lib/token/token.h. */
SCK_MUST_CHECK enum sck_code sck_ukey_sign(struct sck_ukey *key, enum sck_sign_mech mech, const struct sck_pss *pss,
                                           const uint8_t *in, size_t in_len, uint8_t *out, size_t out_cap,
                                           size_t *out_len, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_ukey_rsa_decrypt(struct sck_ukey *key, enum sck_rsa_padding padding,
                                                  const struct sck_oaep *oaep,
                                                  const uint8_t *in, size_t in_len, struct sck_secret **out,
                                                  struct sck_err *err);
/*
 * AES-256-GCM; usage gcm: the nonce is made here from reserved, counted messages (docs/formats.md) and returned.
 * Refuses at 2^32 messages (SCK_E_STATE: rotate the key).  out takes len + 16 bytes.  A retired version does not seal.
 */
SCK_MUST_CHECK enum sck_code sck_ukey_gcm_seal(struct sck_ukey *key, uint8_t nonce[12], const uint8_t *aad,
                                               size_t aad_len, const uint8_t *plain, size_t len, uint8_t *out,
                                               struct sck_err *err);
/* Usage gcm-caller-iv: the caller's nonce. */
SCK_MUST_CHECK enum sck_code sck_ukey_gcm_seal_iv(struct sck_ukey *key, const uint8_t nonce[12], const uint8_t *aad,
                                                  size_t aad_len, const uint8_t *plain, size_t len, uint8_t *out,
                                                  struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_ukey_gcm_open(struct sck_ukey *key, const uint8_t nonce[12], const uint8_t *aad,
                                               size_t aad_len, const uint8_t *sealed, size_t len, uint8_t *out,
                                               struct sck_err *err);

/* ---- subjects and clients ---- */

struct sck_owner_info {
    struct sck_scope scope;     /* kind subject or client */
    uint32_t generation;
    bool active;
    int64_t created_s;
    char kek_name[128];
    uint32_t kek_version;
    enum sck_keeper_kind keeper;
};
/* Provision: tombstones asked first.  SCK_E_EXISTS, SCK_E_ERASED (with `again` false). */
SCK_MUST_CHECK enum sck_code sck_owner_create(struct sck_service *service, const struct sck_scope *scope, bool again,
                                              struct sck_owner_info *out, struct sck_err *err);
/* SCK_E_NOT_FOUND, SCK_E_ERASED. */
SCK_MUST_CHECK enum sck_code sck_owner_find(struct sck_service *service, const struct sck_scope *scope,
                                            struct sck_owner_info *out, struct sck_err *err);
typedef enum sck_code (*sck_owner_fn)(void *arg, const struct sck_owner_info *owner, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_owner_each(struct sck_service *service, sck_owner_fn fn, void *arg,
                                            struct sck_err *err);
/* The KEK name a subject or client has or would get (generation: the living one's, or 1). */
SCK_MUST_CHECK enum sck_code sck_owner_kek_name(struct sck_service *service, const struct sck_scope *scope,
                                                char out[128], struct sck_err *err);

/* ---- DEKs that are handed out (messages) ---- */

/*
 * A fresh DEK wrapped for `ctx` (scope, purpose, id and created_s filled in by the caller; generation and env are
 * filled in here).  Scope kind file without a subject uses the files' KEK: pass the file scope.
 * Appends the encoded wrapped DEK, and counts it as handed out: its KEK's version is kept for it.
 */
SCK_MUST_CHECK enum sck_code sck_dek_make(struct sck_service *service, const struct sck_scope *owner,
                                          struct sck_context *ctx, struct sck_secret **dek,
                                          struct sck_buf *wrapped, int64_t *owner_id, struct sck_err *err);
/* Unwrap; `ctx` must be the context of the wrap (generation and env are filled in).  SCK_E_CONTEXT, SCK_E_ERASED, ... */
SCK_MUST_CHECK enum sck_code sck_dek_open(struct sck_service *service, int64_t owner_id, struct sck_context *ctx,
                                          const uint8_t *wrapped, size_t wrapped_len, struct sck_secret **dek,
                                          struct sck_err *err);

/* ---- erasure ---- */

/* One line of progress ("KEK scopekey--k--... destroyed at keeper token"). */
typedef void (*sck_progress_fn)(void *arg, const char *line);
/*
 * Erase a subject, client or file for good.  Interrupted runs are resumed by the next command or start.
 * `receipt` gets the signed receipt (JSON).  A second call gives the stored receipt and SCK_OK.
 * SCK_E_NOT_FOUND when there never was one.
 */
SCK_MUST_CHECK enum sck_code sck_erase(struct sck_service *service, const struct sck_scope *scope,
                                       sck_progress_fn progress, void *arg, struct sck_buf *receipt,
                                       struct sck_err *err);
/*
 * Finish what an interrupted erasure or creation left, and destroy epoch keys that are due; called by doors at their
 * start.  Cheap when there is nothing.  An erasure that waits for its keeper is logged, and tried again by the next call.
 */
SCK_MUST_CHECK enum sck_code sck_resume(struct sck_service *service, struct sck_err *err);

/* ---- epochs of keeper token (docs/erasure.md) ---- */

/*
 * Make the next epoch key, put every living KEK under it, and destroy old epoch keys that are due.  A run that was cut
 * is finished instead.  SCK_E_BUSY: another process does the same.
 */
SCK_MUST_CHECK enum sck_code sck_epoch_rotate(struct sck_service *service, sck_progress_fn progress, void *arg,
                                              struct sck_err *err);
/* Only destroy what is due, and issue the receipts that waited for it. */
SCK_MUST_CHECK enum sck_code sck_epoch_retire(struct sck_service *service, sck_progress_fn progress, void *arg,
                                              struct sck_err *err);
struct sck_epoch_info {
    uint32_t number;
    const char *state;          /* "making", "current", "moving", "waiting", "destroying" */
    int64_t created_s;
    int64_t moved_s;            /* 0: records are under it */
    int64_t messages;           /* of 2^32 */
    int64_t due_s;              /* when its key may be destroyed; 0: see awaited */
    char awaited[128];          /* what must happen first; "" */
};
typedef enum sck_code (*sck_epoch_fn)(void *arg, const struct sck_epoch_info *epoch, struct sck_err *err);
/* Those whose keys may be on the token, ascending. */
SCK_MUST_CHECK enum sck_code sck_epoch_each(struct sck_service *service, sck_epoch_fn fn, void *arg,
                                            struct sck_err *err);

/* ---- backups of the catalog (docs/recovery.md) ---- */

struct sck_backup_info {
    uint8_t id[16];
    const char *state;          /* "making", "made", "confirmed" */
    uint32_t epoch;             /* the oldest epoch key it needs */
    int64_t generation;
    int64_t tombstones;         /* erasures it knows */
    int64_t created_s;
    int64_t expires_s;          /* from then on it may open nothing any more, and is to be destroyed */
    int64_t confirmed_s;        /* 0: never read back */
    int64_t size;               /* bytes */
    char path[4096];            /* where it was written */
};
/*
 * Register and write a consistent copy of the catalog, and its manifest beside it ("FILE.json").  `where` is a
 * directory, or the name of a new file.  SCK_E_EXISTS, SCK_E_IO, SCK_E_BUSY.
 */
SCK_MUST_CHECK enum sck_code sck_backup_make(struct sck_service *service, const char *where,
                                             struct sck_backup_info *out, struct sck_err *err);
/*
 * Read a copy back from where it lies (`file`, or NULL: where it was written) and note that it is whole: manifest, MAC
 * and SHA-256.  SCK_E_NOT_FOUND, SCK_E_AUTHENTIC, SCK_E_USAGE: it is another one.
 */
SCK_MUST_CHECK enum sck_code sck_backup_confirm(struct sck_service *service, const uint8_t id[16], const char *file,
                                                struct sck_backup_info *out, struct sck_err *err);
/* The copy was destroyed: it is no longer registered.  SCK_E_NOT_FOUND. */
SCK_MUST_CHECK enum sck_code sck_backup_forget(struct sck_service *service, const uint8_t id[16], struct sck_err *err);
typedef enum sck_code (*sck_backup_fn)(void *arg, const struct sck_backup_info *backup, struct sck_err *err);
/* Oldest first. */
SCK_MUST_CHECK enum sck_code sck_backup_each(struct sck_service *service, sck_backup_fn fn, void *arg,
                                             struct sck_err *err);
/*
 * Put a copy in the catalog's place, atomically; what was there is kept beside it (`aside`, "" when there was nothing).
 * No process may use the catalog, and this one has not opened it.  Then reconcile.  SCK_E_BUSY, SCK_E_AUTHENTIC,
 * SCK_E_CONFIG (another set-up's), SCK_E_NOT_FOUND (no manifest).
 */
SCK_MUST_CHECK enum sck_code sck_restore(struct sck_service *service, const char *file, char aside[4096],
                                         struct sck_err *err);
/*
 * Make a catalog that was set back, or a keeper that was, agree with what was erased since: the erasure log is replayed,
 * what came back is erased again, every KEK that was ever erased is asked for at its keeper, KEK records are put under
 * the current epoch, every GCM key gets a new version before its next message.  Safe to repeat; the catalog starts only
 * when it was finished.  SCK_E_INTEGRITY: the erasure log knows fewer erasures than the token.
 */
SCK_MUST_CHECK enum sck_code sck_reconcile(struct sck_service *service, sck_progress_fn progress, void *arg,
                                           struct sck_err *err);

/* ---- health ---- */

/* `cure` NULL: all well.  `area` is "configuration", "token", "catalog", "keeper", "permissions" or "erasure". */
typedef void (*sck_finding_fn)(void *arg, const char *area, const char *what, const char *cure);
/* Look at everything; SCK_OK when there was no problem, else the first problem's code (all are reported). */
SCK_MUST_CHECK enum sck_code sck_doctor(const struct sck_open *how, sck_finding_fn finding, void *arg,
                                        struct sck_err *err);
/* A quick round trip to token, keeper and catalog for /health: microseconds, or the failure. */
SCK_MUST_CHECK enum sck_code sck_service_ping(struct sck_service *service, int64_t *latency_us, struct sck_err *err);

#endif
