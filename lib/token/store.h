/* SPDX-License-Identifier: MIT */
/* Writing token objects: one process at a time, and on disk before anybody depends on it. */
#ifndef SCK_TOKEN_STORE_H
#define SCK_TOKEN_STORE_H

#include "lib/token/session.h"

/* A write that is going on. */
struct sck_write {
    const struct sck_token_conf *conf;
    int lock;
    int64_t since_s;
};

/* Lock out other writers of all processes; SCK_E_BUSY after session_wait_ms. */
SCK_MUST_CHECK enum sck_code sck_write_begin(const struct sck_token_conf *conf, struct sck_write *w,
                                             struct sck_err *err);
/* Sync what was written since (files and folders under store_dir, when there is one).  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_write_sync(const struct sck_write *w, struct sck_err *err);
/* Let others write.  Safe to repeat. */
void sck_write_end(struct sck_write *w);

/*
 * Keep other processes from logging in to a file store meanwhile: SoftHSM 2.6.1 writes token.object at each C_Login and
 * lets go of its own lock while the file is empty, so that whoever reads it then sees no token.  Not while a PIN is
 * asked for.  *fd is -1 where there is no file store, or no lock to be had: the open then goes on without.
 */
void sck_login_lock(const struct sck_token_conf *conf, int *fd);

#endif
