/* SPDX-License-Identifier: MIT */
/* Encryption contexts, bytes and text. */
#include "tests/fuzz/fuzz.h"

#include "lib/core/context.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sck_context ctx;
    struct sck_buf out;
    sck_buf_init(&out, 65536);
    sck_context_init(&ctx);
    if (sck_context_decode(data, len, &ctx, NULL) == SCK_OK) {
        FUZZ_REQUIRE(sck_context_encode(&ctx, &out, NULL) == SCK_OK);
        FUZZ_REQUIRE(sck_bytes_equal(out.data, out.len, data, len));
    }
    sck_context_clear(&ctx);
    sck_buf_reset(&out);
    sck_context_init(&ctx);
    if (sck_context_parse((const char *)data, len, &ctx, NULL) == SCK_OK) {
        FUZZ_REQUIRE(sck_context_format(&ctx, &out, NULL) == SCK_OK);
        FUZZ_REQUIRE(sck_bytes_equal(out.data, out.len, data, len));
    }
    sck_context_clear(&ctx);
    sck_buf_clear(&out);
    return 0;
}
