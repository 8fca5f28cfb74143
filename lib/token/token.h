/* SPDX-License-Identifier: MIT */
/*
 * One PKCS#11 token: sessions, login, fork, restart, and Scopekey's own keys on it.
 *
 * Every PKCS#11 call of this program goes through lib/token/call.h.  Nothing is loaded before the first
 * function that needs the token.  All functions may be called from any thread, block for at most the
 * session deadline plus the token's own time, and after a fork work in the child with sessions of its own.
 * After exit has begun every call answers SCK_E_TOKEN without touching the module.
 */
#ifndef SCK_TOKEN_TOKEN_H
#define SCK_TOKEN_TOKEN_H

#include "lib/base/bytes.h"
#include "lib/base/secret.h"
#include "lib/core/alg.h"

struct sck_token;

/* Gives the user PIN.  `again` is true when the PIN given before was wrong.  Called without any lock held. */
typedef enum sck_code (*sck_pin_fn)(void *arg, bool again, struct sck_secret **pin, struct sck_err *err);

struct sck_token_conf {
    const char *module_path;    /* PKCS#11 module, absolute */
    const char *module_env;     /* "NAME=value" set while the module initialises ("SOFTHSM2_CONF=..."), or NULL */
    const char *label;          /* token label; with `serial` NULL it must be unique among the slots */
    const char *serial;         /* token serial number, or NULL */
    uint8_t setup_id[16];       /* tells the keys of several set-ups on one token apart (the catalog id) */
    const char *lock_path;      /* file whose lock serialises token-object writes across processes */
    const char *store_dir;      /* directory to sync after a token-object write (SoftHSM), or NULL */
    unsigned max_sessions;      /* sessions of this process, the internal one included; 2 or more, 0 means 4 */
    int64_t session_wait_ms;    /* deadline for a free session; 0 means 30000 */
    bool insecure_master;       /* use a token that does not enforce what masters need */
    sck_pin_fn pin;             /* NULL: public objects only */
    void *pin_arg;
};

/* Strings of `conf` are copied; no I/O, no module load.  Free with sck_token_free(). */
SCK_MUST_CHECK enum sck_code sck_token_new(const struct sck_token_conf *conf, struct sck_token **out,
                                           struct sck_err *err);
/* Destroys session objects, closes what we opened and finalises only what we initialised (never during exit). */
void sck_token_free(struct sck_token **token);

/*
 * Load the module, find the token and log in, now rather than at the first use.
 * SCK_E_CONFIG: module cannot be loaded, is p11-kit-proxy or Scopekey's own.  SCK_E_TOKEN: token missing (lists what
 * is there), ambiguous, not initialised.  SCK_E_CREDENTIAL: wrong PIN (sent once per process), locked, last try.
 */
SCK_MUST_CHECK enum sck_code sck_token_login(struct sck_token *token, struct sck_err *err);

/* Set by sck_token_provision() and probed at each start. */
struct sck_token_caps {
    unsigned long wrap_mechanism;       /* the mechanism that is RFC 5649 on this token; 0: cannot wrap */
    bool wraps[SCK_FAMILY_EDWARDS + 1]; /* by family: keys can be wrapped; otherwise resident */
    bool makes[16];                     /* by enum sck_alg: the token can make and use it */
    bool enforces_masters;              /* every attack on a throw-away master was refused */
    bool oaep_sha256;                   /* OAEP with SHA-256 inside the token */
    unsigned long max_sessions;         /* the token's own limit, 0: none told */
    char manufacturer[33], model[17], serial[17], label[33];
};
/* Needs a login.  Tries the attacks of docs/tokens.md that need no RSA pair: about a millisecond on SoftHSM. */
SCK_MUST_CHECK enum sck_code sck_token_caps_get(struct sck_token *token, struct sck_token_caps *out,
                                                struct sck_err *err);

/* One line of what was found; `cure` is NULL when all is well.  Used by `init` and `doctor`. */
typedef void (*sck_token_report_fn)(void *arg, const char *what, const char *cure);

/*
 * Make a new token in a free slot: C_InitToken with the SO PIN, then the user PIN.  SCK_E_EXISTS when a token with
 * this label is there.  For the embedded SoftHSM only; hardware is initialised by its own tools.
 */
SCK_MUST_CHECK enum sck_code sck_token_make(const struct sck_token_conf *conf, const struct sck_secret *so_pin,
                                            const struct sck_secret *pin, struct sck_err *err);
/*
 * Make whatever of Scopekey's own keys is missing (masters per usage and family, epoch key 1, mac, name, audit,
 * catalog, receipt), created so from birth, synced and used once from a fresh session; safe to repeat after a crash.
 * First every attack of docs/tokens.md is tried on a throw-away master.  SCK_E_UNSUPPORTED names the one that worked.
 */
SCK_MUST_CHECK enum sck_code sck_token_provision(struct sck_token *token, sck_token_report_fn report, void *arg,
                                                 struct sck_err *err);
/*
 * Verify that all own keys are there with every attribute they must have.  Run once by the first login of each
 * process; here again for `doctor`, with every finding reported.  SCK_E_INTEGRITY: an attribute differs (named).
 * SCK_E_CONFIG: a key is missing.
 */
SCK_MUST_CHECK enum sck_code sck_token_verify(struct sck_token *token, sck_token_report_fn report, void *arg,
                                              struct sck_err *err);

/* ---- Scopekey's own keys ---- */

enum sck_system_key {
    SCK_SYS_MAC = 1,    /* HMAC: catalog rows */
    SCK_SYS_NAME,       /* HMAC: KEK names, tombstones */
    SCK_SYS_AUDIT,      /* HMAC */
    SCK_SYS_CATALOG,    /* ECDSA P-256: public columns of rows */
    SCK_SYS_RECEIPT     /* ECDSA P-256: erasure receipts */
};

/* HMAC-SHA-256 inside the token under SCK_SYS_MAC, _NAME or _AUDIT. */
SCK_MUST_CHECK enum sck_code sck_token_hmac(struct sck_token *token, enum sck_system_key which, const void *data,
                                            size_t len, uint8_t out[32], struct sck_err *err);
/* ECDSA over SHA-256(data) under SCK_SYS_CATALOG or _RECEIPT; appends the DER signature. */
SCK_MUST_CHECK enum sck_code sck_token_system_sign(struct sck_token *token, enum sck_system_key which,
                                                   const void *data, size_t len, struct sck_buf *sig,
                                                   struct sck_err *err);
/* Append the SPKI (DER) of SCK_SYS_CATALOG or _RECEIPT. */
SCK_MUST_CHECK enum sck_code sck_token_system_public(struct sck_token *token, enum sck_system_key which,
                                                     struct sck_buf *spki, struct sck_err *err);
/* `len` bytes of the token's random generator mixed into ours (both must fail to be weak). */
SCK_MUST_CHECK enum sck_code sck_token_random(struct sck_token *token, uint8_t *out, size_t len,
                                              struct sck_err *err);

/*
 * The rollback anchor: at most 128 bytes in one of two private data objects, written in turn.
 * Reading before anything was written gives an empty buffer and SCK_OK.
 */
SCK_MUST_CHECK enum sck_code sck_token_anchor_read(struct sck_token *token, struct sck_buf *out,
                                                   struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_token_anchor_write(struct sck_token *token, const void *data, size_t len,
                                                    struct sck_err *err);

/* ---- scoped keys ---- */

/* A key that can be used: a session object unwrapped from its layer-1 blob, or a resident one.  Counted references. */
struct sck_tkey;

/*
 * Generate a key of `usage` in a session, wrap it by its usage's and family's master and destroy it.
 * Appends the layer-1 blob and, for pairs, the SPKI.  SCK_E_UNSUPPORTED when the token cannot wrap this family
 * (say so, name sck_token_generate_resident's case).
 */
SCK_MUST_CHECK enum sck_code sck_token_generate(struct sck_token *token, enum sck_alg alg, enum sck_usage usage,
                                                struct sck_buf *blob, struct sck_buf *spki, struct sck_err *err);
/*
 * Generate a token object with CKA_ID `id`, for what cannot be wrapped and for system keys.  Synced, and used once
 * from a fresh session before this returns.  Appends the SPKI of pairs.
 */
SCK_MUST_CHECK enum sck_code sck_token_generate_resident(struct sck_token *token, enum sck_alg alg,
                                                         enum sck_usage usage, const char *label,
                                                         const uint8_t id[16], struct sck_buf *spki,
                                                         struct sck_err *err);
/* Destroy a resident key (both halves of a pair).  Absent: SCK_OK. */
SCK_MUST_CHECK enum sck_code sck_token_destroy_resident(struct sck_token *token, const uint8_t id[16],
                                                        struct sck_err *err);

/*
 * Unwrap a layer-1 blob into a session object.  The blob is kept in locked memory so that the key survives a
 * token restart and a fork.  SCK_E_INTEGRITY when the token refuses the blob.
 */
SCK_MUST_CHECK enum sck_code sck_tkey_load(struct sck_token *token, enum sck_alg alg, enum sck_usage usage,
                                           enum sck_origin origin, const void *blob, size_t blob_len,
                                           struct sck_tkey **out, struct sck_err *err);
/* Find a resident key by its CKA_ID.  SCK_E_NOT_FOUND. */
SCK_MUST_CHECK enum sck_code sck_tkey_find(struct sck_token *token, enum sck_alg alg, enum sck_usage usage,
                                           const uint8_t id[16], struct sck_tkey **out, struct sck_err *err);
struct sck_tkey *sck_tkey_ref(struct sck_tkey *key);
/* The last reference destroys the session object. Sets *key to NULL. */
void sck_tkey_unref(struct sck_tkey **key);

enum sck_sign_mech {
    SCK_SIGN_RSA_PKCS1,     /* input: DER DigestInfo (RFC 8017 section 9.2) or raw bytes to pad */
    SCK_SIGN_RSA_PSS,       /* input: the digest; with struct sck_pss */
    SCK_SIGN_RSA_RAW,       /* usage `any` only; input: modulus length */
    SCK_SIGN_ECDSA,         /* input: the digest; output: DER (RFC 3279 section 2.2.3) */
    SCK_SIGN_EDDSA          /* input: the message; output: 64 bytes (RFC 8032) */
};
struct sck_pss {
    int hash_nid;           /* OpenSSL NID of the digest that was used */
    int mgf_nid;
    unsigned long salt_len; /* bytes */
};
/*
 * Two token calls.  `out` takes at most `out_cap` bytes, *out_len is set.  SCK_E_STATE when the usage does not allow
 * it, SCK_E_USAGE for a wrong input length.
 */
SCK_MUST_CHECK enum sck_code sck_tkey_sign(struct sck_tkey *key, enum sck_sign_mech mech, const struct sck_pss *pss,
                                           const uint8_t *in, size_t in_len, uint8_t *out, size_t out_cap,
                                           size_t *out_len, struct sck_err *err);

enum sck_rsa_padding { SCK_RSA_PKCS1, SCK_RSA_OAEP, SCK_RSA_RAW };
struct sck_oaep {
    int hash_nid;
    int mgf_nid;
    struct sck_bytes label;
};
/*
 * RSA decryption into a new secret.  OAEP with digests the token lacks: raw RSA inside, unpadding outside in constant
 * time.  PKCS1 failures and OAEP failures are one SCK_E_AUTHENTIC.  Two token calls.
 */
SCK_MUST_CHECK enum sck_code sck_tkey_rsa_decrypt(struct sck_tkey *key, enum sck_rsa_padding padding,
                                                  const struct sck_oaep *oaep, const uint8_t *in, size_t in_len,
                                                  struct sck_secret **out, struct sck_err *err);

/*
 * AES-256-GCM in the token.  Nonce 12 bytes, tag 16 bytes behind the ciphertext; out takes len + 16 or len - 16 bytes.
 * Usages gcm, gcm-caller-iv, kek.  A bad tag is SCK_E_AUTHENTIC with `out` wiped.  Two token calls.
 */
SCK_MUST_CHECK enum sck_code sck_tkey_gcm_seal(struct sck_tkey *key, const uint8_t nonce[12], const uint8_t *aad,
                                               size_t aad_len, const uint8_t *plain, size_t len, uint8_t *out,
                                               struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_tkey_gcm_open(struct sck_tkey *key, const uint8_t nonce[12], const uint8_t *aad,
                                               size_t aad_len, const uint8_t *sealed, size_t len, uint8_t *out,
                                               struct sck_err *err);

/* ---- keeper token: KEKs (layer 4) and epochs ---- */

/*
 * A new KEK: generated, wrapped by the `kek` master, then encrypted (AES-GCM) by the epoch key in use with `aad`.
 * Appends u32 epoch ‖ nonce[12] ‖ ciphertext ‖ tag[16].  Codes of sck_token_kek_load() for the epoch key.
 */
SCK_MUST_CHECK enum sck_code sck_token_kek_make(struct sck_token *token, const void *aad, size_t aad_len,
                                                struct sck_buf *record, struct sck_err *err);
/*
 * Load a KEK record as a key of usage kek.  SCK_E_INTEGRITY: altered or other aad.  SCK_E_ERASED: its epoch key is
 * gone.  SCK_E_CONFIG: its epoch is newer than any on the token, which was set back.
 */
SCK_MUST_CHECK enum sck_code sck_token_kek_load(struct sck_token *token, const void *aad, size_t aad_len,
                                                const uint8_t *record, size_t record_len, struct sck_tkey **out,
                                                struct sck_err *err);
/*
 * The record's layer-1 blob under the key of `epoch` instead: no key is unwrapped.  Appends to `fresh`; codes of
 * sck_token_kek_load().
 */
SCK_MUST_CHECK enum sck_code sck_token_kek_reseal(struct sck_token *token, uint32_t epoch, const void *aad,
                                                  size_t aad_len, const uint8_t *record, size_t record_len,
                                                  struct sck_buf *fresh, struct sck_err *err);
/* The epoch a record is of, 0 when it is none.  Pure. */
uint32_t sck_token_kek_epoch(const uint8_t *record, size_t len);

enum { SCK_EPOCHS_MAX = 32 };   /* epoch keys a token holds at one time */
/*
 * From now on sck_token_kek_make() of this process uses this epoch rather than the newest on the token, which may be
 * one that is being made.  Only upwards: a smaller number changes nothing.
 */
void sck_token_epoch_use(struct sck_token *token, uint32_t epoch);
/* The numbers of the epoch keys on the token now, ascending. */
SCK_MUST_CHECK enum sck_code sck_token_epoch_list(struct sck_token *token, uint32_t list[SCK_EPOCHS_MAX],
                                                  size_t *count, struct sck_err *err);
/*
 * Make the key of `epoch`, one more than the newest: with what epoch keys must have from birth, synced, and used once
 * from a fresh session before this returns.  Safe to repeat: one that is there whole stays, one that a crash left half
 * made is made anew.  So the caller promises that no record is under it yet.  One maker at a time (lock_path).
 * SCK_E_STATE: it is not the next one, or SCK_EPOCHS_MAX are there.
 */
SCK_MUST_CHECK enum sck_code sck_token_epoch_make(struct sck_token *token, uint32_t epoch, struct sck_err *err);
/*
 * Destroy the key of `epoch`, which is not the newest, sync, and see that it is gone.  Absent: SCK_OK.
 * SCK_E_STATE: it is the newest.
 */
SCK_MUST_CHECK enum sck_code sck_token_epoch_destroy(struct sck_token *token, uint32_t epoch, struct sck_err *err);
/* Number of the newest epoch key, from 1. */
SCK_MUST_CHECK enum sck_code sck_token_epoch(struct sck_token *token, uint32_t *epoch, struct sck_err *err);

#endif
