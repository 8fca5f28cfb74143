/* SPDX-License-Identifier: MIT */
#include "lib/service/backup.h"

#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/service/receipt_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST_TYPE "scopekey-backup/v1"
#define MANIFEST_MAX (64U * 1024U)

static char *
manifest_path(const char *file)
{
    size_t size = strlen(file) + sizeof ".json";
    char *path = malloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s.json", file);
    return path;
}

/* HMAC inside the token over everything but the MAC itself. */
static enum sck_code
mac_of(struct sck_engine *engine, json_t *o, uint8_t mac[32], struct sck_err *err)
{
    struct sck_buf input;
    sck_buf_init(&input, MANIFEST_MAX);
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    enum sck_code rc = text != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK) {
        sck_buf_put_str(&input, "backup/v1");
        sck_buf_put_str(&input, text);
        rc = sck_buf_check(&input, "the backup's manifest", err);
    }
    if (rc == SCK_OK)
        rc = sck_token_hmac(engine->token, SCK_SYS_MAC, input.data, input.len, mac, err);
    free(text);
    sck_buf_clear(&input);
    return rc;
}

static bool
put_number(json_t *o, const char *name, int64_t value)
{
    return json_object_set_new(o, name, json_integer(value)) == 0;
}

enum sck_code
sck_manifest_write(struct sck_engine *engine, const struct sck_backup_rec *b, const char *file, struct sck_err *err)
{
    char id[SCK_UUID_TEXT], catalog[SCK_UUID_TEXT];
    uint8_t mac[32];
    json_t *o = json_object();
    char *path = manifest_path(file);
    char *text = NULL;
    sck_uuid_format(b->id, id);
    sck_uuid_format(engine->conf->catalog_id, catalog);
    bool ok = o != NULL && path != NULL && sck_json_put_text(o, "type", MANIFEST_TYPE) &&
              sck_json_put_text(o, "id", id) && sck_json_put_text(o, "catalog_id", catalog) &&
              sck_json_put_text(o, "environment", engine->conf->environment) && put_number(o, "epoch", b->epoch) &&
              put_number(o, "generation", b->generation) && put_number(o, "tombstones", b->tombstones) &&
              put_number(o, "created_s", b->created_s) && sck_json_put_time(o, "created_at", b->created_s) &&
              put_number(o, "expires_s", b->expires_s) && sck_json_put_time(o, "expires_at", b->expires_s) &&
              put_number(o, "size", b->size) && sck_json_put_hex(o, "sha256", b->sha256, sizeof b->sha256);
    enum sck_code rc = ok ? mac_of(engine, o, mac, err) : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK) {
        text = sck_json_put_hex(o, "mac", mac, sizeof mac) ? json_dumps(o, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
        rc = text != NULL ? sck_file_create(path, text, strlen(text), 0600, err)
                          : sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    free(text);
    free(path);
    json_decref(o);
    return rc;
}

static bool
get_hex(const json_t *o, const char *name, uint8_t *out, size_t len)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL && sck_hex_parse(text, strlen(text), out, len);
}

static bool
get_uuid(const json_t *o, const char *name, uint8_t out[16])
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL && sck_uuid_parse(text, strlen(text), out);
}

static bool
get_number(const json_t *o, const char *name, int64_t most, int64_t *out)
{
    const json_t *value = json_object_get(o, name);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= most;
}

static bool
fill(const json_t *o, struct sck_backup_rec *out)
{
    int64_t epoch = 0;
    bool ok = get_uuid(o, "id", out->id) && get_number(o, "epoch", UINT32_MAX, &epoch) &&
              get_number(o, "generation", INT64_MAX, &out->generation) &&
              get_number(o, "tombstones", INT64_MAX, &out->tombstones) &&
              get_number(o, "created_s", INT64_MAX, &out->created_s) &&
              get_number(o, "expires_s", INT64_MAX, &out->expires_s) &&
              get_number(o, "size", INT64_MAX, &out->size) && get_hex(o, "sha256", out->sha256, sizeof out->sha256);
    out->epoch = (uint32_t)epoch;
    return ok;
}

static enum sck_code
check(struct sck_engine *engine, json_t *o, const char *file, struct sck_backup_rec *out, struct sck_err *err)
{
    uint8_t told[32], mac[32], catalog[16];
    const char *type = json_string_value(json_object_get(o, "type"));
    const char *environment = json_string_value(json_object_get(o, "environment"));
    if (type == NULL || strcmp(type, MANIFEST_TYPE) != 0 || !get_hex(o, "mac", told, sizeof told) ||
        !get_uuid(o, "catalog_id", catalog) || environment == NULL || json_object_del(o, "mac") != 0)
        return sck_fail(err, SCK_E_AUTHENTIC, "%s.json is no manifest of a backup", file);
    if (memcmp(catalog, engine->conf->catalog_id, sizeof catalog) != 0)
        return sck_fail(err, SCK_E_CONFIG, "%s is a copy of another set-up's catalog", file);
    if (strcmp(environment, engine->conf->environment) != 0)
        return sck_fail(err, SCK_E_CONFIG, "%s is of environment %s, this set-up of %s", file, environment,
                        engine->conf->environment);
    enum sck_code rc = mac_of(engine, o, mac, err);
    if (rc == SCK_OK && (!sck_ct_equal(mac, told, sizeof mac) || !fill(o, out)))
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s.json was altered: its MAC is not the token's", file);
    return rc;
}

enum sck_code
sck_manifest_read(struct sck_engine *engine, const char *file, struct sck_backup_rec *out, struct sck_err *err)
{
    struct sck_buf text = {0};
    struct sck_err look = SCK_ERR_INIT;
    char *path = manifest_path(file);
    *out = (struct sck_backup_rec){0};
    if (path == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    enum sck_code rc = sck_file_read(path, MANIFEST_MAX, &text, &look);
    if (rc == SCK_E_NOT_FOUND)
        rc = sck_fail(err, rc, "there is no manifest %s: it was written beside the copy", path);
    else if (rc != SCK_OK)
        rc = sck_fail(err, rc, "%s", look.message);
    if (rc == SCK_OK) {
        json_t *o = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
        rc = json_is_object(o) ? check(engine, o, file, out, err)
                               : sck_fail(err, SCK_E_AUTHENTIC, "%s.json is no manifest of a backup", file);
        json_decref(o);
    }
    sck_buf_clear(&text);
    free(path);
    return rc;
}

enum sck_code
sck_file_sum(const char *path, uint8_t sum[32], int64_t *size, struct sck_err *err)
{
    struct stat st;
    enum sck_code rc = SCK_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", path);
    } else if (!S_ISREG(st.st_mode) || st.st_size <= 0) {
        rc = sck_fail(err, SCK_E_IO, "%s is no copy of a catalog", path);
    } else {
        /* Nobody writes to a copy; one that is cut while it is read ends the process, as a failing disk may. */
        void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (at == MAP_FAILED) {
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", path);
        } else {
            rc = sck_sha256(at, (size_t)st.st_size, sum, err);
            (void)munmap(at, (size_t)st.st_size);
        }
        *size = (int64_t)st.st_size;
    }
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

enum sck_code
sck_manifest_match(const struct sck_backup_rec *manifest, const char *file, struct sck_err *err)
{
    uint8_t sum[32];
    int64_t size = 0;
    enum sck_code rc = sck_file_sum(file, sum, &size, err);
    if (rc == SCK_OK && (size != manifest->size || memcmp(sum, manifest->sha256, sizeof sum) != 0))
        rc = sck_fail(err, SCK_E_AUTHENTIC, "%s is not what was copied: it was altered or cut", file);
    return rc;
}
