/* SPDX-License-Identifier: MIT */
/*
 * Files: encrypt, decrypt, examine.  Format: docs/file-format.md.  No name ever holds a partial file; no byte of
 * plaintext is written before its segment's tag is good.
 */
#ifndef SCK_SERVICE_FILECRYPT_H
#define SCK_SERVICE_FILECRYPT_H

#include "lib/service/service.h"

struct sck_file_io {
    const char *in;             /* path, or "-" for descriptor 0 */
    const char *out;            /* path, or "-" for descriptor 1 */
    bool force;                 /* replace an existing output */
    bool sync;                  /* fsync file and directory before success */
};

struct sck_encrypt_opts {
    struct sck_file_io io;
    const struct sck_scope *subject;    /* NULL: the files' KEK */
    int64_t chunk_bytes;                /* plaintext per segment, 4096 to 64 MiB; 0: the configuration's */
    bool preserve;                      /* store mode, times and name in the metadata */
};
struct sck_decrypt_opts {
    struct sck_file_io io;
    bool allow_retired;
    bool preserve;                      /* restore mode and times */
};

struct sck_file_info {
    uint8_t file_id[16];
    uint8_t dek_id[16];
    uint32_t chunk_bytes;
    int64_t plain_size;         /* -1 when the length fits no whole number of segments */
    bool known;                 /* the catalog has a row for it */
    bool erased;
    char state[16];             /* "pending", "active", "retired", "destroyed", "" */
    char owner[SCK_SCOPE_TEXT_MAX + 1]; /* "subject/alice", or "files" */
    int64_t created_s;
    int64_t due_s;
};

/* SCK_E_EXISTS output exists; SCK_E_USAGE same file, directory, chunk; SCK_E_IO; SCK_E_ERASED; SCK_E_NOT_FOUND; ... */
SCK_MUST_CHECK enum sck_code sck_file_encrypt(struct sck_service *service, const struct sck_encrypt_opts *opts,
                                              struct sck_file_info *out, struct sck_err *err);
/* SCK_E_AUTHENTIC altered or truncated (nothing is left at `out`); SCK_E_NOT_FOUND unknown file key; SCK_E_ERASED; SCK_E_STATE retired. */
SCK_MUST_CHECK enum sck_code sck_file_decrypt(struct sck_service *service, const struct sck_decrypt_opts *opts,
                                              struct sck_file_info *out, struct sck_err *err);
/* Read the header and what the catalog knows; decrypts nothing. */
SCK_MUST_CHECK enum sck_code sck_file_info(struct sck_service *service, const char *path, struct sck_file_info *out,
                                           struct sck_err *err);

#endif
