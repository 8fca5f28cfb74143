/* SPDX-License-Identifier: MIT */
/* Operands: URIs, scopes and subjects as people write them. */
#include "cli/cli.h"

#include <string.h>

#define SCHEME "scopekey:"

static const char *
after_scheme(const char *text)
{
    return sck_uri_has_scheme(text) ? text + strlen(SCHEME) : text;
}

enum sck_code
sck_cli_uri_read(const char *text, struct sck_uri *out, struct sck_err *err)
{
    struct sck_buf full;
    sck_buf_init(&full, 8192);
    sck_buf_put_str(&full, SCHEME);
    sck_buf_put_str(&full, after_scheme(text));
    enum sck_code code = sck_buf_check(&full, "key URI", err);
    if (code == SCK_OK)
        code = sck_uri_parse((const char *)full.data, full.len, out, err);
    sck_buf_clear(&full);
    return code;
}

enum sck_code
sck_cli_scope_read(const char *text, struct sck_scope *out, struct sck_err *err)
{
    const char *path = after_scheme(text);
    return sck_scope_parse(path, strlen(path), out, err);
}

enum sck_code
sck_cli_subject_read(const char *text, struct sck_scope *out, struct sck_err *err)
{
    if (sck_uri_has_scheme(text) || strncmp(text, "subject/", strlen("subject/")) == 0) {
        enum sck_code code = sck_cli_scope_read(text, out, err);
        if (code == SCK_OK && out->kind != SCK_SCOPE_SUBJECT)
            code = sck_fail(err, SCK_E_USAGE, "\"%s\" is no subject: write subject/ and its id", text);
        return code;
    }
    return sck_scope_make(SCK_SCOPE_SUBJECT, text, strlen(text), out, err);
}

enum sck_code
sck_cli_key_find(struct sck_cli *cli, const char *text, struct sck_key_info *out, struct sck_err *err)
{
    enum sck_code code;
    if (!sck_uri_has_scheme(text) && sck_key_id_is_valid(text, strlen(text))) {
        code = sck_cli_open(cli, err);
        return code != SCK_OK ? code : sck_key_find_by_key_id(cli->service, text, 0, out, err);
    }
    struct sck_uri uri;
    code = sck_cli_uri_read(text, &uri, err);
    if (code == SCK_OK)
        code = sck_cli_open(cli, err);
    return code != SCK_OK ? code : sck_key_find(cli->service, &uri, out, err);
}
