/* SPDX-License-Identifier: MIT */
/* One context of SCOPEKEY-AES-256-GCM, and one message through the token. */
#ifndef SCK_PROVIDER_GCM_H
#define SCK_PROVIDER_GCM_H

#include "provider/provider.h"

#include "lib/base/crypto.h"

struct sck_gcm {
    struct sck_prov *prov;
    bool encrypting;
    bool buffered;
    bool has_data;              /* an update gave data */
    bool done;                  /* the message is complete */
    bool has_nonce;             /* given by the caller, not used yet */
    bool nonce_known;           /* given or made: may be read */
    bool has_tag;
    uint32_t version;           /* key version that did the last message */
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    uint8_t tag[SCK_GCM_TAG_LEN];
    struct sck_uri uri;
    struct sck_key_info *info;  /* NULL: no key yet */
    struct sck_ukey *ukey;      /* NULL: not opened yet */
    struct sck_buf aad;
    struct sck_buf data;        /* waits for final */
    unsigned char *data_out;    /* where the update that brought it wanted its output */
};

/* Raise an error; always 0. */
int sck_gcm_refuse(const struct sck_gcm *g, enum sck_code code, const char *text);
/* Raise what failed; 1 for SCK_OK, else 0. */
int sck_gcm_check(const struct sck_gcm *g, enum sck_code rc, const struct sck_err *err);

/* Seal `len` bytes into `out` (as many), nonce and tag into the context.  0 after raising an error. */
int sck_gcm_message_seal(struct sck_gcm *g, const unsigned char *in, size_t len, unsigned char *out);
/*
 * Open `len` bytes with the context's nonce and tag.  Without a version in the URI older versions are tried too.
 * After a failure `out` holds nothing of the plaintext.
 */
int sck_gcm_message_open(struct sck_gcm *g, const unsigned char *in, size_t len, unsigned char *out);

#endif
