/* SPDX-License-Identifier: MIT */
/* A copy of the catalog, and a copy in the catalog's place. */
#include "lib/catalog/pool.h"

#include <stdio.h>

static enum sck_code
copy_work(struct sck_catalog *c, struct sck_db *db, void *arg, struct sck_err *err)
{
    return c->backend->copy(db, arg, err);
}

enum sck_code
sck_catalog_copy(struct sck_catalog *c, const char *path, struct sck_err *err)
{
    char name[4096];
    if (sck_pool_writing(c) != NULL)
        return sck_fail(err, SCK_E_INTERNAL, "a copy inside a transaction");
    int n = snprintf(name, sizeof name, "%s", path);
    if (path[0] != '/' || n < 0 || (size_t)n >= sizeof name)
        return sck_fail(err, SCK_E_USAGE, "the path of a copy is absolute and has at most 4095 bytes");
    return sck_pool_run(c, c->busy_ms, copy_work, name, err);
}

enum sck_code
sck_catalog_place(const char *path, const char *fresh, const char *aside, bool *kept, struct sck_err *err)
{
    sck_pool_enter();
    enum sck_code rc = sck_backend_sqlite.place(path, fresh, aside, kept, err);
    sck_pool_exit();
    return rc;
}
