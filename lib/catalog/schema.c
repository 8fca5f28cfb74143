/* SPDX-License-Identifier: MIT */
#include "lib/catalog/schema.h"

#include "lib/catalog/backend.h"

enum sck_code
sck_schema_apply(const struct sck_backend *backend, struct sck_db *db, int64_t version,
                 const struct sck_schema_step *steps, size_t count, struct sck_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (steps[i].version <= version)
            continue;
        enum sck_code rc = backend->script(db, steps[i].sql, err);
        if (rc == SCK_OK)
            rc = backend->version_set(db, steps[i].version, err);
        if (rc != SCK_OK) {
            sck_err_prefix(err, "making schema %lld", (long long)steps[i].version);
            return rc;
        }
    }
    return SCK_OK;
}

static enum sck_code
read_version(const struct sck_backend *backend, struct sck_db *db, const char *where, int64_t known,
             int64_t *version, struct sck_err *err)
{
    enum sck_code rc = backend->version_get(db, version, err);
    if (rc != SCK_OK)
        return rc;
    if (*version > known)
        return sck_fail(err, SCK_E_CONFIG,
                        "catalog %s has schema %lld but this program knows schemas up to %lld only: use a newer "
                        "Scopekey", where, (long long)*version, (long long)known);
    return SCK_OK;
}

enum sck_code
sck_schema_upgrade(const struct sck_backend *backend, struct sck_db *db, const char *where,
                   const struct sck_schema_step *steps, size_t count, struct sck_err *err)
{
    int64_t known = steps[count - 1].version;
    int64_t version = 0;
    enum sck_code rc = read_version(backend, db, where, known, &version, err);
    if (rc != SCK_OK || version == known)
        return rc;
    rc = backend->begin(db, err);
    if (rc != SCK_OK)
        return rc;
    /* Another process may have done it while we waited. */
    rc = read_version(backend, db, where, known, &version, err);
    if (rc == SCK_OK)
        rc = sck_schema_apply(backend, db, version, steps, count, err);
    if (rc == SCK_OK)
        rc = backend->commit(db, err);
    if (rc != SCK_OK)
        backend->rollback(db);
    return rc;
}
