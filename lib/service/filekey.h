/* SPDX-License-Identifier: MIT */
/* Inside lib/service: the keys of files, rows of file_keys, and the head of an encrypted file. */
#ifndef SCK_SERVICE_FILEKEY_H
#define SCK_SERVICE_FILEKEY_H

#include "lib/core/container.h"
#include "lib/core/floe.h"
#include "lib/service/engine.h"
#include "lib/service/fileio.h"

/* Make a file's DEK and its row in state pending, committed.  `head` has file_id and dek_id.  Clear `row`. */
SCK_MUST_CHECK enum sck_code sck_filekey_make(struct sck_service *service, const struct sck_scope *subject,
                                              const struct sck_container *head, struct sck_secret **dek,
                                              struct sck_file_rec *row, struct sck_err *err);
/* Whether a pending row and its owner are still there, before its file gets a name.  SCK_E_ERASED. */
SCK_MUST_CHECK enum sck_code sck_filekey_recheck(struct sck_service *service, const struct sck_file_rec *row,
                                                 struct sck_err *err);
/* The row becomes active, with header tag and size.  SCK_E_ERASED: an erasure removed it meanwhile. */
SCK_MUST_CHECK enum sck_code sck_filekey_activate(struct sck_service *service, struct sck_file_rec *row,
                                                  struct sck_err *err);
/* Take back a pending row after a failure that left no file. */
void sck_filekey_withdraw(struct sck_service *service, struct sck_file_rec *row);
/* The row of a head.  SCK_E_NOT_FOUND, SCK_E_ERASED. */
SCK_MUST_CHECK enum sck_code sck_filekey_find(struct sck_service *service, const struct sck_container *head,
                                              struct sck_file_rec *row, struct sck_err *err);
SCK_MUST_CHECK enum sck_code sck_filekey_open(struct sck_service *service, const struct sck_file_rec *row,
                                              struct sck_secret **dek, struct sck_err *err);
/* Whose key: the owner's scope, or file/<uuid> for the files' KEK.  SCK_E_ERASED; SCK_E_DENIED outside the wall. */
SCK_MUST_CHECK enum sck_code sck_filekey_owner(struct sck_service *service, const struct sck_file_rec *row,
                                               struct sck_scope *scope, bool *is_files, struct sck_err *err);
/* Read and check the head up to the FLOE body.  SCK_E_AUTHENTIC. */
SCK_MUST_CHECK enum sck_code sck_head_read(const struct sck_input *in, struct sck_container *head,
                                           struct sck_err *err);

#endif
