/* SPDX-License-Identifier: MIT */
/* Key URIs, labels and scopes. */
#include "tests/fuzz/fuzz.h"

#include "lib/core/uri.h"

#include <string.h>
#include <strings.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sck_uri uri;
    struct sck_scope scope;
    struct sck_buf out;
    char name[SCK_KEY_NAME_MAX + 1];
    const char *text = (const char *)data;
    sck_buf_init(&out, 65536);
    if (sck_uri_parse(text, len, &uri, NULL) == SCK_OK) {
        struct sck_uri again;
        sck_uri_format(&uri, &out);
        FUZZ_REQUIRE(sck_uri_parse((const char *)out.data, out.len, &again, NULL) == SCK_OK);
        FUZZ_REQUIRE(memcmp(&uri, &again, sizeof uri) == 0);
    }
    sck_buf_reset(&out);
    if (sck_label_parse(text, len, &scope, name, NULL) == SCK_OK) {
        sck_label_format(&scope, name, &out);
        FUZZ_REQUIRE(sck_bytes_equal(out.data, out.len, data, len));
    }
    sck_buf_reset(&out);
    if (sck_scope_parse(text, len, &scope, NULL) == SCK_OK) {
        sck_scope_format(&scope, &out);
        FUZZ_REQUIRE(sck_bytes_equal(out.data, out.len, data, len));
    }
    sck_buf_clear(&out);
    return 0;
}
