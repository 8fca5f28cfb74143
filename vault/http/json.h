/* SPDX-License-Identifier: MIT */
/*
 * Reads JSON (RFC 8259) where it lies: nothing is copied or allocated, so that a secret in a reply never leaves the
 * locked buffer it came in.  That is why this is not jansson, against which the tests compare it.
 */
#ifndef SCK_VAULT_HTTP_JSON_H
#define SCK_VAULT_HTTP_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCK_JSON_DEPTH_MAX 32

enum sck_json_kind {
    SCK_JSON_NONE,      /* absent */
    SCK_JSON_OBJECT,
    SCK_JSON_ARRAY,
    SCK_JSON_STRING,
    SCK_JSON_NUMBER,
    SCK_JSON_TRUE,
    SCK_JSON_FALSE,
    SCK_JSON_NULL
};

/* A value: its raw text, borrowed.  A string's text is what stands between the quotes. */
struct sck_json {
    enum sck_json_kind kind;
    const char *at;
    size_t len;
};

/* The value that is the whole text; kind NONE unless all of it is well-formed, at most SCK_JSON_DEPTH_MAX deep. */
struct sck_json sck_json_parse(const char *text, size_t len);
/* A member; NONE when absent, spelled with escapes, or there more than once. */
struct sck_json sck_json_get(struct sck_json object, const char *name);
/*
 * Go through an object's members in order; start with *at = 0.  False behind the last one, or when it is no object.
 * `name` is the raw text of the name, with its escapes.
 */
bool sck_json_member(struct sck_json object, size_t *at, struct sck_json *name, struct sck_json *value);
/* The n-th item from 0 of an array; NONE behind its end. */
struct sck_json sck_json_item(struct sck_json array, size_t n);
/* The items of an array one after the other: start with *at = 0.  False behind the last one. */
bool sck_json_next(struct sck_json array, size_t *at, struct sck_json *value);
/* A string with its escapes undone, cut to fit; \u above 7F becomes '?'.  False, with "" in `out`, when it is none. */
bool sck_json_text(struct sck_json value, char *out, size_t cap);
/* True for a string that is exactly `text` (no escapes). */
bool sck_json_is(struct sck_json value, const char *text);
/* A whole number from 0 to `max` in plain decimal. */
bool sck_json_u64(struct sck_json value, uint64_t max, uint64_t *out);

#endif
