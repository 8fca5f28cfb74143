/* SPDX-License-Identifier: MIT */
/* The transit engine's requests, and the keeper operations made of them. */
#ifndef SCK_VAULT_HTTP_TRANSIT_H
#define SCK_VAULT_HTTP_TRANSIT_H

#include "vault/http/call.h"

/* One key at one mount, checked: nothing in it can change the meaning of a path. */
struct sck_transit {
    struct sck_vault *v;
    const char *name;
    const char *mount;
    const char *name_space;
};

/* True for segments of [A-Za-z0-9_-] parted by single slashes, at most 127 bytes. */
bool sck_vault_mount_is_legal(const char *mount);
/* True for "" and for segments of [A-Za-z0-9_-] parted by single slashes, at most 255 bytes; a slash may end it. */
bool sck_vault_namespace_is_legal(const char *name_space);
/*
 * SCK_E_USAGE for an illegal KEK name, SCK_E_INTEGRITY for a mount or namespace that no configuration could have set.
 * Empty `mount` and `name_space` mean the configured ones.
 */
SCK_MUST_CHECK enum sck_code sck_transit_aim(struct sck_vault *v, const char *name, const char *mount,
                                             const char *name_space, struct sck_transit *out, struct sck_err *err);

/* A call about `t` with everything filled in but `path`, `token` and `body`. */
struct sck_vault_call sck_transit_call(const struct sck_transit *t, enum sck_vault_op op, const char *method,
                                       const char *path);
/* A JSON body without secrets.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_transit_body(const char *json, struct sck_secret **out, struct sck_err *err);

/* A decrypt that only tells whether there is such a key. */
#define SCK_TRANSIT_MADE_UP "{\"ciphertext\":\"vault:v1:AAAA\"}"
/*
 * Decrypt `blob` with the data token at `url` (NULL: the configured one) and tell the verdict alone; what came out,
 * if anything did, is wiped.  A verdict that says nothing of the key is recorded and its code returned.
 */
SCK_MUST_CHECK enum sck_code sck_transit_try(const struct sck_transit *t, const char *url, const uint8_t *blob,
                                             size_t blob_len, enum sck_verdict *verdict, struct sck_err *err);
/* Read the key: *missing, or its description checked to be a KEK as we make them.  SCK_E_STATE when it is another. */
SCK_MUST_CHECK enum sck_code sck_transit_read(const struct sck_transit *t, const char *url, bool *missing,
                                              uint32_t *version, struct sck_err *err);
/* Set deletion_allowed; *missing when there is no such key. */
SCK_MUST_CHECK enum sck_code sck_transit_allow_deletion(const struct sck_transit *t, bool *missing,
                                                        struct sck_err *err);

/* ---- DEKs on the wire (result.c) ---- */
/* "vault:v<version>:<base64>" as transit writes it; 0 when it is none. */
uint32_t sck_transit_blob_version(const char *blob, size_t len);
/*
 * {"plaintext":"..."} or {"ciphertext":"..."} for one item, {"batch_input":[...]} for more.  Those of the `count` whose
 * code is not SCK_OK are left out; `asked` is how many are not.  SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_transit_write(const struct sck_keeper_item *items, size_t count, size_t asked, bool wraps,
                                               struct sck_secret **body, struct sck_err *err);
/*
 * What came for one item: into its `out` and `version`, or its `opened`.  `url` answered.  SCK_E_AUTHENTIC and others
 * as the server says of the item; SCK_E_CONFIG for what is no result.
 */
SCK_MUST_CHECK enum sck_code sck_transit_take(const struct sck_vault *v, const struct sck_vault_call *call,
                                              const char *url, struct sck_json object, struct sck_keeper_item *item,
                                              struct sck_err *err);

/* struct sck_keeper_ops */
enum sck_code sck_transit_create(struct sck_keeper *keeper, const char *name, uint32_t generation,
                                 struct sck_kek_made *made, struct sck_err *err);
enum sck_code sck_transit_wrap(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload,
                               struct sck_buf *blob, uint32_t *version, struct sck_err *err);
enum sck_code sck_transit_unwrap(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version,
                                 const uint8_t *blob, size_t blob_len, struct sck_secret **payload,
                                 struct sck_err *err);
enum sck_code sck_transit_run(struct sck_keeper *keeper, struct sck_keeper_work *work);
enum sck_code sck_transit_submit(struct sck_keeper *keeper, struct sck_keeper_work *work);
void sck_transit_cancel(struct sck_keeper *keeper, struct sck_keeper_work *work);
enum sck_code sck_transit_rotate(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made,
                                 struct sck_err *err);
enum sck_code sck_transit_newest(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version,
                                 struct sck_err *err);
enum sck_code sck_transit_retire(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest,
                                 struct sck_err *err);
enum sck_code sck_transit_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version,
                                const uint8_t *canary, size_t canary_len, struct sck_erase_proof *proof,
                                struct sck_err *err);
enum sck_code sck_transit_probe(struct sck_keeper *keeper,
                                void (*report)(void *arg, const char *what, const char *cure), void *arg,
                                struct sck_err *err);
enum sck_code sck_transit_status(struct sck_keeper *keeper, struct sck_keeper_status *out, struct sck_err *err);
/* sck_keeper_vault_prepare_fn */
enum sck_code sck_transit_prepare(struct sck_keeper *keeper, struct sck_err *err);
/* The mount is there and is transit, at `url` (NULL: any node).  SCK_E_CONFIG. */
SCK_MUST_CHECK enum sck_code sck_transit_check_mount(struct sck_vault *v, const char *url, const char *mount,
                                                     const char *name_space,
                                                     struct sck_credential *token, struct sck_err *err);

static inline struct sck_vault *
sck_vault_of(struct sck_keeper *keeper)
{
    return (struct sck_vault *)(void *)keeper;
}

#endif
