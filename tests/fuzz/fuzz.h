/* SPDX-License-Identifier: MIT */
/*
 * Fuzz targets: one function per parser, given any bytes.  What it accepts it must write back in the same spelling.
 * `make check` replays the corpora through replay.c; configured with --enable-fuzzing (clang) the same targets run under
 * libFuzzer, as `scripts/check.sh --long` does for a bounded time.
 */
#ifndef SCK_TESTS_FUZZ_H
#define SCK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A broken promise ends the run, so that the fuzzer keeps the input. */
#define FUZZ_REQUIRE(what)                                                                                          \
    do {                                                                                                            \
        if (!(what))                                                                                                \
            abort();                                                                                                \
    } while (0)

#endif
