/* SPDX-License-Identifier: MIT */
#include "lib/service/filecrypt.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/service/filekey.h"
#include "lib/service/filestream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define NS_PER_S INT64_C(1000000000)

/* Metadata for --preserve: mode, time of modification and name. */
static enum sck_code
put_metadata(const struct sck_encrypt_opts *opts, const struct sck_stream *s, struct sck_buf *meta,
             struct sck_err *err)
{
    uint8_t mode[4];
    uint8_t mtime[8];
    int64_t ns = 0;
    if (!opts->preserve || !s->in.is_regular)
        return SCK_OK;
    sck_be32(mode, (uint32_t)(s->in.st.st_mode & 07777));
    sck_meta_put(meta, SCK_META_MODE, mode, sizeof mode);
    /* Nanoseconds in 64 bits reach from 1677 to 2262; file systems further. */
    if (!__builtin_mul_overflow(s->in.st.st_mtim.tv_sec, NS_PER_S, &ns) &&
        !__builtin_add_overflow(ns, s->in.st.st_mtim.tv_nsec, &ns)) {
        sck_be64(mtime, (uint64_t)ns);
        sck_meta_put(meta, SCK_META_MTIME, mtime, sizeof mtime);
    }
    if (strcmp(opts->io.in, "-") != 0) {
        const char *slash = strrchr(opts->io.in, '/');
        const char *name = slash != NULL ? slash + 1 : opts->io.in;
        sck_meta_put(meta, SCK_META_NAME, name, strlen(name));
    }
    return sck_buf_check(meta, "metadata", err);
}

static enum sck_code
restore_metadata(const struct sck_container *head, const struct sck_stream *s, struct sck_err *err)
{
    struct sck_bytes v;
    if (sck_meta_find(head, SCK_META_MTIME, &v) && v.len == 8) {
        int64_t ns = (int64_t)sck_be64_get(v.data);
        int64_t part = ns % NS_PER_S;
        if (part < 0)
            part += NS_PER_S;
        const struct timespec time = {.tv_sec = (time_t)((ns - part) / NS_PER_S), .tv_nsec = (long)part};
        const struct timespec times[2] = {time, time};
        if (futimens(s->out.fd, times) != 0)
            return sck_fail_errno(err, SCK_E_IO, errno, "cannot restore the times of %s", s->out.path);
    }
    if (sck_meta_find(head, SCK_META_MODE, &v) && v.len == 4) {
        if (fchmod(s->out.fd, (mode_t)(sck_be32_get(v.data) & 0777)) != 0)
            return sck_fail_errno(err, SCK_E_IO, errno, "cannot restore the mode of %s", s->out.path);
    }
    return SCK_OK;
}

static void
fill_info(const struct sck_file_rec *row, uint32_t chunk, int64_t size, struct sck_file_info *out)
{
    static const char *const states[] = {"", "pending", "active", "retired", "destroyed"};
    memcpy(out->file_id, row->file_id, sizeof out->file_id);
    memcpy(out->dek_id, row->dek_id, sizeof out->dek_id);
    out->chunk_bytes = chunk;
    out->plain_size = size;
    out->known = true;
    out->created_s = row->created_s;
    out->due_s = row->expires_s;
    if (row->state < sizeof states / sizeof states[0])
        (void)strncpy(out->state, states[row->state], sizeof out->state - 1);
}

static enum sck_code
owner_text(struct sck_service *service, const struct sck_file_rec *row, char out[SCK_SCOPE_TEXT_MAX + 1],
           struct sck_err *err)
{
    struct sck_scope scope;
    bool is_files = false;
    enum sck_code rc = sck_filekey_owner(service, row, &scope, &is_files, err);
    if (rc == SCK_OK && is_files)
        memcpy(out, "files", sizeof "files");
    else if (rc == SCK_OK)
        sck_scope_text(&scope, out);
    return rc;
}

/* Head and FLOE header, under a fresh key. */
static enum sck_code
begin_file(struct sck_service *service, const struct sck_encrypt_opts *opts, struct sck_stream *s,
           struct sck_container *head, struct sck_file_rec *row, struct sck_err *err)
{
    const struct sck_conf *conf = sck_service_conf(service);
    int64_t chunk = opts->chunk_bytes != 0 ? opts->chunk_bytes : conf->files_chunk_bytes;
    uint8_t iv[SCK_FLOE_IV_LEN];
    uint8_t header[SCK_FLOE_HEADER_LEN];
    struct sck_secret *dek = NULL;
    struct sck_buf bytes;
    struct sck_buf aad;
    sck_buf_init(&bytes, SCK_CONTAINER_HEAD_MAX + SCK_FLOE_HEADER_LEN);
    sck_buf_init(&aad, SCK_CONTAINER_HEAD_MAX);
    enum sck_code rc = sck_filekey_make(service, opts->subject, head, &dek, row, err);
    sck_fault_point("file.pending");
    if (rc == SCK_OK)
        rc = sck_container_encode(head, &bytes, err);
    if (rc == SCK_OK)
        rc = sck_random(iv, sizeof iv, err);
    if (rc == SCK_OK) {
        sck_container_aad(head, &aad);
        rc = sck_floe_encrypt_new(dek, aad.data, aad.len, (uint32_t)chunk + SCK_FLOE_OVERHEAD, iv, header, &s->floe,
                                  err);
    }
    if (rc == SCK_OK) {
        sck_buf_put(&bytes, header, sizeof header);
        memcpy(row->header_tag, header + sizeof header - 32, 32);
        rc = sck_fd_write_all(s->out.fd, bytes.data, bytes.len, s->out.name, err);
    }
    sck_secret_free(&dek);
    sck_buf_clear(&bytes);
    sck_buf_clear(&aad);
    return rc;
}

enum sck_code
sck_file_encrypt(struct sck_service *service, const struct sck_encrypt_opts *opts, struct sck_file_info *out,
                 struct sck_err *err)
{
    const struct sck_conf *conf = sck_service_conf(service);
    struct sck_stream s = SCK_STREAM_INIT;
    struct sck_container *head = calloc(1, sizeof *head);
    struct sck_file_rec row = {0};
    struct sck_buf meta;
    uint8_t file_id[16];
    uint8_t dek_id[16];
    sck_buf_init(&meta, SCK_CONTAINER_META_MAX);
    memset(out, 0, sizeof *out);
    enum sck_code rc = head != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK && !conf->files_enabled)
        rc = sck_fail(err, SCK_E_STATE, "encryption is switched off (ENCRYPTION_ENABLED or [files] enabled = false)");
    bool bad_chunk = opts->chunk_bytes != 0 && (opts->chunk_bytes < 4096 || opts->chunk_bytes > 64 * 1024 * 1024);
    if (rc == SCK_OK && bad_chunk)
        rc = sck_fail(err, SCK_E_USAGE, "a chunk has 4096 bytes to 64 MiB, not %lld", (long long)opts->chunk_bytes);
    if (rc == SCK_OK)
        rc = sck_input_open(opts->io.in, &s.in, err);
    if (rc == SCK_OK)
        rc = sck_output_open(&opts->io, &s.in, 0666, true, &s.out, err);
    if (rc == SCK_OK)
        rc = put_metadata(opts, &s, &meta, err);
    if (rc == SCK_OK)
        rc = sck_new_uuid(service->engine, file_id, err);
    if (rc == SCK_OK)
        rc = sck_random(dek_id, sizeof dek_id, err);
    if (rc != SCK_OK)
        goto out;
    sck_container_init(head, file_id, dek_id, meta.data, meta.len);
    rc = begin_file(service, opts, &s, head, &row, err);
    if (rc == SCK_OK)
        rc = sck_stream_encrypt(&s, err);
    if (rc == SCK_OK)
        rc = sck_input_check_unchanged(&s.in, err);
    sck_fault_point("file.written");
    /* The key is safe in the catalog before the file gets its name, and pending keys decrypt. */
    if (rc == SCK_OK)
        rc = sck_filekey_recheck(service, &row, err);
    if (rc == SCK_OK)
        rc = sck_output_commit(&s.out, err);
    sck_fault_point("file.named");
    if (rc != SCK_OK) {
        /* The file may be there although its directory could not be synced: then the key stays. */
        if (!s.out.is_named)
            sck_filekey_withdraw(service, &row);
        goto out;
    }
    row.size = s.total;
    rc = sck_filekey_activate(service, &row, err);
    if (rc == SCK_OK)
        fill_info(&row, sck_floe_plain_len(s.floe), s.total, out);
    if (rc == SCK_OK)
        rc = owner_text(service, &row, out->owner, err);
out:
    sck_stream_clear(&s);
    sck_record_clear(SCK_TABLE_FILES, &row);
    sck_buf_clear(&meta);
    free(head);
    return rc;
}

static enum sck_code
read_header(const struct sck_input *in, uint8_t header[SCK_FLOE_HEADER_LEN], struct sck_err *err)
{
    size_t got = 0;
    enum sck_code rc = sck_input_read(in, header, SCK_FLOE_HEADER_LEN, &got, err);
    if (rc == SCK_OK && got != SCK_FLOE_HEADER_LEN)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s is cut off in its header", in->name);
    return rc;
}

/* The key of a head, and its FLOE header checked against the row: an older version of the file is told apart. */
static enum sck_code
open_body(struct sck_service *service, const struct sck_decrypt_opts *opts, struct sck_stream *s,
          const struct sck_container *head, const struct sck_file_rec *row, struct sck_err *err)
{
    uint8_t header[SCK_FLOE_HEADER_LEN];
    struct sck_secret *dek = NULL;
    struct sck_buf aad;
    sck_buf_init(&aad, SCK_CONTAINER_HEAD_MAX);
    if (row->state == SCK_FILE_DESTROYED)
        return sck_fail(err, SCK_E_ERASED, "%s: its key was destroyed", s->in.name);
    if (row->state == SCK_FILE_RETIRED && !opts->allow_retired)
        return sck_fail(err, SCK_E_STATE, "%s is an older version, rotated since: use --allow-retired to read it",
                        s->in.name);
    enum sck_code rc = read_header(&s->in, header, err);
    static const uint8_t none[32];
    bool tagged = memcmp(row->header_tag, none, sizeof none) != 0;
    if (rc == SCK_OK && tagged && memcmp(row->header_tag, header + sizeof header - 32, 32) != 0)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s was altered: this is not the header its key was made for",
                      s->in.name);
    if (rc == SCK_OK)
        rc = sck_filekey_open(service, row, &dek, err);
    if (rc == SCK_OK) {
        sck_container_aad(head, &aad);
        rc = sck_floe_decrypt_new(dek, aad.data, aad.len, header, &s->floe, err);
        if (rc == SCK_E_AUTHENTIC)
            sck_err_prefix(err, "%s was altered", s->in.name);
    }
    sck_secret_free(&dek);
    sck_buf_clear(&aad);
    return rc;
}

enum sck_code
sck_file_decrypt(struct sck_service *service, const struct sck_decrypt_opts *opts, struct sck_file_info *out,
                 struct sck_err *err)
{
    struct sck_stream s = SCK_STREAM_INIT;
    struct sck_container *head = calloc(1, sizeof *head);
    struct sck_file_rec row = {0};
    memset(out, 0, sizeof *out);
    enum sck_code rc = head != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_input_open(opts->io.in, &s.in, err);
    if (rc == SCK_OK)
        rc = sck_head_read(&s.in, head, err);
    /* Plaintext is for its owner alone, whatever the umask says. */
    if (rc == SCK_OK)
        rc = sck_output_open(&opts->io, &s.in, 0600, false, &s.out, err);
    if (rc == SCK_OK)
        rc = sck_filekey_find(service, head, &row, err);
    if (rc == SCK_OK)
        rc = open_body(service, opts, &s, head, &row, err);
    if (rc == SCK_OK)
        rc = sck_stream_decrypt(&s, err);
    if (rc == SCK_OK && opts->preserve && s.out.dir != NULL)
        rc = restore_metadata(head, &s, err);
    if (rc == SCK_OK)
        rc = sck_output_commit(&s.out, err);
    if (rc == SCK_OK)
        fill_info(&row, sck_floe_plain_len(s.floe), s.total, out);
    if (rc == SCK_OK)
        rc = owner_text(service, &row, out->owner, err);
    sck_stream_clear(&s);
    sck_record_clear(SCK_TABLE_FILES, &row);
    free(head);
    return rc;
}

/* Encrypted bytes per segment, as an unauthenticated header says; 0 when no reader would take it. */
static uint32_t
segment_of(const uint8_t header[SCK_FLOE_HEADER_LEN])
{
    uint32_t segment = sck_be32_get(header + 2);
    bool known = header[0] == 0 && header[1] == 0 && sck_be32_get(header + 6) == SCK_FLOE_IV_LEN;
    return known && segment >= SCK_FLOE_SEGMENT_MIN && segment <= SCK_FLOE_SEGMENT_MAX ? segment : 0;
}

/* Plaintext bytes by the file's size, or -1. */
static int64_t
plain_size(const struct sck_input *in, const struct sck_container *head, uint32_t segment)
{
    int64_t body = in->st.st_size - (int64_t)head->body_off - SCK_FLOE_HEADER_LEN;
    if (!in->is_regular || body <= 0)
        return -1;
    int64_t rest = body % segment;
    if (rest > 0 && rest < SCK_FLOE_OVERHEAD)
        return -1;
    int64_t full = body / segment * (segment - SCK_FLOE_OVERHEAD);
    return full + (rest > 0 ? rest - SCK_FLOE_OVERHEAD : 0);
}

/* What the catalog knows of a head.  A row that is erased or not there is an answer, not a failure. */
static enum sck_code
look_up(struct sck_service *service, const struct sck_input *in, const struct sck_container *head, uint32_t segment,
        struct sck_file_info *out, struct sck_err *err)
{
    struct sck_file_rec row = {0};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_filekey_find(service, head, &row, &look);
    bool known = rc == SCK_OK;
    if (known)
        rc = owner_text(service, &row, out->owner, &look);
    memcpy(row.file_id, head->file_id, sizeof row.file_id);
    memcpy(row.dek_id, head->dek_id, sizeof row.dek_id);
    if (rc == SCK_OK || rc == SCK_E_ERASED || rc == SCK_E_NOT_FOUND)
        fill_info(&row, segment - SCK_FLOE_OVERHEAD, plain_size(in, head, segment), out);
    else
        rc = sck_fail(err, rc, "%s", look.message);
    sck_record_clear(SCK_TABLE_FILES, &row);
    out->known = known;
    out->erased = rc == SCK_E_ERASED;
    return rc == SCK_E_ERASED || rc == SCK_E_NOT_FOUND ? SCK_OK : rc;
}

enum sck_code
sck_file_info(struct sck_service *service, const char *path, struct sck_file_info *out, struct sck_err *err)
{
    struct sck_input in = {.fd = -1};
    struct sck_container *head = calloc(1, sizeof *head);
    uint8_t header[SCK_FLOE_HEADER_LEN];
    memset(out, 0, sizeof *out);
    enum sck_code rc = head != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_input_open(path, &in, err);
    if (rc == SCK_OK)
        rc = sck_head_read(&in, head, err);
    if (rc == SCK_OK)
        rc = read_header(&in, header, err);
    if (rc == SCK_OK && segment_of(header) == 0)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s was altered: unknown parameters", in.name);
    if (rc == SCK_OK)
        rc = look_up(service, &in, head, segment_of(header), out, err);
    if (rc != SCK_OK)
        memset(out, 0, sizeof *out);
    sck_input_close(&in);
    free(head);
    return rc;
}
