/* SPDX-License-Identifier: MIT */
/*
 * Strict JSON: duplicates, unknown members, deep nesting and non-canonical base64 are refused, by name where
 * possible.
 * Messages of failures are written for the client: they hold no part of a value.
 */
#ifndef SCK_REST_JSON_H
#define SCK_REST_JSON_H

#include "lib/base/bytes.h"

#include <jansson.h>

#define SCK_JSON_DEPTH_MAX 32

/* Make jansson wipe what it frees (values are plaintext).  Once, before the daemon's first use of jansson. */
void sck_rest_json_setup(void);

/* A JSON object from the bytes of a body; json_decref() it.  SCK_E_USAGE: malformed, duplicate member, too deep. */
SCK_MUST_CHECK enum sck_code sck_rest_json_parse(const uint8_t *data, size_t len, json_t **out, struct sck_err *err);

struct sck_rest_json_member {
    const char *name;
    json_type type;             /* JSON_STRING, JSON_OBJECT or JSON_INTEGER */
    bool required;
};
/* Exactly these members with these types, the required ones present.  SCK_E_USAGE names the first that differs. */
SCK_MUST_CHECK enum sck_code sck_rest_json_check(json_t *object, const struct sck_rest_json_member *members,
                                                 size_t count, struct sck_err *err);

/* The string `name` (borrowed; may hold NUL bytes), or {NULL, 0} when absent. */
struct sck_bytes sck_rest_json_text(const json_t *object, const char *name);
/* Decode the base64 string `name`, which is there, into an initialised buffer.  SCK_E_USAGE names it. */
SCK_MUST_CHECK enum sck_code sck_rest_json_base64(const json_t *object, const char *name, struct sck_buf *out,
                                                  struct sck_err *err);
/* Add a base64 string; false when out of memory. */
bool sck_rest_json_put_base64(json_t *object, const char *name, const uint8_t *data, size_t len);

#endif
