/* SPDX-License-Identifier: MIT */
/* Inside the token room: a loaded key. */
#ifndef SCK_TOKEN_KEY_H
#define SCK_TOKEN_KEY_H

#include "lib/token/mech.h"
#include "lib/token/session.h"

struct sck_tkey {
    atomic_uint refs;
    struct sck_token *token;        /* a reference of our own */
    enum sck_alg alg;
    enum sck_usage usage;
    enum sck_origin origin;
    struct sck_secret *blob;        /* layer 1; NULL when resident */
    uint8_t id[16];                 /* CKA_ID when resident */
    CK_OBJECT_HANDLE handle;        /* under token->lock, good for `incarnation` */
    unsigned long incarnation;
    atomic_bool raw_oaep;           /* the token refused OAEP with a digest other than SHA-1 */
    struct sck_tkey *next_garbage;  /* under token->lock */
};

/* Wipe and free; the session object is gone or was never there.  Drops the key's reference on the token. */
void sck_tkey_free(struct sck_tkey *key);

/* Run `op` with use->object = the key, loading it again when the token was lost or this is a child. */
SCK_MUST_CHECK enum sck_code sck_tkey_run(struct sck_tkey *key, sck_op_fn op, void *arg, const char *what,
                                          struct sck_err *err);

/* Unwrap `blob` by `master` in the use's session with the template of `kind`. */
CK_RV sck_unwrap(struct sck_use *use, const struct sck_kind *kind, CK_OBJECT_HANDLE master,
                 CK_MECHANISM_TYPE mechanism, const void *blob, size_t len, CK_OBJECT_HANDLE *out);

/* PKCS#11's names of two digests, and the length of the first's output; false when not known. */
bool sck_digest_params(int hash_nid, int mgf_nid, CK_MECHANISM_TYPE *hash, CK_RSA_PKCS_MGF_TYPE *mgf, size_t *len);

/* AES-256-GCM by the key in use->object.  A bad tag ends with CKR_OK and `bad_tag`, `out` then holds nothing. */
struct sck_gcm_args {
    bool seal;
    const uint8_t *nonce;   /* 12 bytes */
    const uint8_t *aad;
    size_t aad_len;
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t out_len;         /* exactly in_len + 16, or - 16 */
    uint8_t *room;          /* what the token writes to; sck_gcm_run() sets it */
    size_t room_len;
    bool bad_tag;
};
CK_RV sck_gcm_op(struct sck_use *use, void *arg);
/* Runs sck_gcm_op() with some key. */
typedef enum sck_code (*sck_gcm_runner)(void *arg, struct sck_gcm_args *a, struct sck_err *err);
/* Checks lengths (SCK_E_USAGE), gives room, runs.  SCK_E_AUTHENTIC for a bad tag; `out` is wiped on failure. */
SCK_MUST_CHECK enum sck_code sck_gcm_run(struct sck_gcm_args *a, sck_gcm_runner run, void *arg, struct sck_err *err);

#endif
