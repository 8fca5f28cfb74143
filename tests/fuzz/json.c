/* SPDX-License-Identifier: MIT */
/* The daemon's strict JSON. */
#include "tests/fuzz/fuzz.h"

#include "rest/json.h"

#include <jansson.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static int ready;
    struct sck_buf bytes;
    json_t *o = NULL;
    if (!ready) {
        sck_rest_json_setup();
        ready = 1;
    }
    if (sck_rest_json_parse(data, len, &o, NULL) != SCK_OK) {
        FUZZ_REQUIRE(o == NULL);
        return 0;
    }
    FUZZ_REQUIRE(json_is_object(o));
    sck_buf_init(&bytes, 65536);
    (void)!sck_rest_json_base64(o, "ciphertext", &bytes, NULL);
    (void)sck_rest_json_text(o, "plaintext");
    sck_buf_clear(&bytes);
    json_decref(o);
    return 0;
}
