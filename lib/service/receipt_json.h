/* SPDX-License-Identifier: MIT */
/* Inside lib/service: receipts as JSON. */
#ifndef SCK_SERVICE_RECEIPT_JSON_H
#define SCK_SERVICE_RECEIPT_JSON_H

#include "lib/service/erase.h"

#include <jansson.h>

/* Set a member; false when out of memory. */
bool sck_json_put_text(json_t *o, const char *name, const char *text);
bool sck_json_put_time(json_t *o, const char *name, int64_t unix_s);
/* At most 64 bytes. */
bool sck_json_put_hex(json_t *o, const char *name, const uint8_t *data, size_t len);

/* What the whole erasure waits for: all its KEKs must be gone, each by its keeper's own rule. */
void sck_facts_add_up(const struct sck_erasure_facts *facts, struct sck_pledge_rec *pledge);
/* The keepers themselves said so, and no copy of the catalog can bring a KEK back. */
bool sck_facts_are_complete(const struct sck_erasure_facts *facts);
/* The receipt without key and signature; NULL when out of memory. */
json_t *sck_receipt_build(const struct sck_erasure_facts *facts, const struct sck_pledge_rec *pledge,
                          const uint8_t id[16], int64_t now_s);

#endif
