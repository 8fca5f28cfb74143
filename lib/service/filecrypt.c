/* SPDX-License-Identifier: MIT */
#include "lib/service/filecrypt.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/service/filekey.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* What the streaming loops share. */
struct stream {
    struct sck_input in;
    struct sck_output out;
    struct sck_floe *floe;
    int64_t total;                  /* plaintext bytes */
};

static void
stream_clear(struct stream *s)
{
    sck_floe_free(&s->floe);
    sck_output_close(&s->out);
    sck_input_close(&s->in);
}

/*
 * Two segments at a time, so that the end of the input is known before the last one is sealed.  Segments may be 64 MiB,
 * more than a secret can be: these buffers are plain memory, wiped at the end.
 */
struct page_buf {
    uint8_t *data;
    size_t len;
};

static enum sck_code
write_segment(struct stream *s, uint64_t index, bool is_final, const uint8_t *plain, size_t len, uint8_t *sealed,
              struct sck_err *err)
{
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    enum sck_code rc = sck_random(nonce, sizeof nonce, err);
    if (rc == SCK_OK)
        rc = sck_floe_seal_segment(s->floe, index, is_final, nonce, plain, len, sealed, err);
    if (rc == SCK_OK)
        rc = sck_fd_write_all(s->out.fd, sealed, len + SCK_FLOE_OVERHEAD, s->out.path, err);
    return rc;
}

static enum sck_code
encrypt_stream(struct stream *s, struct sck_err *err)
{
    size_t size = sck_floe_plain_len(s->floe);
    struct page_buf plain[2] = {{malloc(size), 0}, {malloc(size), 0}};
    uint8_t *sealed = malloc(size + SCK_FLOE_OVERHEAD);
    enum sck_code rc = SCK_OK;
    if (plain[0].data == NULL || plain[1].data == NULL || sealed == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory for chunks of %zu bytes: use a smaller --chunk", size);
    if (rc == SCK_OK)
        rc = sck_input_read(&s->in, plain[0].data, size, &plain[0].len, err);
    for (uint64_t i = 0; rc == SCK_OK; i++) {
        struct page_buf *now = &plain[i % 2];
        struct page_buf *next = &plain[(i + 1) % 2];
        next->len = 0;
        if (now->len == size)
            rc = sck_input_read(&s->in, next->data, size, &next->len, err);
        if (rc != SCK_OK)
            break;
        bool is_final = next->len == 0;
        rc = write_segment(s, i, is_final, now->data, now->len, sealed, err);
        s->total += (int64_t)now->len;
        if (is_final)
            break;
    }
    for (size_t i = 0; i < 2; i++) {
        if (plain[i].data != NULL)
            sck_wipe(plain[i].data, size);
        free(plain[i].data);
    }
    free(sealed);
    return rc;
}

static enum sck_code
decrypt_stream(struct stream *s, struct sck_err *err)
{
    size_t size = sck_floe_segment_len(s->floe);
    struct page_buf sealed[2] = {{malloc(size), 0}, {malloc(size), 0}};
    uint8_t *plain = malloc(size);
    enum sck_code rc = SCK_OK;
    if (sealed[0].data == NULL || sealed[1].data == NULL || plain == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory for chunks of %zu bytes", size);
    if (rc == SCK_OK)
        rc = sck_input_read(&s->in, sealed[0].data, size, &sealed[0].len, err);
    for (uint64_t i = 0; rc == SCK_OK; i++) {
        struct page_buf *now = &sealed[i % 2];
        struct page_buf *next = &sealed[(i + 1) % 2];
        next->len = 0;
        if (now->len == size)
            rc = sck_input_read(&s->in, next->data, size, &next->len, err);
        if (rc != SCK_OK)
            break;
        bool is_final = next->len == 0;
        rc = sck_floe_open_segment(s->floe, i, is_final, now->data, now->len, plain, err);
        if (rc == SCK_OK)
            rc = sck_fd_write_all(s->out.fd, plain, now->len - SCK_FLOE_OVERHEAD, s->out.path, err);
        if (rc == SCK_OK)
            s->total += (int64_t)(now->len - SCK_FLOE_OVERHEAD);
        if (is_final)
            break;
    }
    if (rc == SCK_E_AUTHENTIC)
        sck_err_prefix(err, "%s was altered or cut off", s->in.name);
    free(sealed[0].data);
    free(sealed[1].data);
    if (plain != NULL)
        sck_wipe(plain, size);
    free(plain);
    return rc;
}

/* Metadata for --preserve: mode, time of modification and name. */
static enum sck_code
put_metadata(const struct sck_encrypt_opts *opts, const struct stream *s, struct sck_buf *meta, struct sck_err *err)
{
    uint8_t mode[4];
    uint8_t mtime[8];
    if (!opts->preserve || !s->in.is_regular)
        return SCK_OK;
    const char *slash = strrchr(opts->io.in, '/');
    const char *name = slash != NULL ? slash + 1 : opts->io.in;
    sck_be32(mode, (uint32_t)(s->in.st.st_mode & 07777));
    sck_be64(mtime, (uint64_t)(s->in.st.st_mtim.tv_sec * 1000000000LL + s->in.st.st_mtim.tv_nsec));
    sck_meta_put(meta, SCK_META_MODE, mode, sizeof mode);
    sck_meta_put(meta, SCK_META_MTIME, mtime, sizeof mtime);
    sck_meta_put(meta, SCK_META_NAME, name, strlen(name));
    return sck_buf_check(meta, "metadata", err);
}

static enum sck_code
restore_metadata(const struct sck_container *head, const struct stream *s, struct sck_err *err)
{
    struct sck_bytes v;
    if (sck_meta_find(head, SCK_META_MTIME, &v) && v.len == 8) {
        int64_t ns = (int64_t)sck_be64_get(v.data);
        const struct timespec times[2] = {{.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)},
                                          {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)}};
        if (futimens(s->out.fd, times) != 0)
            return sck_fail(err, SCK_E_IO, "cannot restore the times of %s", s->out.path);
    }
    if (sck_meta_find(head, SCK_META_MODE, &v) && v.len == 4) {
        if (fchmod(s->out.fd, (mode_t)(sck_be32_get(v.data) & 0777)) != 0)
            return sck_fail(err, SCK_E_IO, "cannot restore the mode of %s", s->out.path);
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
begin_file(struct sck_service *service, const struct sck_encrypt_opts *opts, struct stream *s,
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
        rc = sck_fd_write_all(s->out.fd, bytes.data, bytes.len, s->out.path, err);
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
    struct stream s = {.in = {.fd = -1}, .out = {.fd = -1}};
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
        rc = encrypt_stream(&s, err);
    if (rc == SCK_OK)
        rc = sck_input_check_unchanged(&s.in, err);
    sck_fault_point("file.written");
    if (rc != SCK_OK) {
        sck_filekey_withdraw(service, &row);
        goto out;
    }
    /*
     * The key is safe in the catalog before the file gets its name, and pending keys decrypt.  When naming fails half-way
     * (the directory's sync) the file may be there, so the key stays.
     */
    rc = sck_output_commit(&s.out, err);
    sck_fault_point("file.named");
    if (rc != SCK_OK)
        goto out;
    row.size = s.total;
    rc = sck_filekey_activate(service, &row, err);
    if (rc == SCK_OK)
        fill_info(&row, sck_floe_plain_len(s.floe), s.total, out);
    if (rc == SCK_OK)
        rc = owner_text(service, &row, out->owner, err);
out:
    stream_clear(&s);
    sck_record_clear(SCK_TABLE_FILES, &row);
    sck_buf_clear(&meta);
    free(head);
    return rc;
}

/* The key of a head, and its FLOE header checked against the row: an older version of the file is told apart. */
static enum sck_code
open_body(struct sck_service *service, const struct sck_decrypt_opts *opts, struct stream *s,
          const struct sck_container *head, const struct sck_file_rec *row, struct sck_err *err)
{
    uint8_t header[SCK_FLOE_HEADER_LEN];
    size_t got = 0;
    struct sck_secret *dek = NULL;
    struct sck_buf aad;
    sck_buf_init(&aad, SCK_CONTAINER_HEAD_MAX);
    enum sck_code rc = SCK_OK;
    if (row->state == SCK_FILE_DESTROYED)
        return sck_fail(err, SCK_E_ERASED, "%s: its key was destroyed", s->in.name);
    if (row->state == SCK_FILE_RETIRED && !opts->allow_retired)
        return sck_fail(err, SCK_E_STATE, "%s is an older version, rotated since: use --allow-retired to read it",
                        s->in.name);
    rc = sck_input_read(&s->in, header, sizeof header, &got, err);
    if (rc == SCK_OK && got != sizeof header)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s is cut off in its header", s->in.name);
    static const uint8_t none[32];
    bool tagged = memcmp(row->header_tag, none, sizeof none) != 0;
    if (rc == SCK_OK && tagged && memcmp(row->header_tag, header + sizeof header - 32, 32) != 0)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s was altered: this is not the header its key was made for", s->in.name);
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
    struct stream s = {.in = {.fd = -1}, .out = {.fd = -1}};
    struct sck_container *head = calloc(1, sizeof *head);
    struct sck_file_rec row = {0};
    memset(out, 0, sizeof *out);
    enum sck_code rc = head != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_input_open(opts->io.in, &s.in, err);
    if (rc == SCK_OK)
        rc = sck_head_read(&s.in, head, err);
    if (rc == SCK_OK)
        rc = sck_filekey_find(service, head, &row, err);
    if (rc == SCK_OK)
        rc = open_body(service, opts, &s, head, &row, err);
    /* Plaintext is for its owner alone, whatever the umask says. */
    if (rc == SCK_OK)
        rc = sck_output_open(&opts->io, &s.in, 0600, false, &s.out, err);
    if (rc == SCK_OK)
        rc = decrypt_stream(&s, err);
    if (rc == SCK_OK && opts->preserve && s.out.dir != NULL)
        rc = restore_metadata(head, &s, err);
    if (rc == SCK_OK)
        rc = sck_output_commit(&s.out, err);
    if (rc == SCK_OK)
        fill_info(&row, sck_floe_plain_len(s.floe), s.total, out);
    if (rc == SCK_OK)
        rc = owner_text(service, &row, out->owner, err);
    stream_clear(&s);
    sck_record_clear(SCK_TABLE_FILES, &row);
    free(head);
    return rc;
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

enum sck_code
sck_file_info(struct sck_service *service, const char *path, struct sck_file_info *out, struct sck_err *err)
{
    struct sck_input in = {.fd = -1};
    struct sck_container *head = calloc(1, sizeof *head);
    struct sck_file_rec row = {0};
    uint8_t header[SCK_FLOE_HEADER_LEN];
    size_t got = 0;
    struct sck_err look = SCK_ERR_INIT;
    memset(out, 0, sizeof *out);
    enum sck_code rc = head != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_input_open(path, &in, err);
    if (rc == SCK_OK)
        rc = sck_head_read(&in, head, err);
    if (rc == SCK_OK)
        rc = sck_input_read(&in, header, sizeof header, &got, err);
    if (rc == SCK_OK && got != sizeof header)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s is cut off in its header", path);
    if (rc != SCK_OK)
        goto out;
    uint32_t segment = sck_be32_get(header + 2);
    if (segment < SCK_FLOE_SEGMENT_MIN) {
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s: impossible segment length %u", path, (unsigned)segment);
        goto out;
    }
    rc = sck_filekey_find(service, head, &row, &look);
    if (rc == SCK_OK) {
        fill_info(&row, segment - SCK_FLOE_OVERHEAD, plain_size(&in, head, segment), out);
        rc = owner_text(service, &row, out->owner, &look);
    } else {
        row.state = 0;
        memcpy(row.file_id, head->file_id, sizeof row.file_id);
        memcpy(row.dek_id, head->dek_id, sizeof row.dek_id);
        fill_info(&row, segment - SCK_FLOE_OVERHEAD, plain_size(&in, head, segment), out);
        out->known = false;
    }
    out->erased = rc == SCK_E_ERASED;
    if (rc == SCK_E_ERASED || rc == SCK_E_NOT_FOUND)
        rc = SCK_OK;
    else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", look.message);
out:
    sck_input_close(&in);
    sck_record_clear(SCK_TABLE_FILES, &row);
    free(head);
    return rc;
}
