/* SPDX-License-Identifier: MIT */
/* The root key of keeper local, and the values sealed under it.  Formats: docs/formats.md. */
#ifndef SCK_VAULT_LOCAL_ROOT_H
#define SCK_VAULT_LOCAL_ROOT_H

#include "vault/local_doc.h"

/* A new root in `head` (id, salt, parameters and sealed value are made here) and in *root.  Errors of conf's functions. */
SCK_MUST_CHECK enum sck_code sck_local_root_make(const struct sck_keeper_local_conf *conf, int64_t now_s,
                                                 struct sck_local_head *head, struct sck_secret **root,
                                                 struct sck_err *err);
/*
 * Open the root that a head holds.  SCK_E_CREDENTIAL: another passphrase; SCK_E_INTEGRITY: another token's, or altered;
 * SCK_E_CONFIG: held by something else than `conf` says.
 */
SCK_MUST_CHECK enum sck_code sck_local_root_open(const struct sck_keeper_local_conf *conf,
                                                 const struct sck_local_head *head, struct sck_secret **root,
                                                 struct sck_err *err);

/* What a sealed value is bound to, beside the file's id. */
struct sck_local_bind {
    const uint8_t *id;              /* of the file, 16 bytes */
    enum sck_local_kind kind;
    const char *name;
    uint32_t generation, version;
};
/* Seal 32 bytes. */
SCK_MUST_CHECK enum sck_code sck_local_seal(const struct sck_secret *root, const struct sck_local_bind *bind,
                                            const struct sck_secret *key, uint8_t out[SCK_LOCAL_SEALED_LEN],
                                            struct sck_err *err);
/* The opposite, into a new secret.  SCK_E_AUTHENTIC without a message for people. */
SCK_MUST_CHECK enum sck_code sck_local_unseal(const struct sck_secret *root, const struct sck_local_bind *bind,
                                              const uint8_t sealed[SCK_LOCAL_SEALED_LEN], struct sck_secret **key,
                                              struct sck_err *err);

#endif
