/* SPDX-License-Identifier: MIT */
/* Changing one line of a scopekey.conf that people wrote, and leaving the rest as it is. */
#include "lib/service/conf.h"

#include "lib/base/file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_MAX_BYTES (1024U * 1024U)

static const char *
skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

/* Whether a line is "[ name ]" (config(5ssl)). */
static bool
is_section(const char *line, const char *end, const char *name)
{
    size_t len = strlen(name);
    const char *at = skip_blanks(line, end);
    if (at == end || *at != '[')
        return false;
    at = skip_blanks(at + 1, end);
    if ((size_t)(end - at) < len || memcmp(at, name, len) != 0)
        return false;
    at = skip_blanks(at + len, end);
    return at < end && *at == ']';
}

/* Whether a line is "name = ...". */
static bool
is_key(const char *line, const char *end, const char *name)
{
    size_t len = strlen(name);
    const char *at = skip_blanks(line, end);
    if ((size_t)(end - at) < len || memcmp(at, name, len) != 0)
        return false;
    at = skip_blanks(at + len, end);
    return at < end && *at == '=';
}

/* The text with the line in its place, or behind the section's head when there was none.  False without the section. */
static bool
edit(const struct sck_buf *text, const char *section, const char *key, const char *value, struct sck_buf *out)
{
    const char *at = (const char *)text->data;
    const char *stop = at + text->len;
    size_t head = SIZE_MAX;
    bool inside = false;
    bool found = false;
    while (at < stop) {
        const char *eol = memchr(at, '\n', (size_t)(stop - at));
        const char *end = eol != NULL ? eol : stop;
        const char *first = skip_blanks(at, end);
        if (first < end && *first == '[')
            inside = is_section(at, end, section);
        if (inside && is_key(at, end, key)) {
            sck_buf_printf(out, "%s = %s", key, value);
            found = true;
        } else {
            sck_buf_put(out, at, (size_t)(end - at));
        }
        sck_buf_put_str(out, "\n");
        if (inside && head == SIZE_MAX)
            head = out->len;
        at = eol != NULL ? eol + 1 : stop;
    }
    if (found || head == SIZE_MAX)
        return found;
    struct sck_buf rest;
    sck_buf_init(&rest, CONF_MAX_BYTES);
    sck_buf_put(&rest, out->data + head, out->len - head);
    out->len = head;
    sck_buf_printf(out, "%s = %s\n", key, value);
    sck_buf_put(out, rest.data, rest.len);
    out->failed = out->failed || rest.failed;
    sck_buf_clear(&rest);
    return true;
}

enum sck_code
sck_conf_set(const char *path, const char *section, const char *key, const char *value, struct sck_err *err)
{
    struct stat st;
    struct sck_buf text = {0};
    struct sck_buf out;
    sck_buf_init(&out, CONF_MAX_BYTES);
    if (lstat(path, &st) != 0)
        return sck_fail_errno(err, SCK_E_CONFIG, errno, "cannot read configuration %s", path);
    /* Replacing the file would give it to us. */
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return sck_fail(err, SCK_E_CONFIG, "%s is not a file of this user: set `%s = %s` in its section [%s]", path, key,
                        value, section);
    enum sck_code rc = sck_file_read(path, CONF_MAX_BYTES, &text, err);
    if (rc == SCK_OK && !edit(&text, section, key, value, &out))
        rc = sck_fail(err, SCK_E_CONFIG, "%s has no section [%s]: set `%s = %s` there", path, section, key, value);
    if (rc == SCK_OK)
        rc = sck_buf_check(&out, "scopekey.conf", err);
    if (rc == SCK_OK)
        rc = sck_file_replace(path, out.data, out.len, st.st_mode & 0777, err);
    sck_buf_clear(&text);
    sck_buf_clear(&out);
    return rc;
}
