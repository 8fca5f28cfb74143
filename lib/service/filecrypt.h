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

/*
 * Encrypt one file; with `sync`, file and key are durable when this returns.  Blocks; starts up to three threads
 * for large files and ends them before it returns.  After a failure there is no output (an older one is as it
 * was), and its key is taken back.  SCK_E_EXISTS output exists; SCK_E_USAGE input and output the same, a
 * directory, socket or device, a terminal, `chunk_bytes`; SCK_E_STATE encryption is switched off; SCK_E_IO, also
 * when the input changed meanwhile; SCK_E_NOT_FOUND subject not provisioned; SCK_E_ERASED; SCK_E_DENIED outside
 * the wall; SCK_E_CONNECT, SCK_E_TOKEN, SCK_E_CREDENTIAL.
 */
SCK_MUST_CHECK enum sck_code sck_file_encrypt(struct sck_service *service, const struct sck_encrypt_opts *opts,
                                              struct sck_file_info *out, struct sck_err *err);
/*
 * Decrypt one file.  The output is 0600, and is there only if all of the input was good; on standard output the
 * good segments before a bad one are.  SCK_E_AUTHENTIC altered or truncated; SCK_E_NOT_FOUND the catalog has no
 * such file key; SCK_E_STATE retired; and what sck_file_encrypt() says of outputs, walls, erasure, keepers and
 * tokens.
 */
SCK_MUST_CHECK enum sck_code sck_file_decrypt(struct sck_service *service, const struct sck_decrypt_opts *opts,
                                              struct sck_file_info *out, struct sck_err *err);
/*
 * Read the header and what the catalog knows; decrypts nothing, so only the length says whether the body is whole.
 * SCK_E_AUTHENTIC no Scopekey file; SCK_E_USAGE, SCK_E_IO; SCK_E_DENIED outside the wall (`out` is then zero).
 */
SCK_MUST_CHECK enum sck_code sck_file_info(struct sck_service *service, const char *path, struct sck_file_info *out,
                                           struct sck_err *err);

#endif
