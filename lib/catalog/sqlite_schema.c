/* SPDX-License-Identifier: MIT */
#include "lib/catalog/sqlite.h"

/*
 * A step that was released is never edited: a change is a new step.  Row keys given by the database are never given
 * twice (AUTOINCREMENT): an id in an old backup must not come to mean another person's row.
 */
static const char version_1[] =
    "CREATE TABLE owners ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, ident TEXT NOT NULL,"
    " generation INTEGER NOT NULL, state INTEGER NOT NULL, created_s INTEGER NOT NULL,"
    " kek_serial INTEGER NOT NULL, mac BLOB NOT NULL, UNIQUE (kind, ident)) STRICT;"
    "CREATE INDEX owners_by_state ON owners (state, id);"

    "CREATE TABLE keks ("
    " owner_id INTEGER NOT NULL, serial INTEGER NOT NULL, keeper INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, version INTEGER NOT NULL, name TEXT NOT NULL, mount TEXT NOT NULL,"
    " name_space TEXT NOT NULL, state INTEGER NOT NULL, record BLOB NOT NULL, wraps INTEGER NOT NULL,"
    " created_s INTEGER NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (owner_id, serial)) STRICT;"

    "CREATE TABLE keys ("
    " id BLOB NOT NULL PRIMARY KEY, scope_kind INTEGER NOT NULL, scope_id TEXT NOT NULL, name TEXT NOT NULL,"
    " key_id TEXT NOT NULL UNIQUE, alg INTEGER NOT NULL, usage INTEGER NOT NULL, protection INTEGER NOT NULL,"
    " residence INTEGER NOT NULL, origin INTEGER NOT NULL, state INTEGER NOT NULL, version INTEGER NOT NULL,"
    " owner_id INTEGER NOT NULL, created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,"
    " signature BLOB NOT NULL, mac BLOB NOT NULL, UNIQUE (scope_kind, scope_id, name)) STRICT;"
    "CREATE INDEX keys_by_owner ON keys (owner_id, id);"

    "CREATE TABLE versions ("
    " key_uuid BLOB NOT NULL, version INTEGER NOT NULL, state INTEGER NOT NULL, created_s INTEGER NOT NULL,"
    " record_id BLOB NOT NULL, spki BLOB NOT NULL, sealed BLOB NOT NULL, wrapped_dek BLOB NOT NULL,"
    " gcm_reserved INTEGER NOT NULL, signature BLOB NOT NULL, mac BLOB NOT NULL,"
    " PRIMARY KEY (key_uuid, version)) STRICT;"

    "CREATE TABLE tombs ("
    " hash BLOB NOT NULL PRIMARY KEY, kind INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " state INTEGER NOT NULL, seq INTEGER NOT NULL UNIQUE, created_s INTEGER NOT NULL, chain BLOB NOT NULL,"
    " owner_id INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;"
    "CREATE INDEX tombs_by_state ON tombs (state, seq);"

    "CREATE TABLE receipts ("
    " hash BLOB NOT NULL PRIMARY KEY, id BLOB NOT NULL UNIQUE, created_s INTEGER NOT NULL,"
    " document BLOB NOT NULL, mac BLOB NOT NULL) STRICT;"

    "CREATE TABLE file_keys ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, file_id BLOB NOT NULL, key_reference TEXT NOT NULL,"
    " created_at TEXT NOT NULL, expires_at TEXT, dek_id BLOB NOT NULL, owner_id INTEGER NOT NULL,"
    " state INTEGER NOT NULL, wrapped_dek BLOB NOT NULL, header_tag BLOB NOT NULL, size INTEGER NOT NULL,"
    " path BLOB NOT NULL, mac BLOB NOT NULL, UNIQUE (file_id, key_reference)) STRICT;"
    "CREATE UNIQUE INDEX file_keys_by_dek ON file_keys (file_id, dek_id);"
    "CREATE INDEX file_keys_by_owner ON file_keys (owner_id, id);"

    "CREATE TABLE setup ("
    " id INTEGER PRIMARY KEY, catalog_id BLOB NOT NULL, environment TEXT NOT NULL, created_s INTEGER NOT NULL,"
    " generation INTEGER NOT NULL, tombstones INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;";

/* Epochs, backups, and erasures that are to be completed later. */
static const char version_2[] =
    "CREATE TABLE epochs ("
    " number INTEGER PRIMARY KEY, state INTEGER NOT NULL, created_s INTEGER NOT NULL, moved_s INTEGER NOT NULL,"
    " destroyed_s INTEGER NOT NULL, messages INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;"

    "CREATE TABLE backups ("
    " id BLOB NOT NULL PRIMARY KEY, state INTEGER NOT NULL, epoch INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " tombstones INTEGER NOT NULL, created_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,"
    " confirmed_s INTEGER NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL, path BLOB NOT NULL,"
    " mac BLOB NOT NULL) STRICT;"

    "CREATE TABLE pledges ("
    " hash BLOB NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, effective_s INTEGER NOT NULL, serial INTEGER NOT NULL,"
    " owner_id INTEGER NOT NULL, created_s INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;";

/* How many DEKs were handed out under each version of a KEK. */
static const char version_3[] = "ALTER TABLE keks ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;";

const struct sck_schema_step sck_sqlite_steps[SCK_SQLITE_STEPS] = {
    {1, version_1},
    {2, version_2},
    {3, version_3},
};
