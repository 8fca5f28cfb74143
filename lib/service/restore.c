/* SPDX-License-Identifier: MIT */
/* A copy in the catalog's place.  The catalog is never half there: it is the old one until one rename makes it the new. */
#include "lib/service/backup.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 65536, ROOM = 4096 };

static enum sck_code
copy_bytes(int in, int out, const char *from, const char *to, struct sck_err *err)
{
    uint8_t *chunk = malloc(CHUNK);
    enum sck_code rc = chunk != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "out of memory");
    while (rc == SCK_OK) {
        ssize_t n = read(in, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", from);
        if (n <= 0)
            break;
        rc = sck_fd_write_all(out, chunk, (size_t)n, to, err);
    }
    if (rc == SCK_OK && fsync(out) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot sync %s", to);
    free(chunk);
    return rc;
}

/* Beside the catalog, so that it can be renamed; what an earlier run left of it goes. */
static enum sck_code
copy_file(const char *from, const char *to, struct sck_err *err)
{
    (void)unlink(to);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot read %s", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum sck_code rc = out >= 0 ? copy_bytes(in, out, from, to, err)
                                : sck_fail_errno(err, SCK_E_IO, errno, "cannot create %s", to);
    if (out >= 0)
        (void)close(out);
    (void)close(in);
    return rc;
}

/* The copy's bytes are checked where they will stay. */
static enum sck_code
place(struct sck_engine *engine, const char *file, const struct sck_backup_rec *manifest, char aside[4096],
      struct sck_err *err)
{
    char fresh[ROOM], when[SCK_TIME_TEXT];
    bool kept = false;
    const char *catalog = engine->conf->catalog;
    sck_time_format(sck_now_s(engine->clock), when);
    int n = snprintf(fresh, sizeof fresh, "%s.restore", catalog);
    int m = snprintf(aside, 4096, "%s.before-%s", catalog, when);
    if (n < 0 || (size_t)n >= sizeof fresh || m < 0 || m >= 4096)
        return sck_fail(err, SCK_E_CONFIG, "the path of the catalog is too long");
    enum sck_code rc = copy_file(file, fresh, err);
    if (rc == SCK_OK)
        rc = sck_manifest_match(manifest, fresh, err);
    sck_fault_point("restore.copied");
    if (rc == SCK_OK)
        rc = sck_catalog_place(catalog, fresh, aside, &kept, err);
    sck_fault_point("restore.placed");
    if (rc != SCK_OK)
        (void)unlink(fresh);
    if (!kept)
        aside[0] = '\0';
    return rc;
}

enum sck_code
sck_restore(struct sck_service *service, const char *file, char aside[4096], struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_backup_rec manifest;
    int lock = -1;
    aside[0] = '\0';
    if (engine->catalog != NULL)
        return sck_fail(err, SCK_E_STATE, "this process uses the catalog already");
    char *path = sck_engine_path(engine, "run/restore.lock");
    enum sck_code rc = path != NULL ? sck_lock_acquire(path, 0, &lock, err) : sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_E_BUSY)
        sck_err_prefix(err, "another process is restoring");
    if (rc == SCK_OK)
        rc = sck_engine_login(engine, err);
    if (rc == SCK_OK)
        rc = sck_manifest_read(engine, file, &manifest, err);
    if (rc == SCK_OK)
        rc = place(engine, file, &manifest, aside, err);
    if (rc == SCK_OK)
        rc = sck_epoch_bump(engine, err);
    sck_lock_release(&lock);
    free(path);
    return rc;
}
