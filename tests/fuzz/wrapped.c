/* SPDX-License-Identifier: MIT */
/* Wrapped DEKs, payloads and short seals. */
#include "tests/fuzz/fuzz.h"

#include "lib/core/seal.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t hash[SCK_SHA256_LEN];
    static struct sck_secret *dek;
    struct sck_wrapped w;
    struct sck_buf out;
    struct sck_secret *opened = NULL;
    sck_buf_init(&out, 65536);
    if (sck_wrapped_decode(data, len, &w, NULL) == SCK_OK) {
        FUZZ_REQUIRE(sck_wrapped_encode(&w, &out, NULL) == SCK_OK);
        FUZZ_REQUIRE(sck_bytes_equal(out.data, out.len, data, len));
    }
    (void)!sck_payload_decode(data, len, hash, &opened, NULL);
    sck_secret_free(&opened);
    if (dek == NULL)
        FUZZ_REQUIRE(sck_secret_new(SCK_DEK_LEN, &dek, NULL) == SCK_OK);
    /* Nobody seals without the DEK. */
    FUZZ_REQUIRE(sck_seal_open(dek, hash, sizeof hash, data, len, &opened, NULL) != SCK_OK);
    sck_buf_clear(&out);
    return 0;
}
