/* SPDX-License-Identifier: MIT */
#include "lib/catalog/table.h"

#include <string.h>

#define COLUMN(record, field, sql, type, flags)                                                                 \
    {sql, SCK_COLUMN_##type, offsetof(struct record, field), sizeof(((struct record *)0)->field), flags}
#define TABLE(sql, record, columns)                                                                             \
    {sql, sizeof(struct record), sizeof(columns) / sizeof((columns)[0]), columns}

static const struct sck_column owners[] = {
    COLUMN(sck_owner_rec, id, "id", I64, SCK_COLUMN_KEY | SCK_COLUMN_GIVEN),
    COLUMN(sck_owner_rec, kind, "kind", U32, 0),
    COLUMN(sck_owner_rec, ident, "ident", TEXT, 0),
    COLUMN(sck_owner_rec, generation, "generation", U32, 0),
    COLUMN(sck_owner_rec, state, "state", U32, 0),
    COLUMN(sck_owner_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_owner_rec, kek_serial, "kek_serial", U32, 0),
};

static const struct sck_column keks[] = {
    COLUMN(sck_kek_rec, owner_id, "owner_id", I64, SCK_COLUMN_KEY),
    COLUMN(sck_kek_rec, serial, "serial", U32, SCK_COLUMN_KEY),
    COLUMN(sck_kek_rec, keeper, "keeper", U32, 0),
    COLUMN(sck_kek_rec, generation, "generation", U32, 0),
    COLUMN(sck_kek_rec, version, "version", U32, 0),
    COLUMN(sck_kek_rec, name, "name", TEXT, 0),
    COLUMN(sck_kek_rec, mount, "mount", TEXT, 0),
    COLUMN(sck_kek_rec, name_space, "name_space", TEXT, 0),
    COLUMN(sck_kek_rec, state, "state", U32, 0),
    COLUMN(sck_kek_rec, record, "record", BUF, 0),
    COLUMN(sck_kek_rec, wraps, "wraps", I64, 0),
    COLUMN(sck_kek_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_kek_rec, messages, "messages", I64, SCK_COLUMN_LATER),
};

static const struct sck_column keys[] = {
    COLUMN(sck_key_rec, id, "id", BYTES, SCK_COLUMN_KEY | SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, scope_kind, "scope_kind", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, scope_id, "scope_id", TEXT, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, name, "name", TEXT, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, key_id, "key_id", TEXT, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, alg, "alg", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, usage, "usage", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, protection, "protection", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, residence, "residence", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, origin, "origin", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, state, "state", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, version, "version", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, owner_id, "owner_id", I64, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, created_s, "created_s", I64, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, expires_s, "expires_s", I64, SCK_COLUMN_PUBLIC),
    COLUMN(sck_key_rec, signature, "signature", BUF, SCK_COLUMN_SIGNATURE),
};

static const struct sck_column versions[] = {
    COLUMN(sck_version_rec, key, "key_uuid", BYTES, SCK_COLUMN_KEY | SCK_COLUMN_PUBLIC),
    COLUMN(sck_version_rec, version, "version", U32, SCK_COLUMN_KEY | SCK_COLUMN_PUBLIC),
    COLUMN(sck_version_rec, state, "state", U32, SCK_COLUMN_PUBLIC),
    COLUMN(sck_version_rec, created_s, "created_s", I64, SCK_COLUMN_PUBLIC),
    COLUMN(sck_version_rec, record_id, "record_id", BYTES, SCK_COLUMN_PUBLIC),
    COLUMN(sck_version_rec, spki, "spki", BUF, SCK_COLUMN_PUBLIC),
    COLUMN(sck_version_rec, sealed, "sealed", BUF, 0),
    COLUMN(sck_version_rec, wrapped_dek, "wrapped_dek", BUF, SCK_COLUMN_WRAPPED),
    COLUMN(sck_version_rec, gcm_reserved, "gcm_reserved", I64, 0),
    COLUMN(sck_version_rec, signature, "signature", BUF, SCK_COLUMN_SIGNATURE),
};

static const struct sck_column tombs[] = {
    COLUMN(sck_tomb_rec, hash, "hash", BYTES, SCK_COLUMN_KEY),
    COLUMN(sck_tomb_rec, kind, "kind", U32, 0),
    COLUMN(sck_tomb_rec, generation, "generation", U32, 0),
    COLUMN(sck_tomb_rec, state, "state", U32, 0),
    COLUMN(sck_tomb_rec, seq, "seq", I64, 0),
    COLUMN(sck_tomb_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_tomb_rec, chain, "chain", BYTES, 0),
    COLUMN(sck_tomb_rec, owner_id, "owner_id", I64, 0),
};

static const struct sck_column receipts[] = {
    COLUMN(sck_receipt_rec, hash, "hash", BYTES, SCK_COLUMN_KEY),
    COLUMN(sck_receipt_rec, id, "id", BYTES, 0),
    COLUMN(sck_receipt_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_receipt_rec, json, "document", BUF, 0),
};

/* The first five columns, their names and their meaning are documented for users: they never change. */
static const struct sck_column files[] = {
    COLUMN(sck_file_rec, id, "id", I64, SCK_COLUMN_KEY | SCK_COLUMN_GIVEN),
    COLUMN(sck_file_rec, file_id, "file_id", BYTES, 0),
    COLUMN(sck_file_rec, key_reference, "key_reference", TEXT, 0),
    COLUMN(sck_file_rec, created_s, "created_at", TIME, 0),
    COLUMN(sck_file_rec, expires_s, "expires_at", TIME_OR_NULL, 0),
    COLUMN(sck_file_rec, dek_id, "dek_id", BYTES, 0),
    COLUMN(sck_file_rec, owner_id, "owner_id", I64, 0),
    COLUMN(sck_file_rec, state, "state", U32, 0),
    COLUMN(sck_file_rec, wrapped_dek, "wrapped_dek", BUF, SCK_COLUMN_WRAPPED),
    COLUMN(sck_file_rec, header_tag, "header_tag", BYTES, 0),
    COLUMN(sck_file_rec, size, "size", I64, 0),
    COLUMN(sck_file_rec, path, "path", BUF, 0),
};

static const struct sck_column epochs[] = {
    COLUMN(sck_epoch_rec, number, "number", U32, SCK_COLUMN_KEY),
    COLUMN(sck_epoch_rec, state, "state", U32, 0),
    COLUMN(sck_epoch_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_epoch_rec, moved_s, "moved_s", I64, 0),
    COLUMN(sck_epoch_rec, destroyed_s, "destroyed_s", I64, 0),
    COLUMN(sck_epoch_rec, messages, "messages", I64, 0),
};

static const struct sck_column backups[] = {
    COLUMN(sck_backup_rec, id, "id", BYTES, SCK_COLUMN_KEY),
    COLUMN(sck_backup_rec, state, "state", U32, 0),
    COLUMN(sck_backup_rec, epoch, "epoch", U32, 0),
    COLUMN(sck_backup_rec, generation, "generation", I64, 0),
    COLUMN(sck_backup_rec, tombstones, "tombstones", I64, 0),
    COLUMN(sck_backup_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_backup_rec, expires_s, "expires_s", I64, 0),
    COLUMN(sck_backup_rec, confirmed_s, "confirmed_s", I64, 0),
    COLUMN(sck_backup_rec, size, "size", I64, 0),
    COLUMN(sck_backup_rec, sha256, "sha256", BYTES, 0),
    COLUMN(sck_backup_rec, path, "path", BUF, 0),
};

static const struct sck_column pledges[] = {
    COLUMN(sck_pledge_rec, hash, "hash", BYTES, SCK_COLUMN_KEY),
    COLUMN(sck_pledge_rec, epoch, "epoch", U32, 0),
    COLUMN(sck_pledge_rec, effective_s, "effective_s", I64, 0),
    COLUMN(sck_pledge_rec, serial, "serial", U32, 0),
    COLUMN(sck_pledge_rec, owner_id, "owner_id", I64, 0),
    COLUMN(sck_pledge_rec, created_s, "created_s", I64, 0),
};

static const struct sck_column setup[] = {
    COLUMN(sck_setup_rec, id, "id", I64, SCK_COLUMN_KEY),
    COLUMN(sck_setup_rec, catalog_id, "catalog_id", BYTES, 0),
    COLUMN(sck_setup_rec, environment, "environment", TEXT, 0),
    COLUMN(sck_setup_rec, created_s, "created_s", I64, 0),
    COLUMN(sck_setup_rec, generation, "generation", I64, 0),
    COLUMN(sck_setup_rec, tombstones, "tombstones", I64, 0),
};

static const struct sck_table_desc tables[SCK_TABLE_COUNT] = {
    [SCK_TABLE_OWNERS] = TABLE("owners", sck_owner_rec, owners),
    [SCK_TABLE_KEKS] = TABLE("keks", sck_kek_rec, keks),
    [SCK_TABLE_KEYS] = TABLE("keys", sck_key_rec, keys),
    [SCK_TABLE_VERSIONS] = TABLE("versions", sck_version_rec, versions),
    [SCK_TABLE_TOMBS] = TABLE("tombs", sck_tomb_rec, tombs),
    [SCK_TABLE_RECEIPTS] = TABLE("receipts", sck_receipt_rec, receipts),
    [SCK_TABLE_FILES] = TABLE("file_keys", sck_file_rec, files),
    [SCK_TABLE_EPOCHS] = TABLE("epochs", sck_epoch_rec, epochs),
    [SCK_TABLE_BACKUPS] = TABLE("backups", sck_backup_rec, backups),
    [SCK_TABLE_PLEDGES] = TABLE("pledges", sck_pledge_rec, pledges),
    [SCK_TABLE_SETUP] = TABLE("setup", sck_setup_rec, setup),
};

static const struct sck_query_desc queries[SCK_QUERY_COUNT] = {
    [SCK_BY_OWNER_ID] = {SCK_TABLE_OWNERS, NULL, {"id"}, NULL, false, false},
    [SCK_BY_OWNER_IDENT] = {SCK_TABLE_OWNERS, NULL, {"kind", "ident"}, NULL, false, false},
    [SCK_OWNERS_ALL] = {SCK_TABLE_OWNERS, NULL, {NULL}, "id", false, true},
    [SCK_OWNERS_BY_STATE] = {SCK_TABLE_OWNERS, NULL, {"state"}, "id", false, false},
    [SCK_BY_KEK] = {SCK_TABLE_KEKS, NULL, {"owner_id", "serial"}, NULL, false, false},
    [SCK_KEKS_OF_OWNER] = {SCK_TABLE_KEKS, NULL, {"owner_id"}, "serial", true, false},
    [SCK_BY_KEY_UUID] = {SCK_TABLE_KEYS, NULL, {"id"}, NULL, false, false},
    [SCK_BY_KEY_NAME] = {SCK_TABLE_KEYS, NULL, {"scope_kind", "scope_id", "name"}, NULL, false, false},
    [SCK_BY_KEY_ID] = {SCK_TABLE_KEYS, NULL, {"key_id"}, NULL, false, false},
    [SCK_KEYS_OF_SCOPE] = {SCK_TABLE_KEYS, NULL, {"scope_kind", "scope_id"}, "name", false, true},
    [SCK_KEYS_OF_OWNER] = {SCK_TABLE_KEYS, NULL, {"owner_id"}, "id", false, true},
    [SCK_KEYS_ALL] = {SCK_TABLE_KEYS, NULL, {NULL}, "id", false, true},
    [SCK_BY_VERSION] = {SCK_TABLE_VERSIONS, NULL, {"key_uuid", "version"}, NULL, false, false},
    [SCK_VERSIONS_OF_KEY] = {SCK_TABLE_VERSIONS, NULL, {"key_uuid"}, "version", true, false},
    [SCK_BY_TOMB] = {SCK_TABLE_TOMBS, NULL, {"hash"}, NULL, false, false},
    [SCK_TOMBS_PENDING] = {SCK_TABLE_TOMBS, "state = 1", {NULL}, "seq", false, false},
    [SCK_TOMBS_AFTER] = {SCK_TABLE_TOMBS, NULL, {NULL}, "seq", false, true},
    [SCK_TOMB_LAST] = {SCK_TABLE_TOMBS, NULL, {NULL}, "seq", true, false},
    [SCK_BY_RECEIPT] = {SCK_TABLE_RECEIPTS, NULL, {"hash"}, NULL, false, false},
    [SCK_BY_RECEIPT_ID] = {SCK_TABLE_RECEIPTS, NULL, {"id"}, NULL, false, false},
    [SCK_RECEIPTS_ALL] = {SCK_TABLE_RECEIPTS, NULL, {NULL}, "hash", false, true},
    [SCK_BY_FILE] = {SCK_TABLE_FILES, NULL, {"file_id", "dek_id"}, NULL, false, false},
    [SCK_FILES_OF_ID] = {SCK_TABLE_FILES, NULL, {"file_id"}, "id", true, false},
    [SCK_FILES_OF_OWNER] = {SCK_TABLE_FILES, NULL, {"owner_id"}, "id", false, true},
    [SCK_BY_EPOCH] = {SCK_TABLE_EPOCHS, NULL, {"number"}, NULL, false, false},
    [SCK_EPOCHS_ALL] = {SCK_TABLE_EPOCHS, NULL, {NULL}, "number", false, true},
    [SCK_BY_BACKUP] = {SCK_TABLE_BACKUPS, NULL, {"id"}, NULL, false, false},
    [SCK_BACKUPS_ALL] = {SCK_TABLE_BACKUPS, NULL, {NULL}, "id", false, true},
    [SCK_BY_PLEDGE] = {SCK_TABLE_PLEDGES, NULL, {"hash"}, NULL, false, false},
    [SCK_PLEDGES_ALL] = {SCK_TABLE_PLEDGES, NULL, {NULL}, "hash", false, true},
    [SCK_BY_SETUP] = {SCK_TABLE_SETUP, NULL, {"id"}, NULL, false, false},
};

_Static_assert(SCK_TOMB_PENDING == 1, "the condition of SCK_TOMBS_PENDING says so");

const struct sck_table_desc *
sck_table_desc(enum sck_table table)
{
    return &tables[table];
}

const struct sck_query_desc *
sck_query_desc(enum sck_query query)
{
    return &queries[query];
}

size_t
sck_column_index(const struct sck_table_desc *table, const char *name)
{
    size_t i = 0;
    while (i + 1 < table->count && strcmp(table->columns[i].name, name) != 0)
        i++;
    return i;
}
