/* SPDX-License-Identifier: MIT */
/*
 * Workers take segments in turn: reading is one at a time, sealing or opening side by side; a file is written by
 * everybody at his own place, a pipe in order.  Of several failures the one of the lowest segment is reported: all
 * below it were taken before, so the answer does not depend on who was quicker.
 */
#include "lib/service/filestream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS_MAX 4
#define WORKERS_BYTES (INT64_C(64) << 20)
#define PARALLEL_FROM 8         /* segments; below, threads cost more than they bring */

/* Guarded by `lock`, which is held while reading but for nothing else that waits. */
struct work {
    pthread_mutex_t lock;
    pthread_cond_t turned;
    struct sck_stream *stream;
    bool is_encrypting;
    bool is_in_order;
    size_t in_len;              /* of a full segment, as it is read */
    size_t out_len;             /* and as it is written */
    off_t in_pos;               /* regular inputs: where the next segment is read */
    off_t out_base;             /* files: where segment 0 is written */
    uint8_t carry;              /* a byte that was read to see whether more follows */
    bool has_carry;
    bool is_over;               /* the final segment was taken */
    uint64_t next;              /* segment to take */
    uint64_t turn;              /* segment to write, in order */
    uint64_t failed;            /* lowest segment that failed */
    enum sck_code code;
    struct sck_err err;
    int64_t total;
};

/* One segment in the hands of a worker. */
struct piece {
    uint64_t index;
    bool is_final;
    size_t len;
};

void
sck_stream_clear(struct sck_stream *s)
{
    sck_floe_free(&s->floe);
    sck_output_close(&s->out);
    sck_input_close(&s->in);
}

static void
note_failure(struct work *w, uint64_t index, enum sck_code code, const struct sck_err *err)
{
    pthread_mutex_lock(&w->lock);
    if (w->code == SCK_OK || index < w->failed) {
        w->failed = index;
        w->code = code;
        w->err = *err;
    }
    pthread_cond_broadcast(&w->turned);
    pthread_mutex_unlock(&w->lock);
}

/* Whether anything follows what was read: the last segment must be known as such. */
static enum sck_code
look_ahead(struct work *w, bool *more, struct sck_err *err)
{
    const struct sck_input *in = &w->stream->in;
    size_t got = 0;
    if (!in->is_regular) {
        enum sck_code rc = sck_input_read(in, &w->carry, 1, &got, err);
        *more = w->has_carry = got == 1;
        return rc;
    }
    uint8_t byte;
    ssize_t n;
    do
        n = pread(in->fd, &byte, 1, w->in_pos);
    while (n < 0 && errno == EINTR);
    *more = n == 1;
    return n >= 0 ? SCK_OK : sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", in->name);
}

/* Take and read the next segment; false when there is none for this worker. */
static bool
take(struct work *w, uint8_t *data, struct piece *piece)
{
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = SCK_OK;
    size_t got = 0;
    bool more = false;
    pthread_mutex_lock(&w->lock);
    bool taken = !w->is_over && w->code == SCK_OK;
    if (taken) {
        size_t had = w->has_carry;
        data[0] = w->carry;
        w->has_carry = false;
        rc = sck_input_read(&w->stream->in, data + had, w->in_len - had, &got, &err);
        got += had;
        w->in_pos += (off_t)got;
        if (rc == SCK_OK && got == w->in_len)
            rc = look_ahead(w, &more, &err);
        w->is_over = !more;
        *piece = (struct piece){w->next++, !more, got};
    }
    pthread_mutex_unlock(&w->lock);
    if (rc != SCK_OK)
        note_failure(w, piece->index, rc, &err);
    return taken && rc == SCK_OK;
}

static enum sck_code
write_at(const struct work *w, off_t at, const uint8_t *data, size_t len, struct sck_err *err)
{
    const struct sck_output *out = &w->stream->out;
    while (len > 0) {
        ssize_t n = pwrite(out->fd, data, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", out->name);
        data += n;
        len -= (size_t)n;
        at += n;
    }
    return SCK_OK;
}

/* Wait for the turn of a segment; false when one before it failed. */
static bool
await_turn(struct work *w, uint64_t index)
{
    pthread_mutex_lock(&w->lock);
    while (w->turn != index && (w->code == SCK_OK || w->failed > index))
        pthread_cond_wait(&w->turned, &w->lock);
    bool mine = w->turn == index && (w->code == SCK_OK || w->failed > index);
    pthread_mutex_unlock(&w->lock);
    return mine;
}

static enum sck_code
put(struct work *w, const struct piece *piece, const uint8_t *data, size_t len, struct sck_err *err)
{
    if (!w->is_in_order)
        return write_at(w, w->out_base + (off_t)(piece->index * w->out_len), data, len, err);
    if (!await_turn(w, piece->index))
        return SCK_OK;
    const struct sck_output *out = &w->stream->out;
    enum sck_code rc = SCK_OK;
    while (rc == SCK_OK && len > 0) {
        ssize_t n = write(out->fd, data, len);
        if (n < 0 && errno != EINTR)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", out->name);
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    pthread_mutex_lock(&w->lock);
    w->turn++;
    pthread_cond_broadcast(&w->turned);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* Seal or open one segment. */
static enum sck_code
transform(const struct work *w, struct sck_floe *floe, const struct piece *piece, const uint8_t *in, uint8_t *out,
          size_t *out_len, struct sck_err *err)
{
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    enum sck_code rc = SCK_OK;
    if (!w->is_encrypting) {
        rc = sck_floe_open_segment(floe, piece->index, piece->is_final, in, piece->len, out, err);
        *out_len = rc == SCK_OK ? piece->len - SCK_FLOE_OVERHEAD : 0;
        return rc;
    }
    *out_len = piece->len + SCK_FLOE_OVERHEAD;
    rc = sck_random(nonce, sizeof nonce, err);
    if (rc == SCK_OK)
        rc = sck_floe_seal_segment(floe, piece->index, piece->is_final, nonce, in, piece->len, out, err);
    return rc;
}

static void
work_on(struct work *w, struct sck_floe *floe)
{
    struct piece piece = {0, false, 0};
    size_t widest = 0;
    /* Segments may be 64 MiB, more than a secret can be: plain memory, wiped at the end as far as it was used. */
    uint8_t *in = malloc(w->in_len);
    uint8_t *out = malloc(w->out_len);
    if (in == NULL || out == NULL) {
        struct sck_err err = SCK_ERR_INIT;
        enum sck_code rc = sck_fail(&err, SCK_E_MEMORY,
                                    "out of memory for segments of %zu bytes: use a smaller --chunk", w->in_len);
        note_failure(w, 0, rc, &err);
    }
    while (in != NULL && out != NULL && take(w, in, &piece)) {
        struct sck_err err = SCK_ERR_INIT;
        size_t len = 0;
        widest = piece.len > widest ? piece.len : widest;
        enum sck_code rc = transform(w, floe, &piece, in, out, &len, &err);
        if (rc == SCK_OK)
            rc = put(w, &piece, out, len, &err);
        if (rc != SCK_OK) {
            note_failure(w, piece.index, rc, &err);
            continue;
        }
        pthread_mutex_lock(&w->lock);
        w->total += (int64_t)(w->is_encrypting ? piece.len : len);
        pthread_mutex_unlock(&w->lock);
    }
    if (widest > 0)
        sck_wipe(w->is_encrypting ? in : out, widest < w->out_len ? widest : w->out_len);
    free(in);
    free(out);
}

static void *
helper(void *arg)
{
    struct work *w = arg;
    struct sck_floe *floe = NULL;
    struct sck_err err = SCK_ERR_INIT;
    /* Whoever cannot have a context leaves the work to the others. */
    if (sck_floe_dup(w->stream->floe, &floe, &err) == SCK_OK)
        work_on(w, floe);
    sck_floe_free(&floe);
    return NULL;
}

/* How many threads besides the caller's. */
static size_t
helpers_wanted(const struct work *w)
{
    const struct sck_input *in = &w->stream->in;
    int64_t each = (int64_t)(w->in_len + w->out_len);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t workers = cpus > 1 ? cpus : 1;
    if (workers > WORKERS_MAX)
        workers = WORKERS_MAX;
    if (workers > WORKERS_BYTES / each)
        workers = WORKERS_BYTES / each;
    if (in->is_regular && in->st.st_size < PARALLEL_FROM * (int64_t)w->in_len)
        workers = 1;
    return workers > 1 ? (size_t)workers - 1 : 0;
}

static enum sck_code
run(struct work *w, struct sck_err *err)
{
    struct sck_stream *s = w->stream;
    pthread_t threads[WORKERS_MAX];
    size_t started = 0;
    sigset_t all;
    sigset_t before;
    w->is_in_order = s->out.dir == NULL;
    if (s->in.is_regular)
        w->in_pos = lseek(s->in.fd, 0, SEEK_CUR);
    if (!w->is_in_order)
        w->out_base = lseek(s->out.fd, 0, SEEK_CUR);
    if (w->in_pos < 0 || w->out_base < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot find the place in %s",
                              w->in_pos < 0 ? s->in.name : s->out.name);
    size_t wanted = helpers_wanted(w);
    /* The application's signal handlers run in its own threads. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < wanted && pthread_create(&threads[started], NULL, helper, w) == 0)
        started++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    work_on(w, s->floe);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    s->total = w->total;
    if (w->code != SCK_OK && err != NULL && err->code == SCK_OK)
        *err = w->err;
    return w->code;
}

static enum sck_code
stream_run(struct sck_stream *s, bool is_encrypting, struct sck_err *err)
{
    size_t plain = sck_floe_plain_len(s->floe);
    size_t sealed = sck_floe_segment_len(s->floe);
    struct work w = {.stream = s, .is_encrypting = is_encrypting};
    w.in_len = is_encrypting ? plain : sealed;
    w.out_len = is_encrypting ? sealed : plain;
    if (pthread_mutex_init(&w.lock, NULL) != 0)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (pthread_cond_init(&w.turned, NULL) != 0) {
        pthread_mutex_destroy(&w.lock);
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    enum sck_code rc = run(&w, err);
    pthread_cond_destroy(&w.turned);
    pthread_mutex_destroy(&w.lock);
    return rc;
}

enum sck_code
sck_stream_encrypt(struct sck_stream *s, struct sck_err *err)
{
    return stream_run(s, true, err);
}

enum sck_code
sck_stream_decrypt(struct sck_stream *s, struct sck_err *err)
{
    enum sck_code rc = stream_run(s, false, err);
    if (rc == SCK_E_AUTHENTIC)
        sck_err_prefix(err, "%s was altered or cut off", s->in.name);
    return rc;
}
