/* SPDX-License-Identifier: MIT */
/* Inside lib/service: the segments of a file from its input to its output, by as many threads as are worth while. */
#ifndef SCK_SERVICE_FILESTREAM_H
#define SCK_SERVICE_FILESTREAM_H

#include "lib/core/floe.h"
#include "lib/service/fileio.h"

/* A file on its way.  Start with SCK_STREAM_INIT; release with sck_stream_clear(). */
struct sck_stream {
    struct sck_input in;
    struct sck_output out;
    struct sck_floe *floe;
    int64_t total;          /* plaintext bytes, once it is through */
};
#define SCK_STREAM_INIT {.in = {.fd = -1}, .out = {.fd = -1}}

/* Close both ends; an output without its name leaves nothing behind. */
void sck_stream_clear(struct sck_stream *s);
/*
 * Seal all of the input behind the header that the output holds already.  SCK_E_IO, SCK_E_MEMORY.
 * Memory: at most 4 workers of two segments each, together 64 MiB, or one worker of two segments.
 */
SCK_MUST_CHECK enum sck_code sck_stream_encrypt(struct sck_stream *s, struct sck_err *err);
/*
 * Open all segments behind the header that was read already.  A segment is written only when its tag was good; on
 * a pipe those before a bad one are.  SCK_E_AUTHENTIC: the first bad segment, or no final one.  SCK_E_IO,
 * SCK_E_MEMORY.
 */
SCK_MUST_CHECK enum sck_code sck_stream_decrypt(struct sck_stream *s, struct sck_err *err);

#endif
