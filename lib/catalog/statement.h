/* SPDX-License-Identifier: MIT */
/* The SQL of every table and query, made once per process from lib/catalog/table.h. */
#ifndef SCK_CATALOG_STATEMENT_H
#define SCK_CATALOG_STATEMENT_H

#include "lib/catalog/table.h"

/* Rows read at once by a walk. */
enum { SCK_PAGE_ROWS = 64 };

enum sck_table_verb {
    SCK_VERB_INSERT,    /* values of all columns but given ones, mac; returns the given column if there is one */
    SCK_VERB_SET_MAC,   /* mac, key columns */
    SCK_VERB_UPDATE,    /* values of all columns but key columns, mac, key columns */
    SCK_VERB_SWAP,      /* the wrapped DEK, mac, key columns, and the mac the row must have */
    SCK_VERB_DELETE,    /* key columns */
    SCK_VERB_COUNT,     /* returns one integer */
    SCK_VERB_FIRST,     /* returns the first page of all rows: all columns, mac */
    SCK_VERB_NEXT       /* key columns of the last row; returns the page behind it */
};
enum { SCK_VERBS = SCK_VERB_NEXT + 1 };

/* `slot` tells a connection where it keeps the prepared form. */
enum {
    SCK_SLOT_TABLES = 0,
    SCK_SLOT_QUERIES = SCK_SLOT_TABLES + SCK_TABLE_COUNT * SCK_VERBS,
    SCK_SLOT_COUNT = SCK_SLOT_QUERIES + SCK_QUERY_COUNT
};
struct sck_statement {
    unsigned slot;
    const char *sql;
};

/* Never fail after sck_statements_make() succeeded. */
const struct sck_statement *sck_table_statement(enum sck_table table, enum sck_table_verb verb);
/* Parameters: the `equal` columns, the cursor if there is one, the number of rows.  Returns all columns, mac. */
const struct sck_statement *sck_query_statement(enum sck_query query);

/* Make them all, the first time it is called.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_statements_make(struct sck_err *err);

#endif
