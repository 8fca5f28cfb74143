/* SPDX-License-Identifier: MIT */
#include "lib/catalog/sqlite.h"

#include "lib/base/fault.h"

static const struct sck_statement begin_statement = {SCK_SQLITE_BEGIN, "BEGIN IMMEDIATE"};
static const struct sck_statement commit_statement = {SCK_SQLITE_COMMIT, "COMMIT"};

static enum sck_code
prepare(struct sck_db *db, const struct sck_statement *statement, sqlite3_stmt **out, struct sck_err *err)
{
    sqlite3_stmt **kept = &db->prepared[statement->slot];
    if (*kept == NULL) {
        int rc = sqlite3_prepare_v3(db->handle, statement->sql, -1, SQLITE_PREPARE_PERSISTENT, kept, NULL);
        if (rc != SQLITE_OK)
            return sck_sqlite_fail(db->handle, rc, db->path, "reading the schema", err);
    }
    *out = *kept;
    return SCK_OK;
}

static int
bind(sqlite3_stmt *stmt, int at, const struct sck_value *value)
{
    switch (value->type) {
    case SCK_VALUE_NULL:
        return sqlite3_bind_null(stmt, at);
    case SCK_VALUE_INT:
        return sqlite3_bind_int64(stmt, at, value->number);
    case SCK_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, at, value->len > 0 ? (const char *)value->data : "", value->len,
                                   SQLITE_STATIC, SQLITE_UTF8);
    case SCK_VALUE_BLOB:
        if (value->len == 0)
            return sqlite3_bind_zeroblob(stmt, at, 0);
        return sqlite3_bind_blob64(stmt, at, value->data, value->len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

/* False for a floating point number, which no table of ours can hold. */
static bool
read_column(sqlite3_stmt *stmt, int at, struct sck_value *value)
{
    *value = (struct sck_value){.type = SCK_VALUE_NULL};
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_NULL:
        return true;
    case SQLITE_INTEGER:
        value->type = SCK_VALUE_INT;
        value->number = sqlite3_column_int64(stmt, at);
        return true;
    case SQLITE_TEXT:
        value->type = SCK_VALUE_TEXT;
        value->data = sqlite3_column_text(stmt, at);
        value->len = (size_t)sqlite3_column_bytes(stmt, at);
        return true;
    case SQLITE_BLOB:
        value->type = SCK_VALUE_BLOB;
        value->data = sqlite3_column_blob(stmt, at);
        value->len = (size_t)sqlite3_column_bytes(stmt, at);
        return true;
    default:
        return false;
    }
}

static enum sck_code
give_row(struct sck_db *db, sqlite3_stmt *stmt, sck_db_row_fn row, void *arg, struct sck_err *err)
{
    struct sck_value values[SCK_COLUMNS_MAX + 1];
    int count = sqlite3_column_count(stmt);
    if (row == NULL)
        return SCK_OK;
    for (int i = 0; i < count; i++) {
        if (!read_column(stmt, i, &values[i]))
            return sck_fail(err, SCK_E_INTEGRITY, "catalog %s: a column holds a fraction: restore it from a backup",
                            db->path);
        /* SQLite gives NULL for a text or blob that it had no memory to load. */
        if (values[i].type >= SCK_VALUE_TEXT && values[i].len > 0 && values[i].data == NULL)
            return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    return row(arg, values, (size_t)count, err);
}

static enum sck_code
run_rows(struct sck_db *db, const struct sck_statement *statement, const struct sck_value *params, size_t count,
         sck_db_row_fn row, void *arg, struct sck_err *err)
{
    sqlite3_stmt *stmt = NULL;
    enum sck_code rc = prepare(db, statement, &stmt, err);
    if (rc != SCK_OK)
        return rc;
    int step = SQLITE_OK;
    for (size_t i = 0; i < count && step == SQLITE_OK; i++)
        step = bind(stmt, (int)i + 1, &params[i]);
    if (step != SQLITE_OK) {
        rc = sck_sqlite_fail(db->handle, step, db->path, "a parameter", err);
        goto out;
    }
    while (rc == SCK_OK && (step = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = give_row(db, stmt, row, arg, err);
    if (rc == SCK_OK && step != SQLITE_DONE)
        rc = sck_sqlite_fail(db->handle, step, db->path, row != NULL ? "reading" : "writing", err);
out:
    /* The parameters are borrowed: nothing of them may stay bound. */
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
    return rc;
}

static enum sck_code
query(struct sck_db *db, const struct sck_statement *statement, const struct sck_value *params, size_t count,
      sck_db_row_fn row, void *arg, struct sck_err *err)
{
    return run_rows(db, statement, params, count, row, arg, err);
}

static enum sck_code
run(struct sck_db *db, const struct sck_statement *statement, const struct sck_value *params, size_t count,
    int64_t *changed, struct sck_err *err)
{
    enum sck_code rc = run_rows(db, statement, params, count, NULL, NULL, err);
    if (rc == SCK_OK && changed != NULL)
        *changed = sqlite3_changes64(db->handle);
    return rc;
}

static enum sck_code
begin(struct sck_db *db, struct sck_err *err)
{
    return run(db, &begin_statement, NULL, 0, NULL, err);
}

static void
rollback(struct sck_db *db)
{
    /* Not prepared: it must work when there is no memory, and SQLite may have rolled back by itself. */
    if (sqlite3_get_autocommit(db->handle) == 0)
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static enum sck_code
commit(struct sck_db *db, struct sck_err *err)
{
    sck_fault_point("catalog.commit.before");
    enum sck_code rc = run(db, &commit_statement, NULL, 0, NULL, err);
    if (rc != SCK_OK)
        rollback(db);
    sck_fault_point("catalog.commit.after");
    return rc;
}

enum sck_code
sck_sqlite_pragma_get(struct sck_db *db, const char *sql, int64_t *value, struct sck_err *err)
{
    sqlite3_stmt *stmt = NULL;
    enum sck_code rc = SCK_OK;
    int step = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
    if (step == SQLITE_OK)
        step = sqlite3_step(stmt);
    if (step == SQLITE_ROW)
        *value = sqlite3_column_int64(stmt, 0);
    else
        rc = sck_sqlite_fail(db->handle, step, db->path, "opening", err);
    (void)sqlite3_finalize(stmt);
    return rc;
}

static enum sck_code
version_get(struct sck_db *db, int64_t *version, struct sck_err *err)
{
    return sck_sqlite_pragma_get(db, "PRAGMA user_version", version, err);
}

static enum sck_code
version_set(struct sck_db *db, int64_t version, struct sck_err *err)
{
    char sql[64];
    (void)sqlite3_snprintf(sizeof sql, sql, "PRAGMA user_version = %lld", (long long)version);
    return sck_sqlite_script(db, sql, err);
}

static enum sck_code
check(struct sck_db *db, void (*report)(void *arg, const char *problem), void *arg, struct sck_err *err)
{
    sqlite3_stmt *stmt = NULL;
    enum sck_code rc = SCK_OK;
    int step = sqlite3_prepare_v2(db->handle, "PRAGMA integrity_check", -1, &stmt, NULL);
    while (step == SQLITE_OK || step == SQLITE_ROW) {
        step = sqlite3_step(stmt);
        const char *text = step == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        if (text != NULL && sqlite3_stricmp(text, "ok") != 0)
            report(arg, text);
    }
    if (step != SQLITE_DONE)
        rc = sck_sqlite_fail(db->handle, step, db->path, "checking", err);
    (void)sqlite3_finalize(stmt);
    return rc;
}

const struct sck_backend sck_backend_sqlite = {
    .name = "sqlite",
    .steps = sck_sqlite_steps,
    .step_count = SCK_SQLITE_STEPS,
    .create = sck_sqlite_create,
    .open = sck_sqlite_open,
    .close = sck_sqlite_close,
    .drop = sck_sqlite_drop,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .run = run,
    .query = query,
    .script = sck_sqlite_script,
    .version_get = version_get,
    .version_set = version_set,
    .scrub = sck_sqlite_scrub,
    .copy = sck_sqlite_copy,
    .place = sck_sqlite_place,
    .check = check,
};
