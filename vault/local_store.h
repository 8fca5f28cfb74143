/* SPDX-License-Identifier: MIT */
/*
 * The folder of keeper local: secrets.json, its backups secrets.json.bak.1 (newest) to .bak.N, and a lock between
 * processes.  Folder and files are this user's (or root's), closed to others, and no symbolic links.
 * A change is written beside the file, synced, and renamed over it: whole or not there.
 */
#ifndef SCK_VAULT_LOCAL_STORE_H
#define SCK_VAULT_LOCAL_STORE_H

#include "vault/local_doc.h"

#include <sys/types.h>

#define SCK_LOCAL_BACKUPS_MAX 100

struct sck_local_store {
    char dir[3800];
    char path[3840];            /* of secrets.json */
    unsigned backups;           /* how many are kept */
};

/* Which file was read; another one when any of it differs. */
struct sck_local_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    int64_t mtime_ns, ctime_ns;
};

/* A change under way, by this process alone. */
struct sck_local_edit {
    const struct sck_local_store *store;
    int dir_fd;
    int lock_fd;
    json_t *doc;                /* as read; change it, then commit or purge */
};

/* SCK_E_CONFIG for a path that is too long.  Nothing is looked at. */
SCK_MUST_CHECK enum sck_code sck_local_store_init(struct sck_local_store *store, const char *dir, unsigned backups,
                                                  struct sck_err *err);
/* True when there is neither file nor backup, so that a new file would hide nothing. */
bool sck_local_store_is_absent(const struct sck_local_store *store);
/*
 * Read and check the file, unless it is still the one of `stamp`: then *doc is NULL.  json_decref() it.
 * SCK_E_CONFIG: not there, not ours, or open to others; errors of sck_local_doc_parse().  Never SCK_E_NOT_FOUND:
 * a file that is gone says nothing about its keys.
 */
SCK_MUST_CHECK enum sck_code sck_local_store_read(const struct sck_local_store *store, struct sck_local_stamp *stamp,
                                                  json_t **doc, struct sck_err *err);
/* Make the folder (0700) if need be, and the file with `doc`.  SCK_E_EXISTS when there is one. */
SCK_MUST_CHECK enum sck_code sck_local_store_create(const struct sck_local_store *store, const json_t *doc,
                                                    struct sck_err *err);

/* Lock the folder and read the file.  As sck_local_store_read(); SCK_E_BUSY after 30 s. */
SCK_MUST_CHECK enum sck_code sck_local_edit_begin(const struct sck_local_store *store, struct sck_local_edit *edit,
                                                  struct sck_err *err);
/* Write edit->doc; what was there becomes the newest backup.  SCK_E_IO: the file is as it was. */
SCK_MUST_CHECK enum sck_code sck_local_edit_commit(struct sck_local_edit *edit, struct sck_err *err);
/* Takes something out of a document; true when it was there. */
typedef bool (*sck_local_strip_fn)(json_t *doc, const void *arg);
/*
 * Take something out of the file and out of every backup, those above `backups` too; no backup of it is made.  Then all
 * of them are read again.  SCK_E_INTEGRITY: a backup cannot be read, so that nobody can tell what is in it.
 */
SCK_MUST_CHECK enum sck_code sck_local_edit_purge(struct sck_local_edit *edit, sck_local_strip_fn strip,
                                                  const void *arg, struct sck_err *err);
/* Unlock and release.  Safe after a begin that failed. */
void sck_local_edit_end(struct sck_local_edit *edit);

#endif
