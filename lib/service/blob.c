/* SPDX-License-Identifier: MIT */
#include "lib/service/blob.h"

#include <string.h>

struct sck_buf *
sck_blob_wrapped(struct sck_blob *blob)
{
    return blob->table == SCK_TABLE_VERSIONS ? &blob->row.version.wrapped_dek : &blob->row.file.wrapped_dek;
}

void
sck_blob_clear(struct sck_blob *blob)
{
    sck_record_clear(blob->table, &blob->row);
}

struct walk {
    struct sck_catalog *catalog;
    sck_blob_fn fn;
    sck_bad_row_fn bad;
    void *arg;
};

static void
told_bad(void *arg, const char *problem)
{
    const struct walk *w = arg;
    w->bad(w->arg, problem);
}

static enum sck_code
give_version(void *arg, void *record, struct sck_err *err)
{
    const struct walk *w = arg;
    struct sck_version_rec *version = record;
    struct sck_blob blob = {.table = SCK_TABLE_VERSIONS};
    /* Resident keys have none. */
    if (version->wrapped_dek.len == 0)
        return SCK_OK;
    blob.row.version = *version;
    memset(version, 0, sizeof *version);
    return w->fn(w->arg, &blob, err);
}

static enum sck_code
give_key(void *arg, void *record, struct sck_err *err)
{
    struct walk *w = arg;
    const struct sck_key_rec *key = record;
    struct sck_version_rec from = {.version = 0};
    memcpy(from.key, key->id, sizeof from.key);
    return sck_catalog_each_good(w->catalog, SCK_VERSIONS_OF_KEY, &from, give_version, told_bad, w, err);
}

static enum sck_code
give_file(void *arg, void *record, struct sck_err *err)
{
    const struct walk *w = arg;
    struct sck_file_rec *file = record;
    struct sck_blob blob = {.table = SCK_TABLE_FILES};
    if (file->wrapped_dek.len == 0)
        return SCK_OK;
    blob.row.file = *file;
    memset(file, 0, sizeof *file);
    return w->fn(w->arg, &blob, err);
}

enum sck_code
sck_blob_each(struct sck_catalog *catalog, int64_t owner_id, sck_blob_fn fn, sck_bad_row_fn bad, void *arg,
              struct sck_err *err)
{
    struct walk w = {catalog, fn, bad, arg};
    struct sck_key_rec key = {.owner_id = owner_id};
    struct sck_file_rec file = {.owner_id = owner_id};
    enum sck_code rc = sck_catalog_each_good(catalog, SCK_KEYS_OF_OWNER, &key, give_key, told_bad, &w, err);
    return rc == SCK_OK ? sck_catalog_each_good(catalog, SCK_FILES_OF_OWNER, &file, give_file, told_bad, &w, err) : rc;
}
