/* SPDX-License-Identifier: MIT */
/* From the key_id in a request to a key that the client may use. */
#ifndef SCK_REST_KEYS_H
#define SCK_REST_KEYS_H

#include "rest/request.h"

/*
 * Take `key_id` from a checked body into req->key_id.  False when it is malformed: answered with the documented
 * `Invalid key_id format`.
 */
bool sck_rest_key_id(struct sck_request *req, const json_t *body);
/*
 * Find version `version` (0: the current one) of req->key_id.  A key outside the client's scopes is SCK_E_NOT_FOUND,
 * exactly as one that does not exist.
 */
SCK_MUST_CHECK enum sck_code sck_rest_key_find(struct sck_request *req, uint32_t version, struct sck_key_info *out,
                                               struct sck_err *err);

#endif
