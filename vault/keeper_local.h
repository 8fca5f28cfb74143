/* SPDX-License-Identifier: MIT */
/* Keeper `local` as its parts see it. */
#ifndef SCK_VAULT_KEEPER_LOCAL_H
#define SCK_VAULT_KEEPER_LOCAL_H

#include "vault/forklock.h"
#include "vault/local_root.h"
#include "vault/local_store.h"

struct sck_local {
    struct sck_keeper base;
    struct sck_keeper_local_conf conf;
    struct sck_local_store store;
    struct sck_forklock lock;           /* everything below */
    json_t *doc;                        /* the file as it was read last, or NULL */
    struct sck_local_stamp stamp;
    struct sck_secret *root;            /* of the file with root_id, or NULL */
    uint8_t root_id[16];
};

/* The root of the file that `doc` is, a copy; asked for once per file.  Errors of sck_local_root_open(). */
SCK_MUST_CHECK enum sck_code sck_local_root_get(struct sck_local *k, const json_t *doc, struct sck_secret **root,
                                                struct sck_err *err);

static inline struct sck_local *
sck_local_of(struct sck_keeper *keeper)
{
    return (struct sck_local *)(void *)keeper;
}

#endif
