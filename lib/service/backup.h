/* SPDX-License-Identifier: MIT */
/* Inside lib/service: what lies beside a copy of the catalog, and the copies that are registered. */
#ifndef SCK_SERVICE_BACKUP_H
#define SCK_SERVICE_BACKUP_H

#include "lib/service/engine.h"

/*
 * "FILE.json", the manifest of a copy: what the copy is, its SHA-256, and a MAC by the token's `mac` key over
 * "backup/v1" ‖ the compact JSON of all other members with sorted names.
 */
SCK_MUST_CHECK enum sck_code sck_manifest_write(struct sck_engine *engine, const struct sck_backup_rec *backup,
                                                const char *file, struct sck_err *err);
/*
 * Read the manifest of `file` and check its MAC and that it is of this set-up.  `out` has no state and no path.
 * SCK_E_NOT_FOUND: there is none.  SCK_E_AUTHENTIC: altered.  SCK_E_CONFIG: of another set-up or environment.
 */
SCK_MUST_CHECK enum sck_code sck_manifest_read(struct sck_engine *engine, const char *file, struct sck_backup_rec *out,
                                               struct sck_err *err);
/* SHA-256 and size of a regular file.  SCK_E_IO. */
SCK_MUST_CHECK enum sck_code sck_file_sum(const char *path, uint8_t sum[32], int64_t *size, struct sck_err *err);
/* The copy has the manifest's size and sum.  SCK_E_AUTHENTIC. */
SCK_MUST_CHECK enum sck_code sck_manifest_match(const struct sck_backup_rec *manifest, const char *file,
                                                struct sck_err *err);
/*
 * Registrations whose making was cut: the copy is whole and becomes one that was made, or what there is of it goes.
 * `restored`: this catalog was such a copy itself, which may lie anywhere; it is known to be whole.
 */
SCK_MUST_CHECK enum sck_code sck_backups_settle(struct sck_engine *engine, struct sck_catalog *catalog, bool restored,
                                                struct sck_err *err);

#endif
