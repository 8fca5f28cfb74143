/* SPDX-License-Identifier: MIT */
/* The strict texts of lib/base: base64, hex, percent, numbers, times, UUIDs. */
#include "tests/fuzz/fuzz.h"

#include "lib/base/text.h"

#include <string.h>

static void
base64(const char *text, size_t len)
{
    struct sck_buf raw;
    struct sck_buf back;
    struct sck_buf again;
    sck_buf_init(&raw, 65536);
    sck_buf_init(&back, 2 * 65536);
    sck_buf_init(&again, 65536);
    if (sck_base64_parse(text, len, &raw)) {
        sck_base64_format(raw.data, raw.len, &back);
        FUZZ_REQUIRE(sck_base64_parse((const char *)back.data, back.len, &again));
        FUZZ_REQUIRE(sck_bytes_equal(raw.data, raw.len, again.data, again.len));
    }
    sck_buf_reset(&raw);
    sck_buf_reset(&back);
    if (sck_percent_parse(text, len, &raw)) {
        sck_percent_format(raw.data, raw.len, &back);
        FUZZ_REQUIRE(sck_bytes_equal(back.data, back.len, text, len));
    }
    sck_buf_clear(&raw);
    sck_buf_clear(&back);
    sck_buf_clear(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    int64_t when = 0;
    uint64_t number = 0;
    uint8_t uuid[16];
    base64(text, len);
    if (sck_time_parse(text, len, &when)) {
        char back[SCK_TIME_TEXT];
        sck_time_format(when, back);
        FUZZ_REQUIRE(strlen(back) == len && memcmp(back, text, len) == 0);
    }
    if (sck_uuid_parse(text, len, uuid)) {
        char back[SCK_UUID_TEXT];
        sck_uuid_format(uuid, back);
        FUZZ_REQUIRE(memcmp(back, text, len) == 0);
    }
    if (sck_u64_parse(text, len, UINT64_MAX, &number)) {
        struct sck_buf back;
        sck_buf_init(&back, 64);
        sck_buf_printf(&back, "%llu", (unsigned long long)number);
        FUZZ_REQUIRE(sck_bytes_equal(back.data, back.len, data, len));
        sck_buf_clear(&back);
    }
    (void)sck_utf8_is_clean(data, len);
    return 0;
}
