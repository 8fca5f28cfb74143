/* SPDX-License-Identifier: MIT */
/* A small seeded generator for property tests.  A failing run is repeated with SCOPEKEY_TEST_SEED=<printed seed>. */
#ifndef TESTS_LIB_PROP_H
#define TESTS_LIB_PROP_H

#include <stddef.h>
#include <stdint.h>

struct prop {
    uint64_t state;
};

/* Start from SCOPEKEY_TEST_SEED or the fixed default, and print "# NAME: seed N". */
void prop_init(struct prop *p, const char *name);
/* xorshift64*, Marsaglia 2003. */
uint64_t prop_next(struct prop *p);
/* 0 to n - 1; n is at least 1. */
uint32_t prop_below(struct prop *p, uint32_t n);
void prop_bytes(struct prop *p, uint8_t *out, size_t len);
/*
 * Clean UTF-8 (no control characters) of 1 to max_bytes bytes and a NUL; returns its length.  Rich in characters that
 * escaping and naming stumble over.
 */
size_t prop_utf8(struct prop *p, char *out, size_t max_bytes);
/* 1 to max_bytes of `alphabet`, the first from `first`, and a NUL; returns its length. */
size_t prop_word(struct prop *p, const char *first, const char *alphabet, char *out, size_t max_bytes);

#endif
