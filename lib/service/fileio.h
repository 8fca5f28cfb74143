/* SPDX-License-Identifier: MIT */
/* Inside lib/service: inputs that are checked, outputs that are whole or not there. */
#ifndef SCK_SERVICE_FILEIO_H
#define SCK_SERVICE_FILEIO_H

#include "lib/service/filecrypt.h"

#include <sys/stat.h>

struct sck_input {
    int fd;
    const char *name;       /* for messages: the path, or "standard input" */
    struct stat st;
    bool is_regular;
};
/* Open a file, pipe or descriptor 0 for reading.  SCK_E_USAGE: directory, socket or device.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_input_open(const char *path, struct sck_input *in, struct sck_err *err);
void sck_input_close(struct sck_input *in);
/* Read until `len` bytes or the end; *got tells how many. SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_input_read(const struct sck_input *in, uint8_t *data, size_t len, size_t *got,
                                            struct sck_err *err);
/* SCK_E_IO when a regular file's size or times are not what they were when it was opened. */
SCK_MUST_CHECK enum sck_code sck_input_check_unchanged(const struct sck_input *in, struct sck_err *err);

struct sck_output {
    int fd;
    const char *path;       /* final name, or "-" */
    const char *name;       /* for messages: the path, or "standard output" */
    char *dir;
    char *temp;             /* name of the temporary while it has one */
    bool force;
    bool sync;
    bool is_named;          /* the final name holds the new file (also when syncing the directory failed then) */
};
/*
 * Begin an output beside its final name, with `mode` under the umask.  SCK_E_EXISTS when the name is taken and not
 * `force` (which replaces a symbolic link, not what it points at), SCK_E_USAGE when it is the input itself, no
 * regular file, or (for ciphertext) a terminal.  SCK_E_IO.
 */
SCK_MUST_CHECK enum sck_code sck_output_open(const struct sck_file_io *io, const struct sck_input *in, mode_t mode,
                                             bool is_ciphertext, struct sck_output *out, struct sck_err *err);
/* Give it its name: fsync, link or rename, fsync of the directory.  SCK_E_EXISTS, SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_output_commit(struct sck_output *out, struct sck_err *err);
/* Close; without a commit nothing is left behind. */
void sck_output_close(struct sck_output *out);

#endif
