/* SPDX-License-Identifier: MIT */
#include "lib/catalog/statement.h"

#include <pthread.h>

#define SQL_MAX 4096    /* bytes of one statement */

/* Made once and kept for the life of the process. */
static struct {
    pthread_once_t once;
    bool failed;
    struct sck_buf text[SCK_SLOT_COUNT];
    struct sck_statement statements[SCK_SLOT_COUNT];
} made = {.once = PTHREAD_ONCE_INIT};

static bool
is_key(const struct sck_column *column)
{
    return (column->flags & SCK_COLUMN_KEY) != 0;
}

static bool
is_given(const struct sck_column *column)
{
    return (column->flags & SCK_COLUMN_GIVEN) != 0;
}

static void
put_columns(const struct sck_table_desc *t, struct sck_buf *sql)
{
    for (size_t i = 0; i < t->count; i++)
        sck_buf_printf(sql, "%s, ", t->columns[i].name);
    sck_buf_put_str(sql, "mac");
}

/* "WHERE a = $n AND b = $n+1" over the key columns.  Returns the next parameter. */
static unsigned
put_where_key(const struct sck_table_desc *t, unsigned param, struct sck_buf *sql)
{
    const char *before = " WHERE ";
    for (size_t i = 0; i < t->count; i++) {
        if (!is_key(&t->columns[i]))
            continue;
        sck_buf_printf(sql, "%s%s = $%u", before, t->columns[i].name, param++);
        before = " AND ";
    }
    return param;
}

static void
put_insert(const struct sck_table_desc *t, struct sck_buf *sql)
{
    const char *given = NULL;
    unsigned params = 1;
    sck_buf_printf(sql, "INSERT INTO %s (", t->name);
    for (size_t i = 0; i < t->count; i++) {
        if (is_given(&t->columns[i])) {
            given = t->columns[i].name;
            continue;
        }
        sck_buf_printf(sql, "%s, ", t->columns[i].name);
        params++;
    }
    sck_buf_put_str(sql, "mac) VALUES (");
    for (unsigned p = 1; p <= params; p++)
        sck_buf_printf(sql, "%s$%u", p == 1 ? "" : ", ", p);
    sck_buf_put_str(sql, ")");
    if (given != NULL)
        sck_buf_printf(sql, " RETURNING %s", given);
}

/* A swap sets the wrapped DEK alone, so that no index has to be written. */
static void
put_update(const struct sck_table_desc *t, bool swap, struct sck_buf *sql)
{
    unsigned param = 1;
    sck_buf_printf(sql, "UPDATE %s SET ", t->name);
    for (size_t i = 0; i < t->count; i++) {
        if (swap ? (t->columns[i].flags & SCK_COLUMN_WRAPPED) != 0 : !is_key(&t->columns[i]))
            sck_buf_printf(sql, "%s = $%u, ", t->columns[i].name, param++);
    }
    sck_buf_printf(sql, "mac = $%u", param++);
    param = put_where_key(t, param, sql);
    if (swap)
        sck_buf_printf(sql, " AND mac = $%u", param);
}

static void
put_key_names(const struct sck_table_desc *t, struct sck_buf *sql)
{
    const char *before = "";
    for (size_t i = 0; i < t->count; i++) {
        if (!is_key(&t->columns[i]))
            continue;
        sck_buf_printf(sql, "%s%s", before, t->columns[i].name);
        before = ", ";
    }
}

/* All rows in the order of their keys. */
static void
put_page(const struct sck_table_desc *t, bool first, struct sck_buf *sql)
{
    sck_buf_put_str(sql, "SELECT ");
    put_columns(t, sql);
    sck_buf_printf(sql, " FROM %s", t->name);
    if (!first) {
        unsigned param = 1;
        sck_buf_put_str(sql, " WHERE (");
        put_key_names(t, sql);
        sck_buf_put_str(sql, ") > (");
        for (size_t i = 0; i < t->count; i++) {
            if (is_key(&t->columns[i])) {
                sck_buf_printf(sql, "%s$%u", param == 1 ? "" : ", ", param);
                param++;
            }
        }
        sck_buf_put_str(sql, ")");
    }
    sck_buf_put_str(sql, " ORDER BY ");
    put_key_names(t, sql);
    sck_buf_printf(sql, " LIMIT %d", SCK_PAGE_ROWS);
}

static void
put_verb(const struct sck_table_desc *t, enum sck_table_verb verb, struct sck_buf *sql)
{
    switch (verb) {
    case SCK_VERB_INSERT:
        put_insert(t, sql);
        return;
    case SCK_VERB_SET_MAC:
        sck_buf_printf(sql, "UPDATE %s SET mac = $1", t->name);
        (void)put_where_key(t, 2, sql);
        return;
    case SCK_VERB_UPDATE:
    case SCK_VERB_SWAP:
        put_update(t, verb == SCK_VERB_SWAP, sql);
        return;
    case SCK_VERB_DELETE:
        sck_buf_printf(sql, "DELETE FROM %s", t->name);
        (void)put_where_key(t, 1, sql);
        return;
    case SCK_VERB_COUNT:
        sck_buf_printf(sql, "SELECT count(*) FROM %s", t->name);
        return;
    case SCK_VERB_FIRST:
    case SCK_VERB_NEXT:
        put_page(t, verb == SCK_VERB_FIRST, sql);
        return;
    }
}

static void
put_query(const struct sck_query_desc *q, struct sck_buf *sql)
{
    const struct sck_table_desc *t = sck_table_desc(q->table);
    const char *before = " WHERE ";
    unsigned param = 1;
    sck_buf_put_str(sql, "SELECT ");
    put_columns(t, sql);
    sck_buf_printf(sql, " FROM %s", t->name);
    if (q->fixed != NULL) {
        sck_buf_printf(sql, "%s%s", before, q->fixed);
        before = " AND ";
    }
    for (size_t i = 0; q->equal[i] != NULL; i++) {
        sck_buf_printf(sql, "%s%s = $%u", before, q->equal[i], param++);
        before = " AND ";
    }
    if (q->cursor != NULL) {
        sck_buf_printf(sql, "%s%s %s $%u", before, q->cursor, q->descending ? "<" : ">", param);
        sck_buf_printf(sql, " ORDER BY %s%s", q->cursor, q->descending ? " DESC" : "");
        param++;
    }
    sck_buf_printf(sql, " LIMIT $%u", param);
}

static void
make_all(void)
{
    for (unsigned slot = 0; slot < SCK_SLOT_COUNT; slot++) {
        struct sck_buf *sql = &made.text[slot];
        sck_buf_init(sql, SQL_MAX);
        if (slot < SCK_SLOT_QUERIES)
            put_verb(sck_table_desc((enum sck_table)(slot / SCK_VERBS)),
                     (enum sck_table_verb)(slot % SCK_VERBS), sql);
        else
            put_query(sck_query_desc((enum sck_query)(slot - SCK_SLOT_QUERIES)), sql);
        made.statements[slot] = (struct sck_statement){slot, sck_buf_str(sql)};
        made.failed = made.failed || sql->failed;
    }
}

enum sck_code
sck_statements_make(struct sck_err *err)
{
    pthread_once(&made.once, make_all);
    return made.failed ? sck_fail(err, SCK_E_MEMORY, "out of memory") : SCK_OK;
}

const struct sck_statement *
sck_table_statement(enum sck_table table, enum sck_table_verb verb)
{
    return &made.statements[(unsigned)table * SCK_VERBS + (unsigned)verb];
}

const struct sck_statement *
sck_query_statement(enum sck_query query)
{
    return &made.statements[SCK_SLOT_QUERIES + (unsigned)query];
}
