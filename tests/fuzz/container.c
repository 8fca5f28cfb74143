/* SPDX-License-Identifier: MIT */
/* The head of an encrypted file, and the FLOE header behind it. */
#include "tests/fuzz/fuzz.h"

#include "lib/core/container.h"
#include "lib/core/floe.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct sck_container c;
    static struct sck_secret *key;
    struct sck_buf out;
    struct sck_floe *floe = NULL;
    if (key == NULL)
        FUZZ_REQUIRE(sck_secret_new(32, &key, NULL) == SCK_OK);
    if (len >= SCK_FLOE_HEADER_LEN)
        FUZZ_REQUIRE(sck_floe_decrypt_new(key, (const uint8_t *)"other", 5, data, &floe, NULL) != SCK_OK);
    if (len < SCK_CONTAINER_FIXED_LEN || sck_container_decode_fixed(data, &c, NULL) != SCK_OK)
        return 0;
    FUZZ_REQUIRE(c.body_off >= SCK_CONTAINER_FIXED_LEN && c.meta_len <= SCK_CONTAINER_META_MAX);
    size_t rest = c.body_off - SCK_CONTAINER_FIXED_LEN;
    if (len - SCK_CONTAINER_FIXED_LEN < rest ||
        sck_container_decode_rest(data + SCK_CONTAINER_FIXED_LEN, rest, &c, NULL) != SCK_OK)
        return 0;
    sck_buf_init(&out, SCK_CONTAINER_HEAD_MAX);
    if (c.slot_count == 0) {
        FUZZ_REQUIRE(sck_container_encode(&c, &out, NULL) == SCK_OK);
        FUZZ_REQUIRE(sck_bytes_equal(out.data, out.len, data, c.body_off));
    }
    sck_buf_reset(&out);
    sck_container_aad(&c, &out);
    FUZZ_REQUIRE(!out.failed);
    sck_buf_clear(&out);
    return 0;
}
