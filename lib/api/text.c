/* SPDX-License-Identifier: MIT */
/* What needs no open set-up: contexts as text, metrics, the version. */
#include "lib/api/api.h"

#include "lib/base/metric.h"

#include <string.h>

enum { METRICS_MAX = 8 * 1024 * 1024, CONTEXT_TEXT_MAX = 4 * SCK_CONTEXT_BYTES_MAX };

const char *
scopekey_version(void)
{
    return PACKAGE_VERSION;
}

enum scopekey_code
scopekey_context_format(const void *context, size_t length, char **out, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_context ctx;
    struct sck_buf text;
    void *bytes = NULL;
    sck_api_begin(error);
    if (out != NULL)
        *out = NULL;
    if (context == NULL || out == NULL)
        return sck_api_null(error, "scopekey_context_format");
    sck_buf_init(&text, CONTEXT_TEXT_MAX);
    enum sck_code rc = sck_context_decode(context, length, &ctx, &err);
    if (rc == SCK_OK) {
        rc = sck_context_format(&ctx, &text, &err);
        sck_context_clear(&ctx);
    }
    if (rc == SCK_OK)
        rc = sck_api_steal(&text, &bytes, NULL, &err);
    sck_buf_clear(&text);
    *out = bytes;
    return rc == SCK_OK ? SCOPEKEY_OK : sck_api_fail(error, rc, &err);
}

enum scopekey_code
scopekey_context_parse(const char *text, size_t length, void **out, size_t *out_length, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_context ctx;
    struct sck_buf bytes;
    sck_api_begin(error);
    if (out != NULL)
        *out = NULL;
    if (text == NULL || out == NULL || out_length == NULL)
        return sck_api_null(error, "scopekey_context_parse");
    sck_buf_init(&bytes, SCK_CONTEXT_BYTES_MAX);
    enum sck_code rc = sck_context_parse(text, length, &ctx, &err);
    if (rc == SCK_OK) {
        rc = sck_context_encode(&ctx, &bytes, &err);
        sck_context_clear(&ctx);
    }
    if (rc == SCK_OK)
        rc = sck_api_steal(&bytes, out, out_length, &err);
    sck_buf_clear(&bytes);
    return rc == SCK_OK ? SCOPEKEY_OK : sck_api_fail(error, rc, &err);
}

enum scopekey_code
scopekey_metrics_format(char **out, size_t *length, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf text;
    void *bytes = NULL;
    sck_api_begin(error);
    if (out != NULL)
        *out = NULL;
    if (out == NULL)
        return sck_api_null(error, "scopekey_metrics_format");
    sck_buf_init(&text, METRICS_MAX);
    sck_metrics_format(&text);
    enum sck_code rc = sck_api_steal(&text, &bytes, length, &err);
    sck_buf_clear(&text);
    *out = bytes;
    return rc == SCK_OK ? SCOPEKEY_OK : sck_api_fail(error, rc, &err);
}
