/* SPDX-License-Identifier: MIT */
#include "lib/catalog/marshal.h"

#include <string.h>

/* Fields are reached by offset; memcpy keeps that free of alignment and aliasing questions. */
static const uint8_t *
field(const struct sck_column *column, const void *record)
{
    return (const uint8_t *)record + column->offset;
}

static uint8_t *
field_to_write(const struct sck_column *column, void *record)
{
    return (uint8_t *)record + column->offset;
}

static int64_t
number_of(const struct sck_column *column, const void *record)
{
    if (column->type == SCK_COLUMN_U32) {
        uint32_t v;
        memcpy(&v, field(column, record), sizeof v);
        return v;
    }
    int64_t v;
    memcpy(&v, field(column, record), sizeof v);
    return v;
}

static enum sck_code
get_time(const struct sck_column *column, int64_t seconds, char time[SCK_TIME_TEXT], struct sck_value *value,
         struct sck_err *err)
{
    if (column->type == SCK_COLUMN_TIME_OR_NULL && seconds == 0) {
        *value = (struct sck_value){.type = SCK_VALUE_NULL};
        return SCK_OK;
    }
    sck_time_format(seconds, time);
    if (time[0] == '\0')
        return sck_fail(err, SCK_E_USAGE, "catalog column %s: %lld is no time between 1970 and 9999", column->name,
                        (long long)seconds);
    *value = (struct sck_value){SCK_VALUE_TEXT, 0, (const uint8_t *)time, strlen(time)};
    return SCK_OK;
}

enum sck_code
sck_value_get(const struct sck_column *column, const void *record, char time[SCK_TIME_TEXT],
              struct sck_value *value, struct sck_err *err)
{
    const uint8_t *at = field(column, record);
    struct sck_buf buf;
    size_t len;
    switch (column->type) {
    case SCK_COLUMN_U32:
    case SCK_COLUMN_I64:
        *value = (struct sck_value){.type = SCK_VALUE_INT, .number = number_of(column, record)};
        return SCK_OK;
    case SCK_COLUMN_TEXT:
        len = strnlen((const char *)at, column->size);
        if (len == column->size)
            return sck_fail(err, SCK_E_USAGE, "catalog column %s: more than %zu bytes", column->name,
                            column->size - 1);
        *value = (struct sck_value){SCK_VALUE_TEXT, 0, at, len};
        return SCK_OK;
    case SCK_COLUMN_BYTES:
        *value = (struct sck_value){SCK_VALUE_BLOB, 0, at, column->size};
        return SCK_OK;
    case SCK_COLUMN_BUF:
        memcpy(&buf, at, sizeof buf);
        if (buf.failed || buf.len > SCK_REC_BLOB_MAX)
            return sck_fail(err, SCK_E_USAGE, "catalog column %s: more than %u bytes", column->name,
                            SCK_REC_BLOB_MAX);
        *value = (struct sck_value){SCK_VALUE_BLOB, 0, buf.data, buf.len};
        return SCK_OK;
    case SCK_COLUMN_TIME:
    case SCK_COLUMN_TIME_OR_NULL:
        return get_time(column, number_of(column, record), time, value, err);
    }
    return sck_fail(err, SCK_E_INTERNAL, "catalog column %s has no type", column->name);
}

enum sck_code
sck_row_get(const struct sck_table_desc *table, const void *record, struct sck_row *row, struct sck_err *err)
{
    row->count = table->count;
    for (size_t i = 0; i < table->count; i++) {
        enum sck_code rc = sck_value_get(&table->columns[i], record, row->times[i], &row->values[i], err);
        if (rc != SCK_OK)
            return rc;
    }
    return SCK_OK;
}

static bool
fill_bytes(const struct sck_column *column, const struct sck_value *value, void *record)
{
    uint8_t *at = field_to_write(column, record);
    if (column->type == SCK_COLUMN_BYTES) {
        if (value->type != SCK_VALUE_BLOB || value->len != column->size)
            return false;
        memcpy(at, value->data, value->len);
        return true;
    }
    if (value->type != SCK_VALUE_TEXT || value->len >= column->size ||
        (value->len > 0 && memchr(value->data, '\0', value->len) != NULL))
        return false;
    if (value->len > 0)
        memcpy(at, value->data, value->len);
    return true;
}

static bool
fill_number(const struct sck_column *column, const struct sck_value *value, void *record)
{
    uint8_t *at = field_to_write(column, record);
    if (value->type != SCK_VALUE_INT)
        return false;
    if (column->type == SCK_COLUMN_I64) {
        memcpy(at, &value->number, sizeof value->number);
        return true;
    }
    if (value->number < 0 || value->number > UINT32_MAX)
        return false;
    uint32_t v = (uint32_t)value->number;
    memcpy(at, &v, sizeof v);
    return true;
}

static bool
fill_time(const struct sck_column *column, const struct sck_value *value, void *record)
{
    int64_t seconds = 0;
    if (value->type == SCK_VALUE_NULL)
        return column->type == SCK_COLUMN_TIME_OR_NULL;
    if (value->type != SCK_VALUE_TEXT || !sck_time_parse((const char *)value->data, value->len, &seconds))
        return false;
    memcpy(field_to_write(column, record), &seconds, sizeof seconds);
    return true;
}

/* False when the value does not fit; a buffer that lacks memory is marked as failed. */
static bool
fill_column(const struct sck_column *column, const struct sck_value *value, void *record, bool *no_memory)
{
    struct sck_buf buf;
    switch (column->type) {
    case SCK_COLUMN_U32:
    case SCK_COLUMN_I64:
        return fill_number(column, value, record);
    case SCK_COLUMN_TEXT:
    case SCK_COLUMN_BYTES:
        return fill_bytes(column, value, record);
    case SCK_COLUMN_BUF:
        if (value->type != SCK_VALUE_BLOB || value->len > SCK_REC_BLOB_MAX)
            return false;
        sck_buf_init(&buf, SCK_REC_BLOB_MAX);
        sck_buf_put(&buf, value->data, value->len);
        *no_memory = buf.failed;
        memcpy(field_to_write(column, record), &buf, sizeof buf);
        return true;
    case SCK_COLUMN_TIME:
    case SCK_COLUMN_TIME_OR_NULL:
        return fill_time(column, value, record);
    }
    return false;
}

bool
sck_value_put(const struct sck_column *column, const struct sck_value *value, void *record)
{
    bool no_memory = false;
    return fill_column(column, value, record, &no_memory) && !no_memory;
}

enum sck_code
sck_record_fill(const struct sck_table_desc *table, const struct sck_value *values, bool public_only, void *record,
                struct sck_err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct sck_column *column = &table->columns[i];
        bool no_memory = false;
        if (public_only && (column->flags & (SCK_COLUMN_PUBLIC | SCK_COLUMN_SIGNATURE)) == 0)
            continue;
        if (!fill_column(column, &values[i], record, &no_memory))
            return sck_fail(err, SCK_E_INTEGRITY, "column %s holds what Scopekey never writes", column->name);
        if (no_memory)
            return sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    return SCK_OK;
}

void
sck_record_clear(enum sck_table table, void *record)
{
    const struct sck_table_desc *t = sck_table_desc(table);
    for (size_t i = 0; i < t->count; i++) {
        if (t->columns[i].type != SCK_COLUMN_BUF)
            continue;
        struct sck_buf buf;
        memcpy(&buf, field(&t->columns[i], record), sizeof buf);
        sck_buf_clear(&buf);
    }
    sck_wipe(record, t->record_size);
}

int
sck_value_compare(const struct sck_value *a, const struct sck_value *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->type == SCK_VALUE_INT)
        return (a->number > b->number) - (a->number < b->number);
    size_t common = a->len < b->len ? a->len : b->len;
    int order = common > 0 ? memcmp(a->data, b->data, common) : 0;
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

void
sck_row_name(const struct sck_table_desc *table, const struct sck_value *values, struct sck_buf *out)
{
    const char *before = "";
    for (size_t i = 0; i < table->count; i++) {
        const struct sck_value *value = &values[i];
        if ((table->columns[i].flags & SCK_COLUMN_KEY) == 0)
            continue;
        sck_buf_printf(out, "%s%s = ", before, table->columns[i].name);
        before = ", ";
        if (value->type == SCK_VALUE_INT)
            sck_buf_printf(out, "%lld", (long long)value->number);
        for (size_t k = 0; value->type == SCK_VALUE_BLOB && k < value->len; k++)
            sck_buf_printf(out, "%02x", value->data[k]);
    }
}

enum sck_code
sck_table_mac(const struct sck_table_desc *table, const struct sck_secret *row_key, const uint8_t catalog_id[16],
              const struct sck_value *values, uint8_t mac[SCK_SHA256_LEN], struct sck_err *err)
{
    const char *names[SCK_COLUMNS_MAX];
    struct sck_value covered[SCK_COLUMNS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < table->count; i++) {
        /* While it is 0 the row is what it was before there was the column. */
        if ((table->columns[i].flags & SCK_COLUMN_LATER) != 0 && values[i].type == SCK_VALUE_INT &&
            values[i].number == 0)
            continue;
        names[count] = table->columns[i].name;
        covered[count++] = values[i];
    }
    return sck_row_mac(row_key, table->name, catalog_id, names, covered, count, mac, err);
}

enum sck_code
sck_record_public_bytes(enum sck_table table, const uint8_t catalog_id[16], const void *record, struct sck_buf *out,
                        struct sck_err *err)
{
    const struct sck_table_desc *t = sck_table_desc(table);
    const char *names[SCK_COLUMNS_MAX];
    struct sck_value values[SCK_COLUMNS_MAX];
    size_t count = 0;
    struct sck_row row;
    enum sck_code rc = sck_row_get(t, record, &row, err);
    if (rc != SCK_OK)
        return rc;
    for (size_t i = 0; i < t->count; i++) {
        if ((t->columns[i].flags & SCK_COLUMN_PUBLIC) == 0)
            continue;
        names[count] = t->columns[i].name;
        values[count++] = row.values[i];
    }
    if (count == 0)
        return sck_fail(err, SCK_E_INTERNAL, "table %s has no public columns", t->name);
    sck_row_encode(t->name, catalog_id, names, values, count, out);
    return sck_buf_check(out, "public columns", err);
}
