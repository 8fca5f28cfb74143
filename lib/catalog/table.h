/* SPDX-License-Identifier: MIT */
/*
 * What is where: the tables' columns and the queries, as data.  All code that reads or writes rows is generic over
 * these two tables.
 */
#ifndef SCK_CATALOG_TABLE_H
#define SCK_CATALOG_TABLE_H

#include "lib/catalog/catalog.h"

enum { SCK_TABLE_COUNT = SCK_TABLE_SETUP + 1, SCK_QUERY_COUNT = SCK_BY_SETUP + 1 };
enum { SCK_COLUMNS_MAX = 20, SCK_EQUAL_MAX = 3 };

/* How a field of a record becomes a column. */
enum sck_column_type {
    SCK_COLUMN_U32,         /* uint32_t: integer */
    SCK_COLUMN_I64,         /* int64_t: integer */
    SCK_COLUMN_TEXT,        /* char[size] with its NUL: text */
    SCK_COLUMN_BYTES,       /* uint8_t[size]: blob of exactly `size` bytes */
    SCK_COLUMN_BUF,         /* struct sck_buf: blob of at most SCK_REC_BLOB_MAX bytes */
    SCK_COLUMN_TIME,        /* int64_t seconds: text, RFC 3339 in UTC */
    SCK_COLUMN_TIME_OR_NULL /* the same; 0 is NULL */
};

enum {
    SCK_COLUMN_KEY = 1,         /* part of the primary key */
    SCK_COLUMN_GIVEN = 2,       /* the database gives its value at insertion */
    SCK_COLUMN_PUBLIC = 4,      /* may be read without a login; covered by `signature` */
    SCK_COLUMN_SIGNATURE = 8,   /* the signature over the public columns */
    SCK_COLUMN_WRAPPED = 32,    /* a wrapped DEK, which sck_catalog_swap() replaces */
    SCK_COLUMN_LATER = 16       /* a number that a later schema brought: 0 in older rows, whose MAC does not cover it */
};

struct sck_column {
    const char *name;       /* in SQL; plain lower-case, never quoted */
    enum sck_column_type type;
    size_t offset;          /* bytes into the record */
    size_t size;            /* bytes of the field */
    unsigned flags;
};

/* Every table has one more column, `mac`, behind these. */
struct sck_table_desc {
    const char *name;       /* in SQL and in the MAC */
    size_t record_size;     /* bytes */
    size_t count;           /* columns without `mac` */
    const struct sck_column *columns;
};

struct sck_query_desc {
    enum sck_table table;
    const char *fixed;                      /* condition without parameters, or NULL */
    const char *equal[SCK_EQUAL_MAX + 1];   /* columns that must equal the record's; NULL ends */
    const char *cursor;                     /* orders the rows and turns the pages; NULL: at most one row */
    bool descending;
    bool from_record;                       /* only rows behind the record's own value of `cursor`; else all */
};

/* Both never NULL. */
const struct sck_table_desc *sck_table_desc(enum sck_table table);
const struct sck_query_desc *sck_query_desc(enum sck_query query);
/* Index of a column; the name must be one of the table's. */
size_t sck_column_index(const struct sck_table_desc *table, const char *name);

/* Room for a record of any table. */
union sck_any_record {
    struct sck_owner_rec owner;
    struct sck_kek_rec kek;
    struct sck_key_rec key;
    struct sck_version_rec version;
    struct sck_tomb_rec tomb;
    struct sck_receipt_rec receipt;
    struct sck_file_rec file;
    struct sck_epoch_rec epoch;
    struct sck_backup_rec backup;
    struct sck_pledge_rec pledge;
    struct sck_setup_rec setup;
};

#endif
